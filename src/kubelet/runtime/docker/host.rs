//! The docker of this machine as a cluster uses it: one network, its nodes, what it has there.
//!
//! In: a state folder, docker's socket. Out: a runtime for each node. When it starts it first removes what
//! an earlier start left, by the labels of its own state folder; when it stops nothing is left.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::models::{ContainerCreateBody, HostConfig, Ipam, IpamConfig, Mount, MountType, NetworkCreateRequest};
use bollard::query_parameters::WaitContainerOptions;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::connect::{self, Connected};
use super::images::Images;
use super::words::said;
use super::{Node, labels, wire};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::images::Registries;
use crate::kubelet::runtime::Runtime;
use crate::kubelet::runtime::native::volumes;
use crate::network::Wire;
use crate::tasks::TaskGroup;

/// The image of sandboxes and helpers.
pub const PAUSE: &str = "tutor/pause:1";

/// Where and with what.
#[derive(Clone)]
pub struct Options {
    /// The folder for Pods' files and the cluster's id; made, and nobody else's.
    pub folder: PathBuf,
    /// Docker's socket; none: as `DOCKER_HOST` says, or where it usually is.
    pub socket: Option<PathBuf>,
    /// The range of all Pods' addresses.
    pub pods: (Ipv4Addr, u8),
    /// The range of Services' addresses.
    pub services: (Ipv4Addr, u8),
    /// The range of nodes' addresses: only Services' ports are there.
    pub nodes: (Ipv4Addr, u8),
    /// tutor's own images.
    pub registries: Registries,
    /// The source of time.
    pub clock: Clock,
}

/// The host of all nodes.
pub struct Host {
    pub(super) connected: Connected,
    pub(super) images: Images,
    pub(super) cluster: String,
    pub(super) network: String,
    pub(super) pods: (Ipv4Addr, u8),
    pub(super) services: (Ipv4Addr, u8),
    pub(super) nodes: (Ipv4Addr, u8),
    wire: OnceCell<std::result::Result<Arc<dyn Wire>, String>>,
    pub(super) clock: Clock,
    pub(super) tasks: TaskGroup,
    folder: PathBuf,
    known: Mutex<HashMap<String, Arc<Node>>>,
}

fn unable(error: &bollard::errors::Error) -> Error {
    Error::new("docker would not do what containers need", said(error))
        .hint("see what docker has: docker ps -a")
        .hint("or go on without docker: tutor serve --runtime native")
}

impl Host {
    /// Connects, cleans up after an earlier start, makes the network.
    ///
    /// # Errors
    /// When docker cannot be reached or refuses: why, and what to do.
    pub async fn start(options: Options, tasks: &TaskGroup) -> Result<Host> {
        let tasks = tasks.child();
        let unusable = |fault: std::io::Error| {
            Error::new("the docker runtime cannot keep its state", fault.to_string())
                .hint(format!("look at {}", options.folder.display()))
        };
        let socket = options.socket.clone().map_or_else(connect::socket, Ok)?;
        let connected = connect::connect(socket, options.clock).await?;
        let cluster = labels::cluster_id(&options.folder).map_err(unusable)?;
        let folder = fs::canonicalize(&options.folder).map_err(unusable)?;
        let images = Images::new(connected.docker.clone(), options.registries, &tasks);
        let mut host = Host {
            connected,
            images,
            cluster,
            network: String::new(),
            pods: options.pods,
            services: options.services,
            nodes: options.nodes,
            wire: OnceCell::new(),
            clock: options.clock,
            tasks,
            folder,
            known: Mutex::default(),
        };
        host.clean().await?;
        fs::create_dir_all(host.folder.join("pods")).map_err(unusable)?;
        host.network = host.make_network(options.pods).await?;
        Ok(host)
    }

