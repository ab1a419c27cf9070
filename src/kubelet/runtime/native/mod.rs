//! The native runtime: real containers, made by tutor itself from what Linux offers everybody.
//!
//! In: what the kubelet asks ([`Runtime`]). Out: processes behind namespaces, control groups and a filter
//! of system calls. No root, no daemon, no other program: tutor starts its own executable again, and
//! that process goes behind the walls. Three kinds of process exist below tutor:
//!
//! ```text
//! tutor ─ machine            one: the user namespace, the nodes' bridges; if it ends, all ends
//!          └─ pause          one a Pod: holds network, host name, shared memory; collects the dead
//!              └─ container  one a container: your program, number 1 of its own process namespace
//! ```
//!
//! This folder is tutor's side, and asynchronous; [`inside`] is what those processes do, step by step, and
//! the lesson. Nothing is found by name, nothing is left behind: see `ledger`. It never asks the API
//! server anything. Chapter: `book/src/inside/runtime.md`.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::config::{Network as WhoseNetwork, VolumeSource};
use super::{
    Answered, Connection as PortConnection, ContainerConfig, Credentials, Dial, Exec, Executed, Exit, Image, LogLine,
    LogOptions, Resources, Result, Runtime, RuntimeError, SandboxConfig, Session, Stats, Streams, Volume,
};

pub mod borrowed;
pub mod build;
pub(super) mod connection;
mod container;
pub(super) mod dial;
pub mod doctor;
pub mod host;
pub mod images;
pub mod inside;
pub mod kernel;
mod ledger;
mod limits;
mod logs;
mod machine;
mod measure;
pub(super) mod messages;
mod outside;
mod plan;
mod pod;
mod process;
mod program;
mod session;
mod stop;
pub mod stored;
mod terminal;
mod usage;
pub(super) mod volumes;
pub mod walls;
mod watchdog;
mod wire;
pub(super) mod wired;

use container::Container;
pub use host::Host;
use images::{Images, Unpacked};
pub use messages::Mount;
use messages::ToMachine;
use pod::{Pod, Way};

/// The native runtime of one node.
pub struct Native {
    host: Arc<Host>,
    images: Arc<dyn Images>,
    switch: host::Switch,
    plugged_in: OnceCell<()>,
    tokens: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    pods: HashMap<String, Arc<Pod>>,
    containers: HashMap<String, Arc<Container>>,
}

/// An id as other runtimes make them: 64 hexadecimal digits.
fn new_id() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

fn refused(reason: &'static str) -> impl Fn(io::Error) -> RuntimeError {
    move |fault| RuntimeError::new(reason, fault.to_string())
}

impl Native {
    /// A node's runtime on this machine; its Pods are plugged into `switch`.
    fn new(host: Arc<Host>, images: Arc<dyn Images>, switch: host::Switch) -> Native {
        let (plugged_in, tokens, inner) = (OnceCell::new(), AtomicU64::default(), Mutex::default());
        Native { host, images, switch, plugged_in, tokens, inner }
    }

    /// Everything here is gone at once; nobody is told.
    fn power_off(&self) {
        let Inner { pods, containers } = std::mem::take(&mut *self.inner.lock());
        containers.values().for_each(|container| stop::kill(container));
        for pod in pods.into_values() {
            pod.close();
            let host = self.host.clone();
            self.host.tasks.spawn("native power off", async move {
                if let Some(cable) = pod.cable.clone() {
                    // A cable whose Pod is gone goes by itself, a moment later.
                    let _ = host.machine.call(ToMachine::Unplug { cable }, Vec::new()).await;
                }
                host.remove_folder(pod.folder.clone()).await;
            });
        }
    }

    async fn plug_in(&self) -> io::Result<()> {
        self.plugged_in.get_or_try_init(|| self.host.plug_in(&self.switch)).await.copied()
    }

    fn pod(&self, id: &str) -> Result<Arc<Pod>> {
        let missing = || RuntimeError::new("SandboxNotFound", format!("sandbox \"{id}\": not found"));
        self.inner.lock().pods.get(id).cloned().ok_or_else(missing)
    }

    fn container(&self, id: &str) -> Result<Arc<Container>> {
        let missing = || RuntimeError::new("ContainerNotFound", format!("container \"{id}\": not found"));
        self.inner.lock().containers.get(id).cloned().ok_or_else(missing)
    }

