//! The Node object: what the kubelet says about its machine, and the heartbeat that it still says so.
//!
//! In: the node's configuration. Out: the Node (once), its status (on change, and every five minutes),
//! a Lease renewed every ten seconds: when renewals stop, others decide that the node is dead.
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};

use super::admission::{Amounts, amount};
use super::config::ClusterDns;
use super::run::Node;
use crate::client::Causes;
use crate::client::events::Type;

/// The version nodes report. Source: the facts' `v1.37.2`.
pub const VERSION: &str = "v1.37.2";
/// Source: kubelet `nodeLeaseDurationSeconds` times `nodeLeaseRenewIntervalFraction`.
const RENEW: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
/// Source: kubelet `nodeStatusReportFrequency`.
const REPORT: Duration = Duration::from_secs(300);
/// A Lease that was renewed so long ago may have been missed. Source: half of its `leaseDurationSeconds`.
const LATE: SignedDuration = SignedDuration::from_secs(20);
/// Looks after a late renewal, one with each: as long as a missed Lease may take to have consequences
/// (`--node-monitor-grace-period`, 50 s).
const LOOKS: usize = 6;
/// Images that come within this time are reported together. Source: kubelet `nodeStatusUpdateFrequency`
/// is 10 s; a reader should not have to wait that long.
const GATHER: Duration = Duration::from_secs(3);
/// How long after a report that failed the next one follows. Source: kubelet `nodeStatusUpdateFrequency`.
const AGAIN: Duration = Duration::from_secs(10);
/// Source: kubelet `nodeStatusMaxImages`.
const MOST_IMAGES: usize = 50;

/// A node to be.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name, also its hostname.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The range its Pods' addresses come from: `10.244.1.0/24`.
    pub pod_cidr: String,
    /// The value of `topology.kubernetes.io/zone`: `zone-a`.
    pub zone: String,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// How its Pods look names up.
    pub dns: ClusterDns,
    /// What it has: `cpu`, `memory`, `pods`, `ephemeral-storage`, `nvidia.com/gpu` …
    pub capacity: BTreeMap<String, String>,
}

/// The range that the addresses of the first 256 nodes' Pods are from.
pub const POD_NETWORK: (std::net::Ipv4Addr, u8) = (std::net::Ipv4Addr::new(10, 244, 0, 0), 16);
/// The range that nodes' own addresses are from.
pub const NODE_NETWORK: (std::net::Ipv4Addr, u8) = (std::net::Ipv4Addr::new(172, 18, 0, 0), 16);

impl NodeConfig {
    /// Node number `index` (from 0) of a playground: `node-1` in `zone-a`, and so on round three zones.
    pub fn numbered(index: usize) -> Self {
        let number = index + 1;
        let capacity = [("cpu", "4"), ("memory", "8Gi"), ("pods", "110"), ("ephemeral-storage", "64Gi")];
        NodeConfig {
            name: format!("node-{number}"),
            address: format!("172.18.{}.{}", number / 250, number % 250 + 2),
            pod_cidr: format!("10.{}.{}.0/24", 244 + number / 256, number % 256),
            zone: format!("zone-{}", ["a", "b", "c"][index % 3]),
            labels: BTreeMap::new(),
            dns: ClusterDns::default(),
            capacity: capacity.map(|(name, amount)| (name.to_owned(), amount.to_owned())).into(),
        }
    }

