//! What is wrong with one metric that an autoscaler follows.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/autoscaling/validation`.

use serde_json::Value;

use super::horizontalpodautoscaler::reference;
use crate::apiserver::kinds::core::resources::{container_name, quantity};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

/// Kinds of metric and their fields, in the order they are looked at.
const METRICS: &[(&str, &str)] = &[
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

const KINDS: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

/// What is wrong with a metric.
pub fn validate(metric: &Value, path: &str) -> Vec<FieldError> {
    let kind = metric.text("type");
    let at = format!("{path}.type");
    let mut errors = Vec::new();
    if kind.is_empty() {
        errors.push(FieldError::required(at.as_str(), "must specify a metric source type"));
    }
    let wanted = METRICS.iter().find(|(name, _)| *name == kind).map(|(_, field)| *field);
    if wanted.is_none() {
        errors.push(FieldError::not_supported(at.as_str(), kind, KINDS));
    }
    let present: Vec<&str> = METRICS.iter().map(|(_, field)| *field).filter(|field| metric.has(field)).collect();
    if let Some(first) = present.first() {
        errors.extend(source(first, metric.at(first), &format!("{path}.{first}")));
    }
    if let Some(field) = wanted.filter(|field| !metric.has(field)) {
        let detail = "must populate information for the given metric source";
        errors.push(FieldError::required(format!("{path}.{field}"), detail));
    }
    if present.len() != 1 {
        let others = present.iter().filter(|field| Some(**field) != wanted);
        let detail = "must populate the given metric source only";
        errors.extend(others.map(|field| FieldError::forbidden(format!("{path}.{field}"), detail)));
    }
    errors
}

fn source(kind: &str, source: &Value, path: &str) -> Vec<FieldError> {
    let target = source.at("target");
    let at = |field: &str| format!("{path}.target.{field}");
    let mut errors = validate_target(target, &format!("{path}.target"));
    match kind {
        "object" => errors.extend(reference(source.at("describedObject"), &format!("{path}.describedObject"), true)),
        "resource" | "containerResource" => errors.extend(resource(kind, source, path)),
        _ => {}
    }
    if !kind.ends_with("esource") {
        errors.extend(identifier(source.at("metric"), &format!("{path}.metric")));
    }
    let (value, average) = (target.has("value"), target.has("averageValue"));
    let share = target.has("averageUtilization");
    let missing = match kind {
        "object" if !value && !average => Some(("averageValue", "must set either a target value or averageValue")),
        "external" if !value && !average => {
            Some(("averageValue", "must set either a target value for metric or a per-pod target"))
        }
        "pods" if !average => Some(("averageValue", "must specify a positive target averageValue")),
        "resource" | "containerResource" if !share && !average => {
            Some(("averageUtilization", "must set either a target raw value or a target utilization"))
        }
        _ => None,
    };
    errors.extend(missing.map(|(field, detail)| FieldError::required(at(field), detail)));
    let both = match kind {
        "external" if value && average => {
            Some(("value", "may not set both a target value for metric and a per-pod target"))
        }
        "resource" | "containerResource" if share && average => {
            Some(("averageValue", "may not set both a target raw value and a target utilization"))
        }
        _ => None,
    };
    errors.extend(both.map(|(field, detail)| FieldError::forbidden(at(field), detail)));
    errors
}

fn resource(kind: &str, source: &Value, path: &str) -> Vec<FieldError> {
    let (name, container) = (source.text("name"), source.text("container"));
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), "must specify a resource name"));
    } else if kind == "containerResource" {
        errors.extend(container_name(name, &format!("{path}.name")));
    }
    if kind == "containerResource" {
        let at = format!("{path}.container");
        if container.is_empty() {
            errors.push(FieldError::required(at, "must specify a container"));
        } else {
            errors.extend(check::faults(at, container, names::dns_label(container)));
        }
    }
    errors
}

fn identifier(metric: &Value, path: &str) -> Vec<FieldError> {
    let name = metric.text("name");
    let at = format!("{path}.name");
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push(FieldError::required(at, "must specify a metric name"));
    } else {
        errors.extend(check::faults(at, name, names::path_segment(name, false)));
    }
    errors
}

fn validate_target(target: &Value, path: &str) -> Vec<FieldError> {
    let kind = target.text("type");
    let mut errors = Vec::new();
    if kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "must specify a metric target type"));
    }
    let kinds = ["Utilization", "Value", "AverageValue"];
    if !kinds.contains(&kind) {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(format!("{path}.type"), kind, detail));
    }
    for field in ["value", "averageValue"] {
        let amount = quantity(target.at(field)).filter(|amount| amount.signum() != 1);
        errors.extend(
            amount.map(|amount| FieldError::invalid(format!("{path}.{field}"), amount.to_string(), "must be positive")),
        );
    }
    if let Some(share) = target.int("averageUtilization").filter(|share| *share < 1) {
        errors.push(FieldError::invalid(format!("{path}.averageUtilization"), share, "must be greater than 0"));
    }
    errors
}
