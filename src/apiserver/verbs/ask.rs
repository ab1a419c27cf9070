//! `POST` of questions: reviews and token requests. They are answered and not stored.

use serde_json::Value;
use warp::reply::Response;

use super::create;
use crate::api::apply::track_update;
use crate::api::decode::{self, Target};
use crate::api::status::Status;
use crate::api::{meta, typed};
use crate::apiserver::engine::{Call, not_served};
use crate::apiserver::kinds::FieldError;
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
    create::place(call, &mut review)?;
    typed::normalize(&mut review, &call.resource.schema);
    call.as_writer(&options.field_manager, |writer| track_update(None, &mut review, writer));
    let (engine, namespace) = (&call.engine, call.namespace());
    // Also what was granted a moment ago is granted.
    engine.caches.fresh().await;
    let mut answer = engine.auth.review(&call.resource.kind, review, namespace, &call.user, &**engine, call.now)?;
    typed::normalize(&mut answer, &call.resource.schema);
    respond::object(201, &answer, call)
}

/// Issues a token for the service account of the URL.
///
/// # Errors
/// 404 without the account, 422 for an expiry out of range or another name, 403 from admission.
pub async fn token(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let sub = call.resource.subresource("token").ok_or_else(not_served)?;
    let target = Target::subresource(sub, false).ok_or_else(not_served)?;
    let media = negotiate::body_media(call.header("content-type"), false)?;
    let mut request: Value = decode::decode(&call.body, media, &target, options.validation)?.value;
    call.place_part(&mut request)?;
    let (asked, name) = (meta::name(&request), call.info.name.as_str());
    if !asked.is_empty() && asked != name {
        let why = "must match the service account name if specified";
        let error = FieldError::invalid("metadata.name", asked, why);
        return Err(FieldError::status(&sub.group, &sub.kind, name, &[error]));
    }
    let account = call.read(name).await?.value();
    let uid = meta::uid(&request);
    if !uid.is_empty() && uid != meta::uid(&account) {
        let why = format!(
            "the UID in the token request ({uid}) does not match the UID of the service account ({})",
            meta::uid(&account)
        );
        return Err(Status::conflict(&sub.group, &sub.kind, name, why));
    }
    for field in ["name", "namespace", "uid"] {
        meta::set(&mut request, &["metadata", field], account["metadata"][field].clone());
    }
    meta::set_text(&mut request, "creationTimestamp", &create::seconds(call));
    call.engine.auth.complete_token_request(&mut request)?;
    let request = call.pass_part(sub, request, options.dry_run).await?;
    call.engine.signing_key().await?;
    let mut answer = call.engine.auth.issue_token(&account, &request, &*call.engine, call.now)?;
    typed::normalize(&mut answer, target.schema);
    respond::object(201, &answer, call)
}
