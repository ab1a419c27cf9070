//! The scheduler's loop: what changes goes into the snapshot, who waits is decided, decisions are written.
//!
//! In: informers. Out: Bindings, conditions, events, evictions. One task owns snapshot and queue; writes
//! run beside it, and a Pod is *assumed* on its node until the write is answered, so that the next
//! decision counts it. A reader can hold the loop with its switch.
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::decision::{Decision, Outcome};
use super::node::NodeView;
use super::pod::{KnownPod, PodInfo};
use super::queue::{Happening, Queue};
use super::schedule::schedule;
use super::selector::LabelSelector;
use super::snapshot::{BudgetView, Snapshot};
use super::volumes::{ClaimView, ClassView, Promise, VolumeView};
use super::workloads::{Kind, ReplicaSetView, ReplicationControllerView, ServiceView, StatefulSetView, Workload};
use super::write::{Told, Writer};
use crate::client::store::Watched;
use crate::client::{Change, Informer, ObjectKey, Switch};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// The name Pods ask for by default.
const NAME: &str = "default-scheduler";
/// Writes under way at once.
const MOST_WRITES: usize = 64;
/// How long a Pod with a node waits for its volumes. Source: the plugin's default `bindTimeoutSeconds`.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Node verdicts kept in all decisions together: 33,000 Pods of a small cluster, 200 of a huge one.
const MOST_VERDICTS: usize = 100_000;

/// A running scheduler. Cheap to clone.
#[derive(Clone, Default)]
pub struct Scheduler {
    decisions: Arc<Mutex<Decisions>>,
}

#[derive(Default)]
struct Decisions {
    by_pod: HashMap<ObjectKey, Arc<Decision>>,
    order: VecDeque<ObjectKey>,
    verdicts: usize,
}

impl Scheduler {
    /// Starts to schedule as `client`'s user, until `tasks` stops.
    pub fn start(client: kube::Client, clock: Clock, tasks: &TaskGroup, switch: Switch) -> Scheduler {
        let scheduler = Scheduler::default();
        let (sender, happened) = mpsc::unbounded_channel();
        let writer = Writer::new(client.clone(), clock);
        let run = Run {
            clock,
            tasks: tasks.clone(),
            switch,
            decisions: scheduler.decisions.clone(),
            snapshot: Snapshot::default(),
            queue: Queue::default(),
            assumed: HashMap::new(),
            waiting: HashMap::new(),
            told: HashMap::new(),
            writer,
            sender: sender.clone(),
        };
        let feeds = Feeds { client, clock, tasks: tasks.clone(), sender };
        tasks.spawn("scheduler", run.run(feeds, happened));
        scheduler
    }

    /// The last decision about a Pod.
    pub fn decision(&self, namespace: &str, name: &str) -> Option<Arc<Decision>> {
        self.decisions.lock().by_pod.get(&ObjectKey::new(namespace, name)).cloned()
    }
}

impl Decisions {
    fn keep(&mut self, decision: Arc<Decision>) {
        let key = ObjectKey::new(&*decision.namespace, &*decision.name);
        self.verdicts += decision.nodes.len() + 1;
        match self.by_pod.insert(key.clone(), decision) {
            Some(before) => self.verdicts -= before.nodes.len() + 1,
            None => self.order.push_back(key),
        }
        while self.verdicts > MOST_VERDICTS
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(gone) = self.by_pod.remove(&oldest) {
                self.verdicts -= gone.nodes.len() + 1;
            }
        }
    }
}

