//! The simulated runtime: Pods have lives, but no processes.
//!
//! Deterministic and instant: what a container has printed, which files it has, whether it has ended,
//! all follow from its program and the time since its start, computed when somebody asks. What it
//! does is decided by image, command and annotations ([`program`] has the table).
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    Answered, ContainerConfig, Dial, Executed, Exit, Image, LogLine, LogOptions, Result, Runtime, RuntimeError,
    SandboxConfig, Stats,
};
use crate::clock::Clock;
use program::{Listens, Program, Settings};
use shell::{Played, Script};

pub mod images;
pub mod program;
pub mod shell;
mod syntax;

/// Requests that a container remembers having answered.
const MOST_REQUESTS: usize = 1000;
/// How far ahead the next line or the end is looked for.
const HORIZON: Duration = Duration::from_secs(30 * 86400);

/// A runtime without processes. Cheap to make; one a node.
pub struct Simulated {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sandboxes: HashMap<String, Arc<SandboxConfig>>,
    containers: HashMap<String, Arc<Container>>,
    images: HashMap<String, Image>,
    made: u64,
}

struct Container {
    sandbox: String,
    config: ContainerConfig,
    program: Program,
    life: watch::Sender<Life>,
    requests: Mutex<VecDeque<LogLine>>,
}

#[derive(Clone, Debug, Default)]
struct Life {
    started: Option<Timestamp>,
    /// When it will end by itself.
    ends: Option<Exit>,
    /// When it was made to end.
    ended: Option<Exit>,
}

