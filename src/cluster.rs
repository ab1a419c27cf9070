//! The composition root: builds the store, the API server, the loops and the nodes, and joins them.
//!
//! In: [`Options`]. Out: a running [`Cluster`]. This is the one place where everything below is
//! visible at once; read it to see what a Kubernetes cluster consists of. Each part gets its own
//! client and so its own identity: parts meet only at the API server.
//! Chapter: `book/src/control-plane/the-cluster.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::combinators::BoxBody;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::Api;
use kube::runtime::wait::await_condition;
use parking_lot::RwLock;
use serde_json::{Value, json};

use crate::apiserver::auth::Peer;
use crate::apiserver::pki::Authority;
use crate::apiserver::{self, ApiServer, Connection, KubeletDialer};
use crate::client::{self, Line, Switches};
use crate::clock::Clock;
use crate::controllers::csr_signing::Signer;
use crate::controllers::{self, Selection};
use crate::error::{Error, Result};
use crate::etcd::{self, Etcd, Store};
use crate::kubelet::runtime::simulated::Simulated;
use crate::kubelet::runtime::{docker, native};
use crate::kubelet::{self, Kubelet, NodeConfig};
use crate::scheduler::Scheduler;
use crate::state;
use crate::tasks::TaskGroup;

mod ingress;
mod link;
mod machine;
mod memory;
mod registries;

pub use ingress::install_gateway_api;
pub use link::Link;
use machine::Machine;
pub use machine::packets_refusal;
pub use registries::{LOGIN, REGISTRY, build_image};

/// How long the store may take to close once everything that writes has stopped.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its state lives.
    pub store: StoreIn,
    /// How many worker nodes.
    pub nodes: u16,
    /// What runs the containers.
    pub runtime: Runtime,
    /// Which loops run: `all`, names, `-name`.
    pub controllers: Vec<String>,
    /// The source of time.
    pub clock: Clock,
}

/// Where a cluster's state lives.
#[derive(Clone, Debug)]
pub enum StoreIn {
    /// Nowhere: it is gone with the process. For tests.
    Memory,
    /// In this folder.
    Folder(PathBuf),
}

/// What runs the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The best this machine allows.
    Auto,
    /// Real containers, made by tutor itself.
    Native,
    /// Real containers, made by the machine's docker.
    Docker,
    /// Pods have lives but no processes.
    Simulated,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtime::Auto => "auto",
            Runtime::Native => "native",
            Runtime::Docker => "docker",
            Runtime::Simulated => "simulated",
        })
    }
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Runtime::Auto),
            "native" => Ok(Runtime::Native),
            "simulated" => Ok(Runtime::Simulated),
            "docker" => Ok(Runtime::Docker),
            _ => Err("expected auto, native, docker or simulated".to_owned()),
        }
    }
}

/// A running cluster. Cheap to clone: all clones are the same cluster.
#[derive(Clone)]
pub struct Cluster(Arc<Parts>);

struct Parts {
    options: Options,
    api: Arc<ApiServer>,
    authority: Arc<Authority>,
    scheduler: Option<Scheduler>,
    nodes: Arc<Nodes>,
    /// What runs containers, and why so.
    chosen: (Runtime, String),
    /// The computer behind all nodes, where containers are real.
    machine: Option<Machine>,
    switches: Switches,
    admin_token: String,
    /// The loops and nodes; then what they talk to; then what that writes to. Stopped in this order.
    workers: TaskGroup,
    serving: TaskGroup,
    storing: TaskGroup,
}

