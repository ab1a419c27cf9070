//! What a Pod's worker has done for it: each job one future, from an action to its outcome.
//!
//! In: the node, the Pod, what the action names. Out: an [`Outcome`] for the worker to note. Jobs talk
//! to the runtime and record events in the kubelet's words; they change no state.
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::sync::Mutex;

use super::config;
use super::environment::Sources;
use super::mounted::Mounted;
use super::pod::PodView;
use super::probes::{Answer, ProbeKind};
use super::pull_secrets;
use super::run::Node;
use super::runtime::{Dial, Exit, Image, RuntimeError};
use super::state::{Exited, Failure, Running, Sandbox};
use super::status::WAITS_FOR_VOLUMES;
use super::worker::reference;
use crate::client::Causes;
use crate::client::events::Type;

/// What came of a job.
#[allow(missing_docs, reason = "the names are those of the actions")]
pub enum Outcome {
    Sandbox(Result<Sandbox, String>),
    SandboxStopped,
    /// `refill` is when the volumes are due, if nothing in them changes before.
    Started {
        container: String,
        running: Running,
        refill: Option<Timestamp>,
    },
    NotStarted {
        container: String,
        failure: Failure,
    },
    /// Created, but its process could not be run.
    Crashed {
        container: String,
        exited: Exited,
    },
    Stopped {
        container: String,
        id: String,
        exit: Option<Exit>,
    },
    /// `output` is what a failed probe said.
    Probed {
        container: String,
        id: String,
        kind: ProbeKind,
        answer: Answer,
        output: Option<String>,
    },
    /// The volumes show what is now, as far as it is there.
    Refilled {
        again: Option<Timestamp>,
    },
}

fn tell(node: &Node, pod: &PodView, container: &str, type_: Type, reason: &str, message: impl Into<String>) {
    node.recorder.record(&reference(pod, container), type_, reason, message, &Causes::of(&pod.metadata));
}

/// Makes the sandbox.
pub async fn sandbox(node: Arc<Node>, pod: Arc<PodView>) -> Outcome {
    let host_network = pod.spec.host_network == Some(true);
    let ip = if host_network { Some(node.config.address.clone()) } else { node.allocate_ip() };
    let Some(ip) = ip else {
        return Outcome::Sandbox(Err("failed to allocate for range 0: no IP addresses available in range".to_owned()));
    };
    let config = config::sandbox(&pod, &ip, &node.config.dns);
    let made = node.runtime.run_sandbox(config).await;
    Outcome::Sandbox(made.map(|id| Sandbox { id, ip }).map_err(|error| error.message))
}

/// Stops the sandbox.
pub async fn stop_sandbox(node: Arc<Node>, sandbox: String) -> Outcome {
    if let Err(failure) = node.runtime.stop_sandbox(&sandbox).await {
        tracing::debug!(%failure, "sandbox not stopped");
    }
    Outcome::SandboxStopped
}

/// Pulls, fills volumes, creates, starts.
pub async fn start(
    node: Arc<Node>,
    pod: Arc<PodView>,
    sandbox: Sandbox,
    container: String,
    attempt: u32,
    mounted: Arc<Mutex<Mounted>>,
) -> Outcome {
    let Some((spec, _)) = pod.container(&container) else {
        let failure = fail(&node, "CreateContainerConfigError", "no such container");
        return Outcome::NotStarted { container, failure };
    };
    match try_start(&node, &pod, &sandbox, spec, attempt, &mounted).await {
        Ok((running, refill)) => {
            tell(&node, &pod, &container, Type::Normal, "Started", "Container started");
            Outcome::Started { container, running, refill }
        }
        Err(NotStarted::Refused(failure)) => Outcome::NotStarted { container, failure },
        Err(NotStarted::Crashed(error)) => {
            tell(&node, &pod, &container, Type::Warning, "Failed", format!("Error: {error}"));
            let now = node.clock.now();
            let was = Running { id: String::new(), image_id: String::new(), started: now };
            let (reason, message) = ("StartError".to_owned(), error.message);
            Outcome::Crashed { container, exited: Exited { was, finished: now, code: 128, reason, message } }
        }
    }
}

