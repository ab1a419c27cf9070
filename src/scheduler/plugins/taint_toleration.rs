//! TaintToleration: a taint keeps away every Pod that does not tolerate it.
//!
//! NoSchedule and NoExecute refuse; PreferNoSchedule only lowers the score.
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use super::{Direction, Filter, Prepared, PreparedFilter, PreparedScorer, Rejection, Scorer, normalize_by_max};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

struct TaintToleration<'a>(&'a PodInfo);

/// Refuses nodes with an untolerated NoSchedule or NoExecute taint.
pub fn filter<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    Prepared::Ready(Box::new(TaintToleration(pod)))
}

/// Counts untolerated PreferNoSchedule taints; fewer are better.
pub fn scorer<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot, _nodes: &[NodeIndex]) -> PreparedScorer<'a> {
    Prepared::Ready(Box::new(TaintToleration(pod)))
}

impl Filter for TaintToleration<'_> {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        let hard = node.taints.iter().filter(|taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute");
        if hard.into_iter().all(|taint| self.0.tolerates(taint)) {
            return Ok(());
        }
        Err(Rejection::lasting("node(s) had untolerated taint(s)"))
    }
}

impl Scorer for TaintToleration<'_> {
    fn score(&self, _index: NodeIndex, node: &NodeInfo) -> i64 {
        let soft = node.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
        soft.filter(|taint| !self.0.tolerates(taint)).count() as i64
    }

    fn normalize(&self, scores: &mut [i64], _nodes: &[NodeIndex]) {
        normalize_by_max(scores, Direction::LessIsBetter);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, choice, cluster, node, pod};
    use serde_json::json;

    fn tainted(effect: &str) -> serde_json::Value {
        json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": effect}]}})
    }

    #[test]
    fn an_untolerated_taint_refuses_or_repels() {
        let tolerant = json!({"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}]}});
        for (effect, extra, expected) in [
            ("NoSchedule", json!({}), "node(s) had untolerated taint(s)"),
            ("NoExecute", json!({}), "node(s) had untolerated taint(s)"),
            ("PreferNoSchedule", json!({}), "fits"),
            ("NoSchedule", tolerant, "fits"),
        ] {
            let cluster = cluster(&[node("a", json!({}), tainted(effect))], &[]);
            assert_eq!(answers(&pod("p", extra), &cluster), [expected], "{effect}");
        }
        let nodes = [node("a", json!({}), tainted("PreferNoSchedule")), node("b", json!({}), json!({}))];
        assert_eq!(choice(&pod("p", json!({})), &cluster(&nodes, &[])), "b");
    }
}