/// Something the loop has to take in.
enum Happened {
    Pod(Change<KnownPod>),
    Node(Change<NodeView>),
    Namespace(Change<Namespace>),
    Claim(Change<ClaimView>),
    Volume(Change<VolumeView>),
    Class(Change<ClassView>),
    Budget(Change<BudgetView>),
    /// A Service or an owner of Pods came or changed; no selector: it went.
    Workload {
        kind: Kind,
        key: ObjectKey,
        selector: Option<LabelSelector>,
    },
    /// What a Pod's claims get on its node was written, or not.
    Promised {
        pod: Arc<PodInfo>,
        promises: Vec<Promise>,
        written: bool,
    },
    /// A Pod has waited too long for its volumes.
    WaitedEnough {
        pod: Arc<PodInfo>,
    },
    /// A Binding was written, or not.
    Bound {
        pod: Arc<PodInfo>,
        written: bool,
    },
    /// The write about a failed Pod ended.
    Reported {
        pod: Arc<PodInfo>,
        told: Option<Told>,
    },
}

impl Happened {
    fn workload<K: Workload>(change: Change<K>) -> Self {
        let selector = match &change {
            Change::Deleted(_) => None,
            change => Some(change.object().selector()),
        };
        Happened::Workload { kind: K::KIND, key: key(&change), selector }
    }
}

/// Starts the informers that feed the loop.
struct Feeds {
    client: kube::Client,
    clock: Clock,
    tasks: TaskGroup,
    sender: mpsc::UnboundedSender<Happened>,
}

impl Feeds {
    fn follow<K>(&self, wrap: fn(Change<K>) -> Happened) -> Informer<K>
    where
        K: Watched + Clone + std::fmt::Debug + DeserializeOwned + kube::Resource<DynamicType = ()>,
    {
        let informer = Informer::<K>::start(&self.client, self.clock, &self.tasks);
        let sender = self.sender.clone();
        informer.subscribe(move |change| {
            // The receiver lives as long as the loop; after that nobody needs to know.
            let _ = sender.send(wrap(change.clone()));
        });
        informer
    }
}

struct Run {
    clock: Clock,
    tasks: TaskGroup,
    switch: Switch,
    decisions: Arc<Mutex<Decisions>>,
    snapshot: Snapshot,
    queue: Queue,
    /// Pods whose Binding is being written.
    assumed: HashMap<Arc<str>, Arc<PodInfo>>,
    /// Those of them whose claims are not bound yet, with their nodes.
    waiting: HashMap<Arc<str>, (Arc<PodInfo>, Arc<str>)>,
    /// What was last said about a Pod that does not fit.
    told: HashMap<Arc<str>, Told>,
    writer: Writer,
    sender: mpsc::UnboundedSender<Happened>,
}

