//! What a custom resource's schema may say, keyword by keyword: the rules besides being structural.
//!
//! In: a node of `openAPIV3Schema` and where it lies. Out: faults of it and of all below. Source:
//! apiextensions-apiserver, `apis/apiextensions/validation`.

use serde_json::Value;

use super::rules;
use super::structural::properties;
use crate::api::custom::{embedded, node::Node, value};
use crate::api::field_error::ErrorType;
use crate::api::go_values::empty_at;
use crate::api::prune;
use crate::api::schema::Schema;
use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// Keywords of JSON Schema that custom resources do not have.
const UNSUPPORTED: [&str; 6] = ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];

/// Faults of a whole schema that is structural.
pub fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(schema, path, "", &mut errors);
    errors
}

/// Whether it is a default's value that is wrong.
pub fn is_of_a_default(error: &FieldError) -> bool {
    error.field.contains(".default") && !matches!(error.kind, ErrorType::Forbidden | ErrorType::Required)
}

/// `no_default` says why a default is not allowed here; empty: it is.
fn node(schema: &Value, path: &str, no_default: &str, errors: &mut Vec<FieldError>) {
    let before = errors.len();
    keywords(schema, path, no_default, errors);
    let is_root = path.ends_with("openAPIV3Schema");
    if schema["additionalProperties"].is_object() {
        node(&schema["additionalProperties"], &format!("{path}.additionalProperties"), no_default, errors);
    }
    for (name, field) in properties(schema) {
        let meta = is_root && matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
        let why = if meta { format!("in top-level {name}") } else { no_default.to_string() };
        node(field, &format!("{path}.properties[{name}]"), &why, errors);
    }
    for keyword in ["not", "items"] {
        if schema[keyword].is_object() {
            node(&schema[keyword], &format!("{path}.{keyword}"), no_default, errors);
        }
    }
    for keyword in ["allOf", "oneOf", "anyOf"] {
        for (index, inner) in schema.items(keyword).iter().enumerate() {
            node(inner, &format!("{path}.{keyword}[{index}]"), no_default, errors);
        }
    }
    list(schema, path, errors);
    rules::shape(schema, path, errors);
    let of_a_rule = |error: &FieldError| error.field.contains(".x-kubernetes-validations[");
    if errors[before..].iter().all(of_a_rule) {
        default(schema, path, errors);
    }
}

fn keywords(schema: &Value, path: &str, no_default: &str, errors: &mut Vec<FieldError>) {
    let kind = schema.text("type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &TYPES));
    }
    if kind == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(format!("{path}.type"), detail));
    }
    if schema.has("default") && !no_default.is_empty() {
        errors.push(FieldError::forbidden(format!("{path}.default"), format!("must not be set {no_default}")));
    }
    // One version's schema is told of under its older place.
    let dependencies = format!("{path}.dependencies").replacen("spec.validation.", "spec.versions[0].schema.", 1);
    let given = |keyword: &str| {
        schema.get(keyword).is_some_and(|value| !value.is_null())
            || keyword == "dependencies" && empty_at(&dependencies).is_object()
    };
    for keyword in UNSUPPORTED.into_iter().filter(|keyword| given(keyword)) {
        errors.push(FieldError::forbidden(format!("{path}.{keyword}"), format!("{keyword} is not supported")));
    }
    if schema["items"].is_array() {
        errors.push(FieldError::forbidden(format!("{path}.items"), "items must be a schema object and not an array"));
    }
    if schema["uniqueItems"] == true {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(format!("{path}.uniqueItems"), detail));
    }
    let others = &schema["additionalProperties"];
    if properties(schema).next().is_some() && (others.is_object() || *others == false) {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), detail));
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let at = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(at, false, "must be true or undefined"));
    }
    for (keyword, wanted, allowed) in [
        ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", "array", &["atomic", "set", "map"][..]),
    ] {
        let Some(given) = schema[keyword].as_str() else { continue };
        if kind != wanted {
            let detail = format!("must be {wanted} if {keyword} is specified");
            errors.push(match kind {
                "" => FieldError::required(format!("{path}.type"), detail),
                kind => FieldError::invalid(format!("{path}.type"), kind, detail),
            });
        }
        if !allowed.contains(&given) {
            errors.push(FieldError::not_supported(format!("{path}.{keyword}"), given, allowed));
        }
    }
}

