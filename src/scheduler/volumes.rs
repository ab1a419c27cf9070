//! Claims, volumes and classes as the scheduler sees them: which nodes can reach a Pod's storage.
//!
//! In: PersistentVolumeClaims, PersistentVolumes and StorageClasses. Out: what the VolumeBinding
//! plugin asks, and for a Pod that got a node what is to be [promised](Promise) to its claims.
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as core_meta, ObjectMeta};
use serde::Deserialize;

use super::selector::{LabelSelector, Labels, NodeSelector};
use crate::api::quantity::Quantity;
use crate::client::store::{ObjectKey, Watched};

/// The parts of a claim's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ClaimView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: ClaimSpecView,
}

/// The parts of a claim's spec that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ClaimSpecView {
    pub volume_name: String,
    pub storage_class_name: Option<String>,
    pub access_modes: Vec<String>,
    pub volume_mode: Option<String>,
    pub selector: Option<core_meta::LabelSelector>,
    pub resources: core::VolumeResourceRequirements,
}

/// The parts of a volume's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct VolumeView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: VolumeSpecView,
}

/// The parts of a volume's spec that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct VolumeSpecView {
    pub capacity: BTreeMap<String, ApiQuantity>,
    pub access_modes: Vec<String>,
    pub volume_mode: Option<String>,
    pub storage_class_name: String,
    pub claim_ref: Option<core::ObjectReference>,
    pub node_affinity: Option<core::VolumeNodeAffinity>,
}

/// The parts of a storage class's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ClassView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    pub provisioner: String,
    pub volume_binding_mode: Option<String>,
}

crate::view!(ClaimView, "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", Namespace);
crate::view!(VolumeView, "", "v1", "PersistentVolume", "persistentvolumes", Cluster);
crate::view!(ClassView, "storage.k8s.io", "v1", "StorageClass", "storageclasses", Cluster);
impl Watched for ClaimView {}
impl Watched for VolumeView {}
impl Watched for ClassView {}

/// A claim, compiled.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are those of the claim's fields")]
pub struct Claim {
    pub uid: String,
    pub volume_name: String,
    pub class: String,
    pub access_modes: Vec<String>,
    pub block: bool,
    pub selector: Option<LabelSelector>,
    pub bytes: i64,
    pub deleted: bool,
}

/// A volume, compiled.
#[derive(Clone, Debug)]
struct Volume {
    revision: String,
    labels: Labels,
    class: String,
    access_modes: Vec<String>,
    block: bool,
    bytes: i64,
    deleted: bool,
    claimed_by: Option<Claimant>,
    nodes: Option<NodeSelector>,
}

/// Whom a volume is promised to; one that a person promised may have no uid.
#[derive(Clone, Debug)]
struct Claimant {
    namespace: String,
    name: String,
    uid: Option<String>,
}

#[derive(Clone, Debug)]
struct Class {
    provisioner: String,
    waits_for_consumer: bool,
}

/// What an unbound claim of a Pod gets once the Pod has a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A free volume that the node reaches.
    Volume {
        /// The claim's name.
        claim: String,
        /// The claim's uid.
        uid: String,
        /// The volume's name.
        volume: String,
        /// As it was when it was free.
        revision: String,
    },
    /// Whoever makes volumes of its class is told the node.
    Node {
        /// The claim's name.
        claim: String,
    },
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Volumes {
    claims: HashMap<(String, String), Claim>,
    volumes: BTreeMap<String, Volume>,
    classes: HashMap<String, Class>,
}

/// The provisioner of classes whose volumes are made by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

impl Volumes {
    /// A claim came or changed.
    pub fn set_claim(&mut self, view: &ClaimView) {
        let claim = Claim {
            uid: view.metadata.uid.clone().unwrap_or_default(),
            volume_name: view.spec.volume_name.clone(),
            class: view.spec.storage_class_name.clone().unwrap_or_default(),
            access_modes: view.spec.access_modes.clone(),
            block: view.spec.volume_mode.as_deref() == Some("Block"),
            selector: view.spec.selector.as_ref().map(|selector| LabelSelector::new(Some(selector))),
            bytes: storage(view.spec.resources.requests.as_ref()),
            deleted: view.metadata.deletion_timestamp.is_some(),
        };
        let key = ObjectKey::of(&view.metadata);
        self.claims.insert((key.namespace, key.name), claim);
    }