impl Run {
    async fn run(mut self, feeds: Feeds, mut happened: mpsc::UnboundedReceiver<Happened>) {
        let (pods, nodes) = (feeds.follow(Happened::Pod), feeds.follow(Happened::Node));
        let _others = (
            feeds.follow(Happened::Namespace),
            feeds.follow(Happened::Claim),
            feeds.follow(Happened::Volume),
            feeds.follow(Happened::Class),
            feeds.follow(Happened::Budget),
        );
        let services = feeds.follow(Happened::workload::<ServiceView>);
        let controllers = feeds.follow(Happened::workload::<ReplicationControllerView>);
        let (replica_sets, stateful_sets) =
            (feeds.follow(Happened::workload::<ReplicaSetView>), feeds.follow(Happened::workload::<StatefulSetView>));
        // A Pod decided before its workload is known would not be spread, and nobody would ask again.
        futures::join!(pods.synced(), nodes.synced(), services.synced(), controllers.synced());
        futures::join!(replica_sets.synced(), stateful_sets.synced());
        loop {
            while let Ok(event) = happened.try_recv() {
                self.take(event);
            }
            self.queue.tick(self.clock.now());
            if self.queue.is_ready() && self.assumed.len() < MOST_WRITES + self.waiting.len() {
                self.switch.gate().await;
                // The world went on while the switch was off.
                while let Ok(event) = happened.try_recv() {
                    self.take(event);
                }
                if let Some(pod) = self.queue.next(self.clock.now()) {
                    self.decide(pod);
                }
                tokio::task::yield_now().await;
                continue;
            }
            let (clock, timer) = (self.clock, self.queue.next_timer());
            let timer = async {
                match timer {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = happened.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                () = timer => {}
            }
        }
    }

    fn take(&mut self, event: Happened) {
        match event {
            Happened::Pod(change) => self.take_pod(&change),
            Happened::Node(Change::Deleted(node)) => self.snapshot.remove_node(node.name()),
            Happened::Node(change) => {
                if self.snapshot.set_node(change.object()) {
                    self.queue.wake(Happening::Node);
                }
            }
            Happened::Namespace(change) => {
                let labels = change.object().metadata.labels.clone().unwrap_or_default();
                let gone = matches!(change, Change::Deleted(_));
                self.snapshot.set_namespace(&key(&change).name, (!gone).then_some(labels));
            }
            Happened::Claim(change) => {
                let key = key(&change);
                match &change {
                    Change::Deleted(_) => self.snapshot.volumes.remove_claim(&key.namespace, &key.name),
                    change => self.snapshot.volumes.set_claim(change.object()),
                }
                self.queue.wake(Happening::Storage);
                self.bind_those_with_volumes();
            }
            Happened::Volume(change) => {
                match &change {
                    Change::Deleted(_) => self.snapshot.volumes.remove_volume(&key(&change).name),
                    change => self.snapshot.volumes.set_volume(change.object()),
                }
                self.queue.wake(Happening::Storage);
            }
            Happened::Class(change) => {
                match &change {
                    Change::Deleted(_) => self.snapshot.volumes.remove_class(&key(&change).name),
                    change => self.snapshot.volumes.set_class(change.object()),
                }
                self.queue.wake(Happening::Storage);
            }
            Happened::Budget(change) => {
                let key = key(&change);
                match &change {
                    Change::Deleted(_) => self.snapshot.remove_budget(&key.namespace, &key.name),
                    change => self.snapshot.set_budget(change.object()),
                }
            }
            Happened::Workload { kind, key, selector } => self.snapshot.workloads.set(kind, key, selector),
            Happened::Promised { pod, promises, written } => match written {
                true => self.bind_those_with_volumes(),
                false => {
                    self.snapshot.volumes.release(&promises);
                    self.waiting.remove(&pod.uid);
                    self.let_go(pod);
                }
            },
            Happened::WaitedEnough { pod } => {
                if self.waiting.remove(&pod.uid).is_some() {
                    self.let_go(pod);
                }
            }
            Happened::Bound { pod, written } => match written {
                true => _ = self.assumed.remove(&pod.uid),
                false => self.let_go(pod),
            },
            Happened::Reported { pod, told } => match told {
                Some(told) => _ = self.told.insert(pod.uid.clone(), told),
                None => _ = self.told.remove(&pod.uid),
            },
        }
    }

    fn take_pod(&mut self, change: &Change<KnownPod>) {
        let known = change.object();
        let pod = known.info.clone();
        let now = self.clock.now();
        let over = matches!(change, Change::Deleted(_)) || known.finished;
        if over {
            self.queue.remove(&pod.uid);
            self.told.remove(&pod.uid);
            self.assumed.remove(&pod.uid);
            self.waiting.remove(&pod.uid);
            self.snapshot.nominate(&pod, None);
            if self.snapshot.remove_pod(&pod.uid).is_some() {
                self.queue.wake(Happening::PodGone);
            }
            return;
        }
        if let Some(node) = pod.node_name.clone() {
            let new = self.snapshot.placement(&pod.uid).is_none();
            self.queue.remove(&pod.uid);
            self.told.remove(&pod.uid);
            self.snapshot.nominate(&pod, None);
            self.snapshot.set_pod(pod, &node);
            if new {
                self.queue.wake(Happening::PodPlaced);
            }
            return;
        }
        let ours = known.scheduler.as_deref().is_none_or(|name| name == NAME);
        if pod.terminating {
            self.queue.remove(&pod.uid);
        } else if ours && pod.gates.is_empty() && !self.assumed.contains_key(&pod.uid) {
            self.queue.add(pod, now);
        } else if ours && !pod.gates.is_empty() {
            self.keep(schedule(&pod, &self.snapshot));
        }
    }

    fn decide(&mut self, pod: Arc<PodInfo>) {
        let decision = schedule(&pod, &self.snapshot);
        let decision = self.keep(decision);
        match &decision.outcome {
            Outcome::Chosen { node } => {
                self.queue.remove(&pod.uid);
                self.snapshot.set_pod(pod.clone(), node);
                self.snapshot.nominate(&pod, None);
                self.queue.wake(Happening::PodPlaced);
                self.assumed.insert(pod.uid.clone(), pod.clone());
                let node = node.clone();
                match self.snapshot.promises(&pod, &node) {
                    None => self.bind(pod, node),
                    Some(promises) => self.promise(pod, node, promises),
                }
            }
            Outcome::Unschedulable | Outcome::Gated => {
                let nominated = decision.preemption.as_ref().and_then(|preemption| preemption.node.clone());
                if let Some(node) = &nominated {
                    self.snapshot.nominate(&pod, Some(node));
                }
                self.queue.unschedulable(&pod.uid, decision.refused_by());
                let (writer, sender) = (self.writer.clone(), self.sender.clone());
                let before = self.told.get(&pod.uid).cloned();
                self.tasks.spawn("report unschedulable", async move {
                    let told = writer.unschedulable(&pod, &decision, before).await;
                    let _ = sender.send(Happened::Reported { pod, told });
                });
            }
        }
    }

    /// Writes what the Pod's unbound claims get on its node. The Binding waits until all of them are bound: a
    /// kubelet could not mount what is not there.
    fn promise(&mut self, pod: Arc<PodInfo>, node: Arc<str>, promises: Vec<Promise>) {
        self.snapshot.volumes.assume(&pod.namespace, &promises);
        self.waiting.insert(pod.uid.clone(), (pod.clone(), node.clone()));
        let (writer, sender, clock) = (self.writer.clone(), self.sender.clone(), self.clock);
        self.tasks.spawn("promise volumes", async move {
            let written = writer.promise(&pod, &node, &promises).await;
            // The loop ends only with the tasks themselves.
            let _ = sender.send(Happened::Promised { pod: pod.clone(), promises, written });
            if written {
                clock.sleep(LONGEST_WAIT).await;
                let _ = sender.send(Happened::WaitedEnough { pod });
            }
        });
    }

    /// Binds the Pods whose last claim has its volume now.
    fn bind_those_with_volumes(&mut self) {
        let volumes = &self.snapshot.volumes;
        let ready = |(pod, _): &(Arc<PodInfo>, Arc<str>)| volumes.are_bound(&pod.namespace, &pod.claims);
        let ready: Vec<_> = self.waiting.values().filter(|waiting| ready(waiting)).cloned().collect();
        for (pod, node) in ready {
            self.waiting.remove(&pod.uid);
            self.bind(pod, node);
        }
    }

    fn bind(&self, pod: Arc<PodInfo>, node: Arc<str>) {
        let (writer, sender) = (self.writer.clone(), self.sender.clone());
        self.tasks.spawn("bind", async move {
            let written = writer.bind(&pod, &node).await;
            // The loop ends only with the tasks themselves.
            let _ = sender.send(Happened::Bound { pod: pod.clone(), written });
            if written {
                writer.scheduled(&pod, &node).await;
            }
        });
    }

    /// A Pod that did not get its node is decided again, later.
    fn let_go(&mut self, pod: Arc<PodInfo>) {
        if self.assumed.remove(&pod.uid).is_some() {
            self.snapshot.remove_pod(&pod.uid);
            self.queue.retry(pod, self.clock.now());
        }
    }

    fn keep(&self, decision: Decision) -> Arc<Decision> {
        let decision = Arc::new(decision);
        self.decisions.lock().keep(decision.clone());
        decision
    }
}

fn key<K: kube::Resource>(change: &Change<K>) -> ObjectKey {
    ObjectKey::of(change.object().meta())
}
