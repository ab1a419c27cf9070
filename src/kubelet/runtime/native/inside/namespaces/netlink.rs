//! The few sentences of rtnetlink(7) that a container's network needs.
//!
//! In: names and addresses; out: messages to the kernel, each acknowledged before the call returns.
//! A message is a header, a fixed part for its subject, and attributes (length, kind, value, padded
//! to four bytes), which may hold attributes. The numbers are the kernel's (`linux/rtnetlink.h`,
//! `linux/if_link.h`). A socket speaks for the network namespace it was opened in.
//! Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const NEW_LINK: u16 = 16;
const REMOVE_LINK: u16 = 17;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
/// The kind of an answer; its first word is 0 or an error number, negated.
const ERROR: u16 = 2;

const REQUEST: u16 = 0x1;
const REQUEST_AND_ACKNOWLEDGE: u16 = REQUEST | 0x4;
const CREATE_NEW: u16 = 0x400 | 0x200;

const LINK_NAME: u16 = 3;
const LINK_MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const LINK_INFO_KIND: u16 = 1;
const LINK_INFO_DATA: u16 = 2;
const LINK_NAMESPACE_FILE: u16 = 28;
const LINK_OF_BRIDGE: u16 = 12 | NESTED;
const BRIDGE_PORT_ISOLATED: u16 = 33;
const CABLE_PEER: u16 = 1;
const ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_FLAGS: u16 = 8;
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_CARD: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
/// Who made a route. The kernel's own word for that is 2.
const BY_ADMINISTRATOR: u8 = 4;

/// Says of an attribute that it holds others.
pub(super) const NESTED: u16 = 0x8000;

const INET: u8 = 2;
const BRIDGE: u8 = 7;
const UP: u32 = 1;

/// A conversation with the kernel about one network namespace.
pub struct Netlink {
    socket: OwnedFd,
}

