//! This computer as the native runtime uses it: one machine process, its nodes' switches, its groups.
//!
//! In: where state is kept and which executable is tutor. Out: a runtime for each node, all on the same
//! machine. When it starts it first removes what an earlier one left (`ledger.rs`); when it
//! stops nothing is left. Chapter: `book/src/inside/runtime.md`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::images::Images;
use super::kernel::Lacks;
use super::ledger::Ledger;
use super::limits::Groups;
use super::machine::Machine;
use super::messages::{Network, ToMachine};
use super::program::{self, Program};
use super::wired::Wired;
use super::{Native, volumes};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::kubelet::runtime::Runtime;
use crate::network::Wire;
use crate::tasks::TaskGroup;

/// Where and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder for Pods' files and the record of what runs; made, and nobody else's.
    pub folder: PathBuf,
    /// tutor's executable; another program's is refused.
    pub program: PathBuf,
    /// The source of time.
    pub clock: Clock,
    /// What is not asked of the kernel.
    pub lacks: Lacks,
}

impl Options {
    /// State in `folder`; the executable is the one that runs now. By the kernel's name for it, which
    /// stays the same file when a new tutor is installed over it.
    pub fn new(folder: PathBuf, clock: Clock) -> Options {
        Options { folder, program: PathBuf::from(program::OWN), clock, lacks: Lacks::of_environment() }
    }
}

/// The host of all nodes.
pub struct Host {
    pub(super) machine: Machine,
    pub(super) groups: Groups,
    pub(super) clock: Clock,
    pub(super) tasks: TaskGroup,
    pub(super) lacks: Lacks,
    folder: PathBuf,
    nodes: Mutex<HashMap<String, Arc<Native>>>,
}

/// A node's switch: where its Pods are plugged in.
#[derive(Clone, Debug)]
pub struct Switch {
    bridge: String,
    gateway: Ipv4Addr,
    prefix: u8,
    address: Option<Ipv4Addr>,
}

/// Where a node is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its name.
    pub node: &'a str,
    /// The range of its Pods' addresses.
    pub pod_cidr: &'a str,
    /// Its own address.
    pub address: &'a str,
}

impl Host {
    /// Cleans up after an earlier one and starts the machine process.
    ///
    /// # Errors
    /// When the kernel refuses a namespace: which, why, and the command that mends it. When the executable cannot be tutor.
    pub async fn start(options: Options, tasks: &TaskGroup) -> Result<Host> {
        let program = Program::new(&options.program)?;
        let tasks = tasks.child();
        let unusable = |fault: io::Error| {
            Error::new("the native runtime cannot keep its state", fault.to_string())
                .hint(format!("look at {}", options.folder.display()))
        };
        Ledger::clean(&options.folder, options.clock, &tasks).await.map_err(unusable)?;
        fs::create_dir_all(options.folder.join("pods")).map_err(unusable)?;
        let machine = Machine::start(&program, options.clock, &tasks).await.map_err(super::doctor::refused)?;
        let groups = Groups::find(&format!("tutor-{}", machine.pid));
        Ledger::new(machine.pid, groups.folders()).write(&options.folder).map_err(unusable)?;
        let nodes = Mutex::default();
        let Options { folder, clock, lacks, .. } = options;
        Ok(Host { machine, groups, clock, tasks, lacks, folder, nodes })
    }

    /// The runtime of a node whose Pods get addresses of `pod_cidr`.
    ///
    /// # Errors
    /// When the range cannot be read.
    pub fn node(self: &Arc<Self>, place: &Place<'_>, images: Arc<dyn Images>) -> Result<Arc<dyn Runtime>> {
        let unreadable = || Error::new(format!("the node {} has no network", place.node), "its range cannot be read");
        let (gateway, prefix) = gateway(place.pod_cidr).ok_or_else(unreadable)?;
        let bridge = bridge_name(place.node);
        let switch = Switch { bridge, gateway, prefix, address: place.address.parse().ok() };
        let native = Arc::new(Native::new(self.clone(), images, switch));
        self.nodes.lock().insert(place.node.to_owned(), native.clone());
        Ok(native)
    }