/// `x-kubernetes-list-type` and `x-kubernetes-list-map-keys` with what they need of the elements.
fn list(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const KIND: &str = "x-kubernetes-list-type";
    let (kind, items) = (schema[KIND].as_str(), &schema["items"]);
    let at = |step: &str| format!("{path}.{step}");
    if kind == Some("set") && schema.text("type") == "array" {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let own = items["x-kubernetes-list-type"].as_str();
        if items.text("type") == "array" && own.is_some_and(|own| own != "atomic") {
            errors.push(FieldError::invalid(at("items.x-kubernetes-list-type"), own.unwrap_or(""), detail));
        }
        if items.text("type") == "object" && items["x-kubernetes-map-type"] != "atomic" {
            errors.push(FieldError::invalid(at("items.x-kubernetes-map-type"), Value::Null, detail));
        }
    }
    let keys = schema.items("x-kubernetes-list-map-keys");
    if !keys.is_empty() && kind != Some("map") {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match kind {
            None => FieldError::required(at(KIND), detail),
            Some(kind) => FieldError::invalid(at(KIND), kind, detail),
        });
    }
    if matches!(kind, Some("set" | "map")) && items["nullable"] == true {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {}", kind.unwrap_or(""));
        errors.push(FieldError::forbidden(at("items.nullable"), detail));
    }
    if kind == Some("map") {
        map_keys(schema, keys, path, errors);
    }
}

fn map_keys(schema: &Value, keys: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let (items, at) = (&schema["items"], format!("{path}.x-kubernetes-list-map-keys"));
    if keys.is_empty() {
        errors.push(FieldError::required(at.clone(), "must not be empty if x-kubernetes-list-type is map"));
    }
    if items.is_null() {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(format!("{path}.items"), detail));
        return;
    }
    if items.text("type") != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(format!("{path}.items.type"), items.text("type"), detail));
        return;
    }
    for (index, key) in keys.iter().filter_map(Value::as_str).enumerate() {
        let field = &items["properties"][key];
        let place = format!("{path}.items.properties[{key}]");
        if field.is_null() {
            errors.push(FieldError::invalid(at.clone(), keys.to_vec(), "entries must all be names of item properties"));
        } else if matches!(field.text("type"), "array" | "object") {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(format!("{place}.type"), "object", detail));
        } else if !field.has("default") && !items.items("required").iter().any(|name| name == key) {
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(format!("{place}.default"), detail));
        }
        if keys[..index].iter().any(|before| before == key) {
            errors.push(FieldError::invalid(at.clone(), keys.to_vec(), "must not contain duplicate entries"));
        }
    }
}

/// A default is a value that the schema itself would take.
fn default(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(given) = schema.get("default").filter(|given| !given.is_null()) else { return };
    let at = format!("{path}.default");
    let embedding;
    let schema = match path.ends_with("openAPIV3Schema") {
        // The default of a whole object is an object that says of what kind it is.
        true => {
            embedding = as_embedded(schema);
            &embedding
        }
        false => schema,
    };
    let mut pruned = given.clone();
    let wrapped = serde_json::json!({"type": "object", "properties": {"value": schema}});
    let mut whole = serde_json::json!({"value": pruned.take()});
    if !prune::prune(&mut whole, &Schema::from_openapi(&wrapped)).is_empty() {
        errors.push(FieldError::invalid(at.clone(), given.clone(), "must not have unknown fields"));
    }
    let rules = Node::read(schema);
    let types = embedded::validate(&rules, given, |_| Vec::new()).into_iter();
    errors.extend(
        types.map(|fault| FieldError { field: format!("{at}.{}", fault.field.trim_start_matches('.')), ..fault }),
    );
    let faults = value::validate(&rules, given, None, &at);
    match faults.is_empty() {
        true => errors.extend(crate::api::custom::rules::validate_default(&rules, given, &at)),
        false => errors.extend(faults),
    }
}

fn as_embedded(schema: &Value) -> Value {
    let mut schema = schema.clone();
    schema["x-kubernetes-embedded-resource"] = Value::Bool(true);
    schema
}

/// Whether a keyword that structural schemas do not have is anywhere in the schema.
pub fn is_foreign(schema: &Value) -> bool {
    let given = |keyword: &str| schema.get(keyword).is_some_and(|value| !value.is_null());
    let lists = ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|keyword| schema.items(keyword));
    let single = ["not", "items", "additionalProperties"].into_iter().map(|keyword| &schema[keyword]);
    UNSUPPORTED.into_iter().chain(["$schema"]).any(given)
        || schema["x-kubernetes-preserve-unknown-fields"] == false
        || schema["items"].is_array()
        || properties(schema)
            .map(|(_, field)| field)
            .chain(lists)
            .chain(single)
            .any(|inner| inner.is_object() && is_foreign(inner))
}
