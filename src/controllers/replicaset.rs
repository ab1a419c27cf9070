//! ReplicaSet: keeps `spec.replicas` Pods of a template alive.
//!
//! Comes in: ReplicaSets and Pods. Goes out: Pods created, surplus Pods deleted, Pods adopted and
//! released, `status`. Source: kube-controller-manager, pkg/controller/replicaset. It knows nothing
//! of rollouts: that is the Deployment's. The older ReplicationController is kept by the same
//! reconcile: [`Replicated`] is what the two have in common.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use serde::Serialize;

use super::owners::{self, Claim};
use super::plan::{Action, Plan, Step, reference};
use super::pods;
use super::runner::{Failure, Moment, Room};
use crate::client::views::PodView;
use crate::client::{Informer, ObjectKey};

/// Pods created or deleted in one go. Source: replica_set.go, BurstReplicas.
const BURST: usize = 500;
/// Source: --concurrent-replicaset-syncs.
const WORKERS: usize = 5;

/// Starts the loop.
pub fn start(room: Room) {
    let (sets, pods) = (room.informer::<ReplicaSet>(), room.informer::<PodView>());
    room.wake_self(&sets);
    let known = sets.clone();
    room.wake(&pods, move |pod| sets_of(pod, &known));
    room.run("replicaset-controller", WORKERS, move |key, moment| {
        let Some(set) = sets.get(key) else { return Plan::none() };
        let Some(selector) = owners::selector(&set.spec.selector) else {
            return Plan::none();
        };
        let claim = owners::claim(&*set, &selector, &pods);
        let related = related(&set, &sets, &pods);
        reconcile(&*set, claim, &related, moment)
    });
}

/// The sets a Pod matters to: its controller, or for an orphan those that match it.
fn sets_of(pod: &PodView, sets: &Informer<ReplicaSet>) -> Vec<ObjectKey> {
    if let Some(controller) = owners::controller_of(&pod.metadata) {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        return if controller.kind == "ReplicaSet" {
            vec![ObjectKey::new(namespace, &controller.name)]
        } else {
            vec![]
        };
    }
    let in_namespace = sets.in_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
    let matching = in_namespace.iter().filter(|set| {
        let selector = owners::selector(&set.spec.selector);
        selector.is_some_and(|selector| owners::matches(&selector, &pod.metadata))
    });
    matching.map(|set| ObjectKey::of(&set.metadata)).collect()
}

/// The Pods of all sets with the same controller: the siblings of a rollout.
fn related(set: &ReplicaSet, sets: &Informer<ReplicaSet>, pods: &Informer<PodView>) -> Vec<Arc<PodView>> {
    let siblings = match owners::controller_of(&set.metadata) {
        Some(controller) => sets.owned_by(&controller.uid),
        None => vec![Arc::new(set.clone())],
    };
    siblings.iter().flat_map(|set| pods.owned_by(set.metadata.uid.as_deref().unwrap_or_default())).collect()
}

/// An object that keeps a number of Pods of a template.
pub trait Replicated: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + Clone {
    /// `spec.replicas`.
    fn replicas(&self) -> Option<i32>;
    /// `spec.minReadySeconds`.
    fn min_ready_seconds(&self) -> Option<i32>;
    /// `spec.template`.
    fn template(&self) -> Option<&PodTemplateSpec>;
    /// `status`, as a ReplicaSet has it.
    fn status(&self) -> ReplicaSetStatus;
    /// The object with this status, as far as its kind can show it.
    fn with_status(&self, status: ReplicaSetStatus) -> Self;
}

impl Replicated for ReplicaSet {
    fn replicas(&self) -> Option<i32> {
        self.spec.replicas
    }

    fn min_ready_seconds(&self) -> Option<i32> {
        self.spec.min_ready_seconds
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.template.as_ref()
    }

    fn status(&self) -> ReplicaSetStatus {
        self.status.clone().unwrap_or_default()
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        ReplicaSet { status: Some(status), ..self.clone() }
    }
}

/// What a set needs done, given what it owns.
pub fn reconcile<S: Replicated>(set: &S, claim: Claim<PodView>, related: &[Arc<PodView>], moment: &Moment) -> Plan {
    let mut plan = Plan::none();
    for patch in claim.patches {
        plan.act(patch);
    }
    let active: Vec<_> = claim.owned.iter().filter(|pod| pod.is_active()).cloned().collect();
    let counted = set.with_status(status(set, &active, &claim.owned, moment));
    if normal(counted.status()) != normal(set.status()) {
        plan.act(Action::update_sub(&counted, "status"));
    }
    if set.meta().deletion_timestamp.is_none() {
        replicate(set, &active, related, moment.now, &mut plan);
    }
    let min_ready = min_ready(set);
    let next = active.iter().filter_map(|pod| pod.available_at(min_ready)).filter(|at| *at > moment.now).min();
    if let Some(at) = next {
        plan.again_at(at, moment.now);
    }
    plan
}

fn min_ready(set: &impl Replicated) -> i32 {
    set.min_ready_seconds().unwrap_or(0)
}

fn wanted(set: &impl Replicated) -> usize {
    // Validation refuses negative counts.
    usize::try_from(set.replicas().unwrap_or(1)).unwrap_or(0)
}

fn replicate<S: Replicated>(
    set: &S,
    active: &[Arc<PodView>],
    related: &[Arc<PodView>],
    now: Timestamp,
    plan: &mut Plan,
) {
    let wanted = wanted(set);
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST);
        let Some(template) = set.template() else { return };
        let pod = pods::from_template(set, template);
        plan.steps.push(Step::Burst(vec![pods::create(set, &pod); missing]));
    } else if active.len() > wanted {
        let surplus = pods::surplus(active.to_vec(), related, (active.len() - wanted).min(BURST), now);
        let about = reference(set);
        plan.steps.push(Step::Burst(surplus.iter().map(|pod| pods::delete(&about, &pod.metadata)).collect()));
    }
}

