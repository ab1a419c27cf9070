//! JSON to protobuf. As Go's generated code: fields in number order, map keys sorted; a scalar or
//! struct that is no pointer is always sent, even when zero.

use super::super::quantity::Quantity;
use super::super::schema::{Field, Schema, Type};
use super::tree::Tree;
use super::wire;
use base64::Engine as _;
use serde_json::Number;

pub(super) fn message(out: &mut Vec<u8>, value: &Tree<'_>, schema: &Schema) {
    level(out, value, schema, schema.order_by_wire(), 0);
}

/// The fields of one message; those of an inlined struct lie one level deeper. `order` is where they are among the
/// schema's.
fn level(out: &mut Vec<u8>, value: &Tree<'_>, schema: &Schema, order: &[u16], depth: usize) {
    let at = |index: u16| &schema.fields()[usize::from(index)];
    for group in order.chunk_by(|a, b| at(*a).wire[depth] == at(*b).wire[depth]) {
        let first = at(group[0]);
        let number = first.wire[depth];
        if first.wire.len() > depth + 1 {
            wire::put_message(out, number, |inner| level(inner, value, schema, group, depth + 1));
        } else {
            field(out, number, first, value.get(&first.name));
        }
    }
}

fn field(out: &mut Vec<u8>, number: u32, field: &Field, value: &Tree<'_>) {
    let schema = field.schema();
    match schema.kind() {
        Type::List if !schema.wrapped() => {
            let Some(items) = schema.items() else { return };
            for item in value.items() {
                single(out, number, item, items);
            }
        }
        Type::Map => map(out, number, value, schema),
        Type::Bytes if value.is_null() => {}
        _ if value.is_null() && field.pointer => {}
        _ => single(out, number, value, schema),
    }
}

fn map(out: &mut Vec<u8>, number: u32, value: &Tree<'_>, schema: &Schema) {
    let Some(values) = schema.values() else { return };
    let mut entries: Vec<_> = value.entries().iter().map(|(key, value)| (&**key, value)).collect();
    entries.sort_by_key(|entry| entry.0);
    for (key, value) in entries {
        wire::put_message(out, number, |entry| {
            wire::put_bytes(entry, 1, key.as_bytes());
            single(entry, 2, value, values);
        });
    }
}

fn single(out: &mut Vec<u8>, number: u32, value: &Tree<'_>, schema: &Schema) {
    let text = value.text();
    match schema.kind() {
        Type::Boolean => wire::put_int(out, number, value.bool().unwrap_or_default().into()),
        Type::Int32 | Type::Int64 => wire::put_int(out, number, integer(value)),
        Type::Number => wire::put_double(out, number, value.number().and_then(Number::as_f64).unwrap_or_default()),
        Type::String => wire::put_bytes(out, number, text.as_bytes()),
        Type::Bytes => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
            wire::put_bytes(out, number, &bytes);
        }
        kind => wire::put_message(out, number, |inner| special(inner, value, schema, kind)),
    }
}

/// Messages whose JSON is not their fields.
fn special(out: &mut Vec<u8>, value: &Tree<'_>, schema: &Schema, kind: Type) {
    let text = value.text();
    match kind {
        Type::Time | Type::MicroTime => time(out, text),
        Type::Quantity => {
            let number = value.number().map(ToString::to_string);
            let quantity = Quantity::parse(number.as_deref().unwrap_or(text)).unwrap_or(Quantity::ZERO);
            wire::put_bytes(out, 1, quantity.to_string().as_bytes());
        }
        Type::IntOrString => {
            wire::put_int(out, 1, matches!(value, Tree::Text(_)).into());
            wire::put_int(out, 2, integer(value));
            wire::put_bytes(out, 3, text.as_bytes());
        }
        Type::Duration => wire::put_int(out, 1, duration_nanos(text)),
        Type::RawExtension | Type::FieldsV1 | Type::Json => {
            if !(value.is_null() && kind != Type::Json) {
                wire::put_bytes(out, 1, &value.to_json());
            }
        }
        Type::SchemaOrBool => {
            wire::put_int(out, 1, value.bool().unwrap_or(true).into());
            if let (true, Some(items)) = (matches!(value, Tree::Map(_)), schema.items()) {
                wire::put_message(out, 2, |inner| message(inner, value, items));
            }
        }
        Type::SchemaOrArray | Type::SchemaOrStrings => schema_or(out, value, schema),
        Type::List => {
            let Some(items) = schema.items() else { return };
            for item in value.items() {
                single(out, 1, item, items);
            }
        }
        _ => message(out, value, schema),
    }
}

fn schema_or(out: &mut Vec<u8>, value: &Tree<'_>, schema: &Schema) {
    let Some(items) = schema.items() else { return };
    match value {
        Tree::List(list) => {
            for item in list {
                match item {
                    Tree::Text(text) => wire::put_bytes(out, 2, text.as_bytes()),
                    item => wire::put_message(out, 2, |inner| message(inner, item, items)),
                }
            }
        }
        value => wire::put_message(out, 1, |inner| message(inner, value, items)),
    }
}

fn integer(value: &Tree<'_>) -> i64 {
    value.number().and_then(Number::as_i64).unwrap_or_default()
}

fn time(out: &mut Vec<u8>, text: &str) {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        wire::put_int(out, 1, at.as_second());
        wire::put_int(out, 2, at.subsec_nanosecond().into());
    }
}

/// Go's `1h2m3.5s`.
fn duration_nanos(text: &str) -> i64 {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let mut nanos = 0.0;
    while let Some(end) = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')) {
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, left) = tail.split_at(unit_end);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map_or(0.0, |(_, factor)| *factor);
        nanos += number.parse::<f64>().unwrap_or_default() * factor;
        rest = left;
    }
    (sign * nanos) as i64
}
