//! Runs the RUNs of a Dockerfile: a Pod for each, thrown away when its changes are kept.
//!
//! In: layers and a command. Out: its exit code, and the folder of all that it wrote. Its network leads nowhere; what
//! it reaches, it reaches by a proxy (`outside.rs`). The machine
//! process starts with the first RUN: a build that runs nothing needs no namespaces. One build at a time in a
//! state folder: the next waits. Chapter: `book/src/inside/images.md`.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::host::{Options, Place};
use super::images::{Images, Unpacked};
use super::messages::Mount;
use super::wired::Wired;
use super::{Host, outside, refused};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::images::build::{Command, Kept, Mounted, Network, Ran, Runner};
use crate::kubelet::runtime::config::{ContainerConfig, SandboxConfig};
use crate::kubelet::runtime::{Credentials, Image, LogOptions, Runtime, RuntimeError};
use crate::network::Wire;
use crate::tasks::TaskGroup;

/// The image that a RUN is started from.
const STEP: &str = "tutor/build-step:1";
/// The network that a RUN is alone in.
const PLACE: Place<'static> = Place { node: "build", pod_cidr: "10.245.0.0/24", address: "172.19.0.2" };
const ADDRESS: &str = "10.245.0.2";
/// Where its proxy listens: at the gateway.
const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 245, 0, 1), 3128);

/// Where RUNs run.
pub struct Workshop {
    options: Options,
    tasks: TaskGroup,
    step: Arc<Step>,
    bench: OnceCell<Bench>,
}

/// What starts with the first RUN.
struct Bench {
    host: Arc<Host>,
    node: Arc<dyn Runtime>,
    /// Whether somebody listens where RUNs find their proxy.
    proxy: OnceCell<()>,
    /// Held as long as this build runs.
    _lock: File,
}

/// The layers of the step that runs now, as an image.
#[derive(Default)]
struct Step(Mutex<Option<Unpacked>>);

impl Workshop {
    /// One that keeps its things in `folder`, which is made when it is needed.
    pub fn new(folder: PathBuf, clock: Clock, tasks: &TaskGroup) -> Workshop {
        Workshop::with(Options::new(folder, clock), tasks)
    }

    /// One that starts another executable as tutor.
    pub fn with(options: Options, tasks: &TaskGroup) -> Workshop {
        Workshop { options, tasks: tasks.clone(), step: Arc::default(), bench: OnceCell::new() }
    }

    async fn bench(&self) -> Result<&Bench> {
        let start = || async {
            let folder = &self.options.folder;
            let locked = fs::create_dir_all(folder).and_then(|()| File::create(folder.join("lock")));
            let lock = match locked {
                // Whoever builds here now ends some time.
                Ok(lock) => self.tasks.blocking(move || lock.lock().map(|()| lock)).await,
                Err(error) => Err(error),
            };
            let lock =
                lock.map_err(|error| Error::new(format!("{} cannot be used", folder.display()), error.to_string()))?;
            let options = Options { folder: folder.join("machine"), ..self.options.clone() };
            let host = Arc::new(Host::start(options, &self.tasks).await?);
            let node = host.node(&PLACE, self.step.clone())?;
            Ok(Bench { host, node, proxy: OnceCell::new(), _lock: lock })
        };
        self.bench.get_or_try_init(start).await
    }

    /// Ends what was started; nothing is left.
    pub async fn close(&self) {
        if let Some(bench) = self.bench.get() {
            bench.host.stop().await;
        }
    }

    /// Opens the way out; the variables by which a RUN finds it. One build is one workshop, so all its RUNs reach the same.
    async fn way_out(&self, bench: &Bench, network: Network) -> Result<Vec<(String, String)>> {
        if network == Network::None {
            return Ok(Vec::new());
        }
        let open = || async {
            let listener = Wired(bench.host.clone()).listen(PROXY).await;
            let listener = listener.map_err(|error| Error::new("a RUN has no way out", error.to_string()))?;
            let serving = outside::serve(listener, network, self.options.clock, self.tasks.clone());
            self.tasks.spawn("build proxy", serving);
            Ok::<(), Error>(())
        };
        bench.proxy.get_or_try_init(open).await?;
        Ok(outside::variables(PROXY.into(), network))
    }

