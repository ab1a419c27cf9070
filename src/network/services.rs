//! Which addresses Services have, and who is behind each: a table made of objects.
//!
//! In: Services, EndpointSlices, Pods with a `hostPort`, and where the nodes are. Out: for each address and port that
//! should answer, the Pods that may, and for a client on a node those that it is led to. Opens nothing
//! ([`super::filter`] and [`super::proxy`] do). Source: kube-proxy, pkg/proxy/topology.go.
//! Chapter: `book/src/inside/network.md`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::policy::PodView;
use super::rules::{Net, Protocol};
use crate::client::ObjectKey;
use crate::client::views::NodeView;

/// The label of a slice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";
/// The label of a node that names its zone.
const ZONE: &str = "topology.kubernetes.io/zone";
/// Source: core/v1 `DefaultClientIPServiceAffinitySeconds`.
const STICKY_SECONDS: i32 = 10_800;

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub node: String,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// Its own address.
    pub address: Option<Ipv4Addr>,
    /// Where its Pods' addresses come from.
    pub pods: Option<Net>,
}

impl Place {
    /// As a Node object says it.
    pub fn of(node: &NodeView) -> Place {
        let own = node.status.addresses.iter().find(|address| address.type_ == "InternalIP");
        Place {
            node: node.name().to_owned(),
            zone: node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE)).cloned(),
            address: own.and_then(|address| address.address.parse().ok()),
            pods: node.spec.pod_cidr.as_deref().and_then(Net::parse),
        }
    }
}

/// What is knocked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Front {
    /// The address; 0.0.0.0 means all addresses of all nodes (`nodePort`).
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// Somebody who may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub at: SocketAddrV4,
    /// On which node.
    pub node: Option<String>,
    /// The nodes whose clients it is for, where the slice gives a hint.
    pub for_nodes: Vec<String>,
    /// The zones.
    pub for_zones: Vec<String>,
    /// It takes new clients; otherwise it is ending, and still serves.
    pub ready: bool,
}

/// Whom a client may be led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Anybody.
    #[default]
    Cluster,
    /// Those on the same node (`internalTrafficPolicy: Local`).
    SameNode,
    /// From outside, those on the node that was knocked at (`externalTrafficPolicy: Local`); a client among that
    /// node's own Pods is not from outside.
    NodeKnockedAt,
}

/// Who answers at a Service's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// All who may, in order. Never empty in a table.
    pub candidates: Vec<Candidate>,
    /// Which of them.
    pub reach: Reach,
    /// So long a client keeps its Pod (`sessionAffinity: ClientIP`).
    pub sticky: Option<Duration>,
}

impl Behind {
    /// Whom a client is led to, who is on a node (or nowhere in the cluster) and knocks at a node (or at the
    /// Service's own address).
    pub fn choices(&self, client: Option<&Place>, knocked: Option<&Place>) -> Vec<SocketAddrV4> {
        let local = |place: Option<&Place>| self.on(place.map(|place| &*place.node));
        match self.reach {
            Reach::SameNode => local(client),
            Reach::NodeKnockedAt if client.map(|it| &it.node) != knocked.map(|it| &it.node) => local(knocked),
            Reach::Cluster | Reach::NodeKnockedAt => self.anywhere(client),
        }
    }

    /// The ready ones, near ones if there are hints for this client; when none is ready, those that still serve
    /// while they end, so that a last request is not lost.
    fn anywhere(&self, client: Option<&Place>) -> Vec<SocketAddrV4> {
        let ready: Vec<&Candidate> = self.candidates.iter().filter(|it| it.ready).collect();
        if ready.is_empty() {
            return addresses_of(self.candidates.iter());
        }
        let node = client.map(|place| &place.node);
        let zone = client.and_then(|place| place.zone.as_ref());
        for (hints, own) in [
            ((|it| &it.for_nodes) as fn(&Candidate) -> &Vec<String>, node),
            ((|it| &it.for_zones) as fn(&Candidate) -> &Vec<String>, zone),
        ] {
            let near: Vec<&Candidate> =
                ready.iter().filter(|it| own.is_some_and(|own| hints(it).contains(own))).copied().collect();
            // A hint that some lack is none: whoever has none would get no client at all.
            if !near.is_empty() && ready.iter().all(|it| !hints(it).is_empty()) {
                return addresses_of(near.into_iter());
            }
        }
        addresses_of(ready.into_iter())
    }

    fn on(&self, node: Option<&str>) -> Vec<SocketAddrV4> {
        let here: Vec<&Candidate> =
            self.candidates.iter().filter(|it| node.is_some() && it.node.as_deref() == node).collect();
        let ready = addresses_of(here.iter().copied().filter(|it| it.ready));
        if ready.is_empty() { addresses_of(here.into_iter()) } else { ready }
    }
}

fn addresses_of<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Vec<SocketAddrV4> {
    candidates.map(|candidate| candidate.at).collect()
}

/// Every address and port that should answer.
pub type Table = BTreeMap<Front, Behind>;

/// Slices by their Service.
pub type BySlices<'a> = BTreeMap<ObjectKey, Vec<&'a EndpointSlice>>;

/// Sorts slices by their Service; only those with IPv4 addresses.
pub fn by_service(slices: &[Arc<EndpointSlice>]) -> BySlices<'_> {
    let mut sorted = BySlices::new();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let Some(service) = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE)) else { continue };
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        sorted.entry(ObjectKey::new(namespace, service)).or_default().push(slice);
    }
    sorted
}

