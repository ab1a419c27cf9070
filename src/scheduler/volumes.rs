//! Claims, volumes and classes as the scheduler sees them: which nodes can reach a Pod's storage.
//!
//! In: PersistentVolumeClaims, PersistentVolumes and StorageClasses. Out: what the VolumeBinding
//! plugin asks. It binds nothing itself. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::selector::{Labels, NodeSelector};
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
    pub volume_name: String,
    pub class: String,
    pub access_modes: Vec<String>,
    pub bytes: i64,
    pub deleted: bool,
}

/// A volume, compiled.
#[derive(Clone, Debug)]
struct Volume {
    class: String,
    access_modes: Vec<String>,
    bytes: i64,
    claimed_by: Option<(String, String)>,
    nodes: Option<NodeSelector>,
}

#[derive(Clone, Debug)]
struct Class {
    provisioner: String,
    waits_for_consumer: bool,
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
            volume_name: view.spec.volume_name.clone(),
            class: view.spec.storage_class_name.clone().unwrap_or_default(),
            access_modes: view.spec.access_modes.clone(),
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
            class: view.spec.storage_class_name.clone(),
            access_modes: view.spec.access_modes.clone(),
            bytes: storage(Some(&view.spec.capacity)),
            claimed_by: claimed_by
                .map(|it| (it.namespace.clone().unwrap_or_default(), it.name.clone().unwrap_or_default())),
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

    /// Whether an unbound claim could be served on the node: by a free volume or by its provisioner.
    pub fn can_serve(&self, namespace: &str, name: &str, claim: &Claim, node: &str, labels: &Labels) -> bool {
        let provisioned = self.classes.get(&claim.class).is_some_and(|class| class.provisioner != NO_PROVISIONER);
        provisioned
            || self.volumes.values().any(|volume| {
                volume.class == claim.class
                    && volume.bytes >= claim.bytes
                    && claim.access_modes.iter().all(|mode| volume.access_modes.contains(mode))
                    && volume.claimed_by.as_ref().is_none_or(|(space, owner)| space == namespace && owner == name)
                    && volume.nodes.as_ref().is_none_or(|nodes| nodes.matches(node, labels))
            })
    }
}

fn storage(list: Option<&BTreeMap<String, ApiQuantity>>) -> i64 {
    let amount = list.and_then(|list| list.get("storage"));
    amount.and_then(|amount| Quantity::parse(&amount.0).ok()).map_or(0, |amount| amount.value())
}
