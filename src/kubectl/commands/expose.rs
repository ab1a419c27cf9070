//! `kubectl expose`: a Service in front of a workload or another Service.

use serde_json::{Map, Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::print;
use super::super::selection::{self, Info, Selection};
use super::super::write::{self, Writing};
use super::create::SAVE;
use super::generate::{OVERRIDES, labels, make, overrides};
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("port", Kind::Text(""), "The Service's port"),
    long("target-port", Kind::Text(""), "The containers' port, by number or name"),
    long("protocol", Kind::Text(""), "TCP, UDP or SCTP"),
    long("type", Kind::Text(""), "ClusterIP, NodePort, LoadBalancer"),
    long("name", Kind::Text(""), "The Service's name"),
    long("selector", Kind::Text(""), "The Service's selector: app=web"),
    short("labels", 'l', Kind::Text(""), "The Service's labels: app=web"),
    long("external-ip", Kind::Text(""), "An address of one's own"),
    long("load-balancer-ip", Kind::Text(""), "The load balancer's address"),
    long("session-affinity", Kind::Text(""), "None or ClientIP"),
    long("cluster-ip", Kind::Text(""), "The Service's address, or None"),
];

/// `expose`
pub const COMMAND: Command = Command {
    name: "expose",
    usage: "(-f FILE | TYPE NAME) [--port=PORT]",
    about: "Put a Service in front of something",
    flags: &[print::OUTPUT, FLAGS, OVERRIDES, SAVE, selection::FILES, write::DRY_RUN, write::MANAGER],
    run: run!(expose),
    ..BASE
};

async fn expose(call: &Invocation) -> Result {
    let writing = Writing::of(call, "kubectl-expose")?;
    let mut printer = writing.printer()?;
    printer.typed = true;
    let mut selection = Selection::of(call);
    (selection.labels, selection.latest, selection.typed) = (None, false, true);
    let found = selection.read().await?;
    let mut failures = found.failures;
    for info in found.infos {
        match one(call, &writing, &info).await {
            Ok(object) => writing.say(&mut printer, &object, "exposed")?,
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of(failures)
}

async fn one(call: &Invocation, writing: &Writing<'_>, info: &Info) -> Result<Value> {
    let kind = info.mapping.kind.as_str();
    if !matches!(kind, "Pod" | "Service" | "ReplicationController" | "Deployment" | "ReplicaSet") {
        let shown =
            if info.mapping.group.is_empty() { kind.to_owned() } else { format!("{kind}.{}", info.mapping.group) };
        return Err(Failure::new(format!("cannot expose a {shown}")));
    }
    let mut service = service(call, info)?;
    overrides(call, &mut service, "")?;
    make(call, writing, service).await
}

/// The labels that an object's Pods carry.
fn selector_of(info: &Info) -> std::result::Result<Map<String, Value>, String> {
    let object = &info.object;
    let no_labels = |what: &str| format!("the {what} has no labels and cannot be exposed");
    match info.mapping.kind.as_str() {
        "Pod" => meta::labels(object).filter(|map| !map.is_empty()).cloned().ok_or_else(|| no_labels("pod")),
        "Service" => meta::map(object, &["spec", "selector"])
            .filter(|map| !map.is_empty())
            .cloned()
            .ok_or_else(|| "the service has no pod selector set".to_owned()),
        "ReplicationController" => Ok(meta::map(object, &["spec", "selector"]).cloned().unwrap_or_default()),
        kind => {
            let expressions = meta::list(object, &["spec", "selector", "matchExpressions"]);
            let lower = if kind == "Deployment" { "deployment" } else { "replica set" };
            if expressions.is_empty() {
                Ok(meta::map(object, &["spec", "selector", "matchLabels"]).cloned().unwrap_or_default())
            } else {
                Err(format!(
                    "couldn't convert expressions - \"{}\" to map-based selector format in {lower}",
                    print::go_value(&expressions.into())
                ))
            }
        }
    }
}

/// The ports that an object has, with their protocols.
fn ports_of(info: &Info) -> Vec<(i64, String)> {
    let object = &info.object;
    let (lists, field): (Vec<&[Value]>, &str) = match info.mapping.kind.as_str() {
        "Service" => (vec![meta::list(object, &["spec", "ports"])], "port"),
        "Pod" => (container_ports(object, &["spec", "containers"]), "containerPort"),
        _ => (container_ports(object, &["spec", "template", "spec", "containers"]), "containerPort"),
    };
    let entry = |port: &Value| {
        let protocol = port.get("protocol").and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or("TCP");
        (port.get(field).and_then(Value::as_i64).unwrap_or(0), protocol.to_owned())
    };
    lists.into_iter().flatten().map(entry).collect()
}

fn container_ports<'a>(object: &'a Value, path: &[&str]) -> Vec<&'a [Value]> {
    let ports = |container: &'a Value| container.get("ports").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    meta::list(object, path).iter().map(ports).collect()
}

