//! A patched object made into its kind again, as Go's converter of unstructured objects does it.
//!
//! Only a strategic merge patch ends this way; the other patches end in JSON that is read. The converter
//! says less of what is wrong (`unrecognized type: string`), stops at the first fault in the order of
//! the kind's fields, and lets a number that is too long for its field overflow.
//! Source: `k8s.io/apimachinery/pkg/runtime/converter.go`.

use serde_json::{Number, Value};

use crate::api::go_json::{self, kind_of, type_name};
use crate::api::quantity::Quantity;
use crate::api::schema::{Schema, Type};

/// Brings a value into the form of its schema.
///
/// # Errors
/// The first fault, in Go's words.
pub fn convert(value: &mut Value, schema: &Schema) -> Result<(), String> {
    match (schema.kind(), &mut *value) {
        (_, Value::Null) => Ok(()),
        (Type::Object, Value::Object(map)) => {
            for field in schema.fields() {
                if let Some(inner) = map.get_mut(&*field.name) {
                    convert(inner, field.schema())?;
                }
            }
            Ok(())
        }
        (Type::Object, other) => Err(format!("cannot restore struct from: {}", go_kind(other))),
        (Type::Map, Value::Object(map)) => match schema.values() {
            Some(values) => map.values_mut().try_for_each(|inner| convert(inner, values)),
            None => Ok(()),
        },
        (Type::Map, other) => Err(format!("cannot restore map from {}", go_kind(other))),
        (Type::List, Value::Array(list)) => match schema.items() {
            Some(items) => list.iter_mut().try_for_each(|item| convert(item, items)),
            None => Ok(()),
        },
        (Type::List, other) => Err(format!("cannot restore slice from {}", go_kind(other))),
        (Type::String | Type::Boolean | Type::Int32 | Type::Int64 | Type::Number, _) => scalar(value, schema.kind()),
        (Type::Bytes, Value::String(text)) => match go_json::base64_error(text) {
            Some(why) => Err(format!("error decoding from json: {why}")),
            None => Ok(()),
        },
        (Type::Bytes, other) => Err(format!("cannot restore slice from {}", go_kind(other))),
        (Type::Quantity, Value::String(text)) => text.parse::<Quantity>().map(drop).map_err(|why| why.to_string()),
        // A type with a JSON of its own is read from it, without the field's name.
        (Type::Time | Type::MicroTime, other) if !other.is_string() => {
            Err(format!("json: cannot unmarshal {} into Go value of type string", kind_of(other)))
        }
        (Type::IntOrString, other) if !other.is_string() && !other.is_i64() => {
            Err(format!("json: cannot unmarshal {} into Go value of type {}", told(other), type_name(schema, "")))
        }
        _ => Ok(()),
    }
}

fn told(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("number {number}"),
        other => kind_of(other).to_string(),
    }
}

fn scalar(value: &mut Value, wanted: Type) -> Result<(), String> {
    let (from, to) = (go_type(value), go_name(wanted));
    let converted = match (&*value, wanted) {
        (Value::String(_), Type::String) | (Value::Bool(_), Type::Boolean) => return Ok(()),
        (Value::Number(number), Type::Int32 | Type::Int64) => whole(number, wanted),
        (Value::Number(_), Type::Number) => return Ok(()),
        (Value::Array(_) | Value::Object(_), _) => return Err(format!("unrecognized type: {to}")),
        // Go converts a number to a string, but as a letter; the converter does not let it.
        (Value::Number(number), Type::String) if number.is_i64() => None,
        _ => return Err(format!("unrecognized type: {to}")),
    };
    match converted {
        Some(number) => {
            *value = Value::Number(number.into());
            Ok(())
        }
        None => Err(format!("cannot convert {from} to {to}")),
    }
}

/// A number as the field's type holds it: what does not fit overflows, fractions do not convert.
fn whole(number: &Number, wanted: Type) -> Option<i64> {
    let long = match number.as_i64() {
        Some(long) => long,
        None => number.as_f64().filter(|float| float.fract() == 0.0)? as i64,
    };
    Some(if wanted == Type::Int32 { i64::from(long as i32) } else { long })
}

fn go_name(kind: Type) -> &'static str {
    match kind {
        Type::String => "string",
        Type::Boolean => "bool",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        _ => "float64",
    }
}

/// The kind that Go's reflection sees.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        other => go_type(other),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        _ => "interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_fault_is_told_without_its_place() {
        let schema = Schema::of_kind("", "v1", "Service").expect("a kind");
        for (patched, fault) in [
            (json!({"metadata": {"labels": {"a": ["b"]}}}), "unrecognized type: string"),
            (json!({"metadata": {"labels": {"a": true}}}), "unrecognized type: string"),
            (json!({"metadata": {"labels": {"a": 1}}}), "cannot convert int64 to string"),
            (
                json!({"metadata": {"creationTimestamp": {}}}),
                "json: cannot unmarshal object into Go value of type string",
            ),
            (json!({"metadata": 1}), "cannot restore struct from: int64"),
            (json!({"metadata": {"labels": 1.5}}), "cannot restore map from float64"),
            (json!({"spec": {"ports": "x"}}), "cannot restore slice from string"),
            (json!({"spec": {"healthCheckNodePort": {}}}), "unrecognized type: int32"),
            (json!({"spec": {"healthCheckNodePort": 1.5}}), "cannot convert float64 to int32"),
        ] {
            assert_eq!(convert(&mut patched.clone(), &schema), Err(fault.to_string()), "{patched}");
        }
        let mut long = json!({"spec": {"healthCheckNodePort": 2_147_483_648_i64}});
        assert_eq!(convert(&mut long, &schema), Ok(()));
        assert_eq!(long["spec"]["healthCheckNodePort"], json!(-2_147_483_648_i64));
    }
}
