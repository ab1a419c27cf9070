//! What loops read of an object: slim types that leave out the rest.
//!
//! A Pod as a full struct is ten times its JSON; loops read a few fields. A view is a plain serde
//! struct whose names are Kubernetes' own; what it does not name is dropped while decoding. Views
//! are for reading: writing one back would lose fields, so writes are patches or full types.
//! [`view!`] makes a struct a `kube::Resource`, so that `kube::Api<PodView>` and informers take it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, NodeAddress, NodeCondition, PersistentVolumeClaimTemplate, PodCondition, PodIP, Taint, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};

use super::shared::Shared;
use super::store::Watched;

/// On a volume or claim that was bound by a loop, not by a person. Source: component-helpers/storage/volume.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a claim: the node that the scheduler chose for the Pod that uses it. Source: the same.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Makes `$view` (which has `metadata: ObjectMeta`) a `kube::Resource` read from `$plural` of
/// `$group/$version`. The scope is `Namespace` or `Cluster`.
#[macro_export]
macro_rules! view {
    ($view:ty, $group:literal, $version:literal, $kind:literal, $plural:literal, $scope:ident) => {
        impl kube::Resource for $view {
            type DynamicType = ();
            type Scope = $crate::__scope!($scope);
            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }
            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

/// The scope's type, for [`view!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __scope {
    (Namespace) => {
        k8s_openapi::NamespaceResourceScope
    };
    (Cluster) => {
        k8s_openapi::ClusterResourceScope
    };
}

pub use crate::view;

/// A Pod, as loops other than the kubelet and the scheduler need it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct PodView {
    /// The usual metadata; `managedFields` is dropped by informers.
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    /// What was asked for.
    pub spec: PodSpecView,
    /// What is.
    pub status: PodStatusView,
}

/// What loops read of a Pod's spec.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpecView {
    /// The node it is bound to.
    pub node_name: Option<String>,
    /// Its host name, where given.
    pub hostname: Option<String>,
    /// Its subdomain (the governing headless Service).
    pub subdomain: Option<String>,
    /// Containers, with their ports only.
    pub containers: Shared<Vec<ContainerView>>,
    /// Init containers (sidecars among them), with their ports only.
    pub init_containers: Shared<Vec<ContainerView>>,
    /// What it tolerates.
    pub tolerations: Shared<Vec<Toleration>>,
    /// `Always`, `OnFailure` or `Never`.
    pub restart_policy: Option<String>,
    /// Where it may be placed.
    pub affinity: Option<Box<Affinity>>,
    /// Requests and limits of the Pod as a whole, where given.
    pub resources: Option<ResourcesView>,
    /// How long it may run.
    pub active_deadline_seconds: Option<i64>,
    /// The class its priority comes from.
    pub priority_class_name: Option<String>,
    /// Volumes, with their claims only.
    pub volumes: Vec<VolumeView>,
}

/// What loops read of a Pod's volume.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeView {
    /// The volume's name in the Pod.
    pub name: String,
    /// The claim it comes from.
    pub persistent_volume_claim: Option<ClaimSourceView>,
    /// Its claim is made for the Pod and named after both.
    pub ephemeral: Option<Box<EphemeralView>>,
}

/// Which claim a volume comes from.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimSourceView {
    /// The claim's name.
    pub claim_name: String,
}

/// That a volume's claim is the Pod's own.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EphemeralView {
    /// The claim to make.
    pub volume_claim_template: Option<PersistentVolumeClaimTemplate>,
}

/// What loops read of a container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// Its declared ports.
    pub ports: Vec<ContainerPortView>,
    /// Requests and limits.
    pub resources: ResourcesView,
    /// `Always` makes an init container a sidecar.
    pub restart_policy: Option<String>,
}

/// A declared port.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPortView {
    /// The port's name, where it has one.
    pub name: Option<String>,
    /// The number in the Pod.
    pub container_port: i32,
    /// `TCP` when absent.
    pub protocol: Option<String>,
}

