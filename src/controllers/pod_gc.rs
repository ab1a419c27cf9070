//! Pod garbage collection: removes Pods that no kubelet will ever finish.
//!
//! Those whose node is gone, those being deleted before they got a node, those being deleted on a
//! node marked out of service, and the oldest ended ones when there are too many. Source:
//! kube-controller-manager, pkg/controller/podgc. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use serde_json::json;

use super::plan::{Action, Plan, STRATEGIC};
use super::runner::Room;
use crate::client::ObjectKey;
use crate::client::views::{NodeView, PodView};

/// How long a node must be missing. Source: gc_controller.go, quarantineTime.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);
/// Ended Pods kept. Source: --terminated-pod-gc-threshold.
const ENDED: usize = 12_500;
/// The administrator says that nothing runs on the node any more.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Starts the loop.
pub fn start(room: Room) {
    let (nodes, pods) = (room.informer::<NodeView>(), room.informer::<PodView>());
    room.wake_self(&pods);
    let known = pods.clone();
    room.wake(&nodes, move |node| known.on_node(node.name()).iter().map(|pod| ObjectKey::of(&pod.metadata)).collect());
    let missing: Mutex<HashMap<String, Timestamp>> = Mutex::default();
    room.run("pod-garbage-collector-controller", 1, move |key, moment| {
        let Some(pod) = pods.get(key) else { return Plan::none() };
        let name = pod.spec.node_name.clone().unwrap_or_default();
        let node = nodes.get(&ObjectKey::cluster(&name));
        let mut missing = missing.lock();
        let since = if node.is_some() || name.is_empty() {
            missing.remove(&name);
            None
        } else {
            Some(*missing.entry(name).or_insert(moment.now))
        };
        let crowded = || pod.is_finished() && is_among_oldest(&pod, &pods.all());
        reconcile(&pod, node.as_deref(), since, &crowded, moment.now)
    });
}

/// Whether the Pod is one of the ended ones that are too many.
fn is_among_oldest(pod: &PodView, all: &[Arc<PodView>]) -> bool {
    let age = |pod: &PodView| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let ended = || all.iter().filter(|pod| pod.is_finished());
    let count = ended().count();
    count > ENDED && ended().filter(|other| age(other) < age(pod)).count() < count - ENDED
}

/// What a Pod needs done; `missing_since` is when its node was found to be gone.
pub fn reconcile(
    pod: &PodView,
    node: Option<&NodeView>,
    missing_since: Option<Timestamp>,
    crowded: &dyn Fn() -> bool,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::none();
    let leaving = pod.metadata.deletion_timestamp.is_some();
    let assigned = pod.spec.node_name.as_deref().is_some_and(|node| !node.is_empty());
    if let Some(since) = missing_since {
        let end = since.saturating_add(QUARANTINE).unwrap_or(Timestamp::MAX);
        if end > now {
            plan.again_at(end, now);
        } else {
            remove(pod, "PodGC: node no longer exists", now, &mut plan);
        }
    } else if leaving && !assigned {
        remove(pod, "", now, &mut plan);
    } else if leaving && node.is_some_and(is_out_of_service) {
        remove(pod, "PodGC: node has the out-of-service taint", now, &mut plan);
    } else if crowded() {
        remove(pod, "", now, &mut plan);
    }
    plan
}

/// A node that does not answer and that the administrator has given up.
fn is_out_of_service(node: &NodeView) -> bool {
    let silent = node.condition("Ready").is_none_or(|ready| ready.status != "True");
    silent && node.spec.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

/// Marks the Pod as failed, with the reason where there is one, and deletes it without grace.
fn remove(pod: &PodView, why: &str, now: Timestamp, plan: &mut Plan) {
    if !pod.is_finished() {
        let mut status = json!({ "phase": "Failed" });
        if !why.is_empty() {
            status["conditions"] = json!([{
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": why,
                "lastTransitionTime": Time(now),
            }]);
        }
        plan.act(Action::patch::<PodView>(&pod.metadata, "status", STRATEGIC, json!({ "status": status })));
    }
    let mut delete = Action::delete::<PodView>(&pod.metadata);
    delete.body["gracePeriodSeconds"] = 0.into();
    plan.act(delete);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_of_a_lost_node_goes_after_its_quarantine() {
        let value = json!({ "metadata": { "name": "web", "uid": "u" }, "spec": { "nodeName": "gone" } });
        let pod: PodView = serde_json::from_value(value).unwrap();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let plan = |now| reconcile(&pod, None, Some(at(0)), &|| false, at(now));
        assert!(plan(39).actions().is_empty() && plan(39).again_after.is_some());
        let actions = plan(40);
        assert_eq!(actions.actions()[0].body["status"]["conditions"][0]["reason"], "DeletionByPodGC");
        assert_eq!(actions.actions()[1].body["gracePeriodSeconds"], 0);
    }
}
