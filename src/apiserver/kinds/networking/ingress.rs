//! Ingress: HTTP hosts and paths, and the Services behind them.

use serde_json::{Value, json};

use crate::api::go_values::shown;
use crate::apiserver::kinds::json::{Json, put};
use crate::apiserver::kinds::{FieldError, Strategy, Subresource, check, lifecycle, names};

/// Of Ingresses.
pub const STRATEGY: Strategy = Strategy {
    prepare_create: |ingress, context| {
        lifecycle::first_generation(ingress, context);
        put(ingress, "status", json!({"loadBalancer": {}}));
    },
    validate: |ingress, _| {
        let mut errors = validate(ingress);
        errors.extend(class_annotation(ingress));
        errors
    },
    validate_update: |new, _, _| validate(new),
    warnings,
    subresources: &[Subresource { validate: |new, _, _| load_balancer(new), ..lifecycle::STATUS }],
    whole_again: true,
    ..Strategy::WITH_STATUS_AND_GENERATION
};

const CLASS: &str = "kubernetes.io/ingress.class";

fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let has = |ingress: &Value| ingress.at("metadata.annotations").get(CLASS).is_some();
    let annotated = old.is_none() && has(new) && !new.has("spec.ingressClassName");
    let text = "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead";
    annotated.then(|| text.to_string()).into_iter().collect()
}

fn class_annotation(ingress: &Value) -> Option<FieldError> {
    let annotation = ingress.at("metadata.annotations").get(CLASS)?.as_str()?;
    let differs = ingress.has("spec.ingressClassName") && ingress.text("spec.ingressClassName") != annotation;
    let detail = "must match `ingressClassName` when both are specified";
    differs.then(|| FieldError::invalid(format!("annotations.{CLASS}"), annotation, detail))
}

fn host_faults(host: &str) -> Vec<String> {
    if host.contains('*') { names::wildcard_subdomain(host) } else { names::dns_subdomain(host) }
}

fn is_ip(host: &str) -> bool {
    names::ip(host).is_empty() || host.parse::<std::net::IpAddr>().is_ok()
}

fn validate(ingress: &Value) -> Vec<FieldError> {
    let spec = ingress.at("spec");
    let mut errors = Vec::new();
    if spec.items("rules").is_empty() && !spec.has("defaultBackend") {
        let shown = shown(ingress, "spec.rules").unwrap_or_default();
        errors.push(FieldError::invalid_raw("spec", shown, "either `defaultBackend` or `rules` must be specified"));
    }
    if spec.has("defaultBackend") {
        errors.extend(backend(spec.at("defaultBackend"), "spec.defaultBackend"));
    }
    for (index, rule) in spec.items("rules").iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let host = rule.text("host");
        if is_ip(host) {
            errors.push(FieldError::invalid(format!("{path}.host"), host, "must be a DNS name, not an IP address"));
        }
        if !host.is_empty() {
            errors.extend(check::faults(format!("{path}.host"), host, host_faults(host)));
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
            errors.extend(check::faults(format!("spec.tls[{index}].hosts[{at}]"), host, host_faults(host)));
        }
        let secret = tls.text("secretName");
        if !secret.is_empty() {
            errors.extend(check::faults(format!("spec.tls[{index}].secretName"), secret, names::dns_subdomain(secret)));
        }
    }
    if spec.has("ingressClassName") {
        let class = spec.text("ingressClassName");
        errors.extend(check::faults("spec.ingressClassName", class, names::dns_subdomain(class)));
    }
    errors
}

fn load_balancer(ingress: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, point) in ingress.items("status.loadBalancer.ingress").iter().enumerate() {
        let path = format!("status.loadBalancer.ingress[{index}]");
        let (ip, host) = (point.text("ip"), point.text("hostname"));
        if !ip.is_empty() {
            errors.extend(check::faults(format!("{path}.ip"), ip, names::ip(ip)));
        }
        if !host.is_empty() {
            let at = format!("{path}.hostname");
            errors.extend(check::faults(at.as_str(), host, names::dns_subdomain(host)));
            if is_ip(host) {
                errors.push(FieldError::invalid(at, host, "must be a DNS name, not an IP address"));
            }
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
            return vec![FieldError::required(format!("{path}.pathType"), "pathType must be specified")];
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
        (false, true) => typed_reference(backend.at("resource"), &format!("{path}.resource")),
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

/// What is wrong with a reference to an object of any kind.
pub fn typed_reference(reference: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = check::required(reference, &["kind", "name"], path);
    if reference.has("apiGroup") {
        let group = reference.text("apiGroup");
        errors.extend(check::faults(format!("{path}.apiGroup"), group, names::dns_subdomain(group)));
    }
    for field in ["kind", "name"] {
        let text = reference.text(field);
        errors.extend(check::faults(format!("{path}.{field}"), text, names::path_segment(text, false)));
    }
    errors
}
