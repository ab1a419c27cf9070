//! `metav1.Condition`, the form that newer kinds report their state in, and what is wrong with a list of them.
//!
//! Source: `k8s.io/apimachinery/pkg/apis/meta/v1/validation`, `ValidateConditions`.

use serde_json::Value;

use super::json::Json;
use super::{FieldError, check, names};

/// The longest `reason`, in bytes.
const REASON_MAX: usize = 1024;
/// The longest `message`, in bytes.
const MESSAGE_MAX: usize = 32 * 1024;

/// What is wrong with the conditions at `path` of an object.
pub fn validate(object: &Value, path: &str) -> Vec<FieldError> {
    let list = object.items(path);
    let mut errors = Vec::new();
    for (index, one) in list.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if list[..index].iter().any(|other| other.text("type") == one.text("type")) {
            errors.push(FieldError::duplicate(at.as_str(), one.text("type")));
        }
        errors.extend(condition(one, &at));
    }
    errors
}

fn condition(condition: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (kind, reason) = (condition.text("type"), condition.text("reason"));
    match kind {
        "" => errors.push(FieldError::required(format!("{path}.type"), "is required")),
        kind => errors.extend(check::faults(format!("{path}.type"), kind, names::qualified_name(kind))),
    }
    errors.extend(check::choice(condition, "status", path, &["False", "True", "Unknown"]));
    if let Some(generation) = condition.int("observedGeneration").filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to zero";
        errors.push(FieldError::invalid(format!("{path}.observedGeneration"), generation, detail));
    }
    if condition.text("lastTransitionTime").is_empty() {
        errors.push(FieldError::required(format!("{path}.lastTransitionTime"), ""));
    }
    let at = format!("{path}.reason");
    if reason.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        errors.extend(check::faults(at.as_str(), reason, reason_faults(reason)));
        if reason.len() > REASON_MAX {
            errors.push(FieldError::too_long(at, REASON_MAX));
        }
    }
    if condition.text("message").len() > MESSAGE_MAX {
        errors.push(FieldError::too_long(format!("{path}.message"), MESSAGE_MAX));
    }
    errors
}

/// A reason is one word or some, joined by `_`, `,` or `:`; it begins with a letter.
fn reason_faults(reason: &str) -> Vec<String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_,:".contains(c);
    let last = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if reason.starts_with(|c: char| c.is_ascii_alphabetic()) && reason.ends_with(last) && reason.chars().all(inner) {
        return Vec::new();
    }
    vec![
        "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric \
         characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or \
         'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is \
         '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
            .to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_part_of_a_condition_is_judged() {
        let good = json!({"type": "Ready", "status": "True", "reason": "All_good", "lastTransitionTime": "t"});
        let faults = |list: Value| {
            let errors = validate(&json!({"status": {"conditions": list}}), "status.conditions");
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert!(faults(json!([good])).is_empty());
        let at = |field: &str| vec![format!("status.conditions[0].{field}")];
        for (field, value) in [("type", ""), ("status", "yes"), ("reason", "1"), ("reason", "a:"), ("reason", "")] {
            let mut bad = good.clone();
            bad[field] = value.into();
            assert_eq!(faults(json!([bad])), at(field), "{field} {value:?}");
        }
        assert_eq!(faults(json!([good, good])), ["status.conditions[1]"]);
    }
}
