//! The schema of a custom resource: its structural OpenAPI schema, turned into nodes.
//!
//! In: the `openAPIV3Schema` of a version. Out: a [`Schema`] whose `metadata` is the real `ObjectMeta`.
//! Value rules (`pattern`, `minimum`, `x-kubernetes-validations`) are validation, which reads the
//! OpenAPI text itself.

use super::{Field, Fields, Link, ListType, Schema, Type};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(super) fn root(schema: &Value) -> Schema {
    let mut node = node(schema);
    if node.kind == Type::Any {
        node.kind = Type::Object;
    }
    with_object_fields(&mut node, true);
    node.source = Some(Arc::new(schema.clone()));
    node
}

/// Every object has `kind`, `apiVersion` and `metadata`, whatever its schema says of them.
fn with_object_fields(node: &mut Schema, list_metadata_fields: bool) {
    let required: Vec<&str> = ["kind", "apiVersion", "metadata"]
        .into_iter()
        .filter(|name| list_metadata_fields || node.field(name).is_none())
        .collect();
    let mut fields: Vec<Field> = Vec::with_capacity(node.fields.list.len() + 3);
    for name in required {
        let link = match (name, super::builtin::by_name("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")) {
            ("metadata", Some(meta)) => Link::Own(meta),
            _ => Link::Own(Arc::new(Schema::leaf(Type::String))),
        };
        fields.push(field(name, link, false));
    }
    let given = node.fields.list.iter().filter(|given| fields.iter().all(|f| f.name != given.name));
    let rest: Vec<Field> = given.cloned().collect();
    fields.extend(rest);
    node.fields = Arc::new(Fields::new(fields));
}

fn node(schema: &Value) -> Schema {
    let empty = Map::new();
    let given = schema.as_object().unwrap_or(&empty);
    let flag = |name: &str| given.get(name).and_then(Value::as_bool).unwrap_or(false);
    let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut node = Schema {
        preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        nullable: flag("nullable"),
        default: given.get("default").cloned(),
        atomic_map: text("x-kubernetes-map-type") == "atomic",
        ..Schema::leaf(kind(text("type"), text("format"), flag("x-kubernetes-int-or-string")))
    };
    match node.kind {
        Type::List => {
            node.list_type = list_type(given);
            node.items = Some(Link::Own(Arc::new(self::node(given.get("items").unwrap_or(&Value::Null)))));
        }
        Type::Object => object(&mut node, given),
        _ => {}
    }
    if node.embedded {
        with_object_fields(&mut node, false);
    }
    node
}

fn object(node: &mut Schema, given: &Map<String, Value>) {
    let required: Vec<&str> =
        given.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    match given.get("additionalProperties") {
        Some(Value::Bool(true)) => {
            node.kind = Type::Map;
            node.items = Some(Link::Own(Arc::new(Schema::any())));
        }
        Some(values @ Value::Object(_)) => {
            node.kind = Type::Map;
            node.items = Some(Link::Own(Arc::new(self::node(values))));
        }
        _ => {
            let properties = given.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten().map(|(name, schema)| {
                field(name, Link::Own(Arc::new(self::node(schema))), required.contains(&name.as_str()))
            });
            node.fields = Arc::new(Fields::new(fields.collect()));
        }
    }
}

fn field(name: &str, link: Link, required: bool) -> Field {
    Field {
        name: name.into(),
        required,
        omitempty: true,
        omitzero: false,
        pointer: true,
        keeps_empty: false,
        default: None,
        values: Arc::from([]),
        patch_merge: false,
        patch_retain_keys: false,
        patch_replace: false,
        patch_merge_key: None,
        owned: None,
        format: Arc::from(""),
        go_type: Arc::from(""),
        wire: Arc::from([]),
        link,
    }
}

fn kind(name: &str, format: &str, int_or_string: bool) -> Type {
    match (name, format) {
        _ if int_or_string => Type::IntOrString,
        ("object", _) => Type::Object,
        ("array", _) => Type::List,
        ("boolean", _) => Type::Boolean,
        ("integer", _) => Type::Int64,
        ("number", _) => Type::Number,
        ("string", _) => Type::String,
        _ => Type::Any,
    }
}

fn list_type(given: &Map<String, Value>) -> ListType {
    match given.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => {
            let keys = given.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
            ListType::Map(keys.filter_map(Value::as_str).map(Arc::from).collect())
        }
        _ => ListType::Atomic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_structural_schema_becomes_nodes() {
        let schema = Schema::from_openapi(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "required": ["size"], "properties": {
                "size": {"type": "integer", "default": 3},
                "port": {"x-kubernetes-int-or-string": true},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "parts": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"}}},
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}));
        let spec = schema.field("spec").unwrap().schema();
        assert_eq!(spec.field("size").unwrap().schema().default(), Some(&json!(3)));
        assert_eq!(spec.field("port").unwrap().schema().kind(), Type::IntOrString);
        assert_eq!(spec.field("labels").unwrap().schema().kind(), Type::Map);
        assert_eq!(*spec.field("parts").unwrap().schema().list_type(), ListType::Map(Arc::from([Arc::from("id")])));
        assert!(spec.field("free").unwrap().schema().preserve_unknown());
        assert!(schema.field("metadata").unwrap().schema().field("labels").is_some());
    }
}