    fn token(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    fn containers_of(&self, sandbox: &str) -> Vec<Arc<Container>> {
        let inner = self.inner.lock();
        let Some(pod) = inner.pods.get(sandbox) else { return Vec::new() };
        inner.containers.values().filter(|it| Arc::ptr_eq(&it.pod, pod)).cloned().collect()
    }

    async fn start_sandbox(&self, config: SandboxConfig) -> Result<String> {
        self.plug_in().await.map_err(refused("RunPodSandboxError"))?;
        let id = new_id();
        let network = match config.namespaces.network {
            WhoseNetwork::Pod => Some(self.switch.cable(&config.ip, &id).map_err(refused("RunPodSandboxError"))?),
            WhoseNetwork::Node => None,
        };
        let folder = self.host.pod_folder(&id);
        let started = Pod::start(&self.host.machine, config, network, folder.clone(), &self.host.tasks).await;
        match started {
            Ok(pod) => {
                self.inner.lock().pods.insert(id.clone(), Arc::new(pod));
                Ok(id)
            }
            Err(fault) => {
                self.host.remove_folder(folder).await;
                Err(refused("RunPodSandboxError")(fault))
            }
        }
    }

    async fn end_sandbox(&self, sandbox: &str) -> Result<()> {
        let pod = self.pod(sandbox)?;
        let running: Vec<_> = self.containers_of(sandbox).into_iter().filter(|it| it.running().is_some()).collect();
        for container in &running {
            stop::kill(container);
        }
        for container in &running {
            container.wait().await;
        }
        pod.close();
        if let Some(cable) = pod.cable.clone() {
            self.host
                .machine
                .call(ToMachine::Unplug { cable }, Vec::new())
                .await
                .map_err(refused("StopPodSandboxError"))?;
        }
        Ok(())
    }

    async fn forget_sandbox(&self, sandbox: &str) -> Result<()> {
        self.end_sandbox(sandbox).await?;
        let containers = self.containers_of(sandbox);
        let pod = {
            let mut inner = self.inner.lock();
            containers.iter().for_each(|container| _ = inner.containers.remove(&container.id));
            inner.pods.remove(sandbox)
        };
        // A container that was made but never ran still has its group.
        let groups: Vec<_> = containers.iter().filter_map(|container| container.group.lock().take()).collect();
        for group in groups {
            group.remove(self.host.clock).await.map_err(refused("RemovePodSandboxError"))?;
        }
        if let Some(pod) = pod {
            self.host.remove_folder(pod.folder.clone()).await;
        }
        Ok(())
    }

    async fn image_on_node(&self, name: &str) -> Result<Unpacked> {
        let missing = || RuntimeError::new("CreateContainerError", format!("image \"{name}\": not found"));
        self.images.get(name).await.ok_or_else(missing)
    }

    async fn make(&self, sandbox: &str, config: ContainerConfig) -> Result<String> {
        let pod = self.pod(sandbox)?;
        self.forget_older(sandbox, &config).await?;
        let image = self.image_on_node(&config.image).await?;
        let id = new_id();
        let failed = refused("CreateContainerError");
        let group = self.host.groups.make(&id[..32], &config.resources).map_err(&failed)?;
        let container = Container::new(id.clone(), config, image, pod, group, self.host.lacks).map_err(&failed)?;
        self.inner.lock().containers.insert(id.clone(), Arc::new(container));
        Ok(id)
    }

    /// Of containers that ended, the last one before this stays, for `kubectl logs --previous`.
    /// Source: kubelet `MaxPerPodContainer`.
    async fn forget_older(&self, sandbox: &str, config: &ContainerConfig) -> Result<()> {
        for old in self.containers_of(sandbox) {
            let older = old.config.name == config.name && old.config.attempt + 1 < config.attempt;
            if older && old.exit().is_some() {
                self.forget(&old.id).await?;
            }
        }
        Ok(())
    }

    async fn run(&self, id: &str) -> Result<Timestamp> {
        let container = self.container(id)?;
        let target = match &container.config.target {
            Some(target) => self.container(target)?.running().map(|process| process.token),
            None => None,
        };
        let way = target.map_or(Way::First, Way::Beside);
        match container.start(self.token(), way, self.host.clock).await {
            Ok((at, watching)) => {
                self.host.tasks.spawn("native container", watching);
                Ok(at)
            }
            Err(error) => {
                let start = "failed to create containerd task: failed to create shim task: OCI runtime create failed: \
                             runc create failed: unable to start container process: error during container init: ";
                let message = format!("{start}{}: unknown", error.why);
                Err(RuntimeError { code: error.code, ..RuntimeError::new("RunContainerError", message) })
            }
        }
    }

    async fn forget(&self, id: &str) -> Result<()> {
        let container = self.container(id)?;
        if container.running().is_some() {
            return Err(RuntimeError::new("RemoveContainerError", format!("container \"{id}\" is still running")));
        }
        self.inner.lock().containers.remove(id);
        let group = container.group.lock().take();
        if let Some(group) = group {
            group.remove(self.host.clock).await.map_err(refused("RemoveContainerError"))?;
        }
        self.host.tasks.blocking(move || container.remove_files()).await.map_err(refused("RemoveContainerError"))
    }

    async fn put_volume(&self, sandbox: &str, volume: Volume) -> Result<()> {
        let pod = self.pod(sandbox)?;
        let image: Option<PathBuf> = match &volume.source {
            // An image's files as a volume are those of its last layer; course images have one.
            VolumeSource::Image { reference } => self.image_on_node(reference).await?.layers.pop(),
            _ => None,
        };
        let set = pod.set_volume(volume, image, self.host.clock.now()).await;
        set.map_err(|why| RuntimeError::new("CreateContainerConfigError", why))
    }
}

impl Runtime for Native {
    fn version(&self) -> String {
        concat!("native://", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn run_sandbox(&self, config: SandboxConfig) -> BoxFuture<'_, Result<String>> {
        self.start_sandbox(config).boxed()
    }

    fn stop_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>> {
        self.end_sandbox(sandbox).boxed()
    }

    fn remove_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>> {
        self.forget_sandbox(sandbox).boxed()
    }

    fn image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Option<Image>> {
        async move { self.images.get(image).await.map(|found| found.image) }.boxed()
    }

    fn pull_image<'a>(
        &'a self,
        _sandbox: &'a str,
        image: &'a str,
        credentials: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<Image>> {
        async move { Ok(self.images.pull(image, credentials).await?.image) }.boxed()
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<()>> {
        self.images.remove(image)
    }

    fn images(&self) -> BoxFuture<'_, Vec<Image>> {
        self.images.list()
    }

    fn set_volume<'a>(&'a self, sandbox: &'a str, volume: Volume) -> BoxFuture<'a, Result<()>> {
        self.put_volume(sandbox, volume).boxed()
    }

    fn create_container<'a>(&'a self, sandbox: &'a str, config: ContainerConfig) -> BoxFuture<'a, Result<String>> {
        self.make(sandbox, config).boxed()
    }

    fn start_container<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Timestamp>> {
        self.run(container).boxed()
    }

    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> BoxFuture<'a, Result<Exit>> {
        async move { stop::stop(&*self.container(container)?, grace, self.host.clock).await }.boxed()
    }

