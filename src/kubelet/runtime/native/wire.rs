//! How the runtime's processes talk: one datagram a message, with open files beside it.
//!
//! In: a value and file descriptors; out, in another process: the same value, and descriptors of its
//! own for the same open files (`SCM_RIGHTS`, unix(7)). A socket, a pipe, a terminal or a process can be
//! handed over like that, also across every namespace: it was opened once, where that was possible, and
//! stays what it is. Nothing here knows what the messages mean. Chapter: `book/src/inside/runtime.md`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message. What may be longer (a container's environment) travels in a file.
const LONGEST: usize = 64 * 1024;
/// The most files beside one message.
pub const MOST_FILES: usize = 16;

/// Two connected ends. An end that nobody holds any more reads as closed on the other side, however its
/// holder ended: that is how each process here learns that its parent is gone.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a message.
pub fn send(socket: impl AsFd, message: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > LONGEST || files.len() > MOST_FILES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        beside.push(SendAncillaryMessage::ScmRights(files));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a message with its files; `None` when the other end is gone.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let buffer = &mut [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(&socket, buffer, &mut beside, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received.bytes,
            Err(rustix::io::Errno::INTR) => {}
            // The other end died with messages of ours unread.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            Err(fault) => return Err(fault.into()),
        }
    };
    let mut files = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    if received == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&bytes[..received])?, files)))
}
