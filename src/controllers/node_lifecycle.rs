//! Node lifecycle: notices nodes that have gone silent, and marks them so that Pods move away.
//!
//! A kubelet renews its Lease every ten seconds. After 50 s of silence the node's conditions become
//! `Unknown` and taints follow: `NoSchedule` keeps new Pods away at once, `NoExecute` lets the
//! taint-eviction loop move the old ones after their 300 s of toleration. When every node is silent
//! it is more likely that the control plane is cut off, so nothing is evicted then. Source:
//! kube-controller-manager, pkg/controller/nodelifecycle.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, ObjectReference, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::plan::{Action, JSON, Note, Plan, STRATEGIC, reference};
use super::runner::Room;
use crate::client::events::Type;
use crate::client::views::{NodeView, PodView};
use crate::client::{Causes, Change, ObjectKey};

/// Source: --node-monitor-grace-period.
const GRACE: SignedDuration = SignedDuration::from_secs(50);
/// Source: --node-startup-grace-period.
const STARTUP_GRACE: SignedDuration = SignedDuration::from_secs(60);
/// One node per ten seconds starts to be emptied. Source: --node-eviction-rate.
const EVICTION_PAUSE: SignedDuration = SignedDuration::from_secs(10);
/// Source: --unhealthy-zone-threshold.
const UNHEALTHY_SHARE: f64 = 0.55;
/// Up to this many nodes, an unhealthy zone is not emptied at all. Source: --large-cluster-size-threshold.
const LARGE: usize = 50;
/// In a larger one, one node per hundred seconds. Source: --secondary-node-eviction-rate.
const SECONDARY_PAUSE: SignedDuration = SignedDuration::from_secs(100);
/// Where nodes' Leases are.
const LEASES: &str = "kube-node-lease";

/// The node does not work.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The node is silent.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// A condition, the value that is bad, and the taint it brings. Source: nodeConditionToTaintKeyStatusMap.
const TAINTS: &[(&str, &str, &str)] = &[
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Starts the loop.
pub fn start(room: Room) {
    let (nodes, pods) = (room.informer::<NodeView>(), room.informer::<PodView>());
    let leases = room.informer::<Lease>();
    let started = room.clock.now();
    let recorder = room.recorder.clone();
    nodes.subscribe(move |change| {
        let node = change.object();
        let word = match change {
            Change::Added(_) => ("RegisteredNode", "Registered"),
            Change::Deleted(_) => ("RemovingNode", "Removing"),
            Change::Modified { .. } => return,
        };
        let (name, to) = (node.name(), if word.1 == "Registered" { "in" } else { "from" });
        let message = format!("Node {name} event: {} Node {name} {to} Controller", word.1);
        recorder.record(&about(node), Type::Normal, word.0, message, &Causes::of(&node.metadata));
    });
    room.wake_self(&nodes);
    // Whether one node is emptied depends on how many others are silent.
    let (known, queue) = (nodes.clone(), room.queue.clone());
    nodes.subscribe(move |change| {
        if change.old().is_some_and(|old| ready(old) != ready(change.object())) {
            for node in known.all() {
                queue.add(ObjectKey::of(&node.metadata), &Causes::of(&change.object().metadata));
            }
        }
    });
    room.wake(&leases, |lease| {
        let key = ObjectKey::of(&lease.metadata);
        if key.namespace == LEASES { vec![ObjectKey::cluster(key.name)] } else { Vec::new() }
    });
    let known = nodes.clone();
    room.wake(&pods, move |pod| {
        let node = pod.spec.node_name.as_deref().map(ObjectKey::cluster);
        let silent = |key: &ObjectKey| known.get(key).is_some_and(|node| ready(&node) != "True");
        node.filter(|key| pod.is_ready() && silent(key)).into_iter().collect()
    });
    room.run("node-lifecycle-controller", 1, move |key, moment| {
        let Some(node) = nodes.get(key) else { return Plan::none() };
        let lease = leases.get(&ObjectKey::new(LEASES, node.name()));
        let heard = last_heard(&node, lease.as_deref()).max(started);
        reconcile(&node, heard, &nodes.all(), &pods.on_node(node.name()), moment.now)
    });
}

/// The last sign of life: the Lease's renewal, or the newest heartbeat in the status.
fn last_heard(node: &NodeView, lease: Option<&Lease>) -> Timestamp {
    let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref()).map(|time| time.0);
    let heartbeat = node.condition("Ready").and_then(|ready| ready.last_heartbeat_time.as_ref()).map(|time| time.0);
    renewed.max(heartbeat).unwrap_or(Timestamp::MIN)
}

