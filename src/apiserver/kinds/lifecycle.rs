//! What most kinds do on create and update: who may write `status`, and when `generation` moves.

use serde_json::Value;

use super::json::{Json, copy, drop_at, put};
use super::{Context, Subresource};
use crate::api::meta;

/// The `status` subresource: only `status` and labels, annotations and the like may change.
pub const STATUS: Subresource = Subresource { name: "status", prepare: only_status, validate: |_, _, _| Vec::new() };

/// Create: a client does not write `status`.
pub fn drop_status(object: &mut Value, _: &Context) {
    drop_at(object, "status");
}

/// Create: as [`drop_status`], and generations are counted.
pub fn first_generation(object: &mut Value, context: &Context) {
    drop_status(object, context);
    meta::set_generation(object, 1);
}

/// Create: generations are counted, there is no `status`.
pub fn only_generation(object: &mut Value, _: &Context) {
    meta::set_generation(object, 1);
}

/// Update: `status` stays what it was.
pub fn keep_status(new: &mut Value, old: &Value, _: &Context) {
    copy(new, old, "status");
}

/// Update: `status` stays, and a change of anything but metadata is a new generation.
pub fn keep_status_and_count(new: &mut Value, old: &Value, context: &Context) {
    keep_status(new, old, context);
    count(new, old);
}

/// Update: a change of anything but metadata is a new generation.
pub fn count_generation(new: &mut Value, old: &Value, _: &Context) {
    count(new, old);
}

/// Sets `metadata.generation` from the old one and whether anything but metadata and status
/// changed.
pub fn count(new: &mut Value, old: &Value) {
    let changed = differs(new, old) || differs(old, new);
    meta::set_generation(new, meta::generation(old) + i64::from(changed));
}

fn differs(one: &Value, other: &Value) -> bool {
    let fields = one.as_object().into_iter().flatten();
    fields
        .filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status" | "apiVersion" | "kind"))
        .any(|(key, value)| other.at(key) != value)
}

/// Metadata stays what it was, but for who owns which field.
pub fn keep_metadata(new: &mut Value, old: &Value) {
    let managed = new.at("metadata.managedFields").clone();
    copy(new, old, "metadata");
    if managed.is_null() {
        drop_at(new, "metadata.managedFields");
    } else {
        put(new, "metadata.managedFields", managed);
    }
}

/// Status update: everything but `status` and metadata is put back.
pub fn only_status(new: &mut Value, old: &Value, _: &Context) {
    let fields: Vec<String> =
        [&*new, old].iter().filter_map(|object| object.as_object()).flatten().map(|(key, _)| key.clone()).collect();
    for field in fields {
        if !matches!(field.as_str(), "metadata" | "status" | "apiVersion" | "kind") {
            copy(new, old, &field);
        }
    }
    copy(new, old, "metadata.generation");
    copy(new, old, "metadata.ownerReferences");
}

/// Puts an empty `status` where there is none, as a Go struct has one.
pub fn with_status(object: &mut Value) {
    if !object.has("status") {
        put(object, "status", Value::Object(serde_json::Map::new()));
    }
}
