//! Version 2 writes a parameter that any operation may have once, under a name, and refers to it.
//!
//! In: the paths. Out: the paths with references, and the parameters by their names. A name ends in a hash of the
//! parameter as Go writes it, so its fields have to stand in Go's order. Parameters that belong to one kind stay where
//! they are, and so do two that older clients look for. Source: `k8s.io/kube-openapi/pkg/builder/parameters.go`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, Value, json};

/// The order in which Go writes a parameter.
const ORDER: [&str; 7] = ["uniqueItems", "type", "description", "name", "in", "required", "schema"];
/// The bytes of a hash that a name shows.
const SHOWN: usize = 6;

/// Replaces what is shared by references; what they refer to, sorted by name.
pub(super) fn refer(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let mut shared = Map::new();
    for part in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|item| item.iter_mut()) {
        let parameters = match part {
            (name, list) if name == "parameters" => Some(list),
            (_, operation) => operation.get_mut("parameters"),
        };
        for parameter in parameters.and_then(Value::as_array_mut).into_iter().flatten() {
            if stays(parameter) {
                continue;
            }
            let whole = in_order(parameter.take());
            let name = format!("{}-{}", whole["name"].as_str().unwrap_or("param"), hash(&go_json(&whole)));
            *parameter = json!({"$ref": format!("#/parameters/{name}")});
            shared.insert(name, whole);
        }
    }
    shared.sort_keys();
    shared
}

fn stays(parameter: &Value) -> bool {
    let text = |field: &str| parameter[field].as_str().unwrap_or_default();
    match (text("in"), text("name")) {
        ("query" | "path", "name") | ("query", "fieldValidation" | "dryRun") => true,
        ("body", "body") => {
            let schema = &parameter["schema"];
            let general = "#/definitions/io.k8s.apimachinery";
            schema.is_object() && !schema["$ref"].as_str().is_some_and(|name| name.starts_with(general))
        }
        _ => false,
    }
}

fn in_order(parameter: Value) -> Value {
    let fields = ORDER.iter().filter_map(|name| Some(((*name).to_string(), parameter.get(name)?.clone())));
    Value::Object(fields.collect())
}

/// As Go's encoder writes it: what could end a script is escaped.
fn go_json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// FNV-1 with 64 bits, its first bytes in letters.
fn hash(text: &str) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x100_0000_01b3;
    let sum = text.bytes().fold(OFFSET, |sum, byte| sum.wrapping_mul(PRIME) ^ u64::from(byte));
    URL_SAFE.encode(&sum.to_be_bytes()[..SHOWN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_operation_may_have_is_written_once() {
        let namespace = json!({"name": "namespace", "in": "path", "type": "string", "uniqueItems": true, "required": true,
            "description": "object name and auth scope, such as for teams and projects"});
        let name = json!({"name": "name", "in": "path", "type": "string", "uniqueItems": true, "required": true});
        let dry = json!({"name": "dryRun", "in": "query", "type": "string"});
        let mut paths = json!({"/a": {"parameters": [&name, &namespace], "get": {"parameters": [&dry]}}});
        let shared = refer(paths.as_object_mut().expect("paths"));
        assert_eq!(shared.keys().collect::<Vec<_>>(), ["namespace-vgWSWtn3"]);
        assert_eq!(paths["/a"]["parameters"][1], json!({"$ref": "#/parameters/namespace-vgWSWtn3"}));
        assert_eq!((&paths["/a"]["parameters"][0], &paths["/a"]["get"]["parameters"][0]), (&name, &dry));
    }
}
