//! Sockets for somebody outside: opened here, used there.
//!
//! A socket belongs to the network it was opened in, wherever it is used afterwards. In: an address.
//! Out: an open socket that does not block. Source: socket(7). Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// Connections that may wait to be accepted. Source: Go's `net`, the kernel's `somaxconn`.
const BACKLOG: i32 = 4096;

/// To connect with.
pub fn stream() -> io::Result<OwnedFd> {
    open(SocketType::STREAM)
}

/// To accept from.
pub fn listener(at: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = open(SocketType::STREAM)?;
    // Connections of an earlier listener that linger are no reason to refuse.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &at)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// To take datagrams from.
pub fn datagrams(at: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = open(SocketType::DGRAM)?;
    rustix::net::bind(&socket, &at)?;
    Ok(socket)
}

fn open(kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?)
}
