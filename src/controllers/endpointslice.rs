//! EndpointSlices: the addresses behind each Service, ready or not, at most 100 a slice.
//!
//! Comes in: Services, Pods, Nodes (for zones). Goes out: slices that change as little as possible,
//! because every node reads every change. Source: kube-controller-manager,
//! pkg/controller/endpointslice and k8s.io/endpointslice.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use kube::api::ObjectMeta;

use super::plan::{Action, Plan, owner_reference};
use super::runner::Room;
use super::service_pods::{self, HEADLESS, Port};
use crate::client::ObjectKey;
use crate::client::views::{NodeView, PodView};

/// Source: --max-endpoints-per-slice.
const MOST: usize = 100;
/// Source: --concurrent-service-endpoint-syncs.
const WORKERS: usize = 5;
const SERVICE: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Source: endpointslice_controller.go, controllerName.
const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Starts the loop.
pub fn start(room: Room) {
    let (services, pods) = (room.informer::<Service>(), room.informer::<PodView>());
    let (slices, nodes) = (room.informer::<EndpointSlice>(), room.informer::<NodeView>());
    room.wake_self(&services);
    let known = services.clone();
    room.wake(&pods, move |pod| service_pods::services_of(pod, &known));
    room.wake(&slices, |slice| {
        let service = slice.metadata.labels.as_ref().filter(|_| is_managed(slice)).and_then(|l| l.get(SERVICE));
        service
            .map(|name| ObjectKey::new(slice.metadata.namespace.clone().unwrap_or_default(), name))
            .into_iter()
            .collect()
    });
    room.run("endpointslice-controller", WORKERS, move |key, _| {
        let Some(service) = services.get(key) else { return Plan::none() };
        let Some(spec) = service_pods::is_selected(&service) else { return Plan::none() };
        let behind: Vec<_> =
            pods.in_namespace(&key.namespace).into_iter().filter(|pod| service_pods::selects(spec, pod)).collect();
        let owned: Vec<_> = slices
            .owned_by(service.metadata.uid.as_deref().unwrap_or_default())
            .into_iter()
            .filter(|slice| is_managed(slice) && slice.metadata.deletion_timestamp.is_none())
            .collect();
        let zone = |node: &str| {
            nodes.get(&ObjectKey::cluster(node)).and_then(|node| node.metadata.labels.as_ref()?.get(ZONE).cloned())
        };
        reconcile(&service, &behind, &owned, &zone)
    });
}

fn is_managed(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|manager| manager == MANAGER)
}

/// Endpoints with the same ports, by the uid of their Pod.
type Group = BTreeMap<String, Endpoint>;

/// What a Service's slices need done.
pub fn reconcile(
    service: &Service,
    pods: &[Arc<PodView>],
    slices: &[Arc<EndpointSlice>],
    zone: &dyn Fn(&str) -> Option<String>,
) -> Plan {
    let mut plan = Plan::none();
    let Some(spec) = &service.spec else { return plan };
    if service.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let families = spec.ip_families.clone().filter(|list| !list.is_empty()).unwrap_or_else(|| vec!["IPv4".into()]);
    for slice in slices.iter().filter(|slice| !families.contains(&slice.address_type)) {
        plan.act(Action::delete::<EndpointSlice>(&slice.metadata));
    }
    for family in &families {
        let mut groups: BTreeMap<Vec<Port>, Group> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| service_pods::is_reachable(pod)) {
            let Some(address) = service_pods::address(pod, family) else { continue };
            let group = groups.entry(service_pods::ports(spec, pod)).or_default();
            group.insert(pod.metadata.uid.clone().unwrap_or_default(), endpoint(service, spec, pod, address, zone));
        }
        if groups.is_empty() {
            // A Service without Pods still has a slice, which says that there are none.
            groups.insert(Vec::new(), Group::new());
        }
        let mut existing: Vec<_> = slices.iter().filter(|slice| &slice.address_type == family).cloned().collect();
        for (ports, group) in groups {
            let wanted = api_ports(&ports);
            let (same, other) =
                existing.into_iter().partition(|slice| slice.ports.clone().unwrap_or_default() == wanted);
            existing = other;
            fill(service, spec, family, wanted, group, same, &mut plan);
        }
        for slice in existing {
            plan.act(Action::delete::<EndpointSlice>(&slice.metadata));
        }
    }
    plan
}

