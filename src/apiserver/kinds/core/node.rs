//! Node: a machine, as its kubelet reports it.

use serde_json::{Value, json};

use super::resources;
use crate::apiserver::kinds::json::{Json, copy, drop_at, put};
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource, check, field_error, lifecycle, names};

/// Of Nodes. Unlike most kinds, a client may create one with its status.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    // Configuration of kubelets through the API is no more.
    prepare_create: |node, _| {
        drop_at(node, "spec.configSource");
        drop_at(node, "status.config");
    },
    prepare_update: |new, old, _| {
        copy(new, old, "status");
        if !old.has("spec.configSource") {
            drop_at(new, "spec.configSource");
        }
    },
    warnings: |node, _| {
        let text = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
        node.has("spec.externalID").then(|| text.to_owned()).into_iter().collect()
    },
    validate: |node, _| validate(node),
    validate_update: |new, old, _| validate_update(new, old),
    selectable_fields: |node| vec![("spec.unschedulable", node.flag("spec.unschedulable").to_string())],
    selectable_names: &["spec.unschedulable"],
    subresources: &[Subresource { validate: |new, old, _| validate_update(new, old), ..lifecycle::STATUS }],
    ..Strategy::PLAIN
};

fn defaults(node: &mut Value, _: &Context) {
    // The feature is off.
    drop_at(node, "spec.podPreemptionPolicy");
    // The one of old is believed where the two differ.
    let cidr = node.at("spec.podCIDR").clone();
    if cidr.as_str().is_some_and(|cidr| !cidr.is_empty()) && node.items("spec.podCIDRs").first() != Some(&cidr) {
        put(node, "spec.podCIDRs", json!([cidr]));
    }
    if node.has("status.capacity") && !node.has("status.allocatable") {
        let capacity = node.at("status.capacity").clone();
        put(node, "status.allocatable", capacity);
    }
}

fn validate(node: &Value) -> Vec<FieldError> {
    let mut errors = taints(node);
    errors.extend(amounts(node));
    errors.extend(declared_features(node));
    errors.extend(pod_cidrs(node));
    if let Some(swap) = node.int("status.nodeInfo.swap.capacity").filter(|swap| *swap <= 0) {
        errors.push(FieldError::invalid("metadata.nodeSwapStatus.capacity", swap, "must be greater than zero"));
    }
    errors
}

/// What is wrong with the addresses that its Pods get.
fn pod_cidrs(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = node.items("spec.podCIDRs");
    for (index, cidr) in list.iter().enumerate() {
        let cidr = cidr.as_str().unwrap_or("");
        errors.extend(check::faults(format!("spec.podCIDRs[{index}]"), cidr, names::cidr(cidr)));
    }
    if list.len() > 1 {
        let six = |cidr: &Value| cidr.as_str().is_some_and(|cidr| cidr.contains(':'));
        if list.len() > 2 || list.iter().all(|cidr| six(cidr) == six(&list[0])) {
            let detail = "may specify no more than one CIDR for each IP family";
            errors.push(FieldError::invalid("spec.podCIDRs", Value::Array(list.to_vec()), detail));
        }
    }
    errors
}

fn amounts(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for list in ["status.capacity", "status.allocatable"] {
        for (name, amount) in node.entries(list) {
            errors.extend(resources::amount_of(name, amount, &format!("{list}.{name}")));
        }
    }
    errors
}

/// What is wrong with the features a kubelet says it has: `MyFeature/mySubFeature`, in order.
fn declared_features(node: &Value) -> Vec<FieldError> {
    const FIELD: &str = "status.declaredFeatures";
    const FORM: &str = "must start with an UpperCamelCase segment, with subsequent segments separated by '/' \
        (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";
    let names: Vec<&str> = node.items(FIELD).iter().filter_map(Value::as_str).collect();
    let word = |segment: &str| {
        segment.starts_with(|c: char| c.is_ascii_alphabetic()) && segment.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let mut errors = Vec::new();
    for (index, &name) in names.iter().enumerate() {
        let at = format!("{FIELD}[{index}]");
        if let Some(&before) = index.checked_sub(1).and_then(|before| names.get(before)) {
            if before == name {
                errors.push(FieldError::duplicate(&at, name));
            } else if before > name {
                errors.push(FieldError::invalid(&at, name, "list must be sorted alphabetically"));
            }
        }
        let shown = field_error::go_quote(name);
        if name.len() > 253 {
            let detail = format!("invalid feature name {shown}: must be no more than 253 characters");
            errors.push(FieldError::invalid(at, name, detail));
        } else if !name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.split('/').all(word) {
            errors.push(FieldError::invalid(at, name, format!("invalid feature name {shown}: {FORM}")));
        }
    }
    errors
}

/// Errors about taints name the metadata.
fn taints(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = node.items("spec.taints");
    for (index, taint) in list.iter().enumerate() {
        let path = format!("metadata.taints[{index}]");
        let (key, value, effect) = (taint.text("key"), taint.text("value"), taint.text("effect"));
        errors.extend(check::faults(format!("{path}.key"), key, names::qualified_name(key)));
        let faults = names::label_value(value);
        if !faults.is_empty() {
            errors.push(FieldError::invalid(format!("{path}.value"), value, faults.join(";")));
        }
        errors.extend(check::choice(taint, "effect", &path, &["NoSchedule", "PreferNoSchedule", "NoExecute"]));
        if list[..index].iter().any(|other| other.text("key") == key && other.text("effect") == effect) {
            let mut shown = json!({"Key": key, "Value": value, "Effect": effect, "TimeAdded": null});
            if taint.has("timeAdded") {
                shown["TimeAdded"] = taint.at("timeAdded").clone();
            }
            let mut error = FieldError::duplicate(path, shown);
            error.detail = "taints must be unique by key and effect pair".to_string();
            errors.push(error);
        }
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = taints(new);
    errors.extend(amounts(new));
    errors.extend(declared_features(new));
    errors.extend(pod_cidrs(new));
    let addresses = new.items("status.addresses");
    for (index, address) in addresses.iter().enumerate().filter(|(index, one)| addresses[..*index].contains(one)) {
        let shown = json!({"Type": address.text("type"), "Address": address.text("address")});
        errors.push(FieldError::duplicate(format!("status.addresses[{index}]"), shown));
    }
    let (now, was) = (new.items("spec.podCIDRs"), old.items("spec.podCIDRs"));
    let changed = if now.len() == was.len() { now.iter().zip(was).filter(|(now, was)| now != was).count() } else { 1 };
    for _ in (0..changed).filter(|_| !was.is_empty()) {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.podCIDRs", detail));
    }
    let (provider, known) = (new.text("spec.providerID"), old.text("spec.providerID"));
    if !known.is_empty() && provider != known {
        let what = if provider.is_empty() { "cleared" } else { "modified" };
        let detail = format!("field cannot be {what} once set");
        errors.push(FieldError::invalid("spec.providerID", Value::Null, detail));
    }
    if new.text("spec.externalID") != old.text("spec.externalID") {
        errors.push(FieldError::forbidden("spec.externalID", "may not be updated"));
    }
    errors
}
