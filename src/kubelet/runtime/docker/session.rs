//! Somebody connected to a process: exec beside a container's process, attach to it.
//!
//! In: a container and what is wanted of it. Out: a [`Session`] whose ends are pipes in memory; its `exit` moves
//! the bytes between them and docker. Docker lets a command go on when its client has left, so one that
//! was started for a session is killed by its process number. Chapter: `book/src/inside/runtime.md`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::{AttachContainerOptions, ResizeContainerTTYOptions, ResizeExecOptions};
use bytes::{Bytes, BytesMut};
use futures::stream::Stream as Pieces;
use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use super::container::Container;
use super::host::Host;
use super::raw;
use super::words::{NOT_RUN, failed, not_run, said};
use crate::kubelet::runtime::session::TerminalSize;
use crate::kubelet::runtime::{Exec, Executed, MAX_EXEC_OUTPUT_BYTES, Result, RuntimeError, Session, Streams};

/// What a pipe in memory holds.
const PIPE_BYTES: usize = 64 * 1024;
/// Sizes of a terminal that wait to be set.
const SIZES: usize = 4;
/// How often docker is asked whether a command that prints no more has ended.
const LOOK: Duration = Duration::from_millis(20);

type Output = Pin<Box<dyn Pieces<Item = std::result::Result<LogOutput, bollard::errors::Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A terminal's two directions: every byte of it.
async fn terminal(
    host: &Host,
    path: &str,
    body: Option<&serde_json::Value>,
) -> std::result::Result<(Output, Input), String> {
    let (read, write) = raw::open(host, path, body).await?;
    let pieces = ReaderStream::with_capacity(read, PIPE_BYTES);
    let output = pieces.map(|piece| piece.map(|message| LogOutput::Console { message }).map_err(Into::into));
    Ok((Box::pin(output), Box::pin(write)))
}

/// A command that runs. Killed when it is dropped before its end.
struct Running {
    host: Arc<Host>,
    id: String,
    ended: bool,
}

