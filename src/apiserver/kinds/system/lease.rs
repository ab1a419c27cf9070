//! Lease: who leads, and until when.

use serde_json::Value;

use crate::apiserver::kinds::json::{Json, drop_at};
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{FieldError, Strategy};

/// Of Leases: a `PUT` creates one, and must say which version it replaces.
pub const STRATEGY: Strategy = Strategy {
    // CoordinatedLeaderElection is off: its fields are dropped.
    prepare_create: |lease, _| {
        drop_at(lease, "spec.strategy");
        drop_at(lease, "spec.preferredHolder");
    },
    prepare_update: |new, old, _| {
        for field in ["spec.strategy", "spec.preferredHolder"] {
            if !old.has(field) {
                drop_at(new, field);
            }
        }
    },
    validate: |lease, _| validate(lease),
    validate_update: |new, _, _| validate(new),
    create_on_update: true,
    unconditional_update: false,
    any_finalizer: true,
    ..Strategy::PLAIN
};

fn validate(lease: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(seconds) = lease.int("spec.leaseDurationSeconds")
        && seconds <= 0
    {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    if let Some(transitions) = lease.int("spec.leaseTransitions") {
        errors.extend(non_negative(transitions, "spec.leaseTransitions"));
    }
    let strategy = lease.text("spec.strategy");
    if lease.has("spec.strategy") && strategy != "OldestEmulationVersion" {
        let (prefix, _) = strategy.split_once('/').unwrap_or(("", ""));
        if prefix.is_empty() {
            errors.push(FieldError::not_supported("spec.strategy", strategy, &["OldestEmulationVersion"]));
        }
    }
    if !lease.text("spec.preferredHolder").is_empty() && strategy.is_empty() {
        let detail = "may only be specified if `strategy` is defined";
        errors.push(FieldError::forbidden("spec.preferredHolder", detail));
    }
    errors
}