/// `True`, `False` or `Unknown`.
fn ready(node: &NodeView) -> &str {
    node.condition("Ready").map_or("Unknown", |ready| ready.status.as_str())
}

fn about(node: &NodeView) -> ObjectReference {
    ObjectReference { resource_version: None, ..reference(node) }
}

/// What a node needs done. `heard` is its last sign of life, `pods` are the Pods on it.
pub fn reconcile(
    node: &NodeView,
    heard: Timestamp,
    nodes: &[Arc<NodeView>],
    pods: &[Arc<PodView>],
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::none();
    let grace = if node.condition("Ready").is_some() { GRACE } else { STARTUP_GRACE };
    let expires = heard.saturating_add(grace).unwrap_or(Timestamp::MAX);
    if now > expires {
        let conditions = silenced(node, now);
        if conditions != node.status.conditions {
            if ready(node) == "True" {
                plan.say(not_ready_note(node));
            }
            let patch = json!({ "status": { "conditions": conditions } });
            plan.act(Action::patch::<Node>(&node.metadata, "status", STRATEGIC, patch));
            return plan;
        }
    } else {
        plan.again_at(expires.saturating_add(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX), now);
    }
    taint(node, nodes, now, &mut plan);
    if ready(node) != "True" {
        for pod in pods.iter().filter(|pod| pod.is_ready()) {
            mark_not_ready(pod, now, &mut plan);
        }
    }
    plan
}

fn not_ready_note(node: &NodeView) -> Note {
    Note::normal(about(node), "NodeNotReady", format!("Node {} status is now: NodeNotReady", node.name()))
}

/// The conditions of a node that is not heard from.
fn silenced(node: &NodeView, now: Timestamp) -> Vec<NodeCondition> {
    let mut conditions = node.status.conditions.clone();
    for type_ in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        match conditions.iter_mut().find(|condition| condition.type_ == type_) {
            None => conditions.push(NodeCondition {
                type_: type_.into(),
                status: "Unknown".into(),
                reason: Some("NodeStatusNeverUpdated".into()),
                message: Some("Kubelet never posted node status.".into()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(Time(now)),
            }),
            Some(condition) if condition.status != "Unknown" => {
                condition.status = "Unknown".into();
                condition.reason = Some("NodeStatusUnknown".into());
                condition.message = Some("Kubelet stopped posting node status.".into());
                condition.last_transition_time = Some(Time(now));
            }
            Some(_) => {}
        }
    }
    conditions
}

/// Brings the taints in line with the conditions.
fn taint(node: &NodeView, nodes: &[Arc<NodeView>], now: Timestamp, plan: &mut Plan) {
    let managed = |taint: &Taint| {
        let by_condition = taint.key == UNSCHEDULABLE || TAINTS.iter().any(|(_, _, key)| taint.key == *key);
        by_condition && taint.effect == "NoSchedule"
            || [NOT_READY, UNREACHABLE].contains(&taint.key.as_str()) && taint.effect == "NoExecute"
    };
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (type_, bad, key) in TAINTS {
        if node.condition(type_).is_some_and(|condition| condition.status == *bad) {
            wanted.push((key, "NoSchedule"));
        }
    }
    if node.spec.unschedulable {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    if let Some(key) = no_execute(node, nodes, now, plan) {
        wanted.push((key, "NoExecute"));
    }
    let has = |taint: &Taint, (key, effect): &(&str, &str)| taint.key == *key && taint.effect == *effect;
    let mut taints: Vec<_> = node
        .spec
        .taints
        .iter()
        .filter(|taint| !managed(taint) || wanted.iter().any(|wanted| has(taint, wanted)))
        .cloned()
        .collect();
    for missing in wanted.iter().filter(|wanted| !node.spec.taints.iter().any(|taint| has(taint, wanted))) {
        taints.push(Taint {
            key: missing.0.into(),
            effect: missing.1.into(),
            value: None,
            time_added: Some(Time(now)),
        });
    }
    if taints != node.spec.taints {
        let version = &node.metadata.resource_version;
        let patch = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": version },
            { "op": "add", "path": "/spec/taints", "value": taints },
        ]);
        plan.act(Action::patch::<Node>(&node.metadata, "", JSON, patch));
    }
}

