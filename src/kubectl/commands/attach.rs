//! `kubectl attach`: the streams of a container's own process.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long};
use super::super::mapping::Mapping;
use super::super::selection::Info;
use super::exec::{self, FLAGS};
use crate::api::meta;

const DETACH: &[Flag] = &[long("detach-keys", Kind::Text(""), "Accepted")];

/// `attach`
pub const COMMAND: Command = Command {
    name: "attach",
    usage: "(POD | TYPE/NAME) [-c CONTAINER]",
    about: "Attach to a container's process",
    flags: &[FLAGS, DETACH],
    run: run!(attach),
    ..BASE
};

async fn attach(call: &Invocation) -> Result {
    let place = match call.arguments() {
        [] => return Err(Failure::new("at least 1 argument is required for attach")),
        [word] => exec::place(call, word).await.map_err(no_container)?,
        [kind, name] => {
            call.cluster().await?.mapper().await?.named(kind).map_err(Failure::bare)?;
            exec::place(call, &format!("{kind}/{name}")).await.map_err(no_container)?
        }
        words => {
            return Err(Failure::new(format!(
                "expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {}: [{}]",
                words.len(),
                words.join(" ")
            )));
        }
    };
    to(call, &place).await
}

/// A container that is not there is told in attach's own words.
fn no_container(failure: Failure) -> Failure {
    match failure {
        Failure::Message(words) if words.starts_with("container ") => {
            Failure::Message(format!("cannot attach to the container: {words}"))
        }
        other => other,
    }
}

/// Carries the streams of a container.
///
/// # Errors
/// When the server refuses.
pub(super) async fn to(call: &Invocation, place: &exec::Place) -> Result {
    if !call.flags.is("quiet") && call.flags.is("stdin") && call.session.environment.stdin_is_terminal {
        call.err("If you don't see a command prompt, try pressing enter.\n");
        call.console().flush().await?;
    }
    let params = exec::params(call, place);
    let api = kube::Api::<Pod>::namespaced(call.cluster().await?.api.client().clone(), &place.namespace);
    let process = api.attach(&place.pod, &params).await.map_err(exec::refused)?;
    exec::carry(call, process, call.flags.is("stdin")).await
}

/// Attaches to a Pod that was made a moment ago, once it runs; `--rm` deletes it in the end.
///
/// # Errors
/// When it does not come to run, or its process fails.
pub async fn to_new_pod(call: &Invocation, pod: &Value) -> Result {
    let cluster = call.cluster().await?;
    let mapping = cluster.mapper().await?.named("pods")?;
    let info = Info {
        mapping: std::sync::Arc::new(Mapping::clone(&mapping)),
        namespace: meta::namespace(pod).to_owned(),
        name: meta::name(pod).to_owned(),
        object: pod.clone(),
        source: String::new(),
    };
    let done = attached(call, &info).await;
    if call.flags.is("rm") {
        let writing = super::super::write::Writing::of(call, "")?;
        writing.delete(&info, None, "Background").await?;
        call.out(format!("pod {} deleted from {} namespace\n", quote(&info.name), info.namespace));
    }
    done
}

async fn attached(call: &Invocation, info: &Info) -> Result {
    let phase = |object: &Value| meta::text(object, &["status", "phase"]).to_owned();
    let runs = super::wait::until(call, info, |object| Ok(!matches!(phase(object).as_str(), "" | "Pending")));
    let late = || Failure::new("timed out waiting for the condition");
    let pod =
        call.session.clock.timeout(call.flags.duration("pod-running-timeout"), runs).await.map_err(|_| late())??;
    let container = meta::list(&pod, &["spec", "containers"]).first().map(|one| meta::text(one, &["name"]).to_owned());
    let place = exec::Place {
        namespace: info.namespace.clone(),
        pod: info.name.clone(),
        container: container.unwrap_or_default(),
    };
    if phase(&pod) == "Running" {
        to(call, &place).await?;
    } else {
        // It has ended already: its log is what attaching would have shown.
        let path = info.subpath("log");
        let bytes = call.cluster().await?.api.bytes(super::super::http::Call::get(path)).await?;
        call.console().out(bytes);
    }
    if !matches!(call.flags.text("restart"), "Never" | "OnFailure") || call.flags.is("leave-stdin-open") {
        return Ok(());
    }
    let ends = super::wait::until(call, info, |object| Ok(matches!(phase(object).as_str(), "Succeeded" | "Failed")));
    let pod = ends.await?;
    if phase(&pod) == "Succeeded" {
        return Ok(());
    }
    let code = meta::list(&pod, &["status", "containerStatuses"])
        .iter()
        .find_map(|status| meta::integer(status, &["state", "terminated", "exitCode"]))
        .and_then(|code| i32::try_from(code).ok())
        .unwrap_or(1);
    Err(Failure::Coded(format!("pod {}/{} terminated (Error)", info.namespace, info.name), code))
}
