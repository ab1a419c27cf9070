//! HorizontalPodAutoscaler: how many replicas, from what they use. Served as v1 (cpu only) and v2.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{metrics, versions};
use crate::apiserver::kinds::core::pod::spec::supported;
use crate::apiserver::kinds::core::resources::quantity;
use crate::apiserver::kinds::json::Fill::{Choice, Int};
use crate::apiserver::kinds::json::{Json, fill, put};
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource, check, lifecycle, names};

/// Of HorizontalPodAutoscalers.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_create: |new, context| {
        in_v2(new, &Value::Null, context, |new, _, context| lifecycle::first_generation(new, context));
    },
    prepare_update: |new, old, context| in_v2(new, old, context, lifecycle::keep_status_and_count),
    validate: |autoscaler, context| validate(&as_v2(autoscaler, context)),
    validate_update: |new, _, context| validate(&as_v2(new, context)),
    subresources: &[Subresource {
        prepare: |new, old, context| in_v2(new, old, context, lifecycle::only_status),
        validate: |new, _, _| {
            let fields = ["currentReplicas", "desiredReplicas"].map(|field| format!("status.{field}"));
            fields.iter().filter_map(|path| non_negative(new.int(path).unwrap_or(0), path)).collect()
        },
        ..lifecycle::STATUS
    }],
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn defaults(autoscaler: &mut Value, context: &Context) {
    fill(autoscaler, &[("spec.minReplicas", Int(1))]);
    if context.version == "v1" {
        // What v1 has no field for has defaults too.
        versions::to_v2(autoscaler);
        v2_defaults(autoscaler);
        versions::to_v1(autoscaler);
    } else {
        versions::drop_travelling(autoscaler);
        v2_defaults(autoscaler);
    }
}

/// Prepares an update with the fields of v2: annotations of v1 stand for fields of `spec` and of `status`, which are
/// not written by the same requests.
fn in_v2(new: &mut Value, old: &Value, context: &Context, prepare: fn(&mut Value, &Value, &Context)) {
    if context.version != "v1" {
        return prepare(new, old, context);
    }
    let mut old = old.clone();
    versions::to_v2(&mut old);
    versions::to_v2(new);
    prepare(new, &old, context);
    versions::to_v1(new);
}

/// An object of either version, with the fields of v2.
fn as_v2<'a>(autoscaler: &'a Value, context: &Context) -> Cow<'a, Value> {
    if context.version != "v1" {
        return Cow::Borrowed(autoscaler);
    }
    let mut autoscaler = autoscaler.clone();
    versions::to_v2(&mut autoscaler);
    Cow::Owned(autoscaler)
}

fn v2_defaults(autoscaler: &mut Value) {
    if autoscaler.items("spec.metrics").is_empty() {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        put(autoscaler, "spec.metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
    if !autoscaler.has("spec.behavior") {
        return;
    }
    fill(
        autoscaler,
        &[
            ("spec.behavior.scaleUp+.stabilizationWindowSeconds", Int(0)),
            ("spec.behavior.scaleUp+.selectPolicy", Choice("Max")),
            ("spec.behavior.scaleDown+.selectPolicy", Choice("Max")),
        ],
    );
    // Who sends an empty list wants none, and is told that there must be one.
    if !autoscaler.has("spec.behavior.scaleUp.policies") {
        let policies = json!([
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]);
        put(autoscaler, "spec.behavior.scaleUp.policies", policies);
    }
    if !autoscaler.has("spec.behavior.scaleDown.policies") {
        let policies = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
        put(autoscaler, "spec.behavior.scaleDown.policies", policies);
    }
}

fn validate(autoscaler: &Value) -> Vec<FieldError> {
    let spec = autoscaler.at("spec");
    let mut errors = reference(
        spec.at("scaleTargetRef"),
        "spec.scaleTargetRef",
        spec.text("scaleTargetRef.kind") == "ReplicationController",
    );
    let min = spec.int("minReplicas").unwrap_or(1);
    let max = spec.int("maxReplicas").unwrap_or(0);
    errors.extend(non_negative(min, "spec.minReplicas"));
    if max < min {
        errors.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than or equal to `minReplicas`"));
    }
    // What the type itself declares is told last.
    if max == 0 {
        errors.push(FieldError::required("spec.maxReplicas", ""));
    } else if max < 0 {
        errors.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than or equal to 1"));
    }
    let metrics = spec.items("metrics");
    for (index, metric) in metrics.iter().enumerate() {
        errors.extend(metrics::validate(metric, &format!("spec.metrics[{index}]")));
    }
    let counted = metrics.iter().any(|metric| matches!(metric.text("type"), "Object" | "External"));
    if min == 0 && !counted {
        errors.push(FieldError::forbidden(
            "spec.metrics",
            "must specify at least one Object or External metric to support scaling to zero replicas",
        ));
    }
    for which in ["scaleUp", "scaleDown"] {
        errors.extend(scaling_rules(spec.at("behavior").at(which), &format!("spec.behavior.{which}")));
    }
    errors
}

/// What is wrong with a reference to an object of another version.
pub fn reference(reference: &Value, path: &str, of_core: bool) -> Vec<FieldError> {
    let mut errors = check::required(reference, &["kind", "name"], path);
    for field in ["kind", "name"] {
        let text = reference.text(field);
        errors.extend(check::faults(format!("{path}.{field}"), text, names::path_segment(text, false)));
    }
    let version = reference.text("apiVersion");
    let at = format!("{path}.apiVersion");
    match version.matches('/').count() {
        1 => {
            if version.starts_with('/') && !of_core {
                errors.push(FieldError::invalid(at, version, "apiVersion must specify API group"));
            }
        }
        0 if of_core => {}
        0 => errors.push(FieldError::invalid(at, version, "apiVersion must specify API group")),
        _ => {
            let detail = format!("unexpected GroupVersion string: {version}");
            errors.push(FieldError::invalid(at, version, detail));
        }
    }
    errors
}

fn scaling_rules(rules: &Value, path: &str) -> Vec<FieldError> {
    if rules.is_null() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    let window = rules.int("stabilizationWindowSeconds").unwrap_or(0);
    let at = format!("{path}.stabilizationWindowSeconds");
    if window < 0 {
        errors.push(FieldError::invalid(at, window, "must be greater than or equal to zero"));
    } else if window > 3600 {
        errors.push(FieldError::invalid(at, window, "must be less than or equal to 3600"));
    }
    errors.extend(supported(rules, "selectPolicy", path, &["Disabled", "Max", "Min"]));
    let policies = rules.items("policies");
    if policies.is_empty() {
        errors.push(FieldError::required(format!("{path}.policies"), "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = format!("{path}.policies[{index}]");
        let kind = policy.text("type");
        if !["Percent", "Pods"].contains(&kind) {
            errors.push(FieldError::not_supported(format!("{path}.type"), kind, &["Percent", "Pods"]));
        }
        for field in ["value", "periodSeconds"] {
            let number = policy.int(field).unwrap_or(0);
            let at = format!("{path}.{field}");
            if number <= 0 {
                errors.push(FieldError::invalid(at, number, "must be greater than zero"));
            } else if field == "periodSeconds" && number > 1800 {
                errors.push(FieldError::invalid(at, number, "must be less than or equal to 1800"));
            }
        }
    }
    let tolerance = quantity(rules.at("tolerance")).filter(|tolerance| tolerance.signum() < 0);
    errors.extend(tolerance.map(|tolerance| {
        let detail = "must be greater than or equal to 0";
        FieldError::invalid(format!("{path}.tolerance"), tolerance.to_string(), detail)
    }));
    errors
}
