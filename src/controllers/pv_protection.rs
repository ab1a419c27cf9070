//! Volumes in use: a volume that is being deleted stays while a claim is bound to it.
//!
//! Comes in: PersistentVolumes. Goes out: the finalizer `kubernetes.io/pv-protection`, set and taken
//! away. Source: kube-controller-manager, pkg/controller/volume/pvprotection.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use k8s_openapi::api::core::v1::PersistentVolume;

use super::plan::Plan;
use super::pvc_protection::protect;
use super::runner::Room;

/// Source: pkg/volume/util/finalizer.go, PVProtectionFinalizer.
const FINALIZER: &str = "kubernetes.io/pv-protection";

/// Starts the loop.
pub fn start(room: Room) {
    let volumes = room.informer::<PersistentVolume>();
    room.wake_self(&volumes);
    room.run("persistentvolume-protection-controller", 1, move |key, _| {
        volumes.get(key).map_or_else(Plan::none, |volume| reconcile(&volume))
    });
}

/// What a volume needs done.
pub fn reconcile(volume: &PersistentVolume) -> Plan {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    protect(volume, FINALIZER, || phase == Some("Bound"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bound_volume_stays() {
        for (phase, actions) in [("Bound", 0), ("Released", 1)] {
            let value = json!({
                "metadata": {
                    "name": "v", "finalizers": [FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z",
                },
                "status": { "phase": phase },
            });
            assert_eq!(reconcile(&serde_json::from_value(value).unwrap()).actions().len(), actions, "{phase}");
        }
    }
}
