//! Is a schema structural? Every field has one type, said outside `allOf`, `anyOf`, `oneOf` and `not`,
//! which only judge values.
//!
//! In: `openAPIV3Schema` and where it lies. Out: faults, sorted by their words. Source: KEP-1693 and
//! apiextensions-apiserver, `schema/validation`, `schema/complete`.

use serde_json::Value;

use crate::api::go_regex;
use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;

/// Where in a schema a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What only the structure may say: the keyword, and the word for what it has to be instead.
const FORBIDDEN: [(&str, &str); 11] = [
    ("type", "empty"),
    ("default", "undefined"),
    ("title", "empty"),
    ("description", "empty"),
    ("nullable", "false"),
    ("x-kubernetes-preserve-unknown-fields", "false"),
    ("x-kubernetes-embedded-resource", "false"),
    ("x-kubernetes-int-or-string", "false"),
    ("x-kubernetes-list-map-keys", "empty"),
    ("x-kubernetes-list-type", "undefined"),
    ("x-kubernetes-map-type", "undefined"),
];

/// Why `schema` is not structural.
pub fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    structure(schema, Level::Root, path, &mut errors);
    complete(schema, schema, path, path, &mut errors);
    errors.sort_by_key(ToString::to_string);
    errors
}

fn structure(schema: &Value, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    let kind = schema.text("type");
    if kind == "array" && !schema.has("items") {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    if schema["items"].is_object() {
        structure(&schema["items"], Level::Item, &format!("{path}.items"), errors);
    }
    for (name, field) in properties(schema) {
        structure(field, Level::Field, &format!("{path}.properties[{name}]"), errors);
    }
    let others = &schema["additionalProperties"];
    if !others.is_null() {
        let at = format!("{path}.additionalProperties");
        if level == Level::Root {
            errors.push(FieldError::forbidden(at.clone(), "must not be used at the root"));
        }
        if others.is_object() {
            structure(others, Level::Field, &at, errors);
        }
    }
    extensions(schema, path, errors);
    judgements(schema, is_int_or_string(&schema["anyOf"]), path, errors);
    types(schema, level, path, errors);
    metadata(schema, level, path, errors);
}

fn extensions(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if !schema.flag("x-kubernetes-int-or-string") {
        return;
    }
    for other in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if schema[other] == true {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(format!("{path}.{other}"), true, detail));
        }
    }
}

fn types(schema: &Value, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    let (kind, at) = (schema.text("type"), format!("{path}.type"));
    let flag = |name: &str| schema[name] == true;
    let embedded = flag("x-kubernetes-embedded-resource");
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind {
            "" => FieldError::required(at.clone(), detail),
            kind => FieldError::invalid(at.clone(), kind, detail),
        });
    } else if kind.is_empty() && !flag("x-kubernetes-int-or-string") && !flag("x-kubernetes-preserve-unknown-fields") {
        let of = match level {
            Level::Root => "at the root",
            Level::Item => "for specified array items",
            Level::Field => "for specified object fields",
        };
        errors.push(FieldError::required(at.clone(), format!("must not be empty {of}")));
    }
    if embedded && schema.has("additionalProperties") {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(at, kind, "must be object at the root"));
    }
    if embedded && !flag("x-kubernetes-preserve-unknown-fields") && properties(schema).next().is_none() {
        let detail =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(format!("{path}.properties"), detail));
    }
}

/// A whole object's own fields have their types already; only names may be restricted.
fn metadata(schema: &Value, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    if level != Level::Root && schema["x-kubernetes-embedded-resource"] != true {
        return;
    }
    let at = |name: &str| format!("{path}.properties[{name}]");
    for (name, wanted) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
        let field = &schema["properties"][name];
        if field.is_object() && field.text("type") != wanted {
            let detail = format!("must be {wanted}");
            errors.push(FieldError::invalid(format!("{}.type", at(name)), field.text("type"), detail));
        }
    }
    let metadata = &schema["properties"]["metadata"];
    let others =
        metadata.as_object().into_iter().flatten().any(|(key, _)| !matches!(key.as_str(), "type" | "properties"));
    let names = properties(metadata).all(|(name, _)| matches!(name.as_str(), "name" | "generateName"));
    if level == Level::Root && (others || !names) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(at("metadata"), detail));
    }
}

