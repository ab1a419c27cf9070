//! What drivers say about devices: classes of devices, slices of a pool, taints.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/resource/validation`.

use serde_json::{Value, json};

use super::super::core::pod::scheduling;
use super::super::core::pod::volume_sources::csi_driver_name;
use super::super::json::Json;
use super::super::{FieldError, check, names};
use crate::api::cel::check::{self as language, Declared, Scope, Type};
use crate::api::cel::semver;
use crate::api::go_values::{empty_at, value_of};

/// The longest name of an attribute or a capacity, in bytes, without its domain.
const MAX_IDENTIFIER: usize = 32;
const PLACES: [&str; 4] = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
const ONE_PLACE: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

/// What is wrong with a class.
pub fn validate_class(class: &Value) -> Vec<FieldError> {
    let mut errors = selectors(class.items("spec.selectors"), "spec.selectors");
    errors.extend(configs(class.items("spec.config"), "spec.config"));
    if class.has("spec.extendedResourceName") {
        errors.extend(extended_name(class.text("spec.extendedResourceName"), "spec.extendedResourceName"));
    }
    errors
}

/// What is wrong with the name under which Pods may ask for a class as they ask for memory.
fn extended_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if !name.contains('/') {
        faults.push("a name must be a domain-prefixed path, such as 'example.com/my-prop'".to_string());
    } else if name.contains("kubernetes.io/") {
        faults.push("must not have \"kubernetes.io/\" domain".to_string());
    }
    if name.starts_with("requests.") {
        faults.push("must not have \"requests.\" prefix".to_string());
    }
    // A quota counts it under this name.
    faults.extend(names::qualified_name(&format!("requests.{name}")));
    check::faults(path, name, faults).collect()
}

/// Expressions that choose devices.
pub fn selectors(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, selector) in list.iter().enumerate() {
        let at = format!("{path}[{index}].cel");
        if !selector.has("cel") {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let expression = selector.text("cel.expression");
        let scope = Scope::of(&[("device", Declared::plain(Type::Dyn))]);
        let checked = language::check(expression, &scope).and_then(|verdict| match verdict.kind {
            Type::Dyn | Type::Bool => Ok(()),
            _ => Err("must evaluate to bool or the unknown type".to_string()),
        });
        if let Err(why) = checked {
            errors.push(FieldError::invalid(format!("{at}.expression"), expression, why));
        }
    }
    errors
}

/// Settings for drivers.
pub fn configs(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, config) in list.iter().enumerate() {
        let at = format!("{path}[{index}].opaque");
        if !config.has("opaque") {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let (driver, place) = (config.text("opaque.driver"), format!("{at}.driver"));
        match driver {
            "" => errors.push(FieldError::required(place, "")),
            driver if driver.len() > 63 => errors.push(FieldError::too_long(place, 63)),
            driver => errors.extend(check::faults(place, driver, names::dns_subdomain_caseless(driver))),
        }
        match config.at("opaque.parameters") {
            Value::Null => errors.push(FieldError::required(format!("{at}.parameters"), "")),
            Value::Object(_) => {}
            other => {
                let detail = "parameters must be a valid JSON object";
                errors.push(FieldError::invalid(format!("{at}.parameters"), other.to_string(), detail));
            }
        }
    }
    errors
}

/// What is wrong with a rule that taints devices.
pub fn validate_taint_rule(rule: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let selector = rule.at("spec.deviceSelector");
    if selector.has("pool") && selector.text("pool").is_empty() {
        errors.push(FieldError::required("spec.deviceSelector.pool", ""));
    } else if selector.has("pool") {
        for part in selector.text("pool").split('/') {
            errors.extend(check::faults("spec.deviceSelector.pool", part, names::dns_subdomain(part)));
        }
    }
    if selector.has("driver") {
        errors.extend(csi_driver_name(selector.text("driver"), "spec.deviceSelector.driver"));
    }
    if selector.has("device") {
        let name = selector.text("device");
        errors.extend(check::faults("spec.deviceSelector.device", name, names::dns_label(name)));
    }
    errors.extend(taint(rule.at("spec.taint"), "spec.taint"));
    errors
}

fn taint(taint: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(check::choice(taint, "effect", path, &["NoExecute", "NoSchedule", "None"]));
    let key = taint.text("key");
    errors.extend(check::faults(format!("{path}.key"), key, names::qualified_name(key)));
    let value = taint.text("value");
    if !value.is_empty() {
        errors.extend(check::faults(format!("{path}.value"), value, names::label_value(value)));
    }
    errors
}

