//! The rules, one a file, in kube-scheduler's default order.
//!
//! A rule is prepared once per Pod (what can be computed for all nodes at once is), then asked node by
//! node. A rule that has nothing to say about a Pod answers [`Prepared::Skip`] and costs nothing.
//! Source: kube-scheduler v1.37 `--write-config-to` (order and weights).
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use super::decision::{Plugin, Reason, SCORER_COUNT};
use super::node::NodeInfo;
use super::pod::PodInfo;
use super::snapshot::{NodeIndex, Snapshot};

pub mod image_locality;
pub mod inter_pod_affinity;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_resources_balanced_allocation;
pub mod node_resources_fit;
pub mod node_unschedulable;
pub mod pod_topology_spread;
pub mod taint_toleration;
pub mod volume_binding;

/// The score of the best node for one plugin, before its weight.
pub const MAX_SCORE: i64 = 100;

/// A rule made ready for one Pod.
pub enum Prepared<T> {
    /// It has nothing to say about this Pod.
    Skip,
    /// Ask it about each node.
    Ready(T),
    /// It refuses all nodes at once.
    Refuse(Reason),
}

/// Why a node may not run the Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// In Kubernetes' words.
    pub reasons: Vec<Reason>,
    /// True when evicting Pods could change the answer.
    pub preemptable: bool,
}

impl Rejection {
    /// Evicting Pods could help.
    pub fn preemptable(reason: &'static str) -> Self {
        Rejection { reasons: vec![reason.into()], preemptable: true }
    }

    /// Evicting Pods cannot help.
    pub fn lasting(reason: &'static str) -> Self {
        Rejection { reasons: vec![reason.into()], preemptable: false }
    }
}

/// A filter, ready for one Pod.
pub trait Filter {
    /// Whether this node may run it.
    ///
    /// # Errors
    /// The rejection, when it may not.
    fn check(&self, index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection>;
}

/// A scorer, ready for one Pod.
pub trait Scorer {
    /// How good the node is, in the plugin's own unit.
    fn score(&self, index: NodeIndex, node: &NodeInfo) -> i64;

    /// Brings all nodes' scores into 0..=100; `nodes` are their places in the same order.
    fn normalize(&self, _scores: &mut [i64], _nodes: &[NodeIndex]) {}
}

/// A filter made ready.
pub type PreparedFilter<'a> = Prepared<Box<dyn Filter + 'a>>;
/// A scorer made ready.
pub type PreparedScorer<'a> = Prepared<Box<dyn Scorer + 'a>>;

type PrepareFilter = for<'a> fn(&'a PodInfo, &'a Snapshot) -> PreparedFilter<'a>;
type PrepareScorer = for<'a> fn(&'a PodInfo, &'a Snapshot, &[NodeIndex]) -> PreparedScorer<'a>;

/// The filters, in the order they are asked.
pub const FILTERS: [(Plugin, PrepareFilter); 9] = [
    (Plugin::NodeName, node_name::filter),
    (Plugin::NodeUnschedulable, node_unschedulable::filter),
    (Plugin::TaintToleration, taint_toleration::filter),
    (Plugin::NodeAffinity, node_affinity::filter),
    (Plugin::NodePorts, node_ports::filter),
    (Plugin::NodeResourcesFit, node_resources_fit::filter),
    (Plugin::VolumeBinding, volume_binding::filter),
    (Plugin::PodTopologySpread, pod_topology_spread::filter),
    (Plugin::InterPodAffinity, inter_pod_affinity::filter),
];

/// The scorers, in the order of `decision::SCORERS`, which has their weights.
pub const SCORERS: [PrepareScorer; SCORER_COUNT] = [
    taint_toleration::scorer,
    node_affinity::scorer,
    node_resources_fit::scorer,
    pod_topology_spread::scorer,
    inter_pod_affinity::scorer,
    node_resources_balanced_allocation::scorer,
    image_locality::scorer,
];

/// The largest score becomes 100, the others in proportion; `reverse` turns best and worst around.
pub fn normalize_by_max(scores: &mut [i64], reverse: Direction) {
    let max = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let share = if max == 0 { 0 } else { *score * MAX_SCORE / max };
        *score = match reverse {
            Direction::MoreIsBetter => share,
            Direction::LessIsBetter => MAX_SCORE - share,
        };
    }
}

/// Which end of a plugin's own unit is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Direction {
    MoreIsBetter,
    LessIsBetter,
}

#[cfg(test)]
pub(super) mod testing {
    //! Small clusters for the plugins' tables.

    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::pod::PodInfo;
    use super::super::schedule::schedule;
    use super::super::snapshot::Snapshot;
    use super::super::{Decision, Verdict};

    /// A node of 4 CPUs and 8Gi with these labels; `extra` is merged over its JSON.
    pub fn node(name: &str, labels: Value, extra: Value) -> Value {
        let mut node = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "nvidia.com/gpu": "1"}},
        });
        json_patch::merge(&mut node, &extra);
        node
    }

    /// A Pod of one container; `extra` is merged over its JSON.
    pub fn pod(name: &str, extra: Value) -> Arc<PodInfo> {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "tutor/web:1"}]},
        });
        json_patch::merge(&mut pod, &extra);
        Arc::new(PodInfo::new(&serde_json::from_value(pod).unwrap()))
    }

    /// A cluster of these nodes with these Pods on them.
    pub fn cluster(nodes: &[Value], pods: &[(Arc<PodInfo>, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for node in nodes {
            snapshot.set_node(&serde_json::from_value(node.clone()).unwrap());
        }
        for (pod, node) in pods {
            snapshot.set_pod(pod.clone(), node);
        }
        snapshot
    }

    /// What each node answered: `fits` or its reasons.
    pub fn verdicts(decision: &Decision) -> Vec<String> {
        let word = |verdict: &Verdict| match verdict {
            Verdict::Fits { .. } => "fits".to_owned(),
            Verdict::Rejected { reasons, .. } => reasons.join(", "),
        };
        decision.nodes.iter().map(|node| word(&node.verdict)).collect()
    }

    /// Schedules and returns what each node answered.
    pub fn answers(pod: &PodInfo, snapshot: &Snapshot) -> Vec<String> {
        verdicts(&schedule(pod, snapshot))
    }

    /// The node that was chosen, or the message.
    pub fn choice(pod: &PodInfo, snapshot: &Snapshot) -> String {
        let decision = schedule(pod, snapshot);
        decision.chosen().map_or_else(|| decision.message(), |node| node.to_string())
    }
}
