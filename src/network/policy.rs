//! NetworkPolicies: who may talk to whom, worked out for the Pods there are.
//!
//! In: NetworkPolicies, Pods, Namespaces. Out: an [`Isolation`], which says for each Pod's address what may come
//! in and go out. Pure: [`super::filter`] puts it into the kernel, [`super::proxy`] asks it where it carries a
//! connection itself. What nobody selects is open; what one policy selects is closed but for what any
//! policy opens. A Pod always reaches itself, and its node always reaches it.
//! Source: networking.k8s.io/v1 NetworkPolicy. Chapter: `book/src/inside/network.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as Selector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::rules::{Net, Protocol};
use crate::api::selector::LabelSelector;
use crate::client::{Watched, view};

/// What the network reads of a Pod.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct PodView {
    /// The usual metadata.
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    /// What was asked for.
    pub spec: SpecView,
    /// What is.
    pub status: StatusView,
}

/// What the network reads of a Pod's spec.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SpecView {
    /// Its node.
    pub node_name: Option<String>,
    /// It has its node's address.
    pub host_network: bool,
    /// Containers, with their ports only.
    pub containers: Vec<ContainerView>,
    /// Init containers, sidecars among them.
    pub init_containers: Vec<ContainerView>,
}

/// What the network reads of a container.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ContainerView {
    /// Its declared ports.
    pub ports: Vec<PortView>,
}

/// A declared port.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PortView {
    /// Its name.
    pub name: Option<String>,
    /// Its number in the Pod.
    pub container_port: u16,
    /// Its number on the node.
    pub host_port: Option<u16>,
    /// The node's address that has it; all where it is not said.
    #[serde(rename = "hostIP")]
    pub host_ip: Option<String>,
    /// `TCP` where it is not said.
    pub protocol: Option<String>,
}

/// What the network reads of a Pod's status.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusView {
    /// Where it is in its life.
    pub phase: Option<String>,
    /// Its address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
}

view!(PodView, "", "v1", "Pod", "pods", Namespace);

impl Watched for PodView {}

impl PodView {
    /// Its own address, while it has one.
    pub fn address(&self) -> Option<Ipv4Addr> {
        let over = matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"));
        self.status.pod_ip.as_ref().filter(|_| !over && !self.spec.host_network)?.parse().ok()
    }

    /// The ports it declares.
    pub fn ports(&self) -> impl Iterator<Item = &PortView> {
        self.spec.containers.iter().chain(&self.spec.init_containers).flat_map(|container| &container.ports)
    }

    fn named(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let same = |port: &&PortView| {
            port.name.as_deref() == Some(name) && Protocol::of(port.protocol.as_deref()) == Some(protocol)
        };
        self.ports().find(same).map(|port| port.container_port)
    }
}

/// The name server as policies see it: a Pod of CoreDNS, as kubeadm installs it.
pub fn name_server(address: Ipv4Addr) -> PodView {
    let port = |name: &str, protocol: &str| PortView {
        name: Some(name.to_owned()),
        container_port: 53,
        protocol: Some(protocol.to_owned()),
        ..PortView::default()
    };
    let labels = BTreeMap::from([("k8s-app".to_owned(), "kube-dns".to_owned())]);
    let namespace = Some("kube-system".to_owned());
    PodView {
        metadata: ObjectMeta { labels: Some(labels), namespace, ..ObjectMeta::default() },
        spec: SpecView {
            containers: vec![ContainerView { ports: vec![port("dns", "UDP"), port("dns-tcp", "TCP")] }],
            ..SpecView::default()
        },
        status: StatusView { phase: None, pod_ip: Some(address.to_string()) },
    }
}

/// Addresses: a range without some others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The range.
    pub net: Net,
    /// What is not meant.
    pub except: Vec<Net>,
}

impl Block {
    fn one(address: Ipv4Addr) -> Block {
        Block { net: Net::one(address), except: Vec::new() }
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        self.net.contains(address) && !self.except.iter().any(|net| net.contains(address))
    }
}

/// Ports of a protocol, the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The protocol.
    pub protocol: Protocol,
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

/// What a wall lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Who is at the other side; `None`: anybody.
    pub peers: Option<Vec<Block>>,
    /// Which ports may be reached; `None`: all, of every protocol.
    pub ports: Option<Vec<Ports>>,
}

impl Opening {
    fn admits(&self, peer: Ipv4Addr, protocol: Protocol, port: u16) -> bool {
        let fits = |it: &Ports| it.protocol == protocol && (it.first..=it.last).contains(&port);
        self.peers.as_ref().is_none_or(|blocks| blocks.iter().any(|block| block.contains(peer)))
            && self.ports.as_ref().is_none_or(|ports| ports.iter().any(fits))
    }
}

