//! `metav1.Status`: the error every Kubernetes client understands, with Kubernetes' own words.
//!
//! Source: `k8s.io/apimachinery/pkg/api/errors`; recorded answers in the golden transcripts.

use serde::Serialize;
use serde_json::{Value, json};

/// Why a request failed; its HTTP code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    Expired,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    ServiceUnavailable,
}

impl Reason {
    /// The HTTP status code that goes with it.
    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Gone | Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::InternalError | Reason::ServerTimeout => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }
}

/// One cause inside `details.causes`: `FieldValueRequired` at `spec.containers[0].name`, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Machine-readable: `FieldValueInvalid`, `FieldManagerConflict`, …
    pub reason: String,
    /// For people.
    pub message: String,
    /// The field's path, if it is about a field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What the failure is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource (`pods`), or, for invalid objects, the kind (`Pod`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Each thing that was wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A failed request, as the client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `None` for the few answers that Kubernetes sends without a reason.
    pub reason: Option<Reason>,
    /// The HTTP code.
    pub code: u16,
    /// For people; Kubernetes' wording.
    pub message: String,
    /// What it is about; `None` leaves `details` out, an empty one is sent as `{}`.
    pub details: Option<Details>,
    /// `metadata.continue` of an expired list: a token that goes on, inconsistently.
    pub continue_token: Option<String>,
}

impl Status {
    /// A status of this reason, its usual code, and no details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Status {
        Status {
            reason: Some(reason),
            code: reason.code(),
            message: message.into(),
            details: None,
            continue_token: None,
        }
    }

    /// Adds what it is about.
    #[must_use]
    pub fn details(mut self, details: Details) -> Status {
        self.details = Some(details);
        self
    }

    /// The JSON object that is sent.
    pub fn to_value(&self) -> Value {
        let mut metadata = json!({});
        if let Some(token) = &self.continue_token {
            metadata["continue"] = json!(token);
        }
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": "Failure", "message": self.message,
        });
        if let Some(reason) = self.reason {
            body["reason"] = json!(reason);
        }
        if let Some(details) = &self.details {
            body["details"] = json!(details);
        }
        body["code"] = json!(self.code);
        body
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
