//! Deployment: ReplicaSets that replace each other without an outage.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/apps/{v1,validation}`.

use serde_json::Value;

use super::status::Counts;
use super::{go_strategy, template_defaults, validate_template};
use crate::apiserver::kinds::core::pod::warnings;
use crate::apiserver::kinds::json::Fill::{Int, Text};
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::metadata::{immutable, non_negative};
use crate::apiserver::kinds::{Context, ErrorType, FieldError, Strategy, Subresource, lifecycle, names, selectors};

/// Of Deployments.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_update: |new, old, context| {
        lifecycle::keep_status_and_count(new, old, context);
        if new.at("metadata.annotations") != old.at("metadata.annotations") {
            crate::api::meta::set_generation(new, crate::api::meta::generation(old) + 1);
        }
    },
    validate: |deployment, _| validate(deployment),
    validate_update: |new, old, _| {
        let mut errors = validate(new);
        errors.extend(immutable(new, old, "spec.selector"));
        errors
    },
    warnings: |new, old| warnings::named_template(new, old, "spec.template"),
    subresources: &[Subresource {
        name: "status",
        prepare: |new, old, context| {
            lifecycle::only_status(new, old, context);
            crate::apiserver::kinds::json::copy(new, old, "metadata.labels");
        },
        validate: |new, old, _| super::status::validate(new, old, &COUNTS),
    }],
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn defaults(deployment: &mut Value, _: &Context) {
    fill(
        deployment,
        &[
            ("spec.replicas", Int(1)),
            ("spec.strategy+.type", Text("RollingUpdate")),
            ("spec.revisionHistoryLimit", Int(10)),
            ("spec.progressDeadlineSeconds", Int(600)),
        ],
    );
    if deployment.text("spec.strategy.type") == "RollingUpdate" {
        fill(
            deployment,
            &[
                ("spec.strategy.rollingUpdate+.maxUnavailable", Text("25%")),
                ("spec.strategy.rollingUpdate+.maxSurge", Text("25%")),
            ],
        );
    }
    template_defaults(deployment);
}

fn validate(deployment: &Value) -> Vec<FieldError> {
    let spec = deployment.at("spec");
    let mut errors = Vec::new();
    for field in ["spec.replicas", "spec.minReadySeconds", "spec.revisionHistoryLimit"] {
        errors.extend(non_negative(deployment.int(field).unwrap_or(0), field));
    }
    errors.extend(selectors::validate_workload(spec, "Deployment"));
    errors.extend(strategy(spec.at("strategy")));
    if let Some(deadline) = spec.int("progressDeadlineSeconds") {
        errors.extend(non_negative(deadline, "spec.progressDeadlineSeconds"));
        if deadline <= spec.int("minReadySeconds").unwrap_or(0) {
            errors.push(FieldError::invalid(
                "spec.progressDeadlineSeconds",
                deadline,
                "must be greater than minReadySeconds",
            ));
        }
    }
    if selectors::is_usable(spec.at("selector")) {
        errors.extend(validate_template(deployment, "ReplicaSet"));
    }
    errors
}

fn strategy(strategy: &Value) -> Vec<FieldError> {
    let path = "spec.strategy.rollingUpdate";
    match strategy.text("type") {
        "Recreate" if strategy.has("rollingUpdate") => {
            vec![FieldError::forbidden(path, "may not be specified when strategy `type` is 'Recreate'")]
        }
        "Recreate" => Vec::new(),
        "RollingUpdate" if !strategy.has("rollingUpdate") => {
            vec![FieldError::required(path, "this should be defaulted and never be nil")]
        }
        "RollingUpdate" => rolling_update(strategy.at("rollingUpdate"), path),
        _ => vec![FieldError {
            kind: ErrorType::NotSupported,
            field: "spec.strategy".to_string(),
            value: go_strategy(strategy, &[("MaxUnavailable", "maxUnavailable"), ("MaxSurge", "maxSurge")]),
            detail: "supported values: \"Recreate\", \"RollingUpdate\"".to_string(),
        }],
    }
}

/// What is wrong with `maxUnavailable` and `maxSurge`.
pub fn rolling_update(rolling: &Value, path: &str) -> Vec<FieldError> {
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    let mut errors = int_or_percent(unavailable, &format!("{path}.maxUnavailable"));
    errors.extend(int_or_percent(surge, &format!("{path}.maxSurge")));
    if amount(unavailable) == 0 && amount(surge) == 0 {
        errors.push(FieldError::invalid(
            format!("{path}.maxUnavailable"),
            unavailable.clone(),
            "may not be 0 when `maxSurge` is 0",
        ));
    }
    errors.extend(at_most_all(unavailable, &format!("{path}.maxUnavailable")));
    errors
}

/// A number that is not negative, or a percentage.
pub fn int_or_percent(value: &Value, path: &str) -> Vec<FieldError> {
    match value {
        Value::String(text) => {
            names::percent(text).into_iter().map(|fault| FieldError::invalid(path, text.as_str(), fault)).collect()
        }
        other => non_negative(other.as_i64().unwrap_or(0), path).into_iter().collect(),
    }
}

/// `must not be greater than 100%`
pub fn at_most_all(value: &Value, path: &str) -> Option<FieldError> {
    let text = value.as_str().filter(|text| names::percent(text).is_empty())?;
    (amount(value) > 100).then(|| FieldError::invalid(path, text, "must not be greater than 100%"))
}

/// The number, or the percentage's number; what is neither counts as nothing.
pub fn amount(value: &Value) -> i64 {
    match value {
        Value::String(text) if names::percent(text).is_empty() => text.trim_end_matches('%').parse().unwrap_or(0),
        Value::String(text) => text.parse().unwrap_or(0),
        other => other.as_i64().unwrap_or(0),
    }
}

const COUNTS: Counts = Counts {
    counts: &[
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ],
    parts: &["updatedReplicas", "readyReplicas", "availableReplicas"],
    available: "cannot be greater than readyReplicas",
};