    async fn run_step(&self, mut command: Command, said: &(dyn Fn(&str) + Send + Sync)) -> Result<Ran> {
        let bench = self.bench().await?;
        let Bench { host, node, .. } = bench;
        let failed = |error: RuntimeError| Error::new("the command cannot be run", error.message);
        let config = SandboxConfig {
            namespace: "build".into(),
            name: "build".into(),
            hostname: "build".into(),
            ip: ADDRESS.into(),
            ..SandboxConfig::default()
        };
        let changes = command.changes.clone();
        *self.step.0.lock() = Some(unpacked(&command));
        let sandbox = node.run_sandbox(config).await.map_err(failed)?;
        // The address is there with the first sandbox. What the Dockerfile says of a proxy itself counts.
        for (name, value) in self.way_out(bench, command.network).await? {
            if !command.env.iter().any(|(known, _)| *known == name) {
                command.env.push((name, value));
            }
        }
        let ended = self.run_in(&**node, &sandbox, command, said).await;
        let kept = match &ended {
            Ok((container, _)) => {
                let folder = host.pod_folder(&sandbox).join("containers").join(&container[..12]);
                keep(&folder, &changes)
            }
            // What it wrote is of no use then.
            Err(_) => Ok(Kept::Changes),
        };
        node.remove_sandbox(&sandbox).await.map_err(failed)?;
        let (_, code) = ended.map_err(failed)?;
        kept.map(|kept| Ran { code, kept })
    }

    /// The container's id, and how its process ended.
    async fn run_in(
        &self,
        node: &dyn Runtime,
        sandbox: &str,
        command: Command,
        said: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(String, i32), RuntimeError> {
        let config = ContainerConfig {
            name: "run".into(),
            image: STEP.into(),
            command: command.args,
            env: command.env,
            working_dir: command.working_dir,
            ..ContainerConfig::default()
        };
        let container = node.create_container(sandbox, config).await?;
        node.start_container(&container).await?;
        let mut lines = node.logs(&container, LogOptions { follow: true, ..LogOptions::default() }).await?;
        while let Some(line) = lines.next().await {
            said(&line.text());
        }
        let exit = node.wait(&container).await?;
        Ok((container, exit.code))
    }
}

/// Takes what the container wrote out of its folder: overlayfs' upper folder, or the copy that it worked on.
fn keep(folder: &std::path::Path, changes: &std::path::Path) -> Result<Kept> {
    let copied = fs::read_dir(folder.join("rootfs")).is_ok_and(|mut inside| inside.next().is_some());
    let (part, kept) = if copied { ("rootfs", Kept::Whole) } else { ("upper", Kept::Changes) };
    fs::rename(folder.join(part), changes)
        .map(|()| kept)
        .map_err(|error| Error::new("the changes of a RUN cannot be kept", error.to_string()))
}

fn unpacked(command: &Command) -> Unpacked {
    Unpacked {
        image: Image { name: STEP.into(), id: STEP.into(), size_bytes: 0, user: command.user.clone() },
        layers: command.layers.clone(),
        mounts: command.mounts.iter().map(mount).collect(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        env: Vec::new(),
        working_dir: String::new(),
        stop_signal: String::new(),
    }
}

fn mount(it: &Mounted) -> Mount {
    Mount { source: it.source.clone(), target: it.target.clone(), read_only: it.read_only }
}

impl Runner for Workshop {
    fn run<'a>(&'a self, command: Command, said: &'a (dyn Fn(&str) + Send + Sync)) -> BoxFuture<'a, Result<Ran>> {
        self.run_step(command, said).boxed()
    }
}

impl Images for Step {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Unpacked>> {
        async move { self.0.lock().clone() }.boxed()
    }

    fn pull<'a>(
        &'a self,
        name: &'a str,
        _: Option<&'a Credentials>,
    ) -> BoxFuture<'a, crate::kubelet::runtime::Result<Unpacked>> {
        async move { self.get(name).await.ok_or_else(|| refused("ErrImagePull")(std::io::Error::other("no step"))) }
            .boxed()
    }

    fn remove<'a>(&'a self, _: &'a str) -> BoxFuture<'a, crate::kubelet::runtime::Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn list(&self) -> BoxFuture<'_, Vec<Image>> {
        async { Vec::new() }.boxed()
    }
}
