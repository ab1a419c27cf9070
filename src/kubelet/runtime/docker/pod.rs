//! One Pod's sandbox: its pause container, its folder, its volumes.
//!
//! In: a [`SandboxConfig`]. Out: namespaces that containers join, a door into its network, mounts. Volumes are
//! folders of the state folder, which docker shows in containers; one in memory is a volume of docker's, held
//! by a container that does nothing, since docker would empty it whenever nobody uses it.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, Mount, MountType, NetworkingConfig,
    VolumeCreateRequest,
};
use bollard::query_parameters::CreateContainerOptions;
use parking_lot::Mutex;

use super::host::{Host, PAUSE, bind, is_in};
use super::words::{failed, refused};
use super::{door, labels, wire};
use crate::kubelet::runtime::config::{self, Ipc, Network, Processes, SandboxConfig, Volume, VolumeSource};
use crate::kubelet::runtime::native::volumes;
use crate::kubelet::runtime::{Result, RuntimeError};

/// How long the pause process may take to open the door.
const DOOR_LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// Where the door is in the pause container.
const DOOR: &str = "/door";
/// The file in its folder that says where names are looked up.
const NAMES: &str = "resolv.conf";
/// Source: the kubelet's and Docker's size of a Pod's `/dev/shm`.
const SHARED_MEMORY_BYTES: i64 = 64 * 1024 * 1024;

/// A Pod's sandbox. Its id is the pause container's.
pub struct Pod {
    /// Docker's id of the pause container.
    pub id: String,
    /// On which node.
    pub node: String,
    /// What it was made from.
    pub config: SandboxConfig,
    /// Its files: door, volumes, containers.
    pub folder: PathBuf,
    volumes: Mutex<HashMap<String, Place>>,
}

/// Where a volume is.
#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    /// Docker's volume of this name.
    Memory(String),
}

/// A container's name is for people; the end makes it the only one.
pub fn name(cluster: &str, words: &[&str]) -> CreateContainerOptions {
    let unique = &uuid::Uuid::new_v4().simple().to_string()[..8];
    let name = format!("tutor-{}-{}-{unique}", &cluster[..4], words.join("-"));
    CreateContainerOptions { name: Some(name), ..CreateContainerOptions::default() }
}

impl Pod {
    /// Starts its pause container and waits until the door is open.
    pub async fn start(host: &Host, node: &str, config: SandboxConfig) -> Result<Pod> {
        let folder = host.pod_folder(&uuid::Uuid::new_v4().simple().to_string()[..12]);
        let door = folder.join("door");
        let made = fs::create_dir_all(&door)
            // The pause process is root without root's powers.
            .and_then(|()| fs::set_permissions(&door, fs::Permissions::from_mode(0o777)))
            .and_then(|()| fs::create_dir_all(folder.join("volumes")));
        made.map_err(refused("RunPodSandboxError"))?;
        let image = host.images.pull(PAUSE, None).await?;
        let docker = &host.connected.docker;
        let wired = config.namespaces.network == Network::Pod && host.wire().await.is_ok();
        if wired && !config.dns.servers.is_empty() {
            let write = fs::write(folder.join(NAMES), config.dns.resolv_conf());
            write.map_err(refused("RunPodSandboxError"))?;
        }
        let body = sandbox(host, node, &config, image.docker_id, wired, bind(&door, DOOR));
        let wanted = name(&host.cluster, &["pod", &config.namespace, &config.name]);
        let made = docker.create_container(Some(wanted), body).await.map_err(failed("RunPodSandboxError"))?;
        let pod = Pod { id: made.id, node: node.to_owned(), config, folder, volumes: Mutex::default() };
        let started = async {
            docker.start_container(&pod.id, None).await.map_err(failed("RunPodSandboxError"))?;
            pod.wait_for_door(host).await
        };
        if let Err(error) = started.await {
            pod.remove(host).await?;
            return Err(error);
        }
        Ok(pod)
    }

