//! DaemonSet: one Pod on every Node that fits.

use serde_json::Value;

use super::deployment::{amount, at_most_all, int_or_percent};
use super::status::Counts;
use super::{go_strategy, template_defaults, validate_template};
use crate::api::meta;
use crate::apiserver::kinds::core::pod::warnings;
use crate::apiserver::kinds::json::Fill::{Int, Text};
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::metadata::{immutable, non_negative};
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource, lifecycle, selectors};

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Of DaemonSets.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_create: |set, context| {
        lifecycle::first_generation(set, context);
        meta::set_annotation(set, TEMPLATE_GENERATION, "1");
    },
    prepare_update: |new, old, context| {
        lifecycle::keep_status_and_count(new, old, context);
        let was: i64 = meta::annotation(old, TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or(1);
        let changed = new.at("spec.template") != old.at("spec.template");
        meta::set_annotation(new, TEMPLATE_GENERATION, &(was + i64::from(changed)).to_string());
    },
    validate: |set, _| validate(set),
    validate_update: |new, old, _| {
        let mut errors: Vec<FieldError> = immutable(new, old, "spec.selector").into_iter().collect();
        errors.extend(validate(new));
        errors
    },
    warnings: |new, old| warnings::template(new, old, "spec.template"),
    subresources: &[Subresource {
        validate: |new, old, _| super::status::validate(new, old, &COUNTS),
        ..lifecycle::STATUS
    }],
    ..Strategy::WITH_STATUS_AND_GENERATION
};

const COUNTS: Counts = Counts {
    counts: &[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ],
    parts: &[],
    available: "",
};

fn defaults(set: &mut Value, _: &Context) {
    // Where Kubernetes keeps the number in the spec, every form of the object has it as an annotation.
    if meta::annotation(set, TEMPLATE_GENERATION).is_none() {
        meta::set_annotation(set, TEMPLATE_GENERATION, "0");
    }
    fill(set, &[("spec.updateStrategy+.type", Text("RollingUpdate")), ("spec.revisionHistoryLimit", Int(10))]);
    if set.text("spec.updateStrategy.type") == "RollingUpdate" {
        fill(
            set,
            &[
                ("spec.updateStrategy.rollingUpdate+.maxUnavailable", Int(1)),
                ("spec.updateStrategy.rollingUpdate+.maxSurge", Int(0)),
            ],
        );
    }
    // The type inside has numbers, and no way to say that there is none.
    fill(
        set,
        &[
            ("spec.updateStrategy.rollingUpdate.maxUnavailable", Int(0)),
            ("spec.updateStrategy.rollingUpdate.maxSurge", Int(0)),
        ],
    );
    template_defaults(set);
}

fn validate(set: &Value) -> Vec<FieldError> {
    let spec = set.at("spec");
    let mut errors = selectors::validate_workload(spec, "DaemonSet");
    errors.extend(validate_template(set, "DaemonSet"));
    for field in ["spec.minReadySeconds", "spec.revisionHistoryLimit"] {
        errors.extend(non_negative(set.int(field).unwrap_or(0), field));
    }
    let strategy = spec.at("updateStrategy");
    match strategy.text("type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = strategy.at("rollingUpdate");
            let path = "spec.updateStrategy.rollingUpdate";
            for field in ["maxUnavailable", "maxSurge"] {
                errors.extend(int_or_percent(rolling.at(field), &format!("{path}.{field}")));
                errors.extend(at_most_all(rolling.at(field), &format!("{path}.{field}")));
            }
            let zero = |value: &Value| amount(value) == 0;
            match (zero(rolling.at("maxUnavailable")), zero(rolling.at("maxSurge"))) {
                (true, true) => errors
                    .push(FieldError::required(format!("{path}.maxUnavailable"), "cannot be 0 when maxSurge is 0")),
                (false, false) => errors.push(FieldError::invalid(
                    format!("{path}.maxSurge"),
                    rolling.at("maxSurge").clone(),
                    "may not be set when maxUnavailable is non-zero",
                )),
                _ => {}
            }
        }
        _ => {
            let shown = go_strategy(strategy, &[("MaxUnavailable", "maxUnavailable"), ("MaxSurge", "maxSurge")]);
            errors.push(FieldError {
                kind: crate::apiserver::kinds::ErrorType::NotSupported,
                field: "spec.updateStrategy".to_string(),
                value: shown,
                detail: "supported values: \"RollingUpdate\", \"OnDelete\"".to_string(),
            });
        }
    }
    errors
}
