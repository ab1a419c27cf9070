//! `GET` with `watch=true`: a stream of changes that begins where a list ended and loses nothing.
//!
//! A watcher is a place in the cache's ring of events. An object that comes to match the selectors
//! is ADDED, one that ceases to is DELETED. A watcher too slow for the ring gets ERROR 410 and
//! starts over; it is never thinned out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use jiff::Timestamp;
use rand::Rng;
use sync_wrapper::SyncStream;
use tokio::sync::OwnedSemaphorePermit;
use warp::Reply;
use warp::reply::Response;

use super::list::{revision, select};
use super::watch_form::Form;
use crate::api::decode::MediaType;
use crate::api::resource::Resource;
use crate::api::status::{Reason, Status};
use crate::apiserver::cache::{Cache, Change, Event, Follower, Object, TooOld};
use crate::apiserver::convert;
use crate::apiserver::engine::{Call, Engine, bad_request, not_allowed};
use crate::apiserver::negotiate::{self, Shape, content_type};
use crate::apiserver::options::ListOptions;
use crate::apiserver::respond;
use crate::apiserver::selection::Selection;

/// Events handed to a client at once.
const BATCH: usize = 256;
/// Between bookmarks.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A last bookmark is sent this long before the watch ends.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// A watch without `timeoutSeconds` lasts this long, up to twice (so that clients spread).
const MIN_TIMEOUT_SECONDS: u64 = 1_800;

