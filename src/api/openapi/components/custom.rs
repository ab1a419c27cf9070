//! The definitions of a custom resource: its own schema, with what every object has.
//!
//! Version 2 says less than version 3, so that clients that check against it let pass what the server
//! would. Source: apiextensions-apiserver, pkg/controller/openapi/{builder,v2}.

use serde_json::{Map, Value, json};

use super::super::super::resource::Resource;
use super::super::super::schema::Schema;
use super::super::Form;
use super::{META, Writer, definition_name};

/// A definition whose `apiVersion`, `kind` and `metadata` are described as in every object.
const ANY: &str = "io.k8s.api.core.v1.Pod";
/// Where clients are sent that want to know more about lists.
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
/// What is told of the type of an object inside an object.
const INNER: [(&str, &str, &str); 2] = [
    ("apiVersion", "apiVersion defines the versioned schema of this representation of an object.", "resources"),
    ("kind", "kind is a string value representing the type of this object. In CamelCase.", "types-kinds"),
];
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const KINDS: &str = "x-kubernetes-group-version-kind";
/// What version 2 cannot say.
const UNSAID: [&str; 6] = ["nullable", "oneOf", "anyOf", "allOf", "not", "default"];
/// Where schemas lie in a schema: one, or a map of them.
const NESTED: [(&str, bool); 3] = [("items", false), ("additionalProperties", false), ("properties", true)];

impl Writer {
    /// Adds the definitions of a custom kind and its list.
    pub(super) fn custom(&mut self, resource: &Resource, source: &Value) {
        let name = definition_name(resource, &resource.kind);
        let gvk = |kind: &str| json!([{"group": resource.group, "version": resource.version, "kind": kind}]);
        let open = source[PRESERVE] == true;
        let mut schema = match self.form {
            // With properties, kubectl would refuse all others.
            Form::V2 if open => json!({"type": "object"}),
            Form::V2 => told(source),
            Form::V3 => {
                let mut schema = source.clone();
                Writer::numbers_or_texts(&mut schema);
                schema
            }
        };
        if self.form == Form::V3 || !open {
            self.embedded(&mut schema);
            self.object_fields(&mut schema);
        }
        schema[KINDS] = gvk(&resource.kind);
        let (version, kind) = (self.text_field("apiVersion"), self.text_field("kind"));
        let items = self.form.reference(&name);
        let list = json!({"type": "object", "required": ["items"],
            "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
            "properties": {
                "apiVersion": version, "kind": kind, "metadata": self.meta("ListMeta"),
                "items": {"type": "array", "items": items,
                    "description": format!("List of {}. More info: {CONVENTIONS}", resource.plural)}},
            KINDS: gvk(&resource.list_kind)});
        self.definitions.insert(name, schema);
        self.definitions.insert(definition_name(resource, &resource.list_kind), list);
    }

    /// What every object has: its type and its metadata.
    fn object_fields(&mut self, schema: &mut Value) {
        for field in ["apiVersion", "kind"] {
            schema["properties"][field] = self.text_field(field);
        }
        schema["properties"]["metadata"] = self.meta("ObjectMeta");
    }

    /// What takes a number or a text says so in the words of OpenAPI too.
    fn numbers_or_texts(schema: &mut Value) {
        for (key, many) in NESTED {
            match schema.get_mut(key) {
                Some(Value::Object(map)) if many => map.values_mut().for_each(Writer::numbers_or_texts),
                Some(schema @ Value::Object(_)) => Writer::numbers_or_texts(schema),
                _ => {}
            }
        }
        if schema["x-kubernetes-int-or-string"] == true && schema.get("anyOf").is_none() {
            schema["anyOf"] = json!([{"type": "integer"}, {"type": "string"}]);
        }
    }