impl Running {
    /// Its exit code, once it has ended; `None`: it never ran.
    async fn end(&mut self) -> Result<Option<i32>> {
        loop {
            let found = self.host.connected.docker.inspect_exec(&self.id).await.map_err(failed("ExecError"))?;
            if found.running != Some(true) {
                self.ended = true;
                let code = found.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(137);
                return Ok((found.pid.unwrap_or_default() != 0).then_some(code));
            }
            self.host.clock.sleep(LOOK).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (host, id) = (self.host.clone(), self.id.clone());
        self.host.tasks.spawn("docker exec end", async move {
            if let Ok(found) = host.connected.docker.inspect_exec(&id).await
                && found.running == Some(true)
                && let Some(process) = found.pid.filter(|process| *process > 0)
            {
                host.kill(process).await;
            }
        });
    }
}

async fn start(host: &Arc<Host>, container: &Container, exec: &Exec) -> Result<(Running, Output, Input)> {
    if !container.is_running() {
        return Err(container.not_running());
    }
    let Streams { stdin, stdout, stderr, tty } = exec.streams;
    let options = CreateExecOptions {
        attach_stdin: Some(stdin),
        attach_stdout: Some(stdout),
        attach_stderr: Some(stderr && !tty),
        tty: Some(tty),
        cmd: Some(exec.command.clone()),
        ..CreateExecOptions::default()
    };
    let docker = &host.connected.docker;
    let id = docker.create_exec(&container.id, options).await.map_err(failed("ExecError"))?.id;
    if tty {
        let wanted = serde_json::json!({"Detach": false, "Tty": true});
        let streams = terminal(host, &format!("/exec/{id}/start"), Some(&wanted)).await;
        let (output, input) = streams.map_err(|why| not_run(&why))?;
        return Ok((Running { host: host.clone(), id, ended: false }, output, input));
    }
    let options = StartExecOptions { detach: false, tty, output_capacity: None };
    match docker.start_exec(&id, Some(options)).await.map_err(|error| not_run(&said(&error)))? {
        StartExecResults::Attached { output, input } => {
            Ok((Running { host: host.clone(), id, ended: false }, output, input))
        }
        StartExecResults::Detached => Err(not_run("docker gave no streams")),
    }
}

/// Runs a command and hands its streams over.
pub async fn exec(host: &Arc<Host>, container: &Container, exec: Exec) -> Result<Session> {
    let started = match start(host, container, &exec).await {
        Err(error) if error.reason == "ContainerNotRunning" => return Err(error),
        Err(error) => Err(error),
        Ok(started) => Ok(started),
    };
    let pair = |wanted: bool| wanted.then(|| duplex(PIPE_BYTES)).unzip();
    let (stdin, typed) = pair(exec.streams.stdin);
    let (stdout, printed) = pair(exec.streams.stdout);
    let (stderr, complained) = pair(exec.streams.stderr && !exec.streams.tty);
    let (resize, sizes) = mpsc::channel(SIZES);
    let ends = !exec.streams.tty;
    let exit = async move {
        let (mut running, output, input) = started?;
        let (host, id) = (running.host.clone(), running.id.clone());
        let sized = follow_size(sizes, |size| {
            let options = ResizeExecOptions { h: size.height.into(), w: size.width.into() };
            let (docker, id) = (host.connected.docker.clone(), id.clone());
            async move { docker.resize_exec(&id, options).await }
        });
        let (kept, printed) = tokio::select! {
            held = show(output, printed, complained, true) => held,
            // With a terminal the end of typing is a key like any other; docker would end the output with it.
            never = type_in(typed, input, ends) => match never {},
            never = sized => match never {},
        };
        let code = running.end().await?;
        if let (Some(_), Some(mut printed)) = (code, printed) {
            // They were the command's own words. Who has left needs none.
            let _ = printed.write_all(&kept).await;
        }
        code.ok_or_else(|| not_run(&String::from_utf8_lossy(&kept)))
    };
    Ok(session(stdin, stdout, stderr, exec.streams.tty.then_some(resize), exit.boxed()))
}

fn session(
    stdin: Option<DuplexStream>,
    stdout: Option<DuplexStream>,
    stderr: Option<DuplexStream>,
    resize: Option<mpsc::Sender<TerminalSize>>,
    exit: futures::future::BoxFuture<'static, Result<i32>>,
) -> Session {
    Session {
        stdin: stdin.map(|it| Box::new(it) as _),
        stdout: stdout.map(|it| Box::new(it) as _),
        stderr: stderr.map(|it| Box::new(it) as _),
        resize,
        exit,
    }
}

/// Runs a command and waits for it.
pub async fn exec_sync(host: &Arc<Host>, container: &Container, command: &[String]) -> Result<Executed> {
    let streams = Streams { stdout: true, stderr: true, ..Streams::default() };
    let (mut running, mut output, _input) =
        start(host, container, &Exec { command: command.to_vec(), streams }).await?;
    let mut printed = BytesMut::new();
    while let Some(Ok(piece)) = output.next().await {
        let bytes = piece.into_bytes();
        let room = MAX_EXEC_OUTPUT_BYTES.saturating_sub(printed.len());
        printed.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    match running.end().await? {
        Some(code) => Ok(Executed { code, output: printed.freeze() }),
        None => Err(not_run(&String::from_utf8_lossy(&printed))),
    }
}

/// Connects to the container's own process.
pub async fn attach(host: &Arc<Host>, container: Arc<Container>, streams: Streams) -> Result<Session> {
    if !container.is_running() {
        return Err(container.not_running());
    }
    let tty = container.config.tty;
    let types = streams.stdin && container.config.stdin;
    let options = AttachContainerOptions {
        stream: true,
        stdin: types,
        stdout: streams.stdout,
        stderr: streams.stderr && !tty,
        ..AttachContainerOptions::default()
    };
    let docker = host.connected.docker.clone();
    let (output, input) = if tty {
        let path = format!("/containers/{}/attach?stream=1&stdin={types}&stdout={}", container.id, streams.stdout);
        let attached = terminal(host, &path, None).await;
        attached.map_err(|why| RuntimeError::new("AttachError", why))?
    } else {
        let attached = docker.attach_container(&container.id, Some(options)).await.map_err(failed("AttachError"))?;
        (attached.output, attached.input)
    };
    let pair = |wanted: bool| wanted.then(|| duplex(PIPE_BYTES)).unzip();
    let (stdin, typed) = pair(types);
    let (stdout, printed) = pair(streams.stdout);
    let (stderr, complained) = pair(streams.stderr && !tty);
    let (resize, sizes) = mpsc::channel(SIZES);
    let exit = async move {
        let sized = follow_size(sizes, |size| {
            let options = ResizeContainerTTYOptions { h: size.height.into(), w: size.width.into() };
            let (docker, id) = (docker.clone(), container.id.clone());
            async move { docker.resize_container_tty(&id, options).await }
        });
        let ends = container.config.stdin_once && !tty;
        tokio::select! {
            _ = show(output, printed, complained, false) => {}
            never = type_in(typed, input, ends) => match never {},
            never = sized => match never {},
        }
        container.wait().await.map(|exit| exit.code).ok_or_else(|| container.not_running())
    };
    Ok(session(stdin, stdout, stderr, tty.then_some(resize), exit.boxed()))
}

/// Tells docker the terminal's sizes.
async fn follow_size<Set, Done>(mut sizes: mpsc::Receiver<TerminalSize>, set: Set) -> std::convert::Infallible
where
    Set: Fn(TerminalSize) -> Done + Send,
    Done: Future<Output = std::result::Result<(), bollard::errors::Error>> + Send,
{
    while let Some(size) = sizes.recv().await {
        // A terminal nobody uses any more has no size.
        let _ = set(size).await;
    }
    std::future::pending().await
}

/// Passes typing on, to its end; the end too if that is wanted.
async fn type_in(typed: Option<DuplexStream>, mut input: Input, ends: bool) -> std::convert::Infallible {
    if let Some(mut typed) = typed {
        let mut buffer = vec![0; 4096];
        while let Ok(length @ 1..) = typed.read(&mut buffer).await {
            if input.write_all(&buffer[..length]).await.is_err() {
                break;
            }
            // What is typed is wanted now.
            let _ = input.flush().await;
        }
        if ends {
            // Who has left already needs no end.
            let _ = input.shutdown().await;
        }
    }
    std::future::pending().await
}

/// Shows what is printed, to its end. What may be docker's own words about a command that could not be run
/// is held back, and returned with where it would go: whether the command ran shows only afterwards.
async fn show(
    mut output: Output,
    mut printed: Option<DuplexStream>,
    mut complained: Option<DuplexStream>,
    holds: bool,
) -> (Bytes, Option<DuplexStream>) {
    let mut held = BytesMut::new();
    let mut is_first = true;
    while let Some(Ok(piece)) = output.next().await {
        let to = if matches!(piece, LogOutput::StdErr { .. }) { &mut complained } else { &mut printed };
        let bytes = piece.into_bytes();
        // Docker says it in one piece, and then nothing more.
        if holds && is_first && bytes.starts_with(NOT_RUN) {
            held.extend_from_slice(&bytes);
            continue;
        }
        is_first = false;
        for bytes in [held.split().freeze(), bytes] {
            if let Some(writer) = to
                && writer.write_all(&bytes).await.is_err()
            {
                // Nobody looks any more; the process goes on.
                *to = None;
            }
        }
    }
    (held.freeze(), printed)
}
