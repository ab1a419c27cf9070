//! How a schema node divides ownership: a leaf is owned as a whole, a map field by field, a list
//! element by element.
//!
//! Without a schema (`x-kubernetes-preserve-unknown-fields`) the value itself decides: objects are
//! divided, everything else is a leaf.

use super::set::key_step;
use crate::api::schema::{ListType, Schema, Type};
use serde_json::Value;
use std::sync::Arc;

/// A schema node, or none.
pub(super) type Node<'a> = Option<&'a Schema>;

/// What a node is to ownership.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'a> {
    Leaf,
    Map,
    Set(Node<'a>),
    Keyed(Node<'a>, &'a [Arc<str>]),
}

/// The shape of a node; `values` are the sides to deduce it from where the schema is silent.
pub(super) fn shape<'a>(node: Node<'a>, values: [Option<&Value>; 2]) -> Shape<'a> {
    let objects = || values.iter().flatten().any(|value| value.is_object());
    let Some(schema) = node else {
        let mixed = values.iter().flatten().any(|value| !value.is_object());
        return if objects() && !mixed { Shape::Map } else { Shape::Leaf };
    };
    match schema.kind() {
        Type::Object | Type::Map if schema.atomic_map() => Shape::Leaf,
        Type::Object | Type::Map => Shape::Map,
        Type::Any if schema.preserve_unknown() => shape(None, values),
        Type::List => match schema.list_type() {
            ListType::Atomic => Shape::Leaf,
            ListType::Set => Shape::Set(schema.items()),
            ListType::Map(keys) => Shape::Keyed(schema.items(), keys),
        },
        _ => Shape::Leaf,
    }
}

/// The node of a key inside a map, and whether the schema names it as a field of a struct.
pub(super) fn field<'a>(node: Node<'a>, key: &str) -> (Node<'a>, bool) {
    match node {
        Some(schema) if schema.kind() == Type::Map => (schema.values(), false),
        Some(schema) => match schema.field(key) {
            Some(field) => (Some(field.schema()), true),
            None => (None, false),
        },
        None => (None, false),
    }
}

/// The step that names a list's element. Errors in the words of structured-merge-diff.
pub(super) fn element(shape: Shape<'_>, item: &Value) -> Result<String, String> {
    match shape {
        Shape::Keyed(node, keys) => keyed(node, keys, item),
        _ => match item {
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            scalar => Ok(format!("v:{scalar}")),
        },
    }
}

fn keyed(node: Node<'_>, keys: &[Arc<str>], item: &Value) -> Result<String, String> {
    let Value::Object(fields) = item else {
        let what = if item.is_null() { "a null element" } else { "non-map elements" };
        return Err(format!("associative list with keys may not have {what}"));
    };
    let mut found = Vec::new();
    for key in keys {
        let default = || node?.field(key)?.default.as_ref().or(node?.field(key)?.schema().default());
        match fields.get(&**key).or_else(default) {
            Some(value) => found.push((key.to_string(), value.clone())),
            None => continue,
        }
    }
    if found.is_empty() {
        let names: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values \
             for any key fields)",
            names.join(" ")
        ));
    }
    Ok(key_step(found))
}

/// The step of a map's key.
pub(super) fn name_step(key: &str) -> String {
    format!("f:{key}")
}

/// Null, absent or without content: what a list or map with nothing in it looks like.
pub(super) fn is_blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}