/// Answers with the stream.
///
/// # Errors
/// 400, 422 for bad options. A revision that is too old is an event of the stream.
pub async fn watch(call: &Call) -> Result<Response, Status> {
    let options = ListOptions::parse(&call.query, true)?;
    if call.accepted.media == MediaType::Yaml {
        return Err(negotiate::no_stream());
    }
    if call.accepted.shape == Shape::Table {
        respond::include_object(call)?;
    }
    let cache = call.engine.cache(&call.resource).ok_or_else(not_allowed)?;
    let selection = select(call, &cache, &options)?;
    let Ok(seat) = call.engine.watches.clone().try_acquire_owned() else { return Ok(respond::busy()) };
    let from = revision(&options.resource_version).map_err(|error| {
        let mut status = bad_request(error.to_string());
        (status.reason, status.code) = (None, 500);
        status
    })?;
    let form = Form::new(call);
    let (first, follower) = begin(call, &form, &cache, &selection, &options, from).await;
    let seconds = options
        .timeout_seconds
        .filter(|seconds| *seconds > 0)
        .unwrap_or_else(|| rand::rng().random_range(MIN_TIMEOUT_SECONDS..MIN_TIMEOUT_SECONDS * 2));
    let end = call.now.saturating_add(Duration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    let watcher = Watcher {
        engine: call.engine.clone(),
        next_bookmark: options.bookmarks.then(|| next_bookmark(call.now, end)),
        first: Some(first),
        form,
        resource: call.resource.clone(),
        selection,
        follower,
        end,
        _seat: seat,
    };
    let mut response = warp::reply::stream(watcher.stream()).into_response();
    let media = match call.accepted.media {
        MediaType::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        other => content_type(other),
    };
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache, private"));
    Ok(response)
}

/// What the stream begins with, and the place it goes on from (`None`: it ends there).
async fn begin(
    call: &Call,
    form: &Form,
    cache: &Arc<Cache>,
    selection: &Selection,
    options: &ListOptions,
    from: i64,
) -> (Vec<Bytes>, Option<Follower>) {
    let caches = &call.engine.caches;
    if options.resource_version != "0" {
        caches.fresh().await;
    }
    if !options.send_initial_events.unwrap_or(from == 0) {
        let from = if from == 0 { cache.revision() } else { from };
        return match cache.follow(selection.lane(), from) {
            Ok(follower) => (Vec::new(), Some(follower)),
            Err(TooOld(oldest)) => (vec![form.error(&too_old(from, oldest))], None),
        };
    }
    let progress = caches.progress();
    let snapshot = cache.snapshot(&selection.key_prefix, "");
    let selected = snapshot.objects.iter().filter(|object| selection.matches(object));
    let selected: Vec<_> = selected.map(|object| (Change::Added, object.clone())).collect();
    if form.is_unfit() && !selected.is_empty() {
        return (Vec::new(), None);
    }
    let mut first = match lines(&call.engine, &call.resource, form, selected).await {
        Ok(lines) => lines,
        Err(status) => return (vec![form.error(&status)], None),
    };
    if options.send_initial_events == Some(true) && options.bookmarks {
        first.push(form.bookmark(snapshot.revision.max(progress), true));
    }
    match cache.follow(selection.lane(), snapshot.revision) {
        Ok(follower) => (first, Some(follower)),
        Err(TooOld(oldest)) => (vec![form.error(&too_old(snapshot.revision, oldest))], None),
    }
}

fn too_old(from: i64, oldest: i64) -> Status {
    Status::new(Reason::Expired, format!("too old resource version: {from} ({oldest})"))
}

fn next_bookmark(now: Timestamp, end: Timestamp) -> Timestamp {
    let last = end.saturating_sub(BOOKMARK_BEFORE_END).unwrap_or(end);
    if now >= last { Timestamp::MAX } else { now.saturating_add(BOOKMARK_EVERY).map_or(last, |at| at.min(last)) }
}

/// One running watch.
struct Watcher {
    engine: Arc<Engine>,
    selection: Selection,
    form: Form,
    resource: Arc<Resource>,
    first: Option<Vec<Bytes>>,
    /// `None`: the watch ends after `first`.
    follower: Option<Follower>,
    next_bookmark: Option<Timestamp>,
    end: Timestamp,
    _seat: OwnedSemaphorePermit,
}

impl Watcher {
    /// Whoever writes the answer asks for the next bytes, and drops the watch when the client leaves: no task between.
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Sync + 'static {
        SyncStream::new(stream::unfold(self, |mut watcher| async move {
            loop {
                let batch = watcher.next().await?;
                if !batch.is_empty() {
                    return Some((Ok(batch), watcher));
                }
            }
        }))
    }

    /// The next bytes; empty ones say "look again", `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first.concat().into());
        }
        let progress = self.engine.caches.progress();
        let follower = self.follower.as_mut()?;
        // Asked before the events are read: what came before the end is told.
        let ended = follower.has_ended();
        match follower.events(BATCH) {
            Err(TooOld(oldest)) => {
                self.follower = None;
                Some(self.form.error(&too_old(0, oldest)))
            }
            Ok(events) if !events.is_empty() => {
                let seen: Vec<_> = events.iter().filter_map(|event| self.see(event)).collect();
                if self.form.is_unfit() && !seen.is_empty() {
                    return None;
                }
                match lines(&self.engine, &self.resource, &self.form, seen).await {
                    Ok(lines) => Some(lines.concat().into()),
                    Err(status) => {
                        self.follower = None;
                        Some(self.form.error(&status))
                    }
                }
            }
            Ok(_) if ended => None,
            Ok(_) => self.wait(progress).await,
        }
    }

    /// Nothing to send: sleeps until there is, or a bookmark is due, or the watch ends, with the server at the latest.
    async fn wait(&mut self, progress: i64) -> Option<Bytes> {
        let clock = self.engine.clock;
        let now = clock.now();
        if now >= self.end {
            return None;
        }
        if self.next_bookmark.is_some_and(|at| now >= at) {
            self.next_bookmark = Some(next_bookmark(now, self.end));
            return Some(self.form.bookmark(progress, false));
        }
        let wake = self.next_bookmark.map_or(self.end, |at| at.min(self.end));
        tokio::select! {
            () = self.follower.as_mut()?.changed() => Some(Bytes::new()),
            () = clock.sleep_until(wake) => Some(Bytes::new()),
            () = self.engine.tasks.stopping() => None,
        }
    }

    /// An event as this watcher sees it, if it does.
    fn see(&self, event: &Event) -> Option<(Change, Arc<Object>)> {
        if !event.object.key.starts_with(&self.selection.key_prefix) {
            return None;
        }
        if self.selection.is_everything() {
            return Some((event.change, event.object.clone()));
        }
        let before = event.previous.as_ref().is_some_and(|object| self.selection.matches(object));
        let after = event.change != Change::Deleted && self.selection.matches(&event.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some((Change::Added, event.object.clone())),
            (true, true) => Some((Change::Modified, event.object.clone())),
            (true, false) if event.change == Change::Deleted => Some((Change::Deleted, event.object.clone())),
            (true, false) => {
                // The client last saw the object as it was while it matched.
                let last = event.previous.as_ref()?.deleted_at(event.object.revision);
                Some((Change::Deleted, Arc::new(last)))
            }
        }
    }
}

/// Events as they are written; a webhook converts their objects all at once.
async fn lines(
    engine: &Engine,
    resource: &Resource,
    form: &Form,
    seen: Vec<(Change, Arc<Object>)>,
) -> Result<Vec<Bytes>, Status> {
    if !convert::webhook::is_asked(resource) {
        return Ok(seen.iter().map(|(change, object)| form.event(*change, object)).collect());
    }
    let values = seen.iter().map(|(_, object)| object.value()).collect();
    let values = convert::read_all(engine, values, resource).await?;
    Ok(seen.iter().zip(values).map(|((change, _), value)| form.shown(*change, value)).collect())
}
