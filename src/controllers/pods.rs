//! What the workload loops share about Pods: making one from a template, and which to delete first.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::ObjectMeta;

use super::plan::{Action, Note, owner_reference, reference};
use crate::client::views::PodView;

/// A Pod as the template says, owned by `owner`, named `<owner>-<random>`.
pub fn from_template<O>(owner: &O, template: &PodTemplateSpec) -> Pod
where
    O: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", owner.meta().name.as_deref().unwrap_or_default())),
            namespace: owner.meta().namespace.clone(),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner_reference(owner)]),
            ..Default::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Creates a Pod, and says so on its owner in the words all workload loops use.
pub fn create<O: Resource<DynamicType = ()>>(owner: &O, pod: &Pod) -> Action {
    let about = reference(owner);
    Action::create(pod)
        .said(Note::normal(about.clone(), "SuccessfulCreate", "Created pod: <name>"))
        .failed(Note::warning(about, "FailedCreate", "Error creating: <err>"))
}

/// Deletes a Pod, and says so on its owner.
pub fn delete(about: &ObjectReference, pod: &ObjectMeta) -> Action {
    Action::delete::<PodView>(pod)
        .said(Note::normal(about.clone(), "SuccessfulDelete", "Deleted pod: <name>"))
        .failed(Note::warning(about.clone(), "FailedDelete", "Error deleting: <err>"))
}

/// The `count` Pods to delete first: unassigned, pending, not ready, cheap, crowded on their node,
/// young in readiness, often restarted, young. `related` are the Pods whose crowding counts.
/// Source: controller_utils.go, ActivePodsWithRanks; ages compare by order of magnitude there.
pub fn surplus(
    mut pods: Vec<Arc<PodView>>,
    related: &[Arc<PodView>],
    count: usize,
    now: Timestamp,
) -> Vec<Arc<PodView>> {
    let mut crowd: HashMap<&str, usize> = HashMap::new();
    for pod in related.iter().filter(|pod| pod.is_active()) {
        *crowd.entry(pod.spec.node_name.as_deref().unwrap_or("")).or_default() += 1;
    }
    let rank = |pod: &PodView| crowd.get(pod.spec.node_name.as_deref().unwrap_or("")).copied().unwrap_or(0);
    pods.sort_by(|a, b| compare(a, b, &rank, now));
    pods.truncate(count);
    pods
}

fn compare(a: &PodView, b: &PodView, rank: &dyn Fn(&PodView) -> usize, now: Timestamp) -> Ordering {
    let assigned = |pod: &PodView| pod.spec.node_name.as_deref().is_some_and(|node| !node.is_empty());
    let plain = |pod: &PodView| (assigned(pod), phase(pod), pod.is_ready(), deletion_cost(pod), Reverse(rank(pod)));
    let ready_since = |pod: &PodView| {
        pod.condition("Ready").filter(|c| c.status == "True").and_then(|c| c.last_transition_time.clone())
    };
    plain(a)
        .cmp(&plain(b))
        .then_with(|| younger(ready_since(a).as_ref(), ready_since(b).as_ref(), now))
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| younger(a.metadata.creation_timestamp.as_ref(), b.metadata.creation_timestamp.as_ref(), now))
        .then_with(|| a.metadata.uid.cmp(&b.metadata.uid))
}

fn phase(pod: &PodView) -> u8 {
    match pod.status.phase.as_deref() {
        Some("Pending") | None => 0,
        Some("Unknown") => 1,
        _ => 2,
    }
}

fn deletion_cost(pod: &PodView) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    annotations
        .and_then(|a| a.get("controller.kubernetes.io/pod-deletion-cost"))
        .and_then(|c| c.parse().ok())
        .unwrap_or(0)
}

fn restarts(pod: &PodView) -> i32 {
    pod.status.container_statuses.iter().map(|status| status.restart_count).max().unwrap_or(0)
}

/// The younger one first, by the logarithm of its age; an unknown time counts as now.
fn younger(a: Option<&Time>, b: Option<&Time>, now: Timestamp) -> Ordering {
    let magnitude = |time: Option<&Time>| {
        let seconds = time.map_or(0, |time| now.duration_since(time.0).as_secs().max(0));
        (seconds > 0).then(|| seconds.ilog2())
    };
    magnitude(a).cmp(&magnitude(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: &str, phase: &str, ready_at: Option<&str>) -> Arc<PodView> {
        let conditions = ready_at.map(|at| json!([{ "type": "Ready", "status": "True", "lastTransitionTime": at }]));
        let value = json!({
            "metadata": { "name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "nodeName": node },
            "status": { "phase": phase, "conditions": conditions.unwrap_or_else(|| json!([])) },
        });
        Arc::new(serde_json::from_value(value).expect("a pod"))
    }

    #[test]
    fn the_least_useful_go_first() {
        let pods = vec![
            pod("old-ready", "n1", "Running", Some("2026-01-01T00:00:00Z")),
            pod("young-ready", "n1", "Running", Some("2026-01-01T00:59:00Z")),
            pod("not-ready", "n1", "Running", None),
            pod("pending", "n1", "Pending", None),
            pod("unassigned", "", "Pending", None),
            pod("crowded", "n2", "Running", Some("2026-01-01T00:00:00Z")),
        ];
        let mut related = pods.clone();
        related.extend((0..9).map(|_| pod("other", "n2", "Running", None)));
        let order = surplus(pods, &related, 6, "2026-01-01T01:00:00Z".parse().unwrap());
        let names: Vec<_> = order.iter().map(|pod| pod.metadata.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["unassigned", "pending", "not-ready", "crowded", "young-ready", "old-ready"]);
    }
}