    async fn wait_for_door(&self, host: &Host) -> Result<()> {
        let opened = async {
            while door::knock(&self.door()).await.is_err() {
                host.clock.sleep(LOOK).await;
            }
        };
        let closed = |_| RuntimeError::new("RunPodSandboxError", "the pause container did not come up");
        host.clock.timeout(DOOR_LIMIT, opened).await.map_err(closed)
    }

    /// The folder of the door into its network.
    pub fn door(&self) -> PathBuf {
        self.folder.join("door")
    }

    /// Where its containers look names up, if not where docker says.
    pub fn names(&self) -> Option<Mount> {
        let file = self.folder.join(NAMES);
        file.exists().then(|| bind(&file, "/etc/resolv.conf"))
    }

    /// Its address, as it sees itself: a node has none of its own here.
    pub fn address(&self) -> &str {
        match self.config.namespaces.network {
            Network::Pod => &self.config.ip,
            Network::Node => "127.0.0.1",
        }
    }

    /// Puts a volume in.
    pub async fn set_volume(&self, host: &Host, volume: Volume) -> Result<()> {
        let known = self.volumes.lock().contains_key(&volume.name);
        let folder = self.folder.join("volumes").join(volume.name.replace(['/', '.'], "_"));
        let reason = "CreateContainerConfigError";
        let place = match volume.source {
            VolumeSource::Files(files) => {
                volumes::write_files(&folder, &files, volume.fs_group, host.clock.now()).map_err(refused(reason))?;
                Place::Folder(folder)
            }
            _ if known => return Ok(()),
            VolumeSource::Empty { in_memory: false, .. } => {
                volumes::make_empty(&folder, volume.fs_group).map_err(refused(reason))?;
                Place::Folder(folder)
            }
            VolumeSource::Empty { in_memory: true, size_limit_bytes } => {
                Place::Memory(self.memory(host, size_limit_bytes, volume.fs_group).await?)
            }
            VolumeSource::Host { path, kind } => {
                let path = PathBuf::from(path);
                volumes::check_host(&path, kind).map_err(|why| RuntimeError::new(reason, why))?;
                Place::Folder(path)
            }
            VolumeSource::Image { reference } => {
                let layers = host.images.layers(&reference).await?;
                let missing = || RuntimeError::new(reason, format!("image \"{reference}\" has no files"));
                // An image's files as a volume are those of its last layer; course images have one.
                Place::Folder(layers.into_iter().next_back().ok_or_else(missing)?)
            }
        };
        self.volumes.lock().insert(volume.name, place);
        Ok(())
    }

