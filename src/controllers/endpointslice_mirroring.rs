//! EndpointSlices for Endpoints that people write themselves, so that readers need know slices only.
//!
//! Comes in: Services without a selector and the Endpoints of their name. Goes out: one slice for
//! each address family and set of ports, which follows the Endpoints through every change. Source:
//! kube-controller-manager, pkg/controller/endpointslicemirroring.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kube::api::ObjectMeta;

use super::plan::{Action, Note, Plan, owner_reference, reference};
use super::runner::Room;
use crate::client::ObjectKey;

/// Source: --mirroring-max-endpoints-per-subset.
const MOST: usize = 1000;
/// Source: --mirroring-concurrent-service-endpoint-syncs.
const WORKERS: usize = 5;
const SERVICE: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Source: endpointslicemirroring_controller.go, ControllerName.
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Endpoints that carry it are a lock, not addresses.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Annotations that are about the Endpoints alone.
const OWN_ANNOTATIONS: [&str; 2] =
    ["endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"];

/// Starts the loop.
pub fn start(room: Room) {
    let (services, all) = (room.informer::<Service>(), room.informer::<Endpoints>());
    let slices = room.informer::<EndpointSlice>();
    room.wake_self(&services);
    room.wake_self(&all);
    room.wake(&slices, |slice| {
        let name = slice.metadata.labels.as_ref().filter(|_| is_managed(slice)).and_then(|labels| labels.get(SERVICE));
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        name.map(|name| ObjectKey::new(namespace, name)).into_iter().collect()
    });
    room.run("endpointslice-mirroring-controller", WORKERS, move |key, _| {
        let of_service = |slice: &Arc<EndpointSlice>| {
            let labels = slice.metadata.labels.as_ref();
            is_managed(slice) && labels.and_then(|labels| labels.get(SERVICE)) == Some(&key.name)
        };
        let existing: Vec<_> = slices.in_namespace(&key.namespace).into_iter().filter(of_service).collect();
        let (service, endpoints) = (services.get(key), all.get(key));
        reconcile(service.as_deref(), endpoints.as_deref(), &existing)
    });
}

fn is_managed(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|manager| manager == MANAGER)
}

/// Whether the Endpoints are to be mirrored for this Service.
fn is_mirrored(service: &Service, endpoints: &Endpoints) -> bool {
    let has = |map: &Option<BTreeMap<String, String>>, key: &str| map.as_ref().is_some_and(|map| map.contains_key(key));
    let skipped = endpoints.metadata.labels.as_ref().and_then(|labels| labels.get(SKIP)).is_some_and(|v| v == "true");
    let selects = service.spec.as_ref().is_some_and(|spec| spec.selector.is_some());
    !skipped && !selects && !has(&endpoints.metadata.annotations, LEADER)
}

/// A port's name, number, protocol and application protocol: what makes two ports the same.
type Port = (Option<String>, i32, Option<String>, Option<String>);
/// An address and the uid of what stands behind it.
type Key = (String, Option<String>);
/// The addresses of one slice, and which of them are ready.
type Group = BTreeMap<Key, (EndpointAddress, bool)>;

/// What the slices of a Service's Endpoints need done.
pub fn reconcile(service: Option<&Service>, endpoints: Option<&Endpoints>, existing: &[Arc<EndpointSlice>]) -> Plan {
    let mut plan = Plan::none();
    let mirrored = service.zip(endpoints).filter(|(service, endpoints)| is_mirrored(service, endpoints));
    let Some((_, endpoints)) = mirrored else {
        for slice in existing {
            plan.act(Action::delete::<EndpointSlice>(&slice.metadata));
        }
        return plan;
    };
    let mut spare = existing.to_vec();
    let (mut updates, mut creates) = (Vec::new(), Vec::new());
    for ((family, ports), addresses) in wanted(endpoints, &mut plan) {
        let next = slice(endpoints, family, &ports, &addresses);
        match spare.iter().position(|old| old.address_type == family && old.ports == next.ports) {
            Some(at) => updates.push((spare.remove(at), next)),
            None => creates.push(next),
        }
    }
    for next in creates {
        // A slice that is no longer wanted is used again rather than deleted.
        match spare.iter().position(|old| old.address_type == next.address_type) {
            Some(at) => updates.push((spare.remove(at), next)),
            None if endpoints.metadata.deletion_timestamp.is_none() => plan.act(Action::create(&next)),
            None => {}
        }
    }
    for (old, next) in updates {
        update(&old, next, &mut plan);
    }
    for slice in spare {
        plan.act(Action::delete::<EndpointSlice>(&slice.metadata));
    }
    plan
}