/// What surrounds one Pod; `None` on a side that no policy closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walls {
    /// What may come in.
    pub ingress: Option<Vec<Opening>>,
    /// What may go out.
    pub egress: Option<Vec<Opening>>,
}

/// Who may talk to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// The walls, by their Pod's address.
    pub walls: BTreeMap<Ipv4Addr, Walls>,
    /// All Pods' addresses that are known. While there is a policy, an address of [`Self::ranges`] that is not
    /// among them is a Pod's about which nothing is known yet: it waits.
    pub known: BTreeSet<Ipv4Addr>,
    /// Where Pods' addresses come from.
    pub ranges: Vec<Net>,
}

/// The objects that matter.
pub struct Objects<'a> {
    /// All policies.
    pub policies: &'a [Arc<NetworkPolicy>],
    /// All Pods, and what answers as one.
    pub pods: &'a [Arc<PodView>],
    /// All namespaces.
    pub namespaces: &'a [Arc<Namespace>],
    /// Where Pods' addresses come from.
    pub ranges: Vec<Net>,
}

impl Isolation {
    /// What the policies mean for the Pods there are. Without a policy, everything is open.
    pub fn new(objects: Objects<'_>) -> Isolation {
        if objects.policies.is_empty() {
            return Isolation::default();
        }
        let mut walls: BTreeMap<Ipv4Addr, Walls> = BTreeMap::new();
        for policy in objects.policies {
            let Some(spec) = &policy.spec else { continue };
            let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
            let types = spec.policy_types.clone().unwrap_or_else(|| {
                let both = ["Ingress", "Egress"].iter().take(if spec.egress.is_some() { 2 } else { 1 });
                both.map(|kind| (*kind).to_owned()).collect()
            });
            let selected = selector(spec.pod_selector.as_ref());
            for pod in objects.pods.iter().filter(|pod| is_in(pod, namespace) && picks(&selected, &pod.metadata)) {
                let Some(address) = pod.address() else { continue };
                let own = walls.entry(address).or_default();
                if types.iter().any(|kind| kind == "Ingress") {
                    let openings = own.ingress.get_or_insert_default();
                    for rule in spec.ingress.iter().flatten() {
                        openings.extend(objects.coming_in(namespace, pod, rule.from.as_deref(), rule.ports.as_deref()));
                    }
                }
                if types.iter().any(|kind| kind == "Egress") {
                    let openings = own.egress.get_or_insert_default();
                    for rule in spec.egress.iter().flatten() {
                        openings.extend(objects.going_out(namespace, rule.to.as_deref(), rule.ports.as_deref()));
                    }
                }
            }
        }
        let known = objects.pods.iter().filter_map(|pod| pod.address()).collect();
        Isolation { walls, known, ranges: objects.ranges }
    }

    /// Whether a Pod (or whoever has this address) may open a connection.
    pub fn allows(&self, from: Ipv4Addr, to: SocketAddrV4, protocol: Protocol) -> bool {
        let there = *to.ip();
        if from == there {
            return true;
        }
        let unknown = |address| !self.known.contains(&address) && self.ranges.iter().any(|net| net.contains(address));
        let open = |wall: Option<&Vec<Opening>>, peer| {
            wall.is_none_or(|openings| openings.iter().any(|opening| opening.admits(peer, protocol, to.port())))
        };
        !unknown(from)
            && !unknown(there)
            && open(self.walls.get(&from).and_then(|walls| walls.egress.as_ref()), there)
            && open(self.walls.get(&there).and_then(|walls| walls.ingress.as_ref()), from)
    }
}

