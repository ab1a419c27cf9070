//! PodTopologySpread: matching Pods are spread evenly over zones, hosts, or any other label.
//!
//! DoNotSchedule refuses a node that would make the fullest domain exceed the emptiest by more than
//! `maxSkew`; ScheduleAnyway only ranks. A Pod that brings no constraints is ranked by the defaults: away
//! from the Pods of its own workload, over hosts and zones. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::borrow::Cow;

use super::{Filter, MAX_SCORE, Prepared, PreparedFilter, PreparedScorer, Rejection, Scorer};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::{PodInfo, Spread};
use crate::scheduler::snapshot::{Group, NodeIndex, Snapshot};
use crate::scheduler::topology::Topology;

struct Hard<'a>(Vec<Domains<'a>>);

/// One DoNotSchedule constraint with the matching Pods counted by domain.
struct Domains<'a> {
    spread: &'a Spread,
    topology: &'a Topology,
    /// By domain; `None` where the constraint has no node to count.
    counts: Vec<Option<i64>>,
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
    let topologies: Vec<&Topology> = hard.iter().map(|spread| snapshot.topology(&spread.topology_key)).collect();
    let whole = |index: NodeIndex| topologies.iter().all(|topology| topology.domain(index).is_some());
    let domains = hard.iter().zip(&topologies).map(|(spread, topology)| {
        let mut counts = vec![None; topology.bound()];
        if hard.len() == 1 && counts_everywhere(spread, pod) {
            topology.domains().for_each(|domain| counts[domain] = Some(0));
        } else {
            for (index, node) in snapshot.nodes() {
                if let Some(domain) = topology.domain(index).filter(|_| whole(index) && counted(spread, pod, node)) {
                    counts[domain] = Some(0);
                }
            }
        }
        each_matching(spread, pod, snapshot, |index, count| {
            if let Some(Some(sum)) = topology.domain(index).map(|domain| &mut counts[domain]) {
                *sum += count;
            }
        });
        let eligible = || counts.iter().flatten().copied();
        let least = if eligible().count() < spread.min_domains { 0 } else { eligible().min().unwrap_or(0) };
        Domains { spread, topology, counts, least, own: spread.selector.matches(&pod.labels).into() }
    });
    Prepared::Ready(Box::new(Hard(domains.collect())))
}

impl Filter for Hard<'_> {
    fn check(&self, index: NodeIndex, _node: &NodeInfo) -> Result<(), Rejection> {
        for domains in &self.0 {
            let Some(domain) = domains.topology.domain(index) else {
                return Err(Rejection::lasting(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                ));
            };
            let here = domains.counts[domain].unwrap_or(0);
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

/// True when the constraint's policies leave no node out.
fn counts_everywhere(spread: &Spread, pod: &PodInfo) -> bool {
    !spread.honor_taints && (!spread.honor_affinity || pod.selects_all())
}

/// The matching Pods on nodes that count: a node's place, and how many it has.
fn each_matching(spread: &Spread, pod: &PodInfo, snapshot: &Snapshot, mut visit: impl FnMut(NodeIndex, i64)) {
    let everywhere = counts_everywhere(spread, pod);
    for group in snapshot.groups().filter(|group| speaks_of(spread, pod, group)) {
        for (index, count) in &group.counts {
            if everywhere || counted(spread, pod, snapshot.node(*index)) {
                visit(*index, *count as i64);
            }
        }
    }
}

struct Soft<'a> {
    constraints: Vec<Ranked<'a>>,
    /// The Pod's own constraints rank only nodes that have all their labels; the defaults rank any.
    needs_all_labels: bool,
}

/// One ScheduleAnyway constraint: matching Pods, and how much one of them counts.
struct Ranked<'a> {
    spread: Cow<'a, Spread>,
    topology: &'a Topology,
    matching: Matching<'a>,
    weight: f64,
}

/// The Pods that a constraint speaks of.
enum Matching<'a> {
    /// Every node is a domain: its Pods are counted when it is asked about.
    ByNode(Vec<&'a Group>),
    /// By domain; `None` where no node is ranked.
    ByDomain(Vec<Option<i64>>),
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
    let topologies: Vec<&Topology> = soft.iter().map(|spread| snapshot.topology(&spread.topology_key)).collect();
    let whole = |index: NodeIndex| topologies.iter().all(|topology| topology.domain(index).is_some());
    let ranked = |index: NodeIndex| !needs_all_labels || whole(index);
    let nodes: Vec<NodeIndex> = nodes.iter().copied().filter(|index| ranked(*index)).collect();
    let count = |(spread, topology): (&Cow<'_, Spread>, &&Topology)| {
        if spread.topology_key == HOSTNAME {
            let groups = snapshot.groups().filter(|group| speaks_of(spread, pod, group));
            return (Matching::ByNode(groups.collect()), nodes.len());
        }
        // To the defaults, nodes without the label are one more domain: that of the empty value.
        let empty = topology.find("");
        let domain = |index: NodeIndex| topology.domain(index).or(empty);
        let mut counts = vec![None; topology.bound()];
        nodes.iter().filter_map(|index| domain(*index)).for_each(|domain| counts[domain] = Some(0));
        let unlabelled = nodes.iter().any(|index| domain(*index).is_none());
        let domains = counts.iter().flatten().count() + usize::from(unlabelled);
        each_matching(spread, pod, snapshot, |index, count| {
            if ranked(index)
                && let Some(Some(sum)) = domain(index).map(|domain| &mut counts[domain])
            {
                *sum += count;
            }
        });
        (Matching::ByDomain(counts), domains)
    };
    let counts: Vec<_> = soft.iter().zip(&topologies).map(count).collect();
    let constraints = soft.into_iter().zip(topologies).zip(counts);
    let constraints = constraints.map(|((spread, topology), (matching, domains))| {
        // More domains spread a Pod thinner, so a difference between them weighs more.
        Ranked { spread, topology, matching, weight: ((domains + 2) as f64).ln() }
    });
    Prepared::Ready(Box::new(Soft { constraints: constraints.collect(), needs_all_labels }))
}

impl Soft<'_> {
    fn is_ranked(&self, index: NodeIndex) -> bool {
        let has = |ranked: &Ranked<'_>| ranked.topology.domain(index).is_some();
        !self.needs_all_labels || self.constraints.iter().all(has)
    }
}

impl Scorer for Soft<'_> {
    fn score(&self, index: NodeIndex, _node: &NodeInfo) -> i64 {
        if !self.is_ranked(index) {
            return 0;
        }
        let cost = self.constraints.iter().filter_map(|ranked| {
            let domain = ranked.topology.domain(index)?;
            let count = match &ranked.matching {
                Matching::ByNode(groups) => {
                    groups.iter().filter_map(|group| group.counts.get(&index)).sum::<usize>() as f64
                }
                Matching::ByDomain(counts) => counts[domain].unwrap_or(0) as f64,
            };
            Some(count * ranked.weight + (ranked.spread.max_skew - 1) as f64)
        });
        cost.sum::<f64>().round() as i64
    }

    fn normalize(&self, scores: &mut [i64], nodes: &[NodeIndex]) {
        let known = || scores.iter().zip(nodes).filter(|(_, index)| self.is_ranked(**index)).map(|(score, _)| *score);
        let (min, max) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
        for (score, index) in scores.iter_mut().zip(nodes) {
            *score = match (self.is_ranked(*index), max) {
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
