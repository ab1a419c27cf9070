//! A Pod as the scheduler sees it: what it asks for, compiled once.
//!
//! In: a Pod's JSON, as a [`PodView`]. Out: [`PodInfo`], made once for each version and shared by the
//! informer, the queue, the snapshot and the plugins. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::pod_view::{ContainerView, PodView, SpecView};
use super::resources::Resources;
use super::selector::{LabelSelector, Labels, NodeSelector, NodeTerm};
use super::workloads::Kind;
use crate::client::store::Watched;
use crate::client::{cause, shared};

/// A Pod as the scheduler's informer keeps it: compiled, and no more metadata than tells versions apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "PodView")]
pub struct KnownPod {
    /// Its names, its uid and its version.
    pub metadata: ObjectMeta,
    /// What scheduling reads.
    pub info: Arc<PodInfo>,
    /// Whether all its containers have ended, for good.
    pub finished: bool,
    /// The scheduler it asks for, where it asks for one.
    pub scheduler: Option<String>,
}

crate::view!(KnownPod, "", "v1", "Pod", "pods", Namespace);

impl Watched for KnownPod {
    /// Nobody else has the new one yet, so it can still be changed.
    fn join(&mut self, other: &Self) {
        let Some(info) = Arc::get_mut(&mut self.info) else { return };
        shared::join(&mut info.labels, &other.info.labels);
        shared::join(&mut info.tolerations, &other.info.tolerations);
        shared::join(&mut info.affinity, &other.info.affinity);
        shared::join(&mut info.images, &other.info.images);
    }
}

impl From<PodView> for KnownPod {
    fn from(view: PodView) -> Self {
        let info = Arc::new(PodInfo::new(&view));
        let ObjectMeta { name, namespace, uid, resource_version, .. } = view.metadata;
        KnownPod {
            metadata: ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() },
            info,
            finished: matches!(view.status.phase.as_str(), "Succeeded" | "Failed"),
            scheduler: view.spec.scheduler_name.filter(|name| !name.is_empty()),
        }
    }
}

/// A port that a Pod wants on the node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// `0.0.0.0` when not given.
    pub ip: String,
    /// `TCP` when not given.
    pub protocol: String,
    /// The port.
    pub port: i32,
}

impl HostPort {
    /// True when both cannot be had on one node.
    pub fn conflicts(&self, other: &HostPort) -> bool {
        let any = |port: &HostPort| port.ip == "0.0.0.0";
        self.port == other.port && self.protocol == other.protocol && (self.ip == other.ip || any(self) || any(other))
    }
}

/// One term of Pod affinity or anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AffinityTerm {
    selector: LabelSelector,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    /// The node label whose equal values make a topology domain.
    pub topology_key: String,
}

impl AffinityTerm {
    fn new(term: &core::PodAffinityTerm, namespace: &str) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        AffinityTerm {
            selector: LabelSelector::new(term.label_selector.as_ref()),
            namespaces,
            namespace_selector: term.namespace_selector.as_ref().map(|it| LabelSelector::new(Some(it))),
            topology_key: term.topology_key.clone(),
        }
    }

    /// True when the term speaks of a Pod with these labels in this namespace.
    pub fn matches(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        let here = self.namespaces.iter().any(|name| name == namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| selector.matches(namespace_labels));
        here && self.selector.matches(labels)
    }
}

/// A Pod's affinity to other Pods, compiled. Pods of one template share equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct PodAffinity {
    pub required: Vec<AffinityTerm>,
    pub preferred: Vec<(i32, AffinityTerm)>,
    pub anti_required: Vec<AffinityTerm>,
    pub anti_preferred: Vec<(i32, AffinityTerm)>,
}

/// One topology spread constraint, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct Spread {
    pub topology_key: String,
    pub max_skew: i64,
    pub min_domains: usize,
    pub selector: LabelSelector,
    /// `whenUnsatisfiable: DoNotSchedule`; otherwise ScheduleAnyway.
    pub required: bool,
    pub honor_affinity: bool,
    pub honor_taints: bool,
}

impl Spread {
    /// A constraint that only ranks, with the policies a constraint has when it names none.
    pub fn preferred(topology_key: &str, max_skew: i64, selector: LabelSelector) -> Self {
        Spread {
            topology_key: topology_key.to_owned(),
            max_skew,
            min_domains: 1,
            selector,
            required: false,
            honor_affinity: true,
            honor_taints: false,
        }
    }

