//! The `apps` group: what keeps Pods running.

pub mod controllerrevision;
pub mod daemonset;
pub mod deployment;
pub mod replicaset;
pub mod statefulset;
pub mod status;

use serde_json::{Value, json};

use super::core::pod::{self, defaults};
use super::json::{Json, at_mut};
use super::{FieldError, Strategy};

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "ControllerRevision" => &controllerrevision::STRATEGY,
        "DaemonSet" => &daemonset::STRATEGY,
        "Deployment" => &deployment::STRATEGY,
        "ReplicaSet" => &replicaset::STRATEGY,
        "StatefulSet" => &statefulset::STRATEGY,
        _ => return None,
    })
}

/// Defaults of `spec.template`.
pub fn template_defaults(object: &mut Value) {
    if let Some(spec) = at_mut(object, "spec.template.spec") {
        defaults::pod_spec(spec);
    }
}

/// What is wrong with `spec.template` of a workload whose Pods run for ever.
pub fn validate_template(object: &Value, kind: &str) -> Vec<FieldError> {
    let template = object.at("spec.template");
    let mut errors = pod::validate_template(template, "spec.template");
    let restart = template.text("spec.restartPolicy");
    if restart != "Always" {
        errors.push(FieldError::not_supported("spec.template.spec.restartPolicy", restart, &["Always"]));
    }
    if template.has("spec.activeDeadlineSeconds") {
        errors.push(FieldError::forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            format!("activeDeadlineSeconds in {kind} is not Supported"),
        ));
    }
    errors
}

/// A strategy as Go's internal struct prints it.
pub fn go_strategy(strategy: &Value, rolling: &[(&str, &str)]) -> String {
    let inner = match strategy.at("rollingUpdate") {
        Value::Null => Value::Null,
        set => rolling
            .iter()
            .map(|(go, own)| ((*go).to_string(), set.at(own).clone()))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    };
    json!({"Type": strategy.text("type"), "RollingUpdate": inner}).to_string()
}
