//! `kubectl exec`: run a command in a container, over a WebSocket.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, AttachedProcess};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long, short};
use super::super::selection;
use super::super::session::Terminal;
use super::logs;
use crate::api::meta;

/// The flags of `exec` and `attach`.
pub(super) const FLAGS: &[Flag] = &[
    short("container", 'c', Kind::Text(""), "The container"),
    short("stdin", 'i', Kind::Bool(false), "Send standard input"),
    short("tty", 't', Kind::Bool(false), "With a terminal"),
    short("quiet", 'q', Kind::Bool(false), "Only the command's own output"),
    long("pod-running-timeout", Kind::Duration("1m0s"), "How long to wait until the Pod runs"),
];

/// `exec`
pub const COMMAND: Command = Command {
    name: "exec",
    usage: "(POD | TYPE/NAME) [-c CONTAINER] -- COMMAND [ARGS...]",
    about: "Run a command in a container",
    flags: &[FLAGS, selection::FILE],
    run: run!(exec),
    ..BASE
};

/// The Pod and container that a call is about.
pub(super) struct Place {
    pub namespace: String,
    pub pod: String,
    pub container: String,
}

async fn exec(call: &Invocation) -> Result {
    super::super::connect::check(&call.session, &call.flags)?;
    let arguments = call.arguments();
    let split = call.flags.before_dash;
    let (names, command) = match split {
        Some(at) => arguments.split_at(at),
        None if arguments.is_empty() => return Err(Failure::new("pod, type/name or --filename must be specified")),
        None => (arguments, &[][..]),
    };
    if names.is_empty() {
        return Err(Failure::new("pod, type/name or --filename must be specified"));
    }
    if names.len() > 1 {
        return Err(Failure::new(
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' for help and examples",
        ));
    }
    if command.is_empty() {
        return Err(Failure::new("you must specify at least one command for the container"));
    }
    let place = place(call, &names[0]).await?;
    let params = params(call, &place);
    let api = kube::Api::<Pod>::namespaced(call.cluster().await?.api.client().clone(), &place.namespace);
    let process = api.exec(&place.pod, command.to_vec(), &params).await.map_err(refused)?;
    carry(call, process, call.flags.is("stdin")).await
}

/// The Pod behind a word, and its container.
pub(super) async fn place(call: &Invocation, word: &str) -> Result<Place> {
    let info = logs::named(call, word).await.map_err(|failure| match failure {
        Failure::Message(text) => Failure::Plain(match text.strip_prefix("error from server (NotFound): ") {
            Some(rest) => {
                format!("Error from server (NotFound): {}", rest.split(" in namespace ").next().unwrap_or(rest))
            }
            None => format!("error: {text}"),
        }),
        other => other,
    })?;
    let pod = if info.mapping.kind == "Pod" {
        info.object
    } else {
        let pods = logs::pods_of(call, &info).await?;
        pods.into_iter().next().ok_or_else(|| Failure::new("timed out waiting for the condition"))?
    };
    let phase = meta::text(&pod, &["status", "phase"]);
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Failure::new(format!("cannot exec into a container in a completed pod; current phase is {phase}")));
    }
    Ok(Place {
        namespace: meta::namespace(&pod).to_owned(),
        pod: meta::name(&pod).to_owned(),
        container: container(call, &pod)?,
    })
}

/// The container that a call means.
///
/// # Errors
/// When the Pod has none of that name.
pub(super) fn container(call: &Invocation, pod: &Value) -> Result<String> {
    let names = |field: &str| -> Vec<&str> {
        meta::list(pod, &["spec", field]).iter().map(|one| meta::text(one, &["name"])).collect()
    };
    let (plain, first, debug) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let wanted = call.flags.text("container");
    if !wanted.is_empty() {
        if ![&plain, &first, &debug].iter().any(|list| list.contains(&wanted)) {
            let known = [plain, first, debug].concat().join(", ");
            let words = format!("container {wanted} is not valid for pod {} out of: {known}", meta::name(pod));
            return Err(Failure::new(words));
        }
        return Ok(wanted.to_owned());
    }
    if let Some(name) =
        meta::annotation(pod, "kubectl.kubernetes.io/default-container").filter(|name| plain.contains(name))
    {
        return Ok(name.to_owned());
    }
    let chosen = plain.first().copied().unwrap_or_default();
    if plain.len() + first.len() > 1 && !call.flags.is("quiet") {
        let all = plain.iter().map(|name| (*name).to_owned()).chain(first.iter().map(|name| format!("{name} (init)")));
        let all: Vec<String> = all.collect();
        call.err(format!("Defaulted container {} out of: {}\n", super::super::failure::quote(chosen), all.join(", ")));
    }
    Ok(chosen.to_owned())
}

