//! DefaultPreemption: which less important Pods would have to go so that this one fits.
//!
//! In: a Pod that fits nowhere, the snapshot, and why each node refused. Out: the node where the least
//! is lost, and the victims there; the loop evicts them and writes `nominatedNodeName`.
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::decision::{Decision, Preemption, Reason, Verdict, Victim};
use super::pod::PodInfo;
use super::schedule::Filters;
use super::snapshot::{NodeIndex, Snapshot};

const NOT_HELPFUL: Reason = Reason::Borrowed("Preemption is not helpful for scheduling");
const NO_VICTIMS: Reason = Reason::Borrowed("No preemption victims found for incoming pod");

/// At least this many candidate nodes are compared, or a tenth of all.
const MIN_CANDIDATES: usize = 100;
const CANDIDATES_PERCENT: usize = 10;

/// Finds where evicting helps most cheaply.
pub fn find(pod: &PodInfo, snapshot: &Snapshot, decision: &Decision) -> Preemption {
    if pod.never_preempts {
        let reason = Reason::Borrowed("not eligible due to preemptionPolicy=Never.");
        return Preemption { not_eligible: Some(reason), ..Preemption::default() };
    }
    if waits_for_victims(pod, snapshot) {
        let reason = Reason::Borrowed("not eligible due to a terminating pod on the nominated node.");
        return Preemption { not_eligible: Some(reason), ..Preemption::default() };
    }
    let mut reasons = BTreeMap::new();
    if decision.refused.is_some() {
        reasons.insert(NOT_HELPFUL, decision.node_count);
        return Preemption { reasons, ..Preemption::default() };
    }
    let enough = (decision.node_count * CANDIDATES_PERCENT / 100).max(MIN_CANDIDATES);
    // The trial removes Pods and puts them back; it needs a cluster of its own, made when first needed.
    let mut trial: Option<Snapshot> = None;
    let mut candidates = Vec::new();
    for node in &decision.nodes {
        let Verdict::Rejected { preemptable, .. } = node.verdict else { continue };
        if !preemptable {
            *reasons.entry(NOT_HELPFUL).or_insert(0) += 1;
            continue;
        }
        let victims = snapshot
            .find(&node.node)
            .filter(|index| snapshot.node(*index).pods.iter().any(|other| other.priority < pod.priority))
            .and_then(|index| victims_on(pod, trial.get_or_insert_with(|| snapshot.clone()), index));
        match victims {
            Some(victims) => candidates.push((node.node.clone(), victims)),
            None => *reasons.entry(NO_VICTIMS).or_insert(0) += 1,
        }
        if candidates.len() == enough {
            break;
        }
    }
    match candidates.into_iter().min_by_key(|(_, victims)| cost(victims)) {
        Some((node, victims)) => {
            let victims = victims.pods.iter().map(|pod| Victim {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                uid: pod.uid.clone(),
            });
            Preemption { node: Some(node), victims: victims.collect(), ..Preemption::default() }
        }
        None => Preemption { reasons, ..Preemption::default() },
    }
}

/// A Pod that others were evicted for waits until they are gone before it evicts more.
fn waits_for_victims(pod: &PodInfo, snapshot: &Snapshot) -> bool {
    let nominated = pod.nominated_node.as_deref().and_then(|name| snapshot.find(name));
    let leaving = |other: &Arc<PodInfo>| other.terminating && other.priority < pod.priority;
    nominated.is_some_and(|index| snapshot.node(index).pods.iter().any(leaving))
}

/// Who would go on one node, least important first.
struct Victims {
    pods: Vec<Arc<PodInfo>>,
    broken_budgets: usize,
}

/// What is lost: broken budgets, then the most important victim, their sum, their number, and the
/// most recently started of the most important. Less is better.
fn cost(victims: &Victims) -> (usize, i32, i64, usize, Reverse<jiff::Timestamp>) {
    let highest = victims.pods.iter().map(|pod| pod.priority).max().unwrap_or(i32::MIN);
    // Shifted so that many unimportant Pods still weigh more than few of them.
    let sum = victims.pods.iter().map(|pod| i64::from(pod.priority) - i64::from(i32::MIN)).sum();
    let important = victims.pods.iter().filter(|pod| pod.priority == highest);
    let earliest = important.map(|pod| pod.started.unwrap_or(pod.created)).min().unwrap_or_default();
    (victims.broken_budgets, highest, sum, victims.pods.len(), Reverse(earliest))
}

