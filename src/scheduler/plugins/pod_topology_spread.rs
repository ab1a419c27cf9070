//! PodTopologySpread: matching Pods are spread evenly over zones, hosts, or any other label.
//!
//! DoNotSchedule refuses a node that would make the fullest domain exceed the emptiest by more than
//! `maxSkew`; ScheduleAnyway only ranks. A Pod that brings no constraints is ranked by the defaults: away
//! from the Pods of its own workload, over hosts and zones. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Filter, MAX_SCORE, Prepared, PreparedFilter, PreparedScorer, Rejection, Scorer};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::{PodInfo, Spread};
use crate::scheduler::snapshot::{Group, NodeIndex, Snapshot};

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

fn speaks_of(spread: &Spread, pod: &PodInfo, group: &Group) -> bool {
    group.namespace == pod.namespace && !group.terminating && spread.selector.matches(&group.labels)
}

fn each_matching<'a>(spread: &Spread, pod: &PodInfo, snapshot: &'a Snapshot, mut visit: impl FnMut(&'a NodeInfo, i64)) {
    for group in snapshot.groups() {
        if speaks_of(spread, pod, group) {
            for (index, count) in &group.counts {
                visit(snapshot.node(*index), *count as i64);
            }
        }
    }
}

struct Soft<'a> {
    snapshot: &'a Snapshot,
    constraints: Vec<Ranked<'a>>,
    /// The Pod's own constraints rank only nodes that have all their labels; the defaults rank any.
    needs_all_labels: bool,
}

/// One ScheduleAnyway constraint: matching Pods, and how much one of them counts.
struct Ranked<'a> {
    spread: Cow<'a, Spread>,
    matching: Matching<'a>,
    weight: f64,
}

/// The Pods that a constraint speaks of.
enum Matching<'a> {
    /// Every node is a domain: its Pods are counted when it is asked about.
    ByNode(Vec<&'a Group>),
    ByDomain(HashMap<&'a str, i64>),
}

/// What a Pod without constraints is spread by. Source: Kubernetes document "Pod Topology Spread
/// Constraints", built-in default constraints.
const DEFAULTS: [(&str, i64); 2] = [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)];
const HOSTNAME: &str = "kubernetes.io/hostname";

/// The ScheduleAnyway constraints of a Pod; of one that has no constraints at all, the defaults.
fn soft<'a>(pod: &'a PodInfo, snapshot: &Snapshot) -> Vec<Cow<'a, Spread>> {
    if !pod.spread.is_empty() {
        return pod.spread.iter().filter(|spread| !spread.required).map(Cow::Borrowed).collect();
    }
    let Some(selector) = snapshot.workloads.selector(pod) else { return Vec::new() };
    let default = |(key, max_skew): (&str, i64)| Cow::Owned(Spread::preferred(key, max_skew, selector.clone()));
    DEFAULTS.map(default).into()
}

/// Nothing to say for a Pod without ScheduleAnyway constraints.
pub fn scorer<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot, nodes: &[NodeIndex]) -> PreparedScorer<'a> {
    let soft = soft(pod, snapshot);
    if soft.is_empty() {
        return Prepared::Skip;
    }
    let needs_all_labels = !pod.spread.is_empty();
    let whole = |node: &NodeInfo| soft.iter().all(|spread| node.labels.contains_key(&spread.topology_key));
    let ranked = |node: &NodeInfo| !needs_all_labels || whole(node);
    let nodes: Vec<&NodeInfo> = nodes.iter().map(|index| snapshot.node(*index)).filter(|node| ranked(node)).collect();
    let count = |spread: &Spread| {
        if spread.topology_key == HOSTNAME {
            let groups = snapshot.groups().filter(|group| speaks_of(spread, pod, group));
            return (Matching::ByNode(groups.collect()), nodes.len());
        }
        let domain = |node: &'a NodeInfo| node.labels.get(&spread.topology_key).map_or("", String::as_str);
        let mut counts: HashMap<&str, i64> = nodes.iter().map(|node| (domain(node), 0)).collect();
        each_matching(spread, pod, snapshot, |node, count| {
            if ranked(node)
                && counted(spread, pod, node)
                && let Some(sum) = counts.get_mut(domain(node))
            {
                *sum += count;
            }
        });
        let domains = counts.len();
        (Matching::ByDomain(counts), domains)
    };
    let counts: Vec<_> = soft.iter().map(|spread| count(spread)).collect();
    let constraints = soft.into_iter().zip(counts).map(|(spread, (matching, domains))| {
        // More domains spread a Pod thinner, so a difference between them weighs more.
        Ranked { spread, matching, weight: ((domains + 2) as f64).ln() }
    });
    Prepared::Ready(Box::new(Soft { snapshot, constraints: constraints.collect(), needs_all_labels }))
}

