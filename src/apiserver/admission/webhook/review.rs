//! AdmissionReview: the question a webhook's server gets, and what its answer means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::Attributes;
use super::super::policy::request_value;
use crate::api::status::{Reason, Status};
use crate::apiserver::kinds::json::Json;

/// What a server decided.
#[derive(Default)]
pub struct Verdict {
    /// `Warning` headers to send.
    pub warnings: Vec<String>,
    /// Why the request is refused, if it is.
    pub refusal: Option<Status>,
    /// A JSON patch of the object.
    pub patch: Option<Value>,
}

/// The question, in the first version of AdmissionReview that both know, and its `uid`.
pub fn question(hook: &Value, request: &Attributes<'_>) -> (Value, String) {
    let known = hook.items("admissionReviewVersions").iter().filter_map(Value::as_str);
    let version = known.into_iter().find(|version| ["v1", "v1beta1"].contains(version)).unwrap_or("v1");
    let uid = uuid::Uuid::new_v4().to_string();
    let mut asked = request_value(request);
    asked["uid"] = json!(uid);
    asked["object"] = request.object.clone().unwrap_or(Value::Null);
    asked["oldObject"] = request.old.cloned().unwrap_or(Value::Null);
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": asked,
    });
    (review, uid)
}

/// What the answer means.
///
/// # Errors
/// Why it is no answer to the question.
pub fn verdict(hook: &str, uid: &str, review: &Value) -> Result<Verdict, String> {
    let response = review.at("response");
    if response.is_null() {
        return Err("webhook response was absent".to_string());
    }
    let told = |problem: String| format!("received invalid webhook response: {problem}");
    let version = review.text("apiVersion");
    if version == "admission.k8s.io/v1" {
        if review.text("kind") != "AdmissionReview" {
            let found = review.text("kind");
            return Err(told(format!(
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got admission.k8s.io/v1, Kind={found}"
            )));
        }
        if response.text("uid") != uid {
            return Err(told(format!("expected response.uid={uid:?}, got {:?}", response.text("uid"))));
        }
    } else if version != "admission.k8s.io/v1beta1" {
        return Err(told(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {version}, Kind={}",
            review.text("kind")
        )));
    }
    let warnings = response.items("warnings").iter().filter_map(Value::as_str).map(str::to_string).collect();
    if !response.flag("allowed") {
        return Ok(Verdict { warnings, refusal: Some(refusal(hook, response.at("status"))), patch: None });
    }
    Ok(Verdict { warnings, refusal: None, patch: patch(response).map_err(told)? })
}

fn patch(response: &Value) -> Result<Option<Value>, String> {
    let encoded = response.text("patch");
    if encoded.is_empty() {
        return Ok(None);
    }
    if response.text("patchType") != "JSONPatch" && response.has("patchType") {
        return Err(format!("invalid response.patchType={:?}, wanted \"JSONPatch\"", response.text("patchType")));
    }
    if !response.has("patchType") {
        return Err("webhook returned response.patch but not response.patchType".to_string());
    }
    let bytes = STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string())
}

/// The server's own Status, opened with who refused.
fn refusal(hook: &str, status: &Value) -> Status {
    let who = format!("admission webhook {hook:?} denied the request");
    let message = match (status.text("message"), status.text("reason")) {
        ("", "") => format!("{who} without explanation"),
        ("", reason) => format!("{who}: {reason}"),
        (message, _) => format!("{who}: {message}"),
    };
    let code = status.int("code").and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    let reason = Reason::parse(status.text("reason"));
    Status { reason, code: code.unwrap_or(400), ..Status::new(Reason::BadRequest, message) }
}
