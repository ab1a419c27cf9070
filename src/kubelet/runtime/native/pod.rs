//! tutor's hold on one Pod: its pause process, its volumes, its files on disk.
//!
//! In: a [`SandboxConfig`]. Out: processes started in it, sockets of its network, paths of its volumes.
//! The Pod lives as long as the connection to its pause process (`inside/pause.rs`) is open.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::connection::{Caller, Connection, Ended};
use super::machine::Machine;
use super::messages::{FromInside, Network, Plan, SandboxPlan, ToMachine, ToPause};
use super::process::{Gifts, NotStarted, Process};
use super::{volumes, wire};
use crate::kubelet::runtime::config::{Processes, SandboxConfig, Volume, VolumeSource};
use crate::tasks::TaskGroup;

/// Source: the kubelet's and Docker's size of a Pod's `/dev/shm`.
const SHARED_MEMORY_BYTES: u64 = 64 * 1024 * 1024;

type Waiting = Arc<Mutex<HashMap<u64, watch::Sender<Option<Ended>>>>>;

/// A Pod's sandbox.
pub struct Pod {
    /// What it was made from.
    pub config: SandboxConfig,
    /// Its files: volumes, containers.
    pub folder: PathBuf,
    /// Its cable; none with the node's network.
    pub cable: Option<String>,
    caller: Mutex<Option<Arc<Caller<ToPause>>>>,
    waiting: Waiting,
    volumes: Mutex<HashMap<String, PathBuf>>,
}

/// How a process comes into the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a container's first.
    First,
    /// Beside the one with this token, seeing the same processes.
    Beside(u64),
}

impl Pod {
    /// Starts its pause process and waits until the namespaces are there.
    pub async fn start(
        machine: &Machine,
        config: SandboxConfig,
        network: Option<Network>,
        folder: PathBuf,
        tasks: &TaskGroup,
    ) -> io::Result<Pod> {
        fs::create_dir_all(folder.join("volumes"))?;
        fs::create_dir_all(folder.join("shm"))?;
        fs::write(folder.join("hostname"), format!("{}\n", config.hostname))?;
        fs::write(folder.join("resolv.conf"), resolv_conf(&config))?;
        let cable = network.as_ref().map(|network| network.cable.clone());
        let (ours, theirs) = wire::pair()?;
        let plan = SandboxPlan { hostname: config.hostname.clone(), network, sysctls: config.sysctls.clone() };
        machine.call(ToMachine::Sandbox(plan), vec![theirs]).await?;
        let connection = Connection::new(ours)?;
        match connection.receive::<FromInside>().await? {
            Some((FromInside::Answer(entered), _)) => entered.map_err(io::Error::other)?,
            _ => return Err(io::Error::other("the pause process ended without a word")),
        }
        let waiting = Waiting::default();
        let told = waiting.clone();
        let caller = Caller::new(connection, tasks, "native pod", move |ended| tell(&told, ended));
        let pod = Pod {
            config,
            folder,
            cable,
            caller: Mutex::new(Some(Arc::new(caller))),
            waiting,
            volumes: Mutex::default(),
        };
        let shm = pod.shared_memory();
        pod.call(ToPause::Memory { folder: shm, size: Some(SHARED_MEMORY_BYTES) }, Vec::new()).await?;
        Ok(pod)
    }

    /// The folder behind its containers' `/dev/shm`.
    pub fn shared_memory(&self) -> PathBuf {
        self.folder.join("shm")
    }

    async fn call(&self, request: ToPause, files: Vec<OwnedFd>) -> io::Result<Option<OwnedFd>> {
        let caller = self.caller.lock().clone();
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the Pod's sandbox has stopped");
        caller.ok_or_else(gone)?.call(request, files).await
    }

    /// Starts a process, which `token` names from now on; returns when its program runs.
    pub async fn start_process(&self, token: u64, plan: &Plan, gifts: Gifts, way: Way) -> Result<Process, NotStarted> {
        let (ours, theirs) = wire::pair()?;
        let (ended, wait) = watch::channel(None);
        self.waiting.lock().insert(token, ended);
        let request = match way {
            Way::First => ToPause::Start { token, own_pids: self.config.namespaces.pid == Processes::Container },
            Way::Beside(container) => ToPause::Join { token, container },
        };
        if let Err(fault) = self.call(request, vec![theirs]).await {
            self.waiting.lock().remove(&token);
            return Err(fault.into());
        }
        Process::raise(token, &Connection::new(ours)?, plan, gifts, wait).await
    }

    /// A socket of the Pod's own network.
    pub async fn socket(&self) -> io::Result<OwnedFd> {
        self.call(ToPause::Socket, Vec::new()).await?.ok_or_else(|| io::Error::other("no socket came"))
    }

    /// Puts a volume in. An image's files are at `image`.
    ///
    /// # Errors
    /// In words for the event FailedMount.
    pub async fn set_volume(&self, volume: Volume, image: Option<PathBuf>, now: Timestamp) -> Result<(), String> {
        let known = self.volumes.lock().contains_key(&volume.name);
        let said = |fault: io::Error| fault.to_string();
        let folder = self.folder.join("volumes").join(folder_name(&volume.name));
        let path = match volume.source {
            VolumeSource::Files(files) => {
                volumes::write_files(&folder, &files, volume.fs_group, now).map_err(said)?;
                folder
            }
            _ if known => return Ok(()),
            VolumeSource::Empty { in_memory, size_limit_bytes } => {
                volumes::make_empty(&folder, volume.fs_group).map_err(said)?;
                if in_memory {
                    let size = size_limit_bytes.and_then(|size| u64::try_from(size).ok());
                    let folder = folder.clone();
                    self.call(ToPause::Memory { folder, size }, Vec::new()).await.map_err(said)?;
                }
                folder
            }
            VolumeSource::Host { path, kind } => {
                let path = PathBuf::from(path);
                volumes::check_host(&path, kind)?;
                path
            }
            VolumeSource::Image { reference } => {
                image.ok_or_else(|| format!("image \"{reference}\" is not on the node"))?
            }
        };
        self.volumes.lock().insert(volume.name, path);
        Ok(())
    }

    /// Where a volume is.
    pub fn volume(&self, name: &str) -> Option<PathBuf> {
        self.volumes.lock().get(name).cloned()
    }

    /// Lets the pause process end, and with it everything in the Pod.
    pub fn close(&self) {
        self.caller.lock().take();
    }
}

/// A volume's name is a DNS label, or one of the kubelet's own.
fn folder_name(name: &str) -> String {
    name.replace(['/', '.'], "_")
}

fn tell(waiting: &Waiting, ended: Option<Ended>) {
    match ended {
        Some(ended) => _ = waiting.lock().remove(&ended.token).map(|told| told.send_replace(Some(ended))),
        // The whole Pod is gone. Whoever waits sees that nobody is left to tell.
        None => waiting.lock().clear(),
    }
}

/// Where names are looked up; with no servers, as this machine does, if that can work from a Pod.
fn resolv_conf(config: &SandboxConfig) -> String {
    if config.dns.servers.is_empty() {
        return fs::read_to_string(Path::new("/etc/resolv.conf")).unwrap_or_default();
    }
    config.dns.resolv_conf()
}
