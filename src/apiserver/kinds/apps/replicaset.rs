//! ReplicaSet: so many Pods of one template.

use serde_json::Value;

use super::{template_defaults, validate_template};
use crate::apiserver::kinds::core::pod::warnings;
use crate::apiserver::kinds::json::Fill::Int;
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::metadata::{immutable, non_negative};
use crate::apiserver::kinds::{FieldError, Strategy, selectors};

/// Of ReplicaSets.
pub const STRATEGY: Strategy = Strategy {
    defaults: |set, _| {
        fill(set, &[("spec.replicas", Int(1))]);
        template_defaults(set);
    },
    validate: |set, _| validate(set),
    validate_update: |new, old, _| {
        let mut errors = validate(new);
        errors.extend(immutable(new, old, "spec.selector"));
        errors
    },
    warnings: |new, old| warnings::template(new, old, "spec.template"),
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn validate(set: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["spec.replicas", "spec.minReadySeconds"] {
        errors.extend(non_negative(set.int(field).unwrap_or(0), field));
    }
    errors.extend(selectors::validate_workload(set.at("spec"), "ReplicaSet"));
    errors.extend(validate_template(set, "ReplicaSet"));
    errors
}
