//! ReplicaSet: so many Pods of one template.

use serde_json::Value;

use super::status::{Counts, validate as validate_status};
use super::{template_defaults, validate_template};
use crate::apiserver::kinds::core::pod::warnings;
use crate::apiserver::kinds::json::Fill::Int;
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::metadata::{immutable, non_negative};
use crate::apiserver::kinds::{FieldError, Strategy, Subresource, lifecycle, selectors};

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
    warnings: |new, old| warnings::named_template(new, old, "spec.template"),
    subresources: &[Subresource { validate: |new, old, _| validate_status(new, old, &COUNTS), ..lifecycle::STATUS }],
    ..Strategy::WITH_STATUS_AND_GENERATION
};

/// Of ReplicaSets and, the same but for one, ReplicationControllers.
pub const COUNTS: Counts = Counts {
    counts: &[
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ],
    parts: &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
    available: "cannot be greater than readyReplicas",
};

fn validate(set: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["spec.replicas", "spec.minReadySeconds"] {
        errors.extend(non_negative(set.int(field).unwrap_or(0), field));
    }
    errors.extend(selectors::validate_workload(set.at("spec"), "ReplicaSet"));
    if selectors::is_usable(set.at("spec.selector")) {
        errors.extend(validate_template(set, "ReplicaSet"));
    }
    errors
}