enum NotStarted {
    Refused(Failure),
    Crashed(RuntimeError),
}

fn fail(node: &Node, reason: &str, message: impl Into<String>) -> Failure {
    Failure { reason: reason.to_owned(), message: message.into(), at: node.clock.now() }
}

async fn try_start(
    node: &Node,
    pod: &PodView,
    sandbox: &Sandbox,
    spec: &Container,
    attempt: u32,
    mounted: &Mutex<Mounted>,
) -> Result<(Running, Option<Timestamp>), NotStarted> {
    let image = image(node, pod, sandbox, spec).await.map_err(NotStarted::Refused)?;
    let filled = mounted.lock().await.fill(node, pod, sandbox, spec).await.map_err(|why| {
        tell(node, pod, "", Type::Warning, "FailedMount", why.clone());
        NotStarted::Refused(fail(node, WAITS_FOR_VOLUMES, why))
    })?;
    for why in filled.faults {
        tell(node, pod, "", Type::Warning, "FailedMount", why);
    }
    let mut sources = Sources::new(&node.client, pod, &sandbox.ip, &node.config.address);
    let config_error = |why: String| {
        tell(node, pod, &spec.name, Type::Warning, "Failed", format!("Error: {why}"));
        NotStarted::Refused(fail(node, "CreateContainerConfigError", why))
    };
    let env = sources.variables(spec).await.map_err(&config_error)?;
    config::check_non_root(pod, spec, &image).map_err(&config_error)?;
    let config = config::container(pod, spec, &image, env, attempt);
    let id = match node.runtime.create_container(&sandbox.id, config).await {
        Ok(id) => id,
        Err(error) => return Err(NotStarted::Crashed(error)),
    };
    tell(node, pod, &spec.name, Type::Normal, "Created", "Container created");
    let started = node.runtime.start_container(&id).await.map_err(NotStarted::Crashed)?;
    if let Some(hook) = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref())
        && !run_hook(node, Some(sandbox), spec, &id, hook).await
    {
        tell(node, pod, &spec.name, Type::Warning, "FailedPostStartHook", "PostStartHook failed");
        let grace = Duration::from_secs(pod.spec.termination_grace_period_seconds.unwrap_or(30).max(0) as u64);
        if let Err(failure) = node.runtime.stop_container(&id, grace).await {
            tracing::debug!(%failure, "container not stopped");
        }
    }
    Ok((Running { id, image_id: image.id, started }, filled.again))
}

/// Fills again what a Pod's volumes show of other objects. What cannot be had stays as it was.
pub async fn refill(node: Arc<Node>, pod: Arc<PodView>, sandbox: Sandbox, mounted: Arc<Mutex<Mounted>>) -> Outcome {
    let filled = mounted.lock().await.refill(&node, &pod, &sandbox).await;
    for why in filled.faults {
        tell(&node, &pod, "", Type::Warning, "FailedMount", why);
    }
    Outcome::Refilled { again: filled.again }
}

