//! The docker runtime: real containers, made by the docker of this machine.
//!
//! In: what the kubelet asks ([`Runtime`]). Out: requests to docker's socket, through the crate `bollard`. A Pod is
//! a pause container and the containers that share its network and IPC namespaces:
//!
//! ```text
//! tutor ── docker.sock ── dockerd ─┬─ pause       one a Pod: its address, its host name, the door for port-forward
//!                                  ├─ container   one a container, in the pause container's namespaces
//!                                  └─ wire        one: whoever sends to a Service sends to it
//! ```
//!
//! Everything is labelled with the state folder's id, and is found and removed by that label alone
//! (`labels.rs`). Addresses are the kubelet's, in a network of the cluster's own. It never asks the API server anything. Chapter: `book/src/inside/runtime.md`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::native::dial;
use super::{
    Answered, Connection, ContainerConfig, Credentials, Dial, Exec, Executed, Exit, Image, LogLine, LogOptions,
    Resources, Result, Runtime, RuntimeError, SandboxConfig, Session, Stats, Streams, Volume,
};

mod connect;
mod container;
mod create;
mod door;
pub mod host;
mod images;
mod labels;
mod logs;
mod measure;
mod pod;
mod raw;
mod session;
mod wire;
mod words;

pub use connect::{available, obstacle};
use container::Container;
pub use host::Host;
use pod::Pod;
use words::failed;

/// The docker runtime of one node.
pub struct Node {
    host: Arc<Host>,
    name: String,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    pods: HashMap<String, Arc<Pod>>,
    containers: HashMap<String, Arc<Container>>,
}

impl Node {
    fn new(host: Arc<Host>, name: String) -> Node {
        Node { host, name, inner: Mutex::default() }
    }

    fn pod(&self, id: &str) -> Result<Arc<Pod>> {
        let missing = || RuntimeError::new("SandboxNotFound", format!("sandbox \"{id}\": not found"));
        self.inner.lock().pods.get(id).cloned().ok_or_else(missing)
    }

    fn container(&self, id: &str) -> Result<Arc<Container>> {
        let missing = || RuntimeError::new("ContainerNotFound", format!("container \"{id}\": not found"));
        self.inner.lock().containers.get(id).cloned().ok_or_else(missing)
    }

    fn containers_of(&self, sandbox: &str) -> Vec<Arc<Container>> {
        self.inner.lock().containers.values().filter(|it| it.pod.id == sandbox).cloned().collect()
    }

    async fn end_sandbox(&self, sandbox: &str) -> Result<()> {
        let pod = self.pod(sandbox)?;
        let docker = &self.host.connected.docker;
        let running: Vec<_> = self.containers_of(sandbox).into_iter().filter(|it| it.is_running()).collect();
        for container in &running {
            container.kill(docker).await?;
        }
        for container in &running {
            container.wait().await;
        }
        // Its records stay; its address is free from here on.
        let outcome = docker.kill_container(&pod.id, None).await;
        match outcome {
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) | Ok(()) => Ok(()),
            Err(error) => Err(failed("StopPodSandboxError")(error)),
        }
    }

    async fn forget_sandbox(&self, sandbox: &str) -> Result<()> {
        self.end_sandbox(sandbox).await?;
        for container in self.containers_of(sandbox) {
            container.remove(&self.host).await?;
            self.inner.lock().containers.remove(&container.id);
        }
        let pod = self.inner.lock().pods.remove(sandbox);
        match pod {
            Some(pod) => pod.remove(&self.host).await,
            None => Ok(()),
        }
    }

    async fn make(&self, sandbox: &str, config: ContainerConfig) -> Result<String> {
        let pod = self.pod(sandbox)?;
        // Of containers that ended, the last one before this stays, for `kubectl logs --previous`.
        // Source: kubelet `MaxPerPodContainer`.
        for old in self.containers_of(sandbox) {
            let older = old.config.name == config.name && old.config.attempt + 1 < config.attempt;
            if older && old.exit().is_some() {
                self.forget(&old.id).await?;
            }
        }
        let container = Container::make(&self.host, pod, config).await?;
        let id = container.id.clone();
        self.inner.lock().containers.insert(id.clone(), Arc::new(container));
        Ok(id)
    }

    async fn run(&self, id: &str) -> Result<Timestamp> {
        let container = self.container(id)?;
        let (at, watching) = container.start(&self.host.connected.docker, self.host.clock).await?;
        self.host.tasks.spawn("docker container", watching);
        Ok(at)
    }

    async fn forget(&self, id: &str) -> Result<()> {
        let container = self.container(id)?;
        if container.is_running() {
            return Err(RuntimeError::new("RemoveContainerError", format!("container \"{id}\" is still running")));
        }
        container.remove(&self.host).await?;
        self.inner.lock().containers.remove(id);
        Ok(())
    }
}