/// What is asked of the server: a terminal only where there is one on this side.
pub(super) fn params(call: &Invocation, place: &Place) -> AttachParams {
    let stdin = call.flags.is("stdin");
    let tty = call.flags.is("tty") && call.session.environment.stdin_is_terminal;
    if call.flags.is("tty") && !tty && stdin {
        call.err("Unable to use a TTY - input is not a terminal or the right kind of file\n");
    }
    AttachParams::default().container(place.container.clone()).stdin(stdin).stdout(true).stderr(!tty).tty(tty)
}

/// A refusal of the upgrade, in the server's words where it sent them.
pub(super) fn refused(fault: kube::Error) -> Failure {
    match fault {
        kube::Error::Api(status) => {
            let value = serde_json::to_value(&status).unwrap_or_default();
            Failure::Server(Box::new(value))
        }
        other => Failure::new(format!("unable to upgrade connection: {other}")),
    }
}

/// Carries the three streams until the process ends; its exit code becomes ours.
pub(super) async fn carry(call: &Invocation, mut process: AttachedProcess, stdin: bool) -> Result {
    let status = process.take_status();
    let (input, mut output, mut errors) = (process.stdin(), process.stdout(), process.stderr());
    let sizes = process.terminal_size();
    let terminal = call.session.terminal.clone().filter(|_| sizes.is_some());
    let _raw = terminal.as_ref().map(|terminal| terminal.raw());
    let resize = resize(sizes, terminal, call.session.environment.size);
    let send = async {
        let Some(mut input) = input.filter(|_| stdin) else { return };
        let mut buffer = vec![0; 8192];
        let mut own = call.session.stdin.lock().await;
        while let Ok(count @ 1..) = own.read(&mut buffer).await {
            if input.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
        // The end of our input is the end of the container's.
        let _ = input.shutdown().await;
    };
    let receive = async {
        let (mut out, mut err) = (vec![0; 8192], vec![0; 8192]);
        loop {
            let (bytes, is_error) = tokio::select! {
                count = read(&mut output, &mut out), if output.is_some() => (out.get(..count).unwrap_or_default(), false),
                count = read(&mut errors, &mut err), if errors.is_some() => (err.get(..count).unwrap_or_default(), true),
                else => return Ok::<(), Failure>(()),
            };
            if is_error {
                call.console().err(bytes);
            } else {
                call.console().out(bytes);
            }
            call.console().flush().await?;
        }
    };
    let idle_send = async {
        send.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        received = receive => received?,
        () = idle_send => {}
        () = resize => {}
    }
    match status {
        Some(status) => ended(status.await),
        None => Ok(()),
    }
}

/// Tells the container's terminal how large ours is, now and whenever that changes. Never ends.
async fn resize(
    sink: Option<futures::channel::mpsc::Sender<kube::api::TerminalSize>>,
    terminal: Option<Arc<dyn Terminal>>,
    first: Option<(u16, u16)>,
) {
    use futures::SinkExt;
    let changes = async {
        let mut sink = sink?;
        let mut sizes = terminal.map(|terminal| terminal.sizes());
        let mut size = first.or_else(|| sizes.as_ref().map(|sizes| *sizes.borrow()));
        loop {
            if let Some((width, height)) = size.take() {
                // A terminal of another size still works.
                sink.send(kube::api::TerminalSize { width, height }).await.ok()?;
            }
            let sizes = sizes.as_mut()?;
            sizes.changed().await.ok()?;
            size = Some(*sizes.borrow_and_update());
        }
    };
    let _: Option<()> = changes.await;
    std::future::pending().await
}

/// Reads a stream; one that ends is taken away.
async fn read<R: tokio::io::AsyncRead + Unpin>(stream: &mut Option<R>, buffer: &mut [u8]) -> usize {
    let Some(reader) = stream else { return 0 };
    let count = reader.read(buffer).await.unwrap_or(0);
    if count == 0 {
        *stream = None;
    }
    count
}

/// How a command in a container ended.
///
/// # Errors
/// When it failed, with its exit code.
pub(super) fn ended(status: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Status>) -> Result {
    let Some(status) = status else { return Ok(()) };
    if status.status.as_deref() == Some("Success") {
        return Ok(());
    }
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_deref()?.parse().ok());
    match code {
        Some(code) => Err(Failure::Coded(format!("command terminated with exit code {code}"), code)),
        None => Err(Failure::new(status.message.unwrap_or_default())),
    }
}
