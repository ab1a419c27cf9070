//! Services by tables: addresses, and whom each client is led to.

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

fn place(node: &str, zone: &str) -> Place {
    Place { node: node.to_owned(), zone: Some(zone.to_owned()), address: None, pods: None }
}

fn words(list: &[SocketAddrV4]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn shown(table: &Table) -> Vec<String> {
    let line = |(front, behind): (&Front, &Behind)| {
        let Front { address, port, protocol } = front;
        format!("{protocol:?} {address}:{port} -> {}", words(&behind.choices(None, None)))
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
    let expected = [
        format!("Tcp 0.0.0.0:30080 -> {both}"),
        "Udp 10.96.0.7:53 -> 10.244.0.2:53 10.244.1.2:53".to_owned(),
        format!("Tcp 10.96.0.7:80 -> {both}"),
    ];
    assert_eq!(shown(&table), expected);
}

#[test]
fn those_that_end_serve_when_nobody_else_does() {
    let spec =
        json!({"clusterIP": "10.96.0.7", "sessionAffinity": "ClientIP", "ports": [{"name": "http", "port": 80}]});
    let ending = |serving: bool| json!([{"addresses": ["10.244.0.3"], "conditions": {"ready": false, "serving": serving, "terminating": true}}]);
    let found = table(&[service(spec.clone())], &[slice(ending(true))]);
    assert_eq!(shown(&found), ["Tcp 10.96.0.7:80 -> 10.244.0.3:8080"]);
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

/// `.1` is on node-1, `.2` and the ending `.3` on node-2.
fn spread(hints: bool) -> Arc<EndpointSlice> {
    let endpoint = |last: u8, node: &str, zone: &str| {
        let mut endpoint = json!({"addresses": [format!("10.244.0.{last}")], "nodeName": node});
        if hints {
            endpoint["hints"] = json!({"forZones": [{"name": zone}]});
        }
        endpoint
    };
    let mut ending = endpoint(3, "node-2", "zone-b");
    ending["conditions"] = json!({"ready": false, "serving": true, "terminating": true});
    slice(json!([endpoint(1, "node-1", "zone-a"), endpoint(2, "node-2", "zone-b"), ending]))
}

fn only(spec: Value, slice: Arc<EndpointSlice>, port: u16) -> Behind {
    let table = table(&[service(spec)], &[slice]);
    table.into_iter().find(|(front, _)| front.port == port).unwrap().1
}

#[test]
fn local_traffic_stays_on_the_node() {
    let spec = json!({"clusterIP": "10.96.0.7", "internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local",
        "type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]});
    let (one, two, three) = (place("node-1", "zone-a"), place("node-2", "zone-b"), place("node-3", "zone-c"));
    let inside = only(spec.clone(), spread(false), 80);
    assert_eq!(words(&inside.choices(Some(&two), None)), "10.244.0.2:8080");
    assert_eq!(words(&inside.choices(Some(&three), None)), "");
    let outside = only(spec, spread(false), 30080);
    assert_eq!(words(&outside.choices(None, Some(&one))), "10.244.0.1:8080");
    assert_eq!(words(&outside.choices(Some(&two), Some(&three))), "");
    assert_eq!(words(&outside.choices(Some(&three), Some(&three))), "10.244.0.1:8080 10.244.0.2:8080");
}

#[test]
fn hints_lead_to_what_is_near() {
    let spec = json!({"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]});
    let hinted = only(spec.clone(), spread(true), 80);
    let near = |zone: &str| words(&hinted.choices(Some(&place("node-9", zone)), None));
    assert_eq!(near("zone-b"), "10.244.0.2:8080");
    assert_eq!(near("zone-c"), "10.244.0.1:8080 10.244.0.2:8080", "nobody is meant for that zone");
    let bare = only(spec, spread(false), 80);
    assert_eq!(bare.choices(Some(&place("node-1", "zone-a")), None).len(), 2);
}

#[test]
fn a_pods_host_port_is_its_nodes() {
    let pod = |ports: Value| -> Arc<PodView> {
        Arc::new(
            serde_json::from_value(
                json!({"metadata": {"name": "p"}, "spec": {"nodeName": "node-1", "containers": [{"ports": ports}]}, "status": {"podIP": "10.244.0.4"}}),
            )
            .unwrap(),
        )
    };
    let places = [Place { address: "172.18.0.3".parse().ok(), ..place("node-1", "zone-a") }];
    let ports = json!([{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 53, "protocol": "UDP"},
        {"containerPort": 81, "hostPort": 81, "hostIP": "127.0.0.1"}, {"containerPort": 82}]);
    let mut table = Table::new();
    add_host_ports(&mut table, &[pod(ports)], &places);
    assert_eq!(shown(&table), ["Udp 172.18.0.3:53 -> 10.244.0.4:53", "Tcp 172.18.0.3:8080 -> 10.244.0.4:80"]);
}
