//! One stored object as the watch cache holds it: JSON bytes, written once, sent to everyone.
//!
//! In: a stored value (JSON without `resourceVersion`, in the order [`encode`] writes) and its
//! revision. Out: the bytes a client gets, and labels and fields for selectors, found when first
//! asked for. Never holds the object as a tree: 10,000 Pods are 24 MB as bytes, 377 MB as structs.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

/// What selectors look at.
#[derive(Debug, Default)]
pub struct Selectable {
    /// `metadata.labels`
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// The kind's own selectable fields, without `metadata.name` and `metadata.namespace`.
    pub fields: Vec<(Box<str>, String)>,
}

impl Selectable {
    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| &**name == key).map(|(_, value)| &**value)
    }
}

/// Reads a kind's selectable fields from an object.
pub type FieldsOf = Arc<dyn Fn(&Value) -> Vec<(Box<str>, String)> + Send + Sync>;

/// One version of one object.
#[derive(Debug)]
pub struct Object {
    /// `namespace/name`, or `name` for a cluster-wide kind.
    pub key: Arc<str>,
    /// The revision that wrote it.
    pub revision: i64,
    json: Bytes,
    body_at: usize,
    selectable: OnceLock<Selectable>,
}

impl Object {
    /// From a stored value.
    pub fn new(key: Arc<str>, stored: &[u8], revision: i64) -> Object {
        let json = with_revision(stored, revision);
        let body_at = find(&json, b"\"metadata\":").unwrap_or(1);
        Object { key, revision, json: json.into(), body_at, selectable: OnceLock::new() }
    }

    /// This object as it was, under the revision that removed it.
    #[must_use]
    pub fn deleted_at(&self, revision: i64) -> Object {
        Object::new(self.key.clone(), &without_revision(&self.json), revision)
    }

    /// The whole object, `kind` and `apiVersion` first.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The object without `{`, `kind` and `apiVersion`: what a list of a built-in kind holds
    /// after an opening brace.
    pub fn body(&self) -> &[u8] {
        &self.json[self.body_at..]
    }

    /// The object as a tree.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }

    /// Namespace (empty for a cluster-wide kind).
    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// Name.
    pub fn name(&self) -> &str {
        self.key.rsplit_once('/').map_or(&self.key, |(_, name)| name)
    }

    /// What selectors look at; read from the bytes once.
    pub fn selectable(&self, fields_of: &FieldsOf) -> &Selectable {
        self.selectable.get_or_init(|| {
            let value = self.value();
            let labels = value["metadata"]["labels"]
                .as_object()
                .map(|labels| {
                    labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().unwrap_or("").into())).collect()
                })
                .unwrap_or_default();
            Selectable { labels, fields: fields_of(&value) }
        })
    }
}

/// The bytes that are stored: compact JSON; `kind`, `apiVersion`, then `metadata` beginning with
/// its plain names; no `resourceVersion`, which is the store's to say.
pub fn encode(object: &Value) -> Bytes {
    const HEAD: [&str; 4] = ["name", "generateName", "namespace", "uid"];
    let mut metadata = serde_json::Map::new();
    if let Some(from) = object["metadata"].as_object() {
        for key in HEAD {
            if let Some(value) = from.get(key) {
                metadata.insert(key.into(), value.clone());
            }
        }
        for (key, value) in from {
            if key != "resourceVersion" && !HEAD.contains(&key.as_str()) {
                metadata.insert(key.clone(), value.clone());
            }
        }
    }
    let mut out = Vec::with_capacity(1024);
    out.push(b'{');
    write_field(&mut out, "kind", &object["kind"]);
    out.push(b',');
    write_field(&mut out, "apiVersion", &object["apiVersion"]);
    out.push(b',');
    write_field(&mut out, "metadata", &Value::Object(metadata));
    for (key, value) in object.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
            out.push(b',');
            write_field(&mut out, key, value);
        }
    }
    out.push(b'}');
    out.into()
}

fn write_field(out: &mut Vec<u8>, key: &str, value: &Value) {
    // Writing JSON into a Vec cannot fail: a Vec takes every byte, and Value has no foreign types.
    let _ = serde_json::to_writer(&mut *out, key);
    out.push(b':');
    let _ = serde_json::to_writer(out, value);
}

/// `metadata.uid` is the last of the plain names [`encode`] writes first, and no string before it
/// can hold `"uid":"` without a backslash; so the first occurrence is it.
fn with_revision(stored: &[u8], revision: i64) -> Vec<u8> {
    const UID: &[u8] = b"\"uid\":\"";
    const METADATA: &[u8] = b"\"metadata\":{";
    let field = format!("\"resourceVersion\":\"{revision}\"");
    let after_uid = find(stored, UID).and_then(|at| {
        stored[at + UID.len()..].iter().position(|byte| *byte == b'"').map(|end| at + UID.len() + end + 1)
    });
    let mut json = Vec::with_capacity(stored.len() + field.len() + 1);
    if let Some(at) = after_uid {
        json.extend_from_slice(&stored[..at]);
        json.push(b',');
        json.extend_from_slice(field.as_bytes());
        json.extend_from_slice(&stored[at..]);
    } else if let Some(at) = find(stored, METADATA).map(|at| at + METADATA.len()) {
        json.extend_from_slice(&stored[..at]);
        json.extend_from_slice(field.as_bytes());
        if stored.get(at) != Some(&b'}') {
            json.push(b',');
        }
        json.extend_from_slice(&stored[at..]);
    } else {
        json.extend_from_slice(stored);
    }
    json
}

fn without_revision(json: &[u8]) -> Vec<u8> {
    const FIELD: &[u8] = b",\"resourceVersion\":\"";
    let Some(start) = find(json, FIELD) else { return json.to_vec() };
    let digits = json[start + FIELD.len()..].iter().take_while(|byte| **byte != b'"').count();
    [&json[..start], &json[start + FIELD.len() + digits + 1..]].concat()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_revision_goes_into_metadata_and_out_again() {
        let object = json!({
            "metadata": {"labels": {"uid": "\"uid\":\"x"}, "uid": "u-1", "name": "web", "resourceVersion": "3"},
            "spec": {"a": 1}, "kind": "Pod", "apiVersion": "v1",
        });
        let cached = Object::new("default/web".into(), &encode(&object), 7);
        assert_eq!(cached.value()["metadata"]["resourceVersion"], "7");
        assert_eq!(cached.deleted_at(9).value()["metadata"]["resourceVersion"], "9");
        assert!(cached.json().starts_with(b"{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"web\","));
        assert!(cached.body().starts_with(b"\"metadata\":"));
        assert_eq!((cached.namespace(), cached.name()), ("default", "web"));
        let mut expected = object;
        expected["metadata"]["resourceVersion"] = json!("7");
        assert_eq!(cached.value(), expected);
    }
}
