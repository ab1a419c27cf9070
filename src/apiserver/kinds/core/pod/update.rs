//! What may change in a Pod: a handful of fields, each subresource a few more.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidatePodUpdate` and its neighbours.

use serde_json::Value;

use super::{containers, spec};
use crate::api::go_values::{Part, difference};
use crate::apiserver::kinds::json::{Json, copy, items_mut, put};
use crate::apiserver::kinds::{Context, FieldError, check};

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with an update of a Pod.
pub fn validate_pod(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = spec::validate_pod(new);
    errors.extend(annotation_changes(new, old));
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        if new.items(&path).len() != old.items(&path).len() {
            errors.push(FieldError::forbidden(path.clone(), "pod updates may not add or remove containers"));
            return errors;
        }
        for (index, container) in new.items(&path).iter().enumerate() {
            let at = format!("{path}[{index}]");
            errors.extend(check::required(container, &["image"], &at));
            errors.extend(containers::padded_image(container, &at));
        }
    }
    errors.extend(deadline(new, old));
    errors.extend(only_added(new, old));
    errors.extend(super::scheduling::tolerations(new.items("spec.tolerations"), "spec.tolerations"));
    errors.extend(gates(new, old));
    let mut allowed = new.clone();
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        let images: Vec<Value> = old.items(&path).iter().map(|container| container.at("image").clone()).collect();
        if let Some(spec) = allowed.get_mut("spec") {
            for (container, image) in items_mut(spec, list).zip(images) {
                put(container, "image", image);
            }
        }
    }
    for path in ["spec.activeDeadlineSeconds", "spec.tolerations", "spec.schedulingGates"] {
        copy(&mut allowed, old, path);
    }
    if new.int("spec.terminationGracePeriodSeconds") == Some(1)
        && old.int("spec.terminationGracePeriodSeconds").is_some_and(|was| was < 0)
    {
        copy(&mut allowed, old, "spec.terminationGracePeriodSeconds");
    }
    if !old.items("spec.schedulingGates").is_empty() {
        errors.extend(super::gated::changes(&mut allowed, old));
    }
    if allowed.at("spec") != old.at("spec") {
        let change = difference("io.k8s.api.core.v1.PodSpec", &Part::Whole, old.at("spec"), allowed.at("spec"));
        errors.push(FieldError::forbidden("spec", format!("{IMMUTABLE}\n{change}")));
    }
    errors
}

/// Annotations that may not come, go or change.
pub fn annotation_changes(new: &Value, old: &Value) -> Vec<FieldError> {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
    let (now, was) = (new.at("metadata.annotations"), old.at("metadata.annotations"));
    let mut errors = Vec::new();
    let mut judge = |key: &str, what: &str| {
        let path = format!("metadata.annotations[{key}]");
        if key.starts_with(APP_ARMOR) {
            errors.push(FieldError::forbidden(path.as_str(), format!("may not {what} AppArmor annotations")));
        }
        if key == MIRROR {
            errors.push(FieldError::forbidden(path, format!("may not {what} mirror pod annotation")));
        }
    };
    for (key, _) in was.as_object().into_iter().flatten().filter(|(key, value)| now.get(key) != Some(value)) {
        judge(key, "remove or update");
    }
    for (key, _) in now.as_object().into_iter().flatten().filter(|(key, _)| was.get(key).is_none()) {
        judge(key, "add");
    }
    errors
}

fn deadline(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = "spec.activeDeadlineSeconds";
    match (new.int(path), old.int(path)) {
        (Some(now), _) if !(0..=2_147_483_647).contains(&now) => {
            vec![FieldError::invalid(path, now, "must be between 0 and 2147483647, inclusive")]
        }
        (Some(now), Some(was)) if now > was => {
            vec![FieldError::invalid(path, now, "must be less than or equal to previous value")]
        }
        (None, Some(_)) => {
            vec![FieldError::invalid(path, Value::Null, "must not update from a positive integer to nil value")]
        }
        _ => Vec::new(),
    }
}

fn only_added(new: &Value, old: &Value) -> Option<FieldError> {
    let (now, was) = (new.items("spec.tolerations"), old.items("spec.tolerations"));
    let kept = was.iter().all(|toleration| {
        now.iter().any(|other| {
            ["key", "operator", "value", "effect"].iter().all(|field| other.text(field) == toleration.text(field))
        })
    });
    (!kept).then(|| {
        FieldError::forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        )
    })
}

fn gates(new: &Value, old: &Value) -> Vec<FieldError> {
    let was = old.items("spec.schedulingGates");
    let now = new.items("spec.schedulingGates").iter().enumerate();
    now.filter(|(_, gate)| !was.contains(gate))
        .map(|(index, gate)| {
            FieldError::forbidden(
                format!("spec.schedulingGates[{index}].name"),
                format!("only deletion is allowed, but found new scheduling gate '{}'", gate.text("name")),
            )
        })
        .collect()
}

/// The `ephemeralcontainers` subresource only adds.
pub fn ephemeral_containers(new: &Value, old: &Value, _: &Context) -> Vec<FieldError> {
    let path = "spec.ephemeralContainers";
    if old.at("metadata.annotations").get("kubernetes.io/config.mirror").is_some() {
        return vec![FieldError::forbidden("", "static pods do not support ephemeral containers")];
    }
    let mut errors: Vec<FieldError> = spec::validate(new.at("spec"), "spec", Some(new.at("metadata")))
        .into_iter()
        .filter(|error| error.field.starts_with(path))
        .collect();
    for was in old.items(path) {
        match new.items(path).iter().find(|now| now.text("name") == was.text("name")) {
            None => {
                errors.push(FieldError::forbidden(
                    path,
                    format!("existing ephemeral containers {:?} may not be removed\n", was.text("name")),
                ));
            }
            Some(now) if now != was => {
                let change = difference("io.k8s.api.core.v1.EphemeralContainer", &Part::Whole, was, now);
                errors.push(FieldError::forbidden(
                    path,
                    format!("existing ephemeral containers {:?} may not be changed\n{change}", was.text("name")),
                ));
            }
            Some(_) => {}
        }
    }
    errors
}
