//! What the runtime's processes say to each other, and the plan of a process to be.
//!
//! Plain data, each sent with [`super::wire`]. Chapter: `book/src/inside/runtime.md`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// tutor to the machine. Each is answered by one [`FromInside::Answer`], in order.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToMachine {
    /// Makes a node's bridge: its Pods' switch and gateway.
    Node { bridge: String, gateway: Ipv4Addr, prefix: u8, address: Option<Ipv4Addr> },
    /// Makes a Pod's namespaces and starts its pause process. Beside it: the pause's end of a socket.
    Sandbox(SandboxPlan),
    /// Opens a socket in the machine's own network, where the kubelets live. It comes with the answer.
    Socket,
    /// Takes a range of addresses as its own: whatever is sent there comes to it.
    Own { network: Ipv4Addr, prefix: u8 },
    /// Opens a socket there that listens. It comes with the answer.
    Listen(SocketAddrV4),
    /// Opens a socket there for datagrams. It comes with the answer.
    Receive(SocketAddrV4),
    /// Removes a Pod's cable, and with it its address.
    Unplug { cable: String },
    /// Replaces the rules of its packet filter. Beside it: a file with the new ones as JSON.
    Filter,
}

/// A Pod's sandbox to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// What its processes see as their host's name.
    pub hostname: String,
    /// Its own network; none: it shares the machine's (`hostNetwork`).
    pub network: Option<Network>,
    /// Kernel parameters by name: `net.core.somaxconn`.
    pub sysctls: BTreeMap<String, String>,
}

/// Where a Pod is plugged in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    pub bridge: String,
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub gateway: Ipv4Addr,
    /// The name of the cable's end on the bridge.
    pub cable: String,
}

/// tutor to a Pod's pause process. Each is answered by one [`FromInside::Answer`], in order.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToPause {
    /// Starts a process that will become a container. Beside it: its end of a socket, over which it gets a [`Birth`].
    /// With a process number space of its own, unless the Pod shares one.
    Start { token: u64, own_pids: bool },
    /// Starts a process among those of a container. Beside it: its end of a socket.
    Join { token: u64, container: u64 },
    /// Opens a socket in the Pod's network. It comes with the answer.
    Socket,
    /// Makes a folder one in memory, of at most so many bytes; containers started later see it.
    Memory { folder: PathBuf, size: Option<u64> },
}

/// The machine or a pause process to tutor.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromInside {
    Answer(Answer),
    /// The process started with this token ended. As `wait(2)` tells it: exit code, or signal.
    Ended {
        token: u64,
        code: Option<i32>,
        signal: Option<i32>,
    },
}

/// What came of a request: done, or why not.
pub type Answer = Result<(), String>;

/// tutor to a process that is to become a container's, or to join one. Beside it, in this order: a file
/// with the [`Plan`] as JSON, standard input, output and error (none with a terminal), the control
/// groups to enter, and for [`Birth::joins`] last the process to join.
#[derive(Debug, Serialize, Deserialize)]
pub struct Birth {
    pub groups: usize,
    pub joins: bool,
}

/// From that process to tutor; when the socket closes without a `Failed`, the program runs.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromBirth {
    /// It is complete but for the program. Beside it: the process, and with a terminal its other end.
    Ready,
    /// It could not; the process ends.
    Failed { why: String, code: i32 },
}

/// A process to be, wholly decided: whoever carries it out has no choices left.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// The program and its arguments.
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// The folder it starts in; made if it is missing.
    pub working_dir: String,
    /// `uid`, `uid:gid`, or names of the image's `/etc/passwd`.
    pub user: String,
    /// The user if `user` does not name a group.
    pub gid: Option<u32>,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Capabilities to keep: `NET_BIND_SERVICE`.
    pub capabilities: Vec<String>,
    /// Nothing is masked, dropped or filtered.
    pub privileged: bool,
    /// The kernel's own files are not masked.
    pub unmasked: bool,
    /// Filters system calls.
    pub seccomp: bool,
    /// Resource limits by name: soft and hard.
    pub rlimits: BTreeMap<String, (u64, u64)>,
    /// Who the kernel kills first when memory runs out.
    pub oom_score_adj: i32,
    /// Has a terminal of this size: rows, columns.
    pub terminal: Option<(u16, u16)>,
    /// Its files; none for a process that joins a container.
    pub files: Option<Files>,
}

/// A container's tree of files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// The image's layers, unpacked, lowest first.
    pub layers: Vec<PathBuf>,
    /// The container's own folder: what it writes goes there.
    pub folder: PathBuf,
    /// How the layers become one tree.
    pub lay: Lay,
    /// Nothing but volumes can be written to.
    pub read_only: bool,
    /// Its volumes, in the order they are mounted.
    pub mounts: Vec<Mount>,
    /// The Pod's shared memory.
    pub shm: Option<PathBuf>,
}

/// How layers become one tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lay {
    /// One over the other, by overlayfs; copied where the kernel refuses that.
    #[default]
    Over,
    /// Copied.
    Copy,
}

/// A file or folder of the host that the container sees.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where it shows in the container.
    pub target: PathBuf,
    /// It cannot be written there.
    pub read_only: bool,
}
