//! Attribute classes in use: a VolumeAttributesClass that is being deleted stays while a volume or a
//! claim has its attributes.
//!
//! Comes in: VolumeAttributesClasses, PersistentVolumes, PersistentVolumeClaims. Goes out: the finalizer
//! `kubernetes.io/vac-protection`, set and taken away. Source: kube-controller-manager,
//! pkg/controller/volume/vacprotection. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;

use super::plan::Plan;
use super::pvc_protection::protect;
use super::runner::Room;
use crate::client::ObjectKey;

/// Source: pkg/volume/util/finalizer.go, VACProtectionFinalizer.
const FINALIZER: &str = "kubernetes.io/vac-protection";

/// Starts the loop.
pub fn start(room: Room) {
    let classes = room.informer::<VolumeAttributesClass>();
    let (volumes, claims) = (room.informer::<PersistentVolume>(), room.informer::<PersistentVolumeClaim>());
    room.wake_self(&classes);
    // A user that lets go wakes no class by its new state: all classes are looked at, and they are few.
    let known = classes.clone();
    let every = move || known.all().iter().map(|class| ObjectKey::of(&class.metadata)).collect::<Vec<_>>();
    let again = every.clone();
    room.wake(&volumes, move |_| every());
    room.wake(&claims, move |_| again());
    room.run("volumeattributesclass-protection-controller", 1, move |key, _| {
        classes.get(key).map_or_else(Plan::none, |class| reconcile(&class, &volumes.all(), &claims.all()))
    });
}

/// What a class needs done.
pub fn reconcile(
    class: &VolumeAttributesClass,
    volumes: &[Arc<PersistentVolume>],
    claims: &[Arc<PersistentVolumeClaim>],
) -> Plan {
    let name = class.metadata.name.as_deref();
    let of_volume = |volume: &Arc<PersistentVolume>| {
        volume.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref()) == name
    };
    let of_claim = |claim: &Arc<PersistentVolumeClaim>| {
        let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
        let has = claim.status.as_ref().and_then(|status| status.current_volume_attributes_class_name.as_deref());
        let moving = claim.status.as_ref().and_then(|status| status.modify_volume_status.as_ref());
        let target = moving.and_then(|moving| moving.target_volume_attributes_class_name.as_deref());
        [wanted, has, target].contains(&name)
    };
    protect(class, FINALIZER, || name.is_some() && (volumes.iter().any(of_volume) || claims.iter().any(of_claim)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_class_stays_while_a_claim_has_its_attributes() {
        let class = json!({"driverName": "d", "metadata": {
            "name": "fast", "finalizers": [FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        for (has, actions) in [("fast", 0), ("slow", 1)] {
            let claim = json!({"metadata": {"name": "c"}, "status": {"currentVolumeAttributesClassName": has}});
            let claims = [Arc::new(serde_json::from_value(claim).unwrap())];
            let class = serde_json::from_value(class.clone()).unwrap();
            assert_eq!(reconcile(&class, &[], &claims).actions().len(), actions, "{has}");
        }
    }
}
