//! `GET` of one object: the cache's own bytes, once the cache has every write made before.

use warp::reply::Response;

use crate::api::decode::MediaType;
use crate::api::status::Status;
use crate::apiserver::convert;
use crate::apiserver::engine::{Call, bad_request};
use crate::apiserver::negotiate::Shape;
use crate::apiserver::request::is_true;
use crate::apiserver::respond;

use super::list::{reachable, revision};

/// Answers with the object.
///
/// # Errors
/// 404 when there is none.
pub async fn get(call: &Call) -> Result<Response, Status> {
    check_options(call).await?;
    let object = call.read(&call.info.name).await?;
    let plain = call.accepted.media == MediaType::Json && call.accepted.shape == Shape::Native && !call.accepted.pretty;
    if plain && !convert::is_needed(&call.resource) {
        return Ok(respond::send(200, "application/json", object.json()));
    }
    let value = convert::read(&call.engine, object.value(), &call.resource).await?;
    respond::object(200, &value, call)
}

/// The object is wanted as it was at some revision, or later.
async fn check_options(call: &Call) -> Result<(), Status> {
    if call.param("export").is_some_and(is_true) {
        return Err(bad_request("the export parameter, deprecated since v1.14, is no longer supported"));
    }
    let asked = call.param("resourceVersion").unwrap_or("");
    let revision =
        revision(asked).map_err(|error| Status { reason: None, code: 500, ..bad_request(error.to_string()) })?;
    reachable(call, revision).await
}
