//! AdmissionReview: the question a webhook's server gets, and what its answer means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::Attributes;
use super::super::policy::request_value;
use crate::api::decode;
use crate::api::go_json;
use crate::api::schema::Schema;
use crate::api::status::{Reason, Status};
use crate::apiserver::admission::patch_words;
use crate::apiserver::backend::webhook::{check_kind, told_kind};
use crate::apiserver::kinds::json::Json;

/// What a server may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Change the object.
    Mutating,
    /// Look at it.
    Validating,
}

/// A question.
pub struct Question {
    /// The AdmissionReview that is sent.
    pub review: Value,
    uid: String,
    version: &'static str,
}

/// What a server decided.
#[derive(Debug, Default)]
pub struct Verdict {
    /// `Warning` headers to send.
    pub warnings: Vec<String>,
    /// Why the request is refused, if it is.
    pub refusal: Option<Status>,
    /// The operations of a JSON patch of the object.
    pub patch: Vec<Value>,
}

/// The question, in the first version of AdmissionReview that both know.
///
/// # Errors
/// When there is none.
pub fn question(hook: &Value, request: &Attributes<'_>) -> Result<Question, String> {
    let mut wanted = hook.items("admissionReviewVersions").iter().filter_map(Value::as_str);
    let version = wanted.find_map(|wanted| ["v1", "v1beta1"].into_iter().find(|known| *known == wanted));
    let version = version.ok_or("webhook does not accept known AdmissionReview versions (v1, v1beta1)")?;
    let uid = uuid::Uuid::new_v4().to_string();
    let mut asked = request_value(request);
    asked["uid"] = json!(uid);
    asked["object"] = request.object.clone().unwrap_or(Value::Null);
    asked["oldObject"] = request.old.cloned().unwrap_or(Value::Null);
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": asked,
    });
    Ok(Question { review, uid, version })
}

/// What the answer means.
///
/// # Errors
/// Why it is no answer to the question.
pub fn verdict(hook: &str, asked: &Question, phase: Phase, review: &Value) -> Result<Verdict, String> {
    let unread = |why: String| format!("failed to call webhook: {why}");
    let told = |why: String| format!("received invalid webhook response: {why}");
    check_kind(review, "admission.k8s.io", asked.version, "AdmissionReview").map_err(unread)?;
    misfit(review.at("response"), asked.version).map_or(Ok(()), |why| Err(unread(why)))?;
    let response = review.at("response");
    if response.is_null() {
        return Err(told("webhook response was absent".to_string()));
    }
    // The older version was never checked so strictly.
    if asked.version == "v1" {
        let (expected, found) = (&asked.uid, response.text("uid"));
        if expected != found {
            return Err(told(format!("expected response.uid={expected:?}, got {found:?}")));
        }
        let (expected, found) = ("admission.k8s.io/v1, Kind=AdmissionReview", told_kind(review));
        if expected != found {
            return Err(told(format!("expected webhook response of {expected}, got {found}")));
        }
        patch_belongs(response, phase).map_err(|why| told(why.to_string()))?;
    }
    let warnings = response.items("warnings").iter().filter_map(Value::as_str).map(str::to_string).collect();
    if !response.flag("allowed") {
        return Ok(Verdict { warnings, refusal: Some(refusal(hook, response.at("status"))), patch: Vec::new() });
    }
    let patch = match phase {
        Phase::Mutating => patch(response, asked.version)?,
        Phase::Validating => Vec::new(),
    };
    Ok(Verdict { warnings, refusal: None, patch })
}

/// The fields of a response: what JSON each holds, and what Go calls that.
const FIELDS: [(&str, &str, &str); 7] = [
    ("uid", "string", "types.UID"),
    ("allowed", "bool", "bool"),
    ("status", "object", "v1.Status"),
    ("patch", "string", "[]uint8"),
    ("patchType", "string", "PatchType"),
    ("auditAnnotations", "object", "map[string]string"),
    ("warnings", "array", "[]string"),
];

