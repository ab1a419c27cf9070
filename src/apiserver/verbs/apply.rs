//! `PATCH` with `application/apply-patch+yaml`: server-side apply.
//!
//! The client sends the fields it cares about; ownership decides what becomes of the others. Creates
//! the object when there is none.

use serde_json::{Value, json};
use warp::reply::Response;

use super::create::{check_namespace, finish};
use super::update;
use crate::api::apply::{self, Force};
use crate::api::decode::{self, FieldValidation};
use crate::api::go_json;
use crate::api::meta;
use crate::api::resource::Subresource;
use crate::api::status::Status;
use crate::api::yaml;
use crate::apiserver::engine::{Call, bad_request, conflict_because};
use crate::apiserver::options::{APPLY, WriteOptions};
use crate::apiserver::respond;

/// The media type of an apply patch.
pub const MEDIA: &str = "application/apply-patch+yaml";

/// How Kubernetes' reader of YAML begins its complaints.
const CONVERTING: &str = "error converting YAML to JSON";

/// Applies the body.
///
/// # Errors
/// 409 for conflicts with other owners, 422 without a field manager, and those of an update.
pub async fn apply(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, APPLY)?;
    let force = if options.force == Some(true) { Force::Yes } else { Force::No };
    let (applied, duplicates) = body(call, &options)?;
    let (object, made) = update::write(call, &options, "apply", |old| {
        let live = (!old.is_null()).then_some(old);
        let mut object =
            call.as_writer(&options.field_manager, |writer| apply::apply(live, &applied, writer, force))?;
        check_duplicates(&duplicates, &options)?;
        check_place(call, &object, &applied, live.is_none())?;
        if live.is_none() {
            finish(call, &mut object, &options);
        } else if meta::resource_version(&applied).is_empty() {
            meta::remove(&mut object, &["metadata", "resourceVersion"]);
        }
        Ok(object)
    })
    .await?;
    call.warn(decode::warnings(&duplicates));
    respond::object(if made { 201 } else { 200 }, &object, call)
}

/// The applied fields, which name the object of the URL, and the keys that are there twice.
fn body(call: &Call, options: &WriteOptions) -> Result<(Value, Vec<String>), Status> {
    let document =
        yaml::parse_document(&call.body).map_err(|error| bad_request(format!("error encoding patch: {error}")))?;
    let applied = match document.value {
        Value::Null => json!({}),
        object @ Value::Object(_) => object,
        other => {
            let found = go_json::kind_of(&other);
            return Err(bad_request(format!(
                "error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} \
                 into Go value of type map[string]interface {{}}"
            )));
        }
    };
    let told = document.duplicates.iter().filter(|_| options.validation != FieldValidation::Ignore);
    Ok((applied, told.map(|error| format!("{CONVERTING}: {error}")).collect()))
}

/// The object that came of it is the one of the URL, in the namespace of the URL.
fn check_place(call: &Call, object: &Value, applied: &Value, is_new: bool) -> Result<(), Status> {
    let (url, uid) = (&call.info.name, meta::uid(applied));
    if is_new && !uid.is_empty() {
        let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
        return Err(conflict_because(&call.resource, url, &why));
    }
    match meta::name(object) {
        "" => {
            let message =
                format!("the name of the object ({url} based on URL) was undeterminable: name must be provided");
            return Err(bad_request(message));
        }
        own if own != url => {
            let message = format!("the name of the object ({own}) does not match the name on the URL ({url})");
            return Err(bad_request(message));
        }
        _ => {}
    }
    // It is not written down: it is no field the client applies.
    check_namespace(call, object)
}

/// A key that is there twice is told once ownership has been sorted out, which knows no unknown fields.
fn check_duplicates(duplicates: &[String], options: &WriteOptions) -> Result<(), Status> {
    if options.validation == FieldValidation::Strict && !duplicates.is_empty() {
        return Err(bad_request(format!("error strict decoding patch: {}", duplicates.join(", "))));
    }
    Ok(())
}

/// The Scale that results from applying the body to `current`.
///
/// # Errors
/// As [`apply`].
pub fn merged(call: &Call, current: &Value, sub: &Subresource, options: &WriteOptions) -> Result<Value, Status> {
    let force = if options.force == Some(true) { Force::Yes } else { Force::No };
    let (applied, duplicates) = body(call, options)?;
    check_duplicates(&duplicates, options)?;
    call.warn(decode::warnings(&duplicates));
    as_scale_writer(call, sub, &options.field_manager, |writer| apply::apply(Some(current), &applied, writer, force))
        .unwrap_or_else(|| Err(bad_request("the subresource has no schema")))
}

/// Ownership of a Scale that was written without apply.
pub fn track(call: &Call, before: Option<&Value>, scale: &mut Value, sub: &Subresource, manager: &str) {
    as_scale_writer(call, sub, manager, |writer| apply::track_update(before, scale, writer));
}

fn as_scale_writer<T>(
    call: &Call,
    sub: &Subresource,
    manager: &str,
    act: impl FnOnce(&apply::Writer<'_>) -> T,
) -> Option<T> {
    let schema = sub.schema.as_deref()?;
    let api_version = sub.api_version();
    let reset = apply::FieldSet::of_fields(&[&["status"]]);
    Some(call.as_writer(manager, |writer| {
        act(&apply::Writer {
            kind: &sub.kind,
            api_version: &api_version,
            schema,
            custom: false,
            reset: &reset,
            ..*writer
        })
    }))
}
