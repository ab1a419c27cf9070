//! `PATCH`: JSON patch, merge patch and strategic merge patch over the object that is.
//!
//! Server-side apply has a file of its own. A patch that loses a race is made again on the newer
//! object; one that carries a `resourceVersion` is told of the conflict.

use serde_json::Value;
use warp::reply::Response;

use super::create::place;
use super::update;
use crate::api::decode::{self, FieldValidation, Target};
use crate::api::meta;
use crate::api::patch::{json, merge, strategic};
use crate::api::status::{Details, Reason, Status};
use crate::apiserver::engine::{Call, bad_request};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::options::WriteOptions;
use crate::apiserver::respond;

/// The forms of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Merge,
    Strategic,
}

/// Patches the object.
///
/// # Errors
/// 400, 404, 409, 415, 422 as Kubernetes says them.
pub async fn patch(call: &Call) -> Result<Response, Status> {
    let kind = kind(call)?;
    let options = WriteOptions::parse(&call.query, "PatchOptions")?;
    if options.force.is_some() {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(FieldError::status("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    let patch: Value = serde_json::from_slice(&call.body).map_err(|_| bad_request("invalid JSON patch"))?;
    let (object, _) = update::write(call, &options, "patch", |old| {
        let mut new = old.clone();
        match kind {
            Kind::Json => json::apply(&mut new, &patch)?,
            Kind::Merge => merge::apply(&mut new, &patch)?,
            Kind::Strategic => strategic::apply(&mut new, &patch, &call.resource.schema)?,
        }
        checked(call, new, old, &options)
    })
    .await?;
    respond::object(200, &object, call)
}

/// The result is still an object of the kind, with the name and namespace of the URL.
fn checked(call: &Call, new: Value, old: &Value, options: &WriteOptions) -> Result<Value, Status> {
    let mut new = read(call, new, options)?;
    if meta::name(&new) != meta::name(old) {
        let (own, url) = (meta::name(&new), &call.info.name);
        if own.is_empty() {
            let message =
                format!("the name of the object ({url} based on URL) was undeterminable: name must be provided");
            return Err(bad_request(message));
        }
        return Err(bad_request(format!("the name of the object ({own}) does not match the name on the URL ({url})")));
    }
    place(call, &mut new)?;
    if meta::resource_version(&new) == meta::resource_version(old) {
        // The patch named no revision: it goes on top of whatever is there.
        meta::remove(&mut new, &["metadata", "resourceVersion"]);
    }
    Ok(new)
}

/// The result as the kind. A patch that leaves a field of the wrong type, or, where that is asked for,
/// an unknown one, is itself what is invalid.
fn read(call: &Call, new: Value, options: &WriteOptions) -> Result<Value, Status> {
    let patch: Value = serde_json::from_slice(&call.body).unwrap_or(Value::Null);
    let refuse = |why: String| {
        let error = FieldError::invalid("patch", go_value(&patch), why);
        FieldError::status("", "", "", &[error])
    };
    if call.resource.custom {
        let decoded = decode::decode_value(&new, &Target::resource(&call.resource), options.validation)?;
        call.warn(decoded.warnings);
        return Ok(decoded.value);
    }
    let (value, problems) = decode::check(&new, &call.resource.schema).map_err(refuse)?;
    match options.validation {
        FieldValidation::Strict if !problems.is_empty() => {
            return Err(refuse(format!("strict decoding error: {}", problems.join(", "))));
        }
        FieldValidation::Warn => call.warn(problems),
        _ => {}
    }
    Ok(value)
}

/// A value as Go prints it: `map[spec:map[replicas:3]]`.
fn go_value(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut parts: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
            parts.sort();
            format!("map[{}]", parts.join(" "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_string(),
        other => other.to_string(),
    }
}

fn kind(call: &Call) -> Result<Kind, Status> {
    let media = call.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim();
    match media {
        "application/json-patch+json" => Ok(Kind::Json),
        "application/merge-patch+json" => Ok(Kind::Merge),
        "application/strategic-merge-patch+json" if !call.resource.custom => Ok(Kind::Strategic),
        _ if call.resource.custom => Err(Status::new(
            Reason::UnsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(Status::new(Reason::UnsupportedMediaType, "415: Unsupported Media Type").details(Details::default())),
    }
}
