//! The `resize` subresource: cpu and memory of a Pod's containers change while they run, and nothing else does.
//!
//! Source: `pkg/registry/core/pod/strategy.go` (`dropNonResizeUpdates`), `pkg/apis/core/validation`
//! (`ValidatePodResize`).

use serde_json::Value;

use super::{qos_class, spec, whole};
use crate::apiserver::kinds::json::{Json, copy, items_mut, put};
use crate::apiserver::kinds::{Context, FieldError, lifecycle};

const LISTS: [&str; 2] = ["containers", "initContainers"];
const ONLY: &str = "only cpu and memory resources are mutable";

/// Only resources, resize policies and volumes come from the request. Containers that came, went or moved are
/// left for validation to refuse.
pub fn prepare(new: &mut Value, old: &Value, context: &Context) {
    let wanted = new.clone();
    let same_number = |list: &str| {
        let path = format!("spec.{list}");
        wanted.items(&path).len() == old.items(&path).len()
    };
    if LISTS.iter().all(|list| same_number(list)) {
        lifecycle::only_status(new, old, context);
        lifecycle::keep_metadata(new, old);
        copy(new, old, "status");
        for list in LISTS {
            containers(new, &wanted, old, list);
        }
        copy(new, &wanted, "spec.volumes");
        if wanted.has("spec.resources") {
            copy(new, &wanted, "spec.resources");
        }
        if let Some(spec) = new.get_mut("spec") {
            whole::fill_in(spec);
        }
    }
    lifecycle::count(new, old);
}

fn containers(new: &mut Value, wanted: &Value, old: &Value, list: &str) {
    let path = format!("spec.{list}");
    let (asked, known) = (wanted.items(&path), old.items(&path));
    if asked.iter().zip(known).any(|(one, other)| one.text("name") != other.text("name")) {
        copy(new, wanted, &path);
        return;
    }
    let Some(spec) = new.get_mut("spec") else { return };
    for (container, asked) in items_mut(spec, list).zip(asked) {
        copy(container, asked, "resources");
        copy(container, asked, "resizePolicy");
    }
}

/// What is wrong with a resize.
pub fn validate(new: &Value, old: &Value, _: &Context) -> Vec<FieldError> {
    if old.at("metadata.annotations").get("kubernetes.io/config.mirror").is_some() {
        return vec![FieldError::forbidden("", "static pods cannot be resized")];
    }
    if old.text("spec.os.name") == "windows" {
        return vec![FieldError::forbidden("", "windows pods cannot be resized")];
    }
    let mut errors = spec::validate_pod(new);
    if qos_class(new.at("spec")) != qos_class(old.at("spec")) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid("spec", new.at("status.qosClass").clone(), detail));
    }
    let running = old.items("status.containerStatuses").iter().find(|status| status.has("state.running"));
    if running.is_some_and(|status| !status.has("resources")) {
        errors.push(FieldError::forbidden("spec", "Pod running on node without support for resize"));
    }
    if old.has("spec.resources") && !new.has("spec.resources") {
        errors.push(FieldError::forbidden("spec.resources", "pod-level resources cannot be removed"));
    }
    let moved = order(new, old);
    if !moved.is_empty() {
        errors.extend(moved);
        return errors;
    }
    for list in ["initContainers", "containers"] {
        errors.extend(removals(new, old, list));
    }
    errors.extend(others(new, old));
    errors.extend(volumes(new, old));
    if errors.is_empty() && rest(new) != rest(old) {
        errors.push(FieldError::forbidden("spec", ONLY));
    }
    errors
}

fn order(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for list in LISTS {
        let path = format!("spec.{list}");
        let (now, was) = (new.items(&path), old.items(&path));
        if now.len() != was.len() {
            errors.push(FieldError::forbidden(path, format!("{list} may not be added or removed on resize")));
            continue;
        }
        for index in (0..was.len()).filter(|index| now[*index].text("name") != was[*index].text("name")) {
            let detail = format!("{list} may not be renamed or reordered on resize");
            errors.push(FieldError::forbidden(format!("{path}[{index}].name"), detail));
        }
    }
    errors
}

