//! Validating- and MutatingWebhookConfiguration: servers to ask before a write.

use serde_json::Value;

use crate::api::field_error::go_quote;
use crate::apiserver::kinds::json::Fill::{Choice, Empty, Int};
use crate::apiserver::kinds::json::{Defaults, Json, fill};
use crate::apiserver::kinds::{FieldError, Strategy, names, selectors};

const DEFAULTS: Defaults = &[
    ("webhooks[].clientConfig.service.port", Int(443)),
    ("webhooks[].rules[].scope", Choice("*")),
    ("webhooks[].failurePolicy", Choice("Fail")),
    ("webhooks[].matchPolicy", Choice("Equivalent")),
    ("webhooks[].namespaceSelector", Empty),
    ("webhooks[].objectSelector", Empty),
    ("webhooks[].timeoutSeconds", Int(10)),
];

/// Of ValidatingWebhookConfigurations.
pub const VALIDATING: Strategy = Strategy {
    defaults: |configuration, _| fill(configuration, DEFAULTS),
    validate: |configuration, _| validate(configuration),
    validate_update: |new, _, _| validate(new),
    unconditional_update: false,
    any_finalizer: true,
    exact: "webhooks",
    whole_again: true,
    ..Strategy::WITH_GENERATION
};

/// Of MutatingWebhookConfigurations.
pub const MUTATING: Strategy = Strategy {
    defaults: |configuration, _| {
        fill(configuration, DEFAULTS);
        fill(configuration, &[("webhooks[].reinvocationPolicy", Choice("Never"))]);
    },
    validate: |configuration, _| validate_mutating(configuration),
    validate_update: |new, _, _| validate_mutating(new),
    ..VALIDATING
};

fn validate_mutating(configuration: &Value) -> Vec<FieldError> {
    let mut errors = validate(configuration);
    for (index, hook) in configuration.items("webhooks").iter().enumerate() {
        let (policy, known) = (hook.text("reinvocationPolicy"), ["IfNeeded", "Never"]);
        if hook.has("reinvocationPolicy") && !known.contains(&policy) {
            let path = format!("webhooks[{index}].reinvocationPolicy");
            errors.push(FieldError::not_supported(path, policy, &known));
        }
    }
    errors
}

fn validate(configuration: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = configuration.items("webhooks");
    for (index, hook) in list.iter().enumerate() {
        let path = format!("webhooks[{index}]");
        let name = hook.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !names::dns_subdomain(name).is_empty() {
            let faults = names::dns_subdomain(name);
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.name"), name, fault)));
        } else if name.split('.').count() < 3 {
            errors.push(FieldError::invalid(
                format!("{path}.name"),
                name,
                "should be a domain with at least three segments separated by dots",
            ));
        }
        if list[..index].iter().any(|other| other.text("name") == name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        errors.extend(hook_settings(hook, &path));
    }
    errors
}

fn hook_settings(hook: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, rule) in hook.items("rules").iter().enumerate() {
        errors.extend(super::matching::rule(rule, &format!("{path}.rules[{index}]")));
    }
    for (field, known) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])] {
        let value = hook.text(field);
        if hook.has(field) && !known.contains(&value) {
            errors.push(FieldError::not_supported(format!("{path}.{field}"), value, &known));
        }
    }
    let effects = hook.text("sideEffects");
    if !hook.has("sideEffects") {
        errors.push(FieldError::required(format!("{path}.sideEffects"), "must specify one of None, NoneOnDryRun"));
    } else if !["None", "NoneOnDryRun"].contains(&effects) {
        errors.push(FieldError::not_supported(format!("{path}.sideEffects"), effects, &["None", "NoneOnDryRun"]));
    }
    let timeout = hook.int("timeoutSeconds").unwrap_or(10);
    if !(1..=30).contains(&timeout) {
        errors.push(FieldError::invalid(
            format!("{path}.timeoutSeconds"),
            timeout,
            "the timeout value must be between 1 and 30 seconds",
        ));
    }
    for field in ["namespaceSelector", "objectSelector"] {
        errors.extend(selectors::validate(hook.at(field), &format!("{path}.{field}")));
    }
    let client = hook.at("clientConfig");
    if client.has("url") == client.has("service") {
        errors.push(FieldError::required(format!("{path}.clientConfig"), "exactly one of url or service is required"));
    } else if client.has("url") {
        errors.extend(client_url(client.text("url"), &format!("{path}.clientConfig.url")));
    } else {
        errors.extend(client_service(client.at("service"), &format!("{path}.clientConfig.service")));
    }
    errors.extend(super::matching::conditions(
        hook.items("matchConditions"),
        &format!("{path}.matchConditions"),
        false,
    ));
    errors.extend(review_versions(hook, path));
    errors
}

