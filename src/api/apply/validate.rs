//! Refuses an applied object whose types the schema does not know, in structured-merge-diff's words.
//!
//! These words show Go values as Go prints them (`&value.valueUnstructured{Value:1}`), because that
//! is what clients see from the official server.

use super::set::show;
use super::shape::{Node, Shape, element, field, name_step, shape};
use crate::api::go_words;
use crate::api::schema::{Schema, Type};
use serde_json::Value;
use std::collections::HashSet;

/// Every problem of an applied object, as one text; `Ok` when there is none.
pub(super) fn check(value: &Value, schema: &Schema) -> Result<(), String> {
    let mut errors = Vec::new();
    visit(value, Some(schema), "", &mut errors);
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn fail(path: &str, message: &str, errors: &mut Vec<String>) {
    errors.push(if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") });
}

fn visit(value: &Value, node: Node<'_>, path: &str, errors: &mut Vec<String>) {
    let Some(schema) = node else { return };
    if value.is_null() {
        return;
    }
    match schema.kind() {
        Type::Object | Type::Map => visit_map(value, schema, path, errors),
        Type::List => visit_list(value, schema, path, errors),
        Type::Int32 | Type::Int64 | Type::Number if !value.is_number() => {
            fail(path, &format!("expected numeric (int or float), got {}", go_words::type_of(value)), errors);
        }
        Type::Boolean if !value.is_boolean() => {
            fail(path, &format!("expected boolean, got &{{{}}}", go_words::printed(value)), errors);
        }
        Type::String | Type::Bytes | Type::Duration if !value.is_string() => {
            let shown = format!("&value.valueUnstructured{{Value:{}}}", go_syntax(value));
            fail(path, &format!("expected string, got {shown}"), errors);
        }
        Type::Quantity | Type::IntOrString | Type::Time | Type::MicroTime if value.is_object() || value.is_array() => {
            fail(path, &format!("expected any scalar, got &{{{}}}", go_words::printed(value)), errors);
        }
        _ => {}
    }
}

fn visit_map(value: &Value, schema: &Schema, path: &str, errors: &mut Vec<String>) {
    let Value::Object(map) = value else {
        return fail(path, &format!("expected map, got &{{{}}}", go_words::printed(value)), errors);
    };
    for (key, child) in map {
        let below = format!("{path}{}", show(&name_step(key)));
        let (node, named) = field(Some(schema), key);
        let open = schema.kind() == Type::Map || schema.preserve_unknown() || schema.embedded();
        if !named && !open {
            fail(&below, "field not declared in schema", errors);
            return;
        }
        visit(child, node, &below, errors);
    }
}

fn visit_list(value: &Value, schema: &Schema, path: &str, errors: &mut Vec<String>) {
    let Value::Array(items) = value else {
        return fail(path, &format!("expected list, got &{{{}}}", go_words::printed(value)), errors);
    };
    let list = shape(Some(schema), [Some(value), None]);
    let mut seen = HashSet::new();
    for (at, item) in items.iter().enumerate() {
        let step = match list {
            Shape::Leaf | Shape::Map => format!("i:{at}"),
            _ => match element(list, item) {
                Ok(step) => step,
                Err(message) => {
                    fail(path, &format!("element {at}: {message}"), errors);
                    return;
                }
            },
        };
        let shown = show(&step);
        if !seen.insert(step) {
            fail(path, &format!("duplicate entries for key {shown}"), errors);
        }
        visit(item, schema.items(), &format!("{path}{shown}"), errors);
    }
}

/// Go's `%#v`.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key:?}:{}", go_syntax(value))).collect();
            pairs.sort();
            format!("map[string]interface {{}}{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}
