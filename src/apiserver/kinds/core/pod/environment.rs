//! What is wrong with a container's environment: variables, and where their values come from.

use serde_json::Value;

use super::containers::Pod;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, names};

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Every path that a `fieldRef` may name at all.
const POD_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "spec.hostNetwork",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];

/// What is wrong with `env`.
pub fn env(list: &[Value], path: &str, pod: &Pod) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, variable) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = variable.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            let faults = names::env_var_name(name);
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.name"), name, fault)));
        }
        if variable.has("valueFrom") {
            errors.extend(env_source(variable, &format!("{path}.valueFrom"), pod));
        }
    }
    errors
}

fn env_source(variable: &Value, path: &str, pod: &Pod) -> Vec<FieldError> {
    let source = variable.at("valueFrom");
    let mut errors = Vec::new();
    let mut count = 0;
    if source.has("fieldRef") {
        count += 1;
        errors.extend(field_ref(source.at("fieldRef"), &format!("{path}.fieldRef"), ENV_FIELDS));
    }
    if source.has("resourceFieldRef") {
        count += 1;
        errors.extend(resource_field_ref(source.at("resourceFieldRef"), &format!("{path}.resourceFieldRef"), false));
    }
    for which in ["configMapKeyRef", "secretKeyRef"] {
        if source.has(which) {
            count += 1;
            errors.extend(key_ref(source.at(which), &format!("{path}.{which}")));
        }
    }
    if source.has("fileKeyRef") {
        count += 1;
        let reference = source.at("fileKeyRef");
        let volume = reference.text("volumeName");
        if volume.is_empty() {
            errors.push(FieldError::required(format!("{path}.fileKeyRef.volumeName"), ""));
        } else if !pod.volumes.contains(volume) {
            errors.push(FieldError::not_found(format!("{path}.fileKeyRef.volumeName"), volume));
        }
        for field in ["path", "key"] {
            if reference.text(field).is_empty() {
                errors.push(FieldError::required(format!("{path}.fileKeyRef.{field}"), ""));
            }
        }
    }
    if count == 0 {
        errors.push(FieldError::invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ));
    } else if !variable.text("value").is_empty() {
        errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
    } else if count > 1 {
        errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
    errors
}

/// What is wrong with a `fieldRef`; `allowed` are the whole fields that may be named here.
pub fn field_ref(reference: &Value, path: &str, allowed: &[&str]) -> Vec<FieldError> {
    if reference.text("apiVersion").is_empty() {
        return vec![FieldError::required(format!("{path}.apiVersion"), "")];
    }
    let field = reference.text("fieldPath");
    let at = format!("{path}.fieldPath");
    if field.is_empty() {
        return vec![FieldError::required(at, "")];
    }
    if let Some((whole, rest)) = field.split_once("['") {
        let key = rest.strip_suffix("']").unwrap_or("");
        return match whole {
            "metadata.annotations" | "metadata.labels" => names::qualified_name(&key.to_lowercase())
                .into_iter()
                .map(|fault| FieldError::invalid(at.clone(), key, fault))
                .collect(),
            _ => vec![FieldError::invalid(at, field, format!("{whole:?} does not support subscript"))],
        };
    }
    if !POD_FIELDS.contains(&field) {
        let detail = format!("error converting fieldPath: field label not supported: {field}");
        return vec![FieldError::invalid(at, field, detail)];
    }
    if allowed.contains(&field) { Vec::new() } else { vec![FieldError::not_supported(at, field, allowed)] }
}

const CONTAINER_RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// What is wrong with a `resourceFieldRef`; volumes must name the container.
pub fn resource_field_ref(reference: &Value, path: &str, in_volume: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if in_volume && reference.text("containerName").is_empty() {
        errors.push(FieldError::required(format!("{path}.containerName"), ""));
    }
    let resource = reference.text("resource");
    if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
        return errors;
    }
    let huge = resource.contains("hugepages-");
    if !huge && !CONTAINER_RESOURCES.contains(&resource) {
        errors.push(FieldError::not_supported(format!("{path}.resource"), resource, CONTAINER_RESOURCES));
    }
    let divisor = reference.text("divisor");
    let allowed: &[&str] = if resource.ends_with(".cpu") {
        &["0", "1m", "1"]
    } else {
        &["0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"]
    };
    if !divisor.is_empty() && !allowed.contains(&divisor) {
        let unit = if resource.ends_with(".cpu") {
            "only divisor's values 1m and 1 are supported with the cpu resource"
        } else {
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource"
        };
        errors.push(FieldError::invalid(format!("{path}.divisor"), divisor, unit));
    }
    errors
}

fn key_ref(reference: &Value, path: &str) -> Vec<FieldError> {
    let key = reference.text("key");
    if key.is_empty() {
        return vec![FieldError::required(format!("{path}.key"), "")];
    }
    names::config_key(key).into_iter().map(|fault| FieldError::invalid(format!("{path}.key"), key, fault)).collect()
}

/// What is wrong with `envFrom`.
pub fn env_from(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, source) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let prefix = source.text("prefix");
        if !prefix.is_empty() {
            let faults = names::env_var_name(prefix);
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.prefix"), prefix, fault)));
        }
        match (source.has("configMapRef"), source.has("secretRef")) {
            (false, false) => {
                errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"));
            }
            (true, true) => {
                errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
            }
            _ => {}
        }
    }
    errors
}
