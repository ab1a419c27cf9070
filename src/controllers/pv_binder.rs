//! Binds claims to volumes, each to the other, and keeps the phase of both.
//!
//! Comes in: PersistentVolumeClaims, PersistentVolumes, StorageClasses, and the Pods that a delayed
//! claim waits for. Goes out: `spec.claimRef` of a volume, `spec.volumeName` of a claim, and both
//! statuses. A claim gets the smallest volume that fits. It makes and erases no volumes: there is
//! no storage behind a playground, so a class with a provisioner waits for that provisioner, and a
//! released volume waits for a person. Source: kube-controller-manager,
//! pkg/controller/volume/persistentvolume. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus,
    PersistentVolumeSpec, PersistentVolumeStatus,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Selector;

use super::owners;
use super::plan::{Action, Note, Plan, Step, reference};
use super::runner::{Moment, Room};
use crate::api::quantity::Quantity;
use crate::client::ObjectKey;
use crate::client::views::{BOUND_BY_CONTROLLER, PodView, SELECTED_NODE};

/// Source: component-helpers/storage/volume, AnnBindCompleted.
const COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// A class whose volumes people make. Source: storage/v1, NotSupportedProvisioner.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Starts the loop. A volume's key has no namespace, a claim's has one.
pub fn start(room: Room) {
    let (claims, volumes) = (room.informer::<PersistentVolumeClaim>(), room.informer::<PersistentVolume>());
    let (classes, pods) = (room.informer::<StorageClass>(), room.informer::<PodView>());
    room.wake_self(&claims);
    room.wake_self(&volumes);
    room.wake(&claims, |claim| volume_name(claim).map(ObjectKey::cluster).into_iter().collect());
    let known = claims.clone();
    room.wake(&volumes, move |volume| match &spec(volume).claim_ref {
        Some(to) => vec![claim_key(to)],
        None => {
            let all = known.all();
            all.iter()
                .filter(|claim| volume_name(claim).is_none())
                .map(|claim| ObjectKey::of(&claim.metadata))
                .collect()
        }
    });
    room.wake(&pods, |pod| {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        pod.claims().map(|claim| ObjectKey::new(namespace.clone(), claim)).collect()
    });
    room.run("persistentvolume-binder-controller", 1, move |key, moment| {
        if key.namespace.is_empty() {
            let Some(volume) = volumes.get(key) else { return Plan::none() };
            let claim = spec(&volume).claim_ref.as_ref().and_then(|to| claims.get(&claim_key(to)));
            return reconcile_volume(&volume, claim.as_deref(), moment);
        }
        let Some(claim) = claims.get(key) else { return Plan::none() };
        let class = wanted(&claim).storage_class_name.filter(|class| !class.is_empty());
        let class = class.map(|name| (classes.get(&ObjectKey::cluster(&name)), name));
        let waiting = pods.in_namespace(&key.namespace).into_iter().filter(|pod| {
            let on_node = pod.spec.node_name.as_deref().is_some_and(|node| !node.is_empty());
            !on_node && !pod.is_finished() && pod.claims().any(|name| name == key.name)
        });
        let waiting: Vec<String> = waiting.filter_map(|pod| pod.metadata.name.clone()).collect();
        let class = class.as_ref().map(|(class, name)| Class { name, found: class.as_deref() });
        reconcile_claim(&claim, &volumes.all(), class.as_ref(), &waiting)
    });
}

/// A claim's class, by name and as it is.
struct Class<'a> {
    name: &'a str,
    found: Option<&'a StorageClass>,
}

fn spec(volume: &PersistentVolume) -> PersistentVolumeSpec {
    volume.spec.clone().unwrap_or_default()
}

fn wanted(claim: &PersistentVolumeClaim) -> PersistentVolumeClaimSpec {
    claim.spec.clone().unwrap_or_default()
}

fn volume_name(claim: &PersistentVolumeClaim) -> Option<String> {
    claim.spec.as_ref()?.volume_name.clone().filter(|name| !name.is_empty())
}

fn claim_key(to: &ObjectReference) -> ObjectKey {
    ObjectKey::new(to.namespace.clone().unwrap_or_default(), to.name.clone().unwrap_or_default())
}