impl Objects<'_> {
    /// A rule for what comes in: names of ports are those of the Pod itself.
    fn coming_in(
        &self,
        namespace: &str,
        pod: &PodView,
        from: Option<&[NetworkPolicyPeer]>,
        ports: Option<&[NetworkPolicyPort]>,
    ) -> Option<Opening> {
        let peers = self.blocks(namespace, from);
        let Some(ports) = ports.filter(|ports| !ports.is_empty()) else { return Some(Opening { peers, ports: None }) };
        let numbers: Vec<Ports> =
            ports.iter().filter_map(|port| numbered(port).or_else(|| of_pod(port, pod))).collect();
        (!numbers.is_empty()).then_some(Opening { peers, ports: Some(numbers) })
    }

    /// A rule for what goes out: a port's name means another number for each Pod at the other side.
    fn going_out(
        &self,
        namespace: &str,
        to: Option<&[NetworkPolicyPeer]>,
        ports: Option<&[NetworkPolicyPort]>,
    ) -> Vec<Opening> {
        let peers = self.blocks(namespace, to);
        let Some(ports) = ports.filter(|ports| !ports.is_empty()) else { return vec![Opening { peers, ports: None }] };
        let numbers: Vec<Ports> = ports.iter().filter_map(numbered).collect();
        let named: Vec<&NetworkPolicyPort> = ports.iter().filter(|port| numbered(port).is_none()).collect();
        let mut openings = Vec::new();
        if !named.is_empty() {
            let meant = |pod: &&Arc<PodView>| {
                to.is_none_or(|to| to.is_empty() || to.iter().any(|peer| self.means(namespace, peer, pod)))
            };
            for pod in self.pods.iter().filter(meant) {
                let Some(address) = pod.address() else { continue };
                let ports: Vec<Ports> = named.iter().filter_map(|port| of_pod(port, pod)).collect();
                if !ports.is_empty() {
                    openings.push(Opening { peers: Some(vec![Block::one(address)]), ports: Some(ports) });
                }
            }
        }
        if !numbers.is_empty() {
            openings.push(Opening { peers, ports: Some(numbers) });
        }
        openings
    }

    /// The addresses of a rule's peers. No peers at all means anybody.
    fn blocks(&self, namespace: &str, peers: Option<&[NetworkPolicyPeer]>) -> Option<Vec<Block>> {
        let peers = peers.filter(|peers| !peers.is_empty())?;
        let mut blocks: Vec<Block> = Vec::new();
        for peer in peers {
            if let Some(block) = &peer.ip_block {
                let except = block.except.iter().flatten().filter_map(|cidr| Net::parse(cidr)).collect();
                blocks.extend(Net::parse(&block.cidr).map(|net| Block { net, except }));
                continue;
            }
            let meant = self.pods.iter().filter(|pod| self.means(namespace, peer, pod));
            blocks.extend(meant.filter_map(|pod| pod.address()).map(Block::one));
        }
        Some(blocks)
    }

    fn means(&self, own: &str, peer: &NetworkPolicyPeer, pod: &PodView) -> bool {
        if let Some(block) = &peer.ip_block {
            let excepted = |address| {
                block.except.iter().flatten().filter_map(|cidr| Net::parse(cidr)).any(|net| net.contains(address))
            };
            let within = |address: &Ipv4Addr| Net::parse(&block.cidr).is_some_and(|net| net.contains(*address));
            return pod.address().filter(within).is_some_and(|address| !excepted(address));
        }
        let there = match &peer.namespace_selector {
            None => is_in(pod, own),
            Some(wanted) => {
                let namespace = pod.metadata.namespace.as_deref();
                let found = self.namespaces.iter().find(|it| it.metadata.name.as_deref() == namespace);
                found.is_some_and(|namespace| picks(&selector(Some(wanted)), &namespace.metadata))
            }
        };
        there && peer.pod_selector.as_ref().is_none_or(|wanted| picks(&selector(Some(wanted)), &pod.metadata))
    }
}

fn is_in(pod: &PodView, namespace: &str) -> bool {
    pod.metadata.namespace.as_deref().unwrap_or_default() == namespace
}

/// A selector that is not there, or empty, picks everything. One that cannot be read picks nothing: the API
/// server lets none in.
fn selector(selector: Option<&Selector>) -> LabelSelector {
    let Some(selector) = selector else { return LabelSelector::everything() };
    let read = serde_json::to_value(selector).ok().and_then(|value| LabelSelector::from_value(&value).ok());
    read.unwrap_or_else(LabelSelector::nothing)
}

fn picks(selector: &LabelSelector, metadata: &ObjectMeta) -> bool {
    selector.matches_with(|key| metadata.labels.as_ref()?.get(key).map(String::as_str))
}

/// A port of a rule, unless it has a name.
fn numbered(port: &NetworkPolicyPort) -> Option<Ports> {
    let protocol = Protocol::of(port.protocol.as_deref())?;
    let (first, last) = match &port.port {
        None => (0, u16::MAX),
        Some(IntOrString::Int(first)) => {
            (u16::try_from(*first).ok()?, port.end_port.unwrap_or(*first).try_into().ok()?)
        }
        Some(IntOrString::String(_)) => return None,
    };
    Some(Ports { protocol, first, last })
}

/// What a port's name means in a Pod.
fn of_pod(port: &NetworkPolicyPort, pod: &PodView) -> Option<Ports> {
    let Some(IntOrString::String(name)) = &port.port else { return None };
    let protocol = Protocol::of(port.protocol.as_deref())?;
    let number = pod.named(name, protocol)?;
    Some(Ports { protocol, first: number, last: number })
}

#[cfg(test)]
mod tests;
