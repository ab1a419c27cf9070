//! The loops: each watches what is asked for and what is, and makes the second more like the first.
//!
//! Comes in: changes, through [`crate::client`]. Goes out: writes, through [`crate::client`]. Each
//! loop is a pure `reconcile` from what it sees to a [`plan::Plan`], and the shared [`runner`]
//! carries plans out. Chapter: `book/src/control-plane/kube-controller-manager.md`.
//!
//! Architecture invariant: no loop holds state it could not rebuild from a list and a watch, and no
//! loop knows another: they meet only in objects.

pub mod clusterrole_aggregation;
pub mod cronjob;
pub mod csr_cleaner;
pub mod csr_signing;
pub mod daemonset;
pub mod deployment;
pub mod device_taint_eviction;
pub mod disruption;
pub mod endpoints;
pub mod endpointslice;
pub mod endpointslice_mirroring;
pub mod ephemeral_volume;
pub mod gc;
pub mod history;
pub mod job;
pub mod metadata;
pub mod names;
pub mod namespace;
pub mod node_lifecycle;
pub mod owners;
pub mod plan;
pub mod pod_gc;
pub mod podautoscaler;
pub mod pods;
pub mod policy_status;
pub mod pv_binder;
pub mod pv_protection;
pub mod pvc_protection;
pub mod replicaset;
pub mod replicationcontroller;
pub mod resourcequota;
pub mod root_ca;
pub mod runner;
pub mod service_cidr;
pub mod service_pods;
pub mod serviceaccount;
pub mod statefulset;
pub mod taint_eviction;
pub mod trust_bundle;
pub mod ttl;
pub mod ttl_after_finished;
pub mod vac_protection;

use std::collections::BTreeSet;

use crate::client::{Informers, Recorder, Switches};
use crate::clock::Clock;
use crate::tasks::TaskGroup;
use runner::Room;

/// Who the shared informers read as. Source: shared/facts/rbac.jsonl.
const READER: &str = "system:kube-controller-manager";

/// One loop and the names it goes by.
struct Loop {
    /// As `--controllers` takes it. Source: shared/facts/admission.tsv, category controller.
    name: &'static str,
    /// Its service account in kube-system. Source: shared/facts/rbac.jsonl, system:controller:….
    account: &'static str,
    /// What its events say they come from. Source: shared/facts/events.tsv.
    component: &'static str,
    start: fn(Room),
}

/// In the order kube-controller-manager registers them.
const LOOPS: &[Loop] = &[
    Loop::new("endpoints-controller", "endpoint-controller", "endpoint-controller", endpoints::start),
    Loop::new(
        "endpointslice-controller",
        "endpointslice-controller",
        "endpoint-slice-controller",
        endpointslice::start,
    ),
    Loop::new(
        "endpointslice-mirroring-controller",
        "endpointslicemirroring-controller",
        "endpoint-slice-mirroring-controller",
        endpointslice_mirroring::start,
    ),
    Loop::new(
        "replicationcontroller-controller",
        "replication-controller",
        "replication-controller",
        replicationcontroller::start,
    ),
    Loop::new(
        "pod-garbage-collector-controller",
        "pod-garbage-collector",
        "pod-garbage-collector-controller",
        pod_gc::start,
    ),
    Loop::new("resourcequota-controller", "resourcequota-controller", "resourcequota-controller", resourcequota::start),
    Loop::new("namespace-controller", "namespace-controller", "namespace-controller", namespace::start),
    Loop::new(
        "serviceaccount-controller",
        "service-account-controller",
        "serviceaccount-controller",
        serviceaccount::start,
    ),
    Loop::new("garbage-collector-controller", "generic-garbage-collector", "garbage-collector-controller", gc::start),
    Loop::new("daemonset-controller", "daemon-set-controller", "daemonset-controller", daemonset::start),
    Loop::new("job-controller", "job-controller", "job-controller", job::start),
    Loop::new("deployment-controller", "deployment-controller", "deployment-controller", deployment::start),
    Loop::new("replicaset-controller", "replicaset-controller", "replicaset-controller", replicaset::start),
    Loop::new(
        "horizontal-pod-autoscaler-controller",
        "horizontal-pod-autoscaler",
        "horizontal-pod-autoscaler",
        podautoscaler::start,
    ),
    Loop::new("disruption-controller", "disruption-controller", "controllermanager", disruption::start),
    Loop::new("statefulset-controller", "statefulset-controller", "statefulset-controller", statefulset::start),
    Loop::new("cronjob-controller", "cronjob-controller", "cronjob-controller", cronjob::start),
    Loop::new(
        "certificatesigningrequest-signing-controller",
        "certificate-controller",
        "certificate-controller",
        csr_signing::start,
    ),
    Loop::new(
        "certificatesigningrequest-cleaner-controller",
        "certificate-controller",
        "certificate-controller",
        csr_cleaner::start,
    ),
    Loop::new("ttl-controller", "ttl-controller", "ttl-controller", ttl::start),
    Loop::new("node-lifecycle-controller", "node-controller", "node-controller", node_lifecycle::start),
    Loop::new(
        "persistentvolume-binder-controller",
        "persistent-volume-binder",
        "persistentvolume-controller",
        pv_binder::start,
    ),
    Loop::new(
        "clusterrole-aggregation-controller",
        "clusterrole-aggregation-controller",
        "clusterrole-aggregation-controller",
        clusterrole_aggregation::start,
    ),
    Loop::new(
        "persistentvolumeclaim-protection-controller",
        "pvc-protection-controller",
        "pvc-protection-controller",
        pvc_protection::start,
    ),
    Loop::new(
        "persistentvolume-protection-controller",
        "pv-protection-controller",
        "pv-protection-controller",
        pv_protection::start,
    ),
    Loop::new(
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        vac_protection::start,
    ),
    Loop::new(
        "ttl-after-finished-controller",
        "ttl-after-finished-controller",
        "ttl-after-finished-controller",
        ttl_after_finished::start,
    ),
    Loop::new(
        "root-ca-certificate-publisher-controller",
        "root-ca-cert-publisher",
        "root-ca-certificate-publisher-controller",
        root_ca::start,
    ),
    Loop::new(
        "kube-apiserver-serving-clustertrustbundle-publisher-controller",
        "kube-apiserver-serving-clustertrustbundle-publisher",
        "kube-apiserver-serving-clustertrustbundle-publisher-controller",
        trust_bundle::start,
    ),
    Loop::new(
        "ephemeral-volume-controller",
        "ephemeral-volume-controller",
        "ephemeral_volume",
        ephemeral_volume::start,
    ),
    Loop::new(
        "validatingadmissionpolicy-status-controller",
        "validatingadmissionpolicy-status-controller",
        "validatingadmissionpolicy-status-controller",
        policy_status::start,
    ),
    Loop::new("taint-eviction-controller", "node-controller", "taint-eviction-controller", taint_eviction::start),
    Loop::new(
        "device-taint-eviction-controller",
        "device-taint-eviction-controller",
        "device-taint-eviction-controller",
        device_taint_eviction::start,
    ),
    Loop::new("service-cidr-controller", "service-cidrs-controller", "service-cidr-controller", service_cidr::start),
];

