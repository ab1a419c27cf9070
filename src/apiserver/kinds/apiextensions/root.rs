//! What the root of a custom resource's schema may say where `status` is a part of its own.
//!
//! The status is then judged by `properties.status` alone, so the root may only say what that part keeps.
//! In: a schema. Out: the first fault. Source: apiextensions-apiserver, `apis/apiextensions/validation`.

use serde_json::{Map, Value, json};

use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;

/// How Go writes a keyword that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    /// `null`, and else what was written.
    Plain,
    Schema,
    Schemas,
    Named,
    /// A schema, or whether there may be any.
    OrBool,
    /// A schema, or one for each item.
    OrList,
    /// Of each name a schema, or other names.
    OrNames,
    Docs,
    Rules,
}
use Kind::{Docs, Flag, Named, OrBool, OrList, OrNames, Plain, Rules, Schema, Schemas, Text};

/// The keywords in the order of the server's own type: its name for each, the name in JSON, and whether a root with a
/// status may have it.
const KEYWORDS: [(&str, &str, Kind, bool); 43] = [
    ("ID", "id", Text, false),
    ("Schema", "$schema", Text, false),
    ("Ref", "$ref", Plain, false),
    ("Description", "description", Text, true),
    ("Type", "type", Text, true),
    ("Nullable", "nullable", Flag, false),
    ("Format", "format", Text, true),
    ("Title", "title", Text, true),
    ("Default", "default", Plain, false),
    ("Maximum", "maximum", Plain, true),
    ("ExclusiveMaximum", "exclusiveMaximum", Flag, true),
    ("Minimum", "minimum", Plain, true),
    ("ExclusiveMinimum", "exclusiveMinimum", Flag, true),
    ("MaxLength", "maxLength", Plain, true),
    ("MinLength", "minLength", Plain, true),
    ("Pattern", "pattern", Text, true),
    ("MaxItems", "maxItems", Plain, true),
    ("MinItems", "minItems", Plain, true),
    ("UniqueItems", "uniqueItems", Flag, true),
    ("MultipleOf", "multipleOf", Plain, true),
    ("Enum", "enum", Plain, false),
    ("MaxProperties", "maxProperties", Plain, false),
    ("MinProperties", "minProperties", Plain, false),
    ("Required", "required", Plain, true),
    ("Items", "items", OrList, true),
    ("AllOf", "allOf", Schemas, false),
    ("OneOf", "oneOf", Schemas, false),
    ("AnyOf", "anyOf", Schemas, false),
    ("Not", "not", Schema, false),
    ("Properties", "properties", Named, true),
    ("AdditionalProperties", "additionalProperties", OrBool, false),
    ("PatternProperties", "patternProperties", Named, false),
    ("Dependencies", "dependencies", OrNames, false),
    ("AdditionalItems", "additionalItems", OrBool, false),
    ("Definitions", "definitions", Named, false),
    ("ExternalDocs", "externalDocs", Docs, true),
    ("Example", "example", Plain, true),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Plain, true),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", Flag, false),
    ("XIntOrString", "x-kubernetes-int-or-string", Flag, false),
    ("XListMapKeys", "x-kubernetes-list-map-keys", Plain, false),
    ("XListType", "x-kubernetes-list-type", Plain, false),
    ("XMapType", "x-kubernetes-map-type", Plain, false),
];
/// Comes last, and may be there.
const RULES: (&str, &str, Kind, bool) = ("XValidations", "x-kubernetes-validations", Rules, true);

/// What the root may not say beside a status of its own.
pub fn beside_status(schema: &Value, path: &str) -> Option<FieldError> {
    for (name, keyword, kind, allowed) in KEYWORDS {
        let value = schema.at_key(keyword);
        let zero = match kind {
            Text => schema.text_of(keyword).is_empty(),
            Flag => value != &Value::Bool(true),
            _ => value.is_null(),
        };
        if zero {
            continue;
        }
        if name == "Type" && value != "object" {
            let detail =
                "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            return Some(FieldError::invalid(format!("{path}.type"), value.clone(), detail));
        }
        if !allowed {
            let names = KEYWORDS.iter().chain([&RULES]).filter(|(.., allowed)| *allowed).map(|(name, ..)| *name);
            // Go's own table has them in this order, too.
            let detail = format!(
                "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                names.collect::<Vec<_>>().join(" ")
            );
            return Some(FieldError::invalid_raw(path, go(schema).to_string(), detail));
        }
    }
    None
}

