//! `metadata`, read and written in place: name, labels, owners, finalizers and the rest.
//!
//! Objects are JSON values throughout the API rooms; these accessors keep the paths in one place.
//! A getter never fails: what is absent or has another type reads as empty. A setter makes
//! `metadata` where it is missing, and removes a field that becomes empty, as Go's `omitempty` does.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// One entry of `metadata.ownerReferences`, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerReference<'a> {
    /// The owner's `group/version`, or `v1` in the core group.
    pub api_version: &'a str,
    /// The owner's kind.
    pub kind: &'a str,
    /// The owner's name; same namespace, or cluster-wide.
    pub name: &'a str,
    /// The owner's uid; the reference means nothing without it.
    pub uid: &'a str,
    /// True for the one owner that manages the object.
    pub controller: bool,
    /// True when a foreground deletion of the owner waits for this object.
    pub block_owner_deletion: bool,
}

/// A value inside nested objects: `get(object, &["spec", "nodeName"])`.
pub fn get<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// A string inside nested objects; empty when absent.
pub fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    get(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// An integer inside nested objects; `None` when absent.
pub fn integer(object: &Value, path: &[&str]) -> Option<i64> {
    get(object, path).and_then(Value::as_i64)
}

/// A list inside nested objects; empty when absent.
pub fn list<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    get(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A map inside nested objects; `None` when absent.
pub fn map<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Map<String, Value>> {
    get(object, path).and_then(Value::as_object)
}

/// Sets a value inside nested objects, making the objects on the way.
pub fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, parents)) = path.split_last() else {
        *object = value;
        return;
    };
    parent(object, parents).insert((*last).to_owned(), value);
}

/// Removes a value inside nested objects; the objects on the way stay.
pub fn remove(object: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(object, |value, key| value.get_mut(*key))?;
    parent.as_object_mut()?.shift_remove(*last)
}

/// The nested object at a path, made where it is missing or not an object.
fn parent<'a>(object: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut at = ensure_object(object);
    for key in path {
        at = ensure_object(at.entry(*key).or_insert(Value::Null));
    }
    at
}

fn ensure_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident => $field:literal;)*) => {
        $($(#[$doc])* pub fn $name(object: &Value) -> &str { text(object, &["metadata", $field]) })*
    };
}

texts! {
    /// `metadata.name`.
    name => "name";
    /// `metadata.namespace`; empty for cluster-wide objects.
    namespace => "namespace";
    /// `metadata.generateName`.
    generate_name => "generateName";
    /// `metadata.uid`.
    uid => "uid";
    /// `metadata.resourceVersion`, as text.
    resource_version => "resourceVersion";
    /// `metadata.creationTimestamp`, as text.
    creation_timestamp => "creationTimestamp";
}

/// `apiVersion`.
pub fn api_version(object: &Value) -> &str {
    text(object, &["apiVersion"])
}

/// `kind`.
pub fn kind(object: &Value) -> &str {
    text(object, &["kind"])
}

/// `apiVersion` split into group (empty for core) and version.
pub fn group_version(object: &Value) -> (&str, &str) {
    let api_version = api_version(object);
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// `metadata.generation`; zero when absent.
pub fn generation(object: &Value) -> i64 {
    integer(object, &["metadata", "generation"]).unwrap_or(0)
}

/// `metadata.deletionTimestamp`, while the object is being deleted.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    get(object, &["metadata", "deletionTimestamp"]).and_then(Value::as_str)
}

/// `metadata.deletionGracePeriodSeconds`.
pub fn deletion_grace_period_seconds(object: &Value) -> Option<i64> {
    integer(object, &["metadata", "deletionGracePeriodSeconds"])
}

/// `metadata.labels`.
pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    map(object, &["metadata", "labels"])
}

/// One label's value.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    labels(object)?.get(key)?.as_str()
}

/// `metadata.annotations`.
pub fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    map(object, &["metadata", "annotations"])
}

/// One annotation's value.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    annotations(object)?.get(key)?.as_str()
}

/// `metadata.finalizers`, in order.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str)
}

/// `metadata.ownerReferences`, in order.
pub fn owner_references(object: &Value) -> impl Iterator<Item = OwnerReference<'_>> {
    list(object, &["metadata", "ownerReferences"]).iter().map(|owner| OwnerReference {
        api_version: text(owner, &["apiVersion"]),
        kind: text(owner, &["kind"]),
        name: text(owner, &["name"]),
        uid: text(owner, &["uid"]),
        controller: owner["controller"] == true,
        block_owner_deletion: owner["blockOwnerDeletion"] == true,
    })
}

