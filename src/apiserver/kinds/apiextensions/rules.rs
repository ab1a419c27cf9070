//! `x-kubernetes-validations` as text: what of a rule can be told wrong without compiling it.

use serde_json::Value;

use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Faults of the rules of one node.
pub fn shape(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, rule) in schema.items("x-kubernetes-validations").iter().enumerate() {
        let at = |field: &str| format!("{path}.x-kubernetes-validations[{index}].{field}");
        let text = |field: &str| rule.text(field);
        let (body, message) = (text("rule").trim(), text("message").trim());
        let broken = |text: &str| text.contains(['\n', '\r']);
        if body.is_empty() {
            errors.push(FieldError::required(at("rule"), "rule is not specified"));
        } else if !text("message").is_empty() && message.is_empty() {
            errors.push(FieldError::invalid(at("message"), text("message"), "must be non-empty if specified"));
        } else if broken(message) {
            errors.push(FieldError::invalid(at("message"), text("message"), "must not contain line breaks"));
        } else if broken(body) && message.is_empty() {
            errors.push(FieldError::required(at("message"), "message must be specified if rule contains line breaks"));
        }
        if !text("messageExpression").is_empty() && text("messageExpression").trim().is_empty() {
            errors.push(FieldError::required(
                at("messageExpression"),
                "messageExpression must be non-empty if specified",
            ));
        }
        if let Some(reason) = rule["reason"].as_str().filter(|reason| !REASONS.contains(reason)) {
            errors.push(FieldError::not_supported(at("reason"), reason, &REASONS));
        }
        let place = text("fieldPath");
        if !place.is_empty() {
            if place.trim().is_empty() {
                errors.push(FieldError::invalid(at("fieldPath"), place, "must be non-empty if specified"));
            }
            if broken(place) {
                errors.push(FieldError::invalid(at("fieldPath"), place, "must not contain line breaks"));
            }
            if field_at(schema, place).is_none() {
                errors.push(FieldError::invalid(at("fieldPath"), place, "must be a valid path"));
            }
        }
    }
}

/// The schema that a path such as `.spec.size` or `.labels['a.b']` leads to; lists are not entered.
pub fn field_at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let mut here = schema;
    let mut rest = path.trim();
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix("['") {
            let (inside, after) = after.split_once("']")?;
            (name, rest) = (inside, after);
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            (name, rest) = after.split_at(end);
        }
        here = match here["properties"].get(name) {
            Some(field) => field,
            None => Some(&here["additionalProperties"]).filter(|others| others.is_object())?,
        };
    }
    Some(here)
}

/// Why a path leads nowhere.
pub fn why_no_path(schema: &Value, path: &str) -> String {
    if !path.starts_with(['.', '[']) {
        return format!("expected [ or . but got: {}", path.split(['.', '[']).next().unwrap_or(""));
    }
    let steps: Vec<&str> = path.split('.').skip(1).collect();
    let known = |count: usize| field_at(schema, &format!(".{}", steps[..count].join("."))).is_some();
    let lost = (1..=steps.len()).find(|count| !known(*count)).unwrap_or(steps.len());
    format!("does not refer to a valid field: {}", steps.get(lost - 1).unwrap_or(&""))
}

/// Faults of the rules of a whole schema that can only be told by compiling them.
pub fn check(_schema: &Value, _path: &str) -> Vec<FieldError> {
    Vec::new()
}
