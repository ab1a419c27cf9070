//! What is wrong with a container's environment: variables, and where their values come from.

use serde_json::Value;

use super::volume_sources::backsteps;
use crate::api::quantity::Quantity;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, NameRule, check, names};

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
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What is wrong with `env`.
pub fn env(list: &[Value], path: &str) -> Vec<FieldError> {
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
            errors.extend(env_source(variable, &format!("{path}.valueFrom")));
        }
    }
    errors
}

fn env_source(variable: &Value, path: &str) -> Vec<FieldError> {
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
        errors.extend(file_key_ref(source.at("fileKeyRef"), &format!("{path}.fileKeyRef")));
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

fn file_key_ref(reference: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = check::required(reference, &["key", "volumeName", "path"], path);
    let named = |field: &str| (format!("{path}.{field}"), reference.text(field));
    let (at, key) = named("key");
    errors.extend((!key.is_empty()).then(|| check::faults(at, key, names::env_var_name(key))).into_iter().flatten());
    let (at, volume) = named("volumeName");
    errors.extend(
        (!volume.is_empty()).then(|| check::faults(at, volume, names::dns_label(volume))).into_iter().flatten(),
    );
    let (at, file) = named("path");
    errors.extend(backsteps(file, &at));
    errors
}

/// What is wrong with a `fieldRef`; `allowed` are the whole fields that may be named here.
pub fn field_ref(reference: &Value, path: &str, allowed: &[&str]) -> Vec<FieldError> {
    let version = reference.text("apiVersion");
    let field = reference.text("fieldPath");
    let at = format!("{path}.fieldPath");
    if version.is_empty() {
        return vec![FieldError::required(format!("{path}.apiVersion"), "")];
    }
    if field.is_empty() {
        return vec![FieldError::required(at, "")];
    }
    let unknown =
        |why: String| vec![FieldError::invalid(at.as_str(), field, format!("error converting fieldPath: {why}"))];
    if version != "v1" {
        return unknown(format!("unsupported pod version: {version}"));
    }
    let subscript =
        field.strip_suffix("']").and_then(|rest| rest.split_once("['")).filter(|(whole, _)| !whole.is_empty());
    if let Some((whole, key)) = subscript {
        return match whole {
            "metadata.annotations" => {
                check::faults(path, &key.to_lowercase(), names::qualified_name(&key.to_lowercase())).collect()
            }
            "metadata.labels" => check::faults(path, key, names::qualified_name(key)).collect(),
            _ => unknown(format!("field label does not support subscript: {field}")),
        };
    }
    let field_now = if field == "spec.host" { "spec.nodeName" } else { field };
    if !POD_FIELDS.contains(&field_now) {
        return unknown(format!("field label not supported: {field}"));
    }
    if allowed.contains(&field_now) { Vec::new() } else { vec![FieldError::not_supported(at, field_now, allowed)] }
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
    let resource = reference.text("resource");
    let huge = resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-");
    let mut errors = Vec::new();
    if in_volume && reference.text("containerName").is_empty() {
        errors.push(FieldError::required(format!("{path}.containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
    } else if !huge && !CONTAINER_RESOURCES.contains(&resource) {
        errors.push(FieldError::not_supported(format!("{path}.resource"), resource, CONTAINER_RESOURCES));
    }
    errors.extend(divisor(reference, resource, path));
    errors
}

fn divisor(reference: &Value, resource: &str, path: &str) -> Option<FieldError> {
    let text = reference.text("divisor");
    let unset = Quantity::parse(text).is_ok_and(|amount| amount.signum() == 0) || text.is_empty();
    let what = match resource.split_once('.')?.1 {
        "cpu" => "cpu",
        "memory" => "memory",
        "ephemeral-storage" => "local ephemeral storage",
        huge if huge.starts_with("hugepages-") => "hugepages",
        _ => return None,
    };
    let known: &[&str] = if what == "cpu" {
        &["1m", "1"]
    } else {
        &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"]
    };
    if unset || known.contains(&text) {
        return None;
    }
    let list = if what == "cpu" { "1m and 1".to_string() } else { known.join(", ") };
    let detail = format!("only divisor's values {list} are supported with the {what} resource");
    Some(FieldError::invalid(format!("{path}.divisor"), resource, detail))
}

fn key_ref(reference: &Value, path: &str) -> Vec<FieldError> {
    let (name, key) = (reference.text("name"), reference.text("key"));
    let mut errors: Vec<FieldError> = check::faults(format!("{path}.name"), name, names::dns_subdomain(name)).collect();
    if key.is_empty() {
        errors.push(FieldError::required(format!("{path}.key"), ""));
    } else {
        errors.extend(check::faults(format!("{path}.key"), key, names::config_key(key)));
    }
    errors
}

/// What is wrong with `envFrom`.
pub fn env_from(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, source) in list.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let prefix = source.text("prefix");
        if !prefix.is_empty() {
            errors.extend(check::faults(format!("{at}.prefix"), prefix, names::env_var_name(prefix)));
        }
        let named: Vec<&str> = ["configMapRef", "secretRef"].into_iter().filter(|which| source.has(which)).collect();
        for which in &named {
            let name = source.at(which).text("name");
            let at = format!("{at}.{which}.name");
            if name.is_empty() {
                errors.push(FieldError::required(at, ""));
            } else {
                let masked = NameRule::Subdomain.check(name, true);
                errors.extend(check::faults(at, name, masked));
            }
        }
        match named.len() {
            0 => errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time")),
        }
    }
    errors
}