/// `allOf`, `anyOf`, `oneOf`, `not` and `pattern` of a node. Two types of one place are allowed for
/// `x-kubernetes-int-or-string`, in its `anyOf` or in the first of its `allOf`.
fn judgements(schema: &Value, int_or_string: bool, path: &str, errors: &mut Vec<FieldError>) {
    for keyword in ["anyOf", "allOf", "oneOf"] {
        if keyword == "anyOf" && int_or_string {
            continue;
        }
        for (index, judged) in schema.items(keyword).iter().enumerate() {
            let first = keyword == "allOf" && index == 0 && is_int_or_string(&judged["anyOf"]);
            judgement(judged, first, &format!("{path}.{keyword}[{index}]"), errors);
        }
    }
    if schema["not"].is_object() {
        judgement(&schema["not"], false, &format!("{path}.not"), errors);
    }
    let pattern = schema.text("pattern");
    if let Some(error) = go_regex::compile(pattern).err().filter(|_| !pattern.is_empty()) {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(FieldError::invalid(format!("{path}.pattern"), pattern, detail));
    }
}

fn judgement(judged: &Value, int_or_string: bool, path: &str, errors: &mut Vec<FieldError>) {
    judgements(judged, int_or_string, path, errors);
    if judged["items"].is_object() {
        judgement(&judged["items"], false, &format!("{path}.items"), errors);
    }
    for (name, field) in properties(judged) {
        judgement(field, false, &format!("{path}.properties[{name}]"), errors);
    }
    if !judged["additionalProperties"].is_null() {
        let detail = "must be undefined to be structural";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), detail));
    }
    for (keyword, word) in FORBIDDEN {
        let value = &judged[keyword];
        let said =
            !value.is_null() && *value != false && *value != "" && value.as_array().is_none_or(|l| !l.is_empty());
        if said {
            errors.push(FieldError::forbidden(format!("{path}.{keyword}"), format!("must be {word} to be structural")));
        }
    }
    if !judged.items("x-kubernetes-validations").is_empty() {
        errors
            .push(FieldError::forbidden(format!("{path}.x-kubernetes-validations"), "must be empty to be structural"));
    }
    if judged["properties"].get("metadata").is_some() {
        let detail = "must not be specified in a nested context";
        errors.push(FieldError::forbidden(format!("{path}.properties[metadata]"), detail));
    }
}

/// What is judged is also described: each field under a junctor is there without it. `at` is where the
/// description should be, `path` where the judgement is.
fn complete(judged: &Value, schema: &Value, at: &str, path: &str, errors: &mut Vec<FieldError>) {
    let junctors = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|keyword| {
        judged.items(keyword).iter().enumerate().map(move |(index, inner)| (format!("{keyword}[{index}]"), inner))
    });
    let not = judged["not"].is_object().then(|| ("not".to_string(), &judged["not"]));
    for (step, inner) in junctors.chain(not) {
        fields_complete(inner, schema, at, &format!("{path}.{step}"), errors);
    }
}

fn fields_complete(judged: &Value, schema: &Value, at: &str, path: &str, errors: &mut Vec<FieldError>) {
    complete(judged, schema, at, path, errors);
    let items = judged["items"].is_object().then(|| (".items".to_string(), &judged["items"], &schema["items"]));
    let fields = properties(judged)
        .map(|(name, field)| (format!(".properties[{name}]"), field, &schema["properties"][name.as_str()]));
    for (step, inner, described) in items.into_iter().chain(fields) {
        let (at, path) = (format!("{at}{step}"), format!("{path}{step}"));
        if described.is_object() {
            fields_complete(inner, described, &at, &path, errors);
        } else {
            errors.push(FieldError::required(at, format!("because it is defined in {path}")));
        }
    }
}

fn is_int_or_string(any_of: &Value) -> bool {
    *any_of == serde_json::json!([{"type": "integer"}, {"type": "string"}])
}

/// The fields of a schema.
pub fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn structure_is_said_once_and_outside_of_junctors() {
        let words = |schema: Value| -> Vec<String> { check(&schema, "s").iter().map(ToString::to_string).collect() };
        assert_eq!(words(json!({"type": "string"})), ["s.type: Invalid value: \"string\": must be object at the root"]);
        assert_eq!(
            words(json!({"type": "object", "properties": {"a": {}}})),
            ["s.properties[a].type: Required value: must not be empty for specified object fields"]
        );
        assert_eq!(
            words(json!({"type": "object", "anyOf": [{"properties": {"b": {"type": "string"}}}]})),
            [
                "s.anyOf[0].properties[b].type: Forbidden: must be empty to be structural",
                "s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"
            ]
        );
        let both = json!([{"type": "integer"}, {"type": "string"}]);
        let port = json!({"x-kubernetes-int-or-string": true, "anyOf": both});
        assert_eq!(words(json!({"type": "object", "properties": {"p": port}})), [""; 0]);
        assert_eq!(
            words(
                json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}})
            ),
            [
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"
            ]
        );
    }
}