/// Keywords are not paths: they may have dots and dollars.
trait Keyword {
    fn at_key(&self, keyword: &str) -> &Value;
    fn text_of(&self, keyword: &str) -> &str;
}

impl Keyword for Value {
    fn at_key(&self, keyword: &str) -> &Value {
        self.get(keyword).unwrap_or(&Value::Null)
    }

    fn text_of(&self, keyword: &str) -> &str {
        self.at_key(keyword).as_str().unwrap_or_default()
    }
}

/// The schema as the server's own type is printed.
fn go(schema: &Value) -> Value {
    let parts = KEYWORDS.iter().chain([&RULES]);
    Value::Object(
        parts.map(|(name, keyword, kind, _)| ((*name).to_string(), part(*kind, schema.at_key(keyword)))).collect(),
    )
}

fn part(kind: Kind, value: &Value) -> Value {
    match kind {
        Text => value.as_str().unwrap_or_default().into(),
        Flag => (value == &Value::Bool(true)).into(),
        _ if value.is_null() => Value::Null,
        Plain => value.clone(),
        Schema => go(value),
        Schemas => value.as_array().into_iter().flatten().map(go).collect(),
        Named => named(value, go),
        OrBool => match value {
            Value::Bool(allows) => json!({"Allows": allows, "Schema": null}),
            one => json!({"Allows": true, "Schema": go(one)}),
        },
        OrList => match value {
            Value::Array(each) => json!({"Schema": null, "JSONSchemas": each.iter().map(go).collect::<Vec<_>>()}),
            one => json!({"Schema": go(one), "JSONSchemas": null}),
        },
        OrNames => named(value, |one| match one {
            Value::Array(_) => json!({"Schema": null, "Property": one}),
            one => json!({"Schema": go(one), "Property": null}),
        }),
        Docs => json!({"Description": value.text_of("description"), "URL": value.text_of("url")}),
        Rules => value.as_array().into_iter().flatten().map(rule).collect(),
    }
}

/// Go prints a map with its keys sorted.
fn named(value: &Value, each: impl Fn(&Value) -> Value) -> Value {
    let mut entries: Map<String, Value> =
        value.as_object().into_iter().flatten().map(|(name, one)| (name.clone(), each(one))).collect();
    entries.sort_keys();
    Value::Object(entries)
}

fn rule(rule: &Value) -> Value {
    json!({"Rule": rule.text("rule"), "Message": rule.text("message"), "MessageExpression": rule.text("messageExpression"),
        "Reason": rule.at("reason"), "FieldPath": rule.text("fieldPath"), "OptionalOldSelf": rule.at("optionalOldSelf")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_with_a_status_may_not_say_everything() {
        assert_eq!(
            beside_status(&json!({"type": "object", "required": ["spec"], "x-kubernetes-validations": []}), "s"),
            None
        );
        let fault = beside_status(&json!({"type": "object", "anyOf": [{"required": ["a"]}]}), "s").expect("a fault");
        assert!(
            fault
                .value
                .starts_with(r#"{"ID":"","Schema":"","Ref":null,"Description":"","Type":"object","Nullable":false"#)
        );
        assert!(fault.value.contains(r#""AnyOf":[{"ID":"","#), "{}", fault.value);
        assert!(fault.detail.starts_with("only [Description Type Format Title Maximum ExclusiveMaximum Minimum"));
        assert!(fault.detail.contains(
            "MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]"
        ));
        let fault = beside_status(&json!({"type": "string"}), "s").expect("a fault");
        assert_eq!(fault.field, "s.type");
    }
}
