//! `DELETE` of a collection: each selected object, as if deleted alone; answers with the list.

use warp::reply::Response;

use super::delete::{self, Admission, Removed};
use super::delete_options::DeleteOptions;
use super::list;
use crate::api::status::{Reason, Status};
use crate::apiserver::convert;
use crate::apiserver::engine::{Call, not_allowed};
use crate::apiserver::options::ListOptions;
use crate::apiserver::respond;

/// Deletes the selected objects.
///
/// # Errors
/// Those of a list and of a delete; an object that is gone already is none.
pub async fn delete_collection(call: &Call) -> Result<Response, Status> {
    let selectors = ListOptions::parse(&call.query, false)?;
    let cache = call.engine.cache(&call.resource).ok_or_else(not_allowed)?;
    let selection = list::select(call, &cache, &selectors)?;
    let options = DeleteOptions::parse(call)?;
    options.check_collection()?;
    let page = list::page(call, &cache, &selection, &selectors).await?;
    for object in &page.objects {
        let removed = match object.namespace() {
            namespace if namespace == call.namespace() => {
                delete::remove(call, object.name(), &options, Admission::Of("")).await
            }
            _ => return Err(not_allowed()),
        };
        match removed {
            Ok(Removed::Gone(_) | Removed::Stays(_)) => {}
            Err(status) if status.reason == Some(Reason::NotFound) => {}
            Err(status) => return Err(status),
        }
    }
    let items = page.objects.iter().map(|object| object.value()).collect();
    let items = convert::read_all(&call.engine, items, &call.resource).await?;
    let metadata = list::metadata(call, &page);
    let body = respond::encode(&respond::list(items, &metadata, call)?, call.accepted)?;
    Ok(respond::send(200, call.accepted.content_type(), body))
}