/// The owner that manages the object.
pub fn controller_of(object: &Value) -> Option<OwnerReference<'_>> {
    owner_references(object).find(|owner| owner.controller)
}

/// Sets `metadata.<field>` to a text; an empty one removes the field.
pub fn set_text(object: &mut Value, field: &str, value: &str) {
    if value.is_empty() {
        remove(object, &["metadata", field]);
    } else {
        set(object, &["metadata", field], Value::from(value));
    }
}

/// Sets a label.
pub fn set_label(object: &mut Value, key: &str, value: &str) {
    set(object, &["metadata", "labels", key], Value::from(value));
}

/// Sets an annotation.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    set(object, &["metadata", "annotations", key], Value::from(value));
}

/// Removes an annotation, and `annotations` with the last one.
pub fn remove_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let removed = remove(object, &["metadata", "annotations", key]);
    if annotations(object).is_some_and(Map::is_empty) {
        remove(object, &["metadata", "annotations"]);
    }
    removed
}

/// Replaces `metadata.finalizers`; an empty list removes the field.
pub fn set_finalizers(object: &mut Value, finalizers: Vec<String>) {
    if finalizers.is_empty() {
        remove(object, &["metadata", "finalizers"]);
    } else {
        set(object, &["metadata", "finalizers"], Value::from(finalizers));
    }
}

/// Sets `metadata.generation`.
pub fn set_generation(object: &mut Value, generation: i64) {
    set(object, &["metadata", "generation"], Value::from(generation));
}

/// Sets `apiVersion` and `kind`.
pub fn set_type(object: &mut Value, api_version: &str, kind: &str) {
    set(object, &["kind"], Value::from(kind));
    set(object, &["apiVersion"], Value::from(api_version));
}

/// True when `metadata.managedFields` is there with at least one entry.
pub fn has_managed_fields(object: &Value) -> bool {
    !list(object, &["metadata", "managedFields"]).is_empty()
}

/// The object as `meta.k8s.io/v1` PartialObjectMetadata: its metadata and nothing else.
pub fn partial_object(object: &Value, meta_version: &str) -> Value {
    let mut partial = Map::new();
    partial.insert("kind".into(), Value::from("PartialObjectMetadata"));
    partial.insert("apiVersion".into(), Value::from(format!("meta.k8s.io/{meta_version}")));
    let metadata = object.get("metadata").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    partial.insert("metadata".into(), metadata);
    Value::Object(partial)
}

/// Writes what [`partial_object`] gives, from the JSON of a whole object.
pub fn write_partial_object(json: &[u8], meta_version: &str, out: &mut Vec<u8>) {
    let head =
        format!("{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/{meta_version}\",\"metadata\":");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(raw_metadata(json).unwrap_or("{}").as_bytes());
    out.push(b'}');
}

/// An object's metadata as it is written. The first `"metadata":` is the object's own: kind and
/// apiVersion, which alone come before it, hold no quotes.
fn raw_metadata(json: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\"metadata\":";
    let at = json.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let mut values = serde_json::Deserializer::from_slice(&json[at..]).into_iter::<&RawValue>();
    values.next()?.ok().map(RawValue::get)
}

/// A list as `meta.k8s.io/v1` PartialObjectMetadataList.
pub fn partial_list(list: &Value, meta_version: &str) -> Value {
    let mut partial = Map::new();
    partial.insert("kind".into(), Value::from("PartialObjectMetadataList"));
    partial.insert("apiVersion".into(), Value::from(format!("meta.k8s.io/{meta_version}")));
    let metadata = list.get("metadata").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    partial.insert("metadata".into(), metadata);
    let items: Vec<_> = self::list(list, &["items"]).iter().map(|item| partial_object(item, meta_version)).collect();
    // The API server leaves Go's nil slice in an empty list.
    partial.insert("items".into(), if items.is_empty() { Value::Null } else { Value::Array(items) });
    Value::Object(partial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_fields_read_as_empty_and_setters_make_what_is_missing() {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment"});
        assert_eq!(name(&object), "");
        assert_eq!(group_version(&object), ("apps", "v1"));
        set_label(&mut object, "app", "web");
        set_annotation(&mut object, "a", "b");
        assert_eq!(label(&object, "app"), Some("web"));
        remove_annotation(&mut object, "a");
        assert!(annotations(&object).is_none());
        set_text(&mut object, "name", "web");
        assert_eq!(name(&object), "web");
        set_text(&mut object, "name", "");
        assert!(object["metadata"].get("name").is_none());
    }
}
