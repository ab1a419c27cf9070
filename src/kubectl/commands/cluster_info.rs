//! `kubectl cluster-info`, `kubectl top` and `kubectl options`.

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, GLOBAL, Invocation, flag_lines, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};
use super::super::http::Call;
use super::super::selection;
use crate::api::meta;

/// `cluster-info`
pub const COMMAND: Command = Command {
    name: "cluster-info",
    about: "Show where the control plane is",
    commands: &[super::dump::COMMAND],
    run: run!(cluster_info),
    ..BASE
};

const TOP_FLAGS: &[Flag] = &[
    long("sort-by", Kind::Text(""), "cpu or memory"),
    long("no-headers", Kind::Bool(false), "No header line"),
    long("show-swap", Kind::Bool(false), "Swap memory too"),
    long("use-protocol-buffers", Kind::Bool(true), "Accepted"),
];
const TOP_NODE: &[Flag] = &[long("show-capacity", Kind::Bool(false), "Of the capacity")];
const TOP_POD: &[Flag] =
    &[long("containers", Kind::Bool(false), "Each container"), long("sum", Kind::Bool(false), "The sum")];

/// `top`
pub const TOP: Command = Command {
    name: "top",
    about: "Show what is used",
    commands: &[
        Command {
            name: "node",
            aliases: &["nodes", "no"],
            about: "By nodes",
            flags: &[TOP_FLAGS, TOP_NODE, selection::LABELS],
            run: run!(top),
            ..BASE
        },
        Command {
            name: "pod",
            aliases: &["pods", "po"],
            about: "By Pods",
            flags: &[TOP_FLAGS, TOP_POD, selection::LABELS, selection::FIELDS, selection::ALL_NAMESPACES],
            run: run!(top),
            ..BASE
        },
    ],
    ..BASE
};

/// `options`
pub const OPTIONS: Command =
    Command { name: "options", about: "Show the flags every command takes", run: run!(options), ..BASE };

async fn cluster_info(call: &Invocation) -> Result {
    let cluster = call.cluster().await?;
    let namespace = if call.flags.given("namespace") { call.flags.text("namespace") } else { "kube-system" };
    let mapping = cluster.mapper().await?.named("services")?;
    let list =
        Call::get(mapping.path(namespace, None, "")).query("labelSelector", "kubernetes.io/cluster-service=true");
    let list = cluster.api.json(list).await?;
    let server = cluster.api.server.trim_end_matches('/');
    call.out(format!("Kubernetes control plane is running at {server}\n"));
    for service in list.get("items").and_then(Value::as_array).into_iter().flatten() {
        let (name, namespace) = (meta::name(service), meta::namespace(service));
        let port = meta::list(service, &["spec", "ports"]).first();
        let port_name = port.map_or("", |port| meta::text(port, &["name"]));
        let number = port.and_then(|port| meta::integer(port, &["port"])).unwrap_or(0);
        let path = match (port, port_name == "https" || number == 443) {
            (None, _) => name.to_owned(),
            (Some(_), true) => format!("https:{name}:{port_name}"),
            (Some(_), false) if port_name.is_empty() => name.to_owned(),
            (Some(_), false) => format!("{name}:{port_name}"),
        };
        let shown = meta::label(service, "kubernetes.io/name").unwrap_or(name);
        call.out(format!("{shown} is running at {server}/api/v1/namespaces/{namespace}/services/{path}/proxy\n"));
    }
    call.out("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n");
    Ok(())
}

async fn top(call: &Invocation) -> Result {
    if call.arguments().len() > 1 {
        return Err(call.usage(format!("{} [NAME | -l label]", call.command.name)));
    }
    if !matches!(call.flags.text("sort-by"), "" | "cpu" | "memory") {
        return Err(Failure::new("--sort-by accepts only cpu or memory"));
    }
    if !call.arguments().is_empty() && !call.flags.text("selector").is_empty() {
        return Err(Failure::new("only one of NAME or selector can be provided"));
    }
    let mapper = call.cluster().await?.mapper().await?;
    let words = if mapper.groups.iter().any(|group| group.name == "metrics.k8s.io") {
        "this kubectl does not read the metrics API"
    } else {
        "Metrics API not available"
    };
    Err(Failure::new(words))
}

async fn options(call: &Invocation) -> Result {
    let flags: Vec<&Flag> = GLOBAL.iter().collect();
    call.out(format!("Every command takes:\n\n{}", flag_lines(&flags)));
    Ok(())
}
