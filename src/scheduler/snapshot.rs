//! The cluster as scheduling sees it, kept up to date one event at a time.
//!
//! In: Pods, Nodes, Namespaces, volumes and workloads as they come and go. Out: what `schedule` reads. Nothing
//! is copied for a cycle: one task owns the snapshot, changes it between cycles and lends it to the
//! pure function during one. Pods that look alike to a selector are counted in one [`Group`], so that
//! a question about "Pods like these, by zone" costs the number of templates, not of Pods.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::node::{NodeInfo, NodeView};
use super::pod::{PodAffinity, PodInfo};
use super::selector::{LabelSelector, Labels};
use super::topology::{Topologies, Topology};
use super::volumes::{Claim, Promise, Volumes};
use super::workloads::Workloads;
use crate::client::store::Watched;

/// A node's place in [`Snapshot::nodes`]; reused after the node and its Pods are gone.
pub type NodeIndex = usize;

/// What makes Pods alike to selectors and affinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    namespace: Arc<str>,
    labels: Arc<Labels>,
    affinity: Arc<PodAffinity>,
    terminating: bool,
}

/// Pods that look alike, counted by node.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are those of the Pod's fields")]
pub struct Group {
    pub namespace: Arc<str>,
    pub labels: Arc<Labels>,
    pub affinity: Arc<PodAffinity>,
    pub terminating: bool,
    /// How many of them each node has; never 0.
    pub counts: HashMap<NodeIndex, usize>,
}

/// The parts of a PodDisruptionBudget's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct BudgetView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: BudgetSpecView,
    #[serde(default)]
    pub status: BudgetStatusView,
}

crate::view!(BudgetView, "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", Namespace);
impl Watched for BudgetView {}

/// The parts of a budget's spec that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct BudgetSpecView {
    pub selector: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
}

/// The parts of a budget's status that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct BudgetStatusView {
    pub disruptions_allowed: i64,
}

/// A disruption budget, compiled.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Namespace and name.
    pub key: String,
    namespace: String,
    selector: LabelSelector,
    /// How many more Pods may go now.
    pub allowed: i64,
}

impl Budget {
    /// True when the budget protects this Pod.
    pub fn covers(&self, pod: &PodInfo) -> bool {
        *pod.namespace == *self.namespace && self.selector.matches(&pod.labels)
    }
}

/// The cluster.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    nodes: Vec<NodeInfo>,
    by_name: HashMap<Arc<str>, NodeIndex>,
    /// The existing nodes, in the order they are tried.
    order: Vec<NodeIndex>,
    free: Vec<NodeIndex>,
    placed: HashMap<Arc<str>, NodeIndex>,
    groups: BTreeMap<Alike, Group>,
    topologies: Topologies,
    namespaces: HashMap<String, Labels>,
    image_nodes: HashMap<String, usize>,
    nominated: HashMap<Arc<str>, (Arc<PodInfo>, Arc<str>)>,
    budgets: BTreeMap<String, Budget>,
    /// Claims, volumes and classes.
    pub volumes: Volumes,
    /// Services and owners.
    pub workloads: Workloads,
}

