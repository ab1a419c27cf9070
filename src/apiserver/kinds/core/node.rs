//! Node: a machine, as its kubelet reports it.

use serde_json::{Value, json};

use crate::apiserver::kinds::json::{Json, copy, put};
use crate::apiserver::kinds::{Context, FieldError, Strategy, lifecycle};

/// Of Nodes. Unlike most kinds, a client may create one with its status.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_update: |new, old, _| copy(new, old, "status"),
    validate: |node, _| taints(node),
    validate_update: |new, old, _| validate_update(new, old),
    selectable_fields: |node| vec![("spec.unschedulable", node.flag("spec.unschedulable").to_string())],
    selectable_names: &["spec.unschedulable"],
    subresources: &[lifecycle::STATUS],
    ..Strategy::PLAIN
};

fn defaults(node: &mut Value, _: &Context) {
    if !node.text("spec.podCIDR").is_empty() && node.items("spec.podCIDRs").is_empty() {
        let cidr = node.at("spec.podCIDR").clone();
        put(node, "spec.podCIDRs", json!([cidr]));
    }
    if node.has("status.capacity") && !node.has("status.allocatable") {
        let capacity = node.at("status.capacity").clone();
        put(node, "status.allocatable", capacity);
    }
}

fn taints(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = node.items("spec.taints");
    for (index, taint) in list.iter().enumerate() {
        let path = format!("spec.taints[{index}]");
        let key = taint.text("key");
        for fault in crate::apiserver::kinds::names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, fault));
        }
        for fault in crate::apiserver::kinds::names::label_value(taint.text("value")) {
            errors.push(FieldError::invalid(format!("{path}.value"), taint.text("value"), fault));
        }
        let effect = taint.text("effect");
        let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        if effect.is_empty() {
            errors.push(FieldError::required(format!("{path}.effect"), ""));
        } else if !known.contains(&effect) {
            errors.push(FieldError::not_supported(format!("{path}.effect"), effect, &known));
        }
        if list[..index].iter().any(|other| other.text("key") == key && other.text("effect") == effect) {
            errors.push(FieldError::duplicate(path, taint.clone()));
        }
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = taints(new);
    let was = old.items("spec.podCIDRs");
    if !was.is_empty() && new.items("spec.podCIDRs") != was {
        errors.push(FieldError::forbidden(
            "spec.podCIDRs",
            "node updates may not change podCIDR except from \"\" to valid",
        ));
    }
    let provider = old.text("spec.providerID");
    if !provider.is_empty() && new.text("spec.providerID") != provider {
        errors.push(FieldError::forbidden(
            "spec.providerID",
            "node updates may not change providerID except from \"\" to valid",
        ));
    }
    errors
}