/// Every address and port that should answer for a Service. One with nobody behind it is left out: whoever
/// tries it is refused at once, as by any port where nobody listens.
pub fn table(services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> Table {
    let sorted = by_service(slices);
    let mut table = Table::new();
    for service in services {
        let Some(spec) = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName")) else {
            continue;
        };
        let behind_it = sorted.get(&ObjectKey::of(&service.metadata)).map(Vec::as_slice).unwrap_or_default();
        for port in spec.ports.iter().flatten() {
            let Some(protocol) = Protocol::of(port.protocol.as_deref()) else { continue };
            let candidates = candidates(port, protocol, behind_it);
            if candidates.is_empty() {
                continue;
            }
            let behind = Behind { candidates, reach: Reach::Cluster, sticky: sticky(spec) };
            for (front, reach) in fronts(spec, port, protocol) {
                table.insert(front, Behind { reach, ..behind.clone() });
            }
        }
    }
    table
}

/// Adds the ports that Pods have on their nodes.
pub fn add_host_ports(table: &mut Table, pods: &[Arc<PodView>], places: &[Place]) {
    for pod in pods {
        let Some(own) = pod.address() else { continue };
        let node = pod.spec.node_name.as_ref();
        let Some(address) = places.iter().find(|place| Some(&place.node) == node).and_then(|place| place.address)
        else {
            continue;
        };
        for port in pod.ports() {
            let Some((number, protocol)) = port.host_port.zip(Protocol::of(port.protocol.as_deref())) else { continue };
            let elsewhere = |ip: &String| !ip.is_empty() && *ip != "0.0.0.0" && *ip != address.to_string();
            if number == 0 || port.host_ip.as_ref().is_some_and(elsewhere) {
                continue;
            }
            let at = SocketAddrV4::new(own, port.container_port);
            let candidate =
                Candidate { at, node: node.cloned(), for_nodes: Vec::new(), for_zones: Vec::new(), ready: true };
            let behind = Behind { candidates: vec![candidate], ..Behind::default() };
            table.entry(Front { address, port: number, protocol }).or_insert(behind);
        }
    }
}

/// Where a Service's port is knocked at, and whom each leads to.
fn fronts(spec: &ServiceSpec, port: &ServicePort, protocol: Protocol) -> impl Iterator<Item = (Front, Reach)> {
    let is_local = |policy: &Option<String>| policy.as_deref() == Some("Local");
    let inside = if is_local(&spec.internal_traffic_policy) { Reach::SameNode } else { Reach::Cluster };
    let outside = if is_local(&spec.external_traffic_policy) { Reach::NodeKnockedAt } else { Reach::Cluster };
    let own = addresses(spec).into_iter().map(move |address| (address, port.port, inside));
    let of_nodes = port.node_port.map(|number| (Ipv4Addr::UNSPECIFIED, number, outside));
    own.chain(of_nodes).filter_map(move |(address, port, reach)| {
        Some((Front { address, port: u16::try_from(port).ok()?, protocol }, reach))
    })
}

/// A Service's own addresses: none when it is headless.
pub fn addresses(spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let own = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip).chain(spec.external_ips.iter().flatten());
    let mut addresses: Vec<Ipv4Addr> = own.filter_map(|address| address.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn sticky(spec: &ServiceSpec) -> Option<Duration> {
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let seconds = config.and_then(|config| config.timeout_seconds).unwrap_or(STICKY_SECONDS);
    let wanted = spec.session_affinity.as_deref() == Some("ClientIP");
    wanted.then(|| Duration::from_secs(seconds.try_into().unwrap_or_default()))
}

/// All who are behind a Service's port, ready or ending; in order, each address once.
fn candidates(port: &ServicePort, protocol: Protocol, slices: &[&EndpointSlice]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = slices.iter().flat_map(|slice| of_slice(port, protocol, slice)).collect();
    // An address may be in two slices while it moves: what is ready counts.
    found.sort_by_key(|candidate| (candidate.at, !candidate.ready));
    found.dedup_by_key(|candidate| candidate.at);
    found
}

fn of_slice(port: &ServicePort, protocol: Protocol, slice: &EndpointSlice) -> Vec<Candidate> {
    let same = |known: &&k8s_openapi::api::discovery::v1::EndpointPort| {
        known.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default()
            && Protocol::of(known.protocol.as_deref()) == Some(protocol)
    };
    let number = slice.ports.iter().flatten().find(same).and_then(|known| u16::try_from(known.port?).ok());
    let Some(number) = number else { return Vec::new() };
    let chosen = slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint) || still_serves(endpoint));
    let candidate = |endpoint: &Endpoint| {
        let hints = endpoint.hints.as_ref();
        Some(Candidate {
            at: SocketAddrV4::new(endpoint.addresses.first()?.parse().ok()?, number),
            node: endpoint.node_name.clone(),
            for_nodes: hints.iter().flat_map(|it| it.for_nodes.iter().flatten()).map(|it| it.name.clone()).collect(),
            for_zones: hints.iter().flat_map(|it| it.for_zones.iter().flatten()).map(|it| it.name.clone()).collect(),
            ready: is_ready(endpoint),
        })
    };
    chosen.filter_map(candidate).collect()
}

/// Whether new clients may be sent there. What nobody says counts as yes.
pub fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
}

/// Whether it still serves while it ends.
pub fn still_serves(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.is_some_and(|it| it.terminating == Some(true) && it.serving != Some(false))
}

#[cfg(test)]
mod tests;
