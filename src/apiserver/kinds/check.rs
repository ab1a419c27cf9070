//! Small checks that many kinds' validations are made of, so that each reads as a list of rules.

use serde_json::Value;

use super::FieldError;
use super::json::Json;

/// `Invalid value` for each fault of one text.
pub fn faults(path: impl Into<String>, value: &str, faults: Vec<String>) -> impl Iterator<Item = FieldError> {
    let (path, value) = (path.into(), value.to_string());
    faults.into_iter().map(move |fault| FieldError::invalid(path.clone(), value.as_str(), fault))
}

/// `Required value` for each of `fields` that is empty.
pub fn required(object: &Value, fields: &[&str], path: &str) -> Vec<FieldError> {
    let empty = fields.iter().filter(|field| object.text(field).is_empty());
    empty.map(|field| FieldError::required(format!("{path}.{field}"), "")).collect()
}

/// A field that must be one of `values`: `Required value` when empty, else `Unsupported value`.
pub fn choice(object: &Value, field: &str, path: &str, values: &[&str]) -> Option<FieldError> {
    match object.text(field) {
        "" => Some(FieldError::required(format!("{path}.{field}"), "")),
        known if values.contains(&known) => None,
        other => Some(FieldError::not_supported(format!("{path}.{field}"), other, values)),
    }
}

/// `must be between low and high, inclusive`, if the number at `field` is set and is not.
pub fn between(object: &Value, field: &str, path: &str, low: i64, high: i64) -> Option<FieldError> {
    let number = object.int(field)?;
    (!(low..=high).contains(&number)).then(|| {
        FieldError::invalid(format!("{path}.{field}"), number, format!("must be between {low} and {high}, inclusive"))
    })
}

/// A value as Go's `encoding/json` writes a struct without tags: the fields named, all of them, their names
/// as given (`Name`, …), each read from the JSON field of the same name in lower camel case.
pub fn go_struct(value: &Value, fields: &[&str]) -> String {
    let parts = fields.iter().map(|field| {
        let mut letters = field.chars();
        let first = letters.next().map(|c| c.to_ascii_lowercase()).into_iter();
        let key: String = first.chain(letters).collect();
        format!("{}:{}", Value::from(*field), value.at(&key))
    });
    format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
}
