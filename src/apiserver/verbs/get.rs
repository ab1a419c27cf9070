//! `GET` of one object: the cache's own bytes, once the cache has every write made before.

use warp::reply::Response;

use crate::api::decode::MediaType;
use crate::api::status::Status;
use crate::apiserver::convert;
use crate::apiserver::engine::Call;
use crate::apiserver::negotiate::Shape;
use crate::apiserver::respond;

/// Answers with the object.
///
/// # Errors
/// 404 when there is none.
pub async fn get(call: &Call) -> Result<Response, Status> {
    let object = call.read(&call.info.name).await?;
    let plain = call.accepted.media == MediaType::Json && call.accepted.shape == Shape::Native && !call.accepted.pretty;
    if plain && !convert::is_needed(&call.resource) {
        return Ok(respond::send(200, "application/json", object.json()));
    }
    let value = convert::read(&call.engine, object.value(), &call.resource).await?;
    respond::object(200, &value, call)
}
