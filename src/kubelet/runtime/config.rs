//! What a sandbox and a container shall be, in CRI's terms: data only, no behaviour.
//!
//! In: the kubelet fills these from the Pod (`kubelet/config.rs`), everything resolved: variables put in,
//! names looked up, defaults decided. Out: what a runtime needs to know and no more; a runtime never
//! reads a Pod. Source: CRI `runtime/v1/api.proto`. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;

/// A Pod's sandbox to be. CRI: `PodSandboxConfig`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of the Pod's fields")]
pub struct SandboxConfig {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub hostname: String,
    /// The address the node's IPAM gave it; the node's own with [`Network::Node`].
    pub ip: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// The content of each container's `/etc/resolv.conf`.
    pub dns: Dns,
    /// Which namespaces its containers share.
    pub namespaces: Namespaces,
    /// Kernel parameters by name: `net.core.somaxconn`.
    pub sysctls: BTreeMap<String, String>,
    /// Ports of the node that lead into it.
    pub ports: Vec<PortMapping>,
}

/// Where names are looked up; with no servers, as the node does. CRI: `DNSConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of resolv.conf")]
pub struct Dns {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    /// `ndots:5`
    pub options: Vec<String>,
}

impl Dns {
    /// As the file `/etc/resolv.conf` says it.
    pub fn resolv_conf(&self) -> String {
        let mut text = String::new();
        if !self.searches.is_empty() {
            text.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        for server in &self.servers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        if !self.options.is_empty() {
            text.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        text
    }
}

/// What the containers of a Pod share. CRI: `NamespaceOption`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Namespaces {
    pub network: Network,
    pub pid: Processes,
    pub ipc: Ipc,
}

/// Whose network the Pod has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Its own.
    #[default]
    Pod,
    /// The node's: `hostNetwork`.
    Node,
}

/// Whose processes a container sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processes {
    /// Its own.
    #[default]
    Container,
    /// Those of all containers of the Pod: `shareProcessNamespace`.
    Pod,
    /// All of the node: `hostPID`.
    Node,
}

/// With whom a container shares System V IPC and message queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ipc {
    /// The Pod's other containers.
    #[default]
    Pod,
    /// The node: `hostIPC`.
    Node,
}

/// A port of the node that leads into the Pod. CRI: `PortMapping`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the Pod's fields")]
pub struct PortMapping {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    pub container_port: u16,
    pub host_port: u16,
    /// Empty: all of the node's.
    pub host_ip: String,
}

/// A container to be. CRI: `ContainerConfig`.
#[derive(Clone, Debug, Default)]
pub struct ContainerConfig {
    /// Its name in the Pod.
    pub name: String,
    /// Its image, as pulled.
    pub image: String,
    /// Replaces the image's entry point when not empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments when not empty; with a command, the image's are dropped anyway.
    pub args: Vec<String>,
    /// Replaces the image's when not empty; made when missing.
    pub working_dir: String,
    /// The environment, resolved; the image's own comes under it.
    pub env: Vec<(String, String)>,
    /// How often it was started before: 0 the first time.
    pub attempt: u32,
    /// The ports it says it listens on.
    pub ports: Vec<u16>,
    /// Which of the sandbox's volumes it sees, and where; in this order.
    pub mounts: Vec<Mount>,
    /// What it may use.
    pub resources: Resources,
    /// Who its process is and what it may do.
    pub security: Security,
    /// Keep standard input open for who attaches; otherwise it is at its end from the start.
    pub stdin: bool,
    /// The first who attaches and leaves ends standard input.
    pub stdin_once: bool,
    /// Standard streams are a terminal; its output is all on stdout.
    pub tty: bool,
    /// A file whose content becomes [`Exit::message`](super::Exit); empty: none.
    pub termination_message_path: String,
    /// What asks it to stop, `SIGUSR1`; empty: as the image says, else `SIGTERM`.
    pub stop_signal: String,
    /// Shares the processes of this container of the sandbox, by id (an ephemeral container's target).
    pub target: Option<String>,
    /// How much output is kept.
    pub logs: LogPolicy,
}