/// Puts a group into its slices: known endpoints stay where they are, new ones fill the gaps.
fn fill(
    service: &Service,
    spec: &ServiceSpec,
    family: &str,
    ports: Vec<EndpointPort>,
    mut group: Group,
    slices: Vec<Arc<EndpointSlice>>,
    plan: &mut Plan,
) {
    let mut kept: Vec<(Arc<EndpointSlice>, Vec<Endpoint>)> = slices
        .into_iter()
        .map(|slice| {
            let known = slice.endpoints.iter().flatten();
            let stay =
                known.filter_map(|endpoint| group.remove(endpoint.target_ref.as_ref()?.uid.as_deref()?)).collect();
            (slice, stay)
        })
        .collect();
    let mut new: VecDeque<_> = group.into_values().collect();
    kept.sort_by_key(|(_, endpoints)| std::cmp::Reverse(endpoints.len()));
    for (_, endpoints) in &mut kept {
        let room = MOST - endpoints.len().min(MOST);
        endpoints.extend(new.drain(..room.min(new.len())));
    }
    let mut some = kept.iter().any(|(_, endpoints)| !endpoints.is_empty()) || !new.is_empty();
    for (slice, endpoints) in kept {
        if endpoints.is_empty() && some {
            plan.act(Action::delete::<EndpointSlice>(&slice.metadata));
            continue;
        }
        some = true;
        let mut next = (*slice).clone();
        next.metadata.labels = Some(labels(service, spec));
        let unchanged = slice.endpoints.clone().unwrap_or_default() == endpoints;
        next.endpoints = Some(endpoints);
        if !unchanged || next.metadata.labels != slice.metadata.labels {
            plan.act(Action::update(&next));
        }
    }
    while !new.is_empty() || !some {
        some = true;
        let endpoints = new.drain(..MOST.min(new.len())).collect();
        plan.act(Action::create(&new_slice(service, spec, family, ports.clone(), endpoints)));
    }
}

fn new_slice(
    service: &Service,
    spec: &ServiceSpec,
    family: &str,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", service.metadata.name.as_deref().unwrap_or_default())),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service, spec)),
            owner_references: Some(vec![owner_reference(service)]),
            ..Default::default()
        },
        address_type: family.to_owned(),
        endpoints: Some(endpoints),
        ports: Some(ports),
    }
}

