//! ControllerRevision: a workload's template as it once was.

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::{immutable, non_negative};
use crate::apiserver::kinds::{FieldError, Strategy};

/// Of ControllerRevisions: the data never changes.
pub const STRATEGY: Strategy = Strategy {
    validate: |revision, _| {
        let mut errors: Vec<FieldError> = Vec::new();
        if !revision.has("data") {
            errors.push(FieldError::required("data", "data is mandatory"));
        } else if !revision.at("data").is_object() {
            errors.push(FieldError::required("data", "data must be a valid JSON object"));
        }
        errors.extend(non_negative(revision.int("revision").unwrap_or(0), "revision"));
        errors
    },
    validate_update: |new, old, _| {
        let mut errors: Vec<FieldError> = immutable(new, old, "data").into_iter().collect();
        errors.extend(non_negative(new.int("revision").unwrap_or(0), "revision"));
        errors
    },
    whole_again: true,
    raw: "data",
    ..Strategy::PLAIN
};