fn update(old: &EndpointSlice, mut next: EndpointSlice, plan: &mut Plan) {
    let same = |a: &Option<BTreeMap<String, String>>, b: &Option<BTreeMap<String, String>>| {
        a.clone().unwrap_or_default() == b.clone().unwrap_or_default()
    };
    let unchanged = next.endpoints == old.endpoints
        && next.ports == old.ports
        && same(&next.metadata.labels, &old.metadata.labels)
        && same(&next.metadata.annotations, &old.metadata.annotations)
        && next.metadata.owner_references == old.metadata.owner_references;
    if !unchanged {
        next.metadata = ObjectMeta {
            name: old.metadata.name.clone(),
            resource_version: old.metadata.resource_version.clone(),
            generate_name: None,
            ..next.metadata
        };
        plan.act(Action::update(&next));
    }
}

/// The addresses by family and ports; what is not an address, or too many, is said.
fn wanted(endpoints: &Endpoints, plan: &mut Plan) -> BTreeMap<(&'static str, Vec<Port>), Group> {
    let mut slices: BTreeMap<(&'static str, Vec<Port>), Group> = BTreeMap::new();
    let (mut invalid, mut surplus) = (0, 0);
    for (ports, group) in repack(endpoints.subsets.as_deref().unwrap_or_default()) {
        let mut left = MOST;
        let (ready, other): (Vec<_>, Vec<_>) = group.into_iter().partition(|(_, (_, ready))| *ready);
        for (key, entry) in ready.into_iter().chain(other) {
            if left == 0 {
                surplus += 1;
                continue;
            }
            match key.0.parse::<IpAddr>() {
                Ok(address) => {
                    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
                    slices.entry((family, ports.clone())).or_default().insert(key, entry);
                    left -= 1;
                }
                Err(_) => invalid += 1,
            }
        }
    }
    if invalid > 0 {
        let words = format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
        plan.say(Note::warning(reference(endpoints), "InvalidIPAddress", words));
    }
    if surplus > 0 {
        let words = format!(
            "A max of {MOST} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses were skipped",
            surplus + invalid
        );
        plan.say(Note::warning(reference(endpoints), "TooManyAddressesToMirror", words));
    }
    slices
}

/// Subsets in their canonical form: ports that the same addresses serve stand together, and an
/// address that is not ready in one of them is not ready. Source: pkg/api/v1/endpoints/util.go.
fn repack(subsets: &[EndpointSubset]) -> Vec<(Vec<Port>, Group)> {
    let mut by_port: BTreeMap<Option<Port>, Group> = BTreeMap::new();
    for subset in subsets {
        let ports: Vec<_> = subset.ports.iter().flatten().collect();
        let keys: Vec<Option<Port>> = if ports.is_empty() {
            vec![None]
        } else {
            let key = |port: &&k8s_openapi::api::core::v1::EndpointPort| {
                Some((port.name.clone(), port.port, port.protocol.clone(), port.app_protocol.clone()))
            };
            ports.iter().map(key).collect()
        };
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let all: Vec<_> = ready.chain(subset.not_ready_addresses.iter().flatten().map(|a| (a, false))).collect();
        for key in keys {
            let group = by_port.entry(key).or_default();
            for (address, ready) in &all {
                let uid = address.target_ref.as_ref().and_then(|target| target.uid.clone());
                let entry = group.entry((address.ip.clone(), uid)).or_insert(((*address).clone(), *ready));
                entry.1 &= ready;
            }
        }
    }
    let mut groups: Vec<(Vec<Port>, Group)> = Vec::new();
    let members = |group: &Group| group.iter().map(|(key, (_, ready))| (key.clone(), *ready)).collect::<BTreeSet<_>>();
    for (port, group) in by_port {
        match groups.iter_mut().find(|(_, known)| members(known) == members(&group)) {
            Some((ports, _)) => ports.extend(port),
            None => groups.push((port.into_iter().collect(), group)),
        }
    }
    groups
}

fn slice(endpoints: &Endpoints, family: &str, ports: &[Port], addresses: &Group) -> EndpointSlice {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE.into(), name.clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !OWN_ANNOTATIONS.contains(&key.as_str()));
    let port = |(name, number, protocol, app_protocol): &Port| EndpointPort {
        name: Some(name.clone().unwrap_or_default()),
        port: Some(*number),
        protocol: Some(protocol.clone().unwrap_or_else(|| "TCP".into())),
        app_protocol: app_protocol.clone(),
    };
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: endpoints.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![owner_reference(endpoints)]),
            ..Default::default()
        },
        address_type: family.to_owned(),
        endpoints: Some(addresses.iter().map(|((ip, _), (address, ready))| endpoint(ip, address, *ready)).collect()),
        ports: Some(ports.iter().map(port).collect()),
    }
}

