//! Taint eviction: deletes Pods that do not tolerate a `NoExecute` taint of their node, or no longer.
//!
//! Source: kube-controller-manager, pkg/controller/tainteviction.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use serde_json::json;

use super::plan::{Action, Note, Plan, STRATEGIC, reference};
use super::runner::Room;
use crate::client::ObjectKey;
use crate::client::views::{NodeView, PodView};

/// Starts the loop.
pub fn start(room: Room) {
    let (nodes, pods) = (room.informer::<NodeView>(), room.informer::<PodView>());
    room.wake_self(&pods);
    let known = pods.clone();
    room.wake(&nodes, move |node| known.on_node(node.name()).iter().map(|pod| ObjectKey::of(&pod.metadata)).collect());
    // A taint may not say since when it is there; the first sight counts then, as in Kubernetes.
    let seen: Mutex<HashMap<ObjectKey, Timestamp>> = Mutex::default();
    room.run("taint-eviction-controller", 1, move |key, moment| {
        let pod = pods.get(key);
        let node = pod.as_ref().and_then(|pod| nodes.get(&ObjectKey::cluster(pod.spec.node_name.as_deref()?)));
        let taints = node.as_ref().map(|node| no_execute(node)).unwrap_or_default();
        let mut seen = seen.lock();
        let Some(pod) = pod.filter(|_| !taints.is_empty()) else {
            seen.remove(key);
            return Plan::none();
        };
        let first = *seen.entry(key.clone()).or_insert(moment.now);
        reconcile(&pod, &taints, first, moment.now)
    });
}

fn no_execute(node: &NodeView) -> Vec<Taint> {
    node.spec.taints.iter().filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

/// Whether the toleration covers the taint. Source: core/v1 Toleration.ToleratesTaint.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let filled = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let (effect, key) = (filled(&toleration.effect), filled(&toleration.key));
    if effect.is_some_and(|effect| effect != taint.effect) || key.is_some_and(|key| key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or(""),
    }
}

/// What a Pod on a tainted node needs done; `first` is when the loop saw it so first.
pub fn reconcile(pod: &PodView, taints: &[Taint], first: Timestamp, now: Timestamp) -> Plan {
    let mut plan = Plan::none();
    if pod.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let mut until: Option<Timestamp> = None;
    for taint in taints {
        let mut covering = pod.spec.tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if covering.peek().is_none() {
            until = Some(Timestamp::MIN);
            break;
        }
        let since = taint.time_added.as_ref().map_or(first, |time| time.0);
        let limits = covering.filter_map(|toleration| toleration.toleration_seconds);
        if let Some(seconds) = limits.min() {
            let end = since.saturating_add(SignedDuration::from_secs(seconds.max(0))).unwrap_or(Timestamp::MAX);
            until = Some(until.map_or(end, |known| known.min(end)));
        }
    }
    match until {
        None => {}
        Some(end) if end > now => plan.again_at(end, now),
        Some(_) => evict(pod, now, &mut plan),
    }
    plan
}

fn evict(pod: &PodView, now: Timestamp, plan: &mut Plan) {
    let key = ObjectKey::of(&pod.metadata);
    plan.say(Note::normal(reference(pod), "TaintManagerEviction", format!("Marking for deletion Pod {key}")));
    plan.act(disrupted(pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", now));
    plan.act(Action::delete::<PodView>(&pod.metadata));
}

/// Says in the Pod's status why it is about to go.
pub fn disrupted(pod: &PodView, reason: &str, message: &str, now: Timestamp) -> Action {
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": Time(now),
    });
    Action::patch::<PodView>(&pod.metadata, "status", STRATEGIC, json!({ "status": { "conditions": [condition] } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn plan(tolerations: serde_json::Value, now: i64) -> Plan {
        let value = json!({ "metadata": { "name": "web", "uid": "u" }, "spec": { "tolerations": tolerations } });
        let pod: PodView = serde_json::from_value(value).unwrap();
        let taint = Taint {
            key: "node.kubernetes.io/unreachable".into(),
            effect: "NoExecute".into(),
            time_added: Some(Time(at(100))),
            value: None,
        };
        reconcile(&pod, &[taint], at(100), at(now))
    }

    #[test]
    fn toleration_decides_when_a_pod_goes() {
        let exists = |seconds: Option<i64>| json!([{ "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds }]);
        assert_eq!(plan(json!([]), 100).actions().len(), 2, "no toleration: at once");
        assert_eq!(plan(exists(Some(300)), 200).again_after, Some(Duration::from_secs(200)));
        assert_eq!(plan(exists(Some(300)), 400).actions().len(), 2);
        assert_eq!(plan(exists(None), 9000), Plan::none(), "tolerated for ever");
        assert_eq!(plan(json!([{ "operator": "Exists" }]), 9000), Plan::none());
    }
}
