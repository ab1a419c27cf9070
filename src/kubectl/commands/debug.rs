//! `kubectl debug`: one more container in a Pod that runs, to look into it from inside.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::Call;
use super::super::selection;
use super::super::write::STRATEGIC;
use super::create::random_ending;
use super::{attach, exec, logs};
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("image", Kind::Text(""), "The image of the new container"),
    long("target", Kind::Text(""), "The container whose processes it shall see"),
    short("container", 'c', Kind::Text(""), "The new container's name"),
    short("stdin", 'i', Kind::Bool(false), "Send standard input"),
    short("tty", 't', Kind::Bool(false), "With a terminal"),
    short("quiet", 'q', Kind::Bool(false), "Only the container's own output"),
    long("attach", Kind::Bool(false), "Wait and attach; true with -i"),
    long("env", Kind::Array, "A variable: KEY=VALUE"),
    long("arguments-only", Kind::Bool(false), "What follows -- are arguments of the image's own command"),
    long("image-pull-policy", Kind::Text(""), "Always, IfNotPresent or Never"),
    long("copy-to", Kind::Text(""), "Not built in: copy the Pod instead"),
];

/// `debug`
pub const COMMAND: Command = Command {
    name: "debug",
    usage: "POD --image=IMAGE [-it] [--target=CONTAINER] [-- COMMAND [ARGS...]]",
    about: "Add a container to a Pod that runs, to look into it",
    flags: &[FLAGS, selection::FILES],
    run: run!(debug),
    ..BASE
};

async fn debug(call: &Invocation) -> Result {
    let flags = &call.flags;
    let at = flags.before_dash.unwrap_or(call.arguments().len());
    let (names, command) = call.arguments().split_at(at);
    let [word] = names else {
        return Err(call.usage(if names.is_empty() {
            "NAME or filename is required for debug"
        } else {
            "only one Pod can be named: give the command behind --"
        }));
    };
    if !flags.text("copy-to").is_empty() || word.starts_with("node/") || word.starts_with("nodes/") {
        return Err(Failure::new(
            "this kubectl adds a container to a Pod that runs; it copies no Pods and debugs no nodes",
        ));
    }
    if flags.text("image").is_empty() {
        return Err(call.usage("you must specify --image when not using --copy-to."));
    }
    if flags.is("tty") && !flags.is("stdin") {
        return Err(call.usage("-i/--stdin is required for containers with -t/--tty=true"));
    }
    let info = logs::named(call, word).await?;
    if info.mapping.kind != "Pod" {
        return Err(Failure::new(format!("\"{}\" not supported by debug", info.mapping.kind)));
    }
    let name = if flags.text("container").is_empty() {
        let name = format!("debugger-{}", random_ending());
        if !flags.is("quiet") {
            call.out(format!("Defaulting debug container name to {name}.\n"));
        }
        name
    } else {
        flags.text("container").to_owned()
    };
    let target = flags.text("target");
    if !target.is_empty() && !flags.is("quiet") {
        call.out(format!(
            "Targeting container {target:?}. If you don't see processes from this container it may be because the container runtime doesn't support this feature.\n"
        ));
    }
    let patch = json!({"spec": {"ephemeralContainers": [container(call, &name, command)?]}});
    let request = Call::new(http::Method::PATCH, info.subpath("ephemeralcontainers"));
    let cluster = call.cluster().await?;
    cluster.api.json(request.body(STRATEGIC, patch.to_string().into_bytes())).await?;
    let attach = if flags.given("attach") { flags.is("attach") } else { flags.is("stdin") };
    if !attach {
        return Ok(());
    }
    call.console().flush().await?;
    let state = |pod: &Value, state: &str| {
        meta::list(pod, &["status", "ephemeralContainerStatuses"])
            .iter()
            .any(|one| meta::text(one, &["name"]) == name && meta::get(one, &["state", state]).is_some())
    };
    let pod = super::wait::until(call, &info, |pod| Ok(state(pod, "running") || state(pod, "terminated"))).await?;
    if state(&pod, "terminated") {
        // It has ended already: its log is what attaching would have shown.
        let log = Call::get(info.subpath("log")).query("container", &name);
        call.console().out(cluster.api.bytes(log).await?);
        return Ok(());
    }
    let place = exec::Place { namespace: info.namespace.clone(), pod: info.name.clone(), container: name.clone() };
    attach::to(call, &place).await
}

/// The container, as the profile `general` makes it.
fn container(call: &Invocation, name: &str, command: &[String]) -> Result<Value> {
    let flags = &call.flags;
    let mut container = json!({
        "name": name,
        "image": flags.text("image"),
        "resources": {},
        "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}},
        "terminationMessagePolicy": "File",
    });
    if !command.is_empty() {
        container[if flags.is("arguments-only") { "args" } else { "command" }] = json!(command);
    }
    let mut variables = Vec::new();
    for variable in flags.all("env") {
        let (key, value) =
            variable.split_once('=').ok_or_else(|| Failure::new(format!("invalid argument {variable:?} for --env")))?;
        variables.push(json!({"name": key, "value": value}));
    }
    if !variables.is_empty() {
        container["env"] = variables.into();
    }
    for (flag, field) in [("stdin", "stdin"), ("tty", "tty")] {
        if flags.is(flag) {
            container[field] = true.into();
        }
    }
    for (flag, field) in [("target", "targetContainerName"), ("image-pull-policy", "imagePullPolicy")] {
        if !flags.text(flag).is_empty() {
            container[field] = flags.text(flag).into();
        }
    }
    Ok(container)
}
