//! What the kubelet asks of a container runtime, shaped as CRI (the Container Runtime Interface).
//!
//! A sandbox is what a Pod's containers share; containers are created in it, started, stopped; images
//! are pulled; a process can be run beside them; their output is kept. The kubelet decides *what*,
//! a runtime only *how*. Every runtime passes the same conformance test (`conformance`).
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;

#[cfg(test)]
pub mod conformance;
pub mod simulated;

/// A Pod's sandbox to be.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of the Pod's fields")]
pub struct SandboxConfig {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub hostname: String,
    /// The address the node's IPAM gave it.
    pub ip: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// A container to be.
#[derive(Clone, Debug, Default)]
pub struct ContainerConfig {
    /// Its name in the Pod.
    pub name: String,
    /// Its image, as pulled.
    pub image: String,
    /// Replaces the image's entry point when not empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments when not empty.
    pub args: Vec<String>,
    /// The environment, resolved.
    pub env: Vec<(String, String)>,
    /// How often it was started before: 0 the first time.
    pub attempt: u32,
    /// The ports it says it listens on.
    pub ports: Vec<u16>,
    /// Above this it is killed.
    pub memory_limit_bytes: Option<i64>,
    /// Files that volumes put into it, by absolute path.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// An image on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The name it was pulled by, with its tag.
    pub name: String,
    /// `repository@sha256:…`
    pub id: String,
    /// Its size in bytes.
    pub size_bytes: i64,
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
}

/// What a command run inside a container did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub code: i32,
    /// What it printed, both streams.
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

/// A line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was printed.
    pub at: Timestamp,
    /// The line, without its end.
    pub text: String,
}

/// What a container uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Thousandths of a core.
    pub cpu_millis: i64,
    /// Bytes.
    pub memory_bytes: i64,
}

/// The outcome of an operation.
pub type Result<T> = std::result::Result<T, RuntimeError>;

/// A container runtime of one node. Ids are the runtime's own.
pub trait Runtime: Send + Sync + 'static {
    /// Its name and version as nodes report it: `simulated://0.1.0`.
    fn version(&self) -> String;

    /// Makes a sandbox; returns its id.
    fn run_sandbox(&self, config: SandboxConfig) -> BoxFuture<'_, Result<String>>;

    /// Stops what runs in the sandbox and gives its address up. Its containers' records stay.
    fn stop_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Forgets the sandbox, its containers and their output.
    fn remove_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>>;

    /// The image, if it is on the node.
    fn image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Option<Image>>;

    /// Fetches an image for a sandbox.
    fn pull_image<'a>(&'a self, sandbox: &'a str, image: &'a str) -> BoxFuture<'a, Result<Image>>;

    /// The images on the node, largest first.
    fn images(&self) -> BoxFuture<'_, Vec<Image>>;

    /// Makes a container; returns its id.
    fn create_container<'a>(&'a self, sandbox: &'a str, config: ContainerConfig) -> BoxFuture<'a, Result<String>>;

    /// Starts its process; returns when.
    fn start_container<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Timestamp>>;

    /// Sends TERM, and KILL after `grace`; returns when the process has ended.
    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> BoxFuture<'a, Result<Exit>>;

    /// Waits until the process has ended; at once when it has.
    fn wait<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Exit>>;

    /// Runs a command beside the process and waits for it.
    fn exec<'a>(&'a self, container: &'a str, command: &'a [String]) -> BoxFuture<'a, Result<Executed>>;

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
