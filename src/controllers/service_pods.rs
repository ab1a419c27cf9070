//! Which Pods stand behind a Service, and on which ports: what EndpointSlices and Endpoints share.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ObjectReference, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::client::views::PodView;
use crate::client::{Informer, ObjectKey};

/// Marks what belongs to a headless Service. Source: core/v1 well_known_labels, IsHeadlessService.
pub const HEADLESS: &str = "service.kubernetes.io/headless";

/// A port of a Pod, as a Service's port finds it there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The Service port's name; empty for an only, unnamed port.
    pub name: String,
    /// The number in the Pod.
    pub number: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The application protocol, where the Service names one.
    pub app_protocol: Option<String>,
}

/// The Service gets its endpoints from its selector, and this loop.
pub fn is_selected(service: &Service) -> Option<&ServiceSpec> {
    let spec = service.spec.as_ref()?;
    let selects = spec.selector.as_ref().is_some_and(|selector| !selector.is_empty());
    (selects && spec.type_.as_deref() != Some("ExternalName")).then_some(spec)
}

/// The Service has no virtual address.
pub fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref() == Some("None")
}

/// The Pod's labels have all of the Service's selector.
pub fn selects(spec: &ServiceSpec, pod: &PodView) -> bool {
    let labels = pod.metadata.labels.as_ref();
    spec.selector.iter().flatten().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// The Services of the Pod's namespace that select it.
pub fn services_of(pod: &PodView, services: &Informer<Service>) -> Vec<ObjectKey> {
    let in_namespace = services.in_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
    let selecting = in_namespace.iter().filter(|service| is_selected(service).is_some_and(|spec| selects(spec, pod)));
    selecting.map(|service| ObjectKey::of(&service.metadata)).collect()
}

/// The Pod can have connections, now or once it is ready.
pub fn is_reachable(pod: &PodView) -> bool {
    !pod.is_finished() && !pod.status.pod_ips.is_empty()
}

/// The Pod's address of a family (`IPv4` or `IPv6`).
pub fn address<'a>(pod: &'a PodView, family: &str) -> Option<&'a str> {
    let of_family = |text: &&str| text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() == (family == "IPv4"));
    pod.status.pod_ips.iter().map(|entry| entry.ip.as_str()).find(of_family)
}

/// The Service's ports in this Pod; a named port that the Pod does not declare is left out.
pub fn ports(spec: &ServiceSpec, pod: &PodView) -> Vec<Port> {
    let mut ports: Vec<_> = spec
        .ports
        .iter()
        .flatten()
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                number: find(port, pod)?,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort();
    ports
}

fn find(port: &ServicePort, pod: &PodView) -> Option<i32> {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let sidecars = pod.spec.init_containers.iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
            let mut declared = pod.spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            declared
                .find(|p| p.name.as_ref() == Some(name) && p.protocol.as_deref().unwrap_or("TCP") == protocol)
                .map(|p| p.container_port)
        }
    }
}

/// The host name the Pod has under the Service's DNS name.
pub fn hostname(service: &Service, pod: &PodView) -> Option<String> {
    let same = pod.spec.subdomain.is_some() && pod.spec.subdomain == service.metadata.name;
    pod.spec.hostname.clone().filter(|name| same && !name.is_empty())
}

/// How an endpoint names its Pod.
pub fn target(pod: &PodView) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..Default::default()
    }
}
