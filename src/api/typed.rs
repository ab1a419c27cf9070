//! The Go round trip: what reading an object into Go structs and writing it again does to it.
//!
//! In: an object of a built-in kind. Out: the object as a Kubernetes server would show it: fields in
//! Go's order, zero values left out (`omitempty`) or put in (`null`, `0`, `""`, `{}`), quantities and
//! times in their one spelling, fields the type does not have gone. Custom resources do not pass here.

use super::quantity::Quantity;
use super::schema::{Field, Schema, Type};
use serde_json::{Map, Value};

/// Makes an object what Go would write.
pub fn normalize(value: &mut Value, schema: &Schema) {
    if is_normal(value, schema) {
        // On its way through a request an object passes here several times, and is new here once.
        debug_assert_eq!(node(value.clone(), schema).to_string(), value.to_string());
        return;
    }
    let taken = value.take();
    *value = node(taken, schema);
}

fn node(value: Value, schema: &Schema) -> Value {
    match (schema.kind(), value) {
        (Type::Object, Value::Object(map)) => object(map, schema),
        (Type::Object, Value::Null) => object(Map::new(), schema),
        (Type::Map, Value::Object(map)) => map_of(map, schema),
        (Type::List, Value::Array(list)) => {
            let Some(items) = schema.items() else { return Value::Array(list) };
            Value::Array(list.into_iter().map(|item| element(item, items)).collect())
        }
        (Type::Quantity, value) => quantity(value),
        (kind @ (Type::Time | Type::MicroTime), Value::String(text)) => time(&text, kind),
        (Type::Number, Value::Number(number)) => whole(number),
        (Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings, value) => schema_or(value, schema),
        (_, value) => value,
    }
}

/// Inside a list or a map `null` is the zero value.
fn element(value: Value, schema: &Schema) -> Value {
    match value {
        // Of bytes the server makes none, which is not the same to it as nothing.
        Value::Null if schema.kind() == Type::Bytes => Value::from(""),
        Value::Null => zero(schema),
        value => node(value, schema),
    }
}

/// Go writes maps with sorted keys.
fn map_of(map: Map<String, Value>, schema: &Schema) -> Value {
    let Some(values) = schema.values() else { return Value::Object(map) };
    let mut entries: Vec<(String, Value)> =
        map.into_iter().map(|(key, value)| (key, rounded(element(value, values), values))).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(entries.into_iter().collect())
}

/// A list of resources counts in thousandths: what is finer is rounded up.
fn rounded(value: Value, schema: &Schema) -> Value {
    match (schema.kind(), value.as_str().map(Quantity::parse)) {
        (Type::Quantity, Some(Ok(exact))) => Value::from(exact.round_up(-3).to_string()),
        _ => value,
    }
}

fn object(mut map: Map<String, Value>, schema: &Schema) -> Value {
    let mut out = Map::with_capacity(map.len());
    let list_kind = schema.kinds().ends_with("List");
    for field in schema.fields() {
        let value = match map.remove(&*field.name) {
            None | Some(Value::Null) => absent(field, list_kind),
            Some(value) => present(value, field, list_kind),
        };
        if let Some(value) = value {
            out.insert(field.name.to_string(), value);
        }
    }
    Value::Object(out)
}

/// A field that is not set: what Go writes for its zero value.
fn absent(field: &Field, list_kind: bool) -> Option<Value> {
    let schema = field.schema();
    if field.omitzero || field.pointer {
        return (!field.omitempty && !field.omitzero).then_some(Value::Null);
    }
    if field.omitempty && !is_struct(schema) {
        return None;
    }
    Some(if list_kind && &*field.name == "items" { Value::Array(Vec::new()) } else { zero(schema) })
}

fn present(value: Value, field: &Field, list_kind: bool) -> Option<Value> {
    let value = node(value, field.schema());
    match shown(&value, field, list_kind) {
        Shown::AsItIs => Some(value),
        Shown::Null => Some(Value::Null),
        Shown::Not => None,
    }
}

/// How Go writes a field that is set.
#[derive(PartialEq)]
enum Shown {
    AsItIs,
    Null,
    Not,
}

fn shown(value: &Value, field: &Field, list_kind: bool) -> Shown {
    let schema = field.schema();
    let empty = match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && (schema.kind() == Type::Map || field.omitzero),
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(value) => !value,
        Value::Null => true,
    };
    let container = matches!(schema.kind(), Type::List | Type::Map | Type::Bytes);
    if !empty || field.keeps_empty && value.is_array() {
        return Shown::AsItIs;
    }
    if container && !field.omitempty && !(list_kind && &*field.name == "items") {
        return Shown::Null; // the store's protobuf does not tell empty from unset
    }
    let kept = (field.pointer && !container) || is_struct(schema) && !field.omitzero;
    if kept || !(field.omitempty || field.omitzero) { Shown::AsItIs } else { Shown::Not }
}

/// Whether Go would write a value as it is. Says no where that would be long to tell.
fn is_normal(value: &Value, schema: &Schema) -> bool {
    match (schema.kind(), value) {
        (Type::Object, Value::Object(map)) => is_normal_object(map, schema),
        (Type::Map, Value::Object(map)) => is_normal_map(map, schema),
        (Type::List, Value::Array(list)) => {
            schema.items().is_none_or(|items| list.iter().all(|item| is_normal_element(item, items)))
        }
        (Type::Quantity | Type::Time | Type::MicroTime | Type::Number, value) => node(value.clone(), schema) == *value,
        (Type::Object, Value::Null) | (Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings, _) => false,
        _ => true,
    }
}

fn is_normal_element(value: &Value, schema: &Schema) -> bool {
    !value.is_null() && is_normal(value, schema)
}