    fn wait<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Exit>> {
        async move {
            let container = self.container(container)?;
            let removed = || RuntimeError::new("ContainerNotFound", format!("container \"{}\": removed", container.id));
            container.wait().await.ok_or_else(removed)
        }
        .boxed()
    }

    fn remove_container<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<()>> {
        self.forget(container).boxed()
    }

    fn update_resources<'a>(&'a self, container: &'a str, resources: Resources) -> BoxFuture<'a, Result<()>> {
        async move { self.container(container)?.set_resources(resources).map_err(refused("UpdateContainerError")) }
            .boxed()
    }

    fn exec_sync<'a>(&'a self, container: &'a str, command: &'a [String]) -> BoxFuture<'a, Result<Executed>> {
        async move { session::exec_sync(self.container(container)?, self.token(), command, self.host.clock).await }
            .boxed()
    }

    fn exec<'a>(&'a self, container: &'a str, exec: Exec) -> BoxFuture<'a, Result<Session>> {
        async move { session::exec(self.container(container)?, self.token(), exec).await }.boxed()
    }

    fn attach<'a>(&'a self, container: &'a str, streams: Streams) -> BoxFuture<'a, Result<Session>> {
        async move { session::attach(self.container(container)?, streams).await }.boxed()
    }

    fn port_forward<'a>(&'a self, sandbox: &'a str, port: u16) -> BoxFuture<'a, Result<PortConnection>> {
        async move {
            let failed = |why: String| RuntimeError::new("PortForwardError", why);
            let socket = self.pod(sandbox)?.socket().await.map_err(|fault| failed(fault.to_string()))?;
            let stream = dial::connect(socket, std::net::Ipv4Addr::LOCALHOST, port).await.map_err(failed)?;
            Ok(Box::new(stream) as PortConnection)
        }
        .boxed()
    }

    fn dial<'a>(&'a self, sandbox: &'a str, dial: Dial) -> BoxFuture<'a, std::result::Result<Answered, String>> {
        async move {
            let address = self.pod(sandbox).map_err(|error| error.message)?.config.ip.clone();
            let address = address.parse().map_err(|_| format!("{address} is no address"))?;
            let socket = self.host.machine.call(ToMachine::Socket, Vec::new()).await;
            let socket = socket.map_err(|fault| fault.to_string())?.ok_or("no socket came")?;
            dial::ask(socket, address, dial, &self.host.tasks).await
        }
        .boxed()
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>>> {
        async move { Ok(self.container(container)?.log.read(options)) }.boxed()
    }

    fn stats<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Stats>> {
        async move { Ok(measure::stats(&*self.container(container)?, self.host.clock)) }.boxed()
    }
}