/// What is wrong with a slice of a pool.
pub fn validate_slice(slice: &Value) -> Vec<FieldError> {
    let spec = slice.at("spec");
    let mut errors = csi_driver_name(spec.text("driver"), "spec.driver");
    let pool = spec.text("pool.name");
    if pool.is_empty() {
        errors.push(FieldError::required("spec.pool.name", ""));
    } else {
        for part in pool.split('/') {
            errors.extend(check::faults("spec.pool.name", part, names::dns_subdomain(part)));
        }
    }
    let (count, generation) = (spec.int("pool.resourceSliceCount").unwrap_or(0), spec.int("pool.generation"));
    if count <= 0 {
        errors.push(FieldError::invalid("spec.pool.resourceSliceCount", count, "must be greater than zero"));
    }
    if let Some(generation) = generation.filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to zero";
        errors.push(FieldError::invalid("spec.pool.generation", generation, detail));
    }
    errors.extend(place(spec));
    let given = |list: &str| spec.has(list) || empty_at(&format!("spec.{list}")).is_array();
    if given("sharedCounters") && given("devices") {
        let detail = "only one of `sharedCounters` or `devices` is allowed";
        errors.push(FieldError::invalid("spec", "", detail));
    }
    for (index, set) in spec.items("sharedCounters").iter().enumerate() {
        let at = format!("spec.sharedCounters[{index}]");
        match set.text("name") {
            "" => errors.push(FieldError::required(format!("{at}.name"), "")),
            name => errors.extend(check::faults(format!("{at}.name"), name, names::declared(names::dns_label(name)))),
        }
        let counters = set.entries("counters");
        if counters.is_empty() {
            errors.push(FieldError::required(format!("{at}.counters"), ""));
        }
        for (key, _) in counters {
            errors.extend(check::faults(format!("{at}.counters"), key, names::dns_label(key)));
        }
    }
    let devices = spec.items("devices");
    for (index, device) in devices.iter().enumerate() {
        let at = format!("spec.devices[{index}]");
        if devices[..index].iter().any(|other| other.text("name") == device.text("name")) {
            errors.push(FieldError::duplicate(at.as_str(), device.text("name")));
        }
        errors.extend(validate_device(device, spec.flag("perDeviceNodeSelection"), &at));
    }
    errors
}

/// Where the devices are: one way to say it.
fn place(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut set = Vec::new();
    for field in PLACES.into_iter().filter(|field| spec.has(field)) {
        let (at, value) = (format!("spec.{field}"), spec.at(field));
        match field {
            "nodeName" if value == "" => {
                let detail = "must be either unset or set to a non-empty string";
                errors.push(FieldError::invalid(at, "", detail));
                continue;
            }
            "nodeName" => {
                let name = spec.text("nodeName");
                errors.extend(check::faults(at, name, names::dns_subdomain(name)));
            }
            "nodeSelector" => {
                let terms = value.items("nodeSelectorTerms");
                errors.extend(scheduling::node_selector(value, &at));
                if terms.len() != 1 {
                    let detail = "must have exactly one node selector term";
                    let shown = terms.iter().filter_map(|term| value_of("io.k8s.api.core.v1.NodeSelectorTerm", term));
                    let shown = match value.at("nodeSelectorTerms") {
                        Value::Null => "null".to_string(),
                        _ => format!("[{}]", shown.collect::<Vec<_>>().join(",")),
                    };
                    errors.push(FieldError::invalid_raw(format!("{at}.nodeSelectorTerms"), shown, detail));
                }
            }
            _ if value != true => {
                errors.push(FieldError::invalid(at, false, "must be either unset or set to true"));
                continue;
            }
            _ => {}
        }
        set.push(format!("`{field}`"));
    }
    match set.len() {
        0 => errors.push(FieldError::required("spec", ONE_PLACE)),
        1 => {}
        _ => {
            let detail = format!("{ONE_PLACE}, but multiple fields are set");
            errors.push(FieldError::invalid("spec", format!("{{{}}}", set.join(", ")), detail));
        }
    }
    errors
}

