//! DaemonSet: one Pod on every node that fits.
//!
//! Comes in: DaemonSets, Nodes, Pods, revisions. Goes out: a Pod for each node that its selector and
//! taints allow, bound to that node by affinity (the scheduler still places it); old Pods replaced a
//! few nodes at a time. Source: kube-controller-manager, pkg/controller/daemon.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration};

use super::deployment::resolve_up;
use super::history::{self, HASH};
use super::owners::{self, Claim};
use super::plan::{Action, Note, Plan, Step, reference};
use super::pods;
use super::runner::{Moment, Room};
use super::taint_eviction::tolerates;
use crate::client::ObjectKey;
use crate::client::views::{NodeView, PodView};

/// Source: --concurrent-daemonset-syncs.
const WORKERS: usize = 2;
/// Source: daemon_controller.go, BurstReplicas.
const BURST: usize = 250;
/// What every daemon tolerates. Source: pkg/controller/daemon/util, AddOrUpdateDaemonPodTolerations.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Starts the loop.
pub fn start(room: Room) {
    let (sets, pods) = (room.informer::<DaemonSet>(), room.informer::<PodView>());
    let (nodes, revisions) = (room.informer::<NodeView>(), room.informer::<ControllerRevision>());
    room.wake_self(&sets);
    room.wake(&pods, |pod| owners::controller_key(&pod.metadata, "DaemonSet").into_iter().collect());
    let known = sets.clone();
    room.wake(&nodes, move |_| known.all().iter().map(|set| ObjectKey::of(&set.metadata)).collect());
    room.run("daemonset-controller", WORKERS, move |key, moment| {
        let Some(set) = sets.get(key) else { return Plan::none() };
        let Some(selector) = owners::selector(&set.spec.selector) else { return Plan::none() };
        let claim = owners::claim(&*set, &selector, &pods);
        let owned = revisions.owned_by(set.metadata.uid.as_deref().unwrap_or_default());
        reconcile(&set, claim, owned, &nodes.all(), moment)
    });
}

/// The node a daemon Pod is for: where it runs, or where its affinity sends it.
fn node_of(pod: &PodView) -> Option<String> {
    pod.spec.node_name.clone().filter(|node| !node.is_empty()).or_else(|| asked_node(pod))
}

/// What a DaemonSet needs done.
pub fn reconcile(
    set: &DaemonSet,
    claim: Claim<PodView>,
    revisions: Vec<Arc<ControllerRevision>>,
    nodes: &[Arc<NodeView>],
    moment: &Moment,
) -> Plan {
    let mut plan = Plan::none();
    for patch in claim.patches {
        plan.act(patch);
    }
    if set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let history = history::follow(set, &set.spec.template, revisions, &mut plan);
    let mut on_node: BTreeMap<String, Vec<Arc<PodView>>> = BTreeMap::new();
    for pod in &claim.owned {
        if let Some(node) = node_of(pod) {
            on_node.entry(node).or_default().push(pod.clone());
        }
    }
    let day = Day { set, hash: &history.hash, on_node: &on_node, nodes, now: moment.now };
    let status = day.status();
    if Some(&status) != set.status.as_ref() {
        plan.act(Action::update_sub(&DaemonSet { status: Some(status), ..set.clone() }, "status"));
    }
    day.act(&mut plan);
    let used = |name: &str| {
        let hash = name.rsplit_once('-').map(|(_, hash)| hash);
        claim.owned.iter().any(|pod| revision(pod) == hash)
    };
    history.clean_up(set.spec.revision_history_limit.unwrap_or(10), &used, &mut plan);
    plan
}

fn revision(pod: &PodView) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(HASH).map(String::as_str)
}

/// The node that a Pod's affinity names, as [`bind`] wrote it.
fn asked_node(pod: &PodView) -> Option<String> {
    let affinity = pod.spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let mut names =
        fields.filter(|field| field.key == "metadata.name").filter_map(|field| field.values.as_ref()?.first());
    names.next().cloned()
}

/// All that decides about a set's Pods.
struct Day<'a> {
    set: &'a DaemonSet,
    hash: &'a str,
    on_node: &'a BTreeMap<String, Vec<Arc<PodView>>>,
    nodes: &'a [Arc<NodeView>],
    now: Timestamp,
}

