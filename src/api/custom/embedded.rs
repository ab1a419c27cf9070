//! Objects inside an object (`x-kubernetes-embedded-resource`) say of what kind they are.

use super::node::Node;
use crate::api::field_error::FieldError;
use crate::api::names;
use serde_json::Value;

/// What is wrong with the metadata of an object inside an object.
pub type OfMetadata = fn(&Value) -> Vec<FieldError>;

/// What is wrong with the types and the metadata of objects inside an object.
pub fn validate(node: &Node, value: &Value, of_metadata: OfMetadata) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(node, value, "", of_metadata, &mut errors);
    errors
}

fn walk(node: &Node, value: &Value, path: &str, of_metadata: OfMetadata, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            if node.embedded {
                errors.extend(version(map.get("apiVersion"), &format!("{path}.apiVersion")));
                errors.extend(kind(map.get("kind"), &format!("{path}.kind")));
                let faults = map.get("metadata").map(of_metadata).unwrap_or_default();
                errors.extend(
                    faults.into_iter().map(|fault| FieldError { field: format!("{path}.{}", fault.field), ..fault }),
                );
            }
            for (key, value) in map {
                let Some(child) = node.child(key) else { continue };
                let place = match (path, node.field(key)) {
                    ("", _) => key.clone(),
                    (path, Some(_)) => format!("{path}.{key}"),
                    (path, None) => format!("{path}[{key}]"),
                };
                walk(child, value, &place, of_metadata, errors);
            }
        }
        Value::Array(items) => {
            let Some(child) = &node.items else { return };
            for (index, item) in items.iter().enumerate() {
                walk(child, item, &format!("{path}[{index}]"), of_metadata, errors);
            }
        }
        _ => {}
    }
}

fn version(given: Option<&Value>, path: &str) -> Option<FieldError> {
    match given.map(|given| given.as_str().unwrap_or_default()) {
        None => Some(FieldError::required(path, "")),
        Some("") => Some(FieldError::invalid(path, "", "must not be empty")),
        Some(text) if text.matches('/').count() > 1 => {
            Some(FieldError::invalid(path, text, format!("unexpected GroupVersion string: {text}")))
        }
        Some(_) => None,
    }
}

fn kind(given: Option<&Value>, path: &str) -> Option<FieldError> {
    match given.map(|given| given.as_str().unwrap_or_default()) {
        None => Some(FieldError::required(path, "")),
        Some("") => Some(FieldError::invalid(path, "", "must not be empty")),
        Some(text) => {
            let faults = names::dns_1035_label(&text.to_lowercase());
            let why = format!("may have mixed case, but should otherwise match: {}", faults.join(","));
            (!faults.is_empty()).then(|| FieldError::invalid(path, text, why))
        }
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
            validate(&node, &json!({"e": {"kind": "Pod"}}), |_| Vec::new()).iter().map(ToString::to_string).collect();
        assert_eq!(words, ["e.apiVersion: Required value"]);
    }
}
