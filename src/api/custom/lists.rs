//! Lists that are sets or maps hold each element once.

use super::node::Node;
use crate::api::field_error::FieldError;
use serde_json::{Map, Value};

/// The second one among equal elements.
pub fn duplicates(node: &Node, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(node, value, "", &mut errors);
    errors
}

fn walk(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let place = match (path, node.field(key)) {
                    ("", _) => key.clone(),
                    (path, Some(_)) => format!("{path}.{key}"),
                    (path, None) => format!("{path}[{key}]"),
                };
                if let Some(child) = node.child(key) {
                    walk(child, value, &place, errors);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let place = format!("{path}[{index}]");
                // The second of them stands for all that follow.
                if items[..index].iter().filter(|before| same(node, before, item)).count() == 1 {
                    errors.push(FieldError::duplicate(place.clone(), identity(node, item)));
                }
                if let Some(child) = &node.items {
                    walk(child, item, &place, errors);
                }
            }
        }
        _ => {}
    }
}

fn same(node: &Node, one: &Value, other: &Value) -> bool {
    match node.list_type.as_str() {
        "set" => one == other,
        "map" => identity(node, one) == identity(node, other),
        _ => false,
    }
}

/// What tells an element of a map from the others.
fn identity(node: &Node, item: &Value) -> Value {
    if node.list_type != "map" {
        return item.clone();
    }
    let mut keys: Vec<&String> = node.keys.iter().collect();
    keys.sort_unstable();
    let fields: Map<String, Value> =
        keys.into_iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_element_is_there_once() {
        let node = Node::read(&json!({"type": "object", "properties": {
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "map": {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}}}));
        let value = json!({"set": ["x", "x"], "map": [{"k": "a", "v": 1}, {"k": "a"}, {"k": "b"}]});
        let words: Vec<String> = duplicates(&node, &value).iter().map(ToString::to_string).collect();
        assert_eq!(words, ["set[1]: Duplicate value: \"x\"", "map[1]: Duplicate value: {\"k\":\"a\"}"]);
    }
}