impl Day<'_> {
    fn pods(&self, node: &NodeView) -> &[Arc<PodView>] {
        self.on_node.get(node.name()).map_or(&[], Vec::as_slice)
    }

    fn act(&self, plan: &mut Plan) {
        let about = reference(self.set);
        let (mut create, mut delete) = (Vec::new(), Vec::new());
        for node in self.nodes {
            let pods = self.pods(node);
            let (should_run, may_stay) = fits(self.set, node);
            for pod in pods.iter().filter(|pod| pod.is_finished() && pod.metadata.deletion_timestamp.is_none()) {
                plan.say(ended(&about, pod, node));
                delete.push(pods::delete(&about, &pod.metadata));
            }
            let alive: Vec<_> = pods.iter().filter(|pod| pod.is_active()).collect();
            if should_run && pods.is_empty() {
                create.push(pods::create(self.set, &self.pod(node)));
            } else if !may_stay {
                delete.extend(alive.iter().map(|pod| pods::delete(&about, &pod.metadata)));
            } else {
                // The oldest of several stays.
                let mut alive = alive;
                alive.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
                delete.extend(alive.iter().skip(1).map(|pod| pods::delete(&about, &pod.metadata)));
            }
        }
        delete.extend(self.outdated().iter().map(|pod| pods::delete(&about, &pod.metadata)));
        for mut actions in [create, delete] {
            actions.truncate(BURST);
            if !actions.is_empty() {
                plan.steps.push(Step::Burst(actions));
            }
        }
    }

    /// Pods of an older template that may go now.
    fn outdated(&self) -> Vec<Arc<PodView>> {
        let strategy = self.set.spec.update_strategy.clone().unwrap_or_default();
        if strategy.type_.as_deref() == Some("OnDelete") {
            return Vec::new();
        }
        let wanted: Vec<_> = self.nodes.iter().filter(|node| fits(self.set, node).0).collect();
        let total = i32::try_from(wanted.len()).unwrap_or(i32::MAX);
        let most =
            strategy.rolling_update.and_then(|rolling| rolling.max_unavailable).map_or(1, |m| resolve_up(&m, total));
        let available = |node: &NodeView| self.pods(node).iter().any(|pod| pod.is_active() && self.is_available(pod));
        let missing = wanted.iter().filter(|node| !available(node)).count();
        let mut left = usize::try_from(most).unwrap_or(0).saturating_sub(missing);
        let mut gone = Vec::new();
        for node in wanted {
            for pod in self.pods(node).iter().filter(|pod| pod.is_active() && revision(pod) != Some(self.hash)) {
                if !self.is_available(pod) {
                    gone.push(pod.clone());
                } else if left > 0 {
                    left -= 1;
                    gone.push(pod.clone());
                }
            }
        }
        gone
    }

    fn is_available(&self, pod: &PodView) -> bool {
        pod.is_available(self.set.spec.min_ready_seconds.unwrap_or(0), self.now)
    }

    fn status(&self) -> DaemonSetStatus {
        let old = self.set.status.clone().unwrap_or_default();
        let mut status = DaemonSetStatus {
            observed_generation: self.set.metadata.generation,
            collision_count: old.collision_count,
            conditions: old.conditions,
            ..Default::default()
        };
        let (mut updated, mut available) = (0, 0);
        for node in self.nodes {
            let alive: Vec<_> = self.pods(node).iter().filter(|pod| pod.is_active()).collect();
            if !fits(self.set, node).0 {
                status.number_misscheduled += i32::from(!alive.is_empty());
                continue;
            }
            status.desired_number_scheduled += 1;
            let Some(pod) = alive.first() else { continue };
            status.current_number_scheduled += 1;
            status.number_ready += i32::from(pod.is_ready());
            available += i32::from(self.is_available(pod));
            updated += i32::from(revision(pod) == Some(self.hash));
        }
        let some = |count: i32| Some(count).filter(|count| *count > 0);
        status.updated_number_scheduled = some(updated);
        status.number_available = some(available);
        status.number_unavailable = some(status.desired_number_scheduled - available);
        status
    }

    /// The Pod for a node.
    fn pod(&self, node: &NodeView) -> Pod {
        let mut pod = pods::from_template(self.set, &self.set.spec.template);
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert(HASH.into(), self.hash.to_owned());
        let generation = self.set.metadata.generation.unwrap_or(1);
        labels.insert("pod-template-generation".into(), generation.to_string());
        let spec = pod.spec.get_or_insert_default();
        bind(spec, node.name());
        let known = spec.tolerations.get_or_insert_default();
        for toleration in daemon_tolerations(spec.host_network.unwrap_or(false)) {
            if !known.contains(&toleration) {
                known.push(toleration);
            }
        }
        pod
    }
}

