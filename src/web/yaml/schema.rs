//! A kind's schema, from the OpenAPI document that the cluster serves: which fields there are, and of what type.
//!
//! In: the document, an apiVersion and kind, a path or a value. Out: the fields at the path, or what in the
//! value the schema does not know. A custom resource is looked at in the same way.

use serde_json::Value;

use super::places::{Part, Path};

/// A schema inside its document.
#[derive(Clone, Copy)]
pub struct Schema<'d> {
    document: &'d Value,
    value: &'d Value,
}

/// A field that may stand somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// `string`, `object`, `[]object`, …
    pub kind: String,
    /// The first sentence about it.
    pub about: String,
    /// Whether it must be there.
    pub required: bool,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where.
    pub path: Path,
    /// What.
    pub message: String,
}

impl<'d> Schema<'d> {
    /// The schema of a kind.
    pub fn of(document: &'d Value, group: &str, version: &str, kind: &str) -> Option<Schema<'d>> {
        let is = |schema: &&Value| {
            let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
            kinds
                .into_iter()
                .flatten()
                .any(|one| one["group"] == group && one["version"] == version && one["kind"] == kind)
        };
        let value = document.pointer("/components/schemas")?.as_object()?.values().find(is)?;
        Some(Schema { document, value })
    }

    /// Behind references.
    fn resolved(self) -> Schema<'d> {
        let reference = |value: &'d Value| value.get("$ref").and_then(Value::as_str);
        let only = self.value.get("allOf").and_then(Value::as_array).and_then(|all| all.first()).and_then(reference);
        let target =
            reference(self.value).or(only).and_then(|path| self.document.pointer(path.trim_start_matches('#')));
        target.map_or(self, |value| Schema { value, ..self })
    }

    fn child(self, part: &Part) -> Option<Schema<'d>> {
        let own = self.resolved();
        let value = match part {
            Part::Key(key) => own
                .value
                .get("properties")
                .and_then(|all| all.get(key))
                .or_else(|| own.value.get("additionalProperties")),
            Part::Index(_) => own.value.get("items"),
        };
        value.filter(|value| value.is_object()).map(|value| Schema { value, ..self })
    }

    /// The schema at a path.
    pub fn at(self, path: &Path) -> Option<Schema<'d>> {
        path.0.iter().try_fold(self, |schema, part| schema.child(part))
    }

    /// The fields that may stand here, sorted; required ones first.
    pub fn fields(self) -> Vec<Field> {
        let own = self.resolved().value;
        let required: Vec<&str> =
            own.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = own.get("properties").and_then(Value::as_object);
        let field = |(name, value): (&String, &'d Value)| {
            let child = Schema { value, ..self };
            Field {
                name: name.clone(),
                kind: child.kind(),
                about: child.about(),
                required: required.contains(&name.as_str()),
            }
        };
        let mut fields: Vec<Field> = properties.into_iter().flatten().map(field).collect();
        fields.sort_by(|a, b| b.required.cmp(&a.required).then(a.name.cmp(&b.name)));
        fields
    }

    /// The values that may stand here, where only some may.
    pub fn values(self) -> Vec<String> {
        let own = self.resolved().value;
        let all = own.get("enum").and_then(Value::as_array);
        let mut values: Vec<String> =
            all.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect();
        if own["type"] == "boolean" {
            values.extend(["true".to_owned(), "false".to_owned()]);
        }
        values
    }

    /// Its type as a person says it.
    pub fn kind(self) -> String {
        let own = self.resolved();
        match own.value["type"].as_str() {
            Some("array") => format!("[]{}", own.child(&Part::Index(0)).map_or_else(String::new, Schema::kind)),
            Some("object") if own.value.get("additionalProperties").is_some() => "map".to_owned(),
            Some(kind) => kind.to_owned(),
            None if own.value.get("properties").is_some() => "object".to_owned(),
            None => String::new(),
        }
    }

    fn about(self) -> String {
        let text = |value: &Value| value.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = text(self.value);
        let words = if own.is_empty() { text(self.resolved().value) } else { own };
        let end = words.find(". ").map_or(words.len(), |at| at + 1);
        words[..end].chars().take(200).collect()
    }

    /// What in a value has no place in the schema, or is of another type.
    pub fn wrongs(self, value: &Value, path: &mut Path, found: &mut Vec<Wrong>) {
        let own = self.resolved().value;
        let say =
            |path: &Path, message: String, found: &mut Vec<Wrong>| found.push(Wrong { path: path.clone(), message });
        let free = own.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
            || own.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
            || own.get("format").is_some_and(|format| format == "int-or-string")
            || own.get("oneOf").or(own.get("anyOf")).is_some();
        if free || value.is_null() {
            return;
        }
        let fits = match own["type"].as_str() {
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.as_i64().is_some() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Some("number") => value.is_number(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => true,
        };
        if !fits {
            let hint = if own["type"] == "string" && !value.is_object() && !value.is_array() {
                "; put it in quotes"
            } else {
                ""
            };
            return say(path, format!("this is {}, and must be {}{hint}", named(value), self.kind()), found);
        }
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    path.0.push(Part::Key(key.clone()));
                    match self.child(&Part::Key(key.clone())) {
                        Some(child) => child.wrongs(inner, path, found),
                        None if own.get("properties").is_some() => say(path, unknown(key, &self.fields()), found),
                        None => {}
                    }
                    path.0.pop();
                }
                for field in self.fields().iter().filter(|field| field.required && !map.contains_key(&field.name)) {
                    say(path, format!("{} is missing", field.name), found);
                }
            }
            Value::Array(items) => {
                for (at, inner) in items.iter().enumerate() {
                    path.0.push(Part::Index(at));
                    if let Some(child) = self.child(&Part::Index(at)) {
                        child.wrongs(inner, path, found);
                    }
                    path.0.pop();
                }
            }
            _ => {}
        }
    }
}

