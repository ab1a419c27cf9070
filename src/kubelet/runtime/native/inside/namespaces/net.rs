//! The network namespace: cards, addresses, routes and ports of its own.
//!
//! Without it: two containers cannot both listen on port 80, and a container reaches whatever listens on
//! the host's loopback, the API server's neighbours among it. A new namespace has one card, loopback,
//! and it is down. So a cable (veth) is made: one end in the Pod, called `eth0`, the other end plugged
//! into a bridge, the node's switch. Between all Pods the machine routes, also between two on one bridge, so that
//! its packet filter (`netfilter.rs`) sees what goes from one to the other.
//! Source: network_namespaces(7), veth(4), rtnetlink(7). Chapter: `book/src/inside/network.md`.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use nix::sched::{CloneFlags, unshare};
use rustix::thread::LinkNameSpaceType;

use super::super::super::messages::Network;
use super::netlink::Netlink;

/// The machine's own network: loopback, and routing between the bridges to come.
pub fn enter() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    Netlink::open()?.set_up("lo")?;
    // Two Pods on one bridge must not be told of the short way between them.
    for cards in ["all", "default"] {
        fs::write(format!("/proc/sys/net/ipv4/conf/{cards}/send_redirects"), "0")?;
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")
}

/// A node's bridge with the gateway's address of its Pods' range, and the node's own address. One that is
/// there already stays: a node that lost its power has not lost its cable.
pub fn add_node(bridge: &str, gateway: Ipv4Addr, prefix: u8, address: Option<Ipv4Addr>) -> io::Result<()> {
    let mut network = Netlink::open()?;
    match network.add_bridge(bridge) {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    network.add_address(bridge, gateway, prefix)?;
    if let Some(address) = address {
        network.add_address(bridge, address, 32)?;
    }
    network.set_up(bridge)
}

/// Makes a range of addresses the machine's own, as if each were a card's: Services' addresses, which no
/// card has.
pub fn own(network: Ipv4Addr, prefix: u8) -> io::Result<()> {
    Netlink::open()?.add_local_range(network, prefix)
}

/// Runs `inside` in a new network that is plugged into a bridge of ours, then comes back. What `inside`
/// starts stays there, and the network lives as long as it does.
pub fn with_new<T>(plug: &Network, inside: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let ours = File::open("/proc/self/ns/net")?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    let outcome = plug_in(plug, &ours).and_then(|()| inside());
    rustix::thread::move_into_link_name_space(ours.as_fd(), Some(LinkNameSpaceType::Network))?;
    let outcome = outcome?;
    let mut network = Netlink::open()?;
    network.set_master(&plug.cable, &plug.bridge)?;
    network.isolate(&plug.cable)?;
    network.set_up(&plug.cable)?;
    Ok(outcome)
}

fn plug_in(plug: &Network, outside: &File) -> io::Result<()> {
    let mut network = Netlink::open()?;
    network.add_cable("eth0", &plug.cable, outside.as_fd())?;
    network.set_up("lo")?;
    network.add_lonely_address("eth0", plug.address, plug.prefix)?;
    network.set_up("eth0")?;
    network.add_neighbour_route("eth0", plug.gateway)?;
    network.add_default_route(plug.gateway)
}

/// Removes a cable by its end on the bridge; the other end goes with it. One that is gone is gone.
pub fn unplug(cable: &str) -> io::Result<()> {
    let mut network = Netlink::open()?;
    match network.remove(cable) {
        Err(fault) if fault.raw_os_error() == Some(nix::libc::ENODEV) => Ok(()),
        removed => removed,
    }
}
