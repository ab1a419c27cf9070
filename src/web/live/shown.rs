//! How the map shows an object: a few words of it, as JSON.
//!
//! Every kind has `id` (`Pod/default/web-1`), `kind`, `namespace`, `name`, `state` (what kubectl would
//! say in a word or two) and `ok`. What is owned has `owner` (an `id`), a Pod its `node`, an
//! EndpointSlice the Pods it `reaches` for its Service, and the addresses that are `elsewhere`.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::client::views::{NodeView, PodView};

/// A kind that the map shows.
pub trait Shown: kube::Resource<DynamicType = ()> {
    /// What is shown of it beside its names: a JSON object.
    fn facts(&self) -> Value;
}

/// The key of an object on the map.
pub fn id<K: Shown>(object: &K) -> String {
    let meta = object.meta();
    name_of(&K::kind(&()), meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// The whole of what is shown.
pub fn shown<K: Shown>(object: &K) -> Value {
    let mut shown = json!({
        "id": id(object),
        "kind": K::kind(&()),
        "namespace": object.meta().namespace.as_deref().unwrap_or_default(),
        "name": object.meta().name.as_deref().unwrap_or_default(),
    });
    if let Some(owner) = owner(object.meta()) {
        shown["owner"] = owner.into();
    }
    if let (Some(shown), Value::Object(facts)) = (shown.as_object_mut(), object.facts()) {
        shown.extend(facts);
    }
    if object.meta().deletion_timestamp.is_some() {
        shown["state"] = "Terminating".into();
        shown["ok"] = false.into();
    }
    shown
}

fn name_of(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}

fn owner(meta: &ObjectMeta) -> Option<String> {
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    Some(name_of(&owner.kind, meta.namespace.as_deref().unwrap_or_default(), &owner.name))
}

/// So many of so many.
fn counted(have: Option<i32>, want: Option<i32>) -> Value {
    let (have, want) = (have.unwrap_or(0), want.unwrap_or(0));
    json!({"state": format!("{have}/{want}"), "ok": have == want})
}

impl Shown for NodeView {
    fn facts(&self) -> Value {
        let ready = self.condition("Ready").is_some_and(|ready| ready.status == "True");
        let state = match (ready, self.spec.unschedulable) {
            (true, false) => "Ready",
            (true, true) => "Ready, SchedulingDisabled",
            (false, false) => "NotReady",
            (false, true) => "NotReady, SchedulingDisabled",
        };
        json!({"state": state, "ok": ready})
    }
}

impl Shown for PodView {
    fn facts(&self) -> Value {
        let node = self.spec.node_name.as_deref().unwrap_or_default();
        json!({"state": status(self), "ok": self.is_ready(), "node": node})
    }
}

impl Shown for Deployment {
    fn facts(&self) -> Value {
        let have = self.status.as_ref().and_then(|status| status.ready_replicas);
        counted(have, self.spec.replicas)
    }
}

impl Shown for ReplicaSet {
    fn facts(&self) -> Value {
        let have = self.status.as_ref().and_then(|status| status.ready_replicas);
        counted(have, self.spec.replicas)
    }
}

impl Shown for StatefulSet {
    fn facts(&self) -> Value {
        let have = self.status.as_ref().and_then(|status| status.ready_replicas);
        counted(have, self.spec.replicas)
    }
}

impl Shown for DaemonSet {
    fn facts(&self) -> Value {
        let status = self.status.as_ref();
        counted(status.map(|status| status.number_ready), status.map(|status| status.desired_number_scheduled))
    }
}

impl Shown for Job {
    fn facts(&self) -> Value {
        let have = self.status.as_ref().and_then(|status| status.succeeded);
        counted(have, self.spec.as_ref().map(|spec| spec.completions.unwrap_or(1)))
    }
}

impl Shown for Service {
    fn facts(&self) -> Value {
        let spec = self.spec.as_ref();
        let address = spec.and_then(|spec| spec.cluster_ip.clone()).unwrap_or_default();
        let ports = spec.and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
        let ports: Vec<String> = ports.map(|port| port.port.to_string()).collect();
        json!({"state": format!("{address} {}", ports.join(",")).trim(), "ok": true})
    }
}

impl Shown for EndpointSlice {
    fn facts(&self) -> Value {
        let meta = &self.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let service = meta.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/service-name"));
        let ready = self.endpoints.iter().flatten().filter(|endpoint| {
            // Without a word on it an endpoint is ready.
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
        });
        let (mut pods, mut elsewhere) = (Vec::new(), Vec::new());
        for endpoint in ready {
            match endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod")) {
                Some(pod) => pods.push(name_of("Pod", namespace, pod.name.as_deref().unwrap_or_default())),
                None => elsewhere.extend(endpoint.addresses.iter().cloned()),
            }
        }
        let service = service.map(|service| name_of("Service", namespace, service)).unwrap_or_default();
        let state = format!("{} ready", pods.len() + elsewhere.len());
        json!({"state": state, "ok": true, "service": service, "reaches": pods, "elsewhere": elsewhere})
    }
}

/// What `kubectl get pods` would call its status, as far as the page needs it.
fn status(pod: &PodView) -> String {
    let waiting = pod.status.container_statuses.iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        waiting.reason.clone()
    });
    let phase = pod.status.phase.clone().unwrap_or_else(|| "Pending".to_owned());
    let state = pod.status.reason.clone().or(waiting.filter(|_| !pod.is_finished())).unwrap_or(phase);
    match state.as_str() {
        "Running" if !pod.is_ready() => "Running, not ready".to_owned(),
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_shown_with_its_owner_its_node_and_its_state() {
        let pod: PodView = serde_json::from_value(json!({
            "metadata": {"namespace": "a", "name": "web-1",
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": true}]},
            "spec": {"nodeName": "node-1"},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "c", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}))
        .unwrap();
        let expected = json!({"id": "Pod/a/web-1", "kind": "Pod", "namespace": "a", "name": "web-1",
            "owner": "ReplicaSet/a/web", "state": "CrashLoopBackOff", "ok": false, "node": "node-1"});
        assert_eq!(shown(&pod), expected);
    }

    #[test]
    fn a_slice_says_which_pods_its_service_reaches() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"namespace": "a", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "web-1"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "web-2"}},
                {"addresses": ["192.0.2.1"]}]}))
        .unwrap();
        let shown = shown(&slice);
        assert_eq!((&shown["service"], &shown["reaches"]), (&json!("Service/a/web"), &json!(["Pod/a/web-1"])));
        assert_eq!((&shown["elsewhere"], &shown["state"]), (&json!(["192.0.2.1"]), &json!("2 ready")));
    }
}
