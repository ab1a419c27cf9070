//! What `apply` sends: the patch from the last applied, the wanted and the current object.
//!
//! In: three objects and the kind's schema. Out: a strategic merge patch (built-in kinds) or a merge patch (custom
//! resources). A field that the last apply set and this one does not is removed; a field that others set stays.
//!
//! Source: `k8s.io/apimachinery/pkg/util/strategicpatch` and `jsonmergepatch`.

use serde_json::{Map, Value, json};

use crate::api::schema::Schema;

type Object = Map<String, Value>;

/// Which differences are of interest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    /// What is new or other.
    Changes,
    /// What is gone.
    Deletions,
    /// Both.
    All,
}

/// The strategic merge patch of a three-way merge.
pub fn strategic(original: &Value, modified: &Value, current: &Value, schema: &Schema) -> Value {
    let changes = objects(current, modified, Some(schema), Take::Changes);
    let deletions = objects(original, modified, Some(schema), Take::Deletions);
    Value::Object(merged(deletions, changes))
}

/// The strategic merge patch that makes `after` of `before`.
pub fn difference(before: &Value, after: &Value, schema: &Schema) -> Value {
    Value::Object(objects(before, after, Some(schema), Take::All))
}

/// The JSON merge patch of a three-way merge.
pub fn json_merge(original: &Value, modified: &Value, current: &Value) -> Value {
    let changes = objects(current, modified, None, Take::Changes);
    let deletions = objects(original, modified, None, Take::Deletions);
    Value::Object(merged(deletions, changes))
}

