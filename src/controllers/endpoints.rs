//! Endpoints: the older form of EndpointSlices, one object a Service, for clients that still read it.
//!
//! Source: kube-controller-manager, pkg/controller/endpoint.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service};
use kube::api::ObjectMeta;

use super::plan::{Action, Note, Plan, reference};
use super::runner::Room;
use super::service_pods::{self, HEADLESS, Port};
use crate::client::views::PodView;

/// Source: --concurrent-endpoint-syncs.
const WORKERS: usize = 5;
/// Addresses at most. Source: endpoints_controller.go, maxCapacity.
const MOST: usize = 1000;
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// Starts the loop.
pub fn start(room: Room) {
    let (services, pods) = (room.informer::<Service>(), room.informer::<PodView>());
    let all = room.informer::<Endpoints>();
    room.wake_self(&services);
    let known = services.clone();
    room.wake(&pods, move |pod| service_pods::services_of(pod, &known));
    room.wake_self(&all);
    room.run("endpoints-controller", WORKERS, move |key, _| {
        let old = all.get(key);
        let Some(service) = services.get(key) else { return remove(old.as_deref()) };
        reconcile(&service, &pods.in_namespace(&key.namespace), old.as_deref())
    });
}

/// A Service takes its Endpoints with it, if this loop made them.
fn remove(old: Option<&Endpoints>) -> Plan {
    let mut plan = Plan::none();
    let ours = |old: &&Endpoints| old.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(MANAGED_BY));
    if let Some(old) = old.filter(ours) {
        plan.act(Action::delete::<Endpoints>(&old.metadata));
    }
    plan
}

/// What a Service's Endpoints need done.
pub fn reconcile(service: &Service, pods: &[Arc<PodView>], old: Option<&Endpoints>) -> Plan {
    let mut plan = Plan::none();
    let Some(spec) = service_pods::is_selected(service) else { return plan };
    let publish = spec.publish_not_ready_addresses.unwrap_or(false);
    let family = spec.ip_families.as_ref().and_then(|list| list.first()).map_or("IPv4", String::as_str);
    let mut groups: BTreeMap<Vec<Port>, (Vec<EndpointAddress>, Vec<EndpointAddress>)> = BTreeMap::new();
    let mut left = MOST;
    let mut over = false;
    for pod in pods.iter().filter(|pod| service_pods::selects(spec, pod) && service_pods::is_reachable(pod)) {
        if pod.metadata.deletion_timestamp.is_some() && !publish {
            continue;
        }
        let Some(ip) = service_pods::address(pod, family) else { continue };
        if left == 0 {
            over = true;
            break;
        }
        left -= 1;
        let address = EndpointAddress {
            ip: ip.to_owned(),
            hostname: service_pods::hostname(service, pod),
            node_name: pod.spec.node_name.clone(),
            target_ref: Some(service_pods::target(pod)),
        };
        let group = groups.entry(service_pods::ports(spec, pod)).or_default();
        if publish || pod.is_ready() { group.0.push(address) } else { group.1.push(address) }
    }
    let subsets: Vec<_> = groups.into_iter().map(subset).collect();
    let mut next = old.cloned().unwrap_or_else(|| Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..Default::default()
        },
        subsets: None,
    });
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if service_pods::is_headless(spec) {
        labels.insert(HEADLESS.into(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    next.metadata.labels = Some(labels);
    let annotations = next.metadata.annotations.get_or_insert_default();
    if over {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    next.metadata.annotations = next.metadata.annotations.filter(|annotations| !annotations.is_empty());
    next.subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
    write(service, next, old, &mut plan);
    plan
}

fn write(service: &Service, next: Endpoints, old: Option<&Endpoints>, plan: &mut Plan) {
    let name = format!(
        "{}/{}",
        service.metadata.namespace.as_deref().unwrap_or_default(),
        service.metadata.name.as_deref().unwrap_or_default()
    );
    match old {
        None => {
            let words = format!("Failed to create endpoint for service {name}: <err>");
            plan.act(Action::create(&next).failed(Note::warning(reference(&next), "FailedToCreateEndpoint", words)));
        }
        Some(old) if *old != next => {
            let words = format!("Failed to update endpoint {name}: <err>");
            plan.act(Action::update(&next).failed(Note::warning(reference(&next), "FailedToUpdateEndpoint", words)));
        }
        Some(_) => {}
    }
}

fn subset(group: (Vec<Port>, (Vec<EndpointAddress>, Vec<EndpointAddress>))) -> EndpointSubset {
    let (ports, (mut ready, mut not_ready)) = group;
    let by_address = |address: &EndpointAddress| address.ip.parse::<std::net::IpAddr>().ok();
    ready.sort_by_key(by_address);
    not_ready.sort_by_key(by_address);
    let ports = ports.into_iter().map(|port| EndpointPort {
        name: Some(port.name).filter(|name| !name.is_empty()),
        port: port.number,
        protocol: Some(port.protocol),
        app_protocol: port.app_protocol,
    });
    let some = |list: Vec<EndpointAddress>| Some(list).filter(|list| !list.is_empty());
    EndpointSubset {
        addresses: some(ready),
        not_ready_addresses: some(not_ready),
        ports: Some(ports.collect::<Vec<_>>()).filter(|ports| !ports.is_empty()),
    }
}
