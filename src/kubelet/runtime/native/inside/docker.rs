//! What happens in docker's containers so that Services are reached there.
//!
//! Two processes, told apart by the first word after the name. A Pod's pause process is `tutor-plug` in its first moment:
//! it tells the Pod's network who Services are, gives up that right, and becomes `pause`. `tutor-wire` is the one process
//! of a container of the cluster's own: it takes Services' addresses as its own and opens sockets there for tutor, which
//! asks over a socket in a folder that both see. In: words, [`ToMachine`]. Chapter: `book/src/inside/runtime.md`.

use std::fs::{self, Permissions};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::super::messages::{FromInside, ToMachine};
use super::super::wire;
use super::namespaces::net;
use super::namespaces::netlink::Netlink;
use super::sockets;

/// What this program is called in the course's images.
pub const IN_IMAGES: &str = "/tutor";
/// A Pod's pause process to be: the wire's address, the ranges behind it, the program to become, its arguments.
pub const PLUG: &str = "tutor-plug";
/// The wire: the socket to listen on.
pub const WIRE: &str = "tutor-wire";

/// If this process was started to be one of the two, is that until its end.
pub fn main() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (what, words) = words.split_first()?;
    let outcome = match what.as_str() {
        PLUG => plug(words),
        WIRE => serve_all(words),
        _ => return None,
    };
    // Nobody reads what it prints; the number says what the kernel answered.
    let code = |fault: io::Error| fault.raw_os_error().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Some(outcome.map_or_else(|fault| ExitCode::from(code(fault)), |()| ExitCode::SUCCESS))
}

fn plug(words: &[String]) -> io::Result<()> {
    let [gateway, ranges, program, arguments @ ..] = words else { return Err(io::ErrorKind::InvalidInput.into()) };
    let wrong = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let gateway: Ipv4Addr = gateway.parse().map_err(wrong)?;
    let mut network = Netlink::open()?;
    for range in ranges.split(',') {
        let (address, prefix) = range.split_once('/').ok_or(io::ErrorKind::InvalidInput)?;
        let prefix = prefix.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        network.add_route(address.parse().map_err(wrong)?, prefix, gateway)?;
    }
    drop(network);
    // Without new privileges even root gets back at exec only what it still had.
    rustix::thread::set_no_new_privs(true)?;
    let nothing = CapabilitySet::empty();
    let sets = CapabilitySets { effective: nothing, permitted: nothing, inheritable: nothing };
    rustix::thread::set_capabilities(None, sets)?;
    Err(Command::new(program).args(arguments).exec())
}

fn serve_all(words: &[String]) -> io::Result<()> {
    let [path] = words else { return Err(io::ErrorKind::InvalidInput.into()) };
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&listener, &SocketAddrUnix::new(path.as_str())?)?;
    // The folder it is in says who may come.
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    rustix::net::listen(&listener, 1)?;
    loop {
        let visitor = rustix::net::accept_with(&listener, SocketFlags::CLOEXEC)?;
        // However a conversation ends, the next may begin.
        let _ = serve(&visitor);
    }
}

fn serve(visitor: &OwnedFd) -> io::Result<()> {
    while let Some((request, _)) = wire::receive::<ToMachine>(visitor)? {
        let (outcome, file) = match answer(request) {
            Ok(file) => (Ok(()), file),
            Err(fault) => (Err(fault.to_string()), None),
        };
        let beside: Vec<_> = file.iter().map(AsFd::as_fd).collect();
        wire::send(visitor, &FromInside::Answer(outcome), &beside)?;
    }
    Ok(())
}

fn answer(request: ToMachine) -> io::Result<Option<OwnedFd>> {
    match request {
        ToMachine::Own { network, prefix } => net::own(network, prefix).map(|()| None),
        ToMachine::Socket => sockets::stream().map(Some),
        ToMachine::Listen(at) => sockets::listener(at).map(Some),
        ToMachine::Receive(at) => sockets::datagrams(at).map(Some),
        // The network is docker's.
        ToMachine::Node { .. } | ToMachine::Sandbox(_) | ToMachine::Unplug { .. } | ToMachine::Filter => {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}