fn service(call: &Invocation, info: &Info) -> Result<Value> {
    let flags = &call.flags;
    let headless = flags.text("cluster-ip") == "None";
    let selector = match flags.text("selector") {
        "" => selector_of(info).map_err(|why| {
            Failure::new(format!("couldn't retrieve selectors via --selector flag or introspection: {why}"))
        })?,
        text => labels(text)?,
    };
    if selector.is_empty() {
        return Err(Failure::new(
            "couldn't retrieve selectors via --selector flag or introspection: selector must be specified",
        ));
    }
    let known = ports_of(info);
    let mut wanted: Vec<String> = match flags.text("port") {
        "" => {
            let mut numbers: Vec<String> = Vec::new();
            known.iter().map(|(port, _)| port.to_string()).for_each(|port| {
                if !numbers.contains(&port) {
                    numbers.push(port);
                }
            });
            numbers
        }
        text => text.split(',').map(str::to_owned).collect(),
    };
    if wanted.is_empty() && !headless {
        return Err(Failure::new("couldn't find port via --port flag or introspection"));
    }
    let several = wanted.len() > 1;
    let mut ports = Vec::new();
    for (at, text) in wanted.drain(..).enumerate() {
        let port: i64 = text
            .parse()
            .map_err(|_| Failure::new(format!("strconv.Atoi: parsing {}: invalid syntax", quote(&text))))?;
        let protocols: Vec<&str> = match flags.text("protocol") {
            "" => known.iter().filter(|(known, _)| *known == port).map(|(_, protocol)| protocol.as_str()).collect(),
            protocol => vec![protocol],
        };
        let entry = |name: Option<String>, protocol: &str| {
            let target = match flags.text("target-port") {
                "" => Value::from(port),
                text => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
            };
            let mut entry = json!({"port": port, "protocol": protocol, "targetPort": target});
            if let Some(name) = name {
                entry["name"] = name.into();
            }
            entry
        };
        match protocols.as_slice() {
            [] => ports.push(entry(several.then(|| format!("port-{}", at + 1)), "TCP")),
            [one] => ports.push(entry(several.then(|| format!("port-{}", at + 1)), one)),
            many => {
                let name = |protocol: &str| Some(format!("port-{}-{}", at + 1, protocol.to_lowercase()));
                ports.extend(many.iter().map(|protocol| entry(name(protocol), protocol)));
            }
        }
    }
    let mut name: String = match flags.text("name") {
        "" => info.name.clone(),
        name => name.to_owned(),
    };
    if flags.text("name").is_empty() {
        name.truncate(63);
    }
    let mut spec = json!({"selector": selector});
    if !ports.is_empty() {
        spec["ports"] = ports.into();
    }
    options(flags, &mut spec)?;
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    let own_labels = match flags.text("labels") {
        "" => meta::labels(&info.object).cloned().unwrap_or_default(),
        text => labels(text)?,
    };
    if !own_labels.is_empty() {
        service["metadata"]["labels"] = own_labels.into();
    }
    Ok(service)
}

fn options(flags: &super::super::flags::Flags, spec: &mut Value) -> Result {
    if !flags.text("external-ip").is_empty() {
        spec["externalIPs"] = json!([flags.text("external-ip")]);
    }
    if !flags.text("type").is_empty() {
        spec["type"] = flags.text("type").into();
    }
    if flags.text("type") == "LoadBalancer" && !flags.text("load-balancer-ip").is_empty() {
        spec["loadBalancerIP"] = flags.text("load-balancer-ip").into();
    }
    match flags.text("session-affinity") {
        "" => {}
        affinity @ ("None" | "ClientIP") => spec["sessionAffinity"] = affinity.into(),
        other => return Err(Failure::new(format!("unknown session affinity: {other}"))),
    }
    if !flags.text("cluster-ip").is_empty() {
        spec["clusterIP"] = flags.text("cluster-ip").into();
    }
    Ok(())
}
