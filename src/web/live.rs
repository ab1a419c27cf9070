//! Nodes and their Pods as they change, as a stream of server-sent events.
//!
//! In: the page's own informers, started by its first watcher. Out: one whole picture an event,
//! `{"nodes": [{"name", "ready", "cordoned", "pods": […], "more"}], "waiting": […]}`: a page that
//! lost its connection needs nothing but the next event. A burst of changes makes one picture.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use warp::Reply;
use warp::reply::Response;

use super::Site;
use super::guard;
use crate::client::views::{NodeView, PodView};
use crate::client::{Informer, Informers};

/// Changes closer together than this are one picture.
const BURST: Duration = Duration::from_millis(80);

/// An idle stream says so, so that a connection that died is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The most Pods told of one node; the rest is a number.
const MOST_PODS: usize = 60;

/// The page's copy of the nodes and Pods, kept fresh from its first watcher on.
#[derive(Default)]
pub struct Live(OnceLock<Watching>);

struct Watching {
    nodes: Informer<NodeView>,
    pods: Informer<PodView>,
    changed: watch::Receiver<()>,
}

impl Live {
    fn watching(&self, informers: &Informers) -> &Watching {
        self.0.get_or_init(|| {
            let (nodes, pods) = (informers.get::<NodeView>(), informers.get::<PodView>());
            let (sender, changed) = watch::channel(());
            let sender = Arc::new(sender);
            let tell = sender.clone();
            nodes.subscribe(move |_| tell.send_replace(()));
            pods.subscribe(move |_| sender.send_replace(()));
            Watching { nodes, pods, changed }
        })
    }
}

/// Answers `/api/cluster`.
pub fn watch_cluster(site: &Site) -> Response {
    let (pictures, received) = mpsc::channel(1);
    let follow = follow(site.clone(), pictures);
    site.0.tasks.spawn("cluster stream", follow);
    let mut response = warp::reply::stream(ReceiverStream::new(received)).into_response();
    guard::dress(&mut response, StatusCode::OK, "text/event-stream");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sends a picture at each change, until the reader has gone.
async fn follow(site: Site, pictures: mpsc::Sender<Result<Bytes, std::io::Error>>) {
    let Watching { nodes, pods, changed } = site.0.live.watching(&site.0.informers);
    let mut changed = changed.clone();
    nodes.synced().await;
    pods.synced().await;
    let mut last = String::new();
    loop {
        changed.mark_unchanged();
        let picture = picture(&nodes.all(), &pods.all()).to_string();
        let event = if picture == last { ":\n\n".to_owned() } else { format!("data: {picture}\n\n") };
        last = picture;
        if pictures.send(Ok(event.into())).await.is_err() {
            return;
        }
        site.0.clock.sleep(BURST).await;
        tokio::select! {
            _ = site.0.clock.timeout(HEARTBEAT, changed.changed()) => {}
            () = pictures.closed() => return,
        }
    }
}

fn picture(nodes: &[Arc<NodeView>], pods: &[Arc<PodView>]) -> Value {
    let mut by_node: BTreeMap<&str, Vec<&PodView>> = BTreeMap::new();
    for pod in pods {
        by_node.entry(pod.spec.node_name.as_deref().unwrap_or_default()).or_default().push(pod);
    }
    let shown = |node: &str| -> (Vec<Value>, usize) {
        let pods = by_node.get(node).map(Vec::as_slice).unwrap_or_default();
        (pods.iter().take(MOST_PODS).map(|pod| pod_shown(pod)).collect(), pods.len().saturating_sub(MOST_PODS))
    };
    let node_shown = |node: &Arc<NodeView>| {
        let ready = node.condition("Ready").is_some_and(|ready| ready.status == "True");
        let (pods, more) = shown(node.name());
        json!({"name": node.name(), "ready": ready, "cordoned": node.spec.unschedulable, "pods": pods, "more": more})
    };
    let (waiting, more) = shown("");
    json!({"nodes": nodes.iter().map(node_shown).collect::<Vec<_>>(), "waiting": waiting, "more": more})
}

fn pod_shown(pod: &PodView) -> Value {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    json!({
        "namespace": text(&pod.metadata.namespace),
        "name": text(&pod.metadata.name),
        "status": status(pod),
        "ready": pod.is_ready(),
    })
}

/// What `kubectl get pods` would call its status, as far as the page needs it.
fn status(pod: &PodView) -> String {
    let waiting = pod.status.container_statuses.iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        waiting.reason.clone()
    });
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".to_owned();
    }
    let phase = pod.status.phase.clone().unwrap_or_else(|| "Pending".to_owned());
    pod.status.reason.clone().or(waiting.filter(|_| !pod.is_finished())).unwrap_or(phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: Value) -> Arc<PodView> {
        Arc::new(serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_picture_puts_each_pod_on_its_node() {
        let node: NodeView = serde_json::from_value(json!({
            "metadata": {"name": "node-1"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        let pods = [
            pod(json!({"metadata": {"namespace": "a", "name": "crashing"}, "spec": {"nodeName": "node-1"},
                "status": {"phase": "Running", "containerStatuses": [
                    {"name": "c", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}})),
            pod(json!({"metadata": {"namespace": "a", "name": "lonely"}, "status": {"phase": "Pending"}})),
        ];
        let picture = picture(&[Arc::new(node)], &pods);
        assert_eq!(picture["nodes"][0]["pods"][0]["status"], "CrashLoopBackOff");
        assert_eq!(picture["nodes"][0]["ready"], true);
        assert_eq!(picture["waiting"][0]["name"], "lonely");
    }
}