    /// An object inside an object has a type and metadata too.
    fn embedded(&mut self, schema: &mut Value) {
        for (key, many) in NESTED {
            match schema.get_mut(key) {
                Some(Value::Object(map)) if many => map.values_mut().for_each(|schema| self.embedded(schema)),
                Some(schema @ Value::Object(_)) => self.embedded(schema),
                _ => {}
            }
        }
        let silent = self.form == Form::V2 && schema[PRESERVE] == true;
        if schema[EMBEDDED] != true || silent {
            return;
        }
        self.object_fields(schema);
        for (field, text, place) in INNER {
            schema["properties"][field]["description"] = json!(format!("{text} More info: {CONVENTIONS}#{place}"));
        }
        let mut required = schema["required"].as_array().cloned().unwrap_or_default();
        for field in ["kind", "apiVersion"] {
            if !required.iter().any(|known| known == field) {
                required.push(json!(field));
            }
        }
        schema["required"] = Value::Array(required);
    }

    fn text_field(&self, field: &str) -> Value {
        let mut out = json!({"type": "string"});
        if let Some(text) = self.descriptions.get(ANY, Some(field)) {
            out["description"] = json!(text);
        }
        out
    }

    /// A described reference to metadata.
    fn meta(&mut self, name: &str) -> Value {
        let name = format!("{META}.{name}");
        self.definition(Schema::builtin(&name));
        let reference = self.form.reference(&name);
        let mut out = match self.form {
            Form::V3 => json!({"allOf": [reference]}),
            Form::V2 => reference,
        };
        if name.ends_with("ListMeta") {
            out["description"] = json!(format!("Standard list metadata. More info: {CONVENTIONS}#types-kinds"));
        } else if let Some(text) = self.descriptions.get(ANY, Some("metadata")) {
            out["description"] = json!(text);
        }
        out
    }
}

/// A schema as version 2 can tell it.
fn told(schema: &Value) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    let nullable = map.get("nullable") == Some(&Value::Bool(true));
    let open = map.get(PRESERVE) == Some(&Value::Bool(true));
    let mut out: Map<String, Value> = map
        .iter()
        .filter(|(key, _)| !UNSAID.contains(&key.as_str()))
        .map(|(key, v)| (key.clone(), v.clone()))
        .collect();
    if nullable || open {
        // Items or properties would be taken for all there may be.
        out.remove("items");
        out.remove("properties");
    }
    let array_of_anything = !out.contains_key("items") && out.get("type") == Some(&json!("array"));
    let open_object = open && out.get("type") == Some(&json!("object"));
    if nullable || array_of_anything || open_object {
        out.remove("type");
    }
    let may_be_null = |schema: &Value| schema["nullable"] == true;
    if let Some(Value::Array(required)) = out.get_mut("required") {
        let properties = &map.get("properties").cloned().unwrap_or_default();
        required.retain(|name| !may_be_null(&properties[name.as_str().unwrap_or_default()]));
    }
    if map.get("additionalProperties").is_some_and(may_be_null)
        || out.get("required").and_then(Value::as_array).is_some_and(Vec::is_empty)
    {
        out.remove("required");
    }
    for (key, many) in NESTED {
        match out.get_mut(key) {
            Some(Value::Object(map)) if many => map.values_mut().for_each(|schema| *schema = told(schema)),
            Some(schema @ Value::Object(_)) => *schema = told(schema),
            _ => {}
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_leaves_out_what_it_cannot_say() {
        let schema = json!({"type": "object", "required": ["a", "b"], "properties": {
            "a": {"type": "string", "nullable": true, "default": "x"},
            "b": {"type": "object", PRESERVE: true, "properties": {"c": {"type": "string"}}},
            "d": {"type": "array", "items": {"type": "string", "anyOf": [{"minLength": 1}]}},
        }});
        let expected = json!({"type": "object", "required": ["b"], "properties": {
            "a": {}, "b": {PRESERVE: true}, "d": {"type": "array", "items": {"type": "string"}},
        }});
        assert_eq!(told(&schema), expected);
    }
}