/// The key of the `NoExecute` taint the node should have now.
fn no_execute(node: &NodeView, nodes: &[Arc<NodeView>], now: Timestamp, plan: &mut Plan) -> Option<&'static str> {
    let key = match ready(node) {
        "True" => return None,
        "False" => NOT_READY,
        _ => UNREACHABLE,
    };
    node.condition("Ready")?;
    let unready = nodes.iter().filter(|node| ready(node) != "True").count();
    if unready == nodes.len() {
        return None;
    }
    let evicting = |node: &NodeView| {
        node.spec
            .taints
            .iter()
            .find(|taint| taint.effect == "NoExecute" && [NOT_READY, UNREACHABLE].contains(&taint.key.as_str()))
            .cloned()
    };
    if evicting(node).is_some() {
        return Some(key);
    }
    #[allow(clippy::cast_precision_loss, reason = "a node count is far below 2^52")]
    let unhealthy = unready > 2 && unready as f64 / nodes.len() as f64 >= UNHEALTHY_SHARE;
    let pause = match (unhealthy, nodes.len() > LARGE) {
        (true, false) => return None,
        (true, true) => SECONDARY_PAUSE,
        (false, _) => EVICTION_PAUSE,
    };
    let last = nodes.iter().filter_map(|node| evicting(node)?.time_added).map(|time| time.0).max();
    let next = last.and_then(|last| last.checked_add(pause).ok()).unwrap_or(Timestamp::MIN);
    if next > now {
        plan.again(Duration::try_from(next.duration_since(now)).unwrap_or_default());
        return None;
    }
    Some(key)
}

/// A Pod on a node that is not ready is not ready either, so that Services leave it out.
fn mark_not_ready(pod: &PodView, now: Timestamp, plan: &mut Plan) {
    let condition = json!({ "type": "Ready", "status": "False", "lastTransitionTime": Time(now) });
    let patch = json!({ "status": { "conditions": [condition] } });
    plan.say(Note::warning(reference(pod), "NodeNotReady", "Node is not ready"));
    plan.act(Action::patch::<PodView>(&pod.metadata, "status", STRATEGIC, patch));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, ready: &str) -> Arc<NodeView> {
        let value =
            json!({ "metadata": { "name": name }, "status": { "conditions": [{ "type": "Ready", "status": ready }] } });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn effects(plan: &Plan) -> Vec<String> {
        let patches = plan.actions();
        let taints = patches.iter().filter_map(|action| action.body[1]["value"].as_array());
        taints.flatten().map(|taint| taint["effect"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_node_becomes_unknown_after_fifty_seconds_of_silence() {
        let n1 = node("n1", "True");
        let early = reconcile(&n1, at(0), std::slice::from_ref(&n1), &[], at(50));
        assert!(early.actions().is_empty());
        assert_eq!(early.again_after, Some(Duration::from_millis(1)));
        let late = reconcile(&n1, at(0), std::slice::from_ref(&n1), &[], at(51));
        let ready = &late.actions()[0].body["status"]["conditions"][0];
        assert_eq!((&ready["status"], &ready["reason"]), (&"Unknown".into(), &"NodeStatusUnknown".into()));
    }

    #[test]
    fn a_silent_node_is_emptied_unless_all_are_silent() {
        let (silent, alive) = (node("n1", "Unknown"), node("n2", "True"));
        let one = reconcile(&silent, at(0), &[silent.clone(), alive], &[], at(0));
        assert_eq!(effects(&one), ["NoSchedule", "NoExecute"]);
        let all = reconcile(&silent, at(0), &[silent.clone(), node("n2", "Unknown")], &[], at(0));
        assert_eq!(effects(&all), ["NoSchedule"]);
    }

    #[test]
    fn a_second_node_waits_ten_seconds_for_its_turn() {
        let mut first = (*node("n1", "Unknown")).clone();
        first.spec.taints = vec![Taint {
            key: UNREACHABLE.into(),
            effect: "NoExecute".into(),
            time_added: Some(Time(at(100))),
            value: None,
        }];
        let second = node("n2", "Unknown");
        let nodes = [Arc::new(first), second.clone(), node("n3", "True"), node("n4", "True"), node("n5", "True")];
        let now = reconcile(&second, at(104), &nodes, &[], at(104));
        assert_eq!((effects(&now), now.again_after), (vec!["NoSchedule".to_owned()], Some(Duration::from_secs(6))));
        assert_eq!(effects(&reconcile(&second, at(110), &nodes, &[], at(110))), ["NoSchedule", "NoExecute"]);
    }
}
