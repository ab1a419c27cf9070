//! Lease: who leads, and until when.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{FieldError, Strategy};

/// Of Leases: a `PUT` creates one, and must say which version it replaces.
pub const STRATEGY: Strategy = Strategy {
    validate: |lease, _| validate(lease),
    validate_update: |new, _, _| validate(new),
    create_on_update: true,
    unconditional_update: false,
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
    errors
}
