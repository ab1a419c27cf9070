//! How Pods get addresses, and how they reach each other by Service and by name.
//!
//! In: each node's range; Services, EndpointSlices, NetworkPolicies; a [`Wire`] to the network of the nodes. Out:
//! addresses, [`proxy`] (what kube-proxy is in other clusters, and what enforces NetworkPolicies) and [`server`]
//! (what CoreDNS is). Knows no runtime: who has a network gives it a wire. Chapter: `book/src/inside/network.md`.

mod carry;
mod datagrams;
pub mod dns;
pub mod door;
pub mod filter;
pub mod ipam;
pub mod policy;
pub mod proxy;
pub mod rules;
pub mod server;
pub mod services;

use std::io;
use std::net::SocketAddrV4;

use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// The network in which nodes and Pods are, for somebody who is not in it.
pub trait Wire: Send + Sync {
    /// Listens there.
    fn listen(&self, at: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpListener>>;
    /// Takes datagrams there.
    fn receive(&self, at: SocketAddrV4) -> BoxFuture<'_, io::Result<UdpSocket>>;
    /// Connects to somebody there.
    fn connect(&self, to: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>>;
    /// Gives the kernel there these rules in place of all others.
    fn filter<'a>(&'a self, rules: &'a rules::Ruleset) -> BoxFuture<'a, io::Result<()>>;
}
