//! One container: made, started, watched to its end.
//!
//! In: its configuration, its image, its Pod. Out: its process, its log, how it ended. A task per running
//! container copies its output to the log and to whoever is attached, waits for its end, and writes
//! down what came of it. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::sync::{broadcast, watch};

use super::images::Unpacked;
use super::kernel::Lacks;
use super::limits::Group;
use super::logs::{LONGEST_LINE, Log};
use super::messages::{Files, Lay, Mount, Plan};
use super::pod::{Pod, Way};
use super::process::{Gifts, NotStarted, Process};
use super::terminal::Terminal;
use super::watchdog::{Budget, Watched};
use super::{plan, usage, volumes, watchdog};
use crate::clock::Clock;
use crate::kubelet::runtime::config::{ContainerConfig, Resources};
use crate::kubelet::runtime::sample::Sample;
use crate::kubelet::runtime::{Exit, Stream};

/// How long output may still come after the process has ended: what is in the pipe, not what a process
/// that outlived it may print.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Pieces of output that a slow reader may be behind.
const BEHIND: usize = 1024;
/// Source: kubelet `MaxContainerTerminationMessageLength`.
const LONGEST_MESSAGE: usize = 4096;

/// A container.
pub struct Container {
    /// The runtime's name for it.
    pub id: String,
    /// What it was made from.
    pub config: ContainerConfig,
    /// Its image.
    pub image: Unpacked,
    /// Where it runs.
    pub pod: Arc<Pod>,
    /// What it printed.
    pub log: Arc<Log>,
    /// Its control group; gone when it has ended.
    pub group: Mutex<Option<Group>>,
    /// Standard input of a container that keeps it open.
    pub input: tokio::sync::Mutex<Option<pipe::Sender>>,
    /// Its terminal, if it has one.
    pub terminal: Mutex<Option<Arc<Terminal>>>,
    /// Commands that run beside it.
    beside: Mutex<Vec<Arc<Process>>>,
    /// What it used when it was last asked.
    pub sample: Mutex<Option<Sample>>,
    resources: Mutex<Resources>,
    lacks: Lacks,
    folder: PathBuf,
    life: watch::Sender<Life>,
    output: broadcast::Sender<(Stream, Bytes)>,
}

/// How far it has come.
#[derive(Clone)]
pub enum Life {
    /// Not started yet.
    Made,
    /// Its process.
    Running(Arc<Process>),
    /// Ended.
    Ended(Exit),
}

