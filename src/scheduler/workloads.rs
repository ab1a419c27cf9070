//! Services and owners as the scheduler sees them: which Pods do the same work and should be spread.
//!
//! In: Services, ReplicationControllers, ReplicaSets and StatefulSets. Out: one selector for a Pod that
//! brings no spread constraints of its own; the PodTopologySpread plugin asks for it. It never looks at
//! Pods. Source: Kubernetes document "Pod Topology Spread Constraints", cluster-level defaults.
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as ApiLabelSelector, ObjectMeta};
use serde::Deserialize;

use super::pod::PodInfo;
use super::selector::{LabelSelector, Labels};
use crate::client::store::{ObjectKey, Watched};

/// The kinds whose selectors say which Pods do the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Kind {
    Service,
    ReplicationController,
    ReplicaSet,
    StatefulSet,
}

impl Kind {
    /// The kind an owner reference names, if it is one whose selector counts.
    pub fn of_owner(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version, kind) {
            ("v1", "ReplicationController") => Some(Kind::ReplicationController),
            ("apps/v1", "ReplicaSet") => Some(Kind::ReplicaSet),
            ("apps/v1", "StatefulSet") => Some(Kind::StatefulSet),
            _ => None,
        }
    }
}

/// An object that selects the Pods of one work.
pub trait Workload: Watched {
    /// Its kind.
    const KIND: Kind;
    /// Its selector, compiled.
    fn selector(&self) -> LabelSelector;
}

/// A spec of which only a map of labels is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct EqualSpecView {
    pub selector: Labels,
}

impl EqualSpecView {
    /// Without labels it selects nothing: somebody else fills the Service.
    fn compile(&self) -> LabelSelector {
        let selector = ApiLabelSelector { match_labels: Some(self.selector.clone()), match_expressions: None };
        LabelSelector::new((!self.selector.is_empty()).then_some(&selector))
    }
}

/// A spec of which only a label selector is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct SetSpecView {
    pub selector: Option<ApiLabelSelector>,
}

impl SetSpecView {
    fn compile(&self) -> LabelSelector {
        LabelSelector::new(self.selector.as_ref())
    }
}

/// The parts of a Service's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ServiceView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: EqualSpecView,
}

/// The parts of a ReplicationController's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ReplicationControllerView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: EqualSpecView,
}

/// The parts of a ReplicaSet's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ReplicaSetView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SetSpecView,
}

/// The parts of a StatefulSet's JSON that scheduling reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct StatefulSetView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SetSpecView,
}

crate::view!(ServiceView, "", "v1", "Service", "services", Namespace);
crate::view!(ReplicationControllerView, "", "v1", "ReplicationController", "replicationcontrollers", Namespace);
crate::view!(ReplicaSetView, "apps", "v1", "ReplicaSet", "replicasets", Namespace);
crate::view!(StatefulSetView, "apps", "v1", "StatefulSet", "statefulsets", Namespace);

macro_rules! workload {
    ($view:ident, $kind:ident) => {
        impl Watched for $view {}
        impl Workload for $view {
            const KIND: Kind = Kind::$kind;
            fn selector(&self) -> LabelSelector {
                self.spec.compile()
            }
        }
    };
}

workload!(ServiceView, Service);
workload!(ReplicationControllerView, ReplicationController);
workload!(ReplicaSetView, ReplicaSet);
workload!(StatefulSetView, StatefulSet);

/// All of them, compiled.
#[derive(Clone, Debug, Default)]
pub struct Workloads {
    /// By namespace, then name: a Pod has to ask each Service of its namespace.
    services: HashMap<String, BTreeMap<String, LabelSelector>>,
    owners: HashMap<(Kind, ObjectKey), LabelSelector>,
}

