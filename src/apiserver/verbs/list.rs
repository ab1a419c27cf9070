//! `GET` of a collection: one consistent view, whole or in pages.
//!
//! The newest view comes from the watch cache; a page of an older one from the store's history. A
//! continue token names the revision and the key that the last page ended at, so all pages show
//! one moment.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Value, json};
use warp::reply::Response;

use super::token::Token;
use crate::api::decode::MediaType;
use crate::api::protobuf;
use crate::api::status::{Cause, Details, Reason, Status};
use crate::apiserver::cache::{Cache, Object};
use crate::apiserver::convert;
use crate::apiserver::engine::{Call, bad_request, not_allowed};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::negotiate::Shape;
use crate::apiserver::options::{ListOptions, Match, not_a_number};
use crate::apiserver::respond;
use crate::apiserver::selection::Selection;
use crate::apiserver::storage;
use crate::etcd::{Keys, Revision, StoreError};

/// How long a read waits for a revision that has not happened yet.
const FUTURE_WAIT: std::time::Duration = std::time::Duration::from_secs(3);

/// Objects of one moment.
pub struct Page {
    /// In key order.
    pub objects: Vec<Arc<Object>>,
    /// The moment.
    pub revision: i64,
    /// Where the next page starts; empty at the end.
    pub continue_token: String,
    /// How many come after; `None` where selectors make it unknown.
    pub remaining: Option<usize>,
}

/// Answers with the list.
///
/// # Errors
/// 400 for bad selectors or tokens, 410 for a moment that is gone, 504 for one yet to come.
pub async fn list(call: &Call) -> Result<Response, Status> {
    let options = ListOptions::parse(&call.query, false)?;
    let cache = call.engine.cache(&call.resource).ok_or_else(not_allowed)?;
    let selection = select(call, &cache, &options)?;
    let page = page(call, &cache, &selection, &options).await?;
    // In what form it is told is asked once there is something to tell.
    if call.accepted.shape == Shape::Metadata {
        let list = respond::go_type(&call.resource, &call.resource.list_kind);
        let message = format!("you requested PartialObjectMetadata, but the requested object is a list ({list})");
        return Err(Status::new(Reason::NotAcceptable, message));
    }
    answer(call, &page).await
}

/// The selection a request's options mean.
///
/// # Errors
/// 400 for a selector that cannot be read.
pub fn select(call: &Call, cache: &Cache, options: &ListOptions) -> Result<Selection, Status> {
    Selection::parse(
        &call.resource,
        cache.fields_of.clone(),
        call.namespace(),
        &options.label_selector,
        &options.field_selector,
    )
}

/// The objects that the options mean.
///
/// # Errors
/// As [`list`].
pub async fn page(
    call: &Call,
    cache: &Arc<Cache>,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Page, Status> {
    let mut start = String::new();
    let mut at = None;
    if !options.continue_token.is_empty() {
        let token = Token::parse(&options.continue_token)?;
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(bad_request("specifying resource version is not allowed when using continue"));
        }
        if token.revision > 0 && call.engine.horizon.is_past(token.revision) {
            return Err(gone(&StoreError::Compacted { oldest: Revision(token.revision) }, Some(&token.start)));
        }
        start = token.start;
        at = (token.revision > 0).then_some(token.revision);
    } else if !options.resource_version.is_empty() {
        let revision = revision(&options.resource_version)
            .map_err(|error| bad_request(format!("invalid resource version: {error}")))?;
        reachable(call, revision).await?;
        let exact = match options.version_match {
            Some(Match::Exact) => true,
            Some(Match::NotOlderThan) => false,
            None => options.limit > 0 && revision > 0,
        };
        at = (exact && revision > 0).then_some(revision);
    }
    if options.resource_version != "0" {
        call.engine.caches.fresh().await;
    }
    let (all, revision) = match at {
        Some(revision) if cache.revision() > revision => {
            let token = (!start.is_empty()).then_some(start.as_str());
            (history(call, cache, selection, &start, revision).await.map_err(|error| gone(&error, token))?, revision)
        }
        Some(revision) => (cache.snapshot(&selection.key_prefix, &start).objects, revision),
        None => {
            let progress = call.engine.caches.progress();
            let snapshot = cache.snapshot(&selection.key_prefix, &start);
            (snapshot.objects, snapshot.revision.max(progress))
        }
    };
    // Who takes any revision gets all of it.
    let limit = if options.resource_version == "0" { 0 } else { options.limit };
    Ok(cut(all, revision, selection, limit))
}

/// Keeps what is selected, at most `limit`.
fn cut(all: Vec<Arc<Object>>, revision: i64, selection: &Selection, limit: usize) -> Page {
    let everything = selection.is_everything();
    let mut page = Page { objects: Vec::new(), revision, continue_token: String::new(), remaining: None };
    if limit == 0 {
        page.objects = if everything { all } else { all.into_iter().filter(|o| selection.matches(o)).collect() };
        return page;
    }
    let mut rest = all.into_iter();
    page.objects = rest.by_ref().filter(|object| everything || selection.matches(object)).take(limit).collect();
    // Whether one of the others is meant is found out by who asks for them.
    if rest.len() > 0
        && let Some(last) = page.objects.last()
    {
        page.continue_token = Token { revision, start: format!("{}\0", last.key) }.to_text();
        page.remaining = everything.then(|| rest.len());
    }
    page
}

