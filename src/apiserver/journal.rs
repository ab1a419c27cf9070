//! The journal: who wrote what, and because of which earlier writes.
//!
//! In: every write the server acknowledged. Out: the latest ones, as JSON. A client says what made
//! it write in the header `tutor-cause`; from these `tutor trace` draws the chain from a command to
//! a running process. Bounded; never stored; says nothing about values. Chapter: `book/src/inside/api-server.md`.

use std::collections::VecDeque;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Writes that are remembered.
const ENTRIES: usize = 8_192;
/// Changed fields named for one write.
const FIELDS: usize = 32;

/// One acknowledged write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The store's revision it made.
    pub revision: i64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub user: String,
    /// With which program: the User-Agent up to the first slash.
    pub component: String,
    /// `create`, `update`, `patch`, `apply`, `delete`.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Paths that changed: `spec.nodeName`.
    pub fields: Vec<String>,
    /// Revisions that made the client write.
    pub causes: Vec<i64>,
}

/// The latest writes.
#[derive(Default)]
pub struct Journal {
    writes: Mutex<VecDeque<Write>>,
}

impl Journal {
    /// Notes a write.
    pub fn note(&self, write: Write) {
        let mut writes = self.writes.lock();
        if writes.len() == ENTRIES {
            writes.pop_front();
        }
        writes.push_back(write);
    }

    /// The writes that match every given pair of `resource`, `group`, `namespace`, `name`,
    /// `component`, `revision`; oldest first.
    pub fn list(&self, query: &[(String, String)]) -> Value {
        let writes = self.writes.lock();
        let wanted = |write: &&Write| {
            query.iter().all(|(key, value)| match key.as_str() {
                "resource" => write.resource == *value,
                "group" => write.group == *value,
                "namespace" => write.namespace == *value,
                "name" => write.name == *value,
                "component" => write.component == *value,
                "revision" => write.revision.to_string() == *value,
                _ => true,
            })
        };
        json!({"items": writes.iter().filter(wanted).map(entry).collect::<Vec<_>>()})
    }
}

fn entry(write: &Write) -> Value {
    json!({
        "revision": write.revision, "time": write.time.to_string(), "user": write.user,
        "component": write.component, "verb": write.verb, "group": write.group, "resource": write.resource,
        "subresource": write.subresource, "namespace": write.namespace, "name": write.name,
        "fields": write.fields, "causes": write.causes,
    })
}

/// Revisions named by the header `tutor-cause`.
pub fn causes(header: Option<&str>) -> Vec<i64> {
    header.unwrap_or("").split(',').filter_map(|text| text.trim().parse().ok()).take(64).collect()
}

/// Paths whose values differ, two levels below the top where there are objects; bookkeeping
/// (`managedFields`, `resourceVersion`) left out.
pub fn changed_fields(old: Option<&Value>, new: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    differences(old.unwrap_or(&Value::Null), new, String::new(), 0, &mut paths);
    paths.truncate(FIELDS);
    paths
}

fn differences(old: &Value, new: &Value, path: String, depth: usize, out: &mut Vec<String>) {
    const BOOKKEEPING: [&str; 5] =
        ["kind", "apiVersion", "metadata.managedFields", "metadata.resourceVersion", "metadata.uid"];
    if old == new || BOOKKEEPING.contains(&path.as_str()) {
        return;
    }
    let empty = serde_json::Map::new();
    let (before, after) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    if depth == 3 || (before.is_empty() && after.is_empty()) || (depth > 0 && (before.is_empty() || after.is_empty())) {
        out.push(path);
        return;
    }
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    for key in after.keys().chain(gone) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let (old, new) = (before.get(key).unwrap_or(&Value::Null), after.get(key).unwrap_or(&Value::Null));
        differences(old, new, path, depth + 1, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_names_the_fields_it_changed() {
        let old = json!({"metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"replicas": 1, "x": [1]}});
        let new = json!({"metadata": {"name": "a", "resourceVersion": "2"}, "spec": {"replicas": 2, "nodeName": "n"}});
        let mut fields = changed_fields(Some(&old), &new);
        fields.sort();
        assert_eq!(fields, ["spec.nodeName", "spec.replicas", "spec.x"]);
        assert_eq!(causes(Some("4, 7,x")), [4, 7]);
    }
}
