//! Validation of `metadata`, the same for every kind, built-in or custom.
//!
//! Source: `k8s.io/apimachinery/pkg/api/validation/objectmeta.go`.

use serde_json::Value;

use super::FieldError;
use super::json::Json;
use super::names::{self, NameRule};
use crate::api::go_values::{empty_at, shown};

const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;

/// What is wrong with the metadata of a new object.
pub fn validate(object: &Value, rule: NameRule, namespaced: bool) -> Vec<FieldError> {
    let meta = object.at("metadata");
    let mut errors = generate_name(object, rule);
    let name = meta.text("name");
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        for fault in rule.check(name, false) {
            errors.push(FieldError::invalid("metadata.name", name, fault));
        }
    }
    let namespace = meta.text("namespace");
    if namespaced {
        if namespace.is_empty() {
            errors.push(FieldError::required("metadata.namespace", ""));
        } else {
            for fault in names::dns_label(namespace) {
                errors.push(FieldError::invalid("metadata.namespace", namespace, fault));
            }
        }
    } else if !namespace.is_empty() {
        errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"));
    }
    if let Some(generation) = meta.int("generation") {
        errors.extend(non_negative(generation, "metadata.generation"));
    }
    errors.extend(labels(meta.at("labels"), "metadata.labels"));
    errors.extend(annotations(meta.at("annotations"), "metadata.annotations"));
    errors.extend(owner_references(meta.at("ownerReferences")));
    errors.extend(finalizers(meta.items("finalizers")));
    errors
}

/// What is wrong with a name's beginning.
pub fn generate_name(object: &Value, rule: NameRule) -> Vec<FieldError> {
    let prefix = object.text("metadata.generateName");
    let faults = if prefix.is_empty() { Vec::new() } else { rule.check(prefix, true) };
    faults.into_iter().map(|fault| FieldError::invalid("metadata.generateName", prefix, fault)).collect()
}

/// What is wrong with the metadata of an object's template: of all of it only labels and annotations may be.
pub fn of_template(meta: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = labels(meta.at("labels"), &format!("{path}.labels"));
    errors.extend(annotations(meta.at("annotations"), &format!("{path}.annotations")));
    let set = |field: &str, value: &Value| !is_zero(value) || field == "deletionGracePeriodSeconds" && !value.is_null();
    let given = meta.as_object().into_iter().flatten().filter(|(field, value)| set(field, value));
    let came_empty = ["finalizers", "managedFields", "ownerReferences"]
        .into_iter()
        .filter(|field| empty_at(&format!("{path}.{field}")) == Value::Array(Vec::new()));
    for field in given.map(|(field, _)| field.as_str()).chain(came_empty) {
        // The Go field's name with a small first letter.
        let name = if field == "uid" { "uID" } else { field };
        if !["labels", "annotations"].contains(&name) {
            errors.push(FieldError::forbidden(format!("{path}.{name}"), "cannot be set"));
        }
    }
    errors
}

/// Whether Go has nothing there: no value, or a list or map that is not even empty.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(flag) => !flag,
        _ => false,
    }
}

/// What is wrong with a change of metadata.
pub fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let (meta, before) = (new.at("metadata"), old.at("metadata"));
    let mut errors = generate_name(new, NameRule::PathSegment);
    if before.has("deletionTimestamp") {
        let known: Vec<&str> = before.items("finalizers").iter().filter_map(Value::as_str).collect();
        let mut extra: Vec<&str> =
            meta.items("finalizers").iter().filter_map(Value::as_str).filter(|name| !known.contains(name)).collect();
        if !extra.is_empty() {
            extra.sort_unstable();
            let list: Vec<String> = extra.iter().map(|name| format!("{name:?}")).collect();
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    list.join(", ")
                ),
            ));
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if meta.at(field) != before.at(field) {
            errors.push(FieldError::invalid(format!("metadata.{field}"), meta.at(field).clone(), "field is immutable"));
        }
    }
    if let (Some(generation), Some(was)) = (meta.int("generation"), before.int("generation"))
        && generation < was
    {
        errors.push(FieldError::invalid("metadata.generation", generation, "must not be decremented"));
    }
    errors.extend(labels(meta.at("labels"), "metadata.labels"));
    errors.extend(annotations(meta.at("annotations"), "metadata.annotations"));
    errors.extend(owner_references(meta.at("ownerReferences")));
    errors.extend(finalizers(meta.items("finalizers")));
    errors
}