impl Workloads {
    /// One came or changed; `None`: it went.
    pub fn set(&mut self, kind: Kind, key: ObjectKey, selector: Option<LabelSelector>) {
        match (kind, selector) {
            (Kind::Service, Some(selector)) => {
                self.services.entry(key.namespace).or_default().insert(key.name, selector);
            }
            (Kind::Service, None) => {
                if let Some(here) = self.services.get_mut(&key.namespace) {
                    here.remove(&key.name);
                    if here.is_empty() {
                        self.services.remove(&key.namespace);
                    }
                }
            }
            (_, Some(selector)) => _ = self.owners.insert((kind, key), selector),
            (_, None) => _ = self.owners.remove(&(kind, key)),
        }
    }

    /// What selects the Pods that do the same work as this one: the Services that select it and the
    /// owner that made it, all at once. `None` when nobody says.
    pub fn selector(&self, pod: &PodInfo) -> Option<LabelSelector> {
        let services = self.services.get(&*pod.namespace).into_iter().flat_map(BTreeMap::values);
        let owner = pod.owner.as_ref().and_then(|(kind, name)| {
            let key = ObjectKey::new(&*pod.namespace, &**name);
            self.owners.get(&(*kind, key))
        });
        LabelSelector::all_of(services.filter(|selector| selector.matches(&pod.labels)).chain(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::super::plugins::testing::pod;
    use super::*;
    use serde_json::{Value, json};

    fn selector<K: Workload + serde::de::DeserializeOwned>(selector: Value) -> Option<LabelSelector> {
        let view: K = serde_json::from_value(json!({"metadata": {"name": "x"}, "spec": selector})).unwrap();
        Some(view.selector())
    }

    fn workloads() -> Workloads {
        let mut workloads = Workloads::default();
        let here = |name: &str| ObjectKey::new("default", name);
        let web = || selector::<ServiceView>(json!({"selector": {"app": "web"}}));
        workloads.set(Kind::Service, here("web"), web());
        workloads.set(Kind::Service, here("by-hand"), selector::<ServiceView>(json!({})));
        workloads.set(Kind::Service, here("gone"), web());
        workloads.set(Kind::Service, here("gone"), None);
        workloads.set(Kind::Service, ObjectKey::new("other", "all"), web());
        let set = json!({"selector": {"matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "hash", "operator": "In", "values": ["1"]}]}});
        workloads.set(Kind::ReplicaSet, here("web-1"), selector::<ReplicaSetView>(set));
        let controller = json!({"selector": {"app": "old"}});
        workloads.set(Kind::ReplicationController, here("old"), selector::<ReplicationControllerView>(controller));
        workloads
    }

    #[test]
    fn services_and_the_owner_say_together_who_is_alike() {
        let workloads = workloads();
        let owned = |labels: Value, api_version: &str, kind: &str, name: &str, controller: bool| {
            let owner = json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": "u",
                "controller": controller});
            pod("p", json!({"metadata": {"labels": labels, "ownerReferences": [owner]}}))
        };
        let (web, first) = (json!({"app": "web"}), json!({"app": "web", "hash": "1"}));
        let second: Labels = serde_json::from_value(json!({"app": "web", "hash": "2"})).unwrap();
        // Who asks, and whether a Pod of the second revision is like it; None: nobody is.
        for (asks, expected) in [
            (pod("p", json!({})), None),
            (pod("p", json!({"metadata": {"labels": web.clone()}})), Some(true)),
            (pod("p", json!({"metadata": {"labels": web.clone(), "namespace": "far"}})), None),
            (owned(first.clone(), "apps/v1", "ReplicaSet", "web-1", true), Some(false)),
            (owned(first.clone(), "apps/v1", "ReplicaSet", "web-1", false), Some(true)),
            (owned(first.clone(), "apps/v1", "ReplicaSet", "unknown", true), Some(true)),
            (owned(first, "apps/v1", "DaemonSet", "web-1", true), Some(true)),
            (owned(json!({"app": "old"}), "v1", "ReplicationController", "old", true), Some(false)),
        ] {
            let answer = workloads.selector(&asks).map(|selector| selector.matches(&second));
            assert_eq!(answer, expected, "{:?} {:?}", asks.labels, asks.owner);
        }
    }
}
