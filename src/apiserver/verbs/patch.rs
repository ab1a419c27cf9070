//! `PATCH`: JSON patch, merge patch and strategic merge patch over the object that is.
//!
//! Server-side apply has a file of its own. A patch that loses a race is made again on the newer
//! object; one that carries a `resourceVersion` is told of the conflict.

use serde_json::Value;
use warp::reply::Response;

use super::create::place;
use super::update;
use crate::api::decode::{self, Target};
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
    let decoded = decode::decode_value(&new, &Target::resource(&call.resource), options.validation)?;
    call.warn(decoded.warnings);
    let mut new = decoded.value;
    if meta::name(&new) != meta::name(old) {
        let (own, url) = (meta::name(&new), &call.info.name);
        return Err(bad_request(format!("the name of the object ({own}) does not match the name on the URL ({url})")));
    }
    place(call, &mut new)?;
    if meta::resource_version(&new) == meta::resource_version(old) {
        // The patch named no revision: it goes on top of whatever is there.
        meta::remove(&mut new, &["metadata", "resourceVersion"]);
    }
    Ok(new)
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
