//! What the kubelet asks of a container runtime, shaped as CRI (the Container Runtime Interface).
//!
//! A sandbox is what a Pod's containers share; volumes are put into it, containers are created in it,
//! started, stopped; images are pulled; a process can be run beside them; their output is kept. The
//! kubelet decides *what* ([`config`] is the whole of it), a runtime only *how*. Every runtime passes the
//! same conformance test (`conformance`). A runtime never asks the API server anything.
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;

pub mod config;
pub mod conformance;
#[cfg(target_os = "linux")]
pub mod docker;
#[cfg(not(target_os = "linux"))]
#[path = "docker_elsewhere.rs"]
pub mod docker;
#[cfg(target_os = "linux")]
pub mod native;
#[cfg(not(target_os = "linux"))]
#[path = "native_elsewhere.rs"]
pub mod native;
mod sample;
pub mod session;
pub mod simulated;

pub use config::{ContainerConfig, Mount, Resources, SandboxConfig, Security, Volume, VolumeFile, VolumeSource};
pub use session::{Connection, Exec, Session, Streams};

/// An image on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The name it was pulled by, with its tag.
    pub name: String,
    /// `repository@sha256:…`
    pub id: String,
    /// Its size in bytes.
    pub size_bytes: i64,
    /// Whom its process runs as, as the image says it: a number, a name, either with a group after a
    /// colon; empty: root.
    pub user: String,
}

/// Who pulls. CRI: `AuthConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

/// Why the runtime could not do it, in its own words; `reason` is what the Pod's status shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuntimeError {
    /// `ErrImagePull`, `RunContainerError`, `CreateContainerError`, …
    pub reason: &'static str,
    /// The words.
    pub message: String,
    /// The exit code that a process which could not be run counts as.
    pub code: i32,
}

impl RuntimeError {
    /// An error of this reason.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        RuntimeError { reason, message: message.into(), code: 128 }
    }
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// `Completed`, `Error` or `OOMKilled`.
    pub reason: &'static str,
    /// When it ended.
    pub at: Timestamp,
    /// What it left in its termination message file: at most 4096 bytes.
    pub message: String,
}

/// More output of a command is dropped. Source: kubelet `maxReadLength` of exec probes, and CRI's own limit.
pub const MAX_EXEC_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// What a command run inside a container did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub code: i32,
    /// What it printed, both streams as they came; at most [`MAX_EXEC_OUTPUT_BYTES`].
    pub output: Bytes,
}

/// Something a Pod's address can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the probe's fields")]
pub enum Dial {
    /// A connection is enough.
    Tcp { port: u16 },
    /// A GET.
    Http { port: u16, path: String, headers: Vec<(String, String)> },
    /// The gRPC health check.
    Grpc { port: u16, service: String },
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status; 200 for a connection.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Which of a container's output is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on until the container ends.
    pub follow: bool,
    /// Only the last lines.
    pub tail: Option<usize>,
    /// Only what was printed at or after this.
    pub since: Option<Timestamp>,
}

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was printed.
    pub at: Timestamp,
    /// Where.
    pub stream: Stream,
    /// The line, without its end. Not always text.
    pub bytes: Bytes,
    /// True when it has no end: the line goes on in the next one, or the process ended within it.
    pub partial: bool,
}

impl LogLine {
    /// A whole line on stdout.
    pub fn new(at: Timestamp, text: impl Into<String>) -> Self {
        LogLine { at, stream: Stream::Stdout, bytes: Bytes::from(text.into()), partial: false }
    }

    /// The line as text; what is none is shown as `\u{FFFD}`.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// What a container uses now. CRI: `ContainerStats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Thousandths of a core, lately.
    pub cpu_millis: i64,
    /// CPU time since it started.
    pub cpu_nanoseconds: u64,
    /// Bytes of memory that cannot be taken away: the working set.
    pub memory_bytes: i64,
    /// Bytes it has written to its own layer.
    pub written_bytes: u64,
    /// Processes.
    pub processes: u32,
}

/// The outcome of an operation.
pub type Result<T> = std::result::Result<T, RuntimeError>;

/// A container runtime of one node. Ids are the runtime's own.
pub trait Runtime: Send + Sync + 'static {
    /// Its name and version as nodes report it: `simulated://0.1.0`.
    fn version(&self) -> String;

    /// True when containers are processes, which read files whenever they like; false when nothing looks
    /// at a container's files until somebody execs into it.
    fn has_processes(&self) -> bool {
        true
    }

    /// Makes a sandbox; returns its id.
    fn run_sandbox(&self, config: SandboxConfig) -> BoxFuture<'_, Result<String>>;

    /// Stops what runs in the sandbox and gives its address up. Its containers' records stay.
    fn stop_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Forgets the sandbox, its containers and their output.
    fn remove_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>>;

    /// The image, if it is on the node.
    fn image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Option<Image>>;

    /// Fetches an image for a sandbox, as nobody or as who these credentials belong to.
    fn pull_image<'a>(
        &'a self,
        sandbox: &'a str,
        image: &'a str,
        credentials: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<Image>>;

    /// Deletes an image that no container uses; one that is not there is no error.
    fn remove_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<()>>;

    /// The images on the node, largest first.
    fn images(&self) -> BoxFuture<'_, Vec<Image>>;

    /// Puts a volume into the sandbox. Given again under its name: [`VolumeSource::Files`] replace what
    /// was there, in running containers too; any other volume stays as it is.
    fn set_volume<'a>(&'a self, sandbox: &'a str, volume: Volume) -> BoxFuture<'a, Result<()>>;

    /// Makes a container, whose volumes are there already; returns its id.
    fn create_container<'a>(&'a self, sandbox: &'a str, config: ContainerConfig) -> BoxFuture<'a, Result<String>>;

    /// Starts its process; returns when.
    fn start_container<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Timestamp>>;

    /// Sends TERM, and KILL after `grace`; returns when the process has ended.
    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> BoxFuture<'a, Result<Exit>>;

    /// Waits until the process has ended; at once when it has.
    fn wait<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Exit>>;

    /// Forgets an ended container and its output.
    fn remove_container<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Changes what a running container may use.
    fn update_resources<'a>(&'a self, container: &'a str, resources: Resources) -> BoxFuture<'a, Result<()>>;

    /// Runs a command beside the process and waits for it. Dropped before its end, it is killed.
    fn exec_sync<'a>(&'a self, container: &'a str, command: &'a [String]) -> BoxFuture<'a, Result<Executed>>;

    /// Runs a command beside the process and hands its streams over. A command that cannot be found is
    /// an error of the session's `exit`; a container that does not run is one at once.
    fn exec<'a>(&'a self, container: &'a str, exec: Exec) -> BoxFuture<'a, Result<Session>>;

    /// Connects to the process itself. The streams asked for are those it was made with, or fewer.
    fn attach<'a>(&'a self, container: &'a str, streams: Streams) -> BoxFuture<'a, Result<Session>>;

    /// Connects to a port on the sandbox's own `localhost`.
    fn port_forward<'a>(&'a self, sandbox: &'a str, port: u16) -> BoxFuture<'a, Result<Connection>>;

    /// Asks the sandbox's address something; the error is what a client would see.
    fn dial<'a>(&'a self, sandbox: &'a str, dial: Dial) -> BoxFuture<'a, std::result::Result<Answered, String>>;

    /// The container's output, oldest first.
    fn logs<'a>(
        &'a self,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>>>;

    /// What it uses now.
    fn stats<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Stats>>;
}