fn is_normal_map(map: &Map<String, Value>, schema: &Schema) -> bool {
    let Some(values) = schema.values() else { return true };
    let is_round = |value: &Value| values.kind() != Type::Quantity || rounded(value.clone(), values) == *value;
    map.keys().is_sorted() && map.values().all(|value| is_normal_element(value, values) && is_round(value))
}

fn is_normal_object(map: &Map<String, Value>, schema: &Schema) -> bool {
    let list_kind = schema.kinds().ends_with("List");
    let mut entries = map.iter().peekable();
    let fields_are = schema.fields().iter().all(|field| match entries.next_if(|(key, _)| **key == *field.name) {
        None => absent(field, list_kind).is_none(),
        Some((_, Value::Null)) => absent(field, list_kind) == Some(Value::Null),
        Some((_, value)) => is_normal(value, field.schema()) && shown(value, field, list_kind) == Shown::AsItIs,
    });
    fields_are && entries.next().is_none()
}

/// Types that Go's `omitempty` never leaves out.
fn is_struct(schema: &Schema) -> bool {
    matches!(
        schema.kind(),
        Type::Object
            | Type::Time
            | Type::MicroTime
            | Type::Quantity
            | Type::IntOrString
            | Type::Duration
            | Type::RawExtension
    )
}

fn zero(schema: &Schema) -> Value {
    match schema.kind() {
        Type::Boolean => Value::Bool(false),
        Type::Int32 | Type::Int64 | Type::Number | Type::IntOrString => Value::from(0),
        Type::String => Value::from(""),
        Type::Quantity => Value::from("0"),
        Type::Duration => Value::from("0s"),
        Type::Object => object(Map::new(), schema),
        _ => Value::Null,
    }
}

fn quantity(value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null => return Value::from("0"),
        _ => return value,
    };
    Quantity::parse(&text).map_or(value, |quantity| Value::from(quantity.to_string()))
}

fn time(text: &str, kind: Type) -> Value {
    let Ok(at) = text.parse::<jiff::Timestamp>() else { return Value::from(text) };
    Value::from(match kind {
        Type::MicroTime => at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        _ => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    })
}

/// Go writes a float that is whole without a point.
fn whole(number: serde_json::Number) -> Value {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => Value::from(float as i64),
        _ => Value::Number(number),
    }
}

fn schema_or(value: Value, schema: &Schema) -> Value {
    let Some(items) = schema.items() else { return value };
    match value {
        Value::Object(map) => object(map, items),
        Value::Array(list) if schema.kind() == Type::SchemaOrArray => {
            Value::Array(list.into_iter().map(|item| node(item, items)).collect())
        }
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn normalized(name: &str, mut value: Value) -> Value {
        normalize(&mut value, &Schema::builtin(name).unwrap());
        value
    }

    #[test]
    fn go_drops_writes_and_spells() {
        let pod = normalized(
            "io.k8s.api.core.v1.Pod",
            json!({"metadata": {"name": "a", "labels": {}, "creationTimestamp": null}, "kind": "Pod", "apiVersion": "v1",
                "spec": {"nope": 1, "priority": 0, "hostNetwork": false, "nodeSelector": {"b": "1", "a": null},
                    "containers": [{"image": "", "name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                        "ports": [{"containerPort": 0}], "stdin": false}]}}),
        );
        assert_eq!(
            serde_json::to_string(&pod).unwrap(),
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","ports":[{"containerPort":0}],"resources":{"limits":{"cpu":"500m","memory":"1Gi"}}}],"nodeSelector":{"a":"","b":"1"},"priority":0},"status":{}}"#
        );
    }

    #[test]
    fn what_is_normal_stays_and_what_is_not_is_told() {
        let is = |value: Value| is_normal(&value, &Schema::builtin("io.k8s.api.core.v1.Pod").unwrap());
        let pod =
            |container: Value| json!({"metadata": {"name": "a"}, "spec": {"containers": [container]}, "status": {}});
        let limits = |cpu: &str| pod(json!({"name": "c", "resources": {"limits": {"cpu": cpu}}}));
        assert!(is(limits("500m")));
        let others = [
            limits("0.5"),
            limits("1u"),
            pod(json!({"resources": {}, "name": "c"})),
            pod(json!({"name": "c", "resources": {}, "stdin": false})),
            pod(json!({"name": "c", "resources": {}, "nope": 1})),
            pod(json!({"name": "c", "resources": {}, "args": []})),
            pod(json!({"name": "c"})),
            pod(Value::Null),
            json!({"metadata": {"labels": {"b": "", "a": ""}}, "spec": {"containers": null}, "status": {}}),
            json!({"metadata": {"creationTimestamp": "2020-01-02T03:04:05+00:00"}, "spec": {"containers": null}, "status": {}}),
            json!({"metadata": null, "spec": {"containers": null}, "status": {}}),
        ];
        for other in others {
            assert!(!is(other.clone()), "{other}");
            assert!(is(normalized("io.k8s.api.core.v1.Pod", other)));
        }
    }

    #[test]
    fn unset_lists_are_null_and_unset_structs_are_there() {
        let role = normalized("io.k8s.api.rbac.v1.Role", json!({"metadata": {"name": "r"}, "rules": []}));
        assert_eq!(role, json!({"metadata": {"name": "r"}, "rules": null}));
        let list = normalized("io.k8s.api.rbac.v1.RoleList", json!({}));
        assert_eq!(list, json!({"metadata": {}, "items": []}));
        let lease =
            normalized("io.k8s.api.coordination.v1.Lease", json!({"spec": {"renewTime": "2020-01-02T03:04:05+01:00"}}));
        assert_eq!(lease["spec"]["renewTime"], "2020-01-02T02:04:05.000000Z");
    }
}
