//! Validation of label selectors, and whether one selects a template's labels.
//!
//! Source: `k8s.io/apimachinery/pkg/apis/meta/v1/validation`.

use serde_json::Value;

use super::FieldError;
use super::json::Json;
use super::{metadata, names};

/// What is wrong with a `LabelSelector` at `path`.
pub fn validate(selector: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = metadata::labels(selector.at("matchLabels"), &format!("{path}.matchLabels"));
    for (index, requirement) in selector.items("matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        match requirement.text("operator") {
            "In" | "NotIn" => {
                if requirement.items("values").is_empty() {
                    errors.push(FieldError::required(
                        format!("{path}.values"),
                        "must be specified when `operator` is 'In' or 'NotIn'",
                    ));
                }
            }
            "Exists" | "DoesNotExist" => {
                if !requirement.items("values").is_empty() {
                    errors.push(FieldError::forbidden(
                        format!("{path}.values"),
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    ));
                }
            }
            other => {
                errors.push(FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator"));
            }
        }
        let key = requirement.text("key");
        for fault in names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, fault));
        }
        for (at, value) in requirement.items("values").iter().enumerate() {
            let text = value.as_str().unwrap_or("");
            for fault in names::label_value(text) {
                errors.push(FieldError::invalid(format!("{path}.values[{at}]"), text, fault));
            }
        }
    }
    errors
}

/// Whether the selector can be used at all.
pub fn is_usable(selector: &Value) -> bool {
    validate(selector, "").is_empty()
}

/// Whether it has no requirement.
pub fn is_empty(selector: &Value) -> bool {
    selector.entries("matchLabels").is_empty() && selector.items("matchExpressions").is_empty()
}

/// Whether it selects these labels (`metadata.labels`, may be null).
pub fn matches(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let exact = selector.entries("matchLabels").iter().all(|(key, value)| label(key) == value.as_str());
    exact
        && selector.items("matchExpressions").iter().all(|requirement| {
            let own = label(requirement.text("key"));
            let listed = || requirement.items("values").iter().any(|value| value.as_str() == own);
            match requirement.text("operator") {
                "In" => own.is_some() && listed(),
                "NotIn" => own.is_none() || !listed(),
                "Exists" => own.is_some(),
                "DoesNotExist" => own.is_none(),
                _ => false,
            }
        })
}

/// `spec.selector` and `spec.template` of a workload: the selector is good, not empty, and
/// selects the template.
pub fn validate_workload(spec: &Value, kind: &str) -> Vec<FieldError> {
    let selector = spec.at("selector");
    if selector.is_null() {
        // No selector selects nothing, so the template never fits; a DaemonSet says only that.
        let required = (kind != "DaemonSet").then(|| FieldError::required("spec.selector", ""));
        return required.into_iter().chain([unfit(spec)]).collect();
    }
    let mut errors = validate(selector, "spec.selector");
    if is_empty(selector) {
        let what = match kind {
            "Deployment" | "ReplicaSet" => kind.to_lowercase().replace("replicaset", "deployment"),
            "StatefulSet" => "statefulset".to_string(),
            other => other.to_lowercase(),
        };
        errors.push(FieldError::invalid(
            "spec.selector",
            selector.clone(),
            format!("empty selector is invalid for {what}"),
        ));
    }
    if !is_usable(selector) {
        let detail = if kind == "StatefulSet" { "" } else { "invalid label selector" };
        // A DaemonSet has no words for it.
        errors.extend((kind != "DaemonSet").then(|| FieldError::invalid("spec.selector", selector.clone(), detail)));
        return errors;
    }
    if !is_empty(selector) && !matches(selector, spec.at("template.metadata.labels")) {
        errors.push(unfit(spec));
    }
    errors
}

fn unfit(spec: &Value) -> FieldError {
    let labels = spec.at("template.metadata.labels").clone();
    FieldError::invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
}
