//! What has a Go type even in a custom object: its metadata, and `apiVersion`, `kind` and `metadata` of every
//! object inside it.
//!
//! In: an object as it was sent. Out: those parts in their normal form, or what is wrong with them in the words
//! of Go's decoder. Source: apiextensions-apiserver, `schema/objectmeta/coerce.go`.

use serde_json::{Map, Value, json};

use crate::api::decode;
use crate::api::field_error::show;
use crate::api::schema::{Schema, Type};
use crate::api::typed;

/// Checks the types of an object's metadata, and those of the objects inside it.
///
/// # Errors
/// The first fault.
pub fn coerce(object: &mut Value, schema: &Schema) -> Result<(), String> {
    let Value::Object(map) = object else { return Ok(()) };
    if let (Some(metadata), Some(field)) = (map.get("metadata"), schema.field("metadata")) {
        decode::check(metadata, field.schema())?;
    }
    below(map, schema, "")
}

fn walk(value: &mut Value, schema: &Schema, path: &str) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            if schema.embedded() {
                embedded(map, schema, path)?;
            }
            below(map, schema, path)
        }
        Value::Array(list) => {
            let Some(items) = schema.items() else { return Ok(()) };
            list.iter_mut().enumerate().try_for_each(|(at, item)| walk(item, items, &format!("{path}[{at}]")))
        }
        _ => Ok(()),
    }
}

fn below(map: &mut Map<String, Value>, schema: &Schema, path: &str) -> Result<(), String> {
    for (key, value) in map.iter_mut() {
        if schema.kind() == Type::Map {
            if let Some(values) = schema.values() {
                walk(value, values, &format!("{path}[{key}]"))?;
            }
        } else if let Some(field) = schema.field(key).filter(|field| field.schema().name().is_none()) {
            let child = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            walk(value, field.schema(), &child)?;
        }
    }
    Ok(())
}

/// An object inside an object.
fn embedded(map: &mut Map<String, Value>, schema: &Schema, path: &str) -> Result<(), String> {
    for field in ["apiVersion", "kind"] {
        if let Some(value) = map.get(field).filter(|value| !value.is_string()) {
            return Err(format!("{path}.{field}: Invalid value: {}: must be a string", show(value)));
        }
    }
    let (Some(metadata), Some(field)) = (map.get_mut("metadata"), schema.field("metadata")) else { return Ok(()) };
    if metadata.is_null() {
        *metadata = json!({});
    }
    decode::check(metadata, field.schema())
        .map_err(|why| format!("{path}.metadata: Invalid value: {}: {why}", show(metadata)))?;
    typed::normalize(metadata, field.schema());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_its_types_everywhere() {
        let schema = Schema::from_openapi(&json!({"type": "object", "properties": {"list": {"type": "array", "items":
            {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}}}));
        let told = |mut object: Value| coerce(&mut object, &schema).map(|()| object);
        assert_eq!(
            told(json!({"metadata": {"labels": {"a": 1}}})),
            Err("json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string".to_string())
        );
        assert_eq!(
            told(json!({"list": [{"kind": 1}]})),
            Err("list[0].kind: Invalid value: 1: must be a string".to_string())
        );
        assert_eq!(
            told(json!({"list": [{"metadata": []}]})),
            Err(
                "list[0].metadata: Invalid value: []: json: cannot unmarshal array into Go value of type v1.ObjectMeta"
                    .to_string()
            )
        );
        assert_eq!(told(json!({"list": [{"metadata": null}]})), Ok(json!({"list": [{"metadata": {}}]})));
    }
}
