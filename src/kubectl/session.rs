//! What a run of kubectl is given: its streams, files, environment, and where the cluster is.
//!
//! Two callers make sessions: the command line (the process's own streams and files) and the page's
//! terminal (many sessions in one process). Nothing in this room reads a global of the process.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Result};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// A stream that a command reads.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;
/// A stream that a command writes.
pub type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// One terminal, or one command line. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    /// Where answers and messages go.
    pub console: Console,
    /// What is typed or piped in.
    pub stdin: Arc<tokio::sync::Mutex<Reader>>,
    /// The files that `-f` names.
    pub files: Arc<dyn Files>,
    /// Variables and the terminal's size.
    pub environment: Arc<Environment>,
    /// Where the cluster is.
    pub target: Arc<Target>,
    /// The clock that ages and waits use.
    pub clock: Clock,
    /// Cancelled by Ctrl-C.
    pub stop: CancellationToken,
    /// Runs what goes on beside the command (port-forward's connections).
    pub tasks: TaskGroup,
    /// Opens a text for a person to change; `None` where there is no editor.
    pub editor: Option<Arc<dyn Editor>>,
    /// The terminal behind the streams, where there is one.
    pub terminal: Option<Arc<dyn Terminal>>,
    /// The ports that are open for this session and those beside it.
    pub listening: Listening,
}

/// The environment of a session.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Variables (`KUBECONFIG`, `HOME`, …).
    pub variables: BTreeMap<String, String>,
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// The terminal's width and height, where there is one.
    pub size: Option<(u16, u16)>,
    /// The name the command was called by: `kubectl`.
    pub program: String,
    /// The number that log lines carry: the process's.
    pub process: u32,
}

/// Where the cluster is, unless flags say otherwise.
#[derive(Clone, Default)]
pub struct Target {
    /// Kubeconfig files, the first one's word first.
    pub kubeconfigs: Vec<PathBuf>,
    /// A client to use as it is, in place of the kubeconfigs.
    pub client: Option<kube::Client>,
    /// The only kubeconfig that `config` may change without `--kubeconfig`.
    pub own_kubeconfig: Option<PathBuf>,
    /// Which servers may be talked to, and by what means.
    pub reach: Reach,
}

/// How far a session reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Any server that a kubeconfig or a flag names, with whatever helps to log in.
    #[default]
    Anywhere,
    /// This server alone. No program of the machine is run to log in, and no file of it is read.
    Only(String),
}

/// A file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// The files of a session: a folder of the machine, or an exercise's files in memory.
pub trait Files: Send + Sync {
    /// What is at `path`, if anything.
    fn kind(&self, path: &Path) -> Option<FileKind>;
    /// The whole path, links resolved.
    fn whole(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }
    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// A file's bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Writes a file, making its folder.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// Files of the machine, relative to the folder the session works in.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Where relative paths start; empty for the process's own working directory.
    pub folder: PathBuf,
}

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let found = std::fs::metadata(self.folder.join(path)).ok()?;
        Some(if found.is_dir() { FileKind::Folder } else { FileKind::File })
    }

    fn whole(&self, path: &Path) -> PathBuf {
        let path = self.folder.join(path);
        std::fs::canonicalize(&path).unwrap_or(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.folder.join(folder))?;
        let mut names: Vec<String> =
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(self.folder.join(path))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, bytes)
    }
}

/// Shows a text to a person and waits until it is saved.
pub trait Editor: Send + Sync {
    /// The text as saved; `suffix` tells the format (`.yaml`).
    ///
    /// # Errors
    /// When the editor cannot be started, or ended badly.
    fn edit<'a>(
        &'a self,
        text: &'a str,
        suffix: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<String>> + Send + 'a>>;
}

/// A terminal that a person sits at.
pub trait Terminal: Send + Sync {
    /// Its width and height, and each later one.
    fn sizes(&self) -> watch::Receiver<(u16, u16)>;
    /// From now on each key is handed on as it is pressed, until what is returned is dropped.
    fn raw(&self) -> Box<dyn Send + Sync>;
}

/// The ports of this machine that sessions listen on. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Listening(Arc<Mutex<Vec<u16>>>);

