//! Somebody connected to a process: exec beside a container's process, attach to it.
//!
//! In: a container and what is wanted of it. Out: a [`Session`] whose ends are pipes or a terminal; the
//! kernel moves the bytes. A command that was started for a session is killed when the session is
//! dropped. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::unix::pipe;
use tokio::sync::{broadcast, mpsc};

use super::container::Container;
use super::plan;
use super::pod::Way;
use super::process::{NotStarted, Process};
use super::terminal::Terminal;
use crate::clock::Clock;
use crate::kubelet::runtime::session::TerminalSize;
use crate::kubelet::runtime::{Exec, Executed, MAX_EXEC_OUTPUT_BYTES, Result, RuntimeError, Session, Stream, Streams};

/// What a pipe in memory holds.
const PIPE_BYTES: usize = 64 * 1024;
/// Sizes of a terminal that wait to be set.
const SIZES: usize = 4;
/// How long a command's output may still come after it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Kills the process when it is dropped, if it still runs.
struct Ours(Arc<Process>);

impl Drop for Ours {
    fn drop(&mut self) {
        if self.0.ended().is_none() {
            self.0.signal(Signal::KILL);
        }
    }
}

fn not_running(container: &Container) -> RuntimeError {
    RuntimeError::new("ContainerNotRunning", format!("container \"{}\" is not running", container.config.name))
}

fn refused(error: NotStarted) -> RuntimeError {
    let start = "failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to \
                 start container process: ";
    RuntimeError { code: error.code, ..RuntimeError::new("ExecError", format!("{start}{}", error.why)) }
}

async fn start(
    container: &Container,
    token: u64,
    command: &[String],
    streams: Option<[OwnedFd; 3]>,
) -> std::result::Result<Process, NotStarted> {
    let first = container.running().ok_or_else(|| NotStarted { why: "it is not running".into(), code: 128 })?;
    let mut plan = plan::joining_process(&container.config, &container.image, command, streams.is_none())
        .map_err(|why| NotStarted { why, code: 128 })?;
    container.bound(&mut plan);
    let gifts = container.gifts(streams, Some(first.handle()?))?;
    container.pod.start_process(token, &plan, gifts, Way::Beside(first.token)).await
}

fn code(ended: super::connection::Ended) -> i32 {
    ended.code.or(ended.signal.map(|signal| 128 + signal)).unwrap_or(137)
}

/// Runs a command and hands its streams over.
pub async fn exec(container: Arc<Container>, token: u64, exec: Exec) -> Result<Session> {
    if container.running().is_none() {
        return Err(not_running(&container));
    }
    let opened = match exec.streams.tty {
        true => with_terminal(&container, token, &exec).await,
        false => with_pipes(&container, token, &exec).await,
    };
    Ok(opened.unwrap_or_else(|error| Session {
        stdin: exec.streams.stdin.then(|| Box::new(tokio::io::sink()) as _),
        stdout: exec.streams.stdout.then(|| Box::new(tokio::io::empty()) as _),
        stderr: (exec.streams.stderr && !exec.streams.tty).then(|| Box::new(tokio::io::empty()) as _),
        resize: None,
        exit: futures::future::ready(Err(refused(error))).boxed(),
    }))
}

async fn with_pipes(container: &Container, token: u64, exec: &Exec) -> std::result::Result<Session, NotStarted> {
    let input = exec.streams.stdin.then(io::pipe).transpose()?;
    let (stdin, ours) = match input {
        Some((theirs, ours)) => (theirs.into(), Some(pipe::Sender::from_owned_fd(ours.into())?)),
        None => (fs::File::open("/dev/null")?.into(), None),
    };
    let output = |wanted: bool| -> io::Result<(OwnedFd, Option<pipe::Receiver>)> {
        if !wanted {
            return Ok((fs::File::options().write(true).open("/dev/null")?.into(), None));
        }
        let (ours, theirs) = io::pipe()?;
        Ok((theirs.into(), Some(pipe::Receiver::from_owned_fd(ours.into())?)))
    };
    let (stdout, printed) = output(exec.streams.stdout)?;
    let (stderr, complained) = output(exec.streams.stderr)?;
    let process = Arc::new(start(container, token, &exec.command, Some([stdin, stdout, stderr])).await?);
    container.note(process.clone());
    let ours_to_end = Ours(process);
    Ok(Session {
        stdin: ours.map(|it| Box::new(it) as _),
        stdout: printed.map(|it| Box::new(it) as _),
        stderr: complained.map(|it| Box::new(it) as _),
        resize: None,
        exit: async move { Ok(code(ours_to_end.0.wait().await)) }.boxed(),
    })
}

async fn with_terminal(container: &Container, token: u64, exec: &Exec) -> std::result::Result<Session, NotStarted> {
    let mut process = start(container, token, &exec.command, None).await?;
    let end = process.terminal.take().ok_or_else(|| NotStarted { why: "no terminal came".into(), code: 128 })?;
    let terminal = Terminal::new(end)?;
    let process = Arc::new(process);
    container.note(process.clone());
    let (resize, sizes) = mpsc::channel(SIZES);
    let ours_to_end = Ours(process);
    let stdin = exec.streams.stdin.then(|| terminal.keyboard()).transpose()?;
    let stdout = exec.streams.stdout.then(|| terminal.screen()).transpose()?;
    let exit = async move {
        tokio::select! {
            ended = ours_to_end.0.wait() => Ok(code(ended)),
            never = follow_size(&terminal, sizes) => match never {},
        }
    };
    Ok(Session {
        stdin: stdin.map(|it| Box::new(it) as _),
        stdout: stdout.map(|it| Box::new(it) as _),
        stderr: None,
        resize: Some(resize),
        exit: exit.boxed(),
    })
}