/// What a container may use. CRI: `LinuxContainerResources`. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Its weight when CPU is short, in thousandths of a core.
    pub cpu_request_millis: i64,
    /// Above this it waits for the next period.
    pub cpu_limit_millis: Option<i64>,
    /// Above this it is killed.
    pub memory_limit_bytes: Option<i64>,
    /// Processes and threads at once.
    pub pids_limit: Option<i64>,
    /// Who is killed first when the node has no memory left: -997 (last) to 1000.
    pub oom_score_adj: i32,
}

/// Who a container's process is and what it may do. CRI: `LinuxContainerSecurityContext`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Replaces the image's user.
    pub user: Option<i64>,
    /// Replaces the user's primary group; only heeded with a user, as in Kubernetes.
    pub group: Option<i64>,
    /// Further groups, `fsGroup` among them.
    pub supplemental_groups: Vec<i64>,
    /// Sees and may do everything; the fields after it do not count.
    pub privileged: bool,
    /// Only volumes can be written.
    pub read_only_root_filesystem: bool,
    /// A setuid program or a file capability gives nothing: `allowPrivilegeEscalation: false`.
    pub no_new_privileges: bool,
    /// Added to the default set: `NET_ADMIN`, `ALL`.
    pub capabilities_add: Vec<String>,
    /// Taken away from it.
    pub capabilities_drop: Vec<String>,
    /// Which system calls it may make.
    pub seccomp: Seccomp,
    /// `/proc` without its masks: `procMount: Unmasked`.
    pub unmasked_proc: bool,
}

/// Which system calls a container may make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// The runtime's default filter.
    #[default]
    RuntimeDefault,
    /// All.
    Unconfined,
    /// As a profile in this file of the node says.
    Localhost(String),
}

/// How much of a container's output is kept. CRI leaves this to the kubelet, which asks a runtime to
/// open a new file; here the runtime that writes the files turns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPolicy {
    /// A file that is larger is closed and a new one begun.
    pub max_file_bytes: u64,
    /// Files kept, the one being written among them.
    pub max_files: usize,
}

impl Default for LogPolicy {
    /// Source: kubelet `containerLogMaxSize`, `containerLogMaxFiles`.
    fn default() -> Self {
        LogPolicy { max_file_bytes: 10 * 1024 * 1024, max_files: 5 }
    }
}

/// Where a volume shows in a container. CRI: `Mount`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The [`Volume`]'s name in the sandbox.
    pub volume: String,
    /// Absolute path in the container.
    pub container_path: String,
    /// Only this file or folder of the volume; empty: all of it. A folder that is missing is made. It
    /// must not lead out of the volume, also not through links. A file shown this way does not change
    /// when the volume does.
    pub sub_path: String,
    /// It cannot be written through this mount.
    pub read_only: bool,
    /// Which later mounts it passes on.
    pub propagation: Propagation,
}

/// Which later mounts a mount passes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// None.
    #[default]
    Private,
    /// The node's to the container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// Files that a sandbox's containers can mount. It lives until the sandbox is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name in the sandbox.
    pub name: String,
    /// What is in it.
    pub source: VolumeSource,
    /// The group that owns it and may write it: `fsGroup`. Does not change a host's folder.
    pub fs_group: Option<i64>,
}

/// What is in a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the Pod's fields")]
pub enum VolumeSource {
    /// Empty at first, writable by all. `in_memory`: a tmpfs.
    Empty { in_memory: bool, size_limit_bytes: Option<i64> },
    /// Exactly these files, by path in the volume; given again, they replace what was there at once, as
    /// the kubelet's `..data` link does: a reader sees all of the old or all of the new ones.
    Files(BTreeMap<String, VolumeFile>),
    /// A path of the machine.
    Host { path: String, kind: HostPathKind },
    /// An image's files, read-only.
    Image { reference: String },
}

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct VolumeFile {
    pub content: Vec<u8>,
    /// Permission bits, `0o644`.
    pub mode: u32,
    /// Its owner; `None`: root.
    pub owner: Option<i64>,
}

/// What has to be at a host's path. Source: `HostPathType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the API")]
pub enum HostPathKind {
    /// Not checked.
    #[default]
    Any,
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_says_where_names_are_looked_up() {
        let dns = Dns {
            servers: vec!["10.96.0.10".into()],
            searches: vec!["a.svc.cluster.local".into(), "svc.cluster.local".into()],
            options: vec!["ndots:5".into()],
        };
        let text = "search a.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
        assert_eq!(dns.resolv_conf(), text);
    }
}
