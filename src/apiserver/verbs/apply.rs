//! `PATCH` with `application/apply-patch+yaml`: server-side apply.
//!
//! The client sends the fields it cares about; ownership decides what becomes of the others. Creates
//! the object when there is none.

use serde_json::Value;
use warp::reply::Response;

use super::create::{finish, place};
use super::update;
use crate::api::apply::{self, Force};
use crate::api::decode::{self, MediaType, Target};
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::engine::{Call, bad_request};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::options::WriteOptions;
use crate::apiserver::respond;

/// The media type of an apply patch.
pub const MEDIA: &str = "application/apply-patch+yaml";

/// Applies the body.
///
/// # Errors
/// 409 for conflicts with other owners, 422 without a field manager, and those of an update.
pub async fn apply(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "PatchOptions")?;
    if options.field_manager.is_empty() {
        let error = FieldError::required("fieldManager", "is required for apply patch");
        return Err(FieldError::status("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    let force = if options.force == Some(true) { Force::Yes } else { Force::No };
    let applied = body(call, &options)?;
    let (object, made) = update::write(call, &options, "apply", |old| {
        let live = (!old.is_null()).then_some(old);
        let mut object =
            call.as_writer(&options.field_manager, |writer| apply::apply(live, &applied, writer, force))?;
        if live.is_none() {
            finish(call, &mut object, &options);
        } else if meta::resource_version(&applied).is_empty() {
            meta::remove(&mut object, &["metadata", "resourceVersion"]);
        }
        Ok(object)
    })
    .await?;
    respond::object(if made { 201 } else { 200 }, &object, call)
}

/// The applied fields: checked against the kind, with the name and namespace of the URL.
fn body(call: &Call, options: &WriteOptions) -> Result<Value, Status> {
    let raw =
        crate::api::yaml::parse(&call.body).map_err(|error| bad_request(format!("error decoding YAML: {error}")))?;
    let target = Target::resource(&call.resource);
    let checked = decode::decode(&call.body, MediaType::Yaml, &target, options.validation)?;
    call.warn(checked.warnings);
    let mut applied = raw;
    let url = &call.info.name;
    match meta::name(&applied) {
        "" => meta::set_text(&mut applied, "name", url),
        own if own != url => {
            let message = format!("the name of the object ({own}) does not match the name on the URL ({url})");
            return Err(bad_request(message));
        }
        _ => {}
    }
    place(call, &mut applied)?;
    Ok(applied)
}
