//! Which addresses Services have, and who is behind each: a table made of objects.
//!
//! In: Services and EndpointSlices. Out: for each address and port that should answer, the Pods that
//! may. Opens nothing ([`super::proxy`] does). Source: kube-proxy, pkg/proxy/endpointslicecache.go and
//! topology.go. Chapter: `book/src/inside/runtime.md`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::client::ObjectKey;

/// The label of a slice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";
/// Source: core/v1 `DefaultClientIPServiceAffinitySeconds`.
const STICKY_SECONDS: i32 = 10_800;

/// Who answers at a Service's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// The Pods' addresses, in order. Never empty in a table.
    pub endpoints: Vec<SocketAddrV4>,
    /// So long a client keeps its Pod (`sessionAffinity: ClientIP`).
    pub sticky: Option<Duration>,
}

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

/// Every address and port that should answer over TCP. One with nobody behind it is left out: whoever
/// tries it is refused at once, as by any port where nobody listens. The address 0.0.0.0 means all
/// addresses of all nodes (`nodePort`).
pub fn table(services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> BTreeMap<SocketAddrV4, Behind> {
    let sorted = by_service(slices);
    let mut table = BTreeMap::new();
    for service in services {
        let Some(spec) = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName")) else {
            continue;
        };
        let behind_it = sorted.get(&ObjectKey::of(&service.metadata)).map(Vec::as_slice).unwrap_or_default();
        for port in spec.ports.iter().flatten().filter(|port| is_tcp(port.protocol.as_deref())) {
            let behind = Behind { endpoints: endpoints(port, behind_it), sticky: sticky(spec) };
            if !behind.endpoints.is_empty() {
                table.extend(fronts(spec, port).map(|front| (front, behind.clone())));
            }
        }
    }
    table
}

fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
}

/// Where a Service's port is knocked at.
fn fronts(spec: &ServiceSpec, port: &ServicePort) -> impl Iterator<Item = SocketAddrV4> {
    let inside = addresses(spec).into_iter().map(|address| (address, port.port));
    let outside = port.node_port.map(|number| (Ipv4Addr::UNSPECIFIED, number));
    inside.chain(outside).filter_map(|(address, port)| Some(SocketAddrV4::new(address, u16::try_from(port).ok()?)))
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

/// The endpoints of a Service's port: the ready ones; when none is, those that still serve while they
/// end, so that a last request is not lost.
fn endpoints(port: &ServicePort, slices: &[&EndpointSlice]) -> Vec<SocketAddrV4> {
    for chosen in [is_ready, still_serves] {
        let mut found: Vec<_> = slices.iter().flat_map(|slice| of_slice(port, slice, chosen)).collect();
        if !found.is_empty() {
            found.sort_unstable();
            found.dedup();
            return found;
        }
    }
    Vec::new()
}

fn of_slice(port: &ServicePort, slice: &EndpointSlice, chosen: fn(&Endpoint) -> bool) -> Vec<SocketAddrV4> {
    let same = |known: &&k8s_openapi::api::discovery::v1::EndpointPort| {
        known.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default()
            && is_tcp(known.protocol.as_deref())
    };
    let number = slice.ports.iter().flatten().find(same).and_then(|known| u16::try_from(known.port?).ok());
    let Some(number) = number else { return Vec::new() };
    let chosen = slice.endpoints.iter().flatten().filter(|endpoint| chosen(endpoint));
    let addresses = chosen.filter_map(|endpoint| endpoint.addresses.first()?.parse().ok());
    addresses.map(|address| SocketAddrV4::new(address, number)).collect()
}

/// Whether new clients may be sent there. What nobody says counts as yes.
pub fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
}

fn still_serves(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.is_some_and(|it| it.terminating == Some(true) && it.serving != Some(false))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Arc<Service> {
        let whole = json!({"metadata": {"name": "web", "namespace": "a"}, "spec": spec});
        Arc::new(serde_json::from_value(whole).unwrap())
    }

    fn slice(endpoints: Value) -> Arc<EndpointSlice> {
        let ports =
            json!([{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
        let labels = json!({SERVICE: "web"});
        let whole = json!({"metadata": {"name": "web-1", "namespace": "a", "labels": labels},
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports});
        Arc::new(serde_json::from_value(whole).unwrap())
    }

    fn ports() -> Value {
        json!([{"name": "http", "port": 80, "nodePort": 30080}, {"name": "dns", "port": 53, "protocol": "UDP"}])
    }

    fn shown(table: &BTreeMap<SocketAddrV4, Behind>) -> Vec<String> {
        let line = |(front, behind): (&SocketAddrV4, &Behind)| {
            let endpoints: Vec<_> = behind.endpoints.iter().map(ToString::to_string).collect();
            format!("{front} -> {}", endpoints.join(" "))
        };
        table.iter().map(line).collect()
    }

    #[test]
    fn a_services_addresses_lead_to_its_ready_pods() {
        let spec = json!({"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "type": "NodePort", "ports": ports()});
        let endpoints = json!([
            {"addresses": ["10.244.1.2"], "conditions": {"ready": true}},
            {"addresses": ["10.244.0.2"]},
            {"addresses": ["10.244.0.3"], "conditions": {"ready": false, "serving": true, "terminating": true}},
        ]);
        let table = table(&[service(spec)], &[slice(endpoints)]);
        let both = "10.244.0.2:8080 10.244.1.2:8080";
        assert_eq!(shown(&table), [format!("0.0.0.0:30080 -> {both}"), format!("10.96.0.7:80 -> {both}")]);
    }

    #[test]
    fn those_that_end_serve_when_nobody_else_does() {
        let spec =
            json!({"clusterIP": "10.96.0.7", "sessionAffinity": "ClientIP", "ports": [{"name": "http", "port": 80}]});
        let ending = |serving: bool| json!([{"addresses": ["10.244.0.3"], "conditions": {"ready": false, "serving": serving, "terminating": true}}]);
        let found = table(&[service(spec.clone())], &[slice(ending(true))]);
        assert_eq!(shown(&found), ["10.96.0.7:80 -> 10.244.0.3:8080"]);
        assert_eq!(found.values().next().unwrap().sticky, Some(Duration::from_secs(10_800)));
        assert!(table(&[service(spec)], &[slice(ending(false))]).is_empty(), "nobody is there: nobody listens");
    }

    #[test]
    fn headless_and_external_services_have_no_address() {
        let headless = json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]});
        let external =
            json!({"type": "ExternalName", "externalName": "example.com", "ports": [{"name": "http", "port": 80}]});
        let endpoints = json!([{"addresses": ["10.244.1.2"]}]);
        for spec in [headless, external] {
            assert!(table(&[service(spec)], &[slice(endpoints.clone())]).is_empty());
        }
    }
}
