//! `metav1.Status`: the error every Kubernetes client understands, with Kubernetes' own words.
//!
//! Source: `k8s.io/apimachinery/pkg/api/errors`; recorded answers in the golden transcripts.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why a request failed; its HTTP code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    StorageReadError,
}

impl Reason {
    /// The reason of this name.
    pub fn parse(name: &str) -> Option<Reason> {
        serde_json::from_value(Value::from(name)).ok()
    }

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
            Reason::InternalError | Reason::ServerTimeout | Reason::StorageReadError => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }
}

/// One cause inside `details.causes`: `FieldValueRequired` at `spec.containers[0].name`, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// Machine-readable: `FieldValueInvalid`, `FieldManagerConflict`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    pub message: String,
    /// The field's path, if it is about a field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What the failure is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
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
    /// A reason that Kubernetes does not know, as a webhook may give one.
    pub other_reason: Option<Box<str>>,
    /// The HTTP code.
    pub code: u16,
    /// For people; Kubernetes' wording.
    pub message: String,
    /// What it is about; `None` leaves `details` out, an empty one is sent as `{}`.
    pub details: Option<Box<Details>>,
    /// `metadata.continue` of an expired list: a token that goes on, inconsistently.
    pub continue_token: Option<String>,
}

impl Status {
    /// A status of this reason, its usual code, and no details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Status {
        Status {
            reason: Some(reason),
            other_reason: None,
            code: reason.code(),
            message: message.into(),
            details: None,
            continue_token: None,
        }
    }

    /// Adds what it is about.
    #[must_use]
    pub fn details(mut self, details: Details) -> Status {
        self.details = Some(Box::new(details));
        self
    }

    /// 404: no such object.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} \"{name}\" not found", qualified(resource, group));
        Status::new(Reason::NotFound, message).details(about(group, resource, name))
    }

    /// 404: no such resource, or no such path under it.
    pub fn unknown_resource() -> Status {
        Status::new(Reason::NotFound, "the server could not find the requested resource").details(Details::default())
    }

    /// 409: the name is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} \"{name}\" already exists", qualified(resource, group));
        Status::new(Reason::AlreadyExists, message).details(about(group, resource, name))
    }

    /// 409: the object is not what the client thought; `why` is Kubernetes' wording.
    pub fn conflict(group: &str, resource: &str, name: &str, why: impl std::fmt::Display) -> Status {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(resource, group));
        Status::new(Reason::Conflict, message).details(about(group, resource, name))
    }

    /// 409: someone else wrote in between.
    pub fn modified(group: &str, resource: &str, name: &str) -> Status {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(group, resource, name, why)
    }

    /// 403: not allowed, by RBAC or admission; an empty `name` speaks of the whole resource.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: impl std::fmt::Display) -> Status {
        let what = qualified(resource, group);
        let message = match name {
            "" => format!("{what} is forbidden: {why}"),
            _ => format!("{what} \"{name}\" is forbidden: {why}"),
        };
        Status::new(Reason::Forbidden, message).details(about(group, resource, name))
    }

    /// 422: the object breaks the rules of its kind.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Status {
        let told: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let told = if told.len() == 1 { told.concat() } else { format!("[{}]", told.join(", ")) };
        let message = format!("{} \"{name}\" is invalid: {told}", qualified(kind, group));
        Status::new(Reason::Invalid, message).details(Details { causes, ..about(group, kind, name) })
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(Reason::BadRequest, message)
    }

    /// 401: who is asking?
    pub fn unauthorized() -> Status {
        Status::new(Reason::Unauthorized, "Unauthorized")
    }

    /// 405: the resource has no such verb.
    pub fn method_not_allowed() -> Status {
        let message = "the server does not allow this method on the requested resource";
        Status::new(Reason::MethodNotAllowed, message).details(Details::default())
    }

    /// 406: none of the answer's forms is among those the client accepts.
    pub fn not_acceptable(forms: &[&str]) -> Status {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {}", forms.join(", "));
        Status::new(Reason::NotAcceptable, message).details(Details::default())
    }

    /// 406: the form is known, but not for this (`;as=` of an unknown kind).
    pub fn only_accepted(forms: &[&str]) -> Status {
        let message = format!("only the following media types are accepted: {}", forms.join(", "));
        Status::new(Reason::NotAcceptable, message)
    }

    /// 415: the body is in a form that is not read here.
    pub fn unsupported_media_type(forms: &[&str]) -> Status {
        let forms = forms.join(", ");
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {forms}");
        Status::new(Reason::UnsupportedMediaType, message)
    }

    /// 415: a patch of a type that no resource knows.
    pub fn unsupported_patch_type() -> Status {
        Status::new(Reason::UnsupportedMediaType, "415: Unsupported Media Type").details(Details::default())
    }

    /// 413: the body is longer than `limit_bytes`.
    pub fn too_large(limit_bytes: usize) -> Status {
        Status::new(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {limit_bytes}"))
    }

    /// 410: a list at a revision that is compacted.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(Reason::Expired, message)
    }

    /// 410: the revision asked for is no longer kept.
    pub fn gone(message: impl Into<String>) -> Status {
        Status::new(Reason::Gone, message)
    }

    /// 429: come back later; `retry_after_seconds` 0 does not say when.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Status {
        Status::new(Reason::TooManyRequests, message).details(Details { retry_after_seconds, ..Details::default() })
    }

    /// 500 with Kubernetes' opening words and the error as its cause.
    pub fn internal(error: impl std::fmt::Display) -> Status {
        let cause = Cause { reason: String::new(), message: error.to_string(), field: String::new() };
        let details = Details { causes: vec![cause], ..Details::default() };
        Status::new(Reason::InternalError, format!("Internal error occurred: {error}")).details(details)
    }

    /// 500 without a reason, as Kubernetes answers where it did not think of one.
    pub fn unexpected(message: impl Into<String>) -> Status {
        Status { reason: None, ..Status::new(Reason::InternalError, message) }
    }

    /// 503: something behind the API server does not answer.
    pub fn unavailable(message: impl Into<String>) -> Status {
        Status::new(Reason::ServiceUnavailable, message)
    }

    /// 504: it took too long.
    pub fn timeout(message: impl std::fmt::Display) -> Status {
        Status::new(Reason::Timeout, format!("Timeout: {message}")).details(Details::default())
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
        } else if let Some(reason) = &self.other_reason {
            body["reason"] = json!(reason);
        }
        if let Some(details) = &self.details {
            body["details"] = json!(details);
        }
        body["code"] = json!(self.code);
        body
    }
}

/// `deployments.apps`, or `pods` where the group is empty.
fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_string() } else { format!("{resource}.{group}") }
}

fn about(group: &str, resource: &str, name: &str) -> Details {
    Details { name: name.into(), group: group.into(), kind: resource.into(), ..Details::default() }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_as_recorded() {
        let missing = Status::not_found("apps", "deployments", "nope").to_value();
        let expected = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "deployments.apps \"nope\" not found", "reason": "NotFound",
            "details": {"name": "nope", "group": "apps", "kind": "deployments"}, "code": 404});
        assert_eq!(missing, expected);
        assert_eq!(Status::method_not_allowed().to_value()["details"], json!({}));
        assert_eq!(Status::unexpected("no").to_value().get("reason"), None);
        let cause = Cause {
            reason: "FieldValueRequired".into(),
            message: "Required value".into(),
            field: "spec.containers".into(),
        };
        assert_eq!(
            Status::invalid("", "Pod", "x", vec![cause]).message,
            "Pod \"x\" is invalid: spec.containers: Required value"
        );
        assert_eq!(Status::modified("", "configmaps", "st").code, 409);
        assert_eq!(Status::forbidden("", "pods", "", "because").message, "pods is forbidden: because");
    }
}
