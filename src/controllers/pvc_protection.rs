//! Claims in use: a claim that is being deleted stays while a Pod on a node uses it.
//!
//! Comes in: PersistentVolumeClaims and Pods. Goes out: the finalizer
//! `kubernetes.io/pvc-protection`, set and taken away. Source: kube-controller-manager,
//! pkg/controller/volume/pvcprotection. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Resource;
use serde::Serialize;

use super::plan::{Action, Plan};
use super::runner::Room;
use crate::client::ObjectKey;
use crate::client::views::PodView;

/// Source: pkg/volume/util/finalizer.go, PVCProtectionFinalizer.
const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// Starts the loop.
pub fn start(room: Room) {
    let (claims, pods) = (room.informer::<PersistentVolumeClaim>(), room.informer::<PodView>());
    room.wake_self(&claims);
    room.wake(&pods, |pod| {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        pod.claims().map(|claim| ObjectKey::new(namespace.clone(), claim)).collect()
    });
    room.run("persistentvolumeclaim-protection-controller", 1, move |key, _| {
        claims.get(key).map_or_else(Plan::none, |claim| reconcile(&claim, &pods.in_namespace(&key.namespace)))
    });
}

/// What a claim needs done. A Pod without a node does not count: no kubelet starts it with a claim
/// that is on its way out.
pub fn reconcile(claim: &PersistentVolumeClaim, pods: &[Arc<PodView>]) -> Plan {
    let name = claim.metadata.name.clone().unwrap_or_default();
    let assigned = |pod: &PodView| pod.spec.node_name.as_deref().is_some_and(|node| !node.is_empty());
    let used = || pods.iter().any(|pod| assigned(pod) && pod.claims().any(|known| known == name));
    protect(claim, FINALIZER, used)
}

/// Sets a finalizer on what is not being deleted, and takes it from what is and is not used.
pub fn protect<K>(object: &K, finalizer: &str, used: impl Fn() -> bool) -> Plan
where
    K: Resource<DynamicType = ()> + Serialize + Clone,
{
    let mut plan = Plan::none();
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    let known = finalizers.iter().position(|known| known == finalizer);
    match (object.meta().deletion_timestamp.is_some(), known) {
        (false, None) => finalizers.push(finalizer.to_owned()),
        (true, Some(at)) if !used() => drop(finalizers.remove(at)),
        _ => return plan,
    }
    let mut next = object.clone();
    next.meta_mut().finalizers = Some(finalizers);
    plan.act(Action::update(&next));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_stays_while_a_pod_on_a_node_uses_it() {
        for (leaving, held, node, finalizers) in [
            (false, false, "", Some(json!([FINALIZER]))),
            (false, true, "n1", None),
            (true, true, "n1", None),
            (true, true, "", Some(json!([]))),
            (true, false, "", None),
        ] {
            let claim = json!({ "metadata": {
                "name": "data",
                "deletionTimestamp": leaving.then_some("2026-01-01T00:00:00Z"),
                "finalizers": held.then(|| json!([FINALIZER])),
            } });
            let volumes = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "data" } }]);
            let pod = json!({ "metadata": { "name": "p" }, "spec": { "nodeName": node, "volumes": volumes } });
            let pods = [Arc::new(serde_json::from_value(pod).unwrap())];
            let plan = reconcile(&serde_json::from_value(claim).unwrap(), &pods);
            let written = plan.actions().first().map(|action| action.body["metadata"]["finalizers"].clone());
            assert_eq!(written, finalizers, "{leaving} {held} {node}");
        }
    }
}
