//! What a CustomResourceDefinition is warned of: formats that nobody checks, sets whose elements are no scalars.
//!
//! Source: `apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go`.

use serde_json::Value;

use crate::api::custom::format;
use crate::apiserver::kinds::json::Json;

/// The warnings of a new definition, or of what is new in one.
pub fn warnings(definition: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(formats).unwrap_or_default();
    let new = formats(definition).into_iter().filter(|format| !before.contains(format));
    let mut warnings: Vec<String> = new.map(|format| format!("unrecognized format {format:?}")).collect();
    let known = old.map(sets).unwrap_or_default();
    warnings.extend(sets(definition).into_iter().filter(|text| !known.contains(text)));
    warnings
}

fn formats(definition: &Value) -> Vec<String> {
    let mut found = Vec::new();
    each_schema(definition, &mut |schema| {
        let (kind, format) = (schema.text("type"), schema.text("format"));
        if !format.is_empty() && !format::is_recognized(kind, format) {
            found.push(format.to_string());
        }
    });
    found
}

fn sets(definition: &Value) -> Vec<String> {
    let mut found = Vec::new();
    each_schema(definition, &mut |schema| {
        let kind = schema.text("items.type");
        if schema.at("x-kubernetes-list-type") == "set" && matches!(kind, "object" | "array") {
            found.push(format!(
                "x-kubernetes-list-type: set for items of type {kind:?} is not supported by server-side apply or CEL \
                 validation rules"
            ));
        }
    });
    found.sort_unstable();
    found.dedup();
    found
}

/// Looks at every schema of every version, and at those inside them.
pub fn each_schema(definition: &Value, look: &mut impl FnMut(&Value)) {
    for version in definition.items("spec.versions") {
        walk(version.at("schema.openAPIV3Schema"), look);
    }
}

fn walk(schema: &Value, look: &mut impl FnMut(&Value)) {
    if !schema.is_object() {
        return;
    }
    look(schema);
    for one in ["items", "not", "additionalProperties", "additionalItems"] {
        walk(schema.at(one), look);
    }
    for list in ["items", "allOf", "anyOf", "oneOf"] {
        schema.items(list).iter().for_each(|schema| walk(schema, look));
    }
    for map in ["properties", "patternProperties", "definitions"] {
        schema.entries(map).into_iter().for_each(|(_, schema)| walk(schema, look));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_new_is_told() {
        let with = |format: &str| {
            json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "a": {"type": "string", "format": format}, "b": {"type": "integer", "format": "int32"},
                "c": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}}}}}]}})
        };
        let told = warnings(&with("nope"), None);
        assert_eq!(told[0], "unrecognized format \"nope\"");
        assert!(told[1].starts_with("x-kubernetes-list-type: set for items of type \"object\""), "{told:?}");
        assert!(warnings(&with("date-time"), Some(&with("nope"))).is_empty());
    }
}
