//! Services, their endpoints, Ingresses and NetworkPolicies.

use serde_json::Value;

use super::super::super::failure::Result;
use super::super::super::http::Call;
use super::Story;
use super::text::{Text, joined, or_none, selector, shown, texts};
use crate::api::meta;

pub(super) async fn service(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let spec = |field: &str| shown(object, &["spec", field]);
    let list = |field: &str| texts(object, &["spec", field]).join(",");
    let mut text = Text::new();
    text.head(object);
    text.metadata(object);
    text.field(0, "Selector", joined(meta::map(object, &["spec", "selector"])));
    text.field(0, "Type", spec("type"));
    optional(&mut text, "IP Family Policy", &spec("ipFamilyPolicy"));
    text.field(0, "IP Families", or_none(&list("ipFamilies")));
    text.field(0, "IP", spec("clusterIP"));
    text.field(0, "IPs", or_none(&list("clusterIPs")));
    optional(&mut text, "External IPs", &list("externalIPs"));
    optional(&mut text, "Desired LoadBalancer IP", &spec("loadBalancerIP"));
    optional(&mut text, "External Name", &spec("externalName"));
    let ingress = meta::list(object, &["status", "loadBalancer", "ingress"]);
    if !ingress.is_empty() {
        text.field(0, "LoadBalancer Ingress", load_balancer(ingress));
    }
    let slices = slices_of(story, meta::name(object)).await;
    for port in meta::list(object, &["spec", "ports"]) {
        let name = meta::text(port, &["name"]);
        let (protocol, number) = (meta::text(port, &["protocol"]), shown(port, &["port"]));
        let title = if name.is_empty() { "<unset>" } else { name };
        text.field(0, "Port", format!("{title}\t{number}/{protocol}"));
        text.field(0, "TargetPort", format!("{}/{protocol}", shown(port, &["targetPort"])));
        optional(&mut text, "AppProtocol", &shown(port, &["appProtocol"]));
        if let Some(node) = meta::integer(port, &["nodePort"]).filter(|node| *node != 0) {
            text.field(0, "NodePort", format!("{title}\t{node}/{protocol}"));
        }
        text.field(0, "Endpoints", addresses(&slices, name));
    }
    text.field(0, "Session Affinity", spec("sessionAffinity"));
    for (title, field) in [
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("HealthCheck NodePort", "healthCheckNodePort"),
    ] {
        optional(&mut text, title, &spec(field));
    }
    optional(&mut text, "LoadBalancer Source Ranges", &list("loadBalancerSourceRanges"));
    optional(&mut text, "Traffic Distribution", &spec("trafficDistribution"));
    story.with_events(&mut text).await;
    Ok(text)
}

fn optional(text: &mut Text, title: &str, value: &str) {
    if !value.is_empty() {
        text.field(0, title, value);
    }
}

fn load_balancer(ingress: &[Value]) -> String {
    let one = |entry: &Value| {
        let address = match meta::text(entry, &["ip"]) {
            "" => meta::text(entry, &["hostname"]).to_owned(),
            ip => ip.to_owned(),
        };
        match meta::text(entry, &["ipMode"]) {
            "" => address,
            mode => format!("{address} ({mode})"),
        }
    };
    ingress.iter().map(one).collect::<Vec<_>>().join(", ")
}

async fn slices_of(story: &Story<'_>, service: &str) -> Vec<Value> {
    let query = [("labelSelector", format!("kubernetes.io/service-name={service}"))];
    story.list("endpointslices.discovery.k8s.io", story.namespace(), &query).await.unwrap_or_default()
}

/// The ready addresses behind a port, three at most.
fn addresses(slices: &[Value], port_name: &str) -> String {
    const MOST: usize = 3;
    if slices.is_empty() {
        return "<none>".to_owned();
    }
    let mut found = Vec::new();
    for slice in slices {
        let ready = |endpoint: &&Value| meta::get(endpoint, &["conditions", "ready"]) != Some(&Value::Bool(false));
        let endpoints = meta::list(slice, &["endpoints"]).iter().filter(ready);
        let address =
            |endpoint: &Value| texts(endpoint, &["addresses"]).first().copied().unwrap_or_default().to_owned();
        let ports = meta::list(slice, &["ports"]);
        if ports.is_empty() {
            found.extend(endpoints.map(address));
            continue;
        }
        for port in ports.iter().filter(|port| meta::text(port, &["name"]) == port_name) {
            let number = shown(port, &["port"]);
            let joined = |endpoint: &Value| {
                let address = address(endpoint);
                if address.contains(':') { format!("[{address}]:{number}") } else { format!("{address}:{number}") }
            };
            found.extend(endpoints.clone().map(joined));
        }
    }
    if found.len() > MOST {
        return format!("{} + {} more...", found[..MOST].join(","), found.len() - MOST);
    }
    found.join(",")
}