    /// A claim went.
    pub fn remove_claim(&mut self, namespace: &str, name: &str) {
        self.claims.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// A volume came or changed.
    pub fn set_volume(&mut self, view: &VolumeView) {
        let claimed_by = view.spec.claim_ref.as_ref();
        let volume = Volume {
            revision: view.metadata.resource_version.clone().unwrap_or_default(),
            labels: view.metadata.labels.clone().unwrap_or_default(),
            class: view.spec.storage_class_name.clone(),
            access_modes: view.spec.access_modes.clone(),
            block: view.spec.volume_mode.as_deref() == Some("Block"),
            deleted: view.metadata.deletion_timestamp.is_some(),
            bytes: storage(Some(&view.spec.capacity)),
            claimed_by: claimed_by.map(|it| Claimant {
                namespace: it.namespace.clone().unwrap_or_default(),
                name: it.name.clone().unwrap_or_default(),
                uid: it.uid.clone().filter(|uid| !uid.is_empty()),
            }),
            nodes: view.spec.node_affinity.as_ref().and_then(|it| it.required.as_ref()).map(NodeSelector::new),
        };
        self.volumes.insert(ObjectKey::of(&view.metadata).name, volume);
    }

    /// A volume went.
    pub fn remove_volume(&mut self, name: &str) {
        self.volumes.remove(name);
    }

    /// A class came or changed.
    pub fn set_class(&mut self, view: &ClassView) {
        let waits_for_consumer = view.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer");
        let class = Class { provisioner: view.provisioner.clone(), waits_for_consumer };
        self.classes.insert(ObjectKey::of(&view.metadata).name, class);
    }

    /// A class went.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// A claim by namespace and name.
    pub fn claim(&self, namespace: &str, name: &str) -> Option<&Claim> {
        self.claims.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// True when the claim may stay unbound until a Pod that needs it has a node.
    pub fn waits_for_consumer(&self, claim: &Claim) -> bool {
        self.classes.get(&claim.class).is_some_and(|class| class.waits_for_consumer)
    }

    /// Whether the node reaches the bound volume; `None` when the volume does not exist.
    pub fn reaches(&self, volume: &str, node: &str, labels: &Labels) -> Option<bool> {
        let volume = self.volumes.get(volume)?;
        Some(volume.nodes.as_ref().is_none_or(|nodes| nodes.matches(node, labels)))
    }

    /// How a Pod's unbound claims (by name) could all be served on a node: each by the smallest free volume that
    /// fits and that no other of them takes, or by its provisioner. `None` when one of them could not.
    pub fn serve(
        &self,
        namespace: &str,
        claims: &[(&str, &Claim)],
        node: &str,
        labels: &Labels,
    ) -> Option<Vec<Promise>> {
        let mut taken: Vec<&str> = Vec::new();
        let mut promises = Vec::new();
        for (name, claim) in claims {
            let fits = |(known, volume): &(&String, &Volume)| {
                !taken.contains(&known.as_str()) && volume.suits(namespace, name, claim, node, labels)
            };
            if let Some((volume, found)) = self.volumes.iter().filter(fits).min_by_key(|(_, volume)| volume.bytes) {
                taken.push(volume);
                if found.claimed_by.is_none() {
                    promises.push(Promise::Volume {
                        claim: (*name).to_owned(),
                        uid: claim.uid.clone(),
                        volume: volume.clone(),
                        revision: found.revision.clone(),
                    });
                }
            } else if self.classes.get(&claim.class).is_some_and(|class| class.provisioner != NO_PROVISIONER) {
                promises.push(Promise::Node { claim: (*name).to_owned() });
            } else {
                return None;
            }
        }
        Some(promises)
    }

    /// Remembers promises until they show, so that nobody else is promised the same volume.
    pub fn assume(&mut self, namespace: &str, promises: &[Promise]) {
        self.hold(promises, |claim, uid| {
            Some(Claimant { namespace: namespace.to_owned(), name: claim.to_owned(), uid: Some(uid.to_owned()) })
        });
    }

    /// Promises that could not be kept.
    pub fn release(&mut self, promises: &[Promise]) {
        self.hold(promises, |_, _| None);
    }

    fn hold(&mut self, promises: &[Promise], by: impl Fn(&str, &str) -> Option<Claimant>) {
        for promise in promises {
            if let Promise::Volume { claim, uid, volume, revision } = promise
                && let Some(volume) = self.volumes.get_mut(volume)
                && volume.revision == *revision
            {
                volume.claimed_by = by(claim, uid);
            }
        }
    }

    /// True when each of the Pod's claims has its volume.
    pub fn are_bound(&self, namespace: &str, claims: &[String]) -> bool {
        claims.iter().all(|name| self.claim(namespace, name).is_some_and(|claim| !claim.volume_name.is_empty()))
    }
}

impl Volume {
    /// Free, or this claim's already, and as it wants one, where the node reaches it.
    fn suits(&self, namespace: &str, name: &str, claim: &Claim, node: &str, labels: &Labels) -> bool {
        self.class == claim.class
            && !self.deleted
            && self.block == claim.block
            && self.bytes >= claim.bytes
            && claim.access_modes.iter().all(|mode| self.access_modes.contains(mode))
            && claim.selector.as_ref().is_none_or(|selector| selector.matches(&self.labels))
            && self.claimed_by.as_ref().is_none_or(|by| {
                by.namespace == namespace && by.name == name && by.uid.as_ref().is_none_or(|uid| *uid == claim.uid)
            })
            && self.nodes.as_ref().is_none_or(|nodes| nodes.matches(node, labels))
    }
}

fn storage(list: Option<&BTreeMap<String, ApiQuantity>>) -> i64 {
    let amount = list.and_then(|list| list.get("storage"));
    amount.and_then(|amount| Quantity::parse(&amount.0).ok()).map_or(0, |amount| amount.value())
}