fn status(set: &impl Replicated, active: &[Arc<PodView>], owned: &[Arc<PodView>], moment: &Moment) -> ReplicaSetStatus {
    let old = set.status();
    let count =
        |test: &dyn Fn(&PodView) -> bool| i32::try_from(active.iter().filter(|p| test(p)).count()).unwrap_or(i32::MAX);
    let template_labels = set
        .template()
        .and_then(|template| template.metadata.as_ref())
        .and_then(|meta| meta.labels.clone())
        .unwrap_or_default();
    let carries = |pod: &PodView| {
        let labels = pod.metadata.labels.as_ref();
        template_labels.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let min_ready = min_ready(set);
    let ending = owned.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some() && !pod.is_finished()).count();
    ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: Some(count(&carries)),
        ready_replicas: Some(count(&PodView::is_ready)),
        available_replicas: Some(count(&|pod| pod.is_available(min_ready, moment.now))),
        terminating_replicas: Some(i32::try_from(ending).unwrap_or(i32::MAX)),
        observed_generation: set.meta().generation,
        conditions: conditions(&old, moment.failure.as_ref(), moment.now),
    }
}

/// The API leaves zero counts out; they read as zero.
fn normal(status: ReplicaSetStatus) -> ReplicaSetStatus {
    ReplicaSetStatus {
        fully_labeled_replicas: Some(status.fully_labeled_replicas.unwrap_or(0)),
        ready_replicas: Some(status.ready_replicas.unwrap_or(0)),
        available_replicas: Some(status.available_replicas.unwrap_or(0)),
        conditions: status.conditions.filter(|conditions| !conditions.is_empty()),
        ..status
    }
}

/// `ReplicaFailure` is there for as long as Pods cannot be created or deleted.
fn conditions(old: &ReplicaSetStatus, failure: Option<&Failure>, now: Timestamp) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = old.conditions.clone().unwrap_or_default();
    let failure = failure.filter(|failure| !failure.reason.is_empty());
    let known = conditions.iter().any(is_failure);
    match failure {
        Some(failure) if !known => conditions.push(ReplicaSetCondition {
            type_: Some("ReplicaFailure".into()),
            status: Some("True".into()),
            reason: Some(failure.reason.into()),
            message: Some(failure.message.clone()),
            last_transition_time: Some(Time(now)),
        }),
        None if known => conditions.retain(|condition| !is_failure(condition)),
        _ => {}
    }
    Some(conditions).filter(|conditions| !conditions.is_empty())
}

fn is_failure(condition: &ReplicaSetCondition) -> bool {
    condition.type_.as_deref() == Some("ReplicaFailure")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::plan::Verb;
    use serde_json::json;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn set(replicas: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "uid": "u1", "generation": 1 },
            "spec": {
                "replicas": replicas,
                "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [] } },
            },
        }))
        .unwrap()
    }

    fn pod(name: &str, owner: Option<&str>, app: &str) -> Arc<PodView> {
        let owners = owner.map(|uid| json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": true }]));
        let value = json!({ "metadata": {
            "name": name, "namespace": "default", "uid": name, "labels": { "app": app }, "ownerReferences": owners,
        } });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn plan(set: &ReplicaSet, pods: Vec<Arc<PodView>>, failure: Option<Failure>) -> Plan {
        let selector = owners::selector(&set.spec.selector).unwrap();
        let claim = owners::claim_from(set, &selector, pods);
        reconcile(set, claim, &[], &Moment { now: NOW.parse().unwrap(), failure })
    }

    fn verbs(plan: &Plan) -> Vec<(Verb, &'static str)> {
        plan.actions().iter().map(|action| (action.verb.clone(), action.subresource)).collect()
    }

    #[test]
    fn missing_pods_are_created_and_surplus_ones_deleted() {
        let status = (Verb::Update, "status");
        let create = (Verb::Create, "");
        assert_eq!(verbs(&plan(&set(2), vec![], None)), [status.clone(), create.clone(), create]);
        let two = vec![pod("a", Some("u1"), "web"), pod("b", Some("u1"), "web")];
        assert_eq!(verbs(&plan(&set(1), two, None)), [status, (Verb::Delete, "")]);
    }

    #[test]
    fn orphans_are_adopted_and_strangers_let_go() {
        let pods = vec![pod("orphan", None, "web"), pod("lost", Some("u1"), "db"), pod("other", Some("u2"), "web")];
        let plan = plan(&set(1), pods, None);
        let actions = plan.actions();
        assert_eq!(actions[0].body["metadata"]["ownerReferences"][0]["uid"], "u1");
        assert_eq!(actions[1].body["metadata"]["ownerReferences"][0]["$patch"], "delete");
        assert_eq!(actions.len(), 3, "the adopted pod is enough: {actions:?}");
    }

    #[test]
    fn a_failure_shows_as_a_condition_and_leaves_with_it() {
        let failure = Failure { reason: "FailedCreate", message: "quota".into() };
        let plan = plan(&set(0), vec![], Some(failure));
        let status = &plan.actions()[0].body["status"];
        assert_eq!(status["conditions"][0]["reason"], "FailedCreate");
        let old = serde_json::from_value(status.clone()).unwrap();
        assert_eq!(conditions(&old, None, NOW.parse().unwrap()), None);
    }

    #[test]
    fn a_settled_set_needs_nothing() {
        let mut set = set(0);
        let first = plan(&set, vec![], None);
        set.status = serde_json::from_value(first.actions()[0].body["status"].clone()).unwrap();
        assert_eq!(plan(&set, vec![], None), Plan::none());
    }
}
