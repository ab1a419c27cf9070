//! `kubectl cluster-info` and `kubectl options`.

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, GLOBAL, Invocation, flag_lines, run};
use super::super::failure::Result;
use super::super::flags::Flag;
use super::super::http::Call;
use crate::api::meta;

/// `cluster-info`
pub const COMMAND: Command = Command {
    name: "cluster-info",
    about: "Show where the control plane is",
    commands: &[super::dump::COMMAND],
    run: run!(cluster_info),
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

async fn options(call: &Invocation) -> Result {
    let flags: Vec<&Flag> = GLOBAL.iter().filter(|flag| flag.name != "help").collect();
    call.out(format!("The following options can be passed to any command:\n\n{}", flag_lines(&flags)));
    Ok(())
}
