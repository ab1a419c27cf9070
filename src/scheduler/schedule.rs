//! `schedule`: a Pod and the cluster in, the decision out. No time, no input, no output.
//!
//! Gates, then filters node by node, then scores of the nodes that are left, then the best one. When
//! none is left, preemption is asked. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::sync::Arc;

use super::decision::{Decision, NodeVerdict, Outcome, Plugin, SCORERS, Scores, Verdict};
use super::node::NodeInfo;
use super::plugins::{self, Filter, Prepared, Rejection};
use super::pod::PodInfo;
use super::preemption;
use super::snapshot::{NodeIndex, Snapshot};

/// Below this many nodes all are looked at; above, the search stops when enough fit.
const MIN_FEASIBLE_NODES: usize = 100;
const MIN_FEASIBLE_PERCENT: usize = 5;

/// Decides where a Pod goes. The same Pod and snapshot always give the same decision.
pub fn schedule(pod: &PodInfo, snapshot: &Snapshot) -> Decision {
    let mut decision = Decision {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        outcome: Outcome::Unschedulable,
        nodes: Vec::new(),
        node_count: snapshot.nodes().len(),
        refused: None,
        preemption: None,
    };
    if !pod.gates.is_empty() {
        decision.outcome = Outcome::Gated;
        return decision;
    }
    let feasible = match Filters::prepare(pod, snapshot) {
        Ok(filters) => find_feasible(pod, snapshot, &filters, &mut decision),
        Err(refused) => {
            decision.refused = Some(refused);
            Vec::new()
        }
    };
    if feasible.is_empty() {
        if decision.node_count > 0 {
            decision.preemption = Some(preemption::find(pod, snapshot, &decision));
        }
        return decision;
    }
    let scores = score(pod, snapshot, &feasible);
    decision.outcome = Outcome::Chosen { node: snapshot.node(best(pod, &feasible, &scores)).name.clone() };
    let mut scores = scores.iter();
    for node in &mut decision.nodes {
        if let Verdict::Fits { scores: kept, total } = &mut node.verdict
            && let Some(given) = scores.next()
        {
            (*kept, *total) = (*given, given.total());
        }
    }
    decision
}

/// The filters that have something to say about a Pod, ready to be asked.
pub(super) struct Filters<'a>(Vec<(Plugin, Box<dyn Filter + 'a>)>);

impl<'a> Filters<'a> {
    /// Makes the filters ready, or says which one refuses all nodes at once.
    pub(super) fn prepare(pod: &'a PodInfo, snapshot: &'a Snapshot) -> Result<Self, (Plugin, super::decision::Reason)> {
        let mut filters = Vec::with_capacity(plugins::FILTERS.len());
        for (plugin, prepare) in plugins::FILTERS {
            match prepare(pod, snapshot) {
                Prepared::Skip => {}
                Prepared::Ready(filter) => filters.push((plugin, filter)),
                Prepared::Refuse(reason) => return Err((plugin, reason)),
            }
        }
        Ok(Filters(filters))
    }

    /// The first filter's rejection, if one has one.
    pub(super) fn check(&self, index: NodeIndex, node: &NodeInfo) -> Result<(), (Plugin, Rejection)> {
        for (plugin, filter) in &self.0 {
            filter.check(index, node).map_err(|rejection| (*plugin, rejection))?;
        }
        Ok(())
    }
}

fn find_feasible(pod: &PodInfo, snapshot: &Snapshot, filters: &Filters<'_>, decision: &mut Decision) -> Vec<NodeIndex> {
    let count = decision.node_count;
    let enough = feasible_nodes_to_find(count);
    let start = if enough < count { spread_by(&pod.uid) % count } else { 0 };
    let mut feasible = Vec::with_capacity(enough);
    let nodes = snapshot.nodes().skip(start).chain(snapshot.nodes().take(start));
    decision.nodes.reserve(enough);
    for (index, node) in nodes {
        let verdict = match filters.check(index, node) {
            Ok(()) => {
                feasible.push(index);
                Verdict::Fits { scores: Scores::default(), total: 0 }
            }
            Err((by, rejection)) => {
                Verdict::Rejected { by, reasons: rejection.reasons, preemptable: rejection.preemptable }
            }
        };
        decision.nodes.push(NodeVerdict { node: Arc::clone(&node.name), verdict });
        if feasible.len() == enough {
            break;
        }
    }
    feasible
}