    /// A volume of docker's in memory, held as long as the Pod is there.
    async fn memory(&self, host: &Host, size: Option<i64>, group: Option<i64>) -> Result<String> {
        let failed = || failed("CreateContainerConfigError");
        let mut options = match group {
            Some(group) => format!("mode=2777,gid={group}"),
            None => "mode=1777".to_owned(),
        };
        if let Some(size) = size {
            options.push_str(&format!(",size={size}"));
        }
        let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", options.as_str())];
        let docker = &host.connected.docker;
        let mut marks = labels::of_pod(&host.cluster, &self.node, "memory", &self.config);
        marks.insert(labels::SANDBOX.to_owned(), self.id.clone());
        let request = VolumeCreateRequest {
            driver: Some("local".to_owned()),
            driver_opts: Some(options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            labels: Some(marks.clone()),
            ..VolumeCreateRequest::default()
        };
        let volume = docker.create_volume(request).await.map_err(failed())?.name;
        let mount = Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.clone()),
            target: Some("/held".to_owned()),
            ..Mount::default()
        };
        let holder = ContainerCreateBody {
            image: Some(host.images.pull(PAUSE, None).await?.docker_id),
            labels: Some(marks),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(vec![mount]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let wanted = name(&host.cluster, &["memory", &self.config.namespace, &self.config.name]);
        let id = docker.create_container(Some(wanted), holder).await.map_err(failed())?.id;
        docker.start_container(&id, None).await.map_err(failed())?;
        Ok(volume)
    }

    /// How a container sees a volume; the error is in words for its status.
    pub fn mount(&self, wanted: &config::Mount) -> std::result::Result<Mount, String> {
        let place = self.volumes.lock().get(&wanted.volume).cloned();
        let place = place.ok_or_else(|| format!("the volume \"{}\" is not there", wanted.volume))?;
        let mut mount = match place {
            Place::Memory(_) if !wanted.sub_path.is_empty() => {
                return Err(format!(
                    "docker cannot show a part of the volume \"{}\", which is in memory",
                    wanted.volume
                ));
            }
            Place::Memory(volume) => Mount { typ: Some(MountType::VOLUME), source: Some(volume), ..Mount::default() },
            Place::Folder(folder) => {
                let source = volumes::sub_path(&folder, &wanted.sub_path).map_err(|fault| {
                    format!("failed to prepare subPath for volumeMount \"{}\": {fault}", wanted.volume)
                })?;
                bind(&source, "")
            }
        };
        mount.target = Some(wanted.container_path.clone());
        mount.read_only = Some(wanted.read_only);
        Ok(mount)
    }

    /// Removes the pause container and what is for this Pod alone.
    pub async fn remove(&self, host: &Host) -> Result<()> {
        let failed = || failed("RemovePodSandboxError");
        let docker = &host.connected.docker;
        labels::remove_container(docker, &self.id).await.map_err(failed())?;
        labels::remove_memory(docker, &host.cluster, &self.id).await.map_err(failed())?;
        host.remove_folder(self.folder.clone()).await;
        Ok(())
    }
}

/// The pause container to be; `wired`: Services are to be reached from it.
fn sandbox(
    host: &Host,
    node: &str,
    config: &SandboxConfig,
    image: String,
    wired: bool,
    door: Mount,
) -> ContainerCreateBody {
    let own_network = config.namespaces.network == Network::Pod;
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(config.ip.clone()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    let some = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
    let program = ["/bin/pause", "--door", &format!("{DOOR}/{}", door::SOCKET)].map(str::to_owned);
    let reachable = |server: &&String| server.parse().is_ok_and(|server| !is_in(server, host.services));
    let servers: Vec<String> = config.dns.servers.iter().filter(reachable).cloned().collect();
    ContainerCreateBody {
        image: Some(image),
        entrypoint: Some(if wired { wire::plug(host, &program) } else { program.into() }),
        hostname: Some(config.hostname.clone()).filter(|name| !name.is_empty()),
        user: Some("0:0".to_owned()),
        labels: Some(labels::of_pod(&host.cluster, node, "sandbox", config)),
        host_config: Some(HostConfig {
            network_mode: Some(if own_network { host.network.clone() } else { "host".to_owned() }),
            ipc_mode: Some(if config.namespaces.ipc == Ipc::Node { "host" } else { "shareable" }.to_owned()),
            pid_mode: (config.namespaces.pid == Processes::Node).then(|| "host".to_owned()),
            shm_size: Some(SHARED_MEMORY_BYTES),
            sysctls: Some(config.sysctls.clone().into_iter().collect()),
            mounts: Some(vec![door]),
            cap_drop: Some(vec!["ALL".to_owned()]),
            // Given up again before it holds anything (`native/inside/docker.rs`).
            cap_add: wired.then(|| vec!["NET_ADMIN".to_owned()]),
            security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
            readonly_rootfs: Some(true),
            dns: some(&servers),
            dns_search: some(&config.dns.searches),
            dns_options: some(&config.dns.options),
            ..HostConfig::default()
        }),
        networking_config: own_network
            .then(|| NetworkingConfig { endpoints_config: Some([(host.network.clone(), endpoint)].into()) }),
        ..ContainerCreateBody::default()
    }
}