async fn follow_size(terminal: &Terminal, mut sizes: mpsc::Receiver<TerminalSize>) -> std::convert::Infallible {
    while let Some(size) = sizes.recv().await {
        terminal.resize(size);
    }
    std::future::pending().await
}

/// Runs a command and waits for it.
pub async fn exec_sync(container: Arc<Container>, token: u64, command: &[String], clock: Clock) -> Result<Executed> {
    if container.running().is_none() {
        return Err(not_running(&container));
    }
    let run = async {
        // One pipe for both streams keeps their order.
        let (ours, theirs) = io::pipe()?;
        let second = theirs.try_clone()?;
        let stdin = fs::File::open("/dev/null")?.into();
        let process = start(&container, token, command, Some([stdin, theirs.into(), second.into()])).await?;
        Ok::<_, NotStarted>((Ours(Arc::new(process)), pipe::Receiver::from_owned_fd(ours.into())?))
    };
    let (process, mut printed) = run.await.map_err(refused)?;
    container.note(process.0.clone());
    let mut output = BytesMut::new();
    let mut buffer = vec![0; PIPE_BYTES];
    let mut read = async |output: &mut BytesMut| loop {
        match printed.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                let room = MAX_EXEC_OUTPUT_BYTES.saturating_sub(output.len());
                output.extend_from_slice(&buffer[..length.min(room)]);
            }
        }
    };
    let ended = tokio::select! {
        ended = process.0.wait() => Some(ended),
        () = read(&mut output) => None,
    };
    let ended = match ended {
        Some(ended) => {
            // A process that it left behind may keep the pipe open.
            let _ = clock.timeout(LAST_WORDS, read(&mut output)).await;
            ended
        }
        None => process.0.wait().await,
    };
    Ok(Executed { code: code(ended), output: output.freeze() })
}

/// Connects to the container's own process.
pub async fn attach(container: Arc<Container>, streams: Streams) -> Result<Session> {
    if container.running().is_none() {
        return Err(not_running(&container));
    }
    let tty = container.config.tty;
    let pair = |wanted: bool| wanted.then(|| duplex(PIPE_BYTES)).unzip();
    let (stdin, typed) = pair(streams.stdin && container.config.stdin);
    let (stdout, printed) = pair(streams.stdout);
    let (stderr, complained) = pair(streams.stderr && !tty);
    let (resize, sizes) = mpsc::channel(SIZES);
    let output = container.output();
    let exit = async move {
        let terminal = container.terminal.lock().clone();
        let sized = async {
            match terminal {
                Some(terminal) => follow_size(&terminal, sizes).await,
                None => std::future::pending().await,
            }
        };
        let typing = async {
            type_in(&container, typed).await;
            std::future::pending::<std::convert::Infallible>().await
        };
        let showing = show(&container, output, printed, complained);
        tokio::select! {
            exit = showing => exit.ok_or_else(|| not_running(&container)),
            never = typing => match never {},
            never = sized => match never {},
        }
    };
    Ok(Session {
        stdin: stdin.map(|it| Box::new(it) as _),
        stdout: stdout.map(|it| Box::new(it) as _),
        stderr: stderr.map(|it| Box::new(it) as _),
        resize: tty.then_some(resize),
        exit: exit.boxed(),
    })
}

/// Passes typing on, to its end.
async fn type_in(container: &Container, typed: Option<DuplexStream>) {
    let Some(mut typed) = typed else { return };
    let mut buffer = vec![0; 4096];
    while let Ok(length @ 1..) = typed.read(&mut buffer).await {
        let bytes = &buffer[..length];
        let written = match &mut *container.input.lock().await {
            Some(input) => input.write_all(bytes).await,
            None => break,
        };
        if written.is_err() {
            break;
        }
    }
    if container.config.stdin_once && !container.config.tty {
        container.input.lock().await.take();
    }
}

/// Shows what is printed until the container has ended; its exit code.
async fn show(
    container: &Container,
    mut output: broadcast::Receiver<(Stream, Bytes)>,
    mut printed: Option<DuplexStream>,
    mut complained: Option<DuplexStream>,
) -> Option<i32> {
    let mut exit = None;
    loop {
        let next = match &exit {
            // Everything it printed was sent before it counted as ended.
            Some(_) => output.try_recv().map_err(|_| broadcast::error::RecvError::Closed),
            None => tokio::select! {
                next = output.recv() => next,
                ended = container.wait() => {
                    exit = Some(ended);
                    continue;
                }
            },
        };
        let (stream, bytes) = match next {
            Ok(next) => next,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return exit.flatten().map(|exit| exit.code),
        };
        let to = if stream == Stream::Stdout { &mut printed } else { &mut complained };
        if let Some(writer) = to
            && writer.write_all(&bytes).await.is_err()
        {
            // Nobody looks any more; the container goes on.
            *to = None;
        }
    }
}
