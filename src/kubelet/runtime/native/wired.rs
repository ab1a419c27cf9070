//! The nodes' network, for the loops that make Services and names work in it.
//!
//! In: addresses. Out: sockets that somebody in that network opened there: the machine process of native containers, a
//! container of the cluster's own on docker. An endpoint on loopback is this computer's own: only the API server
//! publishes one, for itself. Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use super::messages::ToMachine;
use super::{Host, process};
use crate::network::Wire;
use crate::network::rules::Ruleset;

/// Somebody in the nodes' network who does what is asked.
pub trait Opener: Send + Sync {
    /// Asks; a socket may come with the answer.
    fn call(&self, request: ToMachine, files: Vec<OwnedFd>) -> BoxFuture<'_, io::Result<Option<OwnedFd>>>;
    /// Why no rules for packets can be given there, if it is known beforehand.
    fn takes_no_rules(&self) -> Option<&'static str>;
}

impl Opener for Arc<Host> {
    fn call(&self, request: ToMachine, files: Vec<OwnedFd>) -> BoxFuture<'_, io::Result<Option<OwnedFd>>> {
        self.machine.call(request, files).boxed()
    }

    fn takes_no_rules(&self) -> Option<&'static str> {
        self.lacks.nf_tables.then_some("TUTOR_KERNEL_LACKS says so")
    }
}

/// A wire to the network that somebody is in.
pub struct Wired<By>(pub By);

impl<By: Opener> Wired<By> {
    async fn ask(&self, request: ToMachine) -> io::Result<OwnedFd> {
        let socket = self.0.call(request, Vec::new()).await?;
        socket.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no socket came with the answer"))
    }
}

impl<By: Opener> Wire for Wired<By> {
    fn listen(&self, at: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpListener>> {
        async move {
            let socket = self.ask(ToMachine::Listen(at)).await?;
            TcpListener::from_std(socket.into())
        }
        .boxed()
    }

    fn receive(&self, at: SocketAddrV4) -> BoxFuture<'_, io::Result<UdpSocket>> {
        async move {
            let socket = self.ask(ToMachine::Receive(at)).await?;
            UdpSocket::from_std(socket.into())
        }
        .boxed()
    }

    fn connect(&self, to: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>> {
        async move {
            if to.ip().is_loopback() {
                return TcpStream::connect(to).await;
            }
            let socket = self.ask(ToMachine::Socket).await?;
            TcpSocket::from_std_stream(socket.into()).connect(to.into()).await
        }
        .boxed()
    }

    fn filter<'a>(&'a self, rules: &'a Ruleset) -> BoxFuture<'a, io::Result<()>> {
        async move {
            if let Some(why) = self.0.takes_no_rules() {
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
            let file = process::written(rules)?;
            self.0.call(ToMachine::Filter, vec![file]).await.map(drop)
        }
        .boxed()
    }
}
