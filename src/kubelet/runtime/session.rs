//! A process's streams while somebody is connected to it: exec, attach, port-forward.
//!
//! In: what a client wants ([`Exec`], [`Streams`]). Out: a [`Session`], whose ends the kubelet copies to
//! and from the client. CRI answers with the URL of a streaming server; in one process the streams are
//! handed over themselves. Chapter: `book/src/control-plane/kubelet.md`.

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::Result;

/// Bytes to a process.
pub type Input = Box<dyn AsyncWrite + Send + Unpin>;
/// Bytes from a process.
pub type Output = Box<dyn AsyncRead + Send + Unpin>;
/// A connection: a port's other end.
pub type Connection = Box<dyn Duplex>;

/// Both directions in one.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Which streams a client wants. With `tty` there is no stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the request")]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A command to run beside a container's process. CRI: `ExecRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the request")]
pub struct Exec {
    pub command: Vec<String>,
    pub streams: Streams,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct TerminalSize {
    pub width: u16,
    pub height: u16,
}

/// A connected process.
///
/// Whoever holds it reads stdout and stderr to their end, and polls `exit` all the while: a runtime may
/// do its own part of the work in there. A process that was run for this session (exec) is killed when
/// the session is dropped before its end; one that was attached to goes on.
pub struct Session {
    /// Dropped or shut down: the process reads its end. An attached container's stdin stays open unless
    /// it was made with `stdin_once`.
    pub stdin: Option<Input>,
    /// What it prints from now on.
    pub stdout: Option<Output>,
    /// What it prints as errors; `None` with a terminal.
    pub stderr: Option<Output>,
    /// Takes the terminal's sizes; `None` without one.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// The exit code, 128 + signal when a signal ended it; an error when it could not be run.
    pub exit: BoxFuture<'static, Result<i32>>,
}
