//! InterPodAffinity: near these Pods, away from those.
//!
//! "Near" is a topology domain: nodes with an equal value of the term's label. Anti-affinity works both
//! ways: a Pod that is already there can refuse the newcomer. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::HashMap;

use super::{Filter, MAX_SCORE, Prepared, PreparedFilter, PreparedScorer, Rejection, Scorer};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::{AffinityTerm, PodInfo};
use crate::scheduler::snapshot::{Group, NodeIndex, Snapshot};

/// How strongly the required affinity of a Pod that is there draws others; kube-scheduler's default.
const HARD_POD_AFFINITY_WEIGHT: i64 = 1;

/// Pods by topology key and domain.
type Domains<'a> = HashMap<(&'a str, &'a str), i64>;

struct Required<'a> {
    pod: &'a PodInfo,
    affinity: Domains<'a>,
    anti_affinity: Domains<'a>,
    existing_anti_affinity: Domains<'a>,
    /// The Pod would be its own first neighbour, and has none yet.
    first_of_its_kind: bool,
}

/// Nothing to say when neither this Pod nor any that is there has a required term.
pub fn filter<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    let mine = &pod.affinity;
    let space = snapshot.namespace_labels(&pod.namespace);
    let (mut affinity, mut anti_affinity, mut existing) = (Domains::new(), Domains::new(), Domains::new());
    let mut others_refuse = false;
    for group in snapshot.groups() {
        let here = snapshot.namespace_labels(&group.namespace);
        let speaks_of = |term: &AffinityTerm| term.matches(&group.namespace, here, &group.labels);
        if !mine.required.is_empty() && mine.required.iter().all(speaks_of) {
            mine.required.iter().for_each(|term| add(&mut affinity, snapshot, group, &term.topology_key, 1));
        }
        for term in mine.anti_required.iter().filter(|term| speaks_of(term)) {
            add(&mut anti_affinity, snapshot, group, &term.topology_key, 1);
        }
        for term in &group.affinity.anti_required {
            if term.matches(&pod.namespace, space, &pod.labels) {
                others_refuse = true;
                add(&mut existing, snapshot, group, &term.topology_key, 1);
            }
        }
    }
    if mine.required.is_empty() && mine.anti_required.is_empty() && !others_refuse {
        return Prepared::Skip;
    }
    let matches_itself = mine.required.iter().all(|term| term.matches(&pod.namespace, space, &pod.labels));
    let first_of_its_kind = affinity.is_empty() && matches_itself;
    let required = Required { pod, affinity, anti_affinity, existing_anti_affinity: existing, first_of_its_kind };
    Prepared::Ready(Box::new(required))
}

/// Adds `weight` for each of the group's Pods to the domain of its node.
fn add<'a>(domains: &mut Domains<'a>, snapshot: &'a Snapshot, group: &'a Group, key: &'a str, weight: i64) {
    for (index, count) in &group.counts {
        if let Some(domain) = snapshot.node(*index).labels.get(key) {
            *domains.entry((key, domain)).or_insert(0) += weight * *count as i64;
        }
    }
}

/// How many the node's domain of this key has.
fn near(domains: &Domains<'_>, key: &str, node: &NodeInfo) -> i64 {
    let domain = node.labels.get(key).map(String::as_str);
    domain.and_then(|domain| domains.get(&(key, domain))).copied().unwrap_or(0)
}