    /// What Pods may take of it.
    pub fn allocatable(&self) -> Amounts {
        self.capacity.iter().map(|(name, text)| (name.clone(), amount(name, text))).collect()
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let mut labels: BTreeMap<String, String> = [
            ("beta.kubernetes.io/arch", arch),
            ("beta.kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", arch),
            ("kubernetes.io/hostname", &self.name),
            ("kubernetes.io/os", "linux"),
            ("topology.kubernetes.io/zone", &self.zone),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        labels.extend(self.labels.clone());
        labels
    }
}

/// Registers the node and keeps it alive until its tasks are stopped.
pub async fn keep_alive(node: Arc<Node>) {
    let api: Api<core::Node> = Api::all(node.client.clone());
    let mut said = String::new();
    let uid = loop {
        match register(&node, &api).await {
            Ok(uid) => break uid,
            Err(failure) => {
                let why = failure.to_string();
                // It is tried every second; the same reason is said once.
                if why != said {
                    tracing::warn!(node = node.config.name, why, "the node could not be registered; trying again");
                    said = why;
                }
                node.clock.sleep(Duration::from_secs(1)).await;
            }
        }
    };
    let about = core::ObjectReference {
        kind: Some("Node".to_owned()),
        name: Some(node.config.name.clone()),
        uid: Some(node.config.name.clone()),
        ..core::ObjectReference::default()
    };
    node.recorder.record(&about, Type::Normal, "Starting", "Starting kubelet.", &Causes::none());
    let ready = format!("Node {} status is now: NodeReady", node.config.name);
    node.recorder.record(&about, Type::Normal, "NodeReady", ready, &Causes::none());
    futures::join!(renew(&node, &api, uid), report(&node, &api));
}

async fn register(node: &Node, api: &Api<core::Node>) -> kube::Result<Option<String>> {
    let status = status(node, None).await;
    let object = core::Node {
        metadata: ObjectMeta {
            name: Some(node.config.name.clone()),
            labels: Some(node.config.labels()),
            ..ObjectMeta::default()
        },
        spec: Some(core::NodeSpec {
            pod_cidr: Some(node.config.pod_cidr.clone()),
            pod_cidrs: Some(vec![node.config.pod_cidr.clone()]),
            provider_id: Some(format!("tutor://{}", node.config.name)),
            ..core::NodeSpec::default()
        }),
        status: Some(status.clone()),
    };
    match api.create(&PostParams::default(), &object).await {
        Ok(made) => Ok(made.metadata.uid),
        Err(kube::Error::Api(refused)) if refused.code == 409 => {
            let labels = serde_json::json!({"metadata": {"labels": node.config.labels()}});
            api.patch(&node.config.name, &PatchParams::default(), &Patch::Merge(labels)).await?;
            let patch = serde_json::json!({ "status": status });
            let params = PatchParams::default();
            Ok(api.patch_status(&node.config.name, &params, &Patch::Strategic(patch)).await?.metadata.uid)
        }
        Err(failure) => Err(failure),
    }
}

/// Renews the Lease every ten seconds. After a renewal that came late (the machine slept, or had too much to do) it
/// looks for a while whether the node is taken for dead: the status that says otherwise would be due in minutes.
async fn renew(node: &Node, nodes: &Api<core::Node>, uid: Option<String>) {
    let api: Api<Lease> = Api::namespaced(node.client.clone(), "kube-node-lease");
    let name = &node.config.name;
    let mut made = false;
    let (mut renewed, mut looks) = (node.clock.now(), 0);
    loop {
        let now = MicroTime(node.clock.now());
        let sent = if made {
            let patch = serde_json::json!({"spec": {"renewTime": now}});
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
        } else {
            let owner = OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: name.clone(),
                uid: uid.clone().unwrap_or_default(),
                ..OwnerReference::default()
            };
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    owner_references: uid.is_some().then(|| vec![owner]),
                    ..ObjectMeta::default()
                },
                spec: Some(LeaseSpec {
                    holder_identity: Some(name.clone()),
                    lease_duration_seconds: Some(LEASE_SECONDS),
                    renew_time: Some(now),
                    ..LeaseSpec::default()
                }),
            };
            api.create(&PostParams::default(), &lease).await.map(drop)
        };
        match sent {
            Ok(()) => {
                made = true;
                let late = node.clock.now().duration_since(renewed) > LATE;
                renewed = node.clock.now();
                looks = if late { LOOKS } else { looks };
            }
            Err(kube::Error::Api(refused)) if refused.code == 409 => {
                made = true;
                continue;
            }
            Err(kube::Error::Api(refused)) if refused.code == 404 => made = false,
            Err(failure) => tracing::debug!(%failure, node = name, "lease not renewed"),
        }
        if looks > 0 {
            looks -= 1;
            // One that cannot be asked now is asked with the next renewal.
            if nodes.get(name).await.is_ok_and(|found| is_given_up(&found)) {
                node.given_up.notify_one();
            }
        }
        node.clock.sleep(RENEW).await;
    }
}

