//! What is wrong with a container's probes and lifecycle hooks, and the handlers they share.

use serde_json::Value;

use super::spec::supported;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{FieldError, names};

fn handler(handler: &Value, path: &str) -> Vec<FieldError> {
    let kinds: Vec<&str> =
        ["exec", "httpGet", "tcpSocket", "grpc", "sleep"].into_iter().filter(|kind| handler.has(kind)).collect();
    let mut errors = Vec::new();
    for kind in kinds.iter().skip(1) {
        errors.push(FieldError::forbidden(format!("{path}.{kind}"), "may not specify more than 1 handler type"));
    }
    match kinds.first() {
        None => errors.push(FieldError::required(path, "must specify a handler type")),
        Some(&"exec") if handler.items("exec.command").is_empty() => {
            errors.push(FieldError::required(format!("{path}.exec.command"), ""));
        }
        Some(&"httpGet") => {
            if handler.text("httpGet.path").is_empty() {
                errors.push(FieldError::required(format!("{path}.httpGet.path"), ""));
            }
            errors.extend(port_or_name(handler.at("httpGet.port"), &format!("{path}.httpGet.port")));
            errors.extend(supported(handler.at("httpGet"), "scheme", &format!("{path}.httpGet"), &["HTTP", "HTTPS"]));
        }
        Some(&"tcpSocket") => {
            errors.extend(port_or_name(handler.at("tcpSocket.port"), &format!("{path}.tcpSocket.port")));
        }
        Some(&"grpc") => errors.extend(port_or_name(handler.at("grpc.port"), &format!("{path}.grpc.port"))),
        _ => {}
    }
    errors
}

/// What is wrong with a port that is a number or the name of one.
pub fn port_or_name(port: &Value, path: &str) -> Vec<FieldError> {
    match port {
        Value::String(name) => {
            names::port_name(name).into_iter().map(|fault| FieldError::invalid(path, name.as_str(), fault)).collect()
        }
        other => {
            let number = other.as_i64().unwrap_or(0);
            names::port_number(number).into_iter().map(|fault| FieldError::invalid(path, number, fault)).collect()
        }
    }
}

/// What is wrong with `lifecycle`: its hooks.
pub fn lifecycle(lifecycle: &Value, path: &str) -> Vec<FieldError> {
    ["postStart", "preStop"]
        .into_iter()
        .filter(|which| lifecycle.has(which))
        .flat_map(|which| handler(lifecycle.at(which), &format!("{path}.{which}")))
        .collect()
}

/// What is wrong with a probe; `which` is its field, such as `livenessProbe`.
pub fn probe(probe: &Value, path: &str, which: &str) -> Vec<FieldError> {
    if probe.is_null() {
        return Vec::new();
    }
    let mut errors = handler(probe, path);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        errors.extend(non_negative(probe.int(field).unwrap_or(0), &format!("{path}.{field}")));
    }
    if let Some(grace) = probe.int("terminationGracePeriodSeconds") {
        if which == "readinessProbe" {
            errors.push(FieldError::invalid(
                format!("{path}.terminationGracePeriodSeconds"),
                grace,
                "must not be set for readinessProbes",
            ));
        } else if grace <= 0 {
            errors.push(FieldError::invalid(
                format!("{path}.terminationGracePeriodSeconds"),
                grace,
                "must be greater than 0",
            ));
        }
    }
    let successes = probe.int("successThreshold").unwrap_or(1);
    if which != "readinessProbe" && successes != 1 {
        errors.push(FieldError::invalid(format!("{path}.successThreshold"), successes, "must be 1"));
    }
    errors
}