pub(super) async fn endpoints(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    text.metadata(object);
    text.line(0, "Subsets:");
    for subset in meta::list(object, &["subsets"]) {
        for (field, title) in [("addresses", "Addresses"), ("notReadyAddresses", "NotReadyAddresses")] {
            let all: Vec<&str> = meta::list(subset, &[field]).iter().map(|one| meta::text(one, &["ip"])).collect();
            text.field(1, title, or_none(&all.join(",")));
        }
        let ports = meta::list(subset, &["ports"]);
        if !ports.is_empty() {
            text.line(1, "Ports:");
            text.line(2, "Name\tPort\tProtocol");
            text.line(2, "----\t----\t--------");
            for port in ports {
                let name = match meta::text(port, &["name"]) {
                    "" => "<unset>",
                    name => name,
                };
                text.line(2, format!("{name}\t{}\t{}", shown(port, &["port"]), meta::text(port, &["protocol"])));
            }
        }
        text.line(0, "");
    }
    story.with_events(&mut text).await;
    Ok(text)
}

pub(super) async fn endpoint_slice(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let or_unset = |value: String| if value.is_empty() { "<unset>".to_owned() } else { value };
    let mut text = Text::new();
    text.head(object);
    text.metadata(object);
    text.field(0, "AddressType", meta::text(object, &["addressType"]));
    let ports = meta::list(object, &["ports"]);
    text.line(0, if ports.is_empty() { "Ports: <unset>" } else { "Ports:" });
    if !ports.is_empty() {
        text.line(1, "Name\tPort\tProtocol");
        text.line(1, "----\t----\t--------");
    }
    for port in ports {
        let (name, number) = (or_unset(shown(port, &["name"])), or_unset(shown(port, &["port"])));
        text.line(1, format!("{name}\t{number}\t{}", meta::text(port, &["protocol"])));
    }
    let all = meta::list(object, &["endpoints"]);
    text.line(0, if all.is_empty() { "Endpoints: <none>" } else { "Endpoints:" });
    for endpoint in all {
        text.field(1, "- Addresses", or_none(&texts(endpoint, &["addresses"]).join(", ")));
        text.line(2, "Conditions:");
        text.field(3, "Ready", or_unset(shown(endpoint, &["conditions", "ready"])));
        text.field(2, "Hostname", or_unset(shown(endpoint, &["hostname"])));
        if let Some(target) = endpoint.get("targetRef") {
            text.field(2, "TargetRef", format!("{}/{}", meta::text(target, &["kind"]), meta::text(target, &["name"])));
        }
        text.field(2, "NodeName", or_unset(shown(endpoint, &["nodeName"])));
        text.field(2, "Zone", or_unset(shown(endpoint, &["zone"])));
    }
    story.with_events(&mut text).await;
    Ok(text)
}