impl Cluster {
    /// Builds and joins the parts. When it returns, the API answers; nodes and loops come up.
    ///
    /// # Errors
    /// When the store cannot be opened (nothing of it is changed then), a certificate cannot be
    /// made, or a loop's name is unknown.
    pub async fn start(options: Options, tasks: &TaskGroup) -> Result<Cluster> {
        let which = Selection::parse(&options.controllers.join(","));
        check_names(&which)?;
        let clock = options.clock;
        let (workers, serving, storing) = (tasks.child(), tasks.child(), tasks.child());
        let (store, authority): (Arc<dyn Store>, _) = match &options.store {
            StoreIn::Memory => (Etcd::in_memory(clock, &storing)?, Authority::in_memory()?),
            StoreIn::Folder(folder) => {
                let store = Etcd::open(&folder.join("store"), clock, &storing, etcd::Options::default())?;
                (store, Authority::open(&folder.join("pki"))?)
            }
        };
        let authority = Arc::new(authority);
        let nodes = Arc::new(Nodes::default());
        let admin_token = uuid::Uuid::new_v4().simple().to_string();
        let api = ApiServer::start(apiserver::Config {
            store,
            clock,
            tasks: serving.clone(),
            authority: authority.clone(),
            kubelets: nodes.clone(),
            service_cidr: apiserver::SERVICE_CIDR,
            admin_token: Some(admin_token.clone()),
            max_in_flight: apiserver::MAX_IN_FLIGHT,
            max_watches: apiserver::MAX_WATCHES,
        })
        .await?;
        let switches = Switches::new();
        let as_user = |user: &str, groups: &[&str], component: &str| client_as(&api, user, groups, component);
        let setup = controllers::Setup {
            clock,
            tasks: workers.clone(),
            switches: switches.clone(),
            which: which.clone(),
            root_ca: authority.certificate().to_owned(),
            signer: signer(&authority),
        };
        controllers::start(|user| as_user(user, &[], "kube-controller-manager"), &setup);
        let scheduler = which.includes(SCHEDULER).then(|| {
            let client = as_user("system:kube-scheduler", &[], "kube-scheduler");
            Scheduler::start(client, clock, &workers, switches.get(SCHEDULER))
        });
        let machine::Chosen { runtime, why, machine } = machine::start(&options, &serving).await?;
        if let Some(machine) = &machine {
            // In other clusters NetworkPolicies are another program's, with a role of its own.
            let client = as_user("system:kube-proxy", &["system:masters"], "kube-proxy");
            machine::connect(machine, client, clock, &workers).await?;
        }
        let parts = Parts {
            options,
            api,
            authority,
            scheduler,
            nodes,
            chosen: (runtime, why),
            machine,
            switches,
            admin_token,
            workers,
            serving,
            storing,
        };
        let cluster = Cluster(Arc::new(parts));
        for index in 0..cluster.0.options.nodes {
            cluster.power_on(NodeConfig::numbered(index.into()))?;
        }
        let begun = async {
            cluster.nodes_known().await;
            if which.includes(ACCOUNTS) {
                cluster.default_account().await;
            }
        };
        if clock.timeout(BEGIN_LIMIT, begun).await.is_err() {
            tracing::warn!("not all nodes have registered, or the namespace default has no ServiceAccount yet");
        }
        Ok(cluster)
    }

    /// Waits until Pods can be made in the namespace `default`: its ServiceAccount is there, which
    /// a loop makes in the first moments of a new cluster.
    async fn default_account(&self) {
        let accounts = Api::<ServiceAccount>::namespaced(self.client("tutor"), "default");
        // What does not answer is waited for no longer.
        let _ = await_condition(accounts, "default", |account: Option<&ServiceAccount>| account.is_some()).await;
    }

    /// Waits until the nodes have registered, so that who asks for them first thing finds them. Of thousands, the first few.
    async fn nodes_known(&self) {
        let nodes = Api::<Node>::all(self.client("tutor"));
        for index in 0..self.0.options.nodes.min(NODES_WAITED_FOR) {
            let name = NodeConfig::numbered(index.into()).name;
            // As above.
            let _ = await_condition(nodes.clone(), &name, |node: Option<&Node>| node.is_some()).await;
        }
    }

    fn power_on(&self, config: NodeConfig) -> Result<()> {
        let name = config.name.clone();
        let clock = self.0.options.clock;
        let peer = peer(&format!("system:node:{name}"), &["system:nodes"]);
        let line = self.0.nodes.line(&name);
        let client = client::over_line(self.0.api.filter(), peer, "kubelet", line, clock);
        let runtime: Arc<dyn kubelet::runtime::Runtime> = match &self.0.machine {
            Some(machine) => machine.node(&config)?,
            None => Arc::new(Simulated::new(clock)),
        };
        let kubelet = Kubelet::start(config, client, runtime, clock, &self.0.workers);
        self.0.nodes.0.write().insert(name, kubelet);
        Ok(())
    }