impl Snapshot {
    /// The existing nodes with their places, in the order they are tried.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeIndex, &NodeInfo)> {
        self.order.iter().map(|index| (*index, &self.nodes[*index]))
    }

    /// A node by its place.
    pub fn node(&self, index: NodeIndex) -> &NodeInfo {
        &self.nodes[index]
    }

    /// What the Pod's unbound claims are to be promised on this node, where it fits; `None` when it has no such claims.
    pub fn promises(&self, pod: &PodInfo, node: &str) -> Option<Vec<Promise>> {
        let claims = pod.claims.iter().filter_map(|name| Some((&**name, self.volumes.claim(&pod.namespace, name)?)));
        let unbound: Vec<(&str, &Claim)> = claims.filter(|(_, claim)| claim.volume_name.is_empty()).collect();
        let index = self.find(node).filter(|_| !unbound.is_empty())?;
        let node = self.node(index);
        self.volumes.serve(&pod.namespace, &unbound, &node.name, &node.labels)
    }

    /// An existing node's place by its name.
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        self.by_name.get(name).copied().filter(|index| self.nodes[*index].exists)
    }

    /// Pods by likeness.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The domains of a label key among the nodes.
    pub fn topology(&self, key: &str) -> &Topology {
        static NONE: LazyLock<Topology> = LazyLock::new(Topology::default);
        self.topologies.get(key).unwrap_or(&NONE)
    }

    /// Pods for which others were evicted, and the place they wait for.
    pub fn nominated(&self) -> impl Iterator<Item = (&Arc<PodInfo>, NodeIndex)> {
        self.nominated.values().filter_map(|(pod, node)| Some((pod, self.find(node)?)))
    }

    /// Remembers that a Pod waits for room on a node; `None`: it waits no more.
    pub fn nominate(&mut self, pod: &Arc<PodInfo>, node: Option<&str>) {
        match node {
            Some(node) => self.nominated.insert(pod.uid.clone(), (pod.clone(), node.into())),
            None => self.nominated.remove(&pod.uid),
        };
    }

    /// The disruption budgets.
    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.values()
    }

    /// A disruption budget came or changed.
    pub fn set_budget(&mut self, view: &BudgetView) {
        let namespace = view.metadata.namespace.clone().unwrap_or_default();
        let key = format!("{namespace}/{}", view.metadata.name.as_deref().unwrap_or_default());
        let budget = Budget {
            key: key.clone(),
            namespace,
            selector: LabelSelector::new(view.spec.selector.as_ref()),
            allowed: view.status.disruptions_allowed,
        };
        self.budgets.insert(key, budget);
    }

    /// A disruption budget went.
    pub fn remove_budget(&mut self, namespace: &str, name: &str) {
        self.budgets.remove(&format!("{namespace}/{name}"));
    }

    /// The labels of a namespace; empty when it is not known.
    pub fn namespace_labels(&self, namespace: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.namespaces.get(namespace).unwrap_or(&NONE)
    }

    /// How many nodes have an image.
    pub fn nodes_with_image(&self, image: &str) -> usize {
        self.image_nodes.get(image).copied().unwrap_or(0)
    }

    /// A node came or changed. True when the change matters to scheduling.
    pub fn set_node(&mut self, view: &NodeView) -> bool {
        let index = self.slot(view.name());
        let new = !self.nodes[index].exists;
        self.count_images(index, false);
        let labels = self.nodes[index].labels.clone();
        let changed = self.nodes[index].set(view);
        self.topologies.relabel(index, &labels, &self.nodes[index].labels);
        self.count_images(index, true);
        if new {
            let name = self.nodes[index].name.clone();
            let at = self.order.partition_point(|other| self.nodes[*other].name < name);
            self.order.insert(at, index);
        }
        changed
    }

    /// A node went. Its Pods stay counted until they go too.
    pub fn remove_node(&mut self, name: &str) {
        let Some(index) = self.find(name) else { return };
        self.count_images(index, false);
        self.topologies.relabel(index, &self.nodes[index].labels, &Labels::new());
        let pods = std::mem::take(&mut self.nodes[index].pods);
        self.nodes[index] = NodeInfo { name: name.into(), ..NodeInfo::default() };
        for pod in pods {
            self.nodes[index].add(pod);
        }
        self.order.retain(|other| *other != index);
        self.release(index);
    }

    /// A Pod was placed on a node, or a placed Pod changed.
    pub fn set_pod(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.remove_pod(&pod.uid);
        let index = self.slot(node);
        self.placed.insert(pod.uid.clone(), index);
        let alike = alike(&pod);
        let group = self.groups.entry(alike).or_insert_with(|| Group {
            namespace: pod.namespace.clone(),
            labels: pod.labels.clone(),
            affinity: pod.affinity.clone(),
            terminating: pod.terminating,
            counts: HashMap::new(),
        });
        *group.counts.entry(index).or_insert(0) += 1;
        self.nodes[index].add(pod);
    }

    /// A placed Pod went (or ended); returns it if it was here.
    pub fn remove_pod(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let index = self.placed.remove(uid)?;
        let pod = self.nodes[index].remove(uid)?;
        let alike = alike(&pod);
        if let Some(group) = self.groups.get_mut(&alike) {
            if let Some(count) = group.counts.get_mut(&index) {
                *count -= 1;
                if *count == 0 {
                    group.counts.remove(&index);
                }
            }
            if group.counts.is_empty() {
                self.groups.remove(&alike);
            }
        }
        self.release(index);
        Some(pod)
    }

    /// Where a Pod is placed (or assumed to be).
    pub fn placement(&self, uid: &str) -> Option<&NodeInfo> {
        self.placed.get(uid).map(|index| &self.nodes[*index])
    }

    /// A namespace came or changed; `None`: it went.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
    }

    fn slot(&mut self, name: &str) -> NodeIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let node = NodeInfo { name: name.into(), ..NodeInfo::default() };
        let index = self.free.pop().unwrap_or(self.nodes.len());
        self.by_name.insert(node.name.clone(), index);
        if index == self.nodes.len() {
            self.nodes.push(node);
        } else {
            self.nodes[index] = node;
        }
        index
    }

    fn release(&mut self, index: NodeIndex) {
        let node = &self.nodes[index];
        if !node.exists && node.pods.is_empty() && self.by_name.remove(&*node.name.clone()).is_some() {
            self.free.push(index);
        }
    }

    fn count_images(&mut self, index: NodeIndex, here: bool) {
        for image in self.nodes[index].images.keys() {
            match self.image_nodes.get_mut(image) {
                Some(count) if here => *count += 1,
                Some(count) => *count = count.saturating_sub(1),
                None if here => _ = self.image_nodes.insert(image.clone(), 1),
                None => {}
            }
        }
    }
}