/// How many fitting nodes end the search: all of a small cluster, down to 5 % of a huge one.
fn feasible_nodes_to_find(count: usize) -> usize {
    if count < MIN_FEASIBLE_NODES {
        return count;
    }
    let percent = 50_usize.saturating_sub(count / 125).max(MIN_FEASIBLE_PERCENT);
    (count * percent / 100).max(MIN_FEASIBLE_NODES)
}

fn score(pod: &PodInfo, snapshot: &Snapshot, feasible: &[NodeIndex]) -> Vec<Scores> {
    let mut all = vec![Scores::default(); feasible.len()];
    if feasible.len() == 1 {
        return all;
    }
    let mut column = Vec::with_capacity(feasible.len());
    for (at, (prepare, (_, weight))) in plugins::SCORERS.iter().zip(SCORERS).enumerate() {
        let Prepared::Ready(scorer) = prepare(pod, snapshot, feasible) else { continue };
        column.clear();
        column.extend(feasible.iter().map(|index| scorer.score(*index, snapshot.node(*index))));
        scorer.normalize(&mut column, feasible);
        for (scores, score) in all.iter_mut().zip(&column) {
            scores.0[at] = score * weight;
        }
    }
    all
}

/// The node with the highest total; among equals the Pod's uid decides, so that Pods spread and the
/// same question gets the same answer.
fn best(pod: &PodInfo, feasible: &[NodeIndex], scores: &[Scores]) -> NodeIndex {
    let highest = scores.iter().map(Scores::total).max().unwrap_or(0);
    let equals = feasible.iter().zip(scores).filter(|(_, scores)| scores.total() == highest).map(|(index, _)| *index);
    let equals: Vec<NodeIndex> = equals.collect();
    equals[spread_by(&pod.uid) % equals.len()]
}

/// FNV-1a: an even spread of uids over numbers.
fn spread_by(uid: &str) -> usize {
    let hash = uid
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::super::plugins::testing::{choice, cluster, node, pod};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_closed_gate_stops_everything() {
        let gated = pod("p", json!({"spec": {"schedulingGates": [{"name": "wait"}]}}));
        let decision = schedule(&gated, &cluster(&[node("a", json!({}), json!({}))], &[]));
        assert_eq!(decision.outcome, Outcome::Gated);
        assert!(decision.nodes.is_empty());
    }

    #[test]
    fn an_empty_cluster_has_its_own_message() {
        assert_eq!(choice(&pod("p", json!({})), &Snapshot::default()), "no nodes available to schedule pods");
    }

    #[test]
    fn every_filter_is_named_in_one_message() {
        let full = json!({"status": {"allocatable": {"cpu": "0"}}});
        let nodes = [
            node("a", json!({}), json!({"spec": {"unschedulable": true}})),
            node("b", json!({}), json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}})),
            node("c", json!({}), full),
        ];
        let pod = pod("p", json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}}]}}));
        assert_eq!(
            choice(&pod, &cluster(&nodes, &[])),
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), \
             1 node(s) were unschedulable. preemption: 0/3 nodes are available: \
             3 Preemption is not helpful for scheduling."
        );
    }

    #[test]
    fn a_large_cluster_is_not_searched_to_its_end() {
        for (nodes, enough) in [(3, 3), (99, 99), (100, 100), (1000, 420), (5000, 500), (15000, 750)] {
            assert_eq!(feasible_nodes_to_find(nodes), enough, "{nodes}");
        }
    }

    #[test]
    fn the_record_serialises_for_the_page() {
        let nodes = [node("a", json!({}), json!({})), node("b", json!({}), json!({"spec": {"unschedulable": true}}))];
        let decision = serde_json::to_value(schedule(&pod("p", json!({})), &cluster(&nodes, &[]))).unwrap();
        assert_eq!(decision["outcome"], "Chosen");
        assert_eq!(decision["node"], "a");
        assert_eq!(decision["nodes"][0]["verdict"], "Fits");
        assert_eq!(decision["nodes"][1]["by"], "NodeUnschedulable");
    }
}