impl Loop {
    const fn new(name: &'static str, account: &'static str, component: &'static str, start: fn(Room)) -> Self {
        Loop { name, account, component, start }
    }
}

/// Which loops run: `*` or `all`, names, and `-name` for all but that one. A name may leave
/// `-controller` out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    all: bool,
    named: BTreeSet<String>,
    without: BTreeSet<String>,
}

impl Default for Selection {
    fn default() -> Self {
        Selection::parse("all")
    }
}

impl Selection {
    /// Reads `all,-scheduler,-garbage-collector`.
    pub fn parse(text: &str) -> Self {
        let mut selection = Selection { all: false, named: BTreeSet::new(), without: BTreeSet::new() };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.strip_prefix('-') {
                Some(name) => selection.without.insert(short(name).to_owned()),
                None if word == "*" || word == "all" => {
                    selection.all = true;
                    true
                }
                None => selection.named.insert(short(word).to_owned()),
            };
        }
        selection
    }

    /// Whether the loop of this name runs.
    pub fn includes(&self, name: &str) -> bool {
        let name = short(name);
        !self.without.contains(name) && (self.all || self.named.contains(name))
    }

    /// Names that no loop has; `others` are loops that live elsewhere (the scheduler).
    pub fn unknown<'a>(&'a self, others: &[&str]) -> Vec<&'a str> {
        let known = |name: &str| names().any(|n| short(n) == name) || others.iter().any(|n| short(n) == name);
        self.named.iter().chain(&self.without).map(String::as_str).filter(|name| !known(name)).collect()
    }
}

fn short(name: &str) -> &str {
    name.strip_suffix("-controller").unwrap_or(name)
}

/// The names of all loops, as `--controllers` takes them.
pub fn names() -> impl Iterator<Item = &'static str> {
    LOOPS.iter().map(|one| one.name)
}

/// What the loops are started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Time.
    pub clock: Clock,
    /// Background work.
    pub tasks: TaskGroup,
    /// Where each loop's switch is.
    pub switches: Switches,
    /// Which loops run.
    pub which: Selection,
    /// The cluster's certificate authority (PEM), which is published to every namespace.
    pub root_ca: String,
    /// Signs certificates in the authority's name.
    pub signer: csr_signing::Signer,
}

/// Starts the selected loops. `client_for` makes a client for a user name:
/// `system:kube-controller-manager`, or `system:serviceaccount:kube-system:<account>`; both with the
/// component `kube-controller-manager`.
pub fn start(client_for: impl Fn(&str) -> kube::Client, setup: &Setup) {
    let informers = Informers::new(client_for(READER), setup.clock, &setup.tasks);
    for one in LOOPS.iter().filter(|one| setup.which.includes(one.name)) {
        let client = client_for(&format!("system:serviceaccount:kube-system:{}", one.account));
        let recorder = Recorder::new(client.clone(), one.component, "", setup.clock, &setup.tasks);
        (one.start)(Room::new(client, informers.clone(), setup.switches.get(one.name), recorder, setup));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_chosen_by_either_name() {
        let selection = Selection::parse("all,-scheduler,-replicaset-controller");
        assert!(!selection.includes("replicaset"));
        assert!(selection.includes("deployment-controller"));
        assert_eq!(selection.unknown(&["scheduler"]), Vec::<&str>::new());
        assert_eq!(Selection::parse("depoyment").unknown(&[]), ["depoyment"]);
    }
}