fn alike(pod: &PodInfo) -> Alike {
    Alike {
        namespace: pod.namespace.clone(),
        labels: pod.labels.clone(),
        affinity: pod.affinity.clone(),
        terminating: pod.terminating,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn node(name: &str) -> NodeView {
        let allocatable = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"allocatable": allocatable}})).unwrap()
    }

    fn pod(number: usize) -> Arc<PodInfo> {
        let view = json!({
            "metadata": {"name": format!("p{number}"), "namespace": "default", "uid": format!("u{number}"),
                "labels": {"app": format!("a{}", number % 3)}},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]},
        });
        Arc::new(PodInfo::new(&serde_json::from_value(view).unwrap()))
    }

    proptest! {
        /// Whatever comes and goes in whatever order, the sums are those of the Pods that are there.
        #[test]
        fn sums_are_those_of_the_pods_that_are_there(steps in prop::collection::vec((0..4usize, 0..6usize, 0..3usize), 0..60)) {
            let mut snapshot = Snapshot::default();
            let mut model: BTreeMap<usize, usize> = BTreeMap::new();
            for (verb, number, place) in steps {
                let name = format!("n{place}");
                match verb {
                    0 => { snapshot.set_node(&node(&name)); }
                    1 => snapshot.remove_node(&name),
                    2 => { snapshot.set_pod(pod(number), &name); model.insert(number, place); }
                    _ => { snapshot.remove_pod(&format!("u{number}")); model.remove(&number); }
                }
                for (_, info) in snapshot.nodes() {
                    let here = model.values().filter(|place| *info.name == *format!("n{place}")).count();
                    prop_assert_eq!(info.pods.len(), here);
                    prop_assert_eq!(info.requested.cpu_millis, here as i64 * 100);
                }
                let grouped: usize = snapshot.groups().flat_map(|group| group.counts.values()).sum();
                prop_assert_eq!(grouped, model.len());
            }
        }
    }
}