    fn new(constraint: &core::TopologySpreadConstraint, labels: &Labels) -> Self {
        let mut selector = LabelSelector::new(constraint.label_selector.as_ref());
        for key in constraint.match_label_keys.iter().flatten() {
            if let Some(value) = labels.get(key) {
                selector.and_equals(key, value);
            }
        }
        Spread {
            topology_key: constraint.topology_key.clone(),
            max_skew: constraint.max_skew.into(),
            min_domains: constraint.min_domains.map_or(1, |count| count.max(1) as usize),
            selector,
            required: constraint.when_unsatisfiable == "DoNotSchedule",
            honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }
}

/// What a Pod without requests counts as when nodes are ranked, so that it is not free.
const DEFAULT_CPU_MILLIS: i64 = 100;
const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// A Pod, compiled.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of the Pod's fields")]
pub struct PodInfo {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    /// The revision this was compiled from: the cause of what is written about the Pod.
    pub revision: Option<u64>,
    /// What the condition PodScheduled=False says now.
    pub told: Option<String>,
    pub labels: Arc<Labels>,
    pub generation: i64,
    pub created: Timestamp,
    pub started: Option<Timestamp>,
    pub terminating: bool,
    /// The workload that made it.
    pub owner: Option<(Kind, Arc<str>)>,
    pub node_name: Option<Arc<str>>,
    pub nominated_node: Option<Arc<str>>,
    pub gates: Vec<String>,
    pub priority: i32,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    pub requests: Resources,
    /// CPU in millis and memory in bytes, with a minimum for containers that ask for none.
    pub scored_requests: (i64, i64),
    pub ports: Vec<HostPort>,
    pub tolerations: Arc<Vec<core::Toleration>>,
    pub node_selector: Labels,
    pub node_required: Option<NodeSelector>,
    pub node_preferred: Vec<(i64, NodeTerm)>,
    pub affinity: Arc<PodAffinity>,
    pub spread: Vec<Spread>,
    pub images: Arc<Vec<String>>,
    pub claims: Vec<String>,
}

impl PodInfo {
    /// Compiles a Pod.
    pub fn new(view: &PodView) -> Self {
        let (meta, spec) = (&view.metadata, &view.spec);
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let labels = meta.labels.clone().unwrap_or_default();
        let told = view.status.conditions.iter().find(|it| it.kind == "PodScheduled" && it.status == "False");
        let node_affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let preferred = node_affinity.and_then(|it| it.preferred_during_scheduling_ignored_during_execution.as_ref());
        let every_container = || spec.init_containers.iter().chain(&spec.containers);
        PodInfo {
            namespace: namespace.into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            revision: cause::revision(meta),
            generation: meta.generation.unwrap_or(0),
            created: meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            told: told.map(|it| it.message.clone()),
            started: view.status.start_time,
            terminating: meta.deletion_timestamp.is_some(),
            owner: owner(meta),
            node_name: spec.node_name.as_deref().filter(|name| !name.is_empty()).map(Into::into),
            nominated_node: view.status.nominated_node_name.as_deref().map(Into::into),
            gates: spec.scheduling_gates.iter().map(|gate| gate.name.clone()).collect(),
            priority: spec.priority.unwrap_or(0),
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            requests: pod_requests(spec, |requests| requests),
            scored_requests: scored_requests(spec),
            ports: host_ports(spec),
            tolerations: Arc::new(spec.tolerations.clone()),
            node_selector: spec.node_selector.clone(),
            node_required: node_affinity
                .and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref())
                .map(NodeSelector::new),
            node_preferred: preferred
                .into_iter()
                .flatten()
                .map(|term| (term.weight.into(), NodeTerm::new(&term.preference)))
                .collect(),
            affinity: Arc::new(pod_affinity(spec, namespace)),
            spread: spec.topology_spread_constraints.iter().map(|it| Spread::new(it, &labels)).collect(),
            labels: Arc::new(labels),
            images: Arc::new(every_container().filter_map(|it| it.image.clone()).collect()),
            claims: claims(view),
        }
    }

    /// True when the node's name and labels satisfy nodeSelector and the required node affinity.
    pub fn selects(&self, name: &str, labels: &Labels) -> bool {
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.node_required.as_ref().is_none_or(|selector| selector.matches(name, labels))
    }

    /// True when neither selector nor affinity leaves a node out.
    pub fn selects_all(&self) -> bool {
        self.node_selector.is_empty() && self.node_required.is_none()
    }

    /// True when one of the tolerations covers the taint.
    pub fn tolerates(&self, taint: &core::Taint) -> bool {
        self.tolerations.iter().any(|toleration| covers(toleration, taint))
    }
}

fn owner(meta: &ObjectMeta) -> Option<(Kind, Arc<str>)> {
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    Some((Kind::of_owner(&owner.api_version, &owner.kind)?, owner.name.as_str().into()))
}