/// Gets the image as the pull policy says.
async fn image(node: &Node, pod: &PodView, sandbox: &Sandbox, spec: &Container) -> Result<Image, Failure> {
    let name = spec.image.as_deref().unwrap_or_default();
    let say = |type_, reason: &str, message: String| tell(node, pod, &spec.name, type_, reason, message);
    let repository = name.split([':', '@']).next().unwrap_or(name);
    if name.is_empty() || repository.rsplit('/').next().is_some_and(|last| last.chars().any(char::is_uppercase)) {
        let why = format!(
            "Failed to apply default image tag \"{name}\": couldn't parse image name \"{name}\": invalid reference \
             format: repository name (library/{repository}) must be lowercase"
        );
        say(Type::Warning, "InspectFailed", why.clone());
        say(Type::Warning, "Failed", "Error: InvalidImageName".to_owned());
        return Err(fail(node, "InvalidImageName", why));
    }
    let present = node.runtime.image(name).await;
    let policy = spec.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    match (present, policy) {
        (Some(image), "IfNotPresent" | "Never") => {
            let words = "already present on machine and can be accessed by the pod";
            say(Type::Normal, "Pulled", format!("Container image \"{name}\" {words}"));
            return Ok(image);
        }
        (None, "Never") => {
            let why = format!("Container image \"{name}\" is not present with pull policy of Never");
            say(Type::Warning, "ErrImageNeverPull", why.clone());
            say(Type::Warning, "Failed", "Error: ErrImageNeverPull".to_owned());
            return Err(fail(node, "ErrImageNeverPull", why));
        }
        _ => {}
    }
    say(Type::Normal, "Pulling", format!("Pulling image \"{name}\""));
    let tick = node.clock.tick();
    let mut sources = Sources::new(&node.client, pod, &sandbox.ip, &node.config.address);
    let who = pull_secrets::find(&mut sources, pod, name).await;
    if !who.missing.is_empty() {
        let secrets = who.missing.join(", ");
        let why = "attempting to pull the image may not succeed.";
        let words = format!("Unable to retrieve some image pull secrets ({secrets}); {why}");
        tell(node, pod, "", Type::Warning, "FailedToRetrieveImagePullSecret", words);
    }
    match node.runtime.pull_image(&sandbox.id, name, who.credentials.as_ref()).await {
        Ok(image) => {
            let took = format!("{}ms", node.clock.since(tick).as_millis());
            let size = image.size_bytes;
            let words = format!(
                "Successfully pulled image \"{name}\" in {took} ({took} including waiting). Image size: {size} bytes."
            );
            say(Type::Normal, "Pulled", words);
            node.images_changed();
            Ok(image)
        }
        Err(error) => {
            say(Type::Warning, "Failed", format!("Failed to pull image \"{name}\": {error}"));
            say(Type::Warning, "Failed", format!("Error: {}", error.reason));
            Err(fail(node, error.reason, error.message))
        }
    }
}

/// Runs the preStop hook, then stops the container, both within `grace`.
pub async fn stop(
    node: Arc<Node>,
    pod: Arc<PodView>,
    sandbox: Option<Sandbox>,
    container: String,
    id: String,
    grace: Duration,
) -> Outcome {
    let spec = pod.container(&container).map(|(spec, _)| spec);
    let hook = spec.and_then(|spec| Some((spec, spec.lifecycle.as_ref()?.pre_stop.as_ref()?)));
    let tick = node.clock.tick();
    if let Some((spec, hook)) = hook.filter(|_| !grace.is_zero()) {
        let ran = node.clock.timeout(grace, run_hook(&node, sandbox.as_ref(), spec, &id, hook)).await;
        if ran != Ok(true) {
            tell(&node, &pod, &container, Type::Warning, "FailedPreStopHook", "PreStopHook failed");
        }
    }
    let left = grace.saturating_sub(node.clock.since(tick));
    // As the kubelet does, a hook that took all the time leaves two seconds to end.
    let left = if left.is_zero() && !grace.is_zero() { Duration::from_secs(2) } else { left };
    let exit = node.runtime.stop_container(&id, left).await.ok();
    Outcome::Stopped { container, id, exit }
}

async fn run_hook(node: &Node, sandbox: Option<&Sandbox>, spec: &Container, id: &str, hook: &LifecycleHandler) -> bool {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        return node.runtime.exec_sync(id, &command).await.is_ok_and(|done| done.code == 0);
    }
    if let Some(sleep) = &hook.sleep {
        node.clock.sleep(Duration::from_secs(sleep.seconds.max(0) as u64)).await;
    }
    if let (Some(get), Some(sandbox)) = (&hook.http_get, sandbox) {
        let Some(dial) = http(get, spec) else { return false };
        return node.runtime.dial(&sandbox.id, dial).await.is_ok_and(|answer| answer.status < 400);
    }
    true
}

