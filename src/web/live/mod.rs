//! The cluster as it changes, as a stream of server-sent events; and one object of it, looked into.
//!
//! In: the page's own informers, started by its first watcher, and the API server's journal. Out: an
//! event `{"all", "put", "gone", "writes"}` at each change: the first has everything, the next ones
//! what changed since, and who wrote it. A page that lost its connection asks again and gets everything.
//! Chapter: `book/src/inside/page.md`.
//!
//! | file | holds |
//! |---|---|
//! | `board` | what is shown now, and what changed since a reader looked |
//! | `shown` | how a kind is shown |
//! | `inspect` | `GET inspect`: an object's YAML, events, logs, and the scheduler's verdict |
//! | `nodes` | `POST nodes`: cordon one, pull its plug |

mod board;
pub mod inspect;
pub mod nodes;
mod shown;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use warp::Reply;
use warp::reply::Response;

use self::board::Board;
use self::shown::Shown;
use super::Site;
use super::guard;
use crate::client::views::{NodeView, PodView};
use crate::client::{Change, Informers, Watched};

/// Changes closer together than this are one event.
const BURST: Duration = Duration::from_millis(16);

/// An idle stream says so, so that a connection that died is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The most writes told of in one event: the latest.
const MOST_WRITES: usize = 100;

/// Written all the time, by everybody, to say that they live; nobody wants to see it.
const HEARTBEATS: &str = "leases";

/// The page's copy of the cluster, kept fresh from its first watcher on.
#[derive(Default)]
pub struct Live(OnceLock<Watching>);

struct Watching {
    board: Arc<Mutex<Board>>,
    changed: watch::Receiver<()>,
}

impl Live {
    fn watching(&self, informers: &Informers) -> &Watching {
        self.0.get_or_init(|| {
            let (tell, changed) = watch::channel(());
            let gathering = Gathering { board: Arc::default(), tell: Arc::new(tell), informers };
            gathering.watch::<NodeView>();
            gathering.watch::<PodView>();
            gathering.watch::<Deployment>();
            gathering.watch::<ReplicaSet>();
            gathering.watch::<StatefulSet>();
            gathering.watch::<DaemonSet>();
            gathering.watch::<Job>();
            gathering.watch::<Service>();
            gathering.watch::<EndpointSlice>();
            Watching { board: gathering.board, changed }
        })
    }
}

struct Gathering<'a> {
    board: Arc<Mutex<Board>>,
    tell: Arc<watch::Sender<()>>,
    informers: &'a Informers,
}

impl Gathering<'_> {
    fn watch<K>(&self)
    where
        K: Shown + Watched + Clone + fmt::Debug + DeserializeOwned,
    {
        let (board, tell) = (self.board.clone(), self.tell.clone());
        self.informers.get::<K>().subscribe(move |change| {
            let changed = match change {
                Change::Added(object) | Change::Modified { new: object, .. } => {
                    let shown = shown::shown(&**object);
                    board.lock().put(&shown::id(&**object), shown)
                }
                Change::Deleted(object) => board.lock().remove(&shown::id(&**object)),
            };
            if changed {
                tell.send_replace(());
            }
        });
    }
}

/// Answers `/api/cluster`.
pub fn watch_cluster(site: &Site) -> Response {
    let (events, received) = mpsc::channel(1);
    let follow = follow(site.clone(), events);
    site.0.tasks.spawn("cluster stream", follow);
    let mut response = warp::reply::stream(ReceiverStream::new(received)).into_response();
    guard::dress(&mut response, StatusCode::OK, "text/event-stream");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sends an event at each change, until the reader has gone.
async fn follow(site: Site, events: mpsc::Sender<Result<Bytes, std::io::Error>>) {
    let Watching { board, changed } = site.0.live.watching(&site.0.informers);
    let mut changed = changed.clone();
    site.0.informers.get::<NodeView>().synced().await;
    site.0.informers.get::<PodView>().synced().await;
    let client = site.0.cluster.client("tutor-page");
    let (mut mark, mut revision) = (None, None);
    loop {
        changed.mark_unchanged();
        let told = board.lock().since(mark);
        mark = Some(told.now);
        let writes = writes(&client, &mut revision).await;
        let news = told.all || !(told.put.is_empty() && told.gone.is_empty() && writes.is_empty());
        let event = json!({"all": told.all, "put": told.put, "gone": told.gone, "writes": writes});
        let event = if news { format!("data: {event}\n\n") } else { ":\n\n".to_owned() };
        if events.send(Ok(event.into())).await.is_err() {
            return;
        }
        site.0.clock.sleep(BURST).await;
        tokio::select! {
            _ = site.0.clock.timeout(HEARTBEAT, changed.changed()) => {}
            () = events.closed() => return,
        }
    }
}

/// The writes after `revision`, oldest first, and where the next look goes on. A new reader is told
/// of none: what happened before is the trace's subject.
async fn writes(client: &kube::Client, revision: &mut Option<i64>) -> Vec<Value> {
    let path = format!("/tutor/writes?after={}", revision.unwrap_or(0));
    let Ok(request) = http::Request::get(path).body(Vec::new()) else { return Vec::new() };
    // A journal that does not answer leaves the map without its lights, and nothing else.
    let Ok(mut answer) = client.request::<Value>(request).await else { return Vec::new() };
    let Value::Array(mut writes) = answer["items"].take() else { return Vec::new() };
    let new_reader = revision.is_none();
    *revision = writes.last().and_then(|write| write["revision"].as_i64()).or(*revision).or(Some(0));
    if new_reader {
        return Vec::new();
    }
    writes.retain(|write| write["resource"] != HEARTBEATS);
    writes.drain(..writes.len().saturating_sub(MOST_WRITES));
    writes.iter().map(write_shown).collect()
}

fn write_shown(write: &Value) -> Value {
    json!({
        "revision": write["revision"], "component": write["component"], "user": write["user"], "verb": write["verb"],
        "resource": write["resource"], "namespace": write["namespace"], "name": write["name"],
        "subresource": write["subresource"], "causes": write["causes"],
    })
}
