//! `kubectl port-forward`: a port of this machine that leads to a port of a Pod.

use std::net::SocketAddr;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};
use super::super::selection::Info;
use super::logs;
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("address", Kind::List, "Addresses of this machine to listen on [default: localhost]"),
    long("pod-running-timeout", Kind::Duration("1m0s"), "How long to wait until the Pod runs"),
];

/// `port-forward`
pub const COMMAND: Command = Command {
    name: "port-forward",
    usage: "TYPE/NAME [LOCAL:]REMOTE ...",
    about: "Lead a port of this machine to a Pod",
    flags: &[FLAGS],
    run: run!(port_forward),
    ..BASE
};

async fn port_forward(call: &Invocation) -> Result {
    let [name, ports @ ..] = call.arguments() else {
        return Err(call.usage("TYPE/NAME and list of ports are required for port-forward"));
    };
    if ports.is_empty() {
        return Err(call.usage("TYPE/NAME and list of ports are required for port-forward"));
    }
    let info = logs::found(call, name).await?;
    let pod = pod(call, &info).await?;
    let phase = meta::text(&pod, &["status", "phase"]);
    if phase != "Running" {
        return Err(Failure::new(format!("unable to forward port because pod is not running. Current status={phase}")));
    }
    let pairs = ports.iter().map(|text| pair(text, &info, &pod)).collect::<Result<Vec<_>>>()?;
    let api = kube::Api::<Pod>::namespaced(call.cluster().await?.api.client().clone(), meta::namespace(&pod));
    let mut listening = Vec::new();
    for (local, remote) in pairs {
        let default = ["localhost".to_owned()];
        let addresses = match call.flags.all("address") {
            [] => &default[..],
            named => named,
        };
        for address in addresses {
            let address = if address == "localhost" { "127.0.0.1" } else { address };
            let wanted: SocketAddr = format!("{address}:{local}")
                .parse()
                .map_err(|_| Failure::new(format!("{address} is not a valid IP")))?;
            let listener = tokio::net::TcpListener::bind(wanted)
                .await
                .map_err(|fault| Failure::new(format!("unable to listen on port {local}: {fault}")))?;
            let shown = listener.local_addr().map_or(wanted, |own| own);
            call.out(format!("Forwarding from {shown} -> {remote}\n"));
            let noted = call.session.listening.note(shown.port());
            listening.push((listener, shown.port(), remote, noted));
        }
    }
    call.console().flush().await?;
    let name = meta::name(&pod).to_owned();
    let all = listening.into_iter().map(|(listener, local, remote, noted)| {
        let (api, name) = (api.clone(), name.clone());
        async move {
            let _noted = noted;
            while let Ok((mut ours, _)) = listener.accept().await {
                call.out(format!("Handling connection for {local}\n"));
                call.console().flush().await?;
                let (api, name, console) = (api.clone(), name.clone(), call.console().clone());
                call.session.tasks.spawn("port-forward", async move {
                    let carried = async {
                        let mut forwarder =
                            api.portforward(&name, &[remote]).await.map_err(|fault| fault.to_string())?;
                        let mut theirs = forwarder.take_stream(remote).ok_or_else(|| "no stream".to_owned())?;
                        let carried = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
                        carried.map(|_| ()).map_err(|fault| fault.to_string())
                    };
                    if let Err(why) = carried.await {
                        console.err(format!("error: lost connection to pod: {why}\n"));
                        // Nobody is left to tell when the terminal is gone.
                        let _ = console.flush().await;
                    }
                });
            }
            Ok::<(), Failure>(())
        }
    });
    for done in futures::future::join_all(all).await {
        done?;
    }
    Ok(())
}

async fn pod(call: &Invocation, info: &Info) -> Result<Value> {
    if info.mapping.kind == "Pod" {
        return Ok(info.object.clone());
    }
    let pods = logs::pods_of(call, info).await?;
    pods.into_iter().next().ok_or_else(|| Failure::new("timed out waiting for the condition"))
}

/// `8080:80`, `80`, `:80`, `8080:http`; a Service's port becomes its target.
fn pair(text: &str, info: &Info, pod: &Value) -> Result<(u16, u16)> {
    let (local, remote) = text.split_once(':').map_or((text, text), |(local, remote)| (local, remote));
    let wrong = || Failure::new(format!("error parsing remote port {remote:?}"));
    let port = if info.mapping.kind == "Service" {
        let ports = meta::list(&info.object, &["spec", "ports"]);
        let fits = |one: &&Value| {
            meta::text(one, &["name"]) == remote
                || meta::integer(one, &["port"]).map(|port| port.to_string()).as_deref() == Some(remote)
        };
        let found = ports
            .iter()
            .find(fits)
            .ok_or_else(|| Failure::new(format!("Service {} does not have a service port {remote}", info.name)))?;
        match found.get("targetPort") {
            Some(Value::String(name)) => named_port(pod, name).ok_or_else(wrong)?,
            Some(Value::Number(number)) => {
                number.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or_else(wrong)?
            }
            _ => meta::integer(found, &["port"]).and_then(|port| u16::try_from(port).ok()).ok_or_else(wrong)?,
        }
    } else {
        match remote.parse::<i64>() {
            Ok(number) => u16::try_from(number).map_err(|_| {
                let why = if number < 0 { "invalid syntax" } else { "value out of range" };
                Failure::new(format!(
                    "error parsing remote port '{remote}': strconv.ParseUint: parsing {remote:?}: {why}"
                ))
            })?,
            Err(_) => named_port(pod, remote).ok_or_else(|| {
                Failure::new(format!("Pod '{}' does not have a named port '{remote}'", meta::name(pod)))
            })?,
        }
    };
    let local = match local {
        "" => 0,
        local => local.parse().unwrap_or(port),
    };
    Ok((local, port))
}

fn named_port(pod: &Value, name: &str) -> Option<u16> {
    let containers = meta::list(pod, &["spec", "containers"]);
    let ports = containers.iter().flat_map(|one| meta::list(one, &["ports"]));
    let found = ports.into_iter().find(|port| meta::text(port, &["name"]) == name)?;
    u16::try_from(meta::integer(found, &["containerPort"])?).ok()
}