/// Requests and limits.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResourcesView {
    /// What the scheduler sets aside.
    pub requests: BTreeMap<String, Quantity>,
    /// What the runtime enforces.
    pub limits: BTreeMap<String, Quantity>,
}

/// What loops read of a Pod's status.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatusView {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Option<String>,
    /// A short reason, such as `Evicted`.
    pub reason: Option<String>,
    /// Conditions; `Ready` is the one most loops read.
    pub conditions: Vec<PodCondition>,
    /// The primary address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// All addresses.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIP>,
    /// When the kubelet took it.
    pub start_time: Option<Time>,
    /// Containers, with how often they started.
    pub container_statuses: Vec<ContainerStatusView>,
    /// Init containers, with how often they started.
    pub init_container_statuses: Vec<ContainerStatusView>,
}

/// What loops read of a container's status.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatusView {
    /// The container's name.
    pub name: String,
    /// Starts after the first.
    pub restart_count: i32,
    /// What it does now.
    pub state: Option<k8s_openapi::api::core::v1::ContainerState>,
}

view!(PodView, "", "v1", "Pod", "pods", Namespace);

impl Watched for PodView {
    fn node(&self) -> Option<&str> {
        self.spec.node_name.as_deref().filter(|node| !node.is_empty())
    }

    fn join(&mut self, other: &Self) {
        self.spec.containers.join(&other.spec.containers);
        self.spec.init_containers.join(&other.spec.init_containers);
        self.spec.tolerations.join(&other.spec.tolerations);
    }
}

impl PodView {
    /// Neither finished nor being deleted: such a Pod counts as a replica.
    pub fn is_active(&self) -> bool {
        !self.is_finished() && self.metadata.deletion_timestamp.is_none()
    }

    /// Its containers have all ended, for good.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// The condition of this type.
    pub fn condition(&self, type_: &str) -> Option<&PodCondition> {
        self.status.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// The names of the claims its volumes come from.
    pub fn claims(&self) -> impl Iterator<Item = String> {
        self.spec.volumes.iter().filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(source), _) => Some(source.claim_name.clone()),
            (None, Some(_)) => Some(format!("{}-{}", self.metadata.name.as_deref().unwrap_or_default(), volume.name)),
            (None, None) => None,
        })
    }

    /// Its condition `Ready` is `True`.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready.status == "True")
    }

    /// Ready, and so for at least `min_ready_seconds` at `now`.
    pub fn is_available(&self, min_ready_seconds: i32, now: jiff::Timestamp) -> bool {
        self.available_at(min_ready_seconds).is_some_and(|at| at <= now)
    }

    /// When a ready Pod counts, or counted, as available.
    pub fn available_at(&self, min_ready_seconds: i32) -> Option<jiff::Timestamp> {
        let ready = self.condition("Ready").filter(|ready| ready.status == "True")?;
        if min_ready_seconds == 0 {
            return Some(jiff::Timestamp::MIN);
        }
        let since = ready.last_transition_time.as_ref()?.0;
        since.checked_add(jiff::SignedDuration::from_secs(min_ready_seconds.into())).ok()
    }
}

/// A Node, as loops need it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct NodeView {
    /// The usual metadata.
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    /// What was asked for.
    pub spec: NodeSpecView,
    /// What is.
    pub status: NodeStatusView,
}

/// What loops read of a Node's spec.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSpecView {
    /// What keeps Pods away.
    pub taints: Vec<Taint>,
    /// Cordoned.
    pub unschedulable: bool,
    /// The addresses its Pods get.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<String>,
}

/// What loops read of a Node's status.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatusView {
    /// `Ready` and the pressures.
    pub conditions: Vec<NodeCondition>,
    /// Addresses and names.
    pub addresses: Vec<NodeAddress>,
    /// What Pods may use.
    pub allocatable: BTreeMap<String, Quantity>,
}

view!(NodeView, "", "v1", "Node", "nodes", Cluster);

impl Watched for NodeView {}

impl NodeView {
    /// The node's name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The condition of this type.
    pub fn condition(&self, type_: &str) -> Option<&NodeCondition> {
        self.status.conditions.iter().find(|condition| condition.type_ == type_)
    }
}
