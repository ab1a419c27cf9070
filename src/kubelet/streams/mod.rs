//! The kubelet's streaming routes: exec, attach and port-forward.
//!
//! In: a request that asks for another protocol, with the client's connection to take over in its
//! extensions. Out: `101 Switching Protocols`, and a task that serves the connection; or a refusal in the
//! kubelet's words. WebSocket (versions 1, 4 and 5; SPDY tunnelled in it for port-forward) and SPDY/3.1 carry
//! the same channels; [`remote_command`] and [`port_forward`] do not know which.
//! Chapter: `book/src/control-plane/kubelet.md`.

mod forward;
mod negotiate;
mod port_forward;
mod remote_command;
mod spdy;
mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Volume;

use super::environment::Sources;
use super::http::{Body, Refused};
use super::pod::PodView;
use super::run::Node;
use super::runtime::{Exec, Streams};
use super::state::Sandbox;
use super::status::ID_SCHEME;
use super::tokens::PodTokens;
use super::volumes;
use crate::tasks::TaskGroup;
use negotiate::Offer;
use port_forward::Target;
use remote_command::Task;

/// Which of the streaming routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Route {
    Exec,
    Attach,
    PortForward,
}

/// Whom a request means.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Named<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    /// Empty: whichever.
    pub uid: &'a str,
    /// Empty for port-forward.
    pub container: &'a str,
}

/// Answers a request to a streaming route.
///
/// # Errors
/// The refusal's code and words.
pub async fn answer(
    node: &Arc<Node>,
    tasks: &TaskGroup,
    route: Route,
    named: Named<'_>,
    request: &Request<Bytes>,
) -> Result<Response<Body>, Refused> {
    let query: Vec<(String, String)> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let pod = find(node, named)?;
    let upgrade = || {
        let upgrade = request.extensions().get::<OnUpgrade>().cloned();
        upgrade.ok_or_else(|| (StatusCode::BAD_REQUEST, "Upgrade request required".to_owned()))
    };
    if route == Route::PortForward {
        let target = target(node, &pod)?;
        return forward::forward(tasks, target, &query, request.headers(), upgrade()?);
    }
    let streams = streams(&query)?;
    let id = running(&pod, named.container, route)?;
    let offer = Offer::choose(request.headers(), streams)?;
    let upgrade = upgrade()?;
    let session = match route {
        Route::Attach => {
            let tty = pod.container(named.container).is_some_and(|(spec, _)| spec.tty == Some(true));
            let streams = Streams { tty, stderr: streams.stderr && !tty, ..streams };
            node.runtime.attach(&id, streams).await
        }
        _ => {
            fill_tokens(node, &pod, named.container).await;
            let command = query.iter().filter(|(name, _)| name == "command").map(|(_, word)| word.clone()).collect();
            node.runtime.exec(&id, Exec { command, streams }).await
        }
    };
    let session = session.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.message))?;
    let task = if route == Route::Attach { Task::Attach } else { Task::Exec };
    let response = offer.accepted();
    tasks.spawn("kubelet stream", async move {
        if let Ok(connection) = upgrade.await {
            offer.serve(TokioIo::new(connection), session, task).await;
        }
    });
    Ok(response)
}

fn find(node: &Node, named: Named<'_>) -> Result<Arc<PodView>, Refused> {
    let pods = node.pods.lock();
    let mut known = pods.values().filter(|pod| pod.namespace() == named.namespace && pod.name() == named.pod);
    let Some(pod) = known.next() else {
        return Err((StatusCode::NOT_FOUND, "pod does not exist".to_owned()));
    };
    if !named.uid.is_empty() && pod.uid() != named.uid {
        return Err((StatusCode::NOT_FOUND, "pod not found".to_owned()));
    }
    Ok(pod.clone())
}

/// The streams that a query asks for.
fn streams(query: &[(String, String)]) -> Result<Streams, Refused> {
    let is_set = |name: &str| query.iter().any(|(key, value)| key == name && value == "1");
    let tty = is_set("tty");
    let streams = Streams { stdin: is_set("input"), stdout: is_set("output"), stderr: is_set("error") && !tty, tty };
    if !streams.stdin && !streams.stdout && !streams.stderr {
        let why = "you must specify at least 1 of stdin, stdout, stderr";
        return Err((StatusCode::BAD_REQUEST, why.to_owned()));
    }
    Ok(streams)
}

/// The runtime's id of a container that runs.
fn running(pod: &PodView, container: &str, route: Route) -> Result<String, Refused> {
    let status = &pod.status;
    let all = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let mut known = all.into_iter().flatten().flatten().filter(|status| status.name == container);
    let id = known.find(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
    let id = id.and_then(|status| status.container_id.as_deref()?.strip_prefix(ID_SCHEME));
    id.map(str::to_owned).ok_or_else(|| {
        let words = match route {
            Route::Attach => format!("container {container} not found in pod {}_{}", pod.name(), pod.namespace()),
            _ => format!("container not found (\"{container}\")"),
        };
        (StatusCode::INTERNAL_SERVER_ERROR, words)
    })
}

/// The sandbox of a Pod that runs.
fn sandbox(node: &Node, pod: &PodView) -> Option<Sandbox> {
    node.sandboxes.lock().get(pod.uid()).cloned()
}

fn target(node: &Node, pod: &PodView) -> Result<Target, Refused> {
    let sandbox = sandbox(node, pod).ok_or_else(|| {
        let words = format!("pod not found (\"{}_{}\")", pod.name(), pod.namespace());
        (StatusCode::INTERNAL_SERVER_ERROR, words)
    })?;
    Ok(Target { runtime: node.runtime.clone(), sandbox: sandbox.id, uid: pod.uid().to_owned() })
}

/// Where nothing reads a token before somebody looks, tokens are made now.
async fn fill_tokens(node: &Node, pod: &PodView, container: &str) {
    let Some((spec, _)) = pod.container(container).filter(|_| !node.runtime.has_processes()) else { return };
    let Some(sandbox) = sandbox(node, pod) else { return };
    let mut tokens = PodTokens::default();
    let mut sources = Sources::new(&node.client, pod, &sandbox.ip, &node.config.address);
    sources = sources.with_tokens(&mut tokens, node.clock.now());
    let shown = |volume: &&Volume| volumes::mounts(spec, volume) && volumes::has_token(volume);
    for volume in pod.spec.volumes.iter().flatten().filter(shown) {
        let filled = match sources.volume(volume).await {
            Ok(made) => node.runtime.set_volume(&sandbox.id, made).await.map_err(|failure| failure.message),
            Err(why) => Err(why),
        };
        if let Err(why) = filled {
            tracing::debug!(why, pod = pod.name(), "volume not filled");
        }
    }
}
