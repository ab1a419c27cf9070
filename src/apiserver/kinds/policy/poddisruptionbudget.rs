//! PodDisruptionBudget: how many Pods may be taken away at once, on purpose.

use serde_json::Value;

use crate::apiserver::kinds::apps::deployment::{at_most_all, int_or_percent};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, Strategy, Subresource, check, conditions, lifecycle, metadata, selectors};

/// Of PodDisruptionBudgets.
pub const STRATEGY: Strategy = Strategy {
    validate: |budget, _| validate(budget),
    validate_update: |new, _, _| validate(new),
    subresources: &[Subresource {
        validate: |new, _, _| {
            let fields = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
            let counts = fields.into_iter().map(|field| format!("status.{field}"));
            let mut errors = conditions::validate(new, "status.conditions");
            errors.extend(counts.filter_map(|path| metadata::non_negative(new.int(&path).unwrap_or(0), &path)));
            errors
        },
        ..lifecycle::STATUS
    }],
    unconditional_update: false,
    metadata_last: |_| true,
    any_finalizer: true,
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn validate(budget: &Value) -> Vec<FieldError> {
    let spec = budget.at("spec");
    let mut errors = Vec::new();
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        let fields = ["MinAvailable", "Selector", "MaxUnavailable", "UnhealthyPodEvictionPolicy"];
        let shown = check::go_struct(spec, &fields);
        errors.push(FieldError::invalid_raw("spec", shown, "minAvailable and maxUnavailable cannot be both set"));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        if spec.has(field) {
            let path = format!("spec.{field}");
            errors.extend(int_or_percent(spec.at(field), &path));
            errors.extend(at_most_all(spec.at(field), &path));
        }
    }
    if spec.has("selector") {
        errors.extend(selectors::validate(spec.at("selector"), "spec.selector"));
    }
    let policy = spec.text("unhealthyPodEvictionPolicy");
    if spec.has("unhealthyPodEvictionPolicy") && !["AlwaysAllow", "IfHealthyBudget"].contains(&policy) {
        errors.push(FieldError::not_supported(
            "spec.unhealthyPodEvictionPolicy",
            policy,
            &["AlwaysAllow", "IfHealthyBudget"],
        ));
    }
    errors
}
