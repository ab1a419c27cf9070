//! Event: what happened to an object, kept for an hour. One store serves `v1` and
//! `events.k8s.io/v1`; the second is stricter about what a new Event must say.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::refused;
use crate::apiserver::kinds::{Context, FieldError, Strategy, check, names};

/// Of Events.
pub const STRATEGY: Strategy = Strategy {
    validate: |event, context| validate(event, context),
    validate_update: |new, old, _| validate_update(new, old),
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
    any_finalizer: true,
    // The newer form of the kind is judged from its metadata on.
    metadata_last: |context| context.resource.is_some_and(|resource| resource.group.is_empty()),
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

/// Fields of the newer API and what the errors call them: by the names of the older one.
const NEW_NAMES: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("reason", "reason"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

fn is_new_api(event: &Value) -> bool {
    event.text("apiVersion") == "events.k8s.io/v1"
}

fn validate(event: &Value, _: &Context) -> Vec<FieldError> {
    let mut errors = said(event);
    if !is_new_api(event) {
        return errors;
    }
    errors.extend(series(event));
    if !event.has("eventTime") {
        errors.push(FieldError::required("eventTime", ""));
    }
    let kind = event.text("type");
    if !["Normal", "Warning"].contains(&kind) {
        errors.push(FieldError::invalid("type", "", format!("has invalid value: {kind}")));
    }
    for (field, name) in NEW_NAMES.iter().filter(|(field, _)| field.starts_with("deprecated")) {
        let set = match event.at(field) {
            Value::Object(source) => source.values().any(|value| value.as_str().is_some_and(|text| !text.is_empty())),
            Value::Number(count) => count.as_i64() != Some(0),
            other => !other.is_null(),
        };
        if set {
            errors.push(FieldError::invalid(*name, "", "needs to be unset"));
        }
    }
    errors
}

/// Of a change: everything but the series stays.
fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = said(new);
    if !is_new_api(new) {
        return errors;
    }
    if new.at("series") != old.at("series") {
        errors.extend(series(new));
    }
    for (field, name) in NEW_NAMES.iter().filter(|(field, _)| new.at(field) != old.at(field)) {
        errors.push(FieldError { field: (*name).to_string(), ..refused(new, field, "field is immutable") });
    }
    errors
}

fn series(event: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !event.has("series") {
        return errors;
    }
    if event.int("series.count").unwrap_or(0) < 2 {
        errors.push(FieldError::invalid("series.count", "", "should be at least 2"));
    }
    if !event.has("series.lastObservedTime") {
        errors.push(FieldError::required("series.lastObservedTime", ""));
    }
    errors
}

/// What both APIs ask of an Event: whose it is and, if it says when, who says so.
fn said(event: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let newer = is_new_api(event);
    let involved = if newer { event.at("regarding") } else { event.at("involvedObject") };
    let (about, namespace) = (involved.text("namespace"), event.text("metadata.namespace"));
    let timed = event.has("eventTime");
    let fits = match (about.is_empty(), timed) {
        (true, false) => namespace == "default",
        (true, true) => matches!(namespace, "default" | "kube-system"),
        (false, false) => about == namespace,
        (false, true) => true,
    };
    if !fits {
        errors.push(FieldError::invalid("involvedObject.namespace", about, "does not match event.namespace"));
    }
    if !timed {
        return errors;
    }
    let field = if newer { "reportingController" } else { "reportingComponent" };
    let controller = event.text(field);
    if controller.is_empty() {
        errors.push(FieldError::required(field, ""));
    }
    errors.extend(check::faults(field, controller, names::qualified_name(controller)));
    for field in ["reportingInstance", "action", "reason"] {
        let text = event.text(field);
        if text.is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if text.len() > 128 {
            errors.push(FieldError::invalid(field, "", "can have at most 128 characters"));
        }
    }
    let note = if newer { event.text("note") } else { event.text("message") };
    if note.len() > 1024 {
        errors.push(FieldError::invalid("message", "", "can have at most 1024 characters"));
    }
    errors
}
