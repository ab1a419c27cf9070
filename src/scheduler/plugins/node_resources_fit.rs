//! NodeResourcesFit: what the Pod asks for must be free, and an emptier node is better.
//!
//! The filter compares requests, never use: a busy node with small requests takes more Pods. The score
//! is LeastAllocated over CPU and memory. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::HashMap;

use super::{Filter, MAX_SCORE, Prepared, PreparedFilter, PreparedScorer, Rejection, Scorer};
use crate::scheduler::decision::Reason;
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::resources::Resources;
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

struct Fit<'a> {
    pod: &'a PodInfo,
    /// What Pods of no lower priority, for which others were evicted, will take on their node.
    nominated: HashMap<NodeIndex, (usize, Resources)>,
}

struct LeastAllocated<'a>(&'a PodInfo);

/// Refuses nodes where a request does not fit.
pub fn filter<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    let mut nominated: HashMap<NodeIndex, (usize, Resources)> = HashMap::new();
    for (other, index) in snapshot.nominated() {
        if other.uid != pod.uid && other.priority >= pod.priority {
            let (count, resources) = nominated.entry(index).or_default();
            *count += 1;
            resources.add(&other.requests);
        }
    }
    Prepared::Ready(Box::new(Fit { pod, nominated }))
}

/// Ranks by the share of CPU and memory that stays free.
pub fn scorer<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot, _nodes: &[NodeIndex]) -> PreparedScorer<'a> {
    Prepared::Ready(Box::new(LeastAllocated(pod)))
}

impl Filter for Fit<'_> {
    fn check(&self, index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        let none = (0, Resources::default());
        let (nominated_pods, nominated) = self.nominated.get(&index).unwrap_or(&none);
        let mut rejection = Rejection { reasons: Vec::new(), preemptable: true };
        if node.pods.len() + nominated_pods + 1 > node.allowed_pods {
            rejection.reasons.push("Too many pods".into());
        }
        let mut compare = |name: &str, wanted: i64, allocatable: i64, taken: i64| {
            if wanted > 0 && wanted > allocatable - taken {
                rejection.reasons.push(insufficient(name));
                rejection.preemptable &= wanted <= allocatable;
            }
        };
        let (wanted, has, taken) = (&self.pod.requests, &node.allocatable, &node.requested);
        compare("cpu", wanted.cpu_millis, has.cpu_millis, taken.cpu_millis + nominated.cpu_millis);
        compare("memory", wanted.memory_bytes, has.memory_bytes, taken.memory_bytes + nominated.memory_bytes);
        let ephemeral = taken.ephemeral_bytes + nominated.ephemeral_bytes;
        compare("ephemeral-storage", wanted.ephemeral_bytes, has.ephemeral_bytes, ephemeral);
        for (name, amount) in &wanted.extended {
            let of = |resources: &Resources| resources.extended.get(name).copied().unwrap_or(0);
            compare(name, *amount, of(has), of(taken) + of(nominated));
        }
        if rejection.reasons.is_empty() { Ok(()) } else { Err(rejection) }
    }
}

fn insufficient(name: &str) -> Reason {
    match name {
        "cpu" => Reason::Borrowed("Insufficient cpu"),
        "memory" => Reason::Borrowed("Insufficient memory"),
        _ => Reason::Owned(format!("Insufficient {name}")),
    }
}

impl Scorer for LeastAllocated<'_> {
    fn score(&self, _index: NodeIndex, node: &NodeInfo) -> i64 {
        let (cpu, memory) = self.0.scored_requests;
        let shares = [
            (node.allocatable.cpu_millis, node.scored.0 + cpu),
            (node.allocatable.memory_bytes, node.scored.1 + memory),
        ];
        let (mut sum, mut weight) = (0, 0);
        for (allocatable, requested) in shares.into_iter().filter(|(allocatable, _)| *allocatable > 0) {
            sum += if requested > allocatable { 0 } else { (allocatable - requested) * MAX_SCORE / allocatable };
            weight += 1;
        }
        if weight == 0 { 0 } else { sum / weight }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, choice, cluster, node, pod};
    use serde_json::{Value, json};

    fn asks(resource: &str, amount: &str) -> Value {
        json!({"spec": {"containers": [{"resources": {"requests": {resource: amount}}}]}})
    }

    #[test]
    fn a_request_must_be_free() {
        let taken = pod("q", asks("cpu", "3500m"));
        let cluster = cluster(&[node("a", json!({}), json!({}))], &[(taken, "a")]);
        for (resource, amount, expected) in [
            ("cpu", "500m", "fits"),
            ("cpu", "501m", "Insufficient cpu"),
            ("memory", "8Gi", "fits"),
            ("memory", "9Gi", "Insufficient memory"),
            ("nvidia.com/gpu", "1", "fits"),
            ("nvidia.com/gpu", "2", "Insufficient nvidia.com/gpu"),
            ("example.com/fpga", "1", "Insufficient example.com/fpga"),
        ] {
            assert_eq!(answers(&pod("p", asks(resource, amount)), &cluster), [expected], "{resource}={amount}");
        }
    }

    #[test]
    fn a_full_node_says_so_and_an_empty_one_is_better() {
        let full = node("a", json!({}), json!({"status": {"allocatable": {"pods": "1"}}}));
        let nodes = [full, node("b", json!({}), json!({})), node("c", json!({}), json!({}))];
        let pods = [(pod("q", json!({})), "a"), (pod("r", asks("cpu", "2")), "b")];
        let cluster = cluster(&nodes, &pods);
        assert_eq!(answers(&pod("p", json!({})), &cluster), ["Too many pods", "fits", "fits"]);
        assert_eq!(choice(&pod("p", json!({})), &cluster), "c");
    }
}
