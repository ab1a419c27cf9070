//! Deployment: moves Pods from one template to the next, without stopping the service.
//!
//! Comes in: Deployments, their ReplicaSets, and Pods (for Recreate only). Goes out: ReplicaSets
//! created, scaled and cleaned up; `status` with the conditions `Available` and `Progressing`.
//! It never touches a Pod. Source: kube-controller-manager, pkg/controller/deployment.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.
//!
//! The files: `sets` (which ReplicaSet is new, revisions, annotations), `rollout` (how many replicas
//! each gets), `status` (what the Deployment says about itself).

mod rollout;
mod sets;
mod status;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::owners::{self, Claim};
use super::plan::{Action, Note, Plan, reference};
use super::runner::{Moment, Room};
use crate::client::views::PodView;
use crate::client::{Informer, ObjectKey};
use sets::Sets;

/// Source: --concurrent-deployment-syncs.
const WORKERS: usize = 5;

/// Starts the loop.
pub fn start(room: Room) {
    let deployments = room.informer::<Deployment>();
    let (sets, pods) = (room.informer::<ReplicaSet>(), room.informer::<PodView>());
    room.wake_self(&deployments);
    let known = deployments.clone();
    room.wake(&sets, move |set| deployments_of(set, &known));
    let known = sets.clone();
    // Recreate waits until the last old Pod is gone.
    room.wake(&pods, move |pod| {
        let set = owners::controller_key(&pod.metadata, "ReplicaSet").and_then(|key| known.get(&key));
        set.and_then(|set| owners::controller_key(&set.metadata, "Deployment")).into_iter().collect()
    });
    room.run("deployment-controller", WORKERS, move |key, moment| {
        let Some(deployment) = deployments.get(key) else { return Plan::none() };
        let Some(selector) = owners::selector(&deployment.spec.selector) else { return selects_all(&deployment) };
        let claim = owners::claim(&*deployment, &selector, &sets);
        let taken = |name: &str| sets.get(&ObjectKey::new(&key.namespace, name));
        let runs = |set: &ReplicaSet| {
            pods.owned_by(set.metadata.uid.as_deref().unwrap_or_default()).iter().any(|pod| !pod.is_finished())
        };
        reconcile(&deployment, claim, &World { taken: &taken, runs: &runs }, moment)
    });
}

/// What a Deployment looks at beside its own ReplicaSets.
pub struct World<'a> {
    /// The ReplicaSet of this name in the Deployment's namespace, whoever owns it.
    pub taken: &'a dyn Fn(&str) -> Option<Arc<ReplicaSet>>,
    /// Whether a ReplicaSet has Pods that have not ended, those being deleted included.
    pub runs: &'a dyn Fn(&ReplicaSet) -> bool,
}

fn deployments_of(set: &ReplicaSet, deployments: &Informer<Deployment>) -> Vec<ObjectKey> {
    if let Some(controller) = owners::controller_of(&set.metadata) {
        let namespace = set.metadata.namespace.clone().unwrap_or_default();
        return if controller.kind == "Deployment" {
            vec![ObjectKey::new(namespace, &controller.name)]
        } else {
            vec![]
        };
    }
    let in_namespace = deployments.in_namespace(set.metadata.namespace.as_deref().unwrap_or_default());
    let matching = in_namespace.iter().filter(|deployment| {
        owners::selector(&deployment.spec.selector).is_some_and(|selector| owners::matches(&selector, &set.metadata))
    });
    matching.map(|deployment| ObjectKey::of(&deployment.metadata)).collect()
}

fn selects_all(deployment: &Deployment) -> Plan {
    let mut plan = Plan::none();
    plan.say(Note::warning(
        reference(deployment),
        "SelectingAll",
        "This deployment is selecting all pods. A non-empty selector is required.",
    ));
    plan
}

