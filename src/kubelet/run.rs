//! A kubelet: its node, its Pods' workers, and the watch that feeds them.
//!
//! In: a configuration, a client, a runtime, the clock, a task group. Out: a [`Kubelet`] that can be
//! asked over its HTTP API, made unready, or powered off. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use kube::runtime::watcher;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::admission::{self, Taken};
use super::followed::Followed;
use super::node::{self, NodeConfig};
use super::pod::PodView;
use super::runtime::{Connection, Runtime};
use super::state::Sandbox;
use super::{connect, http, worker};
use crate::client::{Change, Informer, Recorder};
use crate::clock::Clock;
use crate::network::ipam::Ipam;
use crate::tasks::TaskGroup;

/// What a node's tasks share.
pub struct Node {
    pub(super) config: NodeConfig,
    pub(super) client: kube::Client,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) clock: Clock,
    pub(super) recorder: Recorder,
    /// What its Pods' volumes show of other objects.
    pub(super) followed: Followed,
    pub(super) changes: watch::Sender<Changes>,
    /// Told of each image that was pulled.
    pub(super) pulled: Notify,
    /// Told when the cluster takes the node for dead, and is wrong.
    pub(super) given_up: Notify,
    pub(super) pods: Mutex<BTreeMap<String, Arc<PodView>>>,
    /// Where each Pod runs, by its uid.
    pub(super) sandboxes: Mutex<HashMap<String, Sandbox>>,
    ipam: Mutex<Option<Ipam>>,
    admitted: Mutex<HashMap<String, Taken>>,
}

/// What makes the Node's status worth reporting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Why the node is not ready.
    pub not_ready: Option<String>,
}

impl Node {
    /// Takes a Pod in, or says why not: reason and message.
    pub(super) fn admit(&self, pod: &PodView) -> Option<(String, String)> {
        let mut admitted = self.admitted.lock();
        let others = admitted.iter().filter(|(uid, _)| *uid != pod.uid()).map(|(_, taken)| taken);
        let refused = admission::refuse(pod, others, &self.config.allocatable());
        if refused.is_none() {
            admitted.insert(pod.uid().to_owned(), Taken::by(pod));
        }
        refused
    }

    /// A Pod's work is over: what it asked for is free again.
    pub(super) fn give_back(&self, pod: &PodView) {
        self.admitted.lock().remove(pod.uid());
    }

    /// A Pod is gone from the node.
    pub(super) fn forget(&self, pod: &PodView, ip: Option<&str>) {
        self.give_back(pod);
        let own = pod.spec.host_network != Some(true);
        if let (Some(ipam), Some(Ok(ip))) = (self.ipam.lock().as_mut(), ip.filter(|_| own).map(str::parse)) {
            ipam.release(ip);
        }
    }

    pub(super) fn allocate_ip(&self) -> Option<String> {
        self.ipam.lock().as_mut().and_then(Ipam::allocate).map(|ip| ip.to_string())
    }

    /// An image was pulled: the Node's status lists it soon, together with those that come meanwhile.
    pub(super) fn images_changed(&self) {
        self.pulled.notify_one();
    }
}

/// A running kubelet. Cheap to clone.
#[derive(Clone)]
pub struct Kubelet {
    node: Arc<Node>,
    tasks: TaskGroup,
}

impl Kubelet {
    /// Starts a node: registers it, keeps it alive, runs the Pods bound to it. Its tasks are a child of
    /// `tasks`, so that it can be powered off alone.
    pub fn start(
        config: NodeConfig,
        client: kube::Client,
        runtime: Arc<dyn Runtime>,
        clock: Clock,
        tasks: &TaskGroup,
    ) -> Kubelet {
        let tasks = tasks.child();
        let recorder = Recorder::new(client.clone(), "kubelet", &config.name, clock, &tasks);
        let followed = Followed::new(client.clone(), clock, &tasks);
        let node = Arc::new(Node {
            ipam: Mutex::new(Ipam::new(&config.pod_cidr)),
            config,
            client,
            runtime,
            clock,
            recorder,
            followed,
            changes: watch::Sender::new(Changes::default()),
            pulled: Notify::new(),
            given_up: Notify::new(),
            pods: Mutex::default(),
            sandboxes: Mutex::default(),
            admitted: Mutex::default(),
        });
        tasks.spawn("kubelet", node::keep_alive(node.clone()));
        tasks.spawn("kubelet pods", run_pods(node.clone(), tasks.clone()));
        Kubelet { node, tasks }
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.node.config.name
    }

