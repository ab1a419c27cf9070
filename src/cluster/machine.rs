//! The computer on which native nodes run, and where their images come from.
//!
//! In: the cluster's options. Out: a [`Machine`] that gives each node its runtime, and why that one was taken; none
//! where containers are not real. Never: a decision of the cluster's. Chapter: `book/src/inside/runtime.md`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use super::{Options, REGISTRY, Runtime, StoreIn};
use crate::apiserver::SERVICE_CIDR;
use crate::client::Informer;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::images;
use crate::kubelet::runtime::docker;
use crate::kubelet::runtime::native::{self, Host};
use crate::kubelet::{self, NodeConfig};
use crate::network::proxy::{self, Outlook};
use crate::network::{Wire, server};
use crate::tasks::TaskGroup;

/// The computer behind all nodes: one kernel, one disk.
pub(super) enum Machine {
    /// As tutor makes containers itself.
    Native {
        host: Arc<Host>,
        images: Arc<native::stored::Stored>,
        packets: OnceLock<Outlook>,
        cut: watch::Sender<BTreeSet<String>>,
    },
    /// As the machine's docker makes them. `packets`: how Services are reached there, or why they are not.
    Docker { host: Arc<docker::Host>, packets: Arc<OnceLock<std::result::Result<Outlook, String>>> },
}

impl Machine {
    /// A node's runtime on it.
    pub fn node(&self, config: &NodeConfig) -> Result<Arc<dyn kubelet::runtime::Runtime>> {
        match self {
            Machine::Native { host, images, .. } => {
                let place =
                    native::host::Place { node: &config.name, pod_cidr: &config.pod_cidr, address: &config.address };
                host.node(&place, images.clone())
            }
            Machine::Docker { host, .. } => host.node(&config.name, &config.pod_cidr),
        }
    }

    /// Pulls a node's plug.
    pub fn power_off(&self, node: &str) {
        match self {
            Machine::Native { host, .. } => host.power_off(node),
            Machine::Docker { host, .. } => host.power_off(node),
        }
    }

    /// Cuts these nodes off from all others, and joins all others again.
    pub fn cut_off(&self, nodes: BTreeSet<String>) {
        if let Machine::Native { cut, .. } = self {
            cut.send_replace(nodes);
        }
    }

    /// What it does and does not do, for a reader.
    pub fn said(&self) -> String {
        match self {
            Machine::Native { host, packets, .. } => {
                let packets = packets.get().map(|packets| format!("; {}", packets.said())).unwrap_or_default();
                format!("{}{packets}", host.limits_said())
            }
            Machine::Docker { host, packets } => match packets.get() {
                Some(Ok(packets)) => format!("{}; {}", host.said(), packets.said()),
                Some(Err(why)) => {
                    format!("{}; Services have no addresses and no names in these Pods ({why})", host.said())
                }
                None => host.said(),
            },
        }
    }

    /// Ends everything on it.
    pub async fn stop(&self) {
        match self {
            Machine::Native { host, .. } => host.stop().await,
            Machine::Docker { host, .. } => host.stop().await,
        }
    }
}

/// Where Pods ask for names. As kubeadm's tenth address of the range; kubelets write it into `resolv.conf`.
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 10), 53);

/// Makes Services and names work between the Pods of a machine, and NetworkPolicies hold: kube-proxy and the
/// name server.
pub(super) async fn connect(machine: &Machine, client: kube::Client, clock: Clock, tasks: &TaskGroup) -> Result<()> {
    match machine {
        Machine::Native { host, packets, cut, .. } => {
            let setup = setup(host.wire(SERVICE_CIDR).await?, cut.subscribe(), &client, clock, tasks);
            packets.get_or_init(|| begin(setup));
        }
        Machine::Docker { host, packets } => {
            let (host, packets, own) = (host.clone(), packets.clone(), tasks.clone());
            // Docker first has to be given an image, which takes a while: nobody but a Pod waits for that.
            tasks.spawn("docker services", async move {
                let wired = host.wire().await.map(|wire| {
                    // No plug of docker's nodes can be pulled.
                    begin(setup(wire, watch::Sender::default().subscribe(), &client, clock, &own))
                });
                if let Err(why) = &wired {
                    tracing::warn!(why, "Services have no addresses and no names in docker's Pods");
                }
                packets.get_or_init(|| wired);
            });
        }
    }
    Ok(())
}

fn begin(setup: proxy::Setup) -> Outlook {
    server::start(setup.clone());
    proxy::start(setup)
}

fn setup(
    wire: Arc<dyn Wire>,
    cut: watch::Receiver<BTreeSet<String>>,
    client: &kube::Client,
    clock: Clock,
    tasks: &TaskGroup,
) -> proxy::Setup {
    let client = client.clone();
    proxy::Setup {
        services: Informer::start(&client, clock, tasks),
        slices: Informer::start(&client, clock, tasks),
        policies: Informer::start(&client, clock, tasks),
        pods: Informer::start(&client, clock, tasks),
        namespaces: Informer::start(&client, clock, tasks),
        nodes: Informer::start(&client, clock, tasks),
        names: DNS,
        cut,
        wire,
        clock,
        tasks: tasks.clone(),
    }
}

/// Why the kernel takes no rules for the packets of native containers, if it takes none; it tries.
pub async fn packets_refusal(clock: Clock) -> Option<String> {
    native::doctor::filter_refusal(clock).await
}

/// Where native containers keep what they have, inside the state folder.
const NATIVE: &str = "native";
/// And docker's.
const DOCKER: &str = "docker";