/// What a Deployment needs done.
pub fn reconcile(deployment: &Deployment, claim: Claim<ReplicaSet>, world: &World<'_>, moment: &Moment) -> Plan {
    let mut plan = Plan::none();
    for patch in claim.patches {
        plan.act(patch);
    }
    let mut next = deployment.clone();
    let mut sets = Sets::sort(deployment, claim.owned);
    if deployment.metadata.deletion_timestamp.is_none() {
        status::mark_paused(&mut next, moment.now);
        sets.renumber(&mut next, moment.now, &mut plan);
        roll(&mut next, &mut sets, world, moment, &mut plan);
    }
    status::finish(&mut next, deployment, &sets, moment, &mut plan);
    if next.status != deployment.status || next.metadata.annotations != deployment.metadata.annotations {
        plan.act(Action::update_sub(&next, "status"));
    }
    plan
}

/// Scales ReplicaSets by the Deployment's strategy, creating the new one where it is missing.
fn roll(next: &mut Deployment, sets: &mut Sets, world: &World<'_>, moment: &Moment, plan: &mut Plan) {
    let paused = next.spec.paused.unwrap_or(false);
    if paused || sets.is_scaling_event(next) {
        rollout::scale(next, sets, plan);
        if paused {
            sets.clean_up(next, plan);
        }
        return;
    }
    let recreate = next.spec.strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("Recreate");
    if recreate {
        // Not before the old set says so, too: its count goes into the Deployment's.
        let counts = |set: &ReplicaSet| set.status.as_ref().is_some_and(|status| status.replicas > 0);
        if rollout::stop_old(next, sets, plan) || sets.old.iter().any(|set| counts(set) || (world.runs)(set)) {
            return;
        }
        if sets.ensure_new(next, world, moment, plan) {
            rollout::grow_new(next, sets, plan);
        }
    } else if !sets.ensure_new(next, world, moment, plan)
        || rollout::grow_new(next, sets, plan)
        || rollout::shrink_old(next, sets, plan)
    {
        return;
    }
    let complete = next.status.as_ref().is_some_and(|status| status::is_complete(next, status));
    if complete {
        sets.clean_up(next, plan);
    }
}

/// A count, or a percentage of `total` rounded up, as other workloads resolve theirs.
pub fn resolve_up(value: &k8s_openapi::apimachinery::pkg::util::intstr::IntOrString, total: i32) -> i32 {
    rollout::resolve(value, total, rollout::Round::Up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use k8s_openapi::api::apps::v1::{DeploymentSpec, DeploymentStrategy};
    use serde_json::json;

    #[test]
    fn recreate_waits_until_nothing_counts_the_old_pods() {
        let template = |image: &str| json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": image}]}});
        let spec = |image: &str| json!({"selector": {"matchLabels": {"app": "a"}}, "replicas": 1, "template": template(image)});
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "generation": 2}, "spec": spec("new"),
        }))
        .unwrap();
        let deployment = Deployment {
            spec: DeploymentSpec {
                strategy: Some(DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None }),
                ..deployment.spec
            },
            ..deployment
        };
        let makes_new = |counted: i32, runs: bool| {
            let mut old = json!({
                "metadata": {"name": "a-old", "namespace": "n", "uid": "o", "annotations": {"deployment.kubernetes.io/revision": "1"}},
                "spec": spec("old"), "status": {"replicas": counted},
            });
            old["spec"]["replicas"] = json!(0);
            let claim = Claim { owned: vec![Arc::new(serde_json::from_value(old).unwrap())], patches: Vec::new() };
            let world = World { taken: &|_| None, runs: &|_| runs };
            let plan = reconcile(&deployment, claim, &world, &Moment { now: Timestamp::UNIX_EPOCH, failure: None });
            format!("{plan:?}").contains("Create")
        };
        assert!(!makes_new(1, false), "the old set still counts one");
        assert!(!makes_new(0, true), "an old Pod still runs");
        assert!(makes_new(0, false));
    }
}