    async fn make_network(&self, (address, prefix): (Ipv4Addr, u8)) -> Result<String> {
        let subnet = format!("{address}/{prefix}");
        let range = IpamConfig { subnet: Some(subnet.clone()), ..IpamConfig::default() };
        let request = NetworkCreateRequest {
            name: format!("tutor-{}", &self.cluster[..8]),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam { config: Some(vec![range]), ..Ipam::default() }),
            labels: Some(labels::of(&self.cluster, "network")),
            ..NetworkCreateRequest::default()
        };
        let refused = |error: bollard::errors::Error| {
            Error::new(format!("docker would not make a network for the Pods' addresses {subnet}"), said(&error))
                .hint("does another playground use this docker? stop it first")
                .hint("see which network has these addresses: docker network inspect $(docker network ls -q)")
                .hint("or go on without docker: tutor serve --runtime native")
        };
        self.connected.docker.create_network(request).await.map(|made| made.id).map_err(refused)
    }

    /// The runtime of a node whose Pods get addresses of `pod_cidr`.
    ///
    /// # Errors
    /// When the range is no part of the cluster's network.
    pub fn node(self: &Arc<Self>, name: &str, pod_cidr: &str) -> Result<Arc<dyn Runtime>> {
        let first = pod_cidr.split('/').next().and_then(|address| address.parse().ok());
        if !first.is_some_and(|address| is_in(address, self.pods)) {
            let (network, prefix) = self.pods;
            let why = format!("its Pods' addresses {pod_cidr} are not of docker's network {network}/{prefix}");
            return Err(Error::new(format!("the node {name} has no place"), why).hint("take fewer nodes: --nodes 3"));
        }
        let node = Arc::new(Node::new(self.clone(), name.to_owned()));
        self.known.lock().insert(name.to_owned(), node.clone());
        Ok(node)
    }

    /// Pulls a node's plug: its Pods are gone at once, without a word.
    pub fn power_off(self: &Arc<Self>, node: &str) {
        self.known.lock().remove(node);
        let (host, node) = (self.clone(), node.to_owned());
        self.tasks.spawn("docker power off", async move {
            if let Err(error) = labels::remove_containers(&host.connected.docker, &host.cluster, Some(&node)).await {
                tracing::warn!(error = said(&error), "a node's containers could not all be removed");
            }
        });
    }

    /// The way to Services and nodes, made when it is first asked for; or why there is none.
    ///
    /// # Errors
    /// Docker's words, or the kernel's.
    pub async fn wire(&self) -> std::result::Result<Arc<dyn Wire>, String> {
        self.wire.get_or_init(|| wire::start(self)).await.clone()
    }

    /// What docker this is, for a reader.
    pub fn said(&self) -> String {
        let Connected { version, socket, .. } = &self.connected;
        format!("docker {version} at {}", socket.display())
    }

    pub(super) fn pod_folder(&self, id: &str) -> PathBuf {
        self.folder.join("pods").join(id)
    }

    /// Removes what this cluster has in docker and what its Pods had on disk.
    async fn clean(&self) -> Result<()> {
        let docker = &self.connected.docker;
        labels::remove_containers(docker, &self.cluster, None).await.map_err(|error| unable(&error))?;
        self.remove_folder(self.folder.join("pods")).await;
        labels::remove_rest(docker, &self.cluster).await.map_err(|error| unable(&error))
    }

    /// Removes a folder in which containers wrote, perhaps as somebody whose files are not ours to remove.
    pub(super) async fn remove_folder(&self, folder: PathBuf) {
        let own = folder.clone();
        if self.tasks.blocking(move || volumes::remove(&own)).await.is_ok() {
            return;
        }
        let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return };
        let command = ["/bin/rm", "-rf", &format!("/swept/{}", name.to_string_lossy())].map(str::to_owned);
        if let Err(why) =
            self.help(&command, HostConfig { mounts: Some(vec![bind(parent, "/swept")]), ..helper() }).await
        {
            tracing::warn!(why, folder = %folder.display(), "a Pod's folder could not be removed");
        }
    }

    /// Kills a process of docker's machine: a command beside a container, which docker itself would leave.
    pub(super) async fn kill(&self, process: i64) {
        let command = ["/bin/kill", "-9", &process.to_string()].map(str::to_owned);
        let config = HostConfig { pid_mode: Some("host".into()), userns_mode: Some("host".into()), ..helper() };
        if let Err(why) = self.help(&command, config).await {
            tracing::debug!(why, process, "a command may have been left");
        }
    }

    /// Runs a tool of ours in a container of its own, to its end.
    async fn help(&self, command: &[String], config: HostConfig) -> std::result::Result<(), String> {
        let docker = &self.connected.docker;
        let image = self.images.pull(PAUSE, None).await.map_err(|error| error.message)?;
        let body = ContainerCreateBody {
            image: Some(image.docker_id),
            entrypoint: Some(command.to_vec()),
            user: Some("0:0".to_owned()),
            labels: Some(labels::of(&self.cluster, "helper")),
            host_config: Some(config),
            ..ContainerCreateBody::default()
        };
        let failed = |error: bollard::errors::Error| said(&error);
        let id = docker.create_container(None, body).await.map_err(failed)?.id;
        let run = async {
            docker.start_container(&id, None).await?;
            let ended = WaitContainerOptions { condition: "not-running".to_owned() };
            docker.wait_container(&id, Some(ended)).next().await.transpose()
        };
        let outcome = run.await.map(drop).map_err(failed);
        labels::remove_container(docker, &id).await.map_err(failed)?;
        outcome
    }

    /// Ends everything and removes what it used.
    pub async fn stop(&self) {
        self.known.lock().clear();
        if let Err(error) = self.clean().await {
            tracing::warn!(%error, "what the docker runtime used could not all be removed");
        }
    }
}

fn helper() -> HostConfig {
    HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }
}

/// A folder of this machine in a container.
pub(super) fn bind(source: &Path, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        ..Mount::default()
    }
}

/// Whether an address is one of a network's.
pub(super) fn is_in(address: Ipv4Addr, (network, prefix): (Ipv4Addr, u8)) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    u32::from(address) & mask == u32::from(network) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_address_is_told_from_others() {
        let services = (Ipv4Addr::new(10, 96, 0, 0), 12);
        for (address, inside) in [([10, 96, 0, 10], true), ([10, 111, 255, 255], true), ([10, 112, 0, 0], false)] {
            assert_eq!(is_in(address.into(), services), inside, "{address:?}");
        }
    }
}