/// What in a response cannot be read, in Go's words.
fn misfit(response: &Value, version: &str) -> Option<String> {
    let wrong = |found: &Value| format!("json: cannot unmarshal {} into Go struct field", go_json::kind_of(found));
    if !response.is_null() && !response.is_object() {
        return Some(format!("{} AdmissionReview.response of type {version}.AdmissionResponse", wrong(response)));
    }
    for (field, kind, go) in FIELDS {
        let found = response.at(field);
        if !found.is_null() && go_json::kind_of(found) != kind {
            let go = if field == "patchType" { format!("{version}.{go}") } else { go.to_string() };
            return Some(format!("{} AdmissionResponse.response.{field} of type {go}", wrong(found)));
        }
    }
    go_json::base64_error(response.text("patch"))
}

/// A patch comes with its type, and from a server that may change something.
fn patch_belongs(response: &Value, phase: Phase) -> Result<(), &'static str> {
    match (phase, !response.text("patch").is_empty(), response.has("patchType")) {
        (Phase::Validating, true, _) => Err("validating webhook may not return response.patch"),
        (Phase::Validating, false, true) => Err("validating webhook may not return response.patchType"),
        (Phase::Mutating, true, false) => Err("webhook returned response.patch but not response.patchType"),
        (Phase::Mutating, false, true) => Err("webhook returned response.patchType but not response.patch"),
        (Phase::Mutating, true, true) if response.text("patchType").is_empty() => {
            Err("webhook returned invalid response.patchType of \"\"")
        }
        _ => Ok(()),
    }
}

/// The operations of the patch.
fn patch(response: &Value, version: &str) -> Result<Vec<Value>, String> {
    let encoded = response.text("patch");
    if encoded.is_empty() {
        return Ok(Vec::new());
    }
    let undecodable = |why: String| format!("received undecodable patch in webhook response: {why}");
    let bytes = STANDARD.decode(encoded).map_err(|error| undecodable(error.to_string()))?;
    let patch: Value =
        serde_json::from_slice(&bytes).map_err(|error| undecodable(go_json::syntax_error(&bytes, &error)))?;
    let wrong = |found: &Value, go: &str| {
        undecodable(format!("json: cannot unmarshal {} into Go value of type jsonpatch.{go}", go_json::kind_of(found)))
    };
    let operations = match patch {
        Value::Null => Vec::new(),
        Value::Array(operations) => operations,
        other => return Err(wrong(&other, "Patch")),
    };
    if let Some(other) = operations.iter().find(|operation| !operation.is_object() && !operation.is_null()) {
        return Err(wrong(other, "Operation"));
    }
    let kind = response.text("patchType");
    if version == "v1" && kind != "JSONPatch" && !operations.is_empty() {
        return Err(format!("unsupported patch type {kind:?}"));
    }
    Ok(operations)
}

/// The object after the operations, read as its kind reads it.
///
/// # Errors
/// The words of the library that Kubernetes uses, or Go's for an object that is none of its kind.
pub fn patched(object: &Value, operations: &[Value], schema: Option<&Schema>) -> Result<Value, String> {
    let mut changed = object.clone();
    for operation in operations {
        if crate::api::patch::json::apply(&mut changed, &json!([operation])).is_err() {
            let why = patch_words::why_not(operation, &changed);
            return Err(why.unwrap_or_else(|| format!("testing value {} failed: test failed", operation.text("path"))));
        }
    }
    match schema {
        Some(schema) => decode::check(&changed, schema).map(|(read, _)| read),
        None => Ok(changed),
    }
}

