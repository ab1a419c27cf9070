//! `kubectl create service` and `kubectl create ingress`.

use serde_json::{Value, json};

use super::super::super::command::{COMMAND as BASE, Command, Invocation};
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::{Flag, Kind, long};
use super::{finish, generator, name, required};
use crate::api::selector::dns1123_subdomain_errors;

const TCP: Flag = long("tcp", Kind::List, "PORT or PORT:TARGET");
const CLUSTER_IP_FLAGS: &[Flag] = &[TCP, long("clusterip", Kind::Text(""), "An address of one's own, or None")];
const EXTERNAL_NAME_FLAGS: &[Flag] = &[TCP, long("external-name", Kind::Text(""), "The DNS name that it stands for")];
const LOAD_BALANCER_FLAGS: &[Flag] = &[TCP];
const NODE_PORT_FLAGS: &[Flag] = &[TCP, long("node-port", Kind::Int(0), "The port on every node")];
const INGRESS_FLAGS: &[Flag] = &[
    long("rule", Kind::Array, "HOST/PATH=SERVICE:PORT[,tls[=SECRET]]"),
    long("class", Kind::Text(""), "The IngressClass"),
    long("default-backend", Kind::Text(""), "SERVICE:PORT for all else"),
    long("annotation", Kind::Array, "KEY=VALUE"),
];

pub(super) const SERVICE: Command = Command {
    name: "service",
    aliases: &["svc"],
    about: "Make a Service",
    commands: &[
        generator!(
            "clusterip",
            &[],
            "NAME --tcp=PORT:TARGET",
            "Reachable inside the cluster",
            CLUSTER_IP_FLAGS,
            cluster_ip
        ),
        generator!(
            "externalname",
            &[],
            "NAME --external-name=NAME",
            "Another name for a DNS name",
            EXTERNAL_NAME_FLAGS,
            external_name
        ),
        generator!(
            "loadbalancer",
            &[],
            "NAME --tcp=PORT:TARGET",
            "Reachable through a load balancer",
            LOAD_BALANCER_FLAGS,
            load_balancer
        ),
        generator!("nodeport", &[], "NAME --tcp=PORT:TARGET", "Reachable on every node", NODE_PORT_FLAGS, node_port),
    ],
    ..BASE
};
pub(super) const INGRESS: Command =
    generator!("ingress", &["ing"], "NAME --rule=HOST/PATH=SERVICE:PORT", "Make an Ingress", INGRESS_FLAGS, ingress);

async fn cluster_ip(call: &Invocation) -> Result {
    service(call, "ClusterIP").await
}

async fn node_port(call: &Invocation) -> Result {
    service(call, "NodePort").await
}

async fn load_balancer(call: &Invocation) -> Result {
    service(call, "LoadBalancer").await
}

async fn external_name(call: &Invocation) -> Result {
    required(call, &["external-name"])?;
    service(call, "ExternalName").await
}

async fn service(call: &Invocation, kind: &str) -> Result {
    let name = name(call)?;
    let flags = &call.flags;
    let address = flags.text("clusterip");
    if address == "None" && kind != "ClusterIP" {
        return Err(Failure::new("ClusterIP=None can only be used with ClusterIP service type"));
    }
    if address != "None" && flags.all("tcp").is_empty() && kind != "ExternalName" {
        return Err(Failure::new("at least one tcp port specifier must be provided"));
    }
    let external = flags.text("external-name");
    if kind == "ExternalName" && !dns1123_subdomain_errors(external).is_empty() {
        return Err(Failure::new(format!("invalid service external name {external}")));
    }
    let mut ports = Vec::new();
    for pair in flags.all("tcp") {
        let (port, target) = port_pair(pair)?;
        let mut entry = json!({"name": pair.replace(':', "-"), "protocol": "TCP", "port": port, "targetPort": target});
        if flags.int("node-port") != 0 {
            entry["nodePort"] = flags.int("node-port").into();
        }
        ports.push(entry);
    }
    let labels = json!({"app": name});
    let mut spec = json!({"selector": labels, "type": kind});
    if !ports.is_empty() {
        spec["ports"] = ports.into();
    }
    if !address.is_empty() {
        spec["clusterIP"] = address.into();
    }
    if !external.is_empty() {
        spec["externalName"] = external.into();
    }
    let metadata = json!({"name": name, "labels": labels});
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    finish(call, object, &format!("failed to create {kind} service:")).await
}

/// `80` or `80:8080` or `80:http`.
fn port_pair(text: &str) -> Result<(u16, Value)> {
    let (port, target) = text.split_once(':').map_or((text, None), |(port, target)| (port, Some(target)));
    let port: u16 = port.parse().map_err(|_| port_fault(port))?;
    let target = match target {
        None => Value::from(port),
        Some(target) => match target.parse::<i64>() {
            Ok(number @ 0..=65535) => Value::from(number),
            Ok(number) => return Err(Failure::new(format!("must be between 1 and 65535, inclusive: {number}"))),
            Err(_) => Value::from(target),
        },
    };
    Ok((port, target))
}

