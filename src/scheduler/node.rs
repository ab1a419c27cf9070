//! A node as the scheduler sees it: what it has, and what the Pods on it take.
//!
//! In: a Node's JSON and the Pods placed on it. Out: sums kept up to date as Pods come and go, so
//! that a filter is one comparison. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::pod::PodInfo;
use super::resources::Resources;
use super::selector::Labels;
use crate::api::quantity::Quantity;
use crate::client::store::Watched;

/// The parts of a Node's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeView {
    /// Who it is.
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    /// What is wanted of it.
    #[serde(default)]
    pub spec: NodeSpecView,
    /// What it has.
    #[serde(default)]
    pub status: NodeStatusView,
}

crate::view!(NodeView, "", "v1", "Node", "nodes", Cluster);
impl Watched for NodeView {}

impl NodeView {
    /// The node's name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

/// The parts of a Node's spec that scheduling reads.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct NodeSpecView {
    pub unschedulable: bool,
    pub taints: Vec<core::Taint>,
}

/// The parts of a Node's status that scheduling reads.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct NodeStatusView {
    pub allocatable: BTreeMap<String, ApiQuantity>,
    pub images: Vec<core::ContainerImage>,
}

/// A node, compiled, with its Pods.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of the Node's fields")]
pub struct NodeInfo {
    pub name: Arc<str>,
    pub labels: Labels,
    pub taints: Vec<core::Taint>,
    pub unschedulable: bool,
    pub allocatable: Resources,
    /// How many Pods may run here.
    pub allowed_pods: usize,
    /// Bytes by image name.
    pub images: HashMap<String, i64>,
    /// What the Pods here ask for.
    pub requested: Resources,
    /// The sum of their `scored_requests`.
    pub scored: (i64, i64),
    /// The Pods here, assumed ones included.
    pub pods: Vec<Arc<PodInfo>>,
    /// False while Pods name a node that does not exist (yet, or any more).
    pub exists: bool,
}

impl NodeInfo {
    /// Takes over what the Node object says; the Pods stay. True when it matters to scheduling.
    pub fn set(&mut self, view: &NodeView) -> bool {
        let labels = view.metadata.labels.clone().unwrap_or_default();
        let allocatable = Resources::of(Some(&view.status.allocatable));
        let pods = view.status.allocatable.get("pods").and_then(|amount| Quantity::parse(&amount.0).ok());
        let allowed_pods = pods.map_or(0, |amount| amount.value().max(0) as usize);
        let changed = !self.exists
            || self.labels != labels
            || self.taints != view.spec.taints
            || self.unschedulable != view.spec.unschedulable
            || self.allocatable != allocatable
            || self.allowed_pods != allowed_pods;
        self.name = view.name().into();
        self.exists = true;
        self.labels = labels;
        self.taints.clone_from(&view.spec.taints);
        self.unschedulable = view.spec.unschedulable;
        self.allocatable = allocatable;
        self.allowed_pods = allowed_pods;
        self.images = view
            .status
            .images
            .iter()
            .flat_map(|image| {
                let size = image.size_bytes.unwrap_or(0);
                image.names.iter().flatten().map(move |name| (name.clone(), size))
            })
            .collect();
        changed
    }

    /// Counts a Pod in.
    pub fn add(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.scored.0 += pod.scored_requests.0;
        self.scored.1 += pod.scored_requests.1;
        self.pods.push(pod);
    }

    /// Counts a Pod out; returns it if it was here.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let at = self.pods.iter().position(|pod| &*pod.uid == uid)?;
        let pod = self.pods.swap_remove(at);
        self.requested.subtract(&pod.requests);
        self.scored.0 -= pod.scored_requests.0;
        self.scored.1 -= pod.scored_requests.1;
        Some(pod)
    }
}
