//! ResourceQuota: the most that one namespace may hold.

use serde_json::Value;

use super::resources;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, Strategy};

/// Of ResourceQuotas.
pub const STRATEGY: Strategy = Strategy {
    validate: |quota, _| validate(quota),
    validate_update: |new, old, _| {
        let mut errors = validate(new);
        if new.at("spec.scopes") != old.at("spec.scopes") {
            errors.push(FieldError::invalid("spec.scopes", new.at("spec.scopes").clone(), "field is immutable"));
        }
        errors
    },
    ..Strategy::WITH_STATUS
};

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

fn validate(quota: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, amount) in quota.entries("spec.hard") {
        let path = format!("spec.hard[{name}]");
        errors.extend(resources::quota_name(name, &path));
        let Some(number) = resources::quantity(amount) else { continue };
        if number.signum() < 0 {
            errors.push(FieldError::invalid(path.clone(), number.to_string(), "must be greater than or equal to 0"));
        }
        if resources::is_integer(name) && number.milli_value() % 1000 != 0 {
            errors.push(FieldError::invalid(path, number.to_string(), "must be an integer"));
        }
    }
    let scopes = quota.items("spec.scopes");
    if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str().unwrap_or(""))) {
        errors.push(FieldError::invalid("spec.scopes", Value::Array(scopes.to_vec()), "unsupported scope"));
    }
    for (index, requirement) in quota.items("spec.scopeSelector.matchExpressions").iter().enumerate() {
        let path = format!("spec.scopeSelector.matchExpressions[{index}]");
        let scope = requirement.text("scopeName");
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(format!("{path}.scopeName"), scope, "unsupported scope"));
        }
        let operator = requirement.text("operator");
        match operator {
            "In" | "NotIn" if requirement.items("values").is_empty() => errors.push(FieldError::required(
                format!("{path}.values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            )),
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !requirement.items("values").is_empty() => errors.push(FieldError::invalid(
                format!("{path}.values"),
                requirement.at("values").clone(),
                "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector",
            )),
            "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator"))
            }
        }
    }
    errors
}