/// Whether the volume is promised to this claim: by name, and by uid where there is one.
fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    spec(volume).claim_ref.is_some_and(|to| {
        let same_uid = to.uid.is_none() || to.uid == claim.metadata.uid;
        claim_key(&to) == ObjectKey::of(&claim.metadata) && same_uid
    })
}

/// What a volume needs done, given the claim it names.
fn reconcile_volume(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>, moment: &Moment) -> Plan {
    let mut plan = Plan::none();
    let name = volume.metadata.name.as_deref();
    let known = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let to = spec(volume).claim_ref;
    let phase = match (&to, claim) {
        (None, _) => "Available",
        // Promised by a person; the claim may come yet.
        (Some(to), None) if to.uid.is_none() => "Available",
        (Some(_), Some(claim)) if is_for(volume, claim) => match volume_name(claim) {
            Some(bound) if Some(bound.as_str()) == name => "Bound",
            _ => known.unwrap_or("Available"),
        },
        _ => "Released",
    };
    if known != Some(phase) {
        let old = volume.status.clone().unwrap_or_default();
        let time = Some(Time(moment.now));
        let status = PersistentVolumeStatus { phase: Some(phase.into()), last_phase_transition_time: time, ..old };
        plan.act(Action::update_sub(&PersistentVolume { status: Some(status), ..volume.clone() }, "status"));
    }
    plan
}

/// What a claim needs done; `waiting` are the Pods that use it and have no node.
fn reconcile_claim(
    claim: &PersistentVolumeClaim,
    volumes: &[Arc<PersistentVolume>],
    class: Option<&Class<'_>>,
    waiting: &[String],
) -> Plan {
    let mut plan = Plan::none();
    let completed = claim.metadata.annotations.as_ref().is_some_and(|notes| notes.contains_key(COMPLETED));
    if let Some(name) = volume_name(claim) {
        let volume = volumes.iter().find(|volume| volume.metadata.name.as_ref() == Some(&name));
        match volume {
            Some(volume) if is_for(volume, claim) || spec(volume).claim_ref.is_none() => bind(claim, volume, &mut plan),
            _ if completed => {
                let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
                if set_status(claim, "Lost", None, &mut plan) {
                    plan.say(Note::warning(reference(claim), "ClaimLost", message));
                }
            }
            _ => drop(set_status(claim, "Pending", None, &mut plan)),
        }
        return plan;
    }
    let mode = class.and_then(|class| class.found?.volume_binding_mode.as_deref());
    // The scheduler promises it a volume, or names the node, once a Pod that uses it gets one.
    let placed = claim.metadata.annotations.as_ref().is_some_and(|notes| notes.contains_key(SELECTED_NODE));
    let delayed = mode == Some("WaitForFirstConsumer") && !placed;
    let promised = volumes.iter().find(|volume| is_for(volume, claim));
    let found = promised.or_else(|| if delayed { None } else { smallest(claim, volumes) });
    if let Some(volume) = found.filter(|_| claim.metadata.deletion_timestamp.is_none()) {
        bind(claim, volume, &mut plan);
        return plan;
    }
    set_status(claim, "Pending", None, &mut plan);
    plan.steps.extend(why(claim, class, delayed.then_some(waiting)).map(Step::Say));
    plan
}

/// Why a claim is not bound; `waits_for` are the Pods without a node that a delayed one waits for.
fn why(claim: &PersistentVolumeClaim, class: Option<&Class<'_>>, waits_for: Option<&[String]>) -> Option<Note> {
    let about = reference(claim);
    let Some(class) = class else {
        let message = "no persistent volumes available for this claim and no storage class is set";
        return Some(Note::normal(about, "FailedBinding", message));
    };
    let Some(found) = class.found else {
        let message = format!("storageclass.storage.k8s.io \"{}\" not found", class.name);
        return Some(Note::warning(about, "ProvisioningFailed", message));
    };
    if let Some(pods) = waits_for {
        let message = match pods {
            [] => {
                let message = "waiting for first consumer to be created before binding";
                return Some(Note::normal(about, "WaitForFirstConsumer", message));
            }
            [pod] => format!("waiting for pod {pod} to be scheduled"),
            pods => format!("waiting for pods {} to be scheduled", pods.join(",")),
        };
        return Some(Note::normal(about, "WaitForPodScheduled", message));
    }
    (found.provisioner != NO_PROVISIONER).then(|| {
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system \
             administrator. If volume creation is delayed, please verify that the provisioner is running and correctly \
             registered.",
            found.provisioner
        );
        Note::normal(about, "ExternalProvisioning", message)
    })
}