impl Simulated {
    /// An empty node's runtime; the course's images are there already.
    pub fn new(clock: Clock) -> Self {
        Simulated { clock, inner: Mutex::new(Inner::default()) }
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

    /// An id that looks like a runtime's and is the same in each run.
    fn next_id(&self, seed: &str) -> String {
        use sha2::{Digest, Sha256};
        let mut inner = self.inner.lock();
        inner.made += 1;
        let digest = Sha256::digest(format!("{seed}/{}", inner.made).as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Container {
    fn played(&self, now: Timestamp) -> Played {
        let age = self.age(now).unwrap_or_default();
        self.program.script.play(&self.program.env, self.program.files.clone(), age)
    }

    /// How long it has run; until its end when it has ended.
    fn age(&self, now: Timestamp) -> Option<Duration> {
        let life = self.life.borrow();
        let until = self.exit_of(&life, now).map_or(now, |exit| exit.at);
        Some(until.duration_since(life.started?).unsigned_abs())
    }

    fn exit_of(&self, life: &Life, now: Timestamp) -> Option<Exit> {
        life.ended.clone().or_else(|| life.ends.clone().filter(|exit| exit.at <= now))
    }

    fn exit(&self, now: Timestamp) -> Option<Exit> {
        self.exit_of(&self.life.borrow(), now)
    }

    fn is_running(&self, now: Timestamp) -> bool {
        self.life.borrow().started.is_some() && self.exit(now).is_none()
    }

    fn start(&self, now: Timestamp) {
        let after = |duration: Duration| {
            now.saturating_add(SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
                .unwrap_or(Timestamp::MAX)
        };
        let played = self.program.script.play(&self.program.env, self.program.files.clone(), HORIZON);
        let natural = played.ended.map(|(at, code)| Exit {
            code,
            reason: if code == 0 { "Completed" } else { "Error" },
            at: after(at),
        });
        let killed = self.program.out_of_memory_at.map(|at| Exit { code: 137, reason: "OOMKilled", at: after(at) });
        let ends = match (natural, killed) {
            (Some(natural), Some(killed)) if killed.at < natural.at => Some(killed),
            (None, killed) => killed,
            (natural, _) => natural,
        };
        self.life.send_modify(|life| {
            life.started = Some(now);
            life.ends = ends;
        });
    }

    fn end(&self, exit: Exit) -> Exit {
        self.life.send_modify(|life| life.ended = Some(exit.clone()));
        exit
    }

    fn heeds_term(&self, now: Timestamp) -> Option<Duration> {
        self.program.term_after.or_else(|| self.played(now).heeds_term.then_some(Duration::ZERO))
    }

    fn lines(&self, now: Timestamp) -> Vec<LogLine> {
        let Some(started) = self.life.borrow().started else { return Vec::new() };
        let at = |offset: Duration| started.saturating_add(SignedDuration::try_from(offset).unwrap_or_default());
        let printed = self.played(now).lines.into_iter();
        let mut lines: Vec<LogLine> =
            printed.map(|(offset, text)| LogLine { at: at(offset).unwrap_or(Timestamp::MAX), text }).collect();
        lines.extend(self.requests.lock().iter().cloned());
        lines.sort_by_key(|line| line.at);
        lines
    }

    fn listens_on(&self, port: u16) -> bool {
        match &self.program.listens {
            Listens::Nowhere => false,
            Listens::On(ports) => ports.contains(&port),
            Listens::Anywhere => true,
        }
    }

    fn answer(&self, dial: &Dial, now: Timestamp) -> Answered {
        let age = self.age(now).unwrap_or_default();
        let mut status = if age >= self.program.unhealthy_after { 500 } else { 200 };
        let mut body = self.program.greeting.clone();
        if let Dial::Http { path, .. } = dial {
            if let Some(asked) = path.strip_prefix("/status/").and_then(|code| code.parse().ok()) {
                (status, body) = (asked, String::new());
            }
            let mut requests = self.requests.lock();
            if requests.len() == MOST_REQUESTS {
                requests.pop_front();
            }
            requests.push_back(LogLine { at: now, text: format!("GET {path} {status}") });
        }
        Answered { status, body: Bytes::from(body) }
    }
}

impl Runtime for Simulated {
    fn version(&self) -> String {
        concat!("simulated://", env!("CARGO_PKG_VERSION")).to_owned()
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
            let inside: Vec<_> = {
                let inner = self.inner.lock();
                inner.containers.values().filter(|it| it.sandbox == sandbox).cloned().collect()
            };
            let now = self.clock.now();
            for container in inside.into_iter().filter(|it| it.is_running(now)) {
                container.end(Exit { code: 137, reason: "Error", at: now });
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
            Ok(())
        }
        .boxed()
    }

    fn image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Option<Image>> {
        async move { self.inner.lock().images.get(&images::full_name(image)).cloned() }.boxed()
    }

    fn pull_image<'a>(&'a self, sandbox: &'a str, image: &'a str) -> BoxFuture<'a, Result<Image>> {
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

    fn create_container<'a>(&'a self, sandbox: &'a str, config: ContainerConfig) -> BoxFuture<'a, Result<String>> {
        async move {
            let program = program::program(&*self.sandbox(sandbox)?, &config)?;
            let id = self.next_id(&format!("{sandbox}/{}", config.name));
            let container = Container {
                sandbox: sandbox.to_owned(),
                config,
                program,
                life: watch::Sender::new(Life::default()),
                requests: Mutex::default(),
            };
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
            let needs = container.heeds_term(self.clock.now());
            let wait = needs.map_or(grace, |needs| needs.min(grace));
            if !wait.is_zero() {
                self.clock.sleep(wait).await;
            }
            let at = self.clock.now();
            if let Some(exit) = container.exit(at) {
                return Ok(exit);
            }
            Ok(container.end(match needs.filter(|needs| *needs <= grace) {
                Some(_) => Exit { code: 0, reason: "Completed", at },
                None => Exit { code: 137, reason: "Error", at },
            }))
        }
        .boxed()
    }

    fn wait<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Exit>> {
        async move {
            let container = self.container(container)?;
            let mut life = container.life.subscribe();
            loop {
                let now = self.clock.now();
                if let Some(exit) = container.exit(now) {
                    return Ok(exit);
                }
                let ends = life.borrow_and_update().ends.clone();
                let natural = async {
                    match ends {
                        Some(exit) => self.clock.sleep_until(exit.at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = natural => {}
                    // The sender lives in `container`, which is held here.
                    _ = life.changed() => {}
                }
            }
        }
        .boxed()
    }

    fn exec<'a>(&'a self, container: &'a str, command: &'a [String]) -> BoxFuture<'a, Result<Executed>> {
        async move {
            let container = self.container(container)?;
            let now = self.clock.now();
            if !container.is_running(now) {
                let message = format!("container \"{}\" is not running", container.config.name);
                return Err(RuntimeError::new("ContainerNotRunning", message));
            }
            let age = container.age(now).unwrap_or_default();
            let shell = matches!(command.first().map(String::as_str), Some("sh" | "/bin/sh" | "bash" | "/bin/bash"));
            let script = match command.get(2) {
                Some(text) if shell => Script::parse(text),
                _ => Script::command(command),
            };
            let files = container.played(now).files;
            let played = script.play(&container.program.env, files, HORIZON);
            let (took, mut code) = played.ended.unwrap_or((HORIZON, 137));
            self.clock.sleep(took).await;
            if age < container.program.ready_after || age >= container.program.unhealthy_after {
                code = code.max(1);
            }
            let output: String = played.lines.iter().map(|(_, line)| format!("{line}\n")).collect();
            Ok(Executed { code, output: Bytes::from(output) })
        }
        .boxed()
    }

    fn dial<'a>(&'a self, sandbox: &'a str, dial: Dial) -> BoxFuture<'a, std::result::Result<Answered, String>> {
        async move {
            let config = self.sandbox(sandbox).map_err(|error| error.message)?;
            let port = match &dial {
                Dial::Tcp { port } | Dial::Http { port, .. } | Dial::Grpc { port, .. } => *port,
            };
            let now = self.clock.now();
            let inside: Vec<_> = {
                let inner = self.inner.lock();
                inner.containers.values().filter(|it| it.sandbox == sandbox).cloned().collect()
            };
            let listens = |it: &&Arc<Container>| {
                let ready = it.age(now).unwrap_or_default() >= it.program.ready_after;
                it.is_running(now) && ready && it.listens_on(port)
            };
            let refused = || format!("dial tcp {}:{port}: connect: connection refused", config.ip);
            inside.iter().find(listens).map(|it| it.answer(&dial, now)).ok_or_else(refused)
        }
        .boxed()
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>>> {
        async move {
            let container = self.container(container)?;
            let mut lines = container.lines(self.clock.now());
            let last = lines.last().map(|line| line.at);
            let seen = lines.iter().filter(|line| Some(line.at) == last).count();
            if let Some(since) = options.since {
                lines.retain(|line| line.at >= since);
            }
            if let Some(tail) = options.tail {
                lines.drain(..lines.len().saturating_sub(tail));
            }
            let so_far = stream::iter(lines);
            if !options.follow {
                return Ok(so_far.boxed());
            }
            Ok(so_far.chain(follow(container, self.clock, last, seen)).boxed())
        }
        .boxed()
    }

    fn stats<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Stats>> {
        async move {
            let container = self.container(container)?;
            if !container.is_running(self.clock.now()) {
                return Ok(Stats::default());
            }
            Ok(Stats { cpu_millis: 5, memory_bytes: container.program.memory_bytes })
        }
        .boxed()
    }
}

/// The lines after those already given (`seen` of them at the time `last`), until the container ends.
fn follow(
    container: Arc<Container>,
    clock: Clock,
    last: Option<Timestamp>,
    seen: usize,
) -> impl futures::Stream<Item = LogLine> {
    /// How soon an answered request shows in a log that is followed.
    const LOOK: Duration = Duration::from_millis(250);
    let state = (container, last, seen, VecDeque::new());
    stream::unfold(state, move |(container, mut last, mut seen, mut ready): (_, _, _, VecDeque<LogLine>)| async move {
        loop {
            if let Some(line) = ready.pop_front() {
                return Some((line, (container, last, seen, ready)));
            }
            let now = clock.now();
            let ended = Container::exit(&container, now).is_some();
            let lines = container.lines(now);
            let known = lines.iter().filter(|line| last.is_some_and(|last| line.at < last)).count();
            ready.extend(lines.into_iter().skip(known + seen));
            if let Some(newest) = ready.back().map(|line| line.at) {
                let same = ready.iter().filter(|line| line.at == newest).count();
                seen = if last == Some(newest) { seen + same } else { same };
                last = Some(newest);
            } else if ended {
                return None;
            } else {
                clock.sleep(LOOK).await;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_simulated_runtime_conforms() {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        super::super::conformance::check(&Simulated::new(clock), clock).await;
    }
}