/// Source: Kubernetes document "Taints and Tolerations".
fn covers(toleration: &core::Toleration, taint: &core::Taint) -> bool {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let effect = given(&toleration.effect).is_none_or(|effect| effect == taint.effect);
    let key = given(&toleration.key).is_none_or(|key| key == taint.key);
    let value = match given(&toleration.operator).as_deref() {
        Some("Exists") => true,
        None | Some("Equal") => {
            toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        Some(_) => false,
    };
    effect && key && value
}

/// What a Pod takes of its node: the sum of its containers and sidecars, or what the hungriest init
/// container needs beside the sidecars that started before it; plus the overhead of its sandbox.
/// Source: Kubernetes documents "Init Containers" and "Sidecar Containers", resource sharing.
fn pod_requests(spec: &SpecView, adjust: impl Fn(Resources) -> Resources) -> Resources {
    let requests = |container: &ContainerView| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        adjust(Resources::of(requests))
    };
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&requests(container));
    }
    let (mut sidecars, mut starting) = (Resources::default(), Resources::default());
    for container in &spec.init_containers {
        let mut needed = requests(container);
        if container.restart_policy.as_deref() == Some("Always") {
            running.add(&needed);
            sidecars.add(&needed);
            needed = sidecars.clone();
        } else {
            needed.add(&sidecars);
        }
        starting.raise(&needed);
    }
    running.raise(&starting);
    let pod_level = Resources::of(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    if pod_level.cpu_millis > 0 {
        running.cpu_millis = pod_level.cpu_millis;
    }
    if pod_level.memory_bytes > 0 {
        running.memory_bytes = pod_level.memory_bytes;
    }
    running.add(&Resources::of(Some(&spec.overhead)));
    running
}

fn scored_requests(spec: &SpecView) -> (i64, i64) {
    let scored = pod_requests(spec, |mut requests| {
        if requests.cpu_millis == 0 {
            requests.cpu_millis = DEFAULT_CPU_MILLIS;
        }
        if requests.memory_bytes == 0 {
            requests.memory_bytes = DEFAULT_MEMORY_BYTES;
        }
        requests
    });
    (scored.cpu_millis, scored.memory_bytes)
}

fn host_ports(spec: &SpecView) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().filter(|it| it.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
    let wanted = ports.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
        Some(HostPort { ip, protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), port: number })
    });
    wanted.collect()
}

fn pod_affinity(spec: &SpecView, namespace: &str) -> PodAffinity {
    let Some(affinity) = &spec.affinity else { return PodAffinity::default() };
    let term = |term: &core::PodAffinityTerm| AffinityTerm::new(term, namespace);
    let weighted = |it: &core::WeightedPodAffinityTerm| (it.weight, term(&it.pod_affinity_term));
    let mut compiled = PodAffinity::default();
    if let Some(with) = &affinity.pod_affinity {
        let required = with.required_during_scheduling_ignored_during_execution.iter().flatten();
        let preferred = with.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        compiled.required = required.map(term).collect();
        compiled.preferred = preferred.map(weighted).collect();
    }
    if let Some(apart) = &affinity.pod_anti_affinity {
        let required = apart.required_during_scheduling_ignored_during_execution.iter().flatten();
        let preferred = apart.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        compiled.anti_required = required.map(term).collect();
        compiled.anti_preferred = preferred.map(weighted).collect();
    }
    compiled
}

/// The claims a Pod mounts; a generic ephemeral volume's claim is named after Pod and volume.
fn claims(view: &PodView) -> Vec<String> {
    let volumes = view.spec.volumes.iter();
    let named = volumes.filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some(source.claim_name.clone()),
        (None, Some(_)) => Some(format!("{}-{}", view.metadata.name.as_deref().unwrap_or_default(), volume.name)),
        (None, None) => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn requests(spec: serde_json::Value) -> Resources {
        let view: PodView = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        PodInfo::new(&view).requests
    }

    fn container(cpu: &str) -> serde_json::Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu, "nvidia.com/gpu": "1"}}})
    }

    fn sidecar(cpu: &str) -> serde_json::Value {
        json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn requests_follow_the_documented_arithmetic() {
        for (spec, cpu_millis) in [
            (json!({"containers": [container("100m"), container("0.2")]}), 300),
            (json!({"containers": [container("100m")], "initContainers": [container("1")]}), 1000),
            (json!({"containers": [container("100m")], "initContainers": [sidecar("50m")]}), 150),
            (json!({"containers": [container("100m")], "initContainers": [sidecar("50m"), container("1")]}), 1050),
            (json!({"containers": [container("100m")], "initContainers": [container("1"), sidecar("50m")]}), 1000),
            (json!({"containers": [container("100m")], "overhead": {"cpu": "10m"}}), 110),
            (json!({"containers": [container("1")], "resources": {"requests": {"cpu": "2"}}}), 2000),
        ] {
            assert_eq!(requests(spec.clone()).cpu_millis, cpu_millis, "{spec}");
        }
        let two = requests(json!({"containers": [container("1"), container("1")]}));
        assert_eq!(two.extended[&Arc::from("nvidia.com/gpu")], 2);
    }

    #[test]
    fn a_toleration_covers_a_taint_as_documented() {
        let taint = core::Taint {
            key: "gpu".to_owned(),
            value: Some("a100".to_owned()),
            effect: "NoSchedule".to_owned(),
            time_added: None,
        };
        for (toleration, expected) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "gpu", "operator": "Exists"}), true),
            (json!({"key": "gpu", "value": "a100", "effect": "NoSchedule"}), true),
            (json!({"key": "gpu", "operator": "Equal", "value": "h100"}), false),
            (json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "disk", "operator": "Exists"}), false),
        ] {
            let parsed: core::Toleration = serde_json::from_value(toleration.clone()).unwrap();
            assert_eq!(covers(&parsed, &taint), expected, "{toleration}");
        }
    }
}
