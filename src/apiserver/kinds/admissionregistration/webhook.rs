//! Validating- and MutatingWebhookConfiguration: servers to ask before a write.

use serde_json::Value;

use crate::apiserver::kinds::json::Fill::{Empty, Int, Text};
use crate::apiserver::kinds::json::{Defaults, Json, fill};
use crate::apiserver::kinds::{FieldError, Strategy, names, selectors};

const DEFAULTS: Defaults = &[
    ("webhooks[].clientConfig.service.port", Int(443)),
    ("webhooks[].rules[].scope", Text("*")),
    ("webhooks[].failurePolicy", Text("Fail")),
    ("webhooks[].matchPolicy", Text("Equivalent")),
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
    ..Strategy::WITH_GENERATION
};

/// Of MutatingWebhookConfigurations.
pub const MUTATING: Strategy = Strategy {
    defaults: |configuration, _| {
        fill(configuration, DEFAULTS);
        fill(configuration, &[("webhooks[].reinvocationPolicy", Text("Never"))]);
    },
    ..VALIDATING
};

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
        errors.extend(super::policy::rule(rule, &format!("{path}.rules[{index}]")));
    }
    for (field, known) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])] {
        let value = hook.text(field);
        if hook.has(field) && !known.contains(&value) {
            errors.push(FieldError::not_supported(format!("{path}.{field}"), value, &known));
        }
    }
    let effects = hook.text("sideEffects");
    if effects.is_empty() {
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
    }
    let versions = hook.items("admissionReviewVersions");
    if versions.is_empty() {
        errors.push(FieldError::required(format!("{path}.admissionReviewVersions"), "must specify one of v1, v1beta1"));
    } else if !versions.iter().any(|version| version == "v1" || version == "v1beta1") {
        let shown = Value::Array(versions.to_vec());
        errors.push(FieldError::invalid(
            format!("{path}.admissionReviewVersions"),
            shown,
            "must include at least one of v1, v1beta1",
        ));
    }
    errors
}