impl Soft<'_> {
    fn is_ranked(&self, node: &NodeInfo) -> bool {
        let has = |ranked: &Ranked<'_>| node.labels.contains_key(&ranked.spread.topology_key);
        !self.needs_all_labels || self.constraints.iter().all(has)
    }
}

impl Scorer for Soft<'_> {
    fn score(&self, index: NodeIndex, node: &NodeInfo) -> i64 {
        if !self.is_ranked(node) {
            return 0;
        }
        let cost = self.constraints.iter().filter_map(|ranked| {
            let domain = node.labels.get(&ranked.spread.topology_key)?;
            let count = match &ranked.matching {
                Matching::ByNode(groups) => {
                    groups.iter().filter_map(|group| group.counts.get(&index)).sum::<usize>() as f64
                }
                Matching::ByDomain(counts) => counts.get(domain.as_str()).copied().unwrap_or(0) as f64,
            };
            Some(count * ranked.weight + (ranked.spread.max_skew - 1) as f64)
        });
        cost.sum::<f64>().round() as i64
    }

    fn normalize(&self, scores: &mut [i64], nodes: &[NodeIndex]) {
        let ranked = |index: &NodeIndex| self.is_ranked(self.snapshot.node(*index));
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
    use std::sync::Arc;

    use super::super::testing::{answers, choice, cluster, node, pod};
    use crate::client::ObjectKey;
    use crate::scheduler::pod::PodInfo;
    use crate::scheduler::schedule::schedule;
    use crate::scheduler::workloads::{Kind, ServiceView, Workload};
    use crate::scheduler::{Decision, Plugin, Verdict};
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

    /// What this plugin gave each node, before its weight.
    fn given(decision: &Decision) -> Vec<i64> {
        let score = |verdict: &Verdict| match verdict {
            Verdict::Fits { scores, .. } => scores.of(Plugin::PodTopologySpread) / 2,
            Verdict::Rejected { .. } => -1,
        };
        decision.nodes.iter().map(|node| score(&node.verdict)).collect()
    }

    fn web(name: &str, extra: Value) -> Arc<PodInfo> {
        let mut web = json!({"metadata": {"uid": name, "labels": {"app": "web"}}});
        json_patch::merge(&mut web, &extra);
        pod(name, web)
    }

    #[test]
    fn a_pod_without_constraints_goes_where_its_like_are_fewest() {
        let place =
            |host: &str, zone: &str| json!({"kubernetes.io/hostname": host, "topology.kubernetes.io/zone": zone});
        let zones = [
            node("a", place("a", "x"), json!({})),
            node("b", place("b", "x"), json!({})),
            node("c", place("c", "y"), json!({})),
        ];
        let bare = ["a", "b", "c"].map(|name| node(name, json!({"kubernetes.io/hostname": name}), json!({})));
        let own = json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack",
            "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "web"}}}]}});
        let far = json!({"metadata": {"namespace": "far"}});
        for (nodes, there, asks, expected) in [
            (&zones, vec![], web("p", json!({})), [100, 100, 100]),
            // a: ln 5 + 2 + ln 4 + 4 = 9; b: 2 + ln 4 + 4 = 7; c: 2 + 4 = 6.
            (&zones, vec!["a"], web("p", json!({})), [66, 88, 100]),
            // a and b: ln 5 + 2 + 2 ln 4 + 4 = 10; c: 2 + 4 = 6.
            (&zones, vec!["a", "b"], web("p", json!({})), [60, 60, 100]),
            // Without zones only the host counts; b: ln 5 + 2 = 4; a and c: 2.
            (&bare, vec!["b"], web("p", json!({})), [100, 50, 100]),
            (&zones, vec!["a"], pod("other", json!({})), [0, 0, 0]),
            (&zones, vec!["a"], web("p", far), [0, 0, 0]),
            (&zones, vec!["a"], web("p", own), [0, 0, 0]),
        ] {
            let there: Vec<_> = there.iter().map(|node| (web(&format!("on-{node}"), json!({})), *node)).collect();
            let mut cluster = cluster(nodes, &there);
            let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}});
            let service: ServiceView = serde_json::from_value(service).unwrap();
            cluster.workloads.set(Kind::Service, ObjectKey::new("default", "web"), Some(service.selector()));
            assert_eq!(given(&schedule(&asks, &cluster)), expected, "{there:?}");
        }
    }
}