fn validate_device(device: &Value, per_device: bool, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = device.text("name");
    errors.extend(check::faults(format!("{path}.name"), name, names::dns_label(name)));
    for (key, attribute) in device.entries("attributes") {
        let fields = ["bool", "int", "string", "version", "bools", "ints", "strings", "versions"];
        let set = fields.iter().filter(|field| attribute.has(field)).count();
        let at = format!("{path}.attributes[{key}]");
        if set != 1 {
            let members = ["int", "bool", "string", "version", "ints", "bools", "strings", "versions"];
            let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let given: Vec<&str> = members.into_iter().filter(|member| attribute.has(member)).collect();
            errors.push(match set {
                0 => FieldError::invalid(at.as_str(), "", format!("must specify one of: {}", quoted(&members))),
                _ => {
                    let shown = format!("{{{}}}", given.join(", "));
                    let detail = format!("must specify exactly one of: {}", quoted(&members));
                    FieldError::invalid(at.as_str(), shown, detail)
                }
            });
        }
        if attribute.has("version") && semver::read(attribute.text("version"), false).is_err() {
            let detail = "must be a string compatible with semver.org spec 2.0.0";
            errors.push(FieldError::invalid(format!("{at}.version"), attribute.text("version"), detail));
        }
    }
    for (key, capacity) in device.entries("capacity") {
        if capacity.has("requestPolicy") && !device.flag("allowMultipleAllocations") {
            let at = format!("{path}.capacity[{key}].requestPolicy");
            errors.push(FieldError::forbidden(at, "allowMultipleAllocations must be true"));
        }
    }
    for (field, list) in [("attributes", device.entries("attributes")), ("capacity", device.entries("capacity"))] {
        errors.extend(list.iter().flat_map(|(key, _)| qualified(key, &format!("{path}.{field}"))));
    }
    for (index, consumed) in device.items("consumesCounters").iter().enumerate() {
        let at = format!("{path}.consumesCounters[{index}]");
        let before = &device.items("consumesCounters")[..index];
        if before.iter().any(|one| one.text("counterSet") == consumed.text("counterSet")) {
            errors.push(FieldError::duplicate(at.as_str(), json!({"counterSet": consumed.text("counterSet")})));
        }
        match consumed.text("counterSet") {
            "" => errors.push(FieldError::required(format!("{at}.counterSet"), "")),
            name => {
                let faults = names::declared(names::dns_label(name));
                errors.extend(check::faults(format!("{at}.counterSet"), name, faults));
            }
        }
        if consumed.entries("counters").is_empty() {
            errors.push(FieldError::required(format!("{at}.counters"), ""));
        }
        for (name, _) in consumed.entries("counters") {
            errors.extend(check::faults(format!("{at}.counters"), name, names::dns_label(name)));
        }
    }
    for (index, one) in device.items("taints").iter().enumerate() {
        errors.extend(taint(one, &format!("{path}.taints[{index}]")));
    }
    let set = PLACES[..3].iter().filter(|field| device.has(field)).count();
    if !per_device && set > 0 {
        let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to \
                      true in the ResourceSlice spec";
        errors.push(FieldError::invalid(path, Value::Null, detail));
    } else if per_device && set != 1 {
        let detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when \
                      `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        errors.push(FieldError::required(path, detail));
    }
    errors.extend(binding(device, path));
    errors
}

/// Conditions that a binding waits for, and those that end it.
fn binding(device: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (waits, ends) = (device.items("bindingConditions"), device.items("bindingFailureConditions"));
    for (field, list) in [("bindingConditions", waits), ("bindingFailureConditions", ends)] {
        for (index, name) in list.iter().enumerate() {
            let (at, text) = (format!("{path}.{field}[{index}]"), name.as_str().unwrap_or_default());
            errors.extend(check::faults(at, text, names::qualified_name(text)));
        }
    }
    for (field, list) in [("bindingConditions", waits), ("bindingFailureConditions", ends)] {
        for (index, name) in list.iter().enumerate() {
            let at = format!("{path}.{field}[{index}]");
            if list[..index].contains(name) {
                errors.push(FieldError::duplicate(at.clone(), name.clone()));
            }
            if field == "bindingFailureConditions" && waits.contains(name) {
                let detail = "bindingFailureConditions must not overlap with bindingConditions";
                errors.push(FieldError::invalid(at, name.clone(), detail));
            }
        }
    }
    for (field, other, lacks) in [
        ("bindingConditions", "bindingFailureConditions", waits.is_empty() && !ends.is_empty()),
        ("bindingFailureConditions", "bindingConditions", ends.is_empty() && !waits.is_empty()),
    ] {
        if lacks {
            let shown = if device.has(field) { "[]" } else { "null" };
            let detail = format!("{field} are required to use {other}");
            errors.push(FieldError::invalid_raw(format!("{path}.{field}"), shown, detail));
        }
    }
    errors
}

/// A name that may have a domain before it.
fn qualified(name: &str, path: &str) -> Vec<FieldError> {
    let identifier = |text: &str| {
        let long = (text.len() > MAX_IDENTIFIER).then(|| FieldError::too_long(path, MAX_IDENTIFIER));
        long.into_iter().chain(check::faults(path, text, names::c_identifier(text))).collect::<Vec<_>>()
    };
    match name.split('/').collect::<Vec<_>>()[..] {
        [plain] => identifier(plain),
        [domain, plain] => {
            let mut errors = match domain {
                "" => vec![FieldError::invalid(path, "", "the domain must not be empty")],
                domain => csi_driver_name(domain, path),
            };
            match plain {
                "" => errors.push(FieldError::invalid(path, "", "the name must not be empty")),
                plain => errors.extend(identifier(plain)),
            }
            errors
        }
        _ => Vec::new(),
    }
}

/// A name that must have a domain before it.
pub fn fully_qualified(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors = qualified(name, path);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(FieldError::invalid(path, name, detail));
    }
    errors
}
