//! Event: what happened to an object, kept for an hour. One store serves `v1` and
//! `events.k8s.io/v1`; the second is stricter about what a new Event must say.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{Context, FieldError, Strategy, names};

/// Of Events.
pub const STRATEGY: Strategy = Strategy {
    validate: |event, context| validate(event, context),
    selectable_fields,
    selectable_names: &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ],
    create_on_update: true,
    ..Strategy::PLAIN
};

fn selectable_fields(event: &Value) -> Vec<(&'static str, String)> {
    let text = |path: &str| event.text(path).to_string();
    let source = match event.text("source.component") {
        "" => text("reportingComponent"),
        component => component.to_string(),
    };
    vec![
        ("involvedObject.kind", text("involvedObject.kind")),
        ("involvedObject.namespace", text("involvedObject.namespace")),
        ("involvedObject.name", text("involvedObject.name")),
        ("involvedObject.uid", text("involvedObject.uid")),
        ("involvedObject.apiVersion", text("involvedObject.apiVersion")),
        ("involvedObject.resourceVersion", text("involvedObject.resourceVersion")),
        ("involvedObject.fieldPath", text("involvedObject.fieldPath")),
        ("reason", text("reason")),
        ("reportingComponent", text("reportingComponent")),
        ("source", source),
        ("type", text("type")),
    ]
}

fn validate(event: &Value, _: &Context) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let is_new_api = event.text("apiVersion") == "events.k8s.io/v1";
    let involved = if is_new_api { event.at("regarding") } else { event.at("involvedObject") };
    let namespace = event.text("metadata.namespace");
    let about = involved.text("namespace");
    let cluster_wide = about.is_empty() && (namespace == "default" || namespace == "kube-system" || !is_new_api);
    if about != namespace && !(cluster_wide && namespace == "default") && !(about.is_empty() && is_new_api) {
        errors.push(FieldError::invalid("involvedObject.namespace", about, "does not match event.namespace"));
    }
    if !event.has("eventTime") {
        if is_new_api {
            errors.push(FieldError::required("eventTime", ""));
        }
        return errors;
    }
    let controller = if is_new_api { event.text("reportingController") } else { event.text("reportingComponent") };
    if controller.is_empty() {
        errors.push(FieldError::required("reportingController", ""));
    }
    for fault in names::qualified_name(controller) {
        errors.push(FieldError::invalid("reportingController", controller, fault));
    }
    for field in ["reportingInstance", "action", "reason"] {
        let text = event.text(field);
        if text.is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if text.len() > 128 {
            errors.push(FieldError::invalid(field, "", "can have at most 128 characters"));
        }
    }
    let note = if is_new_api { event.text("note") } else { event.text("message") };
    if note.len() > 1024 {
        errors.push(FieldError::invalid("message", "", "can have at most 1024 characters"));
    }
    let kind = event.text("type");
    if !["Normal", "Warning"].contains(&kind) {
        errors.push(FieldError::invalid("type", "", format!("has invalid value: {kind}")));
    }
    errors
}