/// Takes every less important Pod off the node; if the newcomer then fits, puts back as many as
/// possible, those protected by a budget and the most important first. Leaves `trial` as it was.
fn victims_on(pod: &PodInfo, trial: &mut Snapshot, index: NodeIndex) -> Option<Victims> {
    let name = trial.node(index).name.clone();
    let lower = trial.node(index).pods.iter().filter(|other| other.priority < pod.priority);
    let mut lower: Vec<Arc<PodInfo>> = lower.cloned().collect();
    lower.sort_by_key(|other| (Reverse(other.priority), other.started.unwrap_or(other.created)));
    for other in &lower {
        trial.remove_pod(&other.uid);
    }
    let protected = over_budget(&lower, trial);
    let mut victims = Victims { pods: Vec::new(), broken_budgets: 0 };
    let fits = fits(pod, trial, index);
    let (guarded, free): (Vec<_>, Vec<_>) = lower.iter().partition(|other| protected.contains_key(&other.uid));
    for (other, guarded) in guarded.iter().map(|it| (*it, true)).chain(free.iter().map(|it| (*it, false))) {
        trial.set_pod(other.clone(), &name);
        if fits && !self::fits(pod, trial, index) {
            trial.remove_pod(&other.uid);
            victims.pods.push(other.clone());
            victims.broken_budgets += usize::from(guarded);
        }
    }
    for other in &victims.pods {
        trial.set_pod(other.clone(), &name);
    }
    victims.pods.sort_by_key(|other| other.priority);
    (fits && !victims.pods.is_empty()).then_some(victims)
}

fn fits(pod: &PodInfo, trial: &Snapshot, index: NodeIndex) -> bool {
    Filters::prepare(pod, trial).is_ok_and(|filters| filters.check(index, trial.node(index)).is_ok())
}

/// The Pods whose eviction would break a disruption budget, counting the others before them.
fn over_budget(pods: &[Arc<PodInfo>], snapshot: &Snapshot) -> HashMap<Arc<str>, ()> {
    let mut left: HashMap<&str, i64> = HashMap::new();
    let mut protected = HashMap::new();
    for pod in pods {
        for budget in snapshot.budgets().filter(|budget| budget.covers(pod)) {
            let allowed = left.entry(&budget.key).or_insert(budget.allowed);
            *allowed -= 1;
            if *allowed < 0 {
                protected.insert(pod.uid.clone(), ());
            }
        }
    }
    protected
}

#[cfg(test)]
mod tests {
    use super::super::plugins::testing::{choice, cluster, node, pod};
    use super::super::schedule;
    use serde_json::{Value, json};

    fn asks(cpu: &str, priority: i32) -> Value {
        json!({"spec": {"priority": priority, "containers": [{"resources": {"requests": {"cpu": cpu}}}]}})
    }

    #[test]
    fn the_cheapest_victims_are_chosen() {
        let nodes = [node("a", json!({}), json!({})), node("b", json!({}), json!({}))];
        let pods =
            [(pod("high", asks("4", 50)), "a"), (pod("low", asks("3", 10)), "b"), (pod("small", asks("1", 5)), "b")];
        let cluster = cluster(&nodes, &pods);
        let decision = schedule(&pod("p", asks("1", 100)), &cluster);
        let preemption = decision.preemption.unwrap();
        assert_eq!(preemption.node.as_deref(), Some("b"));
        assert_eq!(preemption.victims.iter().map(|victim| &*victim.name).collect::<Vec<_>>(), ["small"]);
    }

    #[test]
    fn nobody_is_evicted_for_an_equal() {
        let cluster = cluster(&[node("a", json!({}), json!({}))], &[(pod("q", asks("4", 0)), "a")]);
        assert_eq!(
            choice(&pod("p", asks("1", 0)), &cluster),
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: \
             1 No preemption victims found for incoming pod."
        );
        let never = json!({"spec": {"priority": 9, "preemptionPolicy": "Never",
            "containers": [{"resources": {"requests": {"cpu": "1"}}}]}});
        assert!(
            choice(&pod("p", never), &cluster).ends_with("preemption: not eligible due to preemptionPolicy=Never.")
        );
    }
}
