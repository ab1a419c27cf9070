//! What differs between two versions of an object, path by path: shorter to read than two texts.
//!
//! In: two JSON values. Out: [`Change`]s in the order of the paths. `managedFields` and
//! `resourceVersion` change with every write and tell nothing; they are left out.

use serde::Serialize;
use serde_json::Value;

/// One path whose value differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `spec.containers[0].image`
    pub path: String,
    /// What was there; none when nothing was.
    pub before: Option<Value>,
    /// What is there; none when nothing is.
    pub after: Option<Value>,
}

const BOOKKEEPING: [&str; 2] = ["metadata.managedFields", "metadata.resourceVersion"];

/// The differences from `before` to `after`. Where one side has no object or list to look into, the
/// whole value is the change.
pub fn changes(before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let mut found = Vec::new();
    compare(before, after, String::new(), &mut found);
    found
}

fn compare(before: Option<&Value>, after: Option<&Value>, path: String, found: &mut Vec<Change>) {
    if before == after || BOOKKEEPING.contains(&path.as_str()) {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let gone = old.keys().filter(|key| !new.contains_key(*key));
            for key in new.keys().chain(gone) {
                compare(old.get(key), new.get(key), join(&path, key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for at in 0..old.len().max(new.len()) {
                compare(old.get(at), new.get(at), format!("{path}[{at}]"), found);
            }
        }
        // A new object, or one that is gone, is told by its parts, each of them a whole.
        (None, Some(Value::Object(new))) if path.is_empty() || path == "metadata" => {
            for (key, value) in new {
                compare(None, Some(value), join(&path, key), found);
            }
        }
        (Some(Value::Object(old)), None) if path.is_empty() || path == "metadata" => {
            for (key, value) in old {
                compare(Some(value), None, join(&path, key), found);
            }
        }
        _ => found.push(Change { path, before: before.cloned(), after: after.cloned() }),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_its_path_and_both_values() {
        let before = json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1, "list": [{"a": 1}]}});
        let after =
            json!({"metadata": {"resourceVersion": "2"}, "spec": {"replicas": 3, "list": [{"a": 1}, {"a": 2}]}});
        let found = changes(Some(&before), Some(&after));
        assert_eq!(found[0], Change { path: "spec.replicas".into(), before: Some(json!(1)), after: Some(json!(3)) });
        assert_eq!(found[1].path, "spec.list[1]");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_new_object_is_told_by_its_parts() {
        let found = changes(None, Some(&json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": 1}})));
        let paths: Vec<&str> = found.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["kind", "metadata.name", "spec"]);
    }
}