/// What is wrong with a map of labels.
pub fn labels(map: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in map.as_object().into_iter().flatten() {
        for fault in names::qualified_name(key) {
            errors.push(FieldError::invalid(path, key.as_str(), fault));
        }
        let text = value.as_str().unwrap_or("");
        for fault in names::label_value(text) {
            errors.push(FieldError::invalid(path, text, fault));
        }
    }
    errors
}

/// What is wrong with annotations: keys, and the size of all of them.
pub fn annotations(map: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in map.as_object().into_iter().flatten() {
        for fault in names::qualified_name(&key.to_lowercase()) {
            errors.push(FieldError::invalid(path, key.as_str(), fault));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_MAX_BYTES {
        errors.push(FieldError::too_long(path, ANNOTATIONS_MAX_BYTES));
    }
    errors
}

/// `must be greater than or equal to 0`, if it is not.
pub fn non_negative(number: i64, path: &str) -> Option<FieldError> {
    (number < 0).then(|| FieldError::invalid(path, number, "must be greater than or equal to 0"))
}

fn owner_references(list: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for (index, owner) in list.as_array().into_iter().flatten().enumerate() {
        let path = format!("metadata.ownerReferences[{index}]");
        let version = owner.text("apiVersion");
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.text(field).is_empty() {
                errors.push(FieldError::required(format!("{path}.{field}"), "must not be empty"));
            }
        }
        if !version.is_empty() && (version.ends_with('/') || version.matches('/').count() > 1) {
            let detail = "must be <group>/<version> or <version>";
            errors.push(FieldError::invalid(format!("{path}.apiVersion"), version, detail));
        }
        if owner.text("apiVersion") == "v1" && owner.text("kind") == "Event" {
            errors.push(FieldError::invalid(path, owner.clone(), "/v1, Kind=Event is disallowed from being an owner"));
        }
        if owner.flag("controller") {
            let here = format!("{}/{}", owner.text("kind"), owner.text("name"));
            match &controller {
                Some(first) => errors.push(FieldError::invalid(
                    "metadata.ownerReferences",
                    list.clone(),
                    format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {here}"
                    ),
                )),
                None => controller = Some(here),
            }
        }
    }
    errors
}

fn finalizers(list: &[Value]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    for (index, name) in names.iter().enumerate() {
        for fault in names::qualified_name(name) {
            errors.push(FieldError::invalid("metadata.finalizers", *name, fault));
        }
        if !name.contains('/') && !["kubernetes", "orphan", "foregroundDeletion"].contains(name) {
            errors.push(FieldError::invalid(
                format!("metadata.finalizers[{index}]"),
                *name,
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
    if names.contains(&"orphan") && names.contains(&"foregroundDeletion") {
        errors.push(FieldError::invalid(
            "metadata.finalizers",
            Value::from(names),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
    errors
}

/// `field is immutable`, when `path` changed.
pub fn immutable(new: &Value, old: &Value, path: &str) -> Option<FieldError> {
    (new.at(path) != old.at(path)).then(|| refused(new, path, "field is immutable"))
}

/// `Invalid value`, shown as the server's own types have it.
pub fn refused(object: &Value, path: &str, detail: &str) -> FieldError {
    let value = object.at(path);
    match (value, shown(object, path)) {
        (Value::Object(_) | Value::Array(_) | Value::Null, Some(shown)) => FieldError::invalid_raw(path, shown, detail),
        _ => FieldError::invalid(path, value.clone(), detail),
    }
}

/// As [`immutable`], for kinds whose rules are declared beside their types: the new value is not shown.
pub fn declared_immutable(new: &Value, old: &Value, path: &str) -> Option<FieldError> {
    (new.at(path) != old.at(path)).then(|| FieldError::invalid(path, Value::Null, "field is immutable"))
}
