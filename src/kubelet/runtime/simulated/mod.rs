//! The simulated runtime: Pods have lives, but no processes.
//!
//! Deterministic and instant: what a container has printed, which files it has, whether it has ended,
//! all follow from its program and the time since its start, computed when somebody asks. What it
//! does is decided by image, command and annotations ([`program`] has the table).
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{
    Answered, Connection, ContainerConfig, Credentials, Dial, Exec, Executed, Exit, Image, LogLine, LogOptions,
    Resources, Result, Runtime, RuntimeError, SandboxConfig, Session, Stats, Streams, Volume,
};
use crate::clock::Clock;
use container::{Container, HORIZON};
use program::Settings;
use shell::{Files, Script};

mod archive;
mod connection;
mod container;
pub mod images;
mod logs;
pub mod program;
mod session;
pub mod shell;
mod syntax;
mod terminal;

/// What every container uses of a core, in thousandths.
const CPU_MILLIS: i64 = 5;

/// A runtime without processes. Cheap to make; one a node.
pub struct Simulated {
    clock: Clock,
    inner: Mutex<Inner>,
    /// Another one each time a node is switched on: what it makes is not what it made before a power cut.
    start: u64,
}

#[derive(Default)]
struct Inner {
    sandboxes: HashMap<String, Arc<SandboxConfig>>,
    /// By sandbox.
    volumes: HashMap<String, Vec<Volume>>,
    containers: HashMap<String, Arc<Container>>,
    images: HashMap<String, Image>,
    made: u64,
}

impl Simulated {
    /// An empty node's runtime; the course's images are there already.
    pub fn new(clock: Clock) -> Self {
        Simulated { clock, inner: Mutex::default(), start: rand::random() }
    }

    fn sandbox(&self, id: &str) -> Result<Arc<SandboxConfig>> {
        let inner = self.inner.lock();
        let missing = || RuntimeError::new("SandboxNotFound", format!("sandbox \"{id}\": not found"));
        inner.sandboxes.get(id).cloned().ok_or_else(missing)
    }

    fn container(&self, id: &str) -> Result<Arc<Container>> {
        let inner = self.inner.lock();
        let missing = || RuntimeError::new("ContainerNotFound", format!("container \"{id}\": not found"));
        inner.containers.get(id).cloned().ok_or_else(missing)
    }

    fn inside(&self, sandbox: &str) -> Vec<Arc<Container>> {
        self.inner.lock().containers.values().filter(|it| it.sandbox == sandbox).cloned().collect()
    }

    fn running(&self, id: &str) -> Result<Arc<Container>> {
        let container = self.container(id)?;
        if !container.is_running(self.clock.now()) {
            let message = format!("container \"{}\" is not running", container.config.name);
            return Err(RuntimeError::new("ContainerNotRunning", message));
        }
        Ok(container)
    }

    /// Who of the sandbox answers on a port; the error is what a client would see.
    fn listener(&self, sandbox: &str, port: u16, host: &str) -> std::result::Result<Arc<Container>, String> {
        let now = self.clock.now();
        let found = self.inside(sandbox).into_iter().find(|it| it.accepts(port, now));
        found.ok_or_else(|| format!("dial {host}:{port}: connect: connection refused"))
    }

    /// An id that looks like a runtime's, and that no other start of the node gives.
    fn next_id(&self, seed: &str) -> String {
        use sha2::{Digest, Sha256};
        let mut inner = self.inner.lock();
        inner.made += 1;
        let digest = Sha256::digest(format!("{seed}/{}/{}", self.start, inner.made).as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Runtime for Simulated {
    fn version(&self) -> String {
        concat!("simulated://", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn has_processes(&self) -> bool {
        false
    }

    fn run_sandbox(&self, config: SandboxConfig) -> BoxFuture<'_, Result<String>> {
        async move {
            let id = self.next_id(&config.uid);
            self.inner.lock().sandboxes.insert(id.clone(), Arc::new(config));
            Ok(id)
        }
        .boxed()
    }

    fn stop_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let now = self.clock.now();
            for container in self.inside(sandbox).into_iter().filter(|it| it.is_running(now)) {
                container.end(137, now);
            }
            Ok(())
        }
        .boxed()
    }

    fn remove_sandbox<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.stop_sandbox(sandbox).await?;
            let mut inner = self.inner.lock();
            inner.containers.retain(|_, container| container.sandbox != sandbox);
            inner.sandboxes.remove(sandbox);
            inner.volumes.remove(sandbox);
            Ok(())
        }
        .boxed()
    }

    fn image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Option<Image>> {
        async move { self.inner.lock().images.get(&images::full_name(image)).cloned() }.boxed()
    }

