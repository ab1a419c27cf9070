//! What the scheduler writes: Bindings, conditions, events, evictions.
//!
//! In: a decision. Out: requests through `client/`, each with the Pod's revision as its cause. Events
//! have the form of events.k8s.io: eventTime and action, repeated ones as a series.
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

use super::decision::{Decision, Victim};
use super::pod::PodInfo;
use super::volumes::Promise;
use crate::client::cause::{self, Causes};
use crate::client::views::{BOUND_BY_CONTROLLER, SELECTED_NODE};
use crate::clock::Clock;

const NAME: &str = "default-scheduler";

/// The event that says why a Pod does not fit, so that saying it again raises its count.
#[derive(Clone, Debug)]
pub struct Told {
    event: String,
    message: String,
    count: i32,
}

/// Writes. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    client: kube::Client,
    clock: Clock,
}

impl Writer {
    /// A writer as `client`'s user.
    pub fn new(client: kube::Client, clock: Clock) -> Self {
        Writer { client, clock }
    }

    fn client(&self, pod: &PodInfo) -> kube::Client {
        cause::with(&self.client, &pod.revision.map_or_else(Causes::none, Causes::one))
    }

    /// Gives the Pod's unbound claims what they were promised on the node; false when something failed.
    pub async fn promise(&self, pod: &PodInfo, node: &str, promises: &[Promise]) -> bool {
        let params = PatchParams::default();
        for promise in promises {
            let failed = match promise {
                Promise::Volume { claim, uid, volume, revision } => {
                    let claim_ref = json!({ "kind": "PersistentVolumeClaim", "apiVersion": "v1",
                        "namespace": &*pod.namespace, "name": claim, "uid": uid });
                    let patch = Patch::Merge(json!({
                        "metadata": { "resourceVersion": revision, "annotations": { BOUND_BY_CONTROLLER: "yes" } },
                        "spec": { "claimRef": claim_ref },
                    }));
                    Api::<PersistentVolume>::all(self.client(pod)).patch(volume, &params, &patch).await.err()
                }
                Promise::Node { claim } => {
                    let patch = Patch::Merge(json!({ "metadata": { "annotations": { SELECTED_NODE: node } } }));
                    let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client(pod), &pod.namespace);
                    api.patch(claim, &params, &patch).await.err()
                }
            };
            if let Some(failure) = failed {
                tracing::debug!(%failure, pod = &*pod.name, "volume not promised");
                return false;
            }
        }
        true
    }

    /// Writes the Binding; false when that failed.
    pub async fn bind(&self, pod: &PodInfo, node: &str) -> bool {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": &*pod.namespace, "name": &*pod.name, "uid": &*pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let path = format!("/api/v1/namespaces/{}/pods/{}/binding", pod.namespace, pod.name);
        let request = http::Request::post(path).header("content-type", "application/json");
        // The path holds names the API server accepted, so the request is well formed.
        let Ok(request) = request.body(binding.to_string().into_bytes()) else { return false };
        match self.client(pod).request::<Value>(request).await {
            Ok(_) => true,
            Err(failure) => {
                tracing::debug!(%failure, pod = &*pod.name, "not bound");
                false
            }
        }
    }

    /// Says that a Pod has a node.
    pub async fn scheduled(&self, pod: &PodInfo, node: &str) {
        let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
        self.event(pod, "Normal", "Scheduled", "Binding", message, None).await;
    }

    /// Says why a Pod has none, and evicts those who have to go for it. Returns the event, for the
    /// next time.
    pub async fn unschedulable(&self, pod: &PodInfo, decision: &Decision, before: Option<Told>) -> Option<Told> {
        let message = decision.message();
        let preemption = decision.preemption.as_ref().filter(|preemption| preemption.node.is_some());
        for victim in preemption.iter().flat_map(|preemption| &preemption.victims) {
            let node = preemption.and_then(|preemption| preemption.node.as_deref()).unwrap_or_default();
            self.evict(pod, victim, node).await;
        }
        // The event first: who has waited for the condition finds it.
        let told = match before.filter(|told| told.message == message) {
            Some(told) => Some(self.repeat(pod, told).await),
            None => {
                let event = self.event(pod, "Warning", "FailedScheduling", "Scheduling", message.clone(), None).await;
                event.map(|event| Told { event, message: message.clone(), count: 1 })
            }
        };
        let nominated = preemption.and_then(|preemption| preemption.node.as_deref());
        if pod.told.as_deref() != Some(&message) || (nominated.is_some() && pod.nominated_node.as_deref() != nominated)
        {
            self.condition(pod, &message, nominated).await;
        }
        told
    }

    async fn condition(&self, pod: &PodInfo, message: &str, nominated: Option<&str>) {
        let now = Timestamp::from_second(self.clock.now().as_second()).unwrap_or_default();
        let mut condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": message, "observedGeneration": pod.generation});
        if pod.told.is_none() {
            condition["lastTransitionTime"] = json!(now.to_string());
        }
        let mut status = json!({"conditions": [condition]});
        if let Some(node) = nominated {
            status["nominatedNodeName"] = json!(node);
        }
        let patch = Patch::Strategic(json!({"metadata": {"uid": &*pod.uid}, "status": status}));
        let api: Api<Pod> = Api::namespaced(self.client(pod), &pod.namespace);
        if let Err(failure) = api.patch_status(&pod.name, &PatchParams::default(), &patch).await {
            tracing::debug!(%failure, pod = &*pod.name, "condition not written");
        }
    }

    /// Evicts a victim: its condition first, so that it says why it went.
    async fn evict(&self, pod: &PodInfo, victim: &Victim, node: &str) {
        let api: Api<Pod> = Api::namespaced(self.client(pod), &victim.namespace);
        let now = Timestamp::from_second(self.clock.now().as_second()).unwrap_or_default();
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": format!("{NAME}: preempting to accommodate a higher priority pod"),
            "lastTransitionTime": now.to_string()});
        let patch = json!({"metadata": {"uid": &*victim.uid}, "status": {"conditions": [condition]}});
        if let Err(failure) = api.patch_status(&victim.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            tracing::debug!(%failure, victim = &*victim.name, "condition not written");
        }
        let preconditions = Some(Preconditions { uid: Some(victim.uid.to_string()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        if let Err(failure) = api.delete(&victim.name, &params).await {
            tracing::debug!(%failure, victim = &*victim.name, "not evicted");
            return;
        }
        let gone = PodInfo {
            namespace: victim.namespace.clone(),
            name: victim.name.clone(),
            uid: victim.uid.clone(),
            revision: pod.revision,
            ..PodInfo::default()
        };
        let message = format!("Preempted by pod {} on node {node}", pod.uid);
        self.event(&gone, "Normal", "Preempted", "Preempting", message, Some(pod)).await;
    }

    /// Makes an event; returns its name.
    async fn event(
        &self,
        about: &PodInfo,
        type_: &str,
        reason: &str,
        action: &str,
        message: String,
        related: Option<&PodInfo>,
    ) -> Option<String> {
        let now = self.clock.now();
        let name = format!("{}.{:x}", about.name, now.as_nanosecond());
        let reference = |pod: &PodInfo| {
            json!({"apiVersion": "v1", "kind": "Pod", "namespace": &*pod.namespace, "name": &*pod.name,
                "uid": &*pod.uid, "resourceVersion": pod.revision.map(|revision| revision.to_string())})
        };
        let mut event = json!({
            "metadata": {"namespace": &*about.namespace, "name": name},
            "involvedObject": reference(about),
            "type": type_, "reason": reason, "action": action, "message": message,
            "eventTime": format!("{now:.6}"),
            "reportingComponent": NAME, "reportingInstance": format!("{NAME}-tutor"),
            "source": {},
        });
        if let Some(related) = related {
            event["related"] = reference(related);
        }
        // The value above has an Event's shape.
        let event: Event = serde_json::from_value(event).ok()?;
        let api: Api<Event> = Api::namespaced(self.client(about), &about.namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => Some(name),
            Err(failure) => {
                tracing::debug!(%failure, reason, "event not recorded");
                None
            }
        }
    }

    /// The same again: the event becomes a series.
    async fn repeat(&self, pod: &PodInfo, told: Told) -> Told {
        let count = told.count + 1;
        let series = json!({"series": {"count": count, "lastObservedTime": format!("{:.6}", self.clock.now())}});
        let api: Api<Event> = Api::namespaced(self.client(pod), &pod.namespace);
        if let Err(failure) = api.patch(&told.event, &PatchParams::default(), &Patch::Merge(series)).await {
            tracing::debug!(%failure, "event not counted");
        }
        Told { count, ..told }
    }
}
