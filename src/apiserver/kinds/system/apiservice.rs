//! APIService: who answers for a group and version: this server, or another one behind a Service.

use serde_json::{Value, json};

use crate::apiserver::kinds::json::Fill::Int;
use crate::apiserver::kinds::json::{Json, drop_at, fill, put};
use crate::apiserver::kinds::{Context, FieldError, NameRule, Strategy, Subresource, lifecycle, metadata, names};
use crate::apiserver::verbs::create::second;

/// Of APIServices.
pub const STRATEGY: Strategy = Strategy {
    // `v1.` ends with a dot.
    name: NameRule::PathSegment,
    defaults: |service, _| fill(service, &[("spec.service.port", Int(443))]),
    prepare_create,
    validate: |service, _| validate(service),
    validate_update: |new, _, _| {
        let mut errors = metadata::validate(new, NameRule::PathSegment, false);
        errors.extend(validate(new));
        errors
    },
    unconditional_update: false,
    any_finalizer: true,
    subresources: &[Subresource { validate: |new, _, _| validate_status(new), ..lifecycle::STATUS }],
    whole_again: true,
    ..Strategy::WITH_STATUS
};

/// The condition of an APIService that this server answers for.
pub fn local_condition(now: &str) -> Value {
    json!({
        "type": "Available", "status": "True", "lastTransitionTime": now,
        "reason": "Local", "message": "Local APIServices are always available",
    })
}

fn prepare_create(service: &mut Value, context: &Context) {
    drop_at(service, "status");
    if service.at("spec.service").is_null() {
        put(service, "status", json!({"conditions": [local_condition(&second(context.now))]}));
    }
}

fn validate(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (name, group, version) =
        (service.text("metadata.name"), service.text("spec.group"), service.text("spec.version"));
    let expected = format!("{version}.{group}");
    if name != expected {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
        errors.push(FieldError::invalid("metadata.name", name, detail));
    }
    if group.is_empty() && version != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        errors.push(FieldError::required("spec.group", detail));
    }
    if !group.is_empty() {
        let faults = names::dns_subdomain(group).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid("spec.group", group, fault)));
    }
    let faults = names::dns_1035_label(version).into_iter();
    errors.extend(faults.map(|fault| FieldError::invalid("spec.version", version, fault)));
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let path = format!("spec.{field}");
        let priority = service.int(&path).unwrap_or(0);
        if !(1..=most).contains(&priority) {
            errors.push(FieldError::invalid(path, priority, format!("must be positive and less than {most}")));
        }
    }
    errors.extend(validate_place(service));
    errors
}

/// The Service behind, or none and then nothing about its certificate.
fn validate_place(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let bundle = service.text("spec.caBundle");
    let insecure = service.flag("spec.insecureSkipTLSVerify");
    let place = service.at("spec.service");
    if place.is_null() {
        if !bundle.is_empty() {
            // Shown by its decoded size: four letters are three bytes.
            let bytes = bundle.trim_end_matches('=').len() * 3 / 4;
            let detail = "local APIServices may not have a caBundle";
            errors.push(FieldError::invalid("spec.caBundle", format!("{bytes} bytes"), detail));
        }
        if insecure {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, detail));
        }
        return errors;
    }
    for field in ["namespace", "name"] {
        if place.text(field).is_empty() {
            errors.push(FieldError::required(format!("spec.service.{field}"), ""));
        }
    }
    let port = place.int("port").unwrap_or(0);
    let faults = names::port_number(port);
    if !faults.is_empty() {
        let detail = format!("port is not valid: {}", faults.join(", "));
        errors.push(FieldError::invalid("spec.service.port", port, detail));
    }
    if insecure && !bundle.is_empty() {
        let detail = "may not be true if caBundle is present";
        errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, detail));
    }
    errors
}

fn validate_status(service: &Value) -> Vec<FieldError> {
    let known = ["True", "False", "Unknown"];
    let conditions = service.items("status.conditions").iter().enumerate();
    let wrong = conditions.filter(|(_, condition)| !known.contains(&condition.text("status")));
    wrong
        .map(|(index, condition)| {
            let path = format!("status.conditions[{index}].status");
            FieldError::not_supported(path, condition.text("status"), &known)
        })
        .collect()
}
