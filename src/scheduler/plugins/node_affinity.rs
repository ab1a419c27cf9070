//! NodeAffinity: nodeSelector and node affinity, by the node's labels.
//!
//! Required terms refuse, preferred terms rank. Chapter: `book/src/control-plane/kube-scheduler.md`.

use super::{Direction, Filter, Prepared, PreparedFilter, PreparedScorer, Rejection, Scorer, normalize_by_max};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

struct NodeAffinity<'a>(&'a PodInfo);

/// Refuses nodes that nodeSelector or the required affinity does not match.
pub fn filter<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    if pod.node_selector.is_empty() && pod.node_required.is_none() {
        return Prepared::Skip;
    }
    Prepared::Ready(Box::new(NodeAffinity(pod)))
}

/// Adds up the weights of the preferred terms that match.
pub fn scorer<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot, _nodes: &[NodeIndex]) -> PreparedScorer<'a> {
    if pod.node_preferred.is_empty() {
        return Prepared::Skip;
    }
    Prepared::Ready(Box::new(NodeAffinity(pod)))
}

impl Filter for NodeAffinity<'_> {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        if self.0.selects(&node.name, &node.labels) {
            return Ok(());
        }
        Err(Rejection::lasting("node(s) didn't match Pod's node affinity/selector"))
    }
}

impl Scorer for NodeAffinity<'_> {
    fn score(&self, _index: NodeIndex, node: &NodeInfo) -> i64 {
        let matching = self.0.node_preferred.iter().filter(|(_, term)| term.matches(&node.name, &node.labels));
        matching.map(|(weight, _)| weight).sum()
    }

    fn normalize(&self, scores: &mut [i64], _nodes: &[NodeIndex]) {
        normalize_by_max(scores, Direction::MoreIsBetter);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, choice, cluster, node, pod};
    use serde_json::json;

    #[test]
    fn required_refuses_and_preferred_ranks() {
        let nodes = [node("a", json!({"disk": "hdd"}), json!({})), node("b", json!({"disk": "ssd"}), json!({}))];
        let cluster = cluster(&nodes, &[]);
        let refused = "node(s) didn't match Pod's node affinity/selector";
        let selector = json!({"spec": {"nodeSelector": {"disk": "ssd"}}});
        assert_eq!(answers(&pod("p", selector), &cluster), [refused, "fits"]);
        let term = json!({"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]});
        let required = json!({"spec": {"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}}});
        assert_eq!(answers(&pod("p", required), &cluster), [refused, "fits"]);
        let preferred = json!({"spec": {"affinity": {"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}}}});
        assert_eq!(choice(&pod("p", preferred), &cluster), "b");
    }
}
