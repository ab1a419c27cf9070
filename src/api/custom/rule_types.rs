//! What rules see of a custom resource: the types of its fields, and how much of each there may be.
//!
//! In: a [`Node`] of a schema. Out: its type for CEL, with bounds that follow from `maxLength`, `maxItems` and
//! `maxProperties`, or else from what fits into a request. Source: `k8s.io/apiserver/pkg/cel/common/schemas.go`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::node::Node;
use crate::api::cel::check::{Declared, Known, Type};
use crate::api::cel::escape;

/// The most bytes a request may have.
const MAX_REQUEST: u64 = 3 * 1024 * 1024;
/// The most that one rule may cost, and all of a version together.
pub const COST_LIMITS: (u64, u64) = (10_000_000, 100_000_000);

/// A name for the type of `self`, which nobody may rely on: it is another each time.
pub fn self_type() -> String {
    static MADE: AtomicU64 = AtomicU64::new(100_000_000);
    format!("selfType{}", MADE.fetch_add(1, Ordering::Relaxed))
}

/// The type of what may not be there.
pub fn maybe(kind: &Declared) -> Declared {
    Declared { kind: Type::Opaque("optional_type".into(), vec![kind.kind.clone()]), most: kind.most, inside: None }
}

/// The type that rules at a node see, called `name` if it is an object's; `is_object` as in an embedded object
/// or at the root. `None`: rules cannot see it.
pub fn type_of(node: &Node, is_object: bool, name: &str) -> Option<Declared> {
    if node.types.len() == 2 {
        return Some(Declared::sized(Type::Dyn, letters(node, MAX_REQUEST - 2)));
    }
    Some(match node.types.first().copied().unwrap_or_default() {
        "string" => match node.format.as_str() {
            "byte" => Declared::sized(Type::Bytes, node.length.max.map_or(MAX_REQUEST - 2, |max| max.max(0) as u64)),
            "duration" => Declared::sized(Type::Duration, 32),
            "date" => Declared::sized(Type::Timestamp, 12),
            "date-time" => Declared::sized(Type::Timestamp, 32),
            _ => {
                let longest = node.values.iter().filter_map(Value::as_str).map(|text| text.len() as u64).max();
                Declared::sized(Type::Text, letters(node, longest.unwrap_or(MAX_REQUEST - 2)))
            }
        },
        "integer" => Declared::plain(Type::Int),
        "number" => Declared::plain(Type::Double),
        "boolean" => Declared::plain(Type::Bool),
        "array" => {
            let item = node.items.as_deref()?;
            Declared::list(type_of(item, item.embedded, &format!("{name}.@idx"))?, cardinality(node))
        }
        "object" => match &node.others {
            Some(others) => {
                let value = type_of(others, others.embedded, &format!("{name}.@elem"))?;
                Declared::map(value, cardinality(node))
            }
            None => object_type(node, is_object, name),
        },
        _ => return None,
    })
}

fn object_type(node: &Node, is_object: bool, name: &str) -> Declared {
    let named = node.fields.iter().filter_map(|(own, field)| {
        let own = escape(own)?;
        let kind = type_of(field, field.embedded, &format!("{name}.{own}"))?;
        Some((own, kind))
    });
    let mut fields: HashMap<String, Declared> = named.collect();
    if is_object {
        let text = || Declared::sized(Type::Text, MAX_REQUEST - 2);
        let names = Known(["name", "generateName"].map(|name| (name.to_owned(), text())).into());
        fields.insert("metadata".into(), Declared::object(format!("{name}.metadata"), names));
        fields.extend(["kind", "apiVersion"].map(|name| (name.to_owned(), text())));
    }
    Declared::object(name, Known(fields))
}

/// The most bytes of a text, each letter of which may take four.
fn letters(node: &Node, otherwise: u64) -> u64 {
    node.length.max.map_or(otherwise, |max| (max.max(0) as u64).saturating_mul(4))
}

/// The most elements a list or a map may have, as the schema says; 1 for what is neither. `None`: it does not say.
pub fn stated_most(node: &Node) -> Option<u64> {
    let stated = match node.types.first() {
        Some(&"array") => node.items_count.max,
        Some(&"object") if node.others.is_some() || node.closed => node.fields_count.max,
        _ => Some(1),
    };
    stated.map(|most| most.max(0) as u64)
}

/// How many values of a node fit into a request.
pub fn most_in_a_request(node: &Node) -> u64 {
    MAX_REQUEST / (least_bytes(node) + 1)
}

/// The most elements a list or a map may have: as the schema says, or as fit into a request.
fn cardinality(node: &Node) -> u64 {
    let (stated, inner) = match node.types.first() {
        Some(&"array") => (node.items_count.max, node.items.as_deref()),
        _ => (node.fields_count.max, node.others.as_deref()),
    };
    let beside = if node.types.first() == Some(&"array") { 1 } else { 6 };
    let least = inner.map_or(1, least_bytes) + beside;
    stated.map_or((MAX_REQUEST - 2) / least, |stated| stated.max(0) as u64)
}

/// The fewest bytes a value takes in JSON.
fn least_bytes(node: &Node) -> u64 {
    if node.types.len() == 2 {
        return 1;
    }
    match node.types.first().copied().unwrap_or_default() {
        "boolean" => 4,
        "integer" | "number" => 1,
        "string" => match node.format.as_str() {
            "duration" => 3,
            "date" => 12,
            "date-time" => 21,
            _ => 2,
        },
        "object" if node.others.is_none() => {
            let required =
                node.fields.iter().filter(|(name, field)| node.required.contains(name) && !field.has_default);
            2 + required.map(|(name, field)| name.len() as u64 + 4 + least_bytes(field)).sum::<u64>()
        }
        _ => 2,
    }
}