/// Waits for a revision that is about to come.
pub(super) async fn reachable(call: &Call, revision: i64) -> Result<(), Status> {
    let caches = &call.engine.caches;
    if call.engine.clock.timeout(FUTURE_WAIT, caches.reach(revision)).await.is_ok() {
        return Ok(());
    }
    let current = caches.progress();
    let cause = Cause {
        reason: "ResourceVersionTooLarge".to_string(),
        message: "Too large resource version".to_string(),
        field: String::new(),
    };
    let message = format!("Timeout: Too large resource version: {revision}, current: {current}");
    Err(Status::new(Reason::Timeout, message).details(Details {
        causes: vec![cause],
        retry_after_seconds: 1,
        ..Details::default()
    }))
}

async fn history(
    call: &Call,
    cache: &Cache,
    selection: &Selection,
    start: &str,
    revision: i64,
) -> Result<Vec<Arc<Object>>, StoreError> {
    let Keys::Span { start: first, end } = Keys::prefix(format!("{}{}", cache.prefix, selection.key_prefix)) else {
        return Ok(Vec::new());
    };
    let from = Bytes::from(format!("{}{start}", cache.prefix)).max(first);
    let found = call.engine.storage.range(Keys::Span { start: from, end }, Some(revision)).await?;
    let object = |kv: crate::etcd::KeyValue| {
        let key = std::str::from_utf8(&kv.key).ok()?.strip_prefix(&cache.prefix)?.into();
        Some(Arc::new(Object::new(key, kv.value, kv.mod_revision.0)))
    };
    Ok(found.kvs.into_iter().filter_map(object).collect())
}

/// The moment is gone: a page's token is answered with one that goes on inconsistently.
fn gone(error: &StoreError, start: Option<&str>) -> Status {
    match (error, start) {
        (StoreError::Compacted { .. }, Some(start)) => {
            let mut status = Status::new(
                Reason::Expired,
                "The provided continue parameter is too old to display a consistent list result. You can start a new \
                 list without the continue parameter, or use the continue token in this response to retrieve the \
                 remainder of the results. Continuing with the provided token results in an inconsistent list - \
                 objects that were created, modified, or deleted between the time the first chunk was returned and \
                 now may show up in the list.",
            );
            status.continue_token = Some(Token { revision: -1, start: start.to_string() }.to_text());
            status
        }
        (StoreError::Compacted { .. }, None) => {
            Status::new(Reason::Expired, "The resourceVersion for the provided list is too old.")
        }
        (other, _) => storage::unavailable(other),
    }
}

/// A revision as clients write it.
///
/// # Errors
/// The error of a field `resourceVersion`.
pub fn revision(text: &str) -> Result<i64, FieldError> {
    if text.is_empty() {
        return Ok(0);
    }
    let parsed = text.parse::<u64>().map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    parsed.map_err(|error| FieldError::invalid("resourceVersion", text, not_a_number("ParseUint", text, &error)))
}

/// The metadata of a list.
pub fn metadata(call: &Call, page: &Page) -> Value {
    let mut metadata = respond::list_meta(page.revision, &page.continue_token, page.remaining);
    if call.resource.custom && call.accepted.shape == Shape::Native {
        // A list without a type of its own has all that was ever set in it.
        metadata["continue"] = json!(page.continue_token);
    }
    metadata
}

async fn answer(call: &Call, page: &Page) -> Result<Response, Status> {
    let metadata = metadata(call, page);
    let unconverted = !convert::is_needed(&call.resource);
    let as_stored = call.accepted.media == MediaType::Json && !call.accepted.pretty && unconverted;
    let as_messages = call.accepted.media == MediaType::Protobuf && call.accepted.shape == Shape::Native && unconverted;
    let messages = || {
        let (api_version, kind) = (call.resource.api_version(), &call.resource.list_kind);
        protobuf::encode_list(&api_version, kind, &metadata, &page.objects, |object| object.json())
    };
    let body = if as_messages && let Some(list) = messages() {
        list.into()
    } else if as_stored && call.accepted.shape == Shape::Native {
        concatenated(call, page, &metadata)
    } else if as_stored && call.accepted.shape == Shape::Table && &*call.resource.kind != "DaemonSet" {
        respond::table_of_list(&page.objects, &metadata, call)?
    } else {
        let values = page.objects.iter().map(|object| object.value()).collect();
        let values = convert::read_all(&call.engine, values, &call.resource).await?;
        respond::encode(&respond::list(values, &metadata, call)?, call.accepted)?
    };
    let (body, gzip) = respond::compressed(body, &call.headers);
    let mut response = respond::send(200, call.accepted.content_type(), body);
    if gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    Ok(response)
}

/// The list as JSON, from the cache's bytes. Items of built-in kinds carry no `kind` and
/// `apiVersion`; custom resources do.
fn concatenated(call: &Call, page: &Page, metadata: &Value) -> Bytes {
    let size: usize = page.objects.iter().map(|object| object.json_bytes() + 1).sum();
    let mut out = Vec::with_capacity(size + 256);
    let (kind, api_version) = (json!(&*call.resource.list_kind), json!(call.resource.api_version()));
    let head = format!("{{\"kind\":{kind},\"apiVersion\":{api_version},\"metadata\":{metadata},\"items\":[");
    out.extend_from_slice(head.as_bytes());
    for (n, object) in page.objects.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        if call.resource.custom {
            object.write(&mut out);
        } else {
            out.push(b'{');
            object.write_body(&mut out);
        }
    }
    out.extend_from_slice(b"]}\n");
    out.into()
}