fn objects(before: &Value, after: &Value, schema: Option<&Schema>, take: Take) -> Object {
    let empty = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let mut patch = Map::new();
    for (key, value) in after {
        let Some(known) = before.get(key) else {
            if take != Take::Deletions && !value.is_null() {
                patch.insert(key.clone(), value.clone());
            }
            continue;
        };
        let field = schema.and_then(|schema| schema.field(key));
        let child = schema.and_then(|schema| schema.child(key));
        match (known, value) {
            (Value::Object(_), Value::Object(_)) if !field.is_some_and(|field| field.patch_replace) => {
                let mut inner = objects(known, value, child, take);
                if !inner.is_empty() {
                    if retains_keys(schema, key) {
                        let keys = value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
                        inner.insert("$retainKeys".into(), json!(keys.unwrap_or_default()));
                    }
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Value::Array(old), Value::Array(new)) if field.is_some_and(|field| field.patch_merge) => {
                let merge_key = field.and_then(|field| field.patch_merge_key.as_deref()).unwrap_or_default();
                lists(key, old, new, merge_key, child.and_then(Schema::items), take, &mut patch);
            }
            _ if known != value && take != Take::Deletions => {
                patch.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
    if take != Take::Changes {
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    patch
}

/// A Deployment's and a DaemonSet's strategy: another type drops the other's fields.
fn retains_keys(schema: Option<&Schema>, key: &str) -> bool {
    let name = schema.and_then(Schema::name).unwrap_or_default();
    let kind = name.rsplit('.').next().unwrap_or_default();
    matches!((kind, key), ("DeploymentSpec", "strategy"))
}

/// A list whose elements are merged: by their key, or as a set of plain values.
fn lists(
    key: &str,
    old: &[Value],
    new: &[Value],
    merge_key: &str,
    schema: Option<&Schema>,
    take: Take,
    patch: &mut Object,
) {
    let plain = old.iter().chain(new).any(|item| !item.is_object());
    if plain {
        let added: Vec<Value> = new.iter().filter(|item| !old.contains(item)).cloned().collect();
        let gone: Vec<Value> = old.iter().filter(|item| !new.contains(item)).cloned().collect();
        let changes = take != Take::Deletions && !added.is_empty();
        let deletes = take != Take::Changes && !gone.is_empty();
        if changes {
            patch.insert(key.to_owned(), Value::Array(added));
        }
        if deletes {
            patch.insert(format!("$deleteFromPrimitiveList/{key}"), Value::Array(gone));
        }
        if changes || deletes {
            patch.insert(format!("$setElementOrder/{key}"), Value::Array(new.to_vec()));
        }
        return;
    }
    let same = |a: &Value, b: &Value| a.get(merge_key) == b.get(merge_key);
    let mut changes = Vec::new();
    for item in new {
        match old.iter().find(|known| same(known, item)) {
            Some(known) => {
                let mut inner = objects(known, item, schema, take);
                if !inner.is_empty() {
                    inner.insert(merge_key.to_owned(), item.get(merge_key).cloned().unwrap_or_default());
                    changes.push(Value::Object(inner));
                }
            }
            None if take != Take::Deletions => changes.push(item.clone()),
            None => {}
        }
    }
    if take != Take::Changes {
        let gone = old.iter().filter(|known| !new.iter().any(|item| same(known, item)));
        changes.extend(gone.map(|item| json!({"$patch": "delete", merge_key: item.get(merge_key)})));
    }
    let keys =
        |items: &[Value]| -> Vec<Value> { items.iter().map(|item| json!({merge_key: item.get(merge_key)})).collect() };
    let order_known = |items: &[Value]| -> Vec<Value> {
        let wanted = keys(new);
        keys(items).into_iter().filter(|item| wanted.contains(item)).collect()
    };
    let reordered = take != Take::Deletions
        && order_known(old) != keys(new).into_iter().filter(|item| keys(old).contains(item)).collect::<Vec<_>>();
    if !changes.is_empty() || reordered {
        patch.insert(format!("$setElementOrder/{key}"), Value::Array(keys(new)));
    }
    if !changes.is_empty() {
        patch.insert(key.to_owned(), Value::Array(changes));
    }
}

/// Two patches as one. Lists of the same field are put behind each other.
fn merged(mut first: Object, second: Object) -> Object {
    for (key, value) in second {
        match (first.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => *known = merged(std::mem::take(known), more),
            (Some(Value::Array(known)), Value::Array(more)) if !key.starts_with('$') => {
                let mut all = more;
                for item in std::mem::take(known) {
                    let key_of = |item: &Value| item.get("name").or_else(|| item.get("containerPort")).cloned();
                    let twin = all.iter_mut().find(|other| key_of(other).is_some() && key_of(other) == key_of(&item));
                    match (twin, item) {
                        (Some(Value::Object(other)), Value::Object(item)) => {
                            *other = merged(item, std::mem::take(other))
                        }
                        (_, item) => all.push(item),
                    }
                }
                *known = all;
            }
            (_, value) => {
                first.insert(key, value);
            }
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::patch::strategic::apply;
    use crate::api::schema::Schema;

    fn deployment(containers: Value, more: Value) -> Value {
        let mut object = json!({"spec": {"replicas": 1, "template": {"spec": {"containers": containers}}}});
        if let (Some(spec), Some(more)) = (object["spec"].as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        object
    }

    #[test]
    fn what_the_last_apply_set_goes_and_what_others_set_stays() {
        let schema = Schema::of_kind("apps", "v1", "Deployment").unwrap();
        let original = deployment(
            json!([{"name": "a", "image": "x:1", "env": [{"name": "E", "value": "1"}]}, {"name": "old", "image": "o"}]),
            json!({"paused": true}),
        );
        let modified = deployment(json!([{"name": "a", "image": "x:2"}]), json!({}));
        let mut current = original.clone();
        current["spec"]["template"]["spec"]["containers"][0]["tty"] = true.into();
        current["spec"]["minReadySeconds"] = 5.into();
        let patch = strategic(&original, &modified, &current, &schema);
        apply(&mut current, &patch, &schema).unwrap();
        let wanted = deployment(json!([{"name": "a", "image": "x:2", "tty": true}]), json!({"minReadySeconds": 5}));
        let containers = &current["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[0]["image"], "x:2");
        assert_eq!(containers[0]["tty"], true);
        assert_eq!(containers.as_array().unwrap().len(), 1, "{patch:#}");
        assert_eq!(current["spec"]["minReadySeconds"], wanted["spec"]["minReadySeconds"]);
        assert!(current["spec"].get("paused").is_none());
        assert!(strategic(&modified, &modified, &current, &schema).as_object().unwrap().is_empty());
    }
}
