//! The `resource.k8s.io` group: devices, and claims for them. Small kinds, one file.

mod slice;
mod status;

use serde_json::Value;

use super::core::pod::seconds;
use super::json::Fill::{Empty, Text};
use super::json::{Json, at_mut, drop_at, fill, items_mut, put};
use super::metadata::{declared_immutable, immutable, of_template};
use super::{Context, FieldError, Strategy, Subresource, check, conditions, lifecycle, names};
use crate::api::meta;
use crate::apiserver::objects::collection;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "DeviceClass" => &DEVICE_CLASS,
        "DeviceTaintRule" => &TAINT_RULE,
        "ResourceClaim" => &CLAIM,
        "ResourceClaimTemplate" => &TEMPLATE,
        "ResourceSlice" => &SLICE,
        _ => return None,
    })
}

const DEVICE_CLASS: Strategy = Strategy {
    validate: |class, _| slice::validate_class(class),
    validate_update: |new, _, _| slice::validate_class(new),
    any_generate_name: true,
    ..Strategy::WITH_GENERATION
};

const CLAIM: Strategy = Strategy {
    defaults: |claim, _| requests(claim, "spec"),
    validate: |claim, context| {
        let mut errors = admin_access(claim.items("spec.devices.requests"), claim, context);
        errors.extend(devices(claim.at("spec"), "spec"));
        errors
    },
    validate_update: |new, old, _| declared_immutable(new, old, "spec").into_iter().collect(),
    whole_again: true,
    subresources: &[Subresource { validate: |new, old, _| status::claim(new, old), ..lifecycle::STATUS }],
    ..Strategy::WITH_STATUS
};

const TEMPLATE: Strategy = Strategy {
    defaults: |template, _| {
        fill(template, &[("spec.metadata", Empty)]);
        requests(template, "spec.spec");
    },
    validate: |template, context| {
        let mut errors = admin_access(template.items("spec.spec.devices.requests"), template, context);
        errors.extend(validate_template(template));
        errors
    },
    validate_update: |new, old, _| {
        let mut errors = validate_template(new);
        errors.extend(immutable(new, old, "spec"));
        errors
    },
    whole_again: true,
    ..Strategy::PLAIN
};

/// Only a namespace that says so may ask for devices as their administrator. A template's error has the path of a
/// claim's.
fn admin_access(requests: &[Value], object: &Value, context: &Context) -> Vec<FieldError> {
    const LABEL: &str = "resource.kubernetes.io/admin-access";
    let Some(at) = requests.iter().position(|request| request.flag("exactly.adminAccess")) else { return Vec::new() };
    let namespace = context.objects.get(collection("", "namespaces"), "", object.text("metadata.namespace"));
    let granted = namespace.is_some_and(|namespace| meta::label(&namespace, LABEL) == Some("true"));
    let detail = format!("admin access to devices requires the `{LABEL}: true` label on the containing namespace");
    let path = format!("spec.devices.requests[{at}].adminAccess");
    (!granted).then(|| FieldError::forbidden(path, detail)).into_iter().collect()
}

const SLICE: Strategy = Strategy {
    defaults: |slice, context| {
        let now = seconds(context.now);
        for device in items_mut(slice, "spec.devices") {
            for taint in items_mut(device, "taints").filter(|taint| !taint.has("timeAdded")) {
                put(taint, "timeAdded", now.clone());
            }
        }
    },
    prepare_create: |slice, context| {
        lifecycle::only_generation(slice, context);
        drop_from_slice(slice);
    },
    prepare_update: |new, old, context| {
        // A field that is dropped counts as a change.
        lifecycle::count_generation(new, old, context);
        drop_from_slice(new);
    },
    validate: |slice, _| slice::validate_slice(slice),
    validate_update: |new, old, _| {
        let mut errors = slice::validate_slice(new);
        let fixed = ["spec.pool.name", "spec.driver", "spec.nodeName"];
        errors.extend(fixed.into_iter().filter_map(|field| immutable(new, old, field)));
        errors
    },
    selectable_fields: |slice| {
        vec![
            ("spec.nodeName", slice.text("spec.nodeName").to_string()),
            ("spec.driver", slice.text("spec.driver").to_string()),
        ]
    },
    selectable_names: &["spec.nodeName", "spec.driver"],
    ..Strategy::WITH_GENERATION
};

