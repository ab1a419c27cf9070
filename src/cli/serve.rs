//! `tutor serve`: book, cluster and registry in one process, until Ctrl-C.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::{Outcome, closed_output};
use crate::clock::Clock;
use crate::cluster::{self, Cluster, Runtime};
use crate::error::{Error, Result};
use crate::listen;
use crate::state::{Playground, StateDir, VERSION};
use crate::tasks::TaskGroup;
use crate::web;

/// How long a stop may take before it is cut short.
const STOP_LIMIT: Duration = Duration::from_millis(1_800);

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where the book is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878")]
    listen: SocketAddr,
    /// Where the Kubernetes API is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6443")]
    api_listen: SocketAddr,
    /// Where the image registry is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5050")]
    registry_listen: SocketAddr,
    /// Where Ingresses and Gateways are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    ingress_listen: SocketAddr,
    /// Other registries that it stands for: 127.0.0.1:5050/docker.io/library/web is fetched from docker.io when it is
    /// first asked for, and kept; none unless given
    #[arg(long, value_name = "REGISTRY,…", value_delimiter = ',')]
    pull_through: Vec<String>,
    /// How many worker nodes there are
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=5_000))]
    nodes: u16,
    /// What runs the containers: native (tutor itself), docker (the one of this machine), simulated (nothing), or auto:
    /// the first of these that this machine allows
    #[arg(long, default_value = "auto")]
    runtime: Runtime,
    /// Which loops run: `all`, names, and `-name` for all but that one
    #[arg(long, value_name = "LIST", default_value = "all", value_delimiter = ',', allow_hyphen_values = true)]
    controllers: Vec<String>,
    /// Print one line of JSON when ready
    #[arg(long)]
    json: bool,
    /// This start follows a crash that a check asked for
    #[arg(long, hide = true)]
    after_crash: bool,
    /// Open the book in your browser
    #[arg(long)]
    open: bool,
}

impl Serve {
    pub async fn run(self, state: StateDir) -> Result<Outcome> {
        let clock = Clock::real();
        let started = clock.tick();
        let stop = Stop::listen()?;
        let _lock = state.lock()?;
        let book = listen::open(self.listen, "--listen").await?;
        let registry = listen::open(self.registry_listen, "--registry-listen").await?;
        // The port is one that other programs like too, and few exercises need it.
        let door = listen::open(self.ingress_listen, "--ingress-listen").await;
        let tasks = TaskGroup::new();
        let options = cluster::Options {
            store: cluster::StoreIn::Folder(state.path().to_owned()),
            nodes: self.nodes,
            runtime: self.runtime,
            controllers: self.controllers.clone(),
            clock,
        };
        let cluster = Cluster::start(options, &tasks).await?;
        let api = cluster.serve_api(self.api_listen).await?;
        let registry = cluster.serve_registry(registry, &state.join(cluster::REGISTRY), &self.pull_through)?;
        cluster.serve_private_registry(registry, state.path()).await?;
        let ingress = match door {
            Ok(door) => Some(cluster.serve_ingress(door)?.to_string()),
            Err(taken) => {
                super::warn("Ingresses and Gateways are not served", &taken);
                None
            }
        };
        let kubeconfig = state.join("kubeconfig");
        cluster.write_kubeconfig(&kubeconfig, api)?;
        let mut playground = Playground {
            book: format!("http://{}/", book.local_addr().map_err(no_address)?),
            api: format!("https://{api}"),
            registry: registry.to_string(),
            ingress,
            etcd: None,
            kubeconfig,
            token: state.token(web::new_token)?,
            state_dir: state.path().to_owned(),
            pid: std::process::id(),
            version: VERSION.to_owned(),
            start_ms: 0,
        };
        // Where the system does not say what runs, the PATH may know it.
        let program = std::env::current_exe().unwrap_or_else(|_| "tutor".into());
        let commands = super::page::commands(state.clone(), &tasks, program);
        let site = web::Site::new(cluster.clone(), &playground, clock, &tasks, commands);
        web::serve(book, &site);
        playground.start_ms = clock.since(started).as_millis().try_into().unwrap_or(u64::MAX);
        state.publish(&playground)?;
        self.say_ready(&playground, &cluster)?;
        site.prepare();
        cluster.spare_memory();
        if self.open {
            open_browser(&playground.book);
        }
        tokio::select! {
            () = stop.asked() => {}
            () = site.crash_asked() => return Err(self.crash(&playground)),
        }
        state.unpublish();
        if !cluster.stop(STOP_LIMIT).await {
            tracing::warn!("some tasks had to be cut short");
        }
        Ok(Outcome::Done)
    }

