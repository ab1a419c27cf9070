//! The way to Services: a container of the cluster's own, whose addresses theirs are.
//!
//! In: docker's network. Out: a [`Wire`] into it, for kube-proxy and the name server, which run in tutor. Each Pod sends
//! what is for a Service or a node to this container (`native/inside/docker.rs` puts the route there). In it nothing
//! decides anything: it opens sockets at those addresses and hands them over, through a socket in a folder that it shares
//! with tutor. Nothing listens on this computer's own addresses. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkingConfig};
use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::host::{Host, PAUSE, bind};
use super::words::said;
use super::{labels, pod};
use crate::kubelet::runtime::native::connection::{Caller, Connection};
use crate::kubelet::runtime::native::inside::docker::{IN_IMAGES, PLUG, WIRE};
use crate::kubelet::runtime::native::messages::ToMachine;
use crate::kubelet::runtime::native::wired::{Opener, Wired};
use crate::network::Wire;

/// Its label, and its folder's name.
const KIND: &str = "wire";
/// Where it is asked, in the container.
const DOOR: &str = "/door";
/// The socket there.
const SOCKET: &str = "socket";
/// How long it may take to be there.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// The container, to be asked.
struct Switchboard(Caller<ToMachine>);

impl Opener for Switchboard {
    fn call(&self, request: ToMachine, files: Vec<OwnedFd>) -> BoxFuture<'_, io::Result<Option<OwnedFd>>> {
        self.0.call(request, files).boxed()
    }

    fn takes_no_rules(&self) -> Option<&'static str> {
        Some("the Pods' network is docker's")
    }
}

/// The last address of the Pods' range but one: no node's Pod gets it, and docker's own is the first.
pub fn address((network, prefix): (Ipv4Addr, u8)) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Ipv4Addr::from((u32::from(network) | hosts).saturating_sub(1))
}

/// The words by which a Pod's first process makes Services reachable before it becomes `program`.
pub fn plug(host: &Host, program: &[String]) -> Vec<String> {
    let ranges = [host.services, host.nodes].map(|(network, prefix)| format!("{network}/{prefix}")).join(",");
    let words = [IN_IMAGES.to_owned(), PLUG.to_owned(), address(host.pods).to_string(), ranges];
    words.into_iter().chain(program.iter().cloned()).collect()
}

/// Starts it.
///
/// # Errors
/// Why docker or the kernel would not have it.
pub async fn start(host: &Host) -> Result<Arc<dyn Wire>, String> {
    let docker = &host.connected.docker;
    labels::remove_kind(docker, &host.cluster, KIND).await.map_err(|error| said(&error))?;
    let folder = host.pod_folder(KIND);
    let made = fs::create_dir_all(&folder)
        // Its process is root without root's power over files.
        .and_then(|()| fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)));
    made.map_err(|fault| fault.to_string())?;
    let image = host.images.pull(PAUSE, None).await.map_err(|error| error.message)?;
    let wanted = pod::name(&host.cluster, &[KIND]);
    let made = docker.create_container(Some(wanted), container(host, image.docker_id, &folder)).await;
    let id = made.map_err(|error| said(&error))?.id;
    let begun = async {
        docker.start_container(&id, None).await.map_err(|error| said(&error))?;
        let socket = async {
            loop {
                match connect(&folder) {
                    Ok(socket) => return socket,
                    Err(_) => host.clock.sleep(LOOK).await,
                }
            }
        };
        let late = |_| "the container that stands for Services did not come up".to_owned();
        let socket = host.clock.timeout(LIMIT, socket).await.map_err(late)?;
        let connection = Connection::new(socket).map_err(|fault| fault.to_string())?;
        let caller = Caller::new(connection, &host.tasks, "docker wire", |_| {});
        for (network, prefix) in [host.services, host.nodes] {
            let own = caller.call(ToMachine::Own { network, prefix }, Vec::new()).await;
            own.map_err(|fault| format!("the range {network}/{prefix}: {fault}"))?;
        }
        Ok(Arc::new(Wired(Switchboard(caller))) as Arc<dyn Wire>)
    };
    let begun = begun.await;
    if begun.is_err() {
        // The next start, or the end of this one, removes what is left.
        let _ = labels::remove_container(docker, &id).await;
    }
    begun
}

fn connect(folder: &Path) -> io::Result<OwnedFd> {
    // A socket's path has room for about 100 characters, and a state folder may be deep.
    let opened = fs::File::open(folder)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd());
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path.as_str())?)?;
    Ok(socket)
}

fn container(host: &Host, image: String, folder: &Path) -> ContainerCreateBody {
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(address(host.pods).to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        image: Some(image),
        entrypoint: Some([IN_IMAGES, WIRE, &format!("{DOOR}/{SOCKET}")].map(str::to_owned).into()),
        user: Some("0:0".to_owned()),
        labels: Some(labels::of(&host.cluster, KIND)),
        host_config: Some(HostConfig {
            network_mode: Some(host.network.clone()),
            mounts: Some(vec![bind(folder, DOOR)]),
            cap_drop: Some(vec!["ALL".to_owned()]),
            // Over its own network, which is docker's and holds nothing of this computer's.
            cap_add: Some(["NET_ADMIN", "NET_BIND_SERVICE"].map(str::to_owned).into()),
            security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
            readonly_rootfs: Some(true),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig { endpoints_config: Some([(host.network.clone(), endpoint)].into()) }),
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_is_at_the_end_of_the_range() {
        assert_eq!(address((Ipv4Addr::new(10, 244, 0, 0), 16)), Ipv4Addr::new(10, 244, 255, 254));
        assert_eq!(address((Ipv4Addr::new(10, 9, 8, 0), 24)), Ipv4Addr::new(10, 9, 8, 254));
    }
}
