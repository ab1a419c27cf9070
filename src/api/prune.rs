//! Custom resources: fields that their schema does not name go, its defaults come.
//!
//! In: an object and its structural schema. Out: the object pruned, with the paths that went, as
//! `unknown field "spec.nope"`; or defaulted. Source: apiextensions-apiserver, structural schemas.

use super::schema::{Schema, Type};
use serde_json::{Map, Value};

/// Drops the fields that `schema` does not name; tells each as `unknown field "…"`, sorted.
pub fn prune(value: &mut Value, schema: &Schema) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(value, schema, &mut String::new(), &mut unknown);
    unknown.sort_unstable();
    unknown
}

fn walk(value: &mut Value, schema: &Schema, path: &mut String, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) if matches!(schema.kind(), Type::Object | Type::Any) => {
            fields(map, schema, path, unknown);
        }
        Value::Object(map) if schema.kind() == Type::Map => {
            let Some(values) = schema.values() else { return };
            for (key, value) in map.iter_mut() {
                inside(path, &step(key), |path| walk(value, values, path, unknown));
            }
        }
        // An object where a number or a list should be: none of its fields is known.
        Value::Object(map) if !matches!(schema.kind(), Type::RawExtension | Type::Json | Type::FieldsV1) => {
            fields(map, schema, path, unknown);
        }
        Value::Array(list) => {
            let Some(items) = schema.items() else { return };
            for (index, item) in list.iter_mut().enumerate() {
                inside(path, &format!("[{index}]"), |path| walk(item, items, path, unknown));
            }
        }
        _ => {}
    }
}

fn fields(map: &mut Map<String, Value>, schema: &Schema, path: &mut String, unknown: &mut Vec<String>) {
    let keep_unknown = schema.preserve_unknown();
    map.retain(|key, value| {
        let known = match schema.field(key) {
            Some(field) => {
                inside(path, &step(key), |path| walk(value, field.schema(), path, unknown));
                true
            }
            None => keep_unknown,
        };
        if !known {
            inside(path, &step(key), |path| {
                unknown.push(format!("unknown field \"{}\"", path.strip_prefix('.').unwrap_or(path)));
            });
        }
        known
    });
}

fn step(key: &str) -> String {
    format!(".{key}")
}

fn inside(path: &mut String, step: &str, act: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(step);
    act(path);
    path.truncate(length);
}

/// Fills in the defaults of a custom resource's schema, outside in: a default may hold further ones.
/// `null` where the schema does not allow it counts as missing, and goes where there is no default.
pub fn default(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(map) if schema.kind() == Type::Map => {
            let Some(values) = schema.values() else { return };
            for value in map.values_mut() {
                fill(value, values);
            }
            map.retain(|_, value| !value.is_null() || values.nullable());
        }
        Value::Object(map) => {
            for field in schema.fields() {
                let node = field.schema();
                let missing = map.get(&*field.name).is_none_or(|value| value.is_null() && !node.nullable());
                if let (true, Some(given)) = (missing, node.default()) {
                    map.insert(field.name.to_string(), given.clone());
                }
                if node.name().is_some() {
                    // Metadata is no custom schema's: it has a Go type.
                    continue;
                }
                if let Some(value) = map.get_mut(&*field.name) {
                    default(value, node);
                    if value.is_null() && !node.nullable() {
                        map.shift_remove(&*field.name);
                    }
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.items() else { return };
            for item in list {
                fill(item, items);
            }
        }
        _ => {}
    }
}

fn fill(value: &mut Value, schema: &Schema) {
    if let (true, false, Some(given)) = (value.is_null(), schema.nullable(), schema.default()) {
        *value = given.clone();
    }
    default(value, schema);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_custom_resource_is_pruned_and_defaulted() {
        let schema = Schema::from_openapi(
            &json!({"type": "object", "properties": {"spec": {"type": "object", "default": {},
            "properties": {"size": {"type": "integer", "default": 3}, "any": {"x-kubernetes-preserve-unknown-fields": true},
                "parts": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string", "default": "x"}}}}}}}}),
        );
        let mut value = json!({"kind": "W", "metadata": {"name": "a", "foo": 1},
            "spec": {"nope": 1, "any": {"b": {"c": 1}}, "parts": [{"id": null, "z": 1}]}});
        let unknown = prune(&mut value, &schema);
        assert_eq!(
            unknown,
            ["unknown field \"metadata.foo\"", "unknown field \"spec.nope\"", "unknown field \"spec.parts[0].z\""]
        );
        default(&mut value, &schema);
        assert_eq!(value["spec"], json!({"any": {"b": {"c": 1}}, "parts": [{"id": "x"}], "size": 3}));
        let mut empty = json!({});
        default(&mut empty, &schema);
        assert_eq!(empty, json!({"spec": {"size": 3}}));
    }
}