/// The Service's own labels, and those that lead from the slice to the Service and to this loop.
fn labels(service: &Service, spec: &ServiceSpec) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE.into(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if service_pods::is_headless(spec) {
        labels.insert(HEADLESS.into(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    labels
}

fn api_ports(ports: &[Port]) -> Vec<EndpointPort> {
    ports
        .iter()
        .map(|port| EndpointPort {
            name: Some(port.name.clone()),
            port: Some(port.number),
            protocol: Some(port.protocol.clone()),
            app_protocol: port.app_protocol.clone(),
        })
        .collect()
}

fn endpoint(
    service: &Service,
    spec: &ServiceSpec,
    pod: &PodView,
    address: &str,
    zone: &dyn Fn(&str) -> Option<String>,
) -> Endpoint {
    let serving = pod.is_ready();
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let ready = spec.publish_not_ready_addresses.unwrap_or(false) || (serving && !terminating);
    let zone = pod.spec.node_name.as_deref().and_then(zone);
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: service_pods::hostname(service, pod),
        hints: hints(spec, pod.spec.node_name.as_deref(), zone.as_deref()).filter(|_| ready),
        node_name: pod.spec.node_name.clone(),
        target_ref: Some(service_pods::target(pod)),
        zone,
        ..Default::default()
    }
}

/// For whose clients an endpoint is, if the Service wants its clients to stay near. Source:
/// k8s.io/endpointslice, trafficdist.
fn hints(spec: &ServiceSpec, node: Option<&str>, zone: Option<&str>) -> Option<EndpointHints> {
    let (near, same_node) = match spec.traffic_distribution.as_deref()? {
        "PreferClose" | "PreferSameZone" => (true, false),
        "PreferSameNode" => (true, true),
        _ => (false, false),
    };
    let hints = EndpointHints {
        for_zones: zone.filter(|_| near).map(|name| vec![ForZone { name: name.to_owned() }]),
        for_nodes: node.filter(|_| same_node).map(|name| vec![ForNode { name: name.to_owned() }]),
    };
    (hints != EndpointHints::default()).then_some(hints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "uid": "s1" },
            "spec": { "clusterIP": "10.96.0.7", "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "http" }] },
        }))
        .unwrap()
    }

    fn pod(n: usize, port: i32, ready: &str) -> Arc<PodView> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": { "name": format!("p{n}"), "namespace": "default", "uid": format!("p{n}"), "labels": { "app": "web" } },
                "spec": { "nodeName": "n1", "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": port }] }] },
                "status": { "phase": "Running", "podIPs": [{ "ip": format!("10.0.{}.{}", n / 250, n % 250) }],
                    "conditions": [{ "type": "Ready", "status": ready }] },
            }))
            .unwrap(),
        )
    }

    fn carried_out(plan: &Plan, before: &[Arc<EndpointSlice>]) -> Vec<Arc<EndpointSlice>> {
        use crate::controllers::plan::Verb;
        let mut slices = before.to_vec();
        for action in plan.actions() {
            let of_body = || serde_json::from_value::<EndpointSlice>(action.body.clone()).unwrap();
            match action.verb {
                Verb::Create => {
                    let mut slice = of_body();
                    slice.metadata.name = Some(format!("web-{}", slices.len()));
                    slices.push(Arc::new(slice));
                }
                _ => slices.retain(|slice| slice.metadata.name.as_deref() != Some(&action.key.name)),
            }
            if action.verb == Verb::Update {
                slices.push(Arc::new(of_body()));
            }
        }
        slices
    }

    #[test]
    fn pods_fill_slices_of_a_hundred_and_leave_them_alone() {
        let pods: Vec<_> = (0..150).map(|n| pod(n, 8080, "True")).collect();
        let slices = carried_out(&reconcile(&service(), &pods, &[], &|_| None), &[]);
        let sizes: Vec<_> = slices.iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect();
        assert_eq!(sizes, [100, 50]);
        assert_eq!(reconcile(&service(), &pods, &slices, &|_| None), Plan::none());
        let fewer = reconcile(&service(), &pods[1..], &slices, &|_| None);
        assert_eq!(fewer.actions().len(), 1, "only the slice that lost a Pod changes");
    }

    #[test]
    fn a_named_port_may_differ_from_pod_to_pod() {
        let pods = [pod(1, 8080, "True"), pod(2, 9090, "False")];
        let slices = carried_out(&reconcile(&service(), &pods, &[], &|_| None), &[]);
        let ports: Vec<_> = slices.iter().map(|slice| slice.ports.as_ref().unwrap()[0].port).collect();
        assert_eq!(ports, [Some(8080), Some(9090)]);
        let conditions = slices[1].endpoints.as_ref().unwrap()[0].conditions.clone().unwrap();
        assert_eq!(conditions.ready, Some(false));
    }

    #[test]
    fn a_service_that_prefers_what_is_near_has_hints() {
        let zone = |_: &str| Some("zone-a".to_owned());
        let hinted = |wish: Option<&str>, ready: &str| {
            let mut service = service();
            service.spec.as_mut().unwrap().traffic_distribution = wish.map(str::to_owned);
            let slices = carried_out(&reconcile(&service, &[pod(1, 80, ready)], &[], &zone), &[]);
            let hints = slices[0].endpoints.as_ref().unwrap()[0].hints.clone().unwrap_or_default();
            let zones: Vec<_> = hints.for_zones.into_iter().flatten().map(|it| it.name).collect();
            let nodes: Vec<_> = hints.for_nodes.into_iter().flatten().map(|it| it.name).collect();
            (zones.join(","), nodes.join(","))
        };
        let said = |zone: &str, node: &str| (zone.to_owned(), node.to_owned());
        assert_eq!(hinted(None, "True"), said("", ""));
        assert_eq!(hinted(Some("PreferClose"), "True"), said("zone-a", ""));
        assert_eq!(hinted(Some("PreferSameNode"), "True"), said("zone-a", "n1"));
        assert_eq!(hinted(Some("PreferSameNode"), "False"), said("", ""));
    }

    #[test]
    fn without_pods_one_empty_slice_stays() {
        let slices = carried_out(&reconcile(&service(), &[], &[], &|_| None), &[]);
        assert_eq!(slices.len(), 1);
        assert_eq!(reconcile(&service(), &[], &slices, &|_| None), Plan::none());
        let filled = carried_out(&reconcile(&service(), &[pod(1, 80, "True")], &slices, &|_| None), &slices);
        assert_eq!(filled.len(), 1);
    }
}