/// The smallest free volume that fits. Source: volume/persistentvolume/index.go.
fn smallest<'a>(
    claim: &PersistentVolumeClaim,
    volumes: &'a [Arc<PersistentVolume>],
) -> Option<&'a Arc<PersistentVolume>> {
    let want = wanted(claim);
    let size = want.resources.and_then(|resources| amount(resources.requests?.get("storage")?));
    let selector = want.selector.map(Selector::try_from);
    let mode = |mode: Option<String>| mode.unwrap_or_else(|| "Filesystem".into());
    let fits = |volume: &&Arc<PersistentVolume>| {
        let has = spec(volume);
        let modes = has.access_modes.unwrap_or_default();
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        has.claim_ref.is_none()
            && volume.metadata.deletion_timestamp.is_none()
            && phase == Some("Available")
            && has.storage_class_name.unwrap_or_default() == want.storage_class_name.clone().unwrap_or_default()
            && mode(has.volume_mode) == mode(want.volume_mode.clone())
            && want.access_modes.iter().flatten().all(|mode| modes.contains(mode))
            && size.is_none_or(|size| capacity(volume) >= size)
            && match &selector {
                None => true,
                Some(Ok(selector)) => owners::matches(selector, &volume.metadata),
                Some(Err(_)) => false,
            }
    };
    volumes.iter().filter(fits).min_by_key(|volume| capacity(volume))
}

