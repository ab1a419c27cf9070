//! What the scheduler reads of a Pod's JSON, as Kubernetes names it.
//!
//! In: the API's JSON. Out: a [`PodView`], from which `pod.rs` compiles what decisions need. It is not kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::selector::Labels;

/// The parts of a Pod's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PodView {
    /// Who it is.
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    /// What it asks for.
    pub spec: SpecView,
    /// How far it is.
    #[serde(default)]
    pub status: StatusView,
}

/// The parts of a Pod's spec that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct SpecView {
    pub node_name: Option<String>,
    pub scheduler_name: Option<String>,
    pub scheduling_gates: Vec<core::PodSchedulingGate>,
    pub priority: Option<i32>,
    pub preemption_policy: Option<String>,
    pub containers: Vec<ContainerView>,
    pub init_containers: Vec<ContainerView>,
    pub overhead: BTreeMap<String, ApiQuantity>,
    pub resources: Option<core::ResourceRequirements>,
    pub host_network: bool,
    pub tolerations: Vec<core::Toleration>,
    pub node_selector: Labels,
    pub affinity: Option<core::Affinity>,
    pub topology_spread_constraints: Vec<core::TopologySpreadConstraint>,
    pub volumes: Vec<VolumeView>,
}

/// The parts of a container that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ContainerView {
    pub image: Option<String>,
    pub resources: Option<core::ResourceRequirements>,
    pub ports: Vec<core::ContainerPort>,
    pub restart_policy: Option<String>,
}

/// The parts of a volume that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct VolumeView {
    pub name: String,
    pub persistent_volume_claim: Option<core::PersistentVolumeClaimVolumeSource>,
    pub ephemeral: Option<serde::de::IgnoredAny>,
}

/// The parts of a Pod's status that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct StatusView {
    pub phase: String,
    pub nominated_node_name: Option<String>,
    pub start_time: Option<Timestamp>,
    pub conditions: Vec<ConditionView>,
}

/// One condition of a Pod's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ConditionView {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub reason: String,
    pub message: String,
}