    /// A client that may do everything. `component` is its name in the record of writes.
    pub fn client(&self, component: &str) -> kube::Client {
        client_as(&self.0.api, "kubernetes-admin", &["system:masters"], component)
    }

    /// What runs the containers.
    pub fn runtime(&self) -> Runtime {
        self.0.chosen.0
    }

    /// Serves the API over TLS; the address that was taken.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn serve_api(&self, address: SocketAddr) -> Result<SocketAddr> {
        self.0.api.listen_tls(address).await
    }

    /// Writes the administrator's kubeconfig for an API served at `address`. A current namespace
    /// that an earlier one named is kept.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, address: SocketAddr) -> Result<()> {
        let identity = self.0.authority.client("kubernetes-admin", &["system:masters"])?;
        let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
        let namespace = client::current_namespace(path).unwrap_or_else(|| "default".to_owned());
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "preferences": {},
            "current-context": "tutor",
            "clusters": [{"name": "tutor", "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority-data": encode(self.0.authority.certificate()),
            }}],
            "users": [{"name": "tutor-admin", "user": {
                "client-certificate-data": encode(&identity.certificate),
                "client-key-data": encode(&identity.key),
            }}],
            "contexts": [{"name": "tutor", "context": {
                "cluster": "tutor", "user": "tutor-admin", "namespace": namespace,
            }}],
        });
        // JSON is YAML, so every client reads it.
        state::write_private(path, format!("{config:#}\n").as_bytes())
    }

    /// A bearer token of `kubernetes-admin`, good while this process lives.
    pub fn admin_token(&self) -> &str {
        &self.0.admin_token
    }

    /// How many nodes there are, and what runs containers and why.
    pub fn status(&self) -> Value {
        let (runtime, why) = &self.0.chosen;
        let reason = match &self.0.machine {
            Some(machine) => format!("{why}; {}", machine.said()),
            None => why.clone(),
        };
        json!({"nodes": self.0.options.nodes, "runtime": runtime.to_string(), "runtimeReason": reason})
    }

    /// The loops' switches: `{"switches": [{"name", "state", "waiting", "passed"}]}`.
    pub fn switches_shown(&self) -> Value {
        let shown = |(name, state): (String, client::switch::State)| json!({"name": name, "state": state.mode, "waiting": state.waiting, "passed": state.passed});
        json!({"switches": self.0.switches.list().into_iter().map(shown).collect::<Vec<_>>()})
    }

    /// Turns a loop's switch: `on`, `paused`, or `step` for one piece of work.
    ///
    /// # Errors
    /// When there is no such loop or no such state.
    pub fn turn_switch(&self, name: &str, state: &str) -> Result<()> {
        let switch = self.0.switches.find(name).ok_or_else(|| {
            let names: Vec<String> = self.0.switches.list().into_iter().map(|(name, _)| name).collect();
            Error::new(format!("no loop is called {name}"), format!("the loops that run: {}", names.join(", ")))
                .hint("see them: tutor controllers")
        })?;
        match state {
            "on" => switch.resume(),
            "paused" => switch.pause(),
            "step" => switch.step(),
            _ => return Err(Error::new(format!("a loop cannot be {state}"), "").hint("say on, paused or step")),
        }
        Ok(())
    }

    /// The scheduler's last record for a Pod.
    pub fn decision(&self, namespace: &str, name: &str) -> Option<Value> {
        let decision = self.0.scheduler.as_ref()?.decision(namespace, name)?;
        serde_json::to_value(&*decision).ok()
    }

    /// A node's kubelet, by name.
    pub fn node(&self, name: &str) -> Option<Kubelet> {
        self.0.nodes.0.read().get(name).cloned()
    }

    /// Pulls a node's plug, or puts it back in: the machine starts empty, as after a power cut.
    ///
    /// # Errors
    /// When there is no such node, or it is in that state already.
    pub fn set_power(&self, node: &str, power: Power) -> Result<()> {
        let kubelet = self
            .node(node)
            .ok_or_else(|| Error::new(format!("no node is called {node}"), "").hint("see them: kubectl get nodes"))?;
        match (power, kubelet.is_off()) {
            (Power::Off, false) => {
                kubelet.power_off();
                self.0.machine.iter().for_each(|machine| machine.power_off(node));
            }
            (Power::On, true) => self.power_on(kubelet.config().clone())?,
            _ => return Err(Error::new(format!("{node} is {power} already"), "")),
        }
        Ok(())
    }

    /// Stops everything, from the top down, and closes the store. True when nothing was cut short.
    pub async fn stop(&self, limit: Duration) -> bool {
        let clock = self.0.options.clock;
        let worked = self.0.workers.shutdown(clock, limit / 2).await;
        if let Some(machine) = &self.0.machine {
            machine.stop().await;
        }
        let served = self.0.serving.shutdown(clock, limit / 4).await;
        let stored = self.0.storing.shutdown(clock, CLOSE_LIMIT.max(limit / 4)).await;
        worked && served && stored
    }
}