impl Container {
    /// Makes it; nothing runs yet.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn new(
        id: String,
        config: ContainerConfig,
        image: Unpacked,
        pod: Arc<Pod>,
        group: Group,
        lacks: Lacks,
    ) -> io::Result<Self> {
        let folder = pod.folder.join("containers").join(&id[..12.min(id.len())]);
        fs::create_dir_all(&folder)?;
        let log = Arc::new(Log::new(&folder.join("log"), config.logs)?);
        Ok(Container {
            id,
            resources: Mutex::new(config.resources),
            config,
            image,
            pod,
            log,
            group: Mutex::new(Some(group)),
            input: tokio::sync::Mutex::default(),
            terminal: Mutex::default(),
            beside: Mutex::default(),
            sample: Mutex::default(),
            lacks,
            folder,
            life: watch::Sender::new(Life::Made),
            output: broadcast::Sender::new(BEHIND),
        })
    }

    /// Starts its process, which `token` names, and what watches over it: the future, which has to be run.
    pub async fn start(
        self: &Arc<Self>,
        token: u64,
        way: Way,
        clock: Clock,
    ) -> Result<(Timestamp, impl Future<Output = ()> + Send + use<>), NotStarted> {
        let plan = self.plan().map_err(|why| NotStarted { why, code: 128 })?;
        let mut outputs: Vec<(Stream, Box<dyn AsyncRead + Send + Unpin>)> = Vec::new();
        let mut input = None;
        let streams = match self.config.tty {
            true => None,
            false => {
                let (stdin, keep) = self.standard_input()?;
                input = keep;
                let (stdout, stderr) = (io::pipe()?, io::pipe()?);
                outputs.push((Stream::Stdout, Box::new(pipe::Receiver::from_owned_fd(stdout.0.into())?)));
                outputs.push((Stream::Stderr, Box::new(pipe::Receiver::from_owned_fd(stderr.0.into())?)));
                Some([stdin, stdout.1.into(), stderr.1.into()])
            }
        };
        let mut process = self.pod.start_process(token, &plan, self.gifts(streams, None)?, way).await?;
        if let Some(terminal) = process.terminal.take() {
            let terminal = Terminal::new(terminal)?;
            outputs.push((Stream::Stdout, Box::new(terminal.screen()?)));
            input = Some(terminal.keyboard()?);
            *self.terminal.lock() = Some(Arc::new(terminal));
        }
        *self.input.lock().await = input;
        let (process, now) = (Arc::new(process), clock.now());
        self.life.send_replace(Life::Running(process.clone()));
        Ok((now, self.clone().watch(process, outputs, clock)))
    }

    /// What a process gets at its birth into this container.
    pub fn gifts(&self, streams: Option<[OwnedFd; 3]>, joins: Option<OwnedFd>) -> io::Result<Gifts> {
        let groups = self.group.lock().as_ref().map(Group::doors).transpose()?.unwrap_or_default();
        Ok(Gifts { streams, groups, joins })
    }

    /// The process's end of standard input, and ours if it stays open.
    fn standard_input(&self) -> io::Result<(OwnedFd, Option<pipe::Sender>)> {
        if !self.config.stdin {
            return Ok((fs::File::open("/dev/null")?.into(), None));
        }
        let (theirs, ours) = io::pipe()?;
        Ok((theirs.into(), Some(pipe::Sender::from_owned_fd(ours.into())?)))
    }

    fn plan(&self) -> Result<Plan, String> {
        let files = Files {
            folder: self.folder.clone(),
            mounts: self.mounts()?,
            shm: Some(self.pod.shared_memory()),
            lay: if self.lacks.overlayfs { Lay::Copy } else { Lay::Over },
            ..Files::default()
        };
        let mut plan = plan::first_process(&self.config, &self.image, files)?;
        self.bound(&mut plan);
        Ok(plan)
    }

    /// How many processes there may be, told to each of them that no process of the container is the parent of: the
    /// first, and every command beside it.
    pub fn bound(&self, plan: &mut Plan) {
        let counted = self.group.lock().as_ref().is_some_and(|group| group.limits("pids"));
        if let Some(limit) = self.config.resources.pids_limit.filter(|_| !counted).and_then(|it| u64::try_from(it).ok())
        {
            // Coarser than a group's limit: all Pods of a user number count together. It stops a fork bomb.
            plan.rlimits.insert("NPROC".to_owned(), (limit, limit));
        }
    }

    /// The Pod's own files, then its volumes.
    fn mounts(&self) -> Result<Vec<Mount>, String> {
        let own = |name: &str, target: &str| Mount {
            source: self.pod.folder.join(name),
            target: target.into(),
            read_only: false,
        };
        let mut mounts = vec![own("hostname", "/etc/hostname"), own("resolv.conf", "/etc/resolv.conf")];
        for mount in &self.config.mounts {
            let volume = self.pod.volume(&mount.volume);
            let volume = volume.ok_or_else(|| format!("the volume \"{}\" is not there", mount.volume))?;
            let source = volumes::sub_path(&volume, &mount.sub_path)
                .map_err(|fault| format!("failed to prepare subPath for volumeMount \"{}\": {fault}", mount.volume))?;
            mounts.push(Mount { source, target: (&mount.container_path).into(), read_only: mount.read_only });
        }
        let path = &self.config.termination_message_path;
        if !path.is_empty() && !mounts.iter().any(|mount| mount.target == std::path::Path::new(path)) {
            let source = self.message_file();
            let made = fs::write(&source, "").and_then(|()| {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&source, fs::Permissions::from_mode(0o666))
            });
            made.map_err(|fault| fault.to_string())?;
            mounts.push(Mount { source, target: path.into(), read_only: false });
        }
        Ok(mounts)
    }

    fn message_file(&self) -> PathBuf {
        self.folder.join("termination-log")
    }

    /// Copies output, waits for the end, and writes down how it came.
    async fn watch(
        self: Arc<Self>,
        process: Arc<Process>,
        outputs: Vec<(Stream, Box<dyn AsyncRead + Send + Unpin>)>,
        clock: Clock,
    ) {
        let mut copying = Box::pin(futures::future::join_all(
            outputs.into_iter().map(|(stream, output)| self.copy(stream, output, clock)),
        ));
        let mut copied = false;
        let mut killed_for_memory = false;
        let mut budget = Budget::default();
        let ended = loop {
            let watched = self.watched();
            let measured = async {
                match watched.is_nothing() {
                    false => clock.sleep(watchdog::LOOK).await,
                    true => std::future::pending().await,
                }
            };
            let begun = clock.tick();
            tokio::select! {
                _ = &mut copying, if !copied => copied = true,
                ended = process.wait() => break ended,
                () = measured => {
                    let processes = self.processes(&process);
                    if watched.memory.is_some_and(|limit| usage::memory_bytes(&processes) > limit) {
                        killed_for_memory = true;
                        process.signal(Signal::KILL);
                    } else if let Some(limit) = watched.cpu {
                        let used = usage::cpu_nanoseconds(&processes);
                        if let Some(pause) = budget.spend(limit, used, clock.since(begun)) {
                            self.hold_still(&process, pause, clock).await;
                            budget.spend(limit, used, pause);
                        }
                    }
                },
            }
        };
        let at = clock.now();
        if !copied {
            // What else has the pipe open may keep it for ever.
            let _ = clock.timeout(LAST_WORDS, copying).await;
        }
        self.input.lock().await.take();
        self.terminal.lock().take();
        let group = self.group.lock().take();
        killed_for_memory |= group.as_ref().is_some_and(|group| group.out_of_memory_kills() > 0);
        let code = ended.code.or(ended.signal.map(|signal| 128 + signal)).unwrap_or(137);
        let reason = match code {
            0 => "Completed",
            _ if killed_for_memory => "OOMKilled",
            _ => "Error",
        };
        self.log.close();
        let message = self.last_message();
        self.life.send_replace(Life::Ended(Exit { code, reason, at, message }));
        if let Some(group) = group
            && let Err(fault) = group.remove(clock).await
        {
            tracing::warn!(%fault, ?group, "a control group could not be removed");
        }
    }

    /// Which of its limits we have to watch over ourselves.
    fn watched(&self) -> Watched {
        let group = self.group.lock();
        Watched::of(&self.resources.lock(), |name| group.as_ref().is_some_and(|group| group.limits(name)))
    }

    /// Lets all its processes stand still for a while, or until it is killed.
    async fn hold_still(&self, process: &Process, pause: Duration, clock: Clock) {
        let now = || self.processes(process);
        watchdog::signal_all(&now(), Signal::STOP, now);
        // Ended before the pause is over: then nobody is left to go on.
        let _ = clock.timeout(pause, process.wait()).await;
        watchdog::signal_all(&now(), Signal::CONT, now);
    }

    /// Counts a command that runs beside it, as long as it runs.
    pub fn note(&self, process: Arc<Process>) {
        let mut beside = self.beside.lock();
        beside.retain(|process| process.ended().is_none());
        beside.push(process);
    }

    /// The numbers of all its processes.
    pub fn processes(&self, first: &Process) -> Vec<u32> {
        let mut beside = self.beside.lock();
        beside.retain(|process| process.ended().is_none());
        let roots: Vec<u32> = beside.iter().map(|process| process.pid).chain([first.pid]).collect();
        drop(beside);
        usage::processes(&roots)
    }

    async fn copy(&self, stream: Stream, mut output: Box<dyn AsyncRead + Send + Unpin>, clock: Clock) {
        let mut line: Vec<u8> = Vec::new();
        let mut buffer = vec![0; LONGEST_LINE];
        loop {
            let length = match output.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(length) => length,
            };
            let (now, bytes) = (clock.now(), &buffer[..length]);
            // Nobody may be attached.
            let _ = self.output.send((stream, Bytes::copy_from_slice(bytes)));
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.last() == Some(&b'\n') {
                    self.log.write(now, stream, &line[..line.len() - 1], false);
                    line.clear();
                } else if line.len() >= LONGEST_LINE {
                    self.log.write(now, stream, &line, true);
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            self.log.write(clock.now(), stream, &line, true);
        }
    }

    fn last_message(&self) -> String {
        let bytes = fs::read(self.message_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_MESSAGE)]).into_owned()
    }

    /// Its process, while it runs.
    pub fn running(&self) -> Option<Arc<Process>> {
        match &*self.life.borrow() {
            Life::Running(process) => Some(process.clone()),
            Life::Made | Life::Ended(_) => None,
        }
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        match &*self.life.borrow() {
            Life::Ended(exit) => Some(exit.clone()),
            Life::Made | Life::Running(_) => None,
        }
    }

    /// Waits for its end; `None` when it was removed before.
    pub async fn wait(&self) -> Option<Exit> {
        let mut life = self.life.subscribe();
        let ended = life.wait_for(|life| matches!(life, Life::Ended(_))).await.ok()?;
        match &*ended {
            Life::Ended(exit) => Some(exit.clone()),
            Life::Made | Life::Running(_) => None,
        }
    }

    /// What it prints from now on.
    pub fn output(&self) -> broadcast::Receiver<(Stream, Bytes)> {
        self.output.subscribe()
    }

    /// Changes what it may use.
    pub fn set_resources(&self, resources: Resources) -> io::Result<()> {
        *self.resources.lock() = resources;
        self.group.lock().as_ref().map_or(Ok(()), |group| group.set(&resources))
    }

    /// Bytes it has written to its own layer.
    pub fn written_bytes(&self) -> u64 {
        fn size(folder: &std::path::Path) -> u64 {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .map(|entry| match entry.metadata() {
                    Ok(found) if found.is_dir() => size(&entry.path()),
                    Ok(found) if found.is_file() => found.len(),
                    _ => 0,
                })
                .sum()
        }
        size(&self.folder.join("upper"))
    }

    /// Removes its files; it has ended.
    pub fn remove_files(&self) -> io::Result<()> {
        volumes::remove(&self.folder)
    }
}