fn ended(about: &k8s_openapi::api::core::v1::ObjectReference, pod: &PodView, node: &NodeView) -> Note {
    let key = ObjectKey::of(&pod.metadata);
    if pod.status.phase.as_deref() == Some("Failed") {
        let words = format!("Found failed daemon pod {key} on node {}, will try to kill it", node.name());
        Note::warning(about.clone(), "FailedDaemonPod", words)
    } else {
        let words = format!("Found succeeded daemon pod {key} on node {}, will try to delete it", node.name());
        Note::normal(about.clone(), "SucceededDaemonPod", words)
    }
}

fn daemon_tolerations(host_network: bool) -> Vec<Toleration> {
    let network = [("node.kubernetes.io/network-unavailable", "NoSchedule")];
    let network = network.iter().filter(|_| host_network);
    let make = |(key, effect): &(&str, &str)| Toleration {
        key: Some((*key).into()),
        operator: Some("Exists".into()),
        effect: Some((*effect).into()),
        ..Default::default()
    };
    TOLERATED.iter().chain(network).map(make).collect()
}

/// Sends the Pod to this node and no other, whatever else its affinity asks of nodes.
fn bind(spec: &mut PodSpec, node: &str) {
    let only = NodeSelectorRequirement {
        key: "metadata.name".into(),
        operator: "In".into(),
        values: Some(vec![node.to_owned()]),
    };
    let required = spec
        .affinity
        .get_or_insert_default()
        .node_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_default();
    if required.node_selector_terms.is_empty() {
        required.node_selector_terms.push(NodeSelectorTerm::default());
    }
    for term in &mut required.node_selector_terms {
        term.match_fields = Some(vec![only.clone()]);
    }
}

/// Whether a daemon should run on the node, and whether one that runs there may stay.
fn fits(set: &DaemonSet, node: &NodeView) -> (bool, bool) {
    let spec = set.spec.template.spec.clone().unwrap_or_default();
    if !selects(&spec, node) {
        return (false, false);
    }
    let mut tolerations = spec.tolerations.clone().unwrap_or_default();
    tolerations.extend(daemon_tolerations(spec.host_network.unwrap_or(false)));
    let untolerated = |effect: &str| {
        let refuses = |taint: &&Taint| taint.effect == effect && !tolerations.iter().any(|t| tolerates(t, taint));
        node.spec.taints.iter().any(|taint| refuses(&taint))
    };
    (!untolerated("NoSchedule") && !untolerated("NoExecute"), !untolerated("NoExecute"))
}

/// The node has the labels that the template asks for.
fn selects(spec: &PodSpec, node: &NodeView) -> bool {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let simple = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let term = |term: &NodeSelectorTerm| {
        term.match_expressions.iter().flatten().all(|asked| asks(asked, labels.get(&asked.key)))
    };
    simple && required.is_none_or(|required| required.node_selector_terms.iter().any(term))
}

fn asks(asked: &NodeSelectorRequirement, found: Option<&String>) -> bool {
    let values = asked.values.as_deref().unwrap_or_default();
    let numbers = || Some((found?.parse::<i64>().ok()?, values.first()?.parse::<i64>().ok()?));
    match asked.operator.as_str() {
        "In" => found.is_some_and(|value| values.contains(value)),
        "NotIn" => found.is_none_or(|value| !values.contains(value)),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => numbers().is_some_and(|(found, asked)| found > asked),
        "Lt" => numbers().is_some_and(|(found, asked)| found < asked),
        _ => false,
    }
}
