//! The nodes' network, for the loops that make Services and names work in it.
//!
//! In: addresses. Out: sockets that the machine process opened in its own network. An endpoint on loopback
//! is this computer's own: only the API server publishes one, for itself. Chapter: `book/src/inside/runtime.md`.

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

/// A wire to a host's network.
pub struct Wired(pub(super) Arc<Host>);

impl Wired {
    async fn ask(&self, request: ToMachine) -> io::Result<OwnedFd> {
        let socket = self.0.machine.call(request, Vec::new()).await?;
        socket.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no socket came with the answer"))
    }
}

impl Wire for Wired {
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
            if self.0.lacks.nf_tables {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "TUTOR_KERNEL_LACKS says so"));
            }
            let file = process::written(rules)?;
            self.0.machine.call(ToMachine::Filter, vec![file]).await.map(drop)
        }
        .boxed()
    }
}
