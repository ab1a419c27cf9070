//! The computer on which native nodes run, and where their images come from.
//!
//! In: the cluster's options. Out: a [`Machine`] that gives each node its runtime; none where containers are
//! not real. Never: a decision of the cluster's. Chapter: `book/src/inside/runtime.md`.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;

use kube::Api;

use super::{Options, REGISTRY, Runtime, StoreIn};
use crate::apiserver::SERVICE_CIDR;
use crate::client::Informer;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::images;
use crate::kubelet::runtime::docker;
use crate::kubelet::runtime::native::{self, Host};
use crate::kubelet::{self, NodeConfig};
use crate::network::{proxy, server};
use crate::tasks::TaskGroup;

/// The computer behind all nodes: one kernel, one disk.
pub(super) enum Machine {
    /// As tutor makes containers itself.
    Native { host: Arc<Host>, images: Arc<native::stored::Stored> },
    /// As the machine's docker makes them.
    Docker(Arc<docker::Host>),
}

impl Machine {
    /// A node's runtime on it.
    pub fn node(&self, config: &NodeConfig) -> Result<Arc<dyn kubelet::runtime::Runtime>> {
        match self {
            Machine::Native { host, images } => {
                let place =
                    native::host::Place { node: &config.name, pod_cidr: &config.pod_cidr, address: &config.address };
                host.node(&place, images.clone())
            }
            Machine::Docker(host) => host.node(&config.name, &config.pod_cidr),
        }
    }

    /// Pulls a node's plug.
    pub fn power_off(&self, node: &str) {
        match self {
            Machine::Native { host, .. } => host.power_off(node),
            Machine::Docker(host) => host.power_off(node),
        }
    }

    /// What it does and does not do, for a reader.
    pub fn said(&self) -> String {
        match self {
            Machine::Native { host, .. } => host.limits_said(),
            Machine::Docker(host) => host.said(),
        }
    }

    /// Ends everything on it.
    pub async fn stop(&self) {
        match self {
            Machine::Native { host, .. } => host.stop().await,
            Machine::Docker(host) => host.stop().await,
        }
    }
}

/// Where Pods ask for names. As kubeadm's tenth address of the range; kubelets write it into `resolv.conf`.
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 10), 53);

/// Makes Services and names work between the Pods of a machine: kube-proxy and the name server.
pub(super) async fn connect(machine: &Machine, client: kube::Client, clock: Clock, tasks: &TaskGroup) -> Result<()> {
    // Docker's network is not ours to give addresses in: Services have none there.
    let Machine::Native { host, .. } = machine else { return Ok(()) };
    let wire = host.wire(SERVICE_CIDR).await?;
    let setup = proxy::Setup {
        services: Informer::start(Api::all(client.clone()), clock, tasks),
        slices: Informer::start(Api::all(client), clock, tasks),
        wire,
        clock,
        tasks: tasks.clone(),
    };
    server::start(setup.clone(), DNS);
    proxy::start(setup);
    Ok(())
}

/// Where native containers keep what they have, inside the state folder.
const NATIVE: &str = "native";
/// And docker's.
const DOCKER: &str = "docker";

/// The computer behind the nodes and its images, if containers are to be real.
pub(super) async fn start(options: &Options, tasks: &TaskGroup) -> Result<Option<Machine>> {
    match (&options.store, options.runtime.settle().0) {
        (StoreIn::Folder(folder), Runtime::Native) => {
            let host = Host::start(native::host::Options::new(folder.join(NATIVE), options.clock), tasks).await?;
            let images = native::stored::Stored::new(registries(folder, options.clock, tasks)?, tasks);
            Ok(Some(Machine::Native { host: Arc::new(host), images: Arc::new(images) }))
        }
        (StoreIn::Folder(folder), Runtime::Docker) => {
            let options = docker::host::Options {
                folder: folder.join(DOCKER),
                socket: None,
                pods: kubelet::POD_NETWORK,
                services: SERVICE_CIDR,
                registries: registries(folder, options.clock, tasks)?,
                clock: options.clock,
            };
            Ok(Some(Machine::Docker(Arc::new(docker::Host::start(options, tasks).await?))))
        }
        (StoreIn::Memory, Runtime::Native | Runtime::Docker) => {
            Err(Error::new("real containers need a state folder", "this cluster keeps its state in memory"))
        }
        (_, Runtime::Auto | Runtime::Simulated) => Ok(None),
    }
}

/// The images of containers; what none needs any more goes now, before a container runs.
fn registries(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Result<images::Registries> {
    let store = images::Store::open(&folder.join(REGISTRY))?;
    store.collect()?;
    images::Registries::new(store, clock, tasks)
}
