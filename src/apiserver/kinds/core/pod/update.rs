//! What may change in a Pod: a handful of fields, each subresource a few more.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidatePodUpdate` and its neighbours.

use serde_json::Value;

use super::spec;
use crate::apiserver::kinds::core::resources;
use crate::apiserver::kinds::json::{Json, copy, items_mut, put};
use crate::apiserver::kinds::{Context, FieldError};

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with an update of a Pod.
pub fn validate_pod(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        let (now, was) = (new.items(&path).len(), old.items(&path).len());
        if now != was {
            errors.push(FieldError::forbidden(path.clone(), "pod updates may not add or remove containers"));
            return errors;
        }
        for (index, container) in new.items(&path).iter().enumerate() {
            if container.text("image").is_empty() {
                errors.push(FieldError::required(format!("{path}[{index}].image"), ""));
            }
        }
    }
    errors.extend(deadline(new, old));
    errors.extend(super::scheduling::tolerations(new.items("spec.tolerations"), "spec.tolerations"));
    errors.extend(only_added(new, old));
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
        copy(&mut allowed, old, "spec.nodeSelector");
        copy(&mut allowed, old, "spec.affinity.nodeAffinity");
    }
    if allowed.at("spec") != old.at("spec") {
        errors.push(FieldError::forbidden("spec", format!("{IMMUTABLE}\n")));
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
    let added: Vec<&str> = new
        .items("spec.schedulingGates")
        .iter()
        .filter(|gate| !was.contains(gate))
        .map(|gate| gate.text("name"))
        .collect();
    if added.is_empty() {
        return Vec::new();
    }
    let detail = format!("only deletion is allowed, but found new scheduling gates '{}'", added.join(", "));
    vec![FieldError::forbidden("spec.schedulingGates", detail)]
}

/// The `ephemeralcontainers` subresource only adds.
pub fn ephemeral_containers(new: &Value, old: &Value, _: &Context) -> Vec<FieldError> {
    let path = "spec.ephemeralContainers";
    let mut errors: Vec<FieldError> =
        spec::validate(new.at("spec"), "spec").into_iter().filter(|error| error.field.starts_with(path)).collect();
    for was in old.items(path) {
        match new.items(path).iter().find(|now| now.text("name") == was.text("name")) {
            None => {
                errors.push(FieldError::forbidden(
                    path,
                    format!("existing ephemeral containers {:?} may not be removed\n", was.text("name")),
                ));
            }
            Some(now) if now != was => {
                errors.push(FieldError::forbidden(
                    path,
                    format!("existing ephemeral containers {:?} may not be changed\n", was.text("name")),
                ));
            }
            Some(_) => {}
        }
    }
    errors
}

/// The `resize` subresource changes cpu and memory, never the QoS class.
pub fn resize(new: &Value, old: &Value, _: &Context) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if super::qos_class(new.at("spec")) != super::qos_class(old.at("spec")) {
        errors.push(FieldError::invalid(
            "spec",
            super::qos_class(new.at("spec")),
            "Pod QOS Class may not change as a result of resizing",
        ));
    }
    for (index, container) in new.items("spec.containers").iter().enumerate() {
        let path = format!("spec.containers[{index}].resources");
        errors.extend(resources::requirements(container.at("resources"), &path));
    }
    let other = |object: &Value| {
        let mut object = object.clone();
        if let Some(spec) = object.get_mut("spec") {
            for list in ["containers", "initContainers"] {
                for container in items_mut(spec, list) {
                    put(container, "resources", Value::Null);
                    put(container, "resizePolicy", Value::Null);
                }
            }
            put(spec, "resources", Value::Null);
        }
        object.at("spec").clone()
    };
    if other(new) != other(old) {
        errors.push(FieldError::forbidden("spec", "only cpu and memory resources are mutable"));
    }
    errors
}
