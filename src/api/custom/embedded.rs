//! Objects inside an object (`x-kubernetes-embedded-resource`) say of what kind they are.

use super::node::Node;
use crate::api::field_error::FieldError;
use serde_json::Value;

/// Embedded objects without `apiVersion` or `kind`.
pub fn validate(node: &Node, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(node, value, "", &mut errors);
    errors
}

fn walk(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            if node.embedded {
                for name in ["apiVersion", "kind"] {
                    if map.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
                        errors.push(FieldError::required(format!("{path}.{name}"), ""));
                    }
                }
            }
            for (key, value) in map {
                let Some(child) = node.child(key) else { continue };
                let place = match (path, node.field(key)) {
                    ("", _) => key.clone(),
                    (path, Some(_)) => format!("{path}.{key}"),
                    (path, None) => format!("{path}[{key}]"),
                };
                walk(child, value, &place, errors);
            }
        }
        Value::Array(items) => {
            let Some(child) = &node.items else { return };
            for (index, item) in items.iter().enumerate() {
                walk(child, item, &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_embedded_object_has_a_kind() {
        let node = Node::read(
            &json!({"type": "object", "properties": {"e": {"type": "object", "x-kubernetes-embedded-resource": true}}}),
        );
        let words: Vec<String> =
            validate(&node, &json!({"e": {"kind": "Pod"}})).iter().map(ToString::to_string).collect();
        assert_eq!(words, ["e.apiVersion: Required value"]);
    }
}