impl Filter for Required<'_> {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        let wanted = &self.pod.affinity.required;
        let labelled = wanted.iter().all(|term| node.labels.contains_key(&term.topology_key));
        let satisfied = wanted.iter().all(|term| near(&self.affinity, &term.topology_key, node) > 0);
        if !labelled || !(satisfied || self.first_of_its_kind) {
            return Err(Rejection::lasting("node(s) didn't match pod affinity rules"));
        }
        let mut unwanted = self.pod.affinity.anti_required.iter();
        if unwanted.any(|term| near(&self.anti_affinity, &term.topology_key, node) > 0) {
            return Err(Rejection::preemptable("node(s) didn't match pod anti-affinity rules"));
        }
        let refused = |(key, domain): &(&str, &str)| node.labels.get(*key).is_some_and(|value| value == domain);
        if self.existing_anti_affinity.keys().any(refused) {
            return Err(Rejection::preemptable("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

struct Preferred<'a>(Domains<'a>);

/// Nothing to say when no term, of this Pod or of those that are there, adds anything.
pub fn scorer<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot, _nodes: &[NodeIndex]) -> PreparedScorer<'a> {
    let mine = &pod.affinity;
    let space = snapshot.namespace_labels(&pod.namespace);
    let mut domains = Domains::new();
    for group in snapshot.groups() {
        let here = snapshot.namespace_labels(&group.namespace);
        let theirs = &group.affinity;
        let own_terms = mine.preferred.iter().map(|(weight, term)| (i64::from(*weight), term));
        let own_terms = own_terms.chain(mine.anti_preferred.iter().map(|(weight, term)| (-i64::from(*weight), term)));
        for (weight, term) in own_terms {
            if term.matches(&group.namespace, here, &group.labels) {
                add(&mut domains, snapshot, group, &term.topology_key, weight);
            }
        }
        let their_terms = theirs.required.iter().map(|term| (HARD_POD_AFFINITY_WEIGHT, term));
        let their_terms = their_terms.chain(theirs.preferred.iter().map(|(weight, term)| (i64::from(*weight), term)));
        let against = theirs.anti_preferred.iter().map(|(weight, term)| (-i64::from(*weight), term));
        for (weight, term) in their_terms.chain(against) {
            if term.matches(&pod.namespace, space, &pod.labels) {
                add(&mut domains, snapshot, group, &term.topology_key, weight);
            }
        }
    }
    if domains.is_empty() { Prepared::Skip } else { Prepared::Ready(Box::new(Preferred(domains))) }
}

impl Scorer for Preferred<'_> {
    fn score(&self, _index: NodeIndex, node: &NodeInfo) -> i64 {
        let near = |(key, domain): &(&str, &str)| node.labels.get(*key).is_some_and(|value| value == domain);
        self.0.iter().filter(|(domain, _)| near(domain)).map(|(_, weight)| weight).sum()
    }

    fn normalize(&self, scores: &mut [i64], _nodes: &[NodeIndex]) {
        let (min, max) = (scores.iter().min().copied(), scores.iter().max().copied());
        let (min, spread) = (min.unwrap_or(0), max.unwrap_or(0) - min.unwrap_or(0));
        for score in scores {
            *score = if spread == 0 { 0 } else { MAX_SCORE * (*score - min) / spread };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, choice, cluster, node, pod};
    use serde_json::{Value, json};

    fn term(app: &str) -> Value {
        json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "host"})
    }

    fn affinity(kind: &str, app: &str) -> Value {
        json!({"spec": {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term(app)]}}}})
    }

    #[test]
    fn near_and_away_both_ways() {
        let nodes = [node("a", json!({"host": "a"}), json!({})), node("b", json!({"host": "b"}), json!({}))];
        let plain = cluster(&nodes, &[(pod("db", json!({})), "a")]);
        let away = "node(s) didn't match pod anti-affinity rules";
        let near = "node(s) didn't match pod affinity rules";
        assert_eq!(answers(&pod("p", affinity("podAntiAffinity", "db")), &plain), [away, "fits"]);
        assert_eq!(answers(&pod("p", affinity("podAffinity", "db")), &plain), ["fits", near]);
        assert_eq!(answers(&pod("p", affinity("podAffinity", "p")), &plain), ["fits", "fits"]);
        assert_eq!(answers(&pod("p", affinity("podAffinity", "other")), &plain), [near, near]);
        let jealous = cluster(&nodes, &[(pod("db", affinity("podAntiAffinity", "p")), "a")]);
        let existing = "node(s) didn't satisfy existing pods anti-affinity rules";
        assert_eq!(answers(&pod("p", json!({})), &jealous), [existing, "fits"]);
    }

    #[test]
    fn preferred_terms_rank() {
        let nodes = [node("a", json!({"host": "a"}), json!({})), node("b", json!({"host": "b"}), json!({}))];
        let cluster = cluster(&nodes, &[(pod("db", json!({})), "b")]);
        let wish = |kind: &str| {
            json!({"spec": {"affinity": {kind: {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term("db")}]}}}})
        };
        assert_eq!(choice(&pod("p", wish("podAffinity")), &cluster), "b");
        assert_eq!(choice(&pod("p", wish("podAntiAffinity")), &cluster), "a");
    }
}