/// Whether the loop that watches Leases has written that nobody knows how this node is.
fn is_given_up(node: &core::Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.filter(|condition| condition.type_ == "Ready").any(|ready| ready.status == "Unknown")
}

/// Reports the status when something changed or is believed that is not so, and every five minutes.
async fn report(node: &Node, api: &Api<core::Node>) {
    let mut changes = node.changes.subscribe();
    let mut before = changes.borrow_and_update().clone();
    let mut since = node.clock.now();
    let mut due = due_in(node, REPORT);
    let mut reported = None;
    loop {
        // The node keeps the sender: the channel is open as long as this task runs.
        let only_images = tokio::select! {
            _ = changes.changed() => false,
            () = node.clock.sleep_until(due) => false,
            () = node.given_up.notified() => {
                since = node.clock.now();
                false
            }
            // More images may follow; a change of readiness does not wait for them.
            () = node.pulled.notified() => node.clock.timeout(GATHER, changes.changed()).await.is_err(),
        };
        let condition = changes.borrow_and_update().clone();
        if condition.not_ready != before.not_ready {
            since = node.clock.now();
        }
        before = condition;
        let status = status(node, Some(since)).await;
        // Most pulls bring what is there already, and one image starts many Pods.
        if only_images && status.images == reported {
            continue;
        }
        let patch = serde_json::json!({ "status": status });
        let sent = api.patch_status(&node.config.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        due = match sent {
            Ok(_) => {
                reported = status.images;
                due_in(node, REPORT)
            }
            Err(failure) => {
                tracing::debug!(%failure, node = node.config.name, "status not reported");
                due_in(node, AGAIN)
            }
        };
    }
}

fn due_in(node: &Node, time: Duration) -> Timestamp {
    node.clock.now().saturating_add(time).unwrap_or(Timestamp::MAX)
}

async fn status(node: &Node, since: Option<Timestamp>) -> core::NodeStatus {
    let config = &node.config;
    let amounts: BTreeMap<String, Quantity> =
        config.capacity.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect();
    let address =
        |type_: &str, address: &str| core::NodeAddress { type_: type_.to_owned(), address: address.to_owned() };
    let images = node.runtime.images().await.into_iter().take(MOST_IMAGES).map(|image| core::ContainerImage {
        names: Some(vec![image.id, image.name]),
        size_bytes: Some(image.size_bytes),
    });
    core::NodeStatus {
        capacity: Some(amounts.clone()),
        allocatable: Some(amounts),
        addresses: Some(vec![address("InternalIP", &config.address), address("Hostname", &config.name)]),
        conditions: Some(conditions(node, since)),
        daemon_endpoints: Some(core::NodeDaemonEndpoints {
            kubelet_endpoint: Some(core::DaemonEndpoint { port: 10250 }),
        }),
        images: Some(images.collect()),
        node_info: Some(core::NodeSystemInfo {
            architecture: if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }.to_owned(),
            container_runtime_version: node.runtime.version(),
            kubelet_version: VERSION.to_owned(),
            operating_system: "linux".to_owned(),
            os_image: "tutor".to_owned(),
            machine_id: config.name.clone(),
            system_uuid: config.name.clone(),
            boot_id: config.name.clone(),
            ..core::NodeSystemInfo::default()
        }),
        ..core::NodeStatus::default()
    }
}

fn conditions(node: &Node, since: Option<Timestamp>) -> Vec<core::NodeCondition> {
    let now = node.clock.now();
    let since = since.unwrap_or(now);
    let condition = |type_: &str, status: &str, reason: &str, message: &str| core::NodeCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: Some(Time(since)),
    };
    let ready = match node.changes.borrow().not_ready.as_deref() {
        None => condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        Some(why) => condition("Ready", "False", "KubeletNotReady", why),
    };
    vec![
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ready,
    ]
}