    /// Ends everything at once and starts anew: this process's memory is replaced by a fresh
    /// program's, so that nothing can be put away first, as when it is killed. It keeps its number,
    /// its terminal and its addresses. Returns only when that is not possible.
    fn crash(&self, playground: &Playground) -> Error {
        use std::os::unix::process::CommandExt;
        let cannot = |why: std::io::Error| Error::new("the playground cannot be started again", why.to_string());
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(why) => return cannot(why),
        };
        let bare = |url: &str| url.split("://").last().unwrap_or(url).trim_end_matches('/').to_owned();
        let through = self.pull_through.iter().flat_map(|registry| ["--pull-through", registry]);
        let fault = std::process::Command::new(program)
            .args(["serve", "--after-crash", "--state-dir"])
            .arg(&playground.state_dir)
            .args(["--listen", &bare(&playground.book), "--api-listen", &bare(&playground.api)])
            .args(["--registry-listen", &playground.registry, "--nodes", &self.nodes.to_string()])
            .args(["--ingress-listen", &playground.ingress.clone().unwrap_or(self.ingress_listen.to_string())])
            .args(["--runtime", &self.runtime.to_string(), "--controllers", &self.controllers.join(",")])
            .args(through)
            .exec();
        cannot(fault)
    }

    fn say_ready(&self, playground: &Playground, cluster: &Cluster) -> Result<()> {
        if self.after_crash {
            // Who reads the ready line has it already, and the addresses are the same.
            if std::io::stdout().is_terminal() {
                eprintln!("a check ended this playground without warning; it is back after {} ms", playground.start_ms);
            }
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            let line = serde_json::to_string(playground).map_err(|e| Error::new("no ready line", e.to_string()))?;
            writeln!(out, "{line}").map_err(closed_output)?;
        } else {
            let runtime = cluster.runtime();
            let door = playground.ingress.as_ref();
            let door = door.map(|at| format!("\n  ingress   http://{at}/")).unwrap_or_default();
            writeln!(
                out,
                "  book      {}\n  cluster   {}  {} nodes, {runtime} runtime      kubectl: export KUBECONFIG={}\n  registry  {}{door}\nready in {} ms",
                playground.book, playground.api, self.nodes, playground.kubeconfig.display(), playground.registry, playground.start_ms,
            )
            .map_err(closed_output)?;
            if std::io::stdout().is_terminal() {
                writeln!(out, "Stop with Ctrl-C. Your cluster and your progress are kept.").map_err(closed_output)?;
            }
        }
        out.flush().map_err(closed_output)
    }
}

/// Ctrl-C and SIGTERM, whichever comes first.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Stop> {
        use tokio::signal::unix::{SignalKind, signal};
        let deaf = |e: std::io::Error| Error::new("signals cannot be listened to", e.to_string());
        Ok(Stop {
            interrupt: signal(SignalKind::interrupt()).map_err(deaf)?,
            terminate: signal(SignalKind::terminate()).map_err(deaf)?,
        })
    }

    async fn asked(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn no_address(fault: std::io::Error) -> Error {
    Error::new("a listener has no address", fault.to_string())
}

/// Opens the book in the reader's browser; when that fails the ready line still names the URL.
fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if let Err(fault) = std::process::Command::new(program).arg(url).stdin(std::process::Stdio::null()).spawn() {
        tracing::warn!(%fault, "the browser could not be opened");
    }
}