/// A message in the making.
pub(super) struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        Message::silent(kind, REQUEST_AND_ACKNOWLEDGE | flags, fixed)
    }

    /// One that is answered only if `flags` ask for it, or when it cannot be done.
    pub(super) fn silent(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Message(bytes)
    }

    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Message {
        self.0.extend((value.len() as u16 + 4).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn named(self, name: &str) -> Message {
        self.with(LINK_NAME, &[name.as_bytes(), &[0]].concat())
    }

    pub(super) fn finished(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }

    /// The attributes alone, to be the value of another.
    pub(super) fn nested(inside: impl FnOnce(Message) -> Message) -> Vec<u8> {
        // With room from the start, and not only for speed: an empty Vec is a constant, and rustc before 1.97 hands the
        // same one, already written to, to the next closure (rust-lang/rust#155241). Memory was freed twice then.
        inside(Message(Vec::with_capacity(64))).0
    }
}

/// The fixed part about a card: which, and whether it is up.
fn card(index: u32, up: Option<bool>) -> Vec<u8> {
    let mut fixed = vec![0; 4];
    fixed.extend(index.to_ne_bytes());
    fixed.extend(if up == Some(true) { UP } else { 0 }.to_ne_bytes());
    fixed.extend(if up.is_some() { UP } else { 0 }.to_ne_bytes());
    fixed
}

impl Netlink {
    /// Speaks for the network namespace the caller is in.
    pub fn open() -> io::Result<Netlink> {
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Netlink { socket })
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.socket, name)?)
    }

    fn ask(&mut self, message: Message) -> io::Result<()> {
        rustix::net::send(&self.socket, &message.finished(), SendFlags::empty())?;
        let mut answer = [0; 4096];
        let (length, _) = rustix::net::recv(&self.socket, &mut answer, RecvFlags::empty())?;
        let word = |at: usize| answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        match word(16) {
            Some(0) if kind == ERROR && length >= 20 => Ok(()),
            Some(code) if kind == ERROR => Err(io::Error::from_raw_os_error(-code)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is none")),
        }
    }

    /// Makes a switch.
    pub fn add_bridge(&mut self, name: &str) -> io::Result<()> {
        let info = Message::nested(|it| it.with(LINK_INFO_KIND, b"bridge"));
        self.ask(Message::new(NEW_LINK, CREATE_NEW, &card(0, None)).named(name).with(LINK_INFO, &info))
    }

    /// Makes a cable: `here` in this namespace, `there` in that of the open file.
    pub fn add_cable(&mut self, here: &str, there: &str, namespace: BorrowedFd<'_>) -> io::Result<()> {
        let mut peer = card(0, None);
        peer.extend(Message::nested(|it| {
            it.named(there).with(LINK_NAMESPACE_FILE, &namespace.as_raw_fd().to_ne_bytes())
        }));
        let data = Message::nested(|it| it.with(CABLE_PEER, &peer));
        let info = Message::nested(|it| it.with(LINK_INFO_KIND, b"veth").with(LINK_INFO_DATA, &data));
        self.ask(Message::new(NEW_LINK, CREATE_NEW, &card(0, None)).named(here).with(LINK_INFO, &info))
    }

    /// Plugs a card into a switch.
    pub fn set_master(&mut self, name: &str, bridge: &str) -> io::Result<()> {
        let (card_index, bridge) = (self.index(name)?, self.index(bridge)?);
        self.ask(Message::new(SET_LINK, 0, &card(card_index, None)).with(LINK_MASTER, &bridge.to_ne_bytes()))
    }

    /// Removes a card.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        let index = self.index(name)?;
        self.ask(Message::new(REMOVE_LINK, 0, &card(index, None)))
    }

    /// Switches a card on.
    pub fn set_up(&mut self, name: &str) -> io::Result<()> {
        let index = self.index(name)?;
        self.ask(Message::new(SET_LINK, 0, &card(index, Some(true))))
    }

    /// Gives a card an address; the prefix says who its neighbours are.
    pub fn add_address(&mut self, name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut fixed = vec![INET, prefix, 0, 0];
        fixed.extend(self.index(name)?.to_ne_bytes());
        let octets = address.octets();
        self.ask(Message::new(NEW_ADDRESS, CREATE_NEW, &fixed).with(ADDRESS_LOCAL, &octets).with(ADDRESS, &octets))
    }

    /// Gives a card an address of a range without a way to its neighbours: all go through the gateway.
    pub fn add_lonely_address(&mut self, name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        const NO_ROUTE: u32 = 0x200;
        let mut fixed = vec![INET, prefix, 0, 0];
        fixed.extend(self.index(name)?.to_ne_bytes());
        let octets = address.octets();
        let message = Message::new(NEW_ADDRESS, CREATE_NEW, &fixed).with(ADDRESS_LOCAL, &octets).with(ADDRESS, &octets);
        self.ask(message.with(ADDRESS_FLAGS, &NO_ROUTE.to_ne_bytes()))
    }

    /// Says that somebody is at the other end of a card's cable.
    pub fn add_neighbour_route(&mut self, name: &str, neighbour: Ipv4Addr) -> io::Result<()> {
        const MAIN_TABLE: u8 = 254;
        const ON_THIS_LINK: u8 = 253;
        const UNICAST: u8 = 1;
        let fixed = [INET, 32, 0, 0, MAIN_TABLE, BY_ADMINISTRATOR, ON_THIS_LINK, UNICAST, 0, 0, 0, 0];
        let card = self.index(name)?;
        let route = Message::new(NEW_ROUTE, CREATE_NEW, &fixed).with(ROUTE_DESTINATION, &neighbour.octets());
        self.ask(route.with(ROUTE_CARD, &card.to_ne_bytes()))
    }

    /// Lets a card that is plugged into a switch reach the switch's owner alone, and no other card there.
    pub fn isolate(&mut self, name: &str) -> io::Result<()> {
        let mut fixed = card(self.index(name)?, None);
        fixed[0] = BRIDGE;
        let port = Message::nested(|it| it.with(BRIDGE_PORT_ISOLATED, &[1]));
        self.ask(Message::new(SET_LINK, 0, &fixed).with(LINK_OF_BRIDGE, &port))
    }

    /// Takes what is for a range as sent to this machine itself.
    pub fn add_local_range(&mut self, network: Ipv4Addr, prefix: u8) -> io::Result<()> {
        const LOCAL_TABLE: u8 = 255;
        const ON_THIS_HOST: u8 = 254;
        const LOCAL: u8 = 2;
        let fixed = [INET, prefix, 0, 0, LOCAL_TABLE, BY_ADMINISTRATOR, ON_THIS_HOST, LOCAL, 0, 0, 0, 0];
        let loopback = self.index("lo")?;
        let route = Message::new(NEW_ROUTE, CREATE_NEW, &fixed).with(ROUTE_DESTINATION, &network.octets());
        self.ask(route.with(ROUTE_CARD, &loopback.to_ne_bytes()))
    }

    /// Sends what is for nobody near to `gateway`.
    pub fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        self.add_route(Ipv4Addr::UNSPECIFIED, 0, gateway)
    }

    /// Sends what is for a range to `gateway`.
    pub fn add_route(&mut self, network: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) -> io::Result<()> {
        const MAIN_TABLE: u8 = 254;
        const UNICAST: u8 = 1;
        let fixed = [INET, prefix, 0, 0, MAIN_TABLE, BY_ADMINISTRATOR, 0, UNICAST, 0, 0, 0, 0];
        let route = Message::new(NEW_ROUTE, CREATE_NEW, &fixed).with(ROUTE_DESTINATION, &network.octets());
        self.ask(route.with(ROUTE_GATEWAY, &gateway.octets()))
    }
}