fn amount(quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Option<Quantity> {
    Quantity::parse(&quantity.0).ok()
}

fn capacity(volume: &PersistentVolume) -> Quantity {
    let storage = volume.spec.as_ref().and_then(|spec| amount(spec.capacity.as_ref()?.get("storage")?));
    storage.unwrap_or(Quantity::ZERO)
}

/// One step of binding both to each other; the rest follows when it shows.
fn bind(claim: &PersistentVolumeClaim, volume: &PersistentVolume, plan: &mut Plan) {
    let to = spec(volume).claim_ref;
    if to.as_ref().is_none_or(|to| to.uid.is_none()) {
        let mut next = volume.clone();
        if to.is_none() {
            next.metadata.annotations.get_or_insert_default().insert(BOUND_BY_CONTROLLER.into(), "yes".into());
        }
        next.spec.get_or_insert_default().claim_ref = Some(reference(claim));
        plan.act(Action::update(&next));
    }
    let completed = claim.metadata.annotations.as_ref().is_some_and(|notes| notes.contains_key(COMPLETED));
    if volume_name(claim).is_none() || !completed {
        let mut next = claim.clone();
        let notes = next.metadata.annotations.get_or_insert_default();
        notes.insert(COMPLETED.into(), "yes".into());
        if volume_name(claim).is_none() {
            notes.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
        }
        next.spec.get_or_insert_default().volume_name = volume.metadata.name.clone();
        plan.act(Action::update(&next));
    } else {
        set_status(claim, "Bound", Some(volume), plan);
    }
}

/// Sets the claim's phase, with what the volume gives it. True when it was another.
fn set_status(claim: &PersistentVolumeClaim, phase: &str, volume: Option<&PersistentVolume>, plan: &mut Plan) -> bool {
    let old = claim.status.clone().unwrap_or_default();
    let mut status = PersistentVolumeClaimStatus { phase: Some(phase.into()), ..old.clone() };
    if let Some(has) = volume.map(spec) {
        status.access_modes = has.access_modes;
        status.capacity = status.capacity.or(has.capacity);
    } else if phase == "Pending" {
        (status.access_modes, status.capacity) = (None, None);
    }
    let changed = status != old;
    if changed {
        plan.act(Action::update_sub(&PersistentVolumeClaim { status: Some(status), ..claim.clone() }, "status"));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn volume(name: &str, size: &str, class: &str) -> Arc<PersistentVolume> {
        let value = json!({
            "metadata": { "name": name, "labels": { "disk": name } },
            "spec": { "capacity": { "storage": size }, "accessModes": ["ReadWriteOnce"], "storageClassName": class },
            "status": { "phase": "Available" },
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn claim(size: &str, mode: &str, class: &str, selector: Value) -> PersistentVolumeClaim {
        let value = json!({
            "metadata": { "name": "data", "namespace": "default", "uid": "c" },
            "spec": {
                "accessModes": [mode], "resources": { "requests": { "storage": size } },
                "storageClassName": class, "selector": selector,
            },
            "status": { "phase": "Pending" },
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_claim_gets_the_smallest_volume_that_fits() {
        let volumes = [volume("big", "10Gi", ""), volume("small", "1Gi", ""), volume("fast", "2Gi", "fast")];
        for (size, mode, class, selector, expected) in [
            ("500Mi", "ReadWriteOnce", "", Value::Null, Some("small")),
            ("2Gi", "ReadWriteOnce", "", Value::Null, Some("big")),
            ("20Gi", "ReadWriteOnce", "", Value::Null, None),
            ("1Gi", "ReadWriteMany", "", Value::Null, None),
            ("1Gi", "ReadWriteOnce", "fast", Value::Null, Some("fast")),
            ("1Gi", "ReadWriteOnce", "", json!({ "matchLabels": { "disk": "big" } }), Some("big")),
        ] {
            let claim = claim(size, mode, class, selector);
            let found = smallest(&claim, &volumes).and_then(|volume| volume.metadata.name.as_deref());
            assert_eq!(found, expected, "{size} {mode} {class}");
        }
    }

    #[test]
    fn both_are_bound_in_steps() {
        let volumes = [volume("v", "1Gi", "")];
        let claim = claim("1Gi", "ReadWriteOnce", "", Value::Null);
        let plan = reconcile_claim(&claim, &volumes, None, &[]);
        let actions = plan.actions();
        assert_eq!(actions[0].body["spec"]["claimRef"]["uid"], "c");
        assert_eq!(actions[1].body["spec"]["volumeName"], "v");
        let volume: PersistentVolume = serde_json::from_value(actions[0].body.clone()).unwrap();
        let claim: PersistentVolumeClaim = serde_json::from_value(actions[1].body.clone()).unwrap();
        let moment = Moment { now: jiff::Timestamp::UNIX_EPOCH, failure: None };
        let phase = |plan: &Plan| plan.actions()[0].body["status"]["phase"].as_str().map(str::to_owned);
        assert_eq!(phase(&reconcile_volume(&volume, Some(&claim), &moment)).as_deref(), Some("Bound"));
        assert_eq!(phase(&reconcile_volume(&volume, None, &moment)).as_deref(), Some("Released"));
        let plan = reconcile_claim(&claim, &[Arc::new(volume)], None, &[]);
        assert_eq!(plan.actions()[0].body["status"]["capacity"]["storage"], "1Gi");
    }

    #[test]
    fn a_delayed_claim_waits_for_its_consumer() {
        let value = json!({ "metadata": { "name": "local" }, "provisioner": NO_PROVISIONER,
            "volumeBindingMode": "WaitForFirstConsumer" });
        let found: StorageClass = serde_json::from_value(value).unwrap();
        let class = Class { name: "local", found: Some(&found) };
        let volumes = [volume("v", "1Gi", "local")];
        let claim = claim("1Gi", "ReadWriteOnce", "local", Value::Null);
        let says = |waiting: &[&str]| {
            let waiting: Vec<String> = waiting.iter().map(|name| (*name).to_owned()).collect();
            let plan = reconcile_claim(&claim, &volumes, Some(&class), &waiting);
            assert!(plan.actions().is_empty());
            let said = plan.steps.into_iter().filter_map(|step| match step {
                Step::Say(note) => Some(note.message),
                _ => None,
            });
            said.collect::<Vec<_>>()
        };
        assert_eq!(says(&[]), ["waiting for first consumer to be created before binding"]);
        assert_eq!(says(&["a"]), ["waiting for pod a to be scheduled"]);
        let mut placed = claim.clone();
        placed.metadata.annotations = Some([(SELECTED_NODE.to_owned(), "node-1".to_owned())].into());
        assert_eq!(reconcile_claim(&placed, &volumes, Some(&class), &[]).actions().len(), 2);
    }
}