/// Requests and limits may change, and not go.
fn removals(new: &Value, old: &Value, list: &str) -> Vec<FieldError> {
    let path = format!("spec.{list}");
    let mut errors = Vec::new();
    for (index, (now, was)) in new.items(&path).iter().zip(old.items(&path)).enumerate() {
        for part in ["requests", "limits"] {
            let kept = now.at("resources").at(part);
            let gone = was.at("resources").entries(part).iter().any(|(name, _)| kept.get(*name).is_none());
            if gone {
                let at = format!("{path}[{index}].resources.{part}");
                errors.push(FieldError::forbidden(at, format!("resource {part} cannot be removed")));
            }
        }
    }
    errors
}

/// A container without what a resize may change.
fn fixed(container: &Value) -> Value {
    let mut resources = container.at("resources").as_object().cloned().unwrap_or_default();
    for part in ["requests", "limits"] {
        if let Some(Value::Object(amounts)) = resources.get_mut(part) {
            amounts.retain(|name, _| !matches!(name.as_str(), "cpu" | "memory"));
        }
    }
    resources.retain(|_, part| part.as_object().is_none_or(|amounts| !amounts.is_empty()));
    let mut container = container.clone();
    put(&mut container, "resources", Value::Object(resources));
    container
}

fn others(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (now, was) in new.items("spec.containers").iter().zip(old.items("spec.containers")) {
        if fixed(now) != fixed(was) {
            errors.push(FieldError::forbidden("spec", ONLY));
        }
    }
    let pairs = new.items("spec.initContainers").iter().zip(old.items("spec.initContainers"));
    for (index, (now, was)) in pairs.enumerate() {
        let path = format!("spec.initContainers[{index}]");
        if fixed(now) != fixed(was) {
            let detail = "only cpu and memory resources for init or sidecar containers are mutable";
            errors.push(FieldError::forbidden(path.as_str(), detail));
        }
        let restarts =
            now.items("resizePolicy").iter().any(|policy| policy.text("restartPolicy") == "RestartContainer");
        if now != was && now.text("restartPolicy") != "Always" && restarts {
            let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
            errors.push(FieldError::forbidden(path, detail));
        }
    }
    errors
}

/// Of volumes only how large one in memory may get changes.
fn volumes(new: &Value, old: &Value) -> Vec<FieldError> {
    let (now, was) = (new.items("spec.volumes"), old.items("spec.volumes"));
    if now.len() != was.len() {
        return vec![FieldError::forbidden("spec.volumes", "volumes may not be added or removed on resize")];
    }
    let mut errors = Vec::new();
    for (index, (now, was)) in now.iter().zip(was).enumerate() {
        let path = format!("spec.volumes[{index}]");
        if now.text("name") != was.text("name") {
            let detail = "volumes may not be renamed or reordered on resize";
            errors.push(FieldError::forbidden(format!("{path}.name"), detail));
            continue;
        }
        let both = now.has("emptyDir") && was.has("emptyDir");
        let mut compared = now.clone();
        if both {
            copy(&mut compared, was, "emptyDir.sizeLimit");
        }
        if compared != *was {
            let detail = "only sizeLimit of memory-backed emptyDir volumes is mutable on resize";
            errors.push(FieldError::forbidden(path, detail));
            continue;
        }
        let at = format!("{path}.emptyDir.sizeLimit");
        if both && now.has("emptyDir.sizeLimit") != was.has("emptyDir.sizeLimit") {
            let detail = "adding or removing sizeLimit on an existing volume is not allowed";
            errors.push(FieldError::forbidden(at, detail));
        } else if both
            && now.at("emptyDir.sizeLimit") != was.at("emptyDir.sizeLimit")
            && now.text("emptyDir.medium") != "Memory"
        {
            let detail = "sizeLimit is only mutable for memory-backed emptyDir volumes";
            errors.push(FieldError::forbidden(at, detail));
        }
    }
    errors
}

/// The spec without containers, volumes and what the Pod asks for as a whole.
fn rest(pod: &Value) -> Value {
    let mut spec = pod.at("spec").clone();
    for field in ["containers", "initContainers", "volumes", "resources"] {
        put(&mut spec, field, Value::Null);
    }
    spec
}
