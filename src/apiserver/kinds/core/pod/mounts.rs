//! What is wrong with a container's `volumeMounts` and `volumeDevices`.

use std::collections::HashSet;

use serde_json::Value;

use super::containers::descending_path;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

/// What is wrong with `volumeMounts`; `volumes` are the Pod's.
pub fn mounts(container: &Value, path: &str, volumes: &[(&str, &Value)]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut points = HashSet::new();
    let devices = container.items("volumeDevices");
    let list = format!("{path}.volumeMounts");
    for (index, mount) in container.items("volumeMounts").iter().enumerate() {
        let path = format!("{list}[{index}]");
        let (name, point) = (mount.text("name"), mount.text("mountPath"));
        errors.extend(check::required(mount, &["name", "mountPath"], &path));
        if !volumes.iter().any(|(known, _)| *known == name) {
            errors.push(FieldError::not_found(format!("{path}.name"), name));
        }
        if !points.insert(point) {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), point, "must be unique"));
        }
        if devices.iter().any(|device| device.text("name") == name) {
            let detail = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(format!("{path}.name"), name, detail));
        }
        if devices.iter().any(|device| device.text("devicePath") == point) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(format!("{path}.mountPath"), point, detail));
        }
        errors.extend(sub_paths(mount, &path, &list));
        // Errors about these name the list, not the mount.
        errors.extend(propagation(mount, container, &format!("{list}.mountPropagation")));
        errors.extend(recursive_read_only(mount, &format!("{list}.recursiveReadOnly")));
    }
    errors
}

fn sub_paths(mount: &Value, path: &str, list: &str) -> Vec<FieldError> {
    let (plain, expression) = (mount.text("subPath"), mount.text("subPathExpr"));
    let mut errors = descending_path(plain, &format!("{list}.subPath"));
    if !expression.is_empty() && !plain.is_empty() {
        let detail = "subPathExpr and subPath are mutually exclusive";
        errors.push(FieldError::invalid(format!("{path}.subPathExpr"), expression, detail));
    }
    errors.extend(descending_path(expression, &format!("{list}.subPathExpr")));
    errors
}

fn propagation(mount: &Value, container: &Value, path: &str) -> Vec<FieldError> {
    let mode = mount.text("mountPropagation");
    let modes = ["Bidirectional", "HostToContainer", "None"];
    let mut errors = Vec::new();
    if mount.has("mountPropagation") && !modes.contains(&mode) {
        errors.push(FieldError::not_supported(path, mode, &modes));
    }
    if mode == "Bidirectional" && !container.flag("securityContext.privileged") {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(path, detail));
    }
    errors
}

fn recursive_read_only(mount: &Value, path: &str) -> Vec<FieldError> {
    let mode = mount.text("recursiveReadOnly");
    let mut errors = Vec::new();
    match mode {
        _ if !mount.has("recursiveReadOnly") => {}
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.flag("readOnly") {
                errors.push(FieldError::forbidden(path, "may only be specified when readOnly is true"));
            }
            if mount.has("mountPropagation") && mount.text("mountPropagation") != "None" {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(path, detail));
            }
        }
        other => errors.push(FieldError::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
    errors
}

/// What is wrong with `volumeDevices`.
pub fn devices(container: &Value, path: &str, volumes: &[(&str, &Value)]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (mut paths, mut seen) = (HashSet::new(), HashSet::new());
    let mounts = container.items("volumeMounts");
    for (index, device) in container.items("volumeDevices").iter().enumerate() {
        let path = format!("{path}.volumeDevices[{index}]");
        let (name, place) = (device.text("name"), device.text("devicePath"));
        let mut wrong = |field: &str, detail: &str| {
            errors.push(FieldError::invalid(format!("{path}.{field}"), device.text(field), detail));
        };
        if !name.is_empty() && !seen.insert(name) {
            wrong("name", "must be unique");
        }
        let volume = volumes.iter().find(|(known, _)| *known == name);
        if volume.is_some_and(|(_, source)| !source.has("persistentVolumeClaim") && !source.has("ephemeral")) {
            wrong("name", "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
        }
        if paths.contains(place) {
            wrong("devicePath", "must be unique");
        }
        if !names::no_backsteps(place) {
            wrong("devicePath", "can not contain backsteps ('..')");
        } else {
            paths.insert(place);
        }
        if mounts.iter().any(|mount| mount.text("name") == name) {
            wrong("name", "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.text("mountPath") == place) {
            wrong("devicePath", "must not already exist as a path in volumeMounts");
        }
        errors.extend(check::required(device, &["name", "devicePath"], &path));
        if volume.is_none() {
            errors.push(FieldError::not_found(format!("{path}.name"), name));
        }
    }
    errors
}
