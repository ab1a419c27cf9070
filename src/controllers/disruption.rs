//! PodDisruptionBudgets: how many Pods may be evicted right now.
//!
//! Comes in: budgets, Pods, and what gives the Pods their number. Goes out: the budget's `status`,
//! which the eviction subresource spends. An evicted Pod stays noted in `disruptedPods` until it is
//! seen to end, so that one healthy Pod is never spent twice. Source: kube-controller-manager,
//! pkg/controller/disruption. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use kube::core::Selector;

use super::deployment::resolve_up;
use super::owners;
use super::plan::{Action, Note, Plan, reference};
use super::runner::{Moment, Room};
use crate::client::views::PodView;
use crate::client::{Informer, ObjectKey};

/// How long an evicted Pod may take to start ending. Source: disruption.go, DeletionTimeout.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// Source: policy/v1, DisruptionAllowedCondition.
const ALLOWED: &str = "DisruptionAllowed";
const UNMANAGED: &str = "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the \
                         status of the PDB cannot be calculated correctly, which may result in undefined behavior. \
                         To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer \
                         value.";

/// Starts the loop.
pub fn start(room: Room) {
    let (budgets, pods) = (room.informer::<PodDisruptionBudget>(), room.informer::<PodView>());
    let scales = Scales {
        deployments: room.informer(),
        sets: room.informer(),
        stateful: room.informer(),
        controllers: room.informer(),
    };
    room.wake_self(&budgets);
    let known = budgets.clone();
    room.wake(&pods, move |pod| {
        let all = known.in_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
        let covering = all.iter().filter(|budget| covers(budget, pod));
        covering.map(|budget| ObjectKey::of(&budget.metadata)).collect()
    });
    room.run("disruption-controller", 1, move |key, moment| {
        let Some(budget) = budgets.get(key) else { return Plan::none() };
        let covered = pods.in_namespace(&key.namespace);
        let covered: Vec<_> = covered.into_iter().filter(|pod| covers(&budget, pod)).collect();
        reconcile(&budget, &covered, &|owner| scales.of(&key.namespace, owner), moment)
    });
}

/// No selector covers nothing, an empty one everything.
fn covers(budget: &PodDisruptionBudget, pod: &PodView) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    selector
        .and_then(|selector| Selector::try_from(selector).ok())
        .is_some_and(|selector| owners::matches(&selector, &pod.metadata))
}

/// What gives Pods their number.
struct Scales {
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    stateful: Informer<StatefulSet>,
    controllers: Informer<ReplicationController>,
}

impl Scales {
    /// The uid and the wanted Pods of a Pod's controller; of the Deployment above a ReplicaSet.
    fn of(&self, namespace: &str, owner: &OwnerReference) -> Option<(String, i32)> {
        let key = ObjectKey::new(namespace, owner.name.clone());
        let (meta, replicas) = match owner.kind.as_str() {
            "ReplicaSet" => {
                let set = self.sets.get(&key)?;
                if let Some(above) = owners::controller_of(&set.metadata).filter(|above| above.kind == "Deployment") {
                    return self.of(namespace, above);
                }
                (set.metadata.clone(), set.spec.replicas)
            }
            "Deployment" => {
                let deployment = self.deployments.get(&key)?;
                (deployment.metadata.clone(), deployment.spec.replicas)
            }
            "StatefulSet" => {
                let set = self.stateful.get(&key)?;
                (set.metadata.clone(), set.spec.replicas)
            }
            "ReplicationController" => {
                let controller = self.controllers.get(&key)?;
                (controller.metadata.clone(), controller.spec.as_ref().and_then(|spec| spec.replicas))
            }
            _ => return None,
        };
        let uid = meta.uid.filter(|uid| *uid == owner.uid)?;
        Some((uid, replicas.unwrap_or(1)))
    }
}

/// The uid and the wanted Pods of a controller.
type ScaleOf<'a> = &'a dyn Fn(&OwnerReference) -> Option<(String, i32)>;

