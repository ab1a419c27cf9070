//! `POST` of questions: reviews and token requests. They are answered and not stored.

use serde_json::Value;
use warp::reply::Response;

use super::create;
use crate::api::apply::track_update;
use crate::api::decode::{self, Target};
use crate::api::status::Status;
use crate::api::typed;
use crate::apiserver::engine::{Call, not_served};
use crate::apiserver::negotiate;
use crate::apiserver::options::WriteOptions;
use crate::apiserver::respond;

/// Answers a review of authentication or authorization.
///
/// # Errors
/// 400 and 422 for a review that asks nothing or too much.
pub async fn review(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let mut review = create::body(call, &options)?;
    typed::normalize(&mut review, &call.resource.schema);
    call.as_writer(&options.field_manager, |writer| track_update(None, &mut review, writer));
    let (engine, namespace) = (&call.engine, call.namespace());
    let mut answer = engine.auth.review(&call.resource.kind, review, namespace, &call.user, &**engine, call.now)?;
    typed::normalize(&mut answer, &call.resource.schema);
    respond::object(201, &answer, call)
}

/// Issues a token for the service account of the URL.
///
/// # Errors
/// 404 without the account, 422 for an expiry out of range.
pub async fn token(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let sub = call.resource.subresource("token").ok_or_else(not_served)?;
    let target = Target::subresource(sub, false).ok_or_else(not_served)?;
    let media = negotiate::body_media(call.header("content-type"), false)?;
    let mut request: Value = decode::decode(&call.body, media, &target, options.validation)?.value;
    let account = call.read(&call.info.name).await?.value();
    for field in ["name", "namespace", "uid"] {
        crate::api::meta::set(&mut request, &["metadata", field], account["metadata"][field].clone());
    }
    crate::api::meta::set_text(&mut request, "creationTimestamp", &create::seconds(call));
    call.engine.signing_key().await?;
    let mut answer = call.engine.auth.issue_token(&account, &request, &*call.engine, call.now)?;
    typed::normalize(&mut answer, target.schema);
    respond::object(201, &answer, call)
}
