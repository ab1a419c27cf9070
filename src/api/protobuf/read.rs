//! Protobuf to JSON. What comes out is what was sent; the Go round trip ([`super::super::typed`])
//! then leaves zero values out.

use super::super::depth;
use super::super::schema::{Field, Schema, Type};
use super::wire::{self, Scalar};
use base64::Engine as _;
use serde_json::{Map, Number, Value};

/// A message's fields as a JSON object; `None` if the bytes are no such message.
pub(super) fn message(bytes: &[u8], schema: &Schema) -> Option<Map<String, Value>> {
    nested(bytes, schema, depth::MAX)
}

/// A message that may hold `room` more levels: a schema in a schema in a schema has no other end.
fn nested(bytes: &[u8], schema: &Schema, room: usize) -> Option<Map<String, Value>> {
    let mut object = Map::new();
    level(bytes, schema, &mut Vec::new(), &mut object, room.checked_sub(1)?)?;
    Some(object)
}

fn level(
    bytes: &[u8],
    schema: &Schema,
    path: &mut Vec<u32>,
    object: &mut Map<String, Value>,
    room: usize,
) -> Option<()> {
    for field in wire::fields(bytes) {
        let (number, scalar) = field?;
        path.push(number);
        match (schema.field_on_wire(path), scalar) {
            (Some(field), scalar) if field.wire.len() == path.len() => insert(object, field, scalar, room)?,
            (Some(_), Scalar::Bytes(inner)) => level(inner, schema, path, object, room)?,
            _ => {}
        }
        path.pop();
    }
    Some(())
}

fn insert(object: &mut Map<String, Value>, field: &Field, scalar: Scalar, room: usize) -> Option<()> {
    let schema = field.schema();
    let name = field.name.to_string();
    match (schema.kind(), scalar) {
        (Type::Map, Scalar::Bytes(bytes)) => {
            let (key, value) = entry(bytes, schema.values()?, room)?;
            let map = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            map.as_object_mut()?.insert(key, value);
        }
        (Type::List, scalar) if !schema.wrapped() => {
            let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            elements(list.as_array_mut()?, scalar, schema.items()?, room)?;
        }
        (_, scalar) => {
            object.insert(name, single(scalar, schema, room)?);
        }
    }
    Some(())
}

/// One element, or all of a packed list of numbers.
fn elements(list: &mut Vec<Value>, scalar: Scalar, items: &Schema, room: usize) -> Option<()> {
    match (items.kind(), scalar) {
        (Type::Int32 | Type::Int64 | Type::Boolean, Scalar::Bytes(mut packed)) => {
            while !packed.is_empty() {
                list.push(single(Scalar::Varint(wire::take_varint(&mut packed)?), items, room)?);
            }
        }
        (_, scalar) => list.push(single(scalar, items, room)?),
    }
    Some(())
}

fn entry(bytes: &[u8], values: &Schema, room: usize) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), Value::Null);
    for field in wire::fields(bytes) {
        match field? {
            (1, Scalar::Bytes(text)) => key = std::str::from_utf8(text).ok()?.to_string(),
            (2, scalar) => value = single(scalar, values, room)?,
            _ => {}
        }
    }
    Some((key, value))
}

fn single(scalar: Scalar, schema: &Schema, room: usize) -> Option<Value> {
    Some(match (schema.kind(), scalar) {
        (Type::Boolean, Scalar::Varint(value)) => Value::Bool(value != 0),
        (Type::Int32, Scalar::Varint(value)) => Value::from(value as i32),
        (Type::Int64, Scalar::Varint(value)) => Value::from(value as i64),
        (Type::Number, Scalar::Fixed64(bits)) => {
            Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
        }
        (Type::String, Scalar::Bytes(text)) => Value::from(std::str::from_utf8(text).ok()?),
        (Type::Bytes, Scalar::Bytes(bytes)) => Value::from(base64::engine::general_purpose::STANDARD.encode(bytes)),
        (_, Scalar::Bytes(bytes)) => special(bytes, schema, room)?,
        _ => return None,
    })
}

