//! Policies by tables: who reaches whom, in one line each.

use serde_json::{Value, json};

use super::*;

fn read<T: serde::de::DeserializeOwned>(whole: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(whole).unwrap())
}

/// `web` and `db` are in `shop`, `spy` in `lab`; `new` has an address that no Pod is known by.
const ADDRESSES: [(&str, &str); 5] =
    [("web", "10.244.0.2"), ("db", "10.244.1.2"), ("spy", "10.244.1.3"), ("dns", "10.96.0.10"), ("new", "10.244.0.9")];

fn at(name: &str) -> Ipv4Addr {
    let found = ADDRESSES.iter().find(|(known, _)| *known == name);
    found.map_or(name, |(_, address)| address).parse().unwrap()
}

fn isolation(specs: &[Value]) -> Isolation {
    let pod = |name: &str, namespace: &str| -> Arc<PodView> {
        let ports = json!([{"name": "http", "containerPort": 80}, {"name": "sql", "containerPort": 5432}]);
        read(json!({"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
            "spec": {"containers": [{"ports": ports}]}, "status": {"podIP": at(name).to_string()}}))
    };
    let dns = Arc::new(name_server(at("dns")));
    let pods = [pod("web", "shop"), pod("db", "shop"), pod("spy", "lab"), dns];
    let namespace = |name: &str| read(json!({"metadata": {"name": name, "labels": {"name": name}}}));
    let namespaces = [namespace("shop"), namespace("lab"), namespace("kube-system")];
    let policy = |spec: &Value| read(json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec}));
    let policies: Vec<Arc<NetworkPolicy>> = specs.iter().map(policy).collect();
    let ranges = vec![Net::parse("10.244.0.0/16").unwrap()];
    Isolation::new(Objects { policies: &policies, pods: &pods, namespaces: &namespaces, ranges })
}

/// Reads `web>db:5432` and `web>dns:53/udp`.
fn allowed(isolation: &Isolation, line: &str) -> bool {
    let (from, rest) = line.split_once('>').unwrap();
    let (to, port) = rest.split_once(':').unwrap();
    let (port, protocol) = match port.strip_suffix("/udp") {
        Some(port) => (port, Protocol::Udp),
        None => (port, Protocol::Tcp),
    };
    isolation.allows(at(from), SocketAddrV4::new(at(to), port.parse().unwrap()), protocol)
}

fn check(specs: &[Value], open: &[&str], closed: &[&str]) {
    let isolation = isolation(specs);
    for line in open {
        assert!(allowed(&isolation, line), "{line} should pass {specs:?}");
    }
    for line in closed {
        assert!(!allowed(&isolation, line), "{line} should not pass {specs:?}");
    }
}

#[test]
fn without_a_policy_everybody_reaches_everybody() {
    check(&[], &["spy>db:5432", "web>spy:1", "new>db:80"], &[]);
}

#[test]
fn what_is_selected_is_closed_on_that_side_only() {
    let deny_in = json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]});
    check(&[deny_in], &["db>web:80", "web>spy:80", "db>db:5432"], &["web>db:5432", "spy>db:5432", "8.8.8.8>db:1"]);
    let deny_all = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    check(&[deny_all], &["spy>dns:53/udp"], &["web>db:80", "web>dns:53/udp", "spy>web:80", "web>spy:80"]);
}

#[test]
fn peers_are_picked_by_labels_of_pods_and_namespaces() {
    let from = |peers: Value| json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": peers}]});
    check(&[from(json!([{"podSelector": {"matchLabels": {"app": "web"}}}]))], &["web>db:5432"], &["spy>db:5432"]);
    let lab = json!({"namespaceSelector": {"matchLabels": {"name": "lab"}}});
    check(&[from(json!([lab]))], &["spy>db:5432"], &["web>db:5432"]);
    let both =
        json!({"namespaceSelector": {"matchLabels": {"name": "lab"}}, "podSelector": {"matchLabels": {"app": "web"}}});
    check(&[from(json!([both]))], &[], &["spy>db:5432", "web>db:5432"]);
    let other = json!({"podSelector": {"matchLabels": {"app": "spy"}}});
    check(&[from(json!([other]))], &[], &["spy>db:5432"]);
    check(&[from(json!([]))], &["spy>db:5432"], &[]);
    let except = json!({"ipBlock": {"cidr": "10.244.0.0/15", "except": ["10.244.1.0/24"]}});
    check(&[from(json!([except]))], &["web>db:5432"], &["spy>db:5432", "9.9.9.9>db:5432"]);
}

#[test]
fn ports_are_numbers_ranges_and_names() {
    let ports = |ports: Value| json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": ports}]});
    check(&[ports(json!([{"port": 80}]))], &["spy>db:80"], &["spy>db:81", "spy>db:80/udp"]);
    check(&[ports(json!([{"port": 80, "endPort": 90}]))], &["web>db:80", "web>db:90"], &["web>db:79", "web>db:91"]);
    check(&[ports(json!([{"port": "sql"}]))], &["web>db:5432"], &["web>db:80"]);
    check(&[ports(json!([{"port": "nobody"}]))], &[], &["web>db:80"]);
    check(&[ports(json!([{"protocol": "UDP"}]))], &["web>db:7/udp"], &["web>db:7"]);
    let out = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "sql"}]}]});
    check(&[out], &["web>spy:5432"], &["web>spy:80", "web>9.9.9.9:5432"]);
}

#[test]
fn policies_add_up_and_names_can_be_let_through() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Egress"]});
    let names = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{
        "to": [{"namespaceSelector": {"matchLabels": {"name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
        "ports": [{"port": 53, "protocol": "UDP"}]}]});
    let db = json!({"podSelector": {"matchLabels": {"app": "web"}}, "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]}]});
    check(&[deny, names, db], &["web>dns:53/udp", "spy>db:1", "web>db:7"], &["web>dns:53", "web>spy:80", "db>web:80"]);
}

#[test]
fn while_there_are_policies_an_unknown_pod_waits() {
    let deny = json!({"podSelector": {"matchLabels": {"app": "nobody"}}});
    check(&[deny], &["web>db:80", "9.9.9.9>db:80"], &["new>db:80", "web>new:80"]);
}