/// The server's own Status, opened with who refused.
fn refusal(hook: &str, status: &Value) -> Status {
    let who = format!("admission webhook {hook:?} denied the request");
    let given = status.text("reason");
    let message = match (status.text("message"), given) {
        ("", "") => format!("{who} without explanation"),
        ("", reason) => format!("{who}: {reason}"),
        (message, _) => format!("{who}: {message}"),
    };
    let code = status.int("code").and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    let reason = Reason::parse(given);
    Status {
        reason,
        other_reason: (reason.is_none() && !given.is_empty()).then(|| given.into()),
        code: code.unwrap_or(400),
        details: serde_json::from_value(status.at("details").clone()).ok().flatten(),
        ..Status::new(Reason::BadRequest, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: Value) -> Value {
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})
    }

    fn judged(phase: Phase, review: &Value) -> Result<Verdict, String> {
        verdict("x.y.z", &Question { review: Value::Null, uid: "u".into(), version: "v1" }, phase, review)
    }

    #[test]
    fn an_answer_that_is_none_says_why() {
        let encoded = |text: &str| STANDARD.encode(text);
        let patch =
            |text: &str| answer(json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": encoded(text)}));
        let invalid = "received invalid webhook response";
        let undecodable = "received undecodable patch in webhook response";
        let table = [
            (answer(Value::Null), format!("{invalid}: webhook response was absent")),
            (answer(json!({"uid": "v"})), format!("{invalid}: expected response.uid=\"u\", got \"v\"")),
            (
                json!({"response": {"uid": "u"}}),
                format!(
                    "{invalid}: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind="
                ),
            ),
            (
                answer(json!({"uid": "u", "allowed": "yes"})),
                "failed to call webhook: json: cannot unmarshal string into Go struct field \
                 AdmissionResponse.response.allowed of type bool"
                    .to_string(),
            ),
            (
                answer(json!({"uid": "u", "patch": "W10="})),
                format!("{invalid}: webhook returned response.patch but not response.patchType"),
            ),
            (
                answer(json!({"uid": "u", "patchType": "JSONPatch"})),
                format!("{invalid}: webhook returned response.patchType but not response.patch"),
            ),
            (
                answer(json!({"uid": "u", "patchType": "JSONPatch", "patch": "!"})),
                "failed to call webhook: illegal base64 data at input byte 0".to_string(),
            ),
            (patch("{"), format!("{undecodable}: unexpected end of JSON input")),
            (
                patch("{}"),
                format!("{undecodable}: json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
            ),
            (
                patch("[1]"),
                format!("{undecodable}: json: cannot unmarshal number into Go value of type jsonpatch.Operation"),
            ),
            (
                answer(json!({"uid": "u", "allowed": true, "patchType": "Merge", "patch": encoded("[{}]")})),
                "unsupported patch type \"Merge\"".to_string(),
            ),
        ];
        for (review, words) in table {
            assert_eq!(judged(Phase::Mutating, &review).unwrap_err(), words);
        }
        assert_eq!(
            judged(Phase::Validating, &patch("[]")).unwrap_err(),
            format!("{invalid}: validating webhook may not return response.patch")
        );
        assert!(judged(Phase::Mutating, &patch("[]")).unwrap().patch.is_empty());
    }

    #[test]
    fn a_refusal_keeps_what_the_server_said() {
        let said = json!({"message": "no", "reason": "TooBig", "code": 413, "details": {"retryAfterSeconds": 3,
            "causes": [{"message": "m", "field": "f"}]}});
        let refused = judged(Phase::Validating, &answer(json!({"uid": "u", "status": said}))).unwrap().refusal.unwrap();
        let shown = refused.to_value();
        assert_eq!(shown["message"], "admission webhook \"x.y.z\" denied the request: no");
        assert_eq!(
            (&shown["reason"], &shown["code"], &shown["details"]),
            (&said["reason"], &said["code"], &said["details"])
        );
        let bare = judged(Phase::Validating, &answer(json!({"uid": "u"}))).unwrap().refusal.unwrap().to_value();
        assert_eq!(bare["message"], "admission webhook \"x.y.z\" denied the request without explanation");
        assert_eq!((bare.get("reason"), bare.get("details"), &bare["code"]), (None, None, &json!(400)));
    }
}
