//! One thing wrong with one field, in Kubernetes' words, and the 422 that a list of them makes.
//!
//! Source: `k8s.io/apimachinery/pkg/util/validation/field`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::api::status::{Cause, Details, Reason, Status};

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum ErrorType {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl ErrorType {
    /// The machine-readable reason inside `details.causes`.
    pub fn reason(self) -> &'static str {
        match self {
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::Required => "FieldValueRequired",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::Invalid => "FieldValueInvalid",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
            ErrorType::Internal => "InternalError",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn words(self) -> &'static str {
        match self {
            ErrorType::NotFound => "Not found",
            ErrorType::Required => "Required value",
            ErrorType::Duplicate => "Duplicate value",
            ErrorType::Invalid | ErrorType::TypeInvalid => "Invalid value",
            ErrorType::NotSupported => "Unsupported value",
            ErrorType::Forbidden => "Forbidden",
            ErrorType::TooLong => "Too long",
            ErrorType::TooMany => "Too many",
            ErrorType::Internal => "Internal error",
        }
    }
}

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// What is wrong.
    pub kind: ErrorType,
    /// Where: `spec.containers[0].name`, `metadata.labels`.
    pub field: String,
    /// The value as the message shows it (Go's `%v`, quoted strings); empty when the kind of
    /// error shows none.
    pub value: String,
    /// The rest of the sentence; may be empty.
    pub detail: String,
}

impl FieldError {
    fn of(kind: ErrorType, field: impl Into<String>, value: String, detail: impl Into<String>) -> FieldError {
        FieldError { kind, field: field.into(), value, detail: detail.into() }
    }

    /// `Required value: detail`
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        Self::of(ErrorType::Required, field, String::new(), detail)
    }

    /// `Forbidden: detail`
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        Self::of(ErrorType::Forbidden, field, String::new(), detail)
    }

    /// `Internal error: detail`
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        Self::of(ErrorType::Internal, field, String::new(), detail)
    }

    /// `Invalid value: value: detail`
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> FieldError {
        Self::of(ErrorType::Invalid, field, show(&value.into()), detail)
    }

    /// `Invalid value: raw: detail`, for a value that Go prints in its own way.
    pub fn invalid_raw(field: impl Into<String>, raw: impl Into<String>, detail: impl Into<String>) -> FieldError {
        Self::of(ErrorType::Invalid, field, raw.into(), detail)
    }

    /// `Invalid value: value: detail`, for a value of the wrong type.
    pub fn type_invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> FieldError {
        Self::of(ErrorType::TypeInvalid, field, show(&value.into()), detail)
    }

    /// `Duplicate value: value`
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> FieldError {
        Self::of(ErrorType::Duplicate, field, show(&value.into()), "")
    }

    /// `Not found: value`
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> FieldError {
        Self::of(ErrorType::NotFound, field, show(&value.into()), "")
    }

    /// `Unsupported value: value: supported values: "a", "b"` (in the order given).
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> FieldError {
        let names: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
        let detail = if names.is_empty() { String::new() } else { format!("supported values: {}", names.join(", ")) };
        Self::of(ErrorType::NotSupported, field, show(&value.into()), detail)
    }

    /// `Too long: may not be more than N bytes`
    pub fn too_long(field: impl Into<String>, max_bytes: usize) -> FieldError {
        let bytes = if max_bytes == 1 { "byte" } else { "bytes" };
        Self::of(ErrorType::TooLong, field, String::new(), format!("may not be more than {max_bytes} {bytes}"))
    }

    /// `Too long: may not be more than N characters`: how types that declare their own limits say it.
    pub fn too_long_text(field: impl Into<String>, max: usize) -> FieldError {
        Self::of(ErrorType::TooLong, field, String::new(), format!("may not be more than {max} characters"))
    }

    /// `Too many: N: must have at most M items`
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> FieldError {
        let items = if max == 1 { "item" } else { "items" };
        Self::of(ErrorType::TooMany, field, actual.to_string(), format!("must have at most {max} {items}"))
    }

    /// The sentence without the field: what `details.causes` carries.
    pub fn body(&self) -> String {
        let mut text = self.kind.words().to_string();
        if !self.value.is_empty() {
            text.push_str(": ");
            text.push_str(&self.value);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    /// The 422 that refuses an object: `Pod "x" is invalid: …`.
    pub fn status(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Status {
        let mut sentences: Vec<String> = Vec::new();
        for error in errors {
            let sentence = error.to_string();
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let list = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut causes: Vec<Cause> = Vec::new();
        for error in errors {
            let (reason, message) = (error.kind.reason().to_string(), error.body());
            let told = |cause: &Cause| cause.field == error.field && cause.reason == reason && cause.message == message;
            if !causes.iter().any(told) {
                causes.push(Cause { reason, message, field: error.field.clone() });
            }
        }
        let kind_text = if group.is_empty() { kind.to_string() } else { format!("{kind}.{group}") };
        Status::new(Reason::Invalid, format!("{kind_text} {name:?} is invalid: {list}")).details(Details {
            name: name.to_string(),
            group: group.to_string(),
            kind: kind.to_string(),
            causes,
            ..Details::default()
        })
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// A value as Go's `field.Error` prints it: strings quoted, the rest as JSON.
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::String(text) => go_quote(text),
        other => other.to_string(),
    }
}

/// Go's `%q`.
pub fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if is_print(c) => out.push(c),
            c => match c as u32 {
                code @ ..0x80 => out.push_str(&format!("\\x{code:02x}")),
                code @ ..0x1_0000 => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push('"');
    out
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols, and of the spaces the usual one.
pub fn is_print(c: char) -> bool {
    static PRINTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\pL\pM\pN\pP\pS ]$").ok());
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    PRINTED.as_ref().is_some_and(|printed| printed.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_kubernetes_writes_them() {
        let errors = [
            FieldError::required("spec.a", "name or generateName is required"),
            FieldError::invalid("spec.b", -1, "must be greater than or equal to 0"),
            FieldError::not_supported("spec.c", "x", &["a", "b"]),
        ];
        let status = FieldError::status("apps", "Deployment", "web", &errors);
        assert_eq!(
            status.message,
            "Deployment.apps \"web\" is invalid: [spec.a: Required value: name or generateName is required, \
             spec.b: Invalid value: -1: must be greater than or equal to 0, \
             spec.c: Unsupported value: \"x\": supported values: \"a\", \"b\"]"
        );
        assert_eq!(status.code, 422);
    }
}
