//! PodTopologySpread: matching Pods are spread evenly over zones, hosts, or any other label.
//!
//! DoNotSchedule refuses a node that would make the fullest domain exceed the emptiest by more than
//! `maxSkew`; ScheduleAnyway only ranks. Chapter: "spreading".

use std::collections::HashMap;

use super::{Filter, MAX_SCORE, Prepared, PreparedFilter, PreparedScorer, Rejection, Scorer};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::{PodInfo, Spread};
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

struct Hard<'a>(Vec<Domains<'a>>);

/// One DoNotSchedule constraint with the matching Pods counted by domain.
struct Domains<'a> {
    spread: &'a Spread,
    counts: HashMap<&'a str, i64>,
    least: i64,
    /// 1 when the Pod itself matches.
    own: i64,
}

/// Nothing to say for a Pod without DoNotSchedule constraints.
pub fn filter<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    let hard: Vec<&Spread> = pod.spread.iter().filter(|spread| spread.required).collect();
    if hard.is_empty() {
        return Prepared::Skip;
    }
    let domains = hard.iter().map(|spread| {
        let mut counts: HashMap<&str, i64> = HashMap::new();
        for (_, node) in snapshot.nodes() {
            let whole = hard.iter().all(|other| node.labels.contains_key(&other.topology_key));
            if let Some(domain) = node.labels.get(&spread.topology_key).filter(|_| whole && counted(spread, pod, node))
            {
                counts.entry(domain).or_insert(0);
            }
        }
        each_matching(spread, pod, snapshot, |node, count| {
            if let Some(domain) = node.labels.get(&spread.topology_key).filter(|_| counted(spread, pod, node))
                && let Some(sum) = counts.get_mut(domain.as_str())
            {
                *sum += count;
            }
        });
        let least = if counts.len() < spread.min_domains { 0 } else { counts.values().copied().min().unwrap_or(0) };
        Domains { spread, counts, least, own: spread.selector.matches(&pod.labels).into() }
    });
    Prepared::Ready(Box::new(Hard(domains.collect())))
}

impl Filter for Hard<'_> {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        for domains in &self.0 {
            let Some(domain) = node.labels.get(&domains.spread.topology_key) else {
                return Err(Rejection::lasting(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                ));
            };
            let here = domains.counts.get(domain.as_str()).copied().unwrap_or(0);
            if here + domains.own - domains.least > domains.spread.max_skew {
                return Err(Rejection::preemptable("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }
}

/// Whether the constraint's policies let this node's Pods count.
fn counted(spread: &Spread, pod: &PodInfo, node: &NodeInfo) -> bool {
    let taints = || node.taints.iter().filter(|taint| taint.effect != "PreferNoSchedule");
    (!spread.honor_affinity || pod.selects(&node.name, &node.labels))
        && (!spread.honor_taints || taints().all(|taint| pod.tolerates(taint)))
}

fn each_matching<'a>(spread: &Spread, pod: &PodInfo, snapshot: &'a Snapshot, mut visit: impl FnMut(&'a NodeInfo, i64)) {
    for group in snapshot.groups() {
        if group.namespace == pod.namespace && !group.terminating && spread.selector.matches(&group.labels) {
            for (index, count) in &group.counts {
                visit(snapshot.node(*index), *count as i64);
            }
        }
    }
}

struct Soft<'a> {
    snapshot: &'a Snapshot,
    constraints: Vec<Ranked<'a>>,
}

/// One ScheduleAnyway constraint: matching Pods by domain, and how much a Pod there counts.
struct Ranked<'a> {
    spread: &'a Spread,
    counts: HashMap<&'a str, i64>,
    weight: f64,
}

/// Nothing to say for a Pod without ScheduleAnyway constraints.
pub fn scorer<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot, nodes: &[NodeIndex]) -> PreparedScorer<'a> {
    let soft: Vec<&Spread> = pod.spread.iter().filter(|spread| !spread.required).collect();
    if soft.is_empty() {
        return Prepared::Skip;
    }
    let constraints = soft.into_iter().map(|spread| {
        let mut counts: HashMap<&str, i64> = HashMap::new();
        for index in nodes {
            if let Some(domain) = snapshot.node(*index).labels.get(&spread.topology_key) {
                counts.insert(domain, 0);
            }
        }
        each_matching(spread, pod, snapshot, |node, count| {
            if let Some(domain) = node.labels.get(&spread.topology_key).filter(|_| counted(spread, pod, node))
                && let Some(sum) = counts.get_mut(domain.as_str())
            {
                *sum += count;
            }
        });
        // More domains spread a Pod thinner, so a difference between them weighs more.
        let weight = ((counts.len() + 2) as f64).ln();
        Ranked { spread, counts, weight }
    });
    Prepared::Ready(Box::new(Soft { snapshot, constraints: constraints.collect() }))
}

impl Soft<'_> {
    fn lacks_a_label(&self, node: &NodeInfo) -> bool {
        self.constraints.iter().any(|ranked| !node.labels.contains_key(&ranked.spread.topology_key))
    }
}

impl Scorer for Soft<'_> {
    fn score(&self, _index: NodeIndex, node: &NodeInfo) -> i64 {
        if self.lacks_a_label(node) {
            return 0;
        }
        let cost = self.constraints.iter().map(|ranked| {
            let domain = node.labels.get(&ranked.spread.topology_key).map_or("", String::as_str);
            let count = ranked.counts.get(domain).copied().unwrap_or(0);
            count as f64 * ranked.weight + (ranked.spread.max_skew - 1) as f64
        });
        cost.sum::<f64>().round() as i64
    }

    fn normalize(&self, scores: &mut [i64], nodes: &[NodeIndex]) {
        let ranked = |index: &NodeIndex| !self.lacks_a_label(self.snapshot.node(*index));
        let known = || scores.iter().zip(nodes).filter(|(_, index)| ranked(index)).map(|(score, _)| *score);
        let (min, max) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
        for (score, index) in scores.iter_mut().zip(nodes) {
            *score = match (ranked(index), max) {
                (false, _) => 0,
                (true, 0) => MAX_SCORE,
                (true, _) => MAX_SCORE * (max + min - *score) / max,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, choice, cluster, node, pod};
    use serde_json::{Value, json};

    fn spread(when: &str) -> Value {
        json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "p"}}}]}})
    }

    #[test]
    fn skew_refuses_or_ranks() {
        let zone = |zone: &str| json!({"zone": zone});
        let nodes = [node("a", zone("a"), json!({})), node("b", zone("b"), json!({})), node("c", json!({}), json!({}))];
        let there = json!({"metadata": {"uid": "q"}});
        let cluster = cluster(&nodes, &[(pod("p", there), "a")]);
        let refused = "node(s) didn't match pod topology spread constraints";
        let missing = "node(s) didn't match pod topology spread constraints (missing required label)";
        assert_eq!(answers(&pod("p", spread("DoNotSchedule")), &cluster), [refused, "fits", missing]);
        assert_eq!(choice(&pod("p", spread("ScheduleAnyway")), &cluster), "b");
    }
}