fn special(bytes: &[u8], schema: &Schema, room: usize) -> Option<Value> {
    match schema.kind() {
        kind @ (Type::Time | Type::MicroTime) => time(bytes, kind),
        Type::Quantity => Some(Value::from(first_text(bytes, 1)?)),
        Type::IntOrString => match varint(bytes, 1)? {
            0 => Some(Value::from(varint(bytes, 2)? as i32)),
            _ => Some(Value::from(first_text(bytes, 3)?)),
        },
        Type::Duration => Some(Value::from(duration(varint(bytes, 1)? as i64))),
        Type::RawExtension | Type::FieldsV1 | Type::Json => match wire::fields(bytes).next() {
            None => Some(Value::Null),
            Some(field) => match field? {
                (1, Scalar::Bytes([])) => Some(Value::Null),
                (1, Scalar::Bytes(json)) => serde_json::from_slice(json).ok(),
                _ => None,
            },
        },
        Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings => schema_or(bytes, schema, room),
        Type::List => {
            let mut list = Vec::new();
            for field in wire::fields(bytes) {
                elements(&mut list, field?.1, schema.items()?, room)?;
            }
            Some(Value::Array(list))
        }
        _ => nested(bytes, schema, room).map(Value::Object),
    }
}

fn varint(bytes: &[u8], number: u32) -> Option<u64> {
    let mut found = 0;
    for field in wire::fields(bytes) {
        if let (n, Scalar::Varint(value)) = field? {
            found = if n == number { value } else { found };
        }
    }
    Some(found)
}

fn first_text(bytes: &[u8], number: u32) -> Option<&str> {
    let mut found: &[u8] = &[];
    for field in wire::fields(bytes) {
        if let (n, Scalar::Bytes(text)) = field? {
            found = if n == number { text } else { found };
        }
    }
    std::str::from_utf8(found).ok()
}

fn time(bytes: &[u8], kind: Type) -> Option<Value> {
    if bytes.is_empty() {
        return Some(Value::Null);
    }
    let nanos = if kind == Type::MicroTime { varint(bytes, 2)? as i32 } else { 0 };
    let at = jiff::Timestamp::new(varint(bytes, 1)? as i64, nanos).ok()?;
    let shown = match kind {
        Type::MicroTime => at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"),
        _ => at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    };
    Some(Value::from(shown.to_string()))
}

/// Go's text of a duration: `1h2m3.5s`, below a second `1.5ms`.
fn duration(nanos: i64) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let trimmed = |value: f64| {
        let text = format!("{value:.9}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    };
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", trimmed(nanos as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", trimmed(nanos as f64 / 1e6)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = trimmed((nanos % 60_000_000_000) as f64 / 1e9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

fn schema_or(bytes: &[u8], schema: &Schema, room: usize) -> Option<Value> {
    let items = schema.items()?;
    let (mut allows, mut one, mut list) = (false, None, None::<Vec<Value>>);
    for field in wire::fields(bytes) {
        match (schema.kind(), field?) {
            (Type::SchemaOrBool, (1, Scalar::Varint(value))) => allows = value != 0,
            (Type::SchemaOrBool, (2, Scalar::Bytes(inner))) | (_, (1, Scalar::Bytes(inner))) => {
                one = Some(Value::Object(nested(inner, items, room)?));
            }
            (Type::SchemaOrArray, (2, Scalar::Bytes(inner))) => {
                list.get_or_insert_default().push(Value::Object(nested(inner, items, room)?));
            }
            (Type::SchemaOrStrings, (2, Scalar::Bytes(text))) => {
                list.get_or_insert_default().push(Value::from(std::str::from_utf8(text).ok()?));
            }
            _ => {}
        }
    }
    let collapsed = one.or(list.map(Value::Array));
    Some(match schema.kind() {
        Type::SchemaOrBool => collapsed.unwrap_or(Value::Bool(allows)),
        _ => collapsed.unwrap_or(Value::Null),
    })
}
