//! The three ways to change part of an object: JSON patch, merge patch, strategic merge patch.
//!
//! In: the object as stored, and a patch. Out: the object as the writer wants it; decoding,
//! defaulting and validation come after, in the API server. (The fourth way, server-side apply, is
//! [`crate::api::apply`].) Chapter: `book/src/inside/schema.md`.

pub mod json;
pub mod merge;
pub mod strategic;
pub mod unstructured;

use crate::api::status::{Details, Reason, Status};
use serde_json::Value;

/// What Go calls the JSON type in `cannot unmarshal array into Go value`.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// 400: the body is JSON of the wrong type.
fn wrong_type(patch: &Value, wanted: &str) -> Status {
    let message =
        format!("error decoding patch: json: cannot unmarshal {} into Go value of type {wanted}", go_type(patch));
    Status::new(Reason::BadRequest, message)
}

/// 422: the patch is well-formed but cannot be carried out on this object.
pub fn unprocessable() -> Status {
    Status::new(Reason::Invalid, "the server rejected our request due to an error in our request")
        .details(Details::default())
}