fn port_fault(text: &str) -> Failure {
    let why = if text.parse::<i64>().is_ok() { "value out of range" } else { "invalid syntax" };
    Failure::new(format!("strconv.ParseUint: parsing {}: {why}", quote(text)))
}

async fn ingress(call: &Invocation) -> Result {
    let name = name(call)?;
    let flags = &call.flags;
    let (rules, default) = (flags.all("rule"), flags.text("default-backend"));
    if rules.is_empty() && default.is_empty() {
        return Err(Failure::new(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)",
        ));
    }
    let parsed = rules.iter().map(|rule| parse_rule(rule)).collect::<Result<Vec<_>>>()?;
    if let Some(wrong) = flags.all("annotation").iter().find(|one| !one.contains('=')) {
        return Err(Failure::new(format!("annotation {wrong} is invalid and should be in format key=[value]")));
    }
    if !default.is_empty() && default.split(':').count() != 2 {
        return Err(Failure::new("default-backend should be in format servicename:serviceport"));
    }
    let mut spec = json!({});
    if !flags.text("class").is_empty() {
        spec["ingressClassName"] = flags.text("class").into();
    }
    if !default.is_empty() {
        spec["defaultBackend"] = backend(default);
    }
    let (tls, hosts) = (tls(&parsed), hosts(&parsed));
    if !tls.is_empty() {
        spec["tls"] = tls.into();
    }
    if !hosts.is_empty() {
        spec["rules"] = hosts.into();
    }
    let mut object =
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": spec});
    for pair in flags.all("annotation") {
        if let Some((key, value)) = pair.split_once('=') {
            crate::api::meta::set_annotation(&mut object, key, value);
        }
    }
    finish(call, object, "failed to create ingress:").await
}

struct Rule<'a> {
    host: &'a str,
    path: String,
    service: &'a str,
    tls: Option<&'a str>,
}

fn parse_rule(text: &str) -> Result<Rule<'_>> {
    let wrong = || {
        Failure::new(format!("rule {text} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"))
    };
    let (route, tls) = match text.split_once(',') {
        Some((route, tls)) => (route, Some(tls)),
        None => (text, None),
    };
    let tls = match tls {
        None => None,
        Some("tls") => Some(""),
        Some(other) => Some(other.strip_prefix("tls=").ok_or_else(wrong)?),
    };
    let (host, rest) = route.split_once('/').ok_or_else(wrong)?;
    let (path, service) = rest.rsplit_once('=').ok_or_else(wrong)?;
    if service.split(':').filter(|part| !part.is_empty()).count() != 2 {
        return Err(wrong());
    }
    Ok(Rule { host, path: format!("/{path}"), service, tls })
}

fn backend(text: &str) -> Value {
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let port = match port.parse::<u32>() {
        Ok(number) => json!({"number": number}),
        Err(_) => json!({"name": port}),
    };
    json!({"service": {"name": name, "port": port}})
}

fn hosts(rules: &[Rule<'_>]) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for rule in rules {
        let (path, kind) = match rule.path.strip_suffix('*') {
            Some(path) => (path, "Prefix"),
            None => (rule.path.as_str(), "Exact"),
        };
        let entry = json!({"path": path, "pathType": kind, "backend": backend(rule.service)});
        let same = |known: &&mut Value| known.get("host").and_then(Value::as_str).unwrap_or_default() == rule.host;
        if let Some(Value::Array(paths)) =
            found.iter_mut().find(same).and_then(|known| known.pointer_mut("/http/paths"))
        {
            paths.push(entry);
            continue;
        }
        let mut host = json!({"http": {"paths": [entry]}});
        if !rule.host.is_empty() {
            host["host"] = rule.host.into();
        }
        found.push(host);
    }
    found
}

fn tls(rules: &[Rule<'_>]) -> Vec<Value> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for rule in rules {
        let Some(secret) = rule.tls else { continue };
        if found.iter().any(|(_, hosts)| hosts.iter().any(|host| host == rule.host)) {
            continue;
        }
        match found.iter_mut().find(|(known, _)| known == secret) {
            Some((_, hosts)) => hosts.push(rule.host.to_owned()),
            None if rule.host.is_empty() && secret.is_empty() => {}
            None => found.push((secret.to_owned(), vec![rule.host.to_owned()])),
        }
    }
    let entry = |(secret, hosts): (String, Vec<String>)| {
        let hosts: Vec<String> = hosts.into_iter().filter(|host| !host.is_empty()).collect();
        let mut entry = json!({});
        if !hosts.is_empty() {
            entry["hosts"] = hosts.into();
        }
        if !secret.is_empty() {
            entry["secretName"] = secret.into();
        }
        entry
    };
    found.into_iter().map(entry).collect()
}
