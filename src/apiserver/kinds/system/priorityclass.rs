//! PriorityClass: a name for how much a Pod matters.

use serde_json::Value;

use crate::apiserver::kinds::json::Fill::Choice;
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::{FieldError, Strategy};

/// Above this only the system's own classes may be.
const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;

/// Of PriorityClasses.
pub const STRATEGY: Strategy = Strategy {
    defaults: |class, _| fill(class, &[("preemptionPolicy", Choice("PreemptLowerPriority"))]),
    validate: |class, _| validate(class),
    validate_update: |new, old, _| {
        let mut errors = Vec::new();
        for field in ["value", "preemptionPolicy"] {
            if new.at(field) != old.at(field) {
                let detail = if field == "value" { "may not be changed in an update." } else { "field is immutable" };
                errors.push(match field {
                    "value" => FieldError::forbidden(field, detail),
                    _ => FieldError::invalid(field, new.at(field).clone(), detail),
                });
            }
        }
        errors
    },
    kept: |name| priority_of_the_system(name).map(|_| "this is a system priority class and cannot be deleted"),
    // Its generation stays the first.
    prepare_update: |_, _, _| {},
    ..Strategy::WITH_GENERATION
};

fn validate(class: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = class.text("metadata.name");
    let value = class.int("value").unwrap_or(0);
    if name.starts_with("system-") {
        if let Some(problem) = not_of_the_system(class) {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {problem}"
            );
            errors.push(FieldError::forbidden("metadata.name", detail));
        }
    } else if value > HIGHEST_USER_PRIORITY {
        errors.push(FieldError::forbidden(
            "value",
            format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"),
        ));
    }
    errors.extend(policy(class));
    errors
}

fn policy(class: &Value) -> Vec<FieldError> {
    let policies = ["PreemptLowerPriority", "Never"];
    // An empty text is there, and is no policy.
    let error = match class.at("preemptionPolicy").as_str() {
        None => None,
        Some("") => Some(FieldError::required("preemptionPolicy", "")),
        Some(policy) if policies.contains(&policy) => None,
        Some(policy) => Some(FieldError::not_supported("preemptionPolicy", policy, &policies)),
    };
    error.into_iter().collect()
}

/// The priority that a class of the system has.
fn priority_of_the_system(name: &str) -> Option<i64> {
    match name {
        "system-node-critical" => Some(2_000_001_000),
        "system-cluster-critical" => Some(2_000_000_000),
        _ => None,
    }
}

/// Why a class is not the system's own of its name.
fn not_of_the_system(class: &Value) -> Option<String> {
    let name = class.text("metadata.name");
    let Some(wanted) = priority_of_the_system(name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if class.int("value").unwrap_or(0) != wanted {
        return Some(format!("value of {name} PriorityClass must be {wanted}"));
    }
    class.flag("globalDefault").then(|| format!("globalDefault of {name} PriorityClass must be false"))
}