/// What a budget needs done, given the Pods it covers.
pub fn reconcile(budget: &PodDisruptionBudget, pods: &[Arc<PodView>], scale_of: ScaleOf<'_>, moment: &Moment) -> Plan {
    let mut plan = Plan::none();
    let now = moment.now;
    if pods.is_empty() {
        plan.say(Note::normal(reference(budget), "NoPods", "No matching pods found"));
    }
    let mut status = budget.status.clone().unwrap_or_default();
    let mut condition = ("False", "InsufficientPods", String::new());
    match expected(budget, pods, scale_of, &mut plan) {
        Ok((expected, desired)) => {
            let disrupted = disrupted(budget, pods, now, &mut plan);
            let healthy = pods.iter().filter(|pod| {
                let leaving = pod.metadata.deletion_timestamp.is_some();
                !leaving && !disrupted.contains_key(name(pod)) && pod.is_ready()
            });
            let current = size(healthy.count());
            let allowed = if expected > 0 { (current - desired).max(0) } else { 0 };
            if allowed > 0 {
                condition = ("True", "SufficientPods", String::new());
            }
            status = PodDisruptionBudgetStatus {
                current_healthy: Some(current),
                desired_healthy: Some(desired),
                expected_pods: Some(expected),
                disruptions_allowed: Some(allowed),
                disrupted_pods: Some(disrupted).filter(|disrupted| !disrupted.is_empty()),
                observed_generation: budget.metadata.generation,
                ..status
            };
        }
        Err(why) => {
            let message = format!("Failed to calculate the number of expected pods: {why}");
            plan.say(Note::warning(reference(budget), "CalculateExpectedPodCountFailed", message));
            status.disruptions_allowed = Some(0);
            condition = ("False", "SyncFailed", why);
        }
    }
    note(&mut status, condition, now);
    if budget.status.as_ref() != Some(&status) {
        plan.act(Action::update_sub(&PodDisruptionBudget { status: Some(status), ..budget.clone() }, "status"));
    }
    plan
}

/// How many Pods there should be, and how many of them healthy.
fn expected(
    budget: &PodDisruptionBudget,
    pods: &[Arc<PodView>],
    scale_of: ScaleOf<'_>,
    plan: &mut Plan,
) -> Result<(i32, i32), String> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let spec = budget.spec.clone().unwrap_or_default();
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => {
            let expected = scale(budget, pods, scale_of, plan)?;
            Ok((expected, (expected - resolve_up(most, expected)).max(0)))
        }
        (None, Some(IntOrString::Int(least))) => Ok((size(pods.len()), *least)),
        (None, Some(share)) => {
            let expected = scale(budget, pods, scale_of, plan)?;
            Ok((expected, resolve_up(share, expected)))
        }
        (None, None) => Ok((0, 0)),
    }
}

/// The sum of what the Pods' controllers want.
fn scale(
    budget: &PodDisruptionBudget,
    pods: &[Arc<PodView>],
    scale_of: ScaleOf<'_>,
    plan: &mut Plan,
) -> Result<i32, String> {
    let mut seen = BTreeSet::new();
    let mut total = 0;
    let mut unmanaged = false;
    for pod in pods {
        let Some(owner) = owners::controller_of(&pod.metadata) else {
            unmanaged = true;
            continue;
        };
        let (uid, count) = scale_of(owner).ok_or_else(|| format!("found no controllers for pod \"{}\"", name(pod)))?;
        if seen.insert(uid) {
            total += count;
        }
    }
    if unmanaged {
        plan.say(Note::warning(reference(budget), "UnmanagedPods", UNMANAGED));
    }
    Ok(total)
}

/// The evicted Pods that have not started to end yet; looked at again when their time is up.
fn disrupted(
    budget: &PodDisruptionBudget,
    pods: &[Arc<PodView>],
    now: Timestamp,
    plan: &mut Plan,
) -> BTreeMap<String, Time> {
    let noted = budget.status.as_ref().and_then(|status| status.disrupted_pods.clone()).unwrap_or_default();
    let mut waiting = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let Some(since) = noted.get(name(pod)) else { continue };
        let end = since.0.saturating_add(DELETION_TIMEOUT).unwrap_or(Timestamp::MAX);
        if end < now {
            let meta = &budget.metadata;
            let (namespace, budget) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref());
            let budget = budget.unwrap_or_default();
            let message = format!("Pod was expected by PDB {namespace}/{budget} to be deleted but it wasn't");
            plan.say(Note::warning(reference(&**pod), "NotDeleted", message));
        } else {
            plan.again_at(end, now);
            waiting.insert(name(pod).to_owned(), since.clone());
        }
    }
    waiting
}

