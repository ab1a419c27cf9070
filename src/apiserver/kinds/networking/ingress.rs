//! Ingress: HTTP hosts and paths, and the Services behind them.

use serde_json::{Value, json};

use crate::apiserver::kinds::json::{Json, put};
use crate::apiserver::kinds::{FieldError, Strategy, lifecycle, names};

/// Of Ingresses.
pub const STRATEGY: Strategy = Strategy {
    prepare_create: |ingress, context| {
        lifecycle::first_generation(ingress, context);
        put(ingress, "status", json!({"loadBalancer": {}}));
    },
    validate: |ingress, _| validate(ingress),
    validate_update: |new, _, _| validate(new),
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn validate(ingress: &Value) -> Vec<FieldError> {
    let spec = ingress.at("spec");
    let mut errors = Vec::new();
    if spec.items("rules").is_empty() && !spec.has("defaultBackend") {
        errors.push(FieldError::invalid("spec", Value::Null, "either `defaultBackend` or `rules` must be specified"));
    }
    if spec.has("defaultBackend") {
        errors.extend(backend(spec.at("defaultBackend"), "spec.defaultBackend"));
    }
    for (index, rule) in spec.items("rules").iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let host = rule.text("host");
        if !host.is_empty() {
            if host.parse::<std::net::IpAddr>().is_ok() {
                errors.push(FieldError::invalid(format!("{path}.host"), host, "must be a DNS name, not an IP address"));
            } else {
                let faults =
                    if host.contains('*') { names::wildcard_subdomain(host) } else { names::dns_subdomain(host) };
                errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.host"), host, fault)));
            }
        }
        if rule.has("http") && rule.items("http.paths").is_empty() {
            errors.push(FieldError::required(format!("{path}.http.paths"), ""));
        }
        for (at, entry) in rule.items("http.paths").iter().enumerate() {
            errors.extend(http_path(entry, &format!("{path}.http.paths[{at}]")));
        }
    }
    for (index, tls) in spec.items("tls").iter().enumerate() {
        for (at, host) in tls.items("hosts").iter().enumerate() {
            let host = host.as_str().unwrap_or("");
            let faults = if host.contains('*') { names::wildcard_subdomain(host) } else { names::dns_subdomain(host) };
            let path = format!("spec.tls[{index}].hosts[{at}]");
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(path.clone(), host, fault)));
        }
    }
    let class = spec.text("ingressClassName");
    if !class.is_empty() {
        for fault in names::dns_subdomain(class) {
            errors.push(FieldError::invalid("spec.ingressClassName", class, fault));
        }
    }
    errors
}

fn http_path(entry: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let url = entry.text("path");
    let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
    match entry.text("pathType") {
        "" if !entry.has("pathType") => {
            errors.push(FieldError::required(format!("{path}.pathType"), "pathType must be specified"));
        }
        "Exact" | "Prefix" => {
            if !url.starts_with('/') {
                errors.push(FieldError::invalid(format!("{path}.path"), url, "must be an absolute path"));
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"] {
                if url.contains(bad) {
                    errors.push(FieldError::invalid(format!("{path}.path"), url, format!("must not contain '{bad}'")));
                }
            }
            for bad in ["/..", "/."] {
                if url.ends_with(bad) {
                    errors.push(FieldError::invalid(format!("{path}.path"), url, format!("cannot end with '{bad}'")));
                }
            }
        }
        "ImplementationSpecific" => {
            if !url.is_empty() && !url.starts_with('/') {
                errors.push(FieldError::invalid(format!("{path}.path"), url, "must be an absolute path"));
            }
        }
        other => errors.push(FieldError::not_supported(format!("{path}.pathType"), other, &kinds)),
    }
    errors.extend(backend(entry.at("backend"), &format!("{path}.backend")));
    errors
}

fn backend(backend: &Value, path: &str) -> Vec<FieldError> {
    match (backend.has("service"), backend.has("resource")) {
        (false, false) => vec![FieldError::invalid(path, "", "resource or service backend is required")],
        (true, true) => vec![FieldError::invalid(path, "", "cannot set both resource and service backends")],
        (false, true) => Vec::new(),
        (true, false) => service_backend(backend.at("service"), path),
    }
}

fn service_backend(service: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = service.text("name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.service.name"), ""));
    } else {
        let at = format!("{path}.service.name");
        errors.extend(names::dns_label(name).into_iter().map(|fault| FieldError::invalid(at.clone(), name, fault)));
    }
    let (port, number) = (service.text("port.name"), service.int("port.number").unwrap_or(0));
    if !port.is_empty() && number != 0 {
        errors.push(FieldError::invalid(path, "", "cannot set both port name & port number"));
    } else if number != 0 {
        for fault in names::port_number(number) {
            errors.push(FieldError::invalid(format!("{path}.service.port.number"), number, fault));
        }
    } else if !port.is_empty() {
        for fault in names::port_name(port) {
            errors.push(FieldError::invalid(format!("{path}.service.port.name"), port, fault));
        }
    } else {
        errors.push(FieldError::required(path, "port name or number is required"));
    }
    errors
}