fn unknown(key: &str, fields: &[Field]) -> String {
    let near =
        fields.iter().map(|field| (strsim::jaro_winkler(&field.name.to_lowercase(), &key.to_lowercase()), &field.name));
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.8);
    match best {
        Some((_, name)) => format!("there is no field {key} here; did you mean {name}?"),
        None => format!("there is no field {key} here"),
    }
}

fn named(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        json!({"components": {"schemas": {
            "Web": {"type": "object", "required": ["spec"], "x-kubernetes-group-version-kind": [{"group": "g", "version": "v1", "kind": "Web"}],
                "properties": {"kind": {"type": "string"}, "spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}]}}},
            "Spec": {"type": "object", "properties": {
                "replicas": {"type": "integer", "description": "How many. More words."},
                "policy": {"type": "string", "enum": ["Always", "Never"]},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "ports": {"type": "array", "items": {"$ref": "#/components/schemas/Port"}}}},
            "Port": {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}, "target": {"oneOf": [{"type": "integer"}, {"type": "string"}]}}},
        }}})
    }

    #[test]
    fn what_the_schema_does_not_know_is_found() {
        let document = document();
        let schema = Schema::of(&document, "g", "v1", "Web").unwrap();
        let value = json!({"kind": "Web", "spec": {"replica": 1, "replicas": "2", "labels": {"a": 1, "b": "c"}, "ports": [{"target": "x"}, {"port": 1}]}});
        let mut found = Vec::new();
        schema.wrongs(&value, &mut Path::default(), &mut found);
        let told: Vec<String> = found.iter().map(|wrong| format!("{}: {}", wrong.path, wrong.message)).collect();
        assert_eq!(
            told,
            [
                "spec.replica: there is no field replica here; did you mean replicas?",
                "spec.replicas: this is a string, and must be integer",
                "spec.labels.a: this is a number, and must be string; put it in quotes",
                "spec.ports[0]: port is missing",
            ]
        );
    }

    #[test]
    fn a_path_leads_to_fields_and_values() {
        let document = document();
        let schema = Schema::of(&document, "g", "v1", "Web").unwrap();
        let at = |path: &str| schema.at(&super::super::places::parse(path)).unwrap();
        assert_eq!(at("spec.ports[0]").fields()[0].name, "port");
        assert_eq!((at("spec.ports").kind(), at("spec.labels").kind()), ("[]object".into(), "map".into()));
        assert_eq!(at("spec.policy").values(), ["Always", "Never"]);
        assert_eq!(at("spec").fields().iter().find(|field| field.name == "replicas").unwrap().about, "How many.");
    }
}