fn endpoint(ip: &str, address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        // Written anew, in case it came in an unusual form.
        addresses: vec![ip.parse::<IpAddr>().map_or_else(|_| ip.to_owned(), |address| address.to_string())],
        conditions: Some(EndpointConditions { ready: Some(ready), ..Default::default() }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::plan::Verb;
    use serde_json::{Value, json};

    fn service(selector: Option<Value>) -> Service {
        let spec = json!({ "ports": [{ "port": 80 }], "selector": selector });
        serde_json::from_value(json!({ "metadata": { "name": "db", "namespace": "default" }, "spec": spec })).unwrap()
    }

    fn endpoints(subsets: Value) -> Endpoints {
        serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "default", "uid": "e", "labels": { "tier": "data" } },
            "subsets": subsets,
        }))
        .unwrap()
    }

    fn made(plan: &Plan) -> Vec<Arc<EndpointSlice>> {
        let made = plan.actions().into_iter().filter(|action| action.verb != Verb::Delete);
        made.enumerate()
            .map(|(n, action)| {
                let mut slice: EndpointSlice = serde_json::from_value(action.body.clone()).unwrap();
                slice.metadata.name.get_or_insert(format!("db-{n}"));
                Arc::new(slice)
            })
            .collect()
    }

    #[test]
    fn each_family_and_set_of_ports_has_its_slice() {
        let endpoints = endpoints(json!([
            { "addresses": [{ "ip": "10.1.1.1" }, { "ip": "fd00::1" }], "ports": [{ "name": "sql", "port": 5432 }] },
            { "notReadyAddresses": [{ "ip": "10.1.1.2" }], "ports": [{ "port": 80 }] },
        ]));
        let plan = reconcile(Some(&service(None)), Some(&endpoints), &[]);
        let slices = made(&plan);
        let seen: Vec<_> = slices
            .iter()
            .map(|slice| {
                let first = &slice.endpoints.as_ref().unwrap()[0];
                let ready = first.conditions.as_ref().unwrap().ready.unwrap();
                (
                    slice.address_type.as_str(),
                    slice.ports.as_ref().unwrap()[0].port.unwrap(),
                    first.addresses[0].as_str(),
                    ready,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [("IPv4", 80, "10.1.1.2", false), ("IPv4", 5432, "10.1.1.1", true), ("IPv6", 5432, "fd00::1", true)]
        );
        assert_eq!(slices[0].metadata.labels.as_ref().unwrap()["tier"], "data");
        assert_eq!(reconcile(Some(&service(None)), Some(&endpoints), &slices), Plan::none());
    }

    #[test]
    fn a_slice_follows_its_endpoints_and_leaves_with_them() {
        let of_port =
            |port: i32| endpoints(json!([{ "addresses": [{ "ip": "10.1.1.1" }], "ports": [{ "port": port }] }]));
        let first = made(&reconcile(Some(&service(None)), Some(&of_port(80)), &[]));
        let moved = reconcile(Some(&service(None)), Some(&of_port(81)), &first);
        assert_eq!(moved.actions().len(), 1, "the slice is used again: {moved:?}");
        assert_eq!((&moved.actions()[0].verb, moved.actions()[0].key.name.as_str()), (&Verb::Update, "db-0"));
        let selected = service(Some(json!({ "app": "db" })));
        for (service, endpoints) in
            [(None, Some(of_port(80))), (Some(service(None)), None), (Some(selected), Some(of_port(80)))]
        {
            let plan = reconcile(service.as_ref(), endpoints.as_ref(), &first);
            assert_eq!(plan.actions().iter().map(|action| action.verb.clone()).collect::<Vec<_>>(), [Verb::Delete]);
        }
    }

    #[test]
    fn the_same_addresses_on_two_ports_share_a_slice() {
        let plan = reconcile(
            Some(&service(None)),
            Some(&endpoints(json!([
                { "addresses": [{ "ip": "10.1.1.1" }], "ports": [{ "name": "a", "port": 80 }] },
                { "addresses": [{ "ip": "10.1.1.1" }], "ports": [{ "name": "b", "port": 81 }] },
            ]))),
            &[],
        );
        let slices = made(&plan);
        assert_eq!((slices.len(), slices[0].ports.as_ref().unwrap().len()), (1, 2));
    }

    #[test]
    fn what_is_not_an_address_is_said() {
        let plan = reconcile(
            Some(&service(None)),
            Some(&endpoints(json!([{ "addresses": [{ "ip": "nowhere" }], "ports": [{ "port": 80 }] }]))),
            &[],
        );
        assert!(plan.actions().is_empty());
        assert!(format!("{plan:?}").contains("Skipped 1 invalid IP addresses"));
    }
}
