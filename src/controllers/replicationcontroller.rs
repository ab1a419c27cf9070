//! ReplicationController: what ReplicaSets were before they had set-based selectors.
//!
//! Comes in: ReplicationControllers and Pods. Goes out: as from a ReplicaSet, whose reconcile does
//! the work. Source: kube-controller-manager, pkg/controller/replication, which converts likewise.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use k8s_openapi::api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;

use super::owners;
use super::plan::Plan;
use super::replicaset::{Replicated, reconcile};
use super::runner::Room;
use crate::client::ObjectKey;
use crate::client::views::PodView;

/// Source: --concurrent-rc-syncs.
const WORKERS: usize = 5;

/// Starts the loop.
pub fn start(room: Room) {
    let (controllers, pods) = (room.informer::<ReplicationController>(), room.informer::<PodView>());
    room.wake_self(&controllers);
    let known = controllers.clone();
    room.wake(&pods, move |pod| {
        if owners::controller_of(&pod.metadata).is_some() {
            return owners::controller_key(&pod.metadata, "ReplicationController").into_iter().collect();
        }
        let all = known.in_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
        let matching = all.iter().filter(|controller| {
            selector(controller).is_some_and(|selector| owners::matches(&selector, &pod.metadata))
        });
        matching.map(|controller| ObjectKey::of(&controller.metadata)).collect()
    });
    room.run("replicationcontroller-controller", WORKERS, move |key, moment| {
        let Some(controller) = controllers.get(key) else { return Plan::none() };
        let Some(selector) = selector(&controller) else { return Plan::none() };
        let claim = owners::claim(&*controller, &selector, &pods);
        let related = claim.owned.clone();
        reconcile(&*controller, claim, &related, moment)
    });
}

fn selector(controller: &ReplicationController) -> Option<Selector> {
    let labels = controller.spec.as_ref()?.selector.clone();
    owners::selector(&LabelSelector { match_labels: labels, ..Default::default() })
}

impl Replicated for ReplicationController {
    fn replicas(&self) -> Option<i32> {
        self.spec.as_ref()?.replicas
    }

    fn min_ready_seconds(&self) -> Option<i32> {
        self.spec.as_ref()?.min_ready_seconds
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn status(&self) -> ReplicaSetStatus {
        let status = self.status.clone().unwrap_or_default();
        let condition = |condition: ReplicationControllerCondition| ReplicaSetCondition {
            type_: Some(condition.type_),
            status: Some(condition.status),
            reason: condition.reason,
            message: condition.message,
            last_transition_time: condition.last_transition_time,
        };
        ReplicaSetStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            terminating_replicas: None,
            observed_generation: status.observed_generation,
            conditions: status.conditions.map(|list| list.into_iter().map(condition).collect()),
        }
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        let condition = |condition: ReplicaSetCondition| ReplicationControllerCondition {
            type_: condition.type_.unwrap_or_default(),
            status: condition.status.unwrap_or_default(),
            reason: condition.reason,
            message: condition.message,
            last_transition_time: condition.last_transition_time,
        };
        let status = ReplicationControllerStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            observed_generation: status.observed_generation,
            conditions: status.conditions.map(|list| list.into_iter().map(condition).collect()),
        };
        ReplicationController { status: Some(status), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::owners::Claim;
    use crate::controllers::plan::Verb;
    use crate::controllers::runner::Moment;
    use serde_json::json;

    #[test]
    fn it_makes_its_pods_and_then_rests() {
        let mut controller: ReplicationController = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "uid": "u", "generation": 1 },
            "spec": { "replicas": 1, "selector": { "app": "web" }, "template": { "metadata": { "labels": { "app": "web" } } } },
        }))
        .unwrap();
        let moment = Moment { now: "2026-01-01T00:00:00Z".parse().unwrap(), failure: None };
        let run = |controller: &ReplicationController| {
            reconcile(controller, Claim { owned: Vec::new(), patches: Vec::new() }, &[], &moment)
        };
        let plan = run(&controller);
        let made = plan.actions()[1];
        assert_eq!((made.verb.clone(), made.resource.as_str()), (Verb::Create, "pods."));
        assert_eq!(made.body["metadata"]["ownerReferences"][0]["kind"], "ReplicationController");
        controller.status = serde_json::from_value(plan.actions()[0].body["status"].clone()).unwrap();
        controller.spec.as_mut().unwrap().replicas = Some(0);
        assert_eq!(run(&controller), Plan::none());
    }
}