pub(super) async fn ingress(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.field(0, "Name", meta::name(object));
    text.labels("Labels", meta::labels(object));
    text.field(0, "Namespace", meta::namespace(object));
    let ingress = meta::list(object, &["status", "loadBalancer", "ingress"]).iter();
    let mut known: Vec<&str> = ingress
        .map(|one| match meta::text(one, &["ip"]) {
            "" => meta::text(one, &["hostname"]),
            ip => ip,
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    text.field(0, "Address", known.join(","));
    text.field(0, "Ingress Class", or_none(meta::text(object, &["spec", "ingressClassName"])));
    let default = match meta::get(object, &["spec", "defaultBackend"]).filter(|backend| !backend.is_null()) {
        Some(found) => backend(story, found).await,
        None => "<default>".to_owned(),
    };
    text.field(0, "Default backend", &default);
    let tls = meta::list(object, &["spec", "tls"]);
    if !tls.is_empty() {
        text.line(0, "TLS:");
    }
    for entry in tls {
        let hosts = texts(entry, &["hosts"]).join(",");
        match meta::text(entry, &["secretName"]) {
            "" => text.line(1, format!("SNI routes {hosts}")),
            secret => text.line(1, format!("{secret} terminates {hosts}")),
        }
    }
    text.line(0, "Rules:\n  Host\tPath\tBackends");
    text.line(1, "----\t----\t--------");
    let mut any = false;
    for rule in meta::list(object, &["spec", "rules"]) {
        if meta::get(rule, &["http"]).is_none() {
            continue;
        }
        any = true;
        let host = match meta::text(rule, &["host"]) {
            "" => "*",
            host => host,
        };
        text.line(1, format!("{host}\t"));
        for path in meta::list(rule, &["http", "paths"]) {
            let behind = backend(story, path.get("backend").unwrap_or(&Value::Null)).await;
            text.line(2, format!("\t{} \t{behind}", meta::text(path, &["path"])));
        }
    }
    if !any {
        text.line(1, format!("*\t*\t{default}"));
    }
    text.annotations("Annotations", meta::annotations(object));
    story.with_events(&mut text).await;
    Ok(text)
}

async fn backend(story: &Story<'_>, backend: &Value) -> String {
    if let Some(resource) = backend.get("resource").filter(|resource| !resource.is_null()) {
        let field = |name: &str| meta::text(resource, &[name]);
        return format!("APIGroup: {}, Kind: {}, Name: {}", or_none(field("apiGroup")), field("kind"), field("name"));
    }
    let Some(service) = backend.get("service").filter(|service| !service.is_null()) else { return String::new() };
    let name = meta::text(service, &["name"]);
    let port = match meta::integer(service, &["port", "number"]).unwrap_or(0) {
        0 => meta::text(service, &["port", "name"]).to_owned(),
        number => number.to_string(),
    };
    let slices = slices_of(story, name).await;
    let path = format!("/api/v1/namespaces/{}/services/{name}", story.namespace());
    let found = match story.cluster.api.json(Call::get(path)).await {
        Ok(found) => found,
        Err(failure) => return format!("{name}:{port} (<error: {}>)", failure.words()),
    };
    let fits = |one: &&Value| shown(one, &["port"]) == port || meta::text(one, &["name"]) == port;
    let named = meta::list(&found, &["spec", "ports"]).iter().rfind(fits);
    let port_name = named.map_or("", |one| meta::text(one, &["name"]));
    format!("{name}:{port} ({})", addresses(&slices, port_name))
}

pub(super) async fn network_policy(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    let created = meta::creation_timestamp(object).parse::<jiff::Timestamp>();
    let created = created.map(|time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    text.field(0, "Created on", created.unwrap_or_default());
    text.metadata(object);
    text.line(0, "Spec:");
    let chosen = selector(meta::get(object, &["spec", "podSelector"]));
    let chosen = if chosen == "<none>" {
        "<none> (Allowing the specific traffic to all pods in this namespace)"
    } else {
        &chosen
    };
    text.line(1, format!("PodSelector:     {chosen}"));
    let types = texts(object, &["spec", "policyTypes"]);
    for (kind, field, peers, from) in [("Ingress", "ingress", "from", "From"), ("Egress", "egress", "to", "To")] {
        if !types.contains(&kind) {
            text.line(1, format!("Not affecting {field} traffic"));
            continue;
        }
        text.line(1, format!("Allowing {field} traffic:"));
        let rules = meta::list(object, &["spec", field]);
        if rules.is_empty() {
            text.line(2, format!("<none> (Selected pods are isolated for {field} connectivity)"));
        }
        for (at, rule) in rules.iter().enumerate() {
            policy_ports(&mut text, meta::list(rule, &["ports"]));
            policy_peers(&mut text, meta::list(rule, &[peers]), from);
            if at + 1 < rules.len() {
                text.line(2, "----------");
            }
        }
    }
    text.line(1, format!("Policy Types: {}", types.join(", ")));
    Ok(text)
}

fn policy_ports(text: &mut Text, ports: &[Value]) {
    if ports.is_empty() {
        text.line(2, "To Port: <any> (traffic allowed to all ports)");
    }
    for port in ports {
        let protocol = match meta::text(port, &["protocol"]) {
            "" => "TCP",
            protocol => protocol,
        };
        let first = match shown(port, &["port"]) {
            value if value.is_empty() => "<nil>".to_owned(),
            value => value,
        };
        match meta::integer(port, &["endPort"]) {
            None => text.line(2, format!("To Port: {first}/{protocol}")),
            Some(last) => text.line(2, format!("To Port Range: {first}-{last}/{protocol}")),
        }
    }
}

fn policy_peers(text: &mut Text, peers: &[Value], title: &str) {
    if peers.is_empty() {
        let end = if title == "From" { "source" } else { "destination" };
        text.line(2, format!("{title}: <any> (traffic not restricted by {end})"));
    }
    for peer in peers {
        text.line(2, format!("{title}:"));
        let part = |name: &str| peer.get(name).filter(|part| !part.is_null());
        if let Some(found) = part("namespaceSelector") {
            text.line(3, format!("NamespaceSelector: {}", selector(Some(found))));
        }
        if let Some(found) = part("podSelector") {
            text.line(3, format!("PodSelector: {}", selector(Some(found))));
        }
        if let (Some(block), None, None) = (part("ipBlock"), part("podSelector"), part("namespaceSelector")) {
            text.line(3, "IPBlock:");
            text.line(4, format!("CIDR: {}", meta::text(block, &["cidr"])));
            text.line(4, format!("Except: {}", texts(block, &["except"]).join(", ")));
        }
    }
}