impl Runtime for Node {
    fn version(&self) -> String {
        format!("docker://{}", self.host.connected.version)
    }

    fn run_sandbox(&self, config: SandboxConfig) -> BoxFuture<'_, Result<String>> {
        async move {
            let pod = Pod::start(&self.host, &self.name, config).await?;
            let id = pod.id.clone();
            self.inner.lock().pods.insert(id.clone(), Arc::new(pod));
            Ok(id)
        }
        .boxed()
    }

    fn stop_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>> {
        self.end_sandbox(sandbox).boxed()
    }

    fn remove_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>> {
        self.forget_sandbox(sandbox).boxed()
    }

    fn image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Option<Image>> {
        async move { self.host.images.get(image).await.map(|found| found.image) }.boxed()
    }

    fn pull_image<'a>(
        &'a self,
        _sandbox: &'a str,
        image: &'a str,
        credentials: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<Image>> {
        async move { Ok(self.host.images.pull(image, credentials).await?.image) }.boxed()
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<()>> {
        self.host.images.remove(image).boxed()
    }

    fn images(&self) -> BoxFuture<'_, Vec<Image>> {
        async move { self.host.images.list() }.boxed()
    }

    fn set_volume<'a>(&'a self, sandbox: &'a str, volume: Volume) -> BoxFuture<'a, Result<()>> {
        async move { self.pod(sandbox)?.set_volume(&self.host, volume).await }.boxed()
    }

    fn create_container<'a>(&'a self, sandbox: &'a str, config: ContainerConfig) -> BoxFuture<'a, Result<String>> {
        self.make(sandbox, config).boxed()
    }

    fn start_container<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Timestamp>> {
        self.run(container).boxed()
    }

    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> BoxFuture<'a, Result<Exit>> {
        async move { self.container(container)?.stop(&self.host.connected.docker, grace, self.host.clock).await }
            .boxed()
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
        async move {
            let container = self.container(container)?;
            let limits = create::limits(&resources);
            let updated = self.host.connected.docker.update_container(&container.id, limits).await;
            updated.map_err(failed("UpdateContainerError"))
        }
        .boxed()
    }

    fn exec_sync<'a>(&'a self, container: &'a str, command: &'a [String]) -> BoxFuture<'a, Result<Executed>> {
        async move { session::exec_sync(&self.host, &*self.container(container)?, command).await }.boxed()
    }

    fn exec<'a>(&'a self, container: &'a str, exec: Exec) -> BoxFuture<'a, Result<Session>> {
        async move { session::exec(&self.host, &*self.container(container)?, exec).await }.boxed()
    }

    fn attach<'a>(&'a self, container: &'a str, streams: Streams) -> BoxFuture<'a, Result<Session>> {
        async move { session::attach(&self.host, self.container(container)?, streams).await }.boxed()
    }

    fn port_forward<'a>(&'a self, sandbox: &'a str, port: u16) -> BoxFuture<'a, Result<Connection>> {
        async move {
            let pod = self.pod(sandbox)?;
            let failed = |why| RuntimeError::new("PortForwardError", why);
            let stream = door::connect(&pod.door(), "127.0.0.1", port).await.map_err(failed)?;
            Ok(Box::new(stream) as Connection)
        }
        .boxed()
    }

    fn dial<'a>(&'a self, sandbox: &'a str, dial: Dial) -> BoxFuture<'a, std::result::Result<Answered, String>> {
        async move {
            let pod = self.pod(sandbox).map_err(|error| error.message)?;
            let port = dial::port(&dial);
            let stream = door::connect(&pod.door(), pod.address(), port).await?;
            dial::over(stream, &format!("{}:{port}", pod.config.ip), dial, &self.host.tasks).await
        }
        .boxed()
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>>> {
        async move { Ok(logs::read(&self.host.connected.docker, &self.container(container)?.id, options)) }.boxed()
    }

    fn stats<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Stats>> {
        async move { measure::stats(&self.host.connected.docker, &*self.container(container)?, self.host.clock).await }
            .boxed()
    }
}