/// Asks a probe.
pub async fn probe(
    node: Arc<Node>,
    pod: Arc<PodView>,
    sandbox: Sandbox,
    container: String,
    id: String,
    kind: ProbeKind,
) -> Outcome {
    let spec = pod.container(&container).and_then(|(spec, _)| Some((spec, kind.of(spec)?)));
    let Some((spec, probe)) = spec else {
        return Outcome::Probed { container, id, kind, answer: Answer::Passed, output: None };
    };
    let limit = Duration::from_secs(probe.timeout_seconds.unwrap_or(1).max(1) as u64);
    let asked = node.clock.timeout(limit, ask(&node, &sandbox, spec, probe, &id)).await;
    let output =
        asked.unwrap_or_else(|_| Err(format!("command timed out: timed out after {}s", limit.as_secs()))).err();
    let answer = if output.is_none() { Answer::Passed } else { Answer::Failed };
    Outcome::Probed { container, id, kind, answer, output }
}

/// Source of the words: kubelet `pkg/probe`.
async fn ask(node: &Node, sandbox: &Sandbox, spec: &Container, probe: &Probe, id: &str) -> Result<(), String> {
    if let Some(exec) = &probe.exec {
        let command = exec.command.clone().unwrap_or_default();
        let done = node.runtime.exec_sync(id, &command).await.map_err(|error| error.message)?;
        return match done.code {
            0 => Ok(()),
            _ => Err(String::from_utf8_lossy(&done.output).into_owned()),
        };
    }
    if let Some(get) = &probe.http_get {
        let dial = http(get, spec).ok_or_else(|| "couldn't find port".to_owned())?;
        let Dial::Http { port, path, .. } = &dial else { return Ok(()) };
        let url = format!("http://{}:{port}{path}", sandbox.ip);
        let answer = node.runtime.dial(&sandbox.id, dial).await.map_err(|why| format!("Get \"{url}\": {why}"))?;
        return match answer.status {
            200..400 => Ok(()),
            status => Err(format!("HTTP probe failed with statuscode: {status}")),
        };
    }
    let port = probe.tcp_socket.as_ref().map(|tcp| port(&tcp.port, spec));
    if let Some(port) = port {
        let port = port.ok_or_else(|| "couldn't find port".to_owned())?;
        return node.runtime.dial(&sandbox.id, Dial::Tcp { port }).await.map(drop);
    }
    if let Some(grpc) = &probe.grpc {
        let port = u16::try_from(grpc.port).unwrap_or_default();
        let dial = Dial::Grpc { port, service: grpc.service.clone().unwrap_or_default() };
        let answer = node.runtime.dial(&sandbox.id, dial).await;
        let answer =
            answer.map_err(|_| format!("timeout: failed to connect service \"{}:{port}\" within 1s", sandbox.ip))?;
        if answer.status >= 400 {
            return Err("service unhealthy (responded with \"NOT_SERVING\")".to_owned());
        }
    }
    Ok(())
}

fn http(get: &HTTPGetAction, spec: &Container) -> Option<Dial> {
    let path = get.path.clone().unwrap_or_else(|| "/".to_owned());
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    let headers = get.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone()));
    Some(Dial::Http { port: port(&get.port, spec)?, path, headers: headers.collect() })
}

/// A port by number, or by the name the container gives it.
fn port(port: &IntOrString, spec: &Container) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let mut named = spec.ports.iter().flatten();
            named.find(|port| port.name.as_ref() == Some(name))?.container_port
        }
    };
    u16::try_from(number).ok()
}