    /// Pulls a node's plug: its Pods are gone at once, without a word.
    pub fn power_off(&self, node: &str) {
        let native = self.nodes.lock().remove(node);
        if let Some(native) = native {
            native.power_off();
        }
    }

    /// The nodes' network, in which the addresses of `services` are the machine's own.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn wire(self: &Arc<Self>, services: (Ipv4Addr, u8)) -> Result<Arc<dyn Wire>> {
        let (network, prefix) = services;
        self.machine.call(ToMachine::Own { network, prefix }, Vec::new()).await.map_err(|fault| {
            Error::new("Services cannot have addresses", format!("the range {network}/{prefix}: {fault}"))
                .hint("go on without processes: tutor serve --runtime simulated")
        })?;
        Ok(Arc::new(Wired(self.clone())))
    }

    /// Makes a node's switch if it is not there yet.
    pub(super) async fn plug_in(&self, switch: &Switch) -> io::Result<()> {
        let Switch { bridge, gateway, prefix, address } = switch.clone();
        let request = ToMachine::Node { bridge, gateway, prefix, address };
        self.machine.call(request, Vec::new()).await.map(drop)
    }

    /// The number of the machine process.
    pub fn process(&self) -> u32 {
        self.machine.pid
    }

    /// The control groups that hold all containers' groups.
    pub fn group_folders(&self) -> Vec<PathBuf> {
        self.groups.folders()
    }

    /// What is limited by the kernel, and what tutor watches itself, for a reader.
    pub fn limits_said(&self) -> String {
        let all = [("memory", "memory"), ("cpu", "cpu"), ("pids", "processes")];
        let limited: Vec<_> = all.iter().filter(|(name, _)| self.groups.limits(name)).map(|(_, said)| *said).collect();
        let by_kernel = if limited.is_empty() { "nothing".to_owned() } else { limited.join(", ") };
        let why = self.groups.why_not().map(|why| format!(" ({why})")).unwrap_or_default();
        let watched = match (limited.contains(&"memory"), limited.contains(&"cpu")) {
            (true, true) => "",
            (false, true) => "; tutor measures memory itself, and kills",
            (true, false) => "; tutor measures CPU time itself, and lets processes pause",
            (false, false) => "; tutor measures memory and CPU time itself, and kills or lets processes pause",
        };
        format!("the kernel limits {by_kernel}{why}{watched}")
    }

    pub(super) fn pod_folder(&self, id: &str) -> PathBuf {
        self.folder.join("pods").join(&id[..12])
    }

    pub(super) async fn remove_folder(&self, folder: PathBuf) {
        let removed = self.tasks.blocking(move || volumes::remove(&folder)).await;
        if let Err(fault) = removed {
            tracing::warn!(%fault, "a Pod's folder could not be removed");
        }
    }

    /// Ends everything and removes what it used.
    pub async fn stop(&self) {
        self.nodes.lock().clear();
        self.machine.stop().await;
        if let Err(fault) = Ledger::clean(&self.folder, self.clock, &self.tasks).await {
            tracing::warn!(%fault, "what the native runtime used could not all be removed");
        }
    }
}

impl Switch {
    /// A Pod's place on it.
    pub(super) fn cable(&self, address: &str, id: &str) -> io::Result<Network> {
        let wrong = |_| io::Error::new(io::ErrorKind::InvalidInput, format!("{address} is no address"));
        Ok(Network {
            bridge: self.bridge.clone(),
            address: address.parse().map_err(wrong)?,
            prefix: self.prefix,
            gateway: self.gateway,
            cable: format!("pod{}", &id[..11]),
        })
    }
}

/// The first address of a range, which is the gateway's, and the range's prefix.
fn gateway(cidr: &str) -> Option<(Ipv4Addr, u8)> {
    let (network, prefix) = cidr.split_once('/')?;
    let network: Ipv4Addr = network.parse().ok()?;
    Some((Ipv4Addr::from(u32::from(network) + 1), prefix.parse().ok()?))
}

/// A card's name has at most 15 characters.
fn bridge_name(node: &str) -> String {
    if node.len() <= 15 && node.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return node.to_owned();
    }
    use sha2::{Digest, Sha256};
    let digest: String = Sha256::digest(node.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("br-{digest}")
}
