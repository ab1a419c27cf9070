//! `/tutor/etcd`: a reader's window on the store, for `tutor etcd get` and `tutor etcd watch`.
//!
//! In: `key`, `prefix=true`, `rev`, `watch=true`. Out: keys, revisions and values in etcd's words, as
//! JSON; a watch is one line of JSON an event. It only reads, and RBAC guards it as it guards every
//! path: whoever may read the store may read every Secret. Chapter: `book/src/control-plane/etcd.md`.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use warp::Reply;
use warp::reply::Response;

use super::engine::{Engine, bad_request};
use super::negotiate::Accepted;
use super::respond;
use crate::etcd::{Event, EventKind, KeyValue, Keys, Revision, StoreError, Watching};

/// Answers `/tutor/etcd`.
pub async fn answer(engine: &Arc<Engine>, query: &[(String, String)]) -> Response {
    let param = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let key = match param("key") {
        Some(key) if !key.is_empty() => Bytes::from(key.to_owned()),
        _ => {
            return respond::error(
                &bad_request("key is required: /tutor/etcd?key=/registry/&prefix=true"),
                Accepted::JSON,
            );
        }
    };
    let revision = match param("rev").filter(|text| !text.is_empty()).map(str::parse::<i64>) {
        None => None,
        Some(Ok(revision)) if revision > 0 => Some(revision),
        Some(_) => return respond::error(&bad_request("rev is a revision: a whole number above 0"), Accepted::JSON),
    };
    let keys = if param("prefix") == Some("true") { Keys::prefix(key) } else { Keys::One(key) };
    if param("watch") == Some("true") {
        return watch(engine, keys, revision).await;
    }
    match engine.storage.range(keys, revision).await {
        Ok(found) => {
            let kvs: Vec<Value> = found.kvs.iter().map(shown).collect();
            let document = json!({"revision": found.revision.0, "count": kvs.len(), "kvs": kvs});
            respond::send(200, "application/json", format!("{document}\n").into())
        }
        Err(error) => refused(&error),
    }
}

async fn watch(engine: &Arc<Engine>, keys: Keys, from: Option<i64>) -> Response {
    let watching = match engine.storage.watch(keys, from.map(Revision)).await {
        Ok(watching) => watching,
        Err(error) => return refused(&error),
    };
    let (send, lines) = mpsc::channel(8);
    engine.tasks.spawn("etcd watch", tell(watching, send));
    warp::reply::stream(ReceiverStream::new(lines)).into_response()
}

/// Hands the watch's events on as lines, until it ends or the reader has gone.
async fn tell(mut watching: Box<dyn Watching>, send: mpsc::Sender<Result<Bytes, Infallible>>) {
    loop {
        let next = tokio::select! {
            next = watching.next() => next,
            () = send.closed() => return,
        };
        let (lines, ended) = match next {
            Ok(batch) => (batch.events.iter().map(line).collect::<String>(), false),
            Err(error) => (format!("{}\n", json!({"error": error.to_string()})), true),
        };
        // A mark of progress has no events, and so no line.
        if !lines.is_empty() && send.send(Ok(lines.into())).await.is_err() || ended {
            return;
        }
    }
}

fn line(event: &Event) -> String {
    let mut document = shown(&event.kv);
    document["type"] = json!(match event.kind {
        EventKind::Put => "PUT",
        EventKind::Delete => "DELETE",
    });
    format!("{document}\n")
}

/// A key and its value. Values that are no text are shown as such, with their length.
fn shown(kv: &KeyValue) -> Value {
    let value = match std::str::from_utf8(&kv.value) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("({} bytes that are no text)", kv.value.len()),
    };
    json!({
        "key": String::from_utf8_lossy(&kv.key), "value": value, "version": kv.version,
        "create_revision": kv.create_revision.0, "mod_revision": kv.mod_revision.0,
    })
}

fn refused(error: &StoreError) -> Response {
    respond::error(&bad_request(error.to_string()), Accepted::JSON)
}