/// What stands in the way of native containers on this machine: what it is, and the command that mends it.
pub fn native_obstacles() -> Vec<(&'static str, &'static str)> {
    native::doctor::obstacles()
}

/// Why this process cannot run native containers, if it cannot; it tries.
pub async fn native_refusal(clock: Clock) -> Option<Error> {
    native::doctor::refusal(clock).await
}

/// What stands in the way of docker containers: why docker cannot be reached, and what to do.
pub fn docker_obstacle() -> Option<Error> {
    docker::obstacle()
}

/// Lends the authority's signature, but not its key, to the loop that signs requests.
fn signer(authority: &Arc<Authority>) -> Signer {
    let authority = authority.clone();
    Signer::new(move |wish| authority.sign(&wish.request, &wish.usages, wish.not_before, wish.not_after))
}

/// The loop that makes ServiceAccounts.
const ACCOUNTS: &str = "serviceaccount-controller";
/// How long a start waits for it, and for the nodes.
const BEGIN_LIMIT: Duration = Duration::from_secs(15);
/// So many nodes are waited for.
const NODES_WAITED_FOR: u16 = 16;
/// The scheduler's name among the loops.
const SCHEDULER: &str = "scheduler";

fn check_names(which: &Selection) -> Result<()> {
    match which.unknown(&[SCHEDULER])[..] {
        [] => Ok(()),
        [unknown, ..] => {
            let names: Vec<&str> = controllers::names().chain([SCHEDULER]).collect();
            Err(Error::new(format!("no loop is called {unknown}"), format!("the loops are: {}", names.join(", ")))
                .hint("all but one: --controllers all,-NAME"))
        }
    }
}

fn client_as(api: &ApiServer, user: &str, groups: &[&str], component: &str) -> kube::Client {
    client::over_filter(api.filter(), peer(user, groups), component)
}

fn peer(user: &str, groups: &[&str]) -> Peer {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Peer::InProcess { user: user.to_owned(), groups }
}

/// Whether a node has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Power {
    On,
    Off,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Power::On => "on",
            Power::Off => "off",
        })
    }
}

/// The nodes' kubelets, by name, and the lines to them.
#[derive(Default)]
struct Nodes(RwLock<BTreeMap<String, Kubelet>>, RwLock<BTreeMap<String, Line>>);

impl Nodes {
    fn line(&self, node: &str) -> Line {
        self.1.write().entry(node.to_owned()).or_default().clone()
    }

    /// A kubelet that can be reached; or why not.
    fn reach(&self, node: &str) -> std::result::Result<Kubelet, String> {
        let kubelet = self.0.read().get(node).filter(|kubelet| !kubelet.is_off()).cloned();
        let kubelet = kubelet.ok_or_else(|| format!("dial tcp: lookup {node}: no such host"))?;
        match self.line(node).is_cut() {
            true => Err(format!("dial tcp {}:10250: i/o timeout", kubelet.config().address)),
            false => Ok(kubelet),
        }
    }
}

impl KubeletDialer for Nodes {
    fn request(
        &self,
        node: &str,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BoxBody<Bytes, Error>>>> {
        let reached = self.reach(node);
        Box::pin(async move {
            match reached {
                Ok(kubelet) => Ok(kubelet.request(request).await),
                Err(unreachable) => Err(Error::new(unreachable, "")),
            }
        })
    }

    fn connect<'a>(
        &'a self,
        node: &'a str,
        namespace: &'a str,
        pod: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, String>> {
        let reached = self.reach(node);
        Box::pin(async move { Ok(Box::new(reached?.connect(namespace, pod, port).await?) as _) })
    }
}