/// Fields of features that are off.
fn drop_from_slice(slice: &mut Value) {
    drop_at(slice, "spec.skipNodeOperations");
    drop_at(slice, "spec.partitionTypeAttribute");
    for device in items_mut(slice, "spec.devices") {
        drop_at(device, "nodeAllocatableResources");
        for set in items_mut(device, "consumesCounters") {
            drop_at(set, "compatibilityGroups");
        }
        for (_, attribute) in at_mut(device, "attributes").and_then(Value::as_object_mut).into_iter().flatten() {
            for field in ["ints", "bools", "strings", "versions"] {
                drop_at(attribute, field);
            }
        }
    }
}

const TAINT_RULE: Strategy = Strategy {
    defaults: |rule, context: &Context| {
        lifecycle::with_status(rule);
        if rule.has("spec.taint") && !rule.has("spec.taint.timeAdded") {
            put(rule, "spec.taint.timeAdded", seconds(context.now));
        }
    },
    validate: |rule, _| slice::validate_taint_rule(rule),
    validate_update: |new, _, _| slice::validate_taint_rule(new),
    unconditional_update: false,
    subresources: &[Subresource {
        validate: |new, _, _| conditions::validate(new, "status.conditions"),
        ..lifecycle::STATUS
    }],
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn requests(object: &mut Value, path: &str) {
    let Some(spec) = at_mut(object, path) else { return };
    for request in items_mut(spec, "devices.requests") {
        if let Some(exactly) = at_mut(request, "exactly").filter(|exactly| exactly.is_object()) {
            device_request(exactly);
        }
        for option in items_mut(request, "firstAvailable") {
            device_request(option);
        }
    }
}

fn device_request(request: &mut Value) {
    // The feature is off.
    drop_at(request, "derivedAttributes");
    fill(request, &[("allocationMode", Text("ExactCount")), ("tolerations[].operator", Text("Equal"))]);
    if request.text("allocationMode") == "ExactCount" && request.int("count").unwrap_or(0) == 0 {
        put(request, "count", 1);
    }
}

/// Of a claim's metadata a template gives labels and annotations only.
fn validate_template(template: &Value) -> Vec<FieldError> {
    let mut errors = of_template(template.at("spec.metadata"), "spec.metadata");
    errors.extend(devices(template.at("spec.spec"), "spec.spec"));
    errors
}

fn devices(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let requests = spec.items("devices.requests");
    let path = format!("{path}.devices");
    if requests.len() > 32 {
        errors.push(FieldError::too_many(format!("{path}.requests"), requests.len(), 32));
    }
    for (index, request) in requests.iter().enumerate() {
        let at = format!("{path}.requests[{index}]");
        let name = request.text("name");
        errors.extend(check::faults(format!("{at}.name"), name, names::dns_label(name)));
        if requests[..index].iter().any(|other| other.text("name") == name) {
            errors.push(FieldError::duplicate(at.as_str(), request.clone()));
        }
        let options = request.items("firstAvailable");
        match (request.has("exactly"), options.is_empty()) {
            (false, true) => {
                errors.push(FieldError::required(at, "exactly one of `exactly` or `firstAvailable` is required"));
            }
            (true, false) => {
                let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
                errors.push(FieldError::invalid(at.as_str(), Value::Null, detail));
                // Then they are looked at only as far as their types go.
                let by_hand = |place: &str| {
                    ["].name", ".count", ".cel", ".expression"].iter().any(|field| place.ends_with(field))
                };
                errors.extend(alternatives(options, &at).into_iter().filter(|fault| !by_hand(&fault.field)));
            }
            (true, true) => {
                let (own, at) = (request.at("exactly"), format!("{at}.exactly"));
                errors.extend(class_name(own, &at, names::dns_subdomain));
                errors.extend(one_request(own, &at));
            }
            (false, false) => errors.extend(alternatives(options, &at)),
        }
    }
    for list in ["constraints", "config"] {
        for (index, own) in spec.at("devices").items(list).iter().enumerate() {
            for (place, name) in own.items("requests").iter().enumerate() {
                let at = format!("{path}.{list}[{index}].requests[{place}]");
                errors.extend(request_reference(name.as_str().unwrap_or_default(), &at, requests));
            }
        }
    }
    for (index, constraint) in spec.items("devices.constraints").iter().enumerate() {
        if let Some(field) = ["matchAttribute", "distinctAttribute"].into_iter().find(|field| constraint.has(field)) {
            let at = format!("{path}.constraints[{index}].{field}");
            errors.extend(slice::fully_qualified(constraint.text(field), &at));
        }
        if !constraint.has("matchAttribute") && !constraint.has("distinctAttribute") {
            // Kubernetes says so, whether none is set or both are.
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields \
                          are set";
            errors.push(FieldError::required(format!("{path}.constraints[{index}]"), detail));
        }
    }
    errors.extend(slice::configs(spec.items("devices.config"), &format!("{path}.config")));
    // What the type itself declares is told last.
    let declared = |fault: &FieldError| {
        let alternative = fault.field.contains(".firstAvailable[");
        alternative && [".deviceClassName", ".allocationMode"].iter().any(|end| fault.field.ends_with(end))
    };
    let (last, mut errors): (Vec<_>, Vec<_>) = errors.into_iter().partition(declared);
    errors.extend(last);
    errors
}

/// What is wrong with the name of a request, or of one of its alternatives: `request/alternative`.
fn request_reference(name: &str, path: &str, requests: &[Value]) -> Vec<FieldError> {
    let parts: Vec<&str> = name.split('/').collect();
    let nobody = || {
        let detail =
            "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
        FieldError::invalid(path, name, detail)
    };
    if parts.len() > 2 {
        return vec![nobody()];
    }
    let faults = parts.iter().flat_map(|part| check::faults(path, part, names::dns_label(part)));
    let mut errors: Vec<FieldError> = faults.collect();
    let own = requests.iter().find(|request| request.text("name") == parts[0]);
    let known = own.is_some_and(|own| match parts.get(1) {
        None => true,
        Some(part) => own.items("firstAvailable").iter().any(|option| option.text("name") == *part),
    });
    errors.extend((!known).then(nobody));
    errors
}

/// Requests of which the first that can be met is.
fn alternatives(options: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (place, option) in options.iter().enumerate() {
        let at = format!("{path}.firstAvailable[{place}]");
        let name = option.text("name");
        errors.extend(check::faults(format!("{at}.name"), name, names::dns_label(name)));
        if options[..place].iter().any(|other| other.text("name") == name) {
            errors.push(FieldError::duplicate(at.as_str(), option.clone()));
        }
        errors.extend(class_name(option, &at, names::dns_subdomain_declared));
        errors.extend(one_request(option, &at));
    }
    errors
}

fn class_name(request: &Value, path: &str, faults: fn(&str) -> names::Faults) -> Vec<FieldError> {
    let (class, at) = (request.text("deviceClassName"), format!("{path}.deviceClassName"));
    if class.is_empty() {
        return vec![FieldError::required(at, "")];
    }
    check::faults(at, class, faults(class)).collect()
}

fn one_request(request: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = slice::selectors(request.items("selectors"), &format!("{path}.selectors"));
    for (index, toleration) in request.items("tolerations").iter().enumerate() {
        let key = toleration.text("key");
        if !key.is_empty() {
            let at = format!("{path}.tolerations[{index}].key");
            errors.extend(check::faults(at, key, names::qualified_name(key)));
        }
        let path = format!("{path}.tolerations[{index}]");
        let (value, at) = (toleration.text("value"), format!("{path}.value"));
        match toleration.text("operator") {
            "Exists" if !value.is_empty() => {
                errors.push(FieldError::invalid(at, value, "must be empty for operator `Exists`"));
            }
            "Exists" => {}
            "Equal" => errors.extend(check::faults(at, value, names::label_value(value))),
            _ => errors.extend(check::choice(toleration, "operator", &path, &["Equal", "Exists"])),
        }
        let effects = ["NoExecute", "NoSchedule", "None"];
        let effect = toleration.text("effect");
        if !effect.is_empty() && !effects.contains(&effect) {
            errors.push(FieldError::not_supported(format!("{path}.effect"), effect, &effects));
        }
    }
    let count = request.int("count").unwrap_or(0);
    let at = format!("{path}.count");
    match request.text("allocationMode") {
        "All" if count != 0 => {
            errors.push(FieldError::invalid(at, count, "must not be specified when allocationMode is 'All'"));
        }
        "ExactCount" if count <= 0 => errors.push(FieldError::invalid(at, count, "must be greater than zero")),
        "All" | "ExactCount" => {}
        other => {
            let modes = ["All", "ExactCount"];
            errors.push(FieldError::not_supported(format!("{path}.allocationMode"), other, &modes));
        }
    }
    errors
}
