//! Validation of amounts of resources: a container's requests and limits, a quota's, a Node's.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `.../core/helper`.

use serde_json::Value;

use crate::api::quantity::Quantity;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, names};

const CONTAINER: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// The amount, if it reads as one.
pub fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

/// What is wrong with `resources` of a container or a Pod.
pub fn requirements(resources: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, amount) in resources.entries("limits") {
        let at = format!("{path}.limits[{name}]");
        errors.extend(container_name(name, &at));
        errors.extend(amount_of(name, amount, &at));
    }
    for (name, amount) in resources.entries("requests") {
        let at = format!("{path}.requests[{name}]");
        errors.extend(container_name(name, &at));
        errors.extend(amount_of(name, amount, &at));
        let Some(limit) = resources.at("limits").get(name) else {
            if is_extended(name) {
                errors.push(FieldError::required(
                    format!("{path}.limits"),
                    "Limit must be set for non overcommitable resources",
                ));
            }
            continue;
        };
        let (Some(asked), Some(most)) = (quantity(amount), quantity(limit)) else { continue };
        if is_extended(name) && asked != most {
            errors.push(FieldError::invalid(
                format!("{path}.requests"),
                asked.to_string(),
                format!("must be equal to {name} limit of {most}"),
            ));
        } else if asked > most {
            errors.push(FieldError::invalid(
                format!("{path}.requests"),
                asked.to_string(),
                format!("must be less than or equal to {name} limit of {most}"),
            ));
        }
    }
    errors
}

/// What is wrong with an amount: below zero, or a part of what has no parts.
pub fn amount_of(name: &str, amount: &Value, path: &str) -> Vec<FieldError> {
    let Some(number) = quantity(amount) else { return Vec::new() };
    let mut errors = Vec::new();
    if number.signum() < 0 {
        errors.push(FieldError::invalid(path, number.to_string(), "must be greater than or equal to 0"));
    }
    if is_extended(name) && number.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, number.to_string(), "must be an integer"));
    }
    errors
}

/// Whether it is a vendor's resource (`nvidia.com/gpu`), which is counted whole.
pub fn is_extended(name: &str) -> bool {
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    !native && !name.starts_with("requests.")
}

/// What is wrong with a resource's name as such.
pub fn resource_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> =
        names::qualified_name(name).into_iter().map(|fault| FieldError::invalid(path, name, fault)).collect();
    if errors.is_empty() && !name.contains('/') && !is_standard(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    errors
}

fn container_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors = resource_name(name, path);
    if !name.contains('/') {
        if !CONTAINER.contains(&name) && !name.starts_with("hugepages-") {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_extended(name) && !name.starts_with("kubernetes.io/") && !name.contains(".kubernetes.io/") {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
    errors
}

const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

const QUOTA: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

/// What is wrong with a resource's name in a ResourceQuota.
pub fn quota_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors = resource_name(name, path);
    let known = QUOTA.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
    if !name.contains('/') && !known {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for quota"));
    }
    errors
}

/// Whether a quota counts it in whole numbers.
pub fn is_integer(name: &str) -> bool {
    matches!(
        name,
        "pods"
            | "services"
            | "replicationcontrollers"
            | "resourcequotas"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || name.starts_with("count/")
        || is_extended(name)
}