    fn pull_image<'a>(
        &'a self,
        sandbox: &'a str,
        image: &'a str,
        _: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<Image>> {
        async move {
            let sandbox = self.sandbox(sandbox)?;
            let settings = Settings::new(&sandbox.annotations, "");
            if settings.text("pull") == Some("fail") {
                let full = images::full_name(image);
                let message = format!("failed to pull and unpack image \"{full}\": connection reset by peer");
                return Err(RuntimeError::new("ErrImagePull", message));
            }
            if let Some(wait) = settings.time("pull") {
                self.clock.sleep(wait).await;
            }
            let pulled = images::pull(image)?;
            self.inner.lock().images.insert(pulled.name.clone(), pulled.clone());
            Ok(pulled)
        }
        .boxed()
    }

    fn images(&self) -> BoxFuture<'_, Vec<Image>> {
        async move {
            let mut all: Vec<Image> = self.inner.lock().images.values().cloned().collect();
            all.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.name.cmp(&b.name)));
            all
        }
        .boxed()
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.inner.lock().images.remove(&images::full_name(image));
            Ok(())
        }
        .boxed()
    }

    fn set_volume<'a>(&'a self, sandbox: &'a str, volume: Volume) -> BoxFuture<'a, Result<()>> {
        async move {
            self.sandbox(sandbox)?;
            let before = {
                let mut inner = self.inner.lock();
                let volumes = inner.volumes.entry(sandbox.to_owned()).or_default();
                match volumes.iter_mut().find(|it| it.name == volume.name) {
                    Some(before) if *before == volume => return Ok(()),
                    Some(before) => std::mem::replace(before, volume.clone()),
                    None => {
                        volumes.push(volume);
                        return Ok(());
                    }
                }
            };
            for container in self.inside(sandbox) {
                let old = Container::volume_files(&container.config, &before, true);
                let new = Container::volume_files(&container.config, &volume, true);
                container.change(self.clock.now(), Container::difference(&old, new));
            }
            Ok(())
        }
        .boxed()
    }

    fn create_container<'a>(&'a self, sandbox: &'a str, config: ContainerConfig) -> BoxFuture<'a, Result<String>> {
        async move {
            let mut files = Files::new();
            if let Some(volumes) = self.inner.lock().volumes.get(sandbox) {
                for volume in volumes {
                    files.extend(Container::volume_files(&config, volume, false));
                }
            }
            let program = program::program(&*self.sandbox(sandbox)?, &config, files)?;
            let id = self.next_id(&format!("{sandbox}/{}", config.name));
            let container = Container::new(sandbox.to_owned(), config, program);
            self.inner.lock().containers.insert(id.clone(), Arc::new(container));
            Ok(id)
        }
        .boxed()
    }

    fn start_container<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Timestamp>> {
        async move {
            let container = self.container(container)?;
            if !container.program.start_delay.is_zero() {
                self.clock.sleep(container.program.start_delay).await;
            }
            let now = self.clock.now();
            container.start(now);
            Ok(now)
        }
        .boxed()
    }

    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> BoxFuture<'a, Result<Exit>> {
        async move {
            let container = self.container(container)?;
            if let Some(exit) = container.exit(self.clock.now()) {
                return Ok(exit);
            }
            // Without grace there is no TERM.
            let needs = match grace.is_zero() {
                true => container.program.term_after,
                false => container.terminate(self.clock.now()),
            };
            let wait = needs.map_or(grace, |needs| needs.min(grace));
            if !wait.is_zero() {
                self.clock.sleep(wait).await;
            }
            let at = self.clock.now();
            if let Some(exit) = container.exit(at) {
                return Ok(exit);
            }
            Ok(container.end(if needs.is_some_and(|needs| needs <= grace) { 0 } else { 137 }, at))
        }
        .boxed()
    }

    fn wait<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Exit>> {
        async move { Ok(session::ended(&*self.container(container)?, self.clock).await) }.boxed()
    }

    fn remove_container<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.inner.lock().containers.remove(container);
            Ok(())
        }
        .boxed()
    }

    /// What a container uses is decided when it starts; a new limit counts from its next start on.
    fn update_resources<'a>(&'a self, container: &'a str, _: Resources) -> BoxFuture<'a, Result<()>> {
        async move { self.container(container).map(drop) }.boxed()
    }

    fn exec_sync<'a>(&'a self, container: &'a str, command: &'a [String]) -> BoxFuture<'a, Result<Executed>> {
        async move {
            let container = self.running(container)?;
            let age = container.age(self.clock.now()).unwrap_or_default();
            let script = program::script(command).unwrap_or_else(|_| Script::command(command));
            let played = session::play(&container, self.clock, &script, &container.program.env);
            let (took, mut code) = played.ended.unwrap_or((HORIZON, 137));
            self.clock.sleep(took).await;
            if age < container.program.probes_pass_after || age >= container.program.unhealthy_after {
                code = code.max(1);
            }
            let output: String = played.lines.iter().map(|line| format!("{}\n", line.text)).collect();
            Ok(Executed { code, output: Bytes::from(output) })
        }
        .boxed()
    }

    fn exec<'a>(&'a self, container: &'a str, exec: Exec) -> BoxFuture<'a, Result<Session>> {
        async move { Ok(session::exec(self.running(container)?, self.clock, exec)) }.boxed()
    }

    fn attach<'a>(&'a self, container: &'a str, streams: Streams) -> BoxFuture<'a, Result<Session>> {
        async move { Ok(session::attach(self.running(container)?, self.clock, streams)) }.boxed()
    }

    fn port_forward<'a>(&'a self, sandbox: &'a str, port: u16) -> BoxFuture<'a, Result<Connection>> {
        async move {
            self.sandbox(sandbox)?;
            let listener = self.listener(sandbox, port, "tcp4 127.0.0.1");
            let listener = listener.map_err(|why| RuntimeError::new("ConnectionRefused", why))?;
            Ok(connection::serve(listener, port, self.clock))
        }
        .boxed()
    }

    fn dial<'a>(&'a self, sandbox: &'a str, dial: Dial) -> BoxFuture<'a, std::result::Result<Answered, String>> {
        async move {
            let config = self.sandbox(sandbox).map_err(|error| error.message)?;
            let port = match &dial {
                Dial::Tcp { port } | Dial::Http { port, .. } | Dial::Grpc { port, .. } => *port,
            };
            let listener = self.listener(sandbox, port, &format!("tcp {}", config.ip))?;
            Ok(listener.answer(&dial, self.clock.now()))
        }
        .boxed()
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>>> {
        async move { Ok(logs::lines(self.container(container)?, self.clock, options)) }.boxed()
    }

    fn stats<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Stats>> {
        async move {
            let container = self.container(container)?;
            if !container.is_running(self.clock.now()) {
                return Ok(Stats::default());
            }
            let age = container.age(self.clock.now()).unwrap_or_default();
            Ok(Stats {
                cpu_millis: CPU_MILLIS,
                cpu_nanoseconds: u64::try_from(age.as_nanos()).unwrap_or(u64::MAX) / 1000 * CPU_MILLIS as u64,
                memory_bytes: container.program.memory_bytes,
                written_bytes: 0,
                processes: 1,
            })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_simulated_runtime_conforms() {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        super::super::conformance::check(&Simulated::new(clock), clock).await;
    }

    /// A runtime, and a container of it that runs.
    async fn started(image: &str, script: &str, annotations: &[(&str, &str)]) -> (Simulated, Clock, String) {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        let runtime = Simulated::new(clock);
        let annotations = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sandbox = runtime.run_sandbox(SandboxConfig { annotations, ..SandboxConfig::default() }).await.unwrap();
        let command = match script {
            "" => Vec::new(),
            script => ["sh", "-c", script].map(str::to_owned).into(),
        };
        let config = ContainerConfig { name: "c".into(), image: image.into(), command, ..ContainerConfig::default() };
        let id = runtime.create_container(&sandbox, config).await.unwrap();
        runtime.start_container(&id).await.unwrap();
        (runtime, clock, id)
    }

    #[tokio::test(start_paused = true)]
    async fn a_trap_has_the_grace_to_end_in() {
        for (trap, grace, code, took, said) in [
            ("echo saving; sleep 3; echo saved; exit 4", 30, 4, 3, vec!["saving", "saved"]),
            ("echo saving; sleep 3; echo saved; exit 4", 2, 137, 2, vec!["saving"]),
            ("echo heard", 2, 137, 2, vec!["heard"]),
            ("echo never", 0, 137, 0, vec![]),
        ] {
            let script = format!("trap '{trap}' TERM; while true; do sleep 60; done");
            let (runtime, clock, id) = started("tutor/shell:1", &script, &[]).await;
            clock.sleep(Duration::from_secs(5)).await;
            let tick = clock.tick();
            let exit = runtime.stop_container(&id, Duration::from_secs(grace)).await.unwrap();
            assert_eq!((exit.code, clock.since(tick).as_secs()), (code, took), "{trap}");
            let lines = runtime.container(&id).unwrap().lines(clock.now());
            assert_eq!(lines.iter().map(|line| line.text().into_owned()).collect::<Vec<_>>(), said, "{trap}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_training_that_is_asked_to_end_says_that_it_was_not_done() {
        let (runtime, clock, id) = started("tutor/trainer:1", "", &[]).await;
        clock.sleep(Duration::from_millis(2500)).await;
        assert_eq!(runtime.stop_container(&id, Duration::from_secs(30)).await.unwrap().code, 143);
        let lines = runtime.container(&id).unwrap().lines(clock.now());
        assert_eq!(lines.last().unwrap().text(), "asked to end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_can_be_run_beside_a_server_that_does_not_answer_yet() {
        let command = ["true".to_owned()];
        let (runtime, clock, id) = started("tutor/model-server:1", "", &[]).await;
        assert!(!runtime.container(&id).unwrap().accepts(8080, clock.now()));
        assert_eq!(runtime.exec_sync(&id, &command).await.unwrap().code, 0);
        let unready = [("simulated.tutor.dev/ready-after", "10s")];
        let (runtime, _, id) = started("tutor/web:1", "", &unready).await;
        assert_eq!(runtime.exec_sync(&id, &command).await.unwrap().code, 1);
    }
}