/// What is wrong with the URL of a server.
pub fn client_url(url: &str, path: &str) -> Vec<FieldError> {
    const FORM: &str = "; desired format: https://host[/path]";
    if url.starts_with(':') {
        let detail = format!("url must be a valid URL: parse {}: missing protocol scheme{FORM}", go_quote(url));
        return vec![FieldError::required(path, detail)];
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or("");
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let faults = [
        (scheme != "https", scheme, format!("'https' is the only allowed URL scheme{FORM}")),
        (host.is_empty(), host, format!("host must be specified{FORM}")),
        (!user.is_empty(), user, "user information is not permitted in the URL".to_string()),
        (!fragment.is_empty(), fragment, "fragments are not permitted in the URL".to_string()),
        (!query.is_empty(), query, "query parameters are not permitted in the URL".to_string()),
    ];
    let found = faults.into_iter().filter(|(wrong, _, _)| *wrong);
    found.map(|(_, value, detail)| FieldError::invalid(path, value, detail)).collect()
}

/// What is wrong with a reference to the Service of a server.
pub fn client_service(service: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    // Kubernetes takes one for the other.
    for (field, said) in [("namespace", "name"), ("name", "namespace")] {
        if service.text(field).is_empty() {
            errors.push(FieldError::required(format!("{path}.{said}"), ""));
        }
    }
    let port = service.int("port").unwrap_or(443);
    if !(1..=65535).contains(&port) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(format!("{path}.port"), port, detail));
    }
    let url = service.text("path");
    if matches!(url, "" | "/") {
        return errors;
    }
    let path = format!("{path}.path");
    if !url.starts_with('/') {
        errors.push(FieldError::invalid(&path, url, "must start with a '/'"));
    }
    // What comes before the first slash is no segment; one slash may end the path.
    let inner = url.get(1..).unwrap_or("");
    let segments: Vec<&str> = inner.strip_suffix('/').unwrap_or(inner).split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        if segment.is_empty() {
            errors.push(FieldError::invalid(&path, url, format!("segment[{index}] may not be empty")));
            continue;
        }
        for fault in names::dns_subdomain(segment) {
            errors.push(FieldError::invalid(&path, url, format!("segment[{index}]: {fault}")));
        }
    }
    errors
}

fn review_versions(hook: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let versions = hook.items("admissionReviewVersions");
    if versions.is_empty() {
        errors.push(FieldError::required(format!("{path}.admissionReviewVersions"), "must specify one of v1, v1beta1"));
        return errors;
    }
    for (index, version) in versions.iter().enumerate() {
        let (path, text) = (format!("{path}.admissionReviewVersions[{index}]"), version.as_str().unwrap_or(""));
        if versions[..index].contains(version) {
            errors.push(FieldError::invalid(&path, text, "duplicate version"));
        }
        errors.extend(names::dns_1035_label(text).into_iter().map(|fault| FieldError::invalid(&path, text, fault)));
    }
    if !versions.iter().any(|version| version == "v1" || version == "v1beta1") {
        let shown = Value::Array(versions.to_vec());
        errors.push(FieldError::invalid(
            format!("{path}.admissionReviewVersions"),
            shown,
            "must include at least one of v1, v1beta1",
        ));
    }
    errors
}