impl Listening {
    /// Notes a port until what is returned is dropped.
    #[must_use]
    pub fn note(&self, port: u16) -> Noted {
        self.0.lock().push(port);
        Noted { listening: self.clone(), port }
    }

    /// Whether a session listens there.
    pub fn has(&self, port: u16) -> bool {
        self.0.lock().contains(&port)
    }
}

/// A port that is listened on.
#[derive(Debug)]
pub struct Noted {
    listening: Listening,
    port: u16,
}

impl Drop for Noted {
    fn drop(&mut self) {
        let mut ports = self.listening.0.lock();
        if let Some(at) = ports.iter().position(|port| *port == self.port) {
            ports.swap_remove(at);
        }
    }
}

/// One of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Answers.
    Out,
    /// Messages.
    Err,
}

struct Sinks {
    out: Writer,
    err: Writer,
}

/// What was written, and to which stream.
type Written = (Stream, Vec<u8>);

/// The two output streams, in the order that was written. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    pending: Arc<Mutex<Vec<Written>>>,
    sinks: Arc<tokio::sync::Mutex<Sinks>>,
}

impl Console {
    /// Over two writers.
    pub fn new(out: Writer, err: Writer) -> Console {
        Console { pending: Arc::default(), sinks: Arc::new(tokio::sync::Mutex::new(Sinks { out, err })) }
    }

    /// Adds text to standard output; [`Console::flush`] sends it.
    pub fn out(&self, text: impl AsRef<[u8]>) {
        self.add(Stream::Out, text.as_ref());
    }

    /// Adds text to standard error.
    pub fn err(&self, text: impl AsRef<[u8]>) {
        self.add(Stream::Err, text.as_ref());
    }

    fn add(&self, stream: Stream, bytes: &[u8]) {
        let mut pending = self.pending.lock();
        match pending.last_mut() {
            Some((last, buffer)) if *last == stream => buffer.extend_from_slice(bytes),
            _ => pending.push((stream, bytes.to_vec())),
        }
    }

    /// Sends what was added.
    ///
    /// # Errors
    /// [`Failure::Stopped`] when the reader has gone.
    pub async fn flush(&self) -> Result {
        let mut sinks = self.sinks.lock().await;
        let pending = std::mem::take(&mut *self.pending.lock());
        for (stream, bytes) in pending {
            let sink = match stream {
                Stream::Out => &mut sinks.out,
                Stream::Err => &mut sinks.err,
            };
            sink.write_all(&bytes).await.map_err(|_| Failure::Stopped)?;
            sink.flush().await.map_err(|_| Failure::Stopped)?;
        }
        Ok(())
    }
}

impl Session {
    /// All of standard input.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_stdin(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut stdin = self.stdin.lock().await;
        stdin.read_to_end(&mut bytes).await.map_err(|fault| Failure::new(fault.to_string()))?;
        Ok(bytes)
    }

    /// A warning as klog writes it, on standard error; `place` is the file and line of kubectl's own source.
    pub fn warn(&self, place: &str, words: &str) {
        self.log('W', place, words);
    }

    /// As [`Session::warn`]; `I` is a note.
    pub fn log(&self, kind: char, place: &str, words: &str) {
        let now = self.clock.now().strftime("%m%d %H:%M:%S%.6f").to_string();
        self.console.err(format!("{kind}{now} {:7} {place}] {words}\n", self.environment.process));
    }

    /// One line of standard input, without its end.
    pub async fn read_line(&self) -> String {
        let mut line = Vec::new();
        let mut stdin = self.stdin.lock().await;
        while let Ok(byte) = stdin.read_u8().await {
            if byte == b'\n' {
                break;
            }
            line.push(byte);
        }
        String::from_utf8_lossy(line.trim_ascii()).into_owned()
    }

    /// Waits for a future, or for Ctrl-C.
    ///
    /// # Errors
    /// [`Failure::Stopped`] after Ctrl-C.
    pub async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Failure::Stopped),
            done = future => Ok(done),
        }
    }

    /// A variable of the environment; empty when it is not set.
    pub fn variable(&self, name: &str) -> &str {
        self.environment.variables.get(name).map_or("", String::as_str)
    }
}
