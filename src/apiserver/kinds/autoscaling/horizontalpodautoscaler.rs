//! HorizontalPodAutoscaler: how many replicas, from what they use. Served as v1 (cpu only) and v2.

use serde_json::{Value, json};

use crate::apiserver::kinds::json::Fill::{Int, Text};
use crate::apiserver::kinds::json::{Json, fill, put};
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{Context, FieldError, Strategy, names};

/// Of HorizontalPodAutoscalers.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |autoscaler, _| validate(autoscaler),
    validate_update: |new, _, _| validate(new),
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn defaults(autoscaler: &mut Value, context: &Context) {
    fill(autoscaler, &[("spec.minReplicas", Int(1))]);
    if context.version == "v1" {
        fill(autoscaler, &[("spec.targetCPUUtilizationPercentage", Int(80))]);
        return;
    }
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
            ("spec.behavior.scaleUp+.selectPolicy", Text("Max")),
            ("spec.behavior.scaleDown+.selectPolicy", Text("Max")),
        ],
    );
    if autoscaler.items("spec.behavior.scaleUp.policies").is_empty() {
        let policies = json!([
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]);
        put(autoscaler, "spec.behavior.scaleUp.policies", policies);
    }
    if autoscaler.items("spec.behavior.scaleDown.policies").is_empty() {
        let policies = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
        put(autoscaler, "spec.behavior.scaleDown.policies", policies);
    }
}

const METRICS: &[(&str, &str)] = &[
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn validate(autoscaler: &Value) -> Vec<FieldError> {
    let spec = autoscaler.at("spec");
    let mut errors = target_reference(spec.at("scaleTargetRef"));
    let min = spec.int("minReplicas").unwrap_or(1);
    let max = spec.int("maxReplicas").unwrap_or(0);
    errors.extend(non_negative(min, "spec.minReplicas"));
    if max < 1 {
        if max == 0 {
            errors.push(FieldError::required("spec.maxReplicas", ""));
        } else {
            errors.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than 0"));
        }
    }
    if max < min {
        errors.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than or equal to `minReplicas`"));
    }
    let metrics = spec.items("metrics");
    for (index, metric) in metrics.iter().enumerate() {
        errors.extend(validate_metric(metric, &format!("spec.metrics[{index}]")));
    }
    let counted = metrics.iter().any(|metric| matches!(metric.text("type"), "Object" | "External"));
    if min == 0 && !counted {
        errors.push(FieldError::forbidden(
            "spec.metrics",
            "must specify at least one Object or External metric to support scaling to zero replicas",
        ));
    }
    errors
}

fn target_reference(reference: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["kind", "name"] {
        let text = reference.text(field);
        let path = format!("spec.scaleTargetRef.{field}");
        if text.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else {
            let faults = names::path_segment(text, false);
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(path.clone(), text, fault)));
        }
    }
    let version = reference.text("apiVersion");
    if version.is_empty() {
        errors.push(FieldError::invalid("spec.scaleTargetRef.apiVersion", "", "apiVersion must specify API group"));
    }
    errors
}

fn validate_metric(metric: &Value, path: &str) -> Vec<FieldError> {
    let kind = metric.text("type");
    if kind.is_empty() {
        return vec![FieldError::required(format!("{path}.type"), "must specify a metric source type")];
    }
    let Some((_, field)) = METRICS.iter().find(|(name, _)| *name == kind) else {
        let known: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
        return vec![FieldError::not_supported(format!("{path}.type"), kind, &known)];
    };
    let source = metric.at(field);
    if source.is_null() {
        return vec![FieldError::required(
            format!("{path}.{field}"),
            "must populate information for the given metric source",
        )];
    }
    let mut errors = Vec::new();
    if matches!(kind, "Resource" | "ContainerResource") && source.text("name").is_empty() {
        errors.push(FieldError::required(format!("{path}.{field}.name"), "must specify a resource name"));
    }
    let target = source.at("target");
    let at = format!("{path}.{field}.target");
    match target.int("averageUtilization") {
        Some(percent) if percent < 1 => {
            errors.push(FieldError::invalid(format!("{at}.averageUtilization"), percent, "must be greater than 0"));
        }
        None if matches!(kind, "Resource" | "ContainerResource") && !target.has("averageValue") => {
            errors.push(FieldError::required(
                format!("{at}.averageUtilization"),
                "must set either a target raw value or a target utilization",
            ));
        }
        _ => {}
    }
    errors
}
