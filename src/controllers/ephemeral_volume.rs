//! Claims for Pods with `ephemeral` volumes: made with the Pod, gone with it.
//!
//! Comes in: Pods and claims. Goes out: one claim for each such volume, named `<pod>-<volume>` and
//! owned by the Pod, so that the garbage collector takes it away again. Source:
//! kube-controller-manager, pkg/controller/volume/ephemeral.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ObjectMeta;

use super::owners;
use super::plan::{Action, Note, Plan, owner_reference, reference};
use super::runner::Room;
use crate::client::ObjectKey;
use crate::client::views::PodView;

/// Source: --concurrent-ephemeralvolume-syncs.
const WORKERS: usize = 5;

/// Starts the loop.
pub fn start(room: Room) {
    let (pods, claims) = (room.informer::<PodView>(), room.informer::<PersistentVolumeClaim>());
    room.wake(&pods, |pod| {
        let some = pod.spec.volumes.iter().any(|volume| volume.ephemeral.is_some());
        some.then(|| ObjectKey::of(&pod.metadata)).into_iter().collect()
    });
    room.wake(&claims, |claim| owners::controller_key(&claim.metadata, "Pod").into_iter().collect());
    room.run("ephemeral-volume-controller", WORKERS, move |key, _| {
        let Some(pod) = pods.get(key) else { return Plan::none() };
        let claim = |name: &str| claims.get(&ObjectKey::new(key.namespace.clone(), name));
        reconcile(&pod, &|name| claim(name).map(|claim| claim.metadata.clone()))
    });
}

/// The claims that a Pod lacks. `claim` finds one in the Pod's namespace.
pub fn reconcile(pod: &PodView, claim: &dyn Fn(&str) -> Option<ObjectMeta>) -> Plan {
    let mut plan = Plan::none();
    if pod.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    for volume in &pod.spec.volumes {
        let Some(template) = volume.ephemeral.as_ref().and_then(|source| source.volume_claim_template.as_ref()) else {
            continue;
        };
        let name = format!("{}-{}", pod.metadata.name.as_deref().unwrap_or_default(), volume.name);
        let about = reference(pod);
        match claim(&name) {
            Some(known) => {
                let ours =
                    owners::controller_of(&known).is_some_and(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref());
                if !ours {
                    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
                    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
                    let words = format!(
                        "ephemeral volume {}: PVC {namespace}/{name} was not created for pod {namespace}/{pod_name} \
                         (pod is not owner)",
                        volume.name
                    );
                    plan.say(Note::warning(about, "FailedBinding", words));
                }
            }
            None => {
                let meta = template.metadata.clone().unwrap_or_default();
                let made = PersistentVolumeClaim {
                    metadata: ObjectMeta {
                        name: Some(name),
                        namespace: pod.metadata.namespace.clone(),
                        labels: meta.labels,
                        annotations: meta.annotations,
                        owner_references: Some(vec![owner_reference(pod)]),
                        ..Default::default()
                    },
                    spec: Some(template.spec.clone()),
                    status: None,
                };
                let words = format!("ephemeral volume {}: create PVC: <err>", volume.name);
                plan.act(Action::create(&made).failed(Note::warning(about, "FailedBinding", words)));
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_is_made_once_and_a_strangers_claim_is_not_taken() {
        let pod: PodView = serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "default", "uid": "p" },
            "spec": { "volumes": [{ "name": "data", "ephemeral": { "volumeClaimTemplate": {
                "metadata": { "labels": { "app": "db" } },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            } } }, { "name": "other" }] },
        }))
        .unwrap();
        let plan = reconcile(&pod, &|_| None);
        let made = plan.actions()[0].body.clone();
        assert_eq!((plan.actions().len(), made["metadata"]["name"].as_str()), (1, Some("db-data")));
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "p");
        let meta: ObjectMeta = serde_json::from_value(made["metadata"].clone()).unwrap();
        assert_eq!(reconcile(&pod, &|_| Some(meta.clone())), Plan::none());
        let stranger = reconcile(&pod, &|_| Some(ObjectMeta::default()));
        assert!(format!("{stranger:?}").contains("was not created for pod default/db"));
    }
}
