//! What is wrong with the counts in a workload's `status`.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/apps/validation`.

use serde_json::Value;

use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::non_negative;

/// The rules for one kind's counts.
pub struct Counts {
    /// Fields that may not be negative.
    pub counts: &'static [&'static str],
    /// Fields that may not be more than `replicas`.
    pub parts: &'static [&'static str],
    /// What is said when more are available than are ready.
    pub available: &'static str,
}

/// What is wrong with `status`, new or changed.
pub fn validate(new: &Value, old: &Value, rules: &Counts) -> Vec<FieldError> {
    let status = new.at("status");
    let count = |field: &str| status.int(field).unwrap_or(0);
    let mut errors = Vec::new();
    for field in rules.counts {
        errors.extend(non_negative(count(field), &format!("status.{field}")));
    }
    for field in rules.parts.iter().filter(|field| count(field) > count("replicas")) {
        let detail = "cannot be greater than status.replicas";
        errors.push(FieldError::invalid(format!("status.{field}"), count(field), detail));
    }
    if !rules.available.is_empty() && count("availableReplicas") > count("readyReplicas") {
        errors.push(FieldError::invalid("status.availableReplicas", count("availableReplicas"), rules.available));
    }
    let collisions = "status.collisionCount";
    if rules.counts.contains(&"collisionCount")
        && let Some(was) = old.int(collisions)
        && new.int(collisions).is_none_or(|now| now < was)
    {
        errors.push(FieldError::invalid(collisions, new.int(collisions).unwrap_or(0), "cannot be decremented"));
    }
    errors
}