    /// What it was started with.
    pub fn config(&self) -> &NodeConfig {
        &self.node.config
    }

    /// Whether its plug was pulled.
    pub fn is_off(&self) -> bool {
        self.tasks.is_stopping()
    }

    /// Pulls the plug: heartbeats, probes, reports and workers stop at once, nothing is said.
    pub fn power_off(&self) {
        self.tasks.cancel();
    }

    /// Makes the node say that it is not ready, and why; `None`: ready again.
    pub fn set_not_ready(&self, why: Option<&str>) {
        self.node.changes.send_modify(|changes| changes.not_ready = why.map(str::to_owned));
    }

    /// Answers a request to the kubelet's own HTTP API. One that asks for another protocol carries its
    /// connection in its extensions (`hyper::upgrade::OnUpgrade`), which is served here after a 101.
    ///
    /// It is answered by a task of the node's own, as another machine would: whoever asks may be the API
    /// server in the middle of a request, which the answer may need.
    pub async fn request(&self, request: ::http::Request<Bytes>) -> ::http::Response<http::Body> {
        let (node, tasks) = (self.node.clone(), self.tasks.clone());
        let (send, answered) = oneshot::channel();
        self.tasks.spawn("kubelet request", async move {
            // Who asked may have left.
            let _ = send.send(http::answer(&node, &tasks, &request).await);
        });
        let off = |_| http::text(::http::StatusCode::SERVICE_UNAVAILABLE, "the node has no power");
        answered.await.unwrap_or_else(off)
    }

    /// A connection to a port of a Pod.
    ///
    /// # Errors
    /// `dial tcp 10.244.0.2:80: connect: connection refused`
    pub async fn connect(&self, namespace: &str, pod: &str, port: u16) -> Result<Connection, String> {
        connect::connect(&self.node, namespace, pod, port).await
    }
}

/// Hands each Pod of this node to its worker.
async fn run_pods(node: Arc<Node>, tasks: TaskGroup) {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={}", node.config.name));
    let events = crate::client::follow::<PodView>(&node.client, config);
    let informer = Informer::over(events, node.clock, &tasks);
    let (sender, mut changes) = mpsc::unbounded_channel();
    informer.subscribe(move |change| {
        // The receiver lives as long as this node's tasks; after that nobody needs to know.
        let _ = sender.send(change.clone());
    });
    let mut workers: HashMap<String, watch::Sender<Option<Arc<PodView>>>> = HashMap::new();
    while let Some(change) = changes.recv().await {
        let pod = change.object().clone();
        let replaced = change.old().filter(|old| old.uid() != pod.uid());
        if let Some(old) = replaced {
            end(&node, &mut workers, old.uid());
        }
        if matches!(change, Change::Deleted(_)) {
            end(&node, &mut workers, pod.uid());
            continue;
        }
        node.pods.lock().insert(pod.uid().to_owned(), pod.clone());
        match workers.get(pod.uid()) {
            Some(worker) => _ = worker.send_replace(Some(pod)),
            None => {
                let (worker, versions) = watch::channel(Some(pod.clone()));
                workers.insert(pod.uid().to_owned(), worker);
                tasks.spawn("pod worker", worker::run(node.clone(), versions));
            }
        }
    }
}

fn end(node: &Node, workers: &mut HashMap<String, watch::Sender<Option<Arc<PodView>>>>, uid: &str) {
    node.pods.lock().remove(uid);
    if let Some(worker) = workers.remove(uid) {
        worker.send_replace(None);
    }
}