/// Sets the condition `DisruptionAllowed`; its time changes with its status only.
fn note(status: &mut PodDisruptionBudgetStatus, condition: (&str, &str, String), now: Timestamp) {
    let (value, reason, message) = condition;
    let observed = status.observed_generation;
    let conditions = status.conditions.get_or_insert_default();
    let known = conditions.iter().position(|known| known.type_ == ALLOWED);
    let since = known.map(|at| &conditions[at]).filter(|known| known.status == value);
    let new = Condition {
        type_: ALLOWED.into(),
        status: value.into(),
        reason: reason.into(),
        message,
        last_transition_time: since.map_or(Time(now), |known| known.last_transition_time.clone()),
        observed_generation: observed,
    };
    match known {
        Some(at) => conditions[at] = new,
        None => conditions.push(new),
    }
}

fn name(pod: &PodView) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

fn size(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-01-01T00:10:00Z";

    fn budget(spec: Value) -> PodDisruptionBudget {
        let meta = json!({ "name": "b", "namespace": "default", "generation": 3 });
        serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap()
    }

    fn pods(ready: usize, all: usize) -> Vec<Arc<PodView>> {
        let pod = |index: usize| {
            let status = if index < ready { "True" } else { "False" };
            let owner =
                json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s", "uid": "s", "controller": true });
            let value = json!({
                "metadata": { "name": format!("p{index}"), "ownerReferences": [owner] },
                "status": { "conditions": [{ "type": "Ready", "status": status }] },
            });
            Arc::new(serde_json::from_value(value).unwrap())
        };
        (0..all).map(pod).collect()
    }

    fn status(budget: &PodDisruptionBudget, pods: &[Arc<PodView>], scale: Option<i32>) -> Value {
        let moment = Moment { now: NOW.parse().unwrap(), failure: None };
        let plan = reconcile(budget, pods, &|_| scale.map(|count| ("s".into(), count)), &moment);
        plan.actions()[0].body["status"].clone()
    }

    #[test]
    fn budgets_add_up() {
        // spec, ready, pods, scale → expected, current, desired, allowed.
        for (spec, ready, all, scale, want) in [
            (json!({ "minAvailable": 2 }), 3, 3, 3, [3, 3, 2, 1]),
            (json!({ "minAvailable": 2 }), 1, 3, 3, [3, 1, 2, 0]),
            (json!({ "minAvailable": "50%" }), 5, 5, 5, [5, 5, 3, 2]),
            (json!({ "maxUnavailable": 1 }), 3, 3, 4, [4, 3, 3, 0]),
            (json!({ "maxUnavailable": "30%" }), 10, 10, 10, [10, 10, 7, 3]),
            (json!({ "maxUnavailable": 5 }), 0, 0, 3, [0, 0, 0, 0]),
        ] {
            let status = status(&budget(spec.clone()), &pods(ready, all), Some(scale));
            let fields = ["expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"];
            let got = fields.map(|field| status[field].as_i64().unwrap());
            assert_eq!(got, want, "{spec}");
            assert_eq!(status["observedGeneration"], 3);
            assert_eq!(status["conditions"][0]["status"], if want[3] > 0 { "True" } else { "False" });
        }
    }

    #[test]
    fn an_evicted_pod_is_spent_until_it_ends_or_its_time_is_up() {
        for (evicted, left) in [("2026-01-01T00:09:00Z", 0), ("2026-01-01T00:07:00Z", 1)] {
            let mut budget = budget(json!({ "minAvailable": 1 }));
            budget.status =
                serde_json::from_value(json!({ "disruptedPods": { "p0": evicted, "gone": evicted } })).unwrap();
            let status = status(&budget, &pods(2, 2), None);
            assert_eq!(status["disruptionsAllowed"], left, "{evicted}");
            assert_eq!(status["disruptedPods"].as_object().map_or(0, serde_json::Map::len), usize::from(left == 0));
        }
    }

    #[test]
    fn what_cannot_be_counted_allows_nothing() {
        let status = status(&budget(json!({ "maxUnavailable": 1 })), &pods(3, 3), None);
        assert_eq!(status["disruptionsAllowed"], 0);
        assert_eq!(status["conditions"][0]["reason"], "SyncFailed");
    }
}