/// What runs the containers of a cluster.
pub(super) struct Chosen {
    pub runtime: Runtime,
    /// Why that one.
    pub why: String,
    /// The computer behind the nodes and its images, if containers are real.
    pub machine: Option<Machine>,
}

/// Starts what the options ask for; for `auto` the best that this machine allows: native, else docker, else simulated.
pub(super) async fn start(options: &Options, tasks: &TaskGroup) -> Result<Chosen> {
    let asked = |runtime: Runtime, machine| Chosen { runtime, why: format!("--runtime {runtime}"), machine };
    match (&options.store, options.runtime) {
        (_, Runtime::Simulated) => Ok(asked(Runtime::Simulated, None)),
        (StoreIn::Folder(folder), Runtime::Native) => {
            native(folder, options.clock, tasks).await.map(|machine| asked(Runtime::Native, Some(machine)))
        }
        (StoreIn::Folder(folder), Runtime::Docker) => {
            docker(folder, options.clock, tasks).await.map(|machine| asked(Runtime::Docker, Some(machine)))
        }
        (StoreIn::Folder(folder), Runtime::Auto) => Ok(best(folder, options.clock, tasks).await),
        (StoreIn::Memory, Runtime::Auto) => {
            let why = "real containers need a state folder".to_owned();
            Ok(Chosen { runtime: Runtime::Simulated, why, machine: None })
        }
        (StoreIn::Memory, Runtime::Native | Runtime::Docker) => {
            Err(Error::new("real containers need a state folder", "this cluster keeps its state in memory"))
        }
    }
}

async fn best(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Chosen {
    let docker = async {
        match docker::obstacle() {
            Some(obstacle) => Err(obstacle),
            None => docker(folder, clock, tasks).await,
        }
    };
    let (runtime, why, machine) = first_that_works(native(folder, clock, tasks), docker).await;
    Chosen { runtime, why, machine }
}

/// What `--runtime auto` is: native, else docker, which is not asked before, else simulated; and why.
async fn first_that_works<M>(
    native: impl Future<Output = Result<M>>,
    docker: impl Future<Output = Result<M>>,
) -> (Runtime, String, Option<M>) {
    let refused = match native.await {
        Ok(machine) => {
            return (Runtime::Native, "this machine lets tutor make containers itself".to_owned(), Some(machine));
        }
        Err(refused) => refused,
    };
    match docker.await {
        Ok(machine) => (Runtime::Docker, format!("docker answers, and {refused}"), Some(machine)),
        Err(fault) => (Runtime::Simulated, format!("{refused}; {fault}; tutor doctor says how to mend it"), None),
    }
}

async fn native(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Result<Machine> {
    let host = Host::start(native::host::Options::new(folder.join(NATIVE), clock), tasks).await?;
    let images = native::stored::Stored::new(registries(folder, clock, tasks)?, tasks);
    let (host, images) = (Arc::new(host), Arc::new(images));
    Ok(Machine::Native { host, images, packets: OnceLock::new(), cut: watch::Sender::default() })
}

async fn docker(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Result<Machine> {
    let options = docker::host::Options {
        folder: folder.join(DOCKER),
        socket: None,
        pods: kubelet::POD_NETWORK,
        services: SERVICE_CIDR,
        nodes: kubelet::NODE_NETWORK,
        registries: registries(folder, clock, tasks)?,
        clock,
    };
    let host = Arc::new(docker::Host::start(options, tasks).await?);
    Ok(Machine::Docker { host, packets: Arc::default() })
}

/// The images of containers; what none needs any more goes now, before a container runs.
fn registries(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Result<images::Registries> {
    let store = images::Store::open(&folder.join(REGISTRY))?;
    store.collect()?;
    images::Registries::new(store, clock, tasks)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn auto_takes_native_else_docker_else_simulated_and_says_why() {
        let refused = || ready(Err(Error::new("native containers cannot be made on this machine", "AppArmor")));
        let absent = ready(Err(Error::new("docker cannot be reached", "there is no socket")));

        // Docker, which never answers here, is not waited for.
        let (runtime, why, machine) = first_that_works(ready(Ok("made here")), pending()).await;
        assert_eq!((runtime, machine), (Runtime::Native, Some("made here")));
        assert_eq!(why, "this machine lets tutor make containers itself");

        let (runtime, why, machine) = first_that_works(refused(), ready(Ok("docker's"))).await;
        assert_eq!((runtime, machine), (Runtime::Docker, Some("docker's")));
        assert_eq!(why, "docker answers, and native containers cannot be made on this machine: AppArmor");

        let (runtime, why, machine) = first_that_works::<&str>(refused(), absent).await;
        assert_eq!((runtime, machine), (Runtime::Simulated, None));
        let parts =
            ["native containers cannot be made on this machine: AppArmor", "there is no socket", "tutor doctor"];
        assert!(parts.iter().all(|part| why.contains(part)), "{why}");
    }

    #[tokio::test]
    async fn a_cluster_in_memory_is_simulated_and_what_is_asked_for_is_not_replaced() {
        let start = async |runtime| {
            let (store, controllers, clock) = (StoreIn::Memory, vec!["all".to_owned()], Clock::real());
            let options = Options { store, nodes: 1, runtime, controllers, clock };
            start(&options, &TaskGroup::new()).await.map(|chosen| (chosen.runtime, chosen.why))
        };
        let in_memory = (Runtime::Simulated, "real containers need a state folder".to_owned());
        assert_eq!(start(Runtime::Auto).await, Ok(in_memory));
        assert_eq!(start(Runtime::Simulated).await, Ok((Runtime::Simulated, "--runtime simulated".to_owned())));
        for asked in [Runtime::Native, Runtime::Docker] {
            assert!(start(asked).await.is_err(), "{asked}");
        }
    }
}
