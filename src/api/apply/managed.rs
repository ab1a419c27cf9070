//! `metadata.managedFields`: who owns which fields, since when, through which part of the API.
//!
//! An entry is told apart by manager, operation, subresource and, for updates, version. Entries are
//! written in one order: Apply before Update, then by time, manager, version, subresource.

use super::set::FieldSet;
use crate::api::meta;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Update entries beyond this many are joined, oldest first.
const MAX_UPDATERS: usize = 10;
/// Who owns the joined ones.
const ANCIENT: &str = "ancient-changes";

/// `Apply` or `Update`: the two ways to own a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What tells one entry from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ManagerId {
    pub(super) manager: String,
    pub(super) operation: Operation,
    /// Empty for Apply: an applier is one manager in every version.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) fields: FieldSet,
    pub(super) api_version: String,
    pub(super) time: Option<String>,
}

/// Every entry of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managed(pub(super) BTreeMap<ManagerId, Entry>);

impl Managed {
    /// Reads an object's entries; `None` when one of them is malformed.
    pub(super) fn decode(object: &Value) -> Option<Managed> {
        let mut managed = Managed::default();
        for entry in meta::list(object, &["metadata", "managedFields"]) {
            let (id, entry) = decode_entry(entry)?;
            managed.0.insert(id, entry);
        }
        Some(managed)
    }

    /// Reads entries, and takes malformed ones for none.
    pub(super) fn decode_or_empty(object: &Value) -> Managed {
        Managed::decode(object).unwrap_or_default()
    }

    /// Writes the entries into an object; none removes the field.
    pub(super) fn encode_into(&self, object: &mut Value) {
        if self.0.is_empty() {
            meta::remove(object, &["metadata", "managedFields"]);
            return;
        }
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by(|(a, x), (b, y)| {
            let key = |id: &ManagerId, entry: &Entry| (id.operation, seconds(entry), id.manager.clone());
            key(a, x)
                .cmp(&key(b, y))
                .then_with(|| (&x.api_version, &a.subresource).cmp(&(&y.api_version, &b.subresource)))
        });
        let entries = entries.into_iter().map(|(id, entry)| encode_entry(id, entry)).collect();
        meta::set(object, &["metadata", "managedFields"], Value::Array(entries));
    }

    /// Drops entries that own nothing.
    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|_, entry| !entry.fields.is_empty());
    }

    /// Joins the oldest updaters until there are few enough; each version has its own bucket.
    pub(super) fn cap_updaters(&mut self) {
        let mut updaters: Vec<ManagerId> =
            self.0.keys().filter(|id| id.operation == Operation::Update).cloned().collect();
        let mut count = updaters.len();
        updaters.sort_by_key(|id| (seconds(&self.0[id]), id.clone()));
        let mut first_of_version = BTreeMap::<String, ManagerId>::new();
        for id in updaters {
            if count <= MAX_UPDATERS {
                return;
            }
            let version = self.0[&id].api_version.clone();
            let Some(first) = first_of_version.get(&version) else {
                first_of_version.insert(version, id);
                continue;
            };
            let bucket = ManagerId {
                manager: ANCIENT.to_owned(),
                operation: Operation::Update,
                api_version: version,
                subresource: String::new(),
            };
            if !self.0.contains_key(&bucket)
                && let Some(entry) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), entry);
            }
            if bucket == id {
                continue;
            }
            if let (Some(joined), Some(bucket)) = (self.0.remove(&id), self.0.get_mut(&bucket)) {
                bucket.fields = joined.fields.union(&bucket.fields);
                bucket.time = joined.time;
                count -= 1;
            }
        }
    }
}

fn seconds(entry: &Entry) -> i64 {
    entry.time.as_ref().and_then(|time| time.parse::<Timestamp>().ok()).map_or(0, Timestamp::as_second)
}

fn decode_entry(entry: &Value) -> Option<(ManagerId, Entry)> {
    let text = |key: &str| meta::text(entry, &[key]).to_owned();
    let operation = match entry["operation"].as_str()? {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    if entry["fieldsType"] != "FieldsV1" {
        return None;
    }
    let fields = match &entry["fieldsV1"] {
        Value::Null => FieldSet::default(),
        fields => FieldSet::decode(fields)?,
    };
    let api_version = text("apiVersion");
    let id = ManagerId {
        manager: text("manager"),
        operation,
        api_version: if operation == Operation::Apply { String::new() } else { api_version.clone() },
        subresource: text("subresource"),
    };
    Some((id, Entry { fields, api_version, time: entry["time"].as_str().map(str::to_owned) }))
}

fn encode_entry(id: &ManagerId, entry: &Entry) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    if !id.manager.is_empty() {
        put("manager", json!(id.manager));
    }
    put("operation", json!(if id.operation == Operation::Apply { "Apply" } else { "Update" }));
    put("apiVersion", json!(entry.api_version));
    if let Some(time) = &entry.time {
        put("time", json!(time));
    }
    put("fieldsType", json!("FieldsV1"));
    put("fieldsV1", entry.fields.encode());
    if !id.subresource.is_empty() {
        put("subresource", json!(id.subresource));
    }
    Value::Object(object)
}
