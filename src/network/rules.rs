//! What the kernel's packet filter is to do, as plain data: chains of rules, each some conditions and an action.
//!
//! In: nothing; [`super::filter`] makes these of Services and NetworkPolicies. Out: the native runtime puts them
//! into the kernel's words. Never: a Kubernetes object. Source: the concepts of nftables, and of these only what
//! is needed. Chapter: `book/src/inside/network.md`.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

/// A protocol that has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// As objects name it; TCP where they do not.
    pub fn of(name: Option<&str>) -> Option<Protocol> {
        match name {
            None | Some("TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            Some("SCTP") => Some(Protocol::Sctp),
            Some(_) => None,
        }
    }

    /// Its number in a packet. Source: IANA.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }
}

/// A range of addresses: `10.244.1.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Net {
    /// Any address in it.
    pub address: Ipv4Addr,
    /// How many bits all have in common.
    pub prefix: u8,
}

impl Net {
    /// One address.
    pub fn one(address: Ipv4Addr) -> Net {
        Net { address, prefix: 32 }
    }

    /// Reads `10.0.0.0/8`; `None` for anything else, a range of IPv6 among it.
    pub fn parse(cidr: &str) -> Option<Net> {
        let (address, prefix) = cidr.split_once('/')?;
        let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
        (prefix <= 32).then_some(Net { address, prefix })
    }

    /// The bits that all have in common.
    pub fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0)
    }

    /// The first address.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) & self.mask())
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask() == u32::from(self.first())
    }
}

/// A condition on a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Match {
    /// It comes from there.
    From(Net),
    /// It does not come from there.
    NotFrom(Net),
    /// It goes there.
    To(Net),
    /// It does not go there.
    NotTo(Net),
    /// It is of this protocol.
    Protocol(Protocol),
    /// The port it goes to is between these, both included. Only after a condition on the protocol.
    Ports(u16, u16),
    /// It belongs to a connection that was let through, or answers one.
    Open,
    /// By chance, one in so many.
    OneIn(u32),
}

/// What becomes of a packet that meets all conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It goes on.
    Accept,
    /// It is gone, without a word.
    Drop,
    /// It goes on in the chain that sent it here.
    Return,
    /// It goes through another chain first.
    Jump(String),
    /// It, and the rest of its connection, goes to this address instead.
    Redirect(SocketAddrV4),
    /// It, and the rest of its connection, seems to come from this machine.
    Masquerade,
}

/// Conditions, and what happens when all are met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The conditions; a rule without any is for every packet.
    pub when: Vec<Match>,
    /// What happens.
    pub then: Action,
}

/// Where packets enter a chain by themselves. Source: netfilter's hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// First packets of connections from elsewhere, before it is known where they go (`prerouting`, nat).
    Arriving,
    /// First packets of connections that begin here (`output`, nat).
    Beginning,
    /// First packets of connections, when they leave (`postrouting`, nat).
    Leaving,
    /// Packets that pass through (`forward`, filter).
    Passing,
    /// Packets for this machine itself (`input`, filter).
    Ending,
}

/// Rules, tried in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where it begins; none: only others lead here.
    pub hook: Option<Hook>,
    /// Its rules; a packet that none decides on goes on.
    pub rules: Vec<Rule>,
}

/// All chains. They replace whatever there was, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruleset {
    /// The chains, in any order.
    pub chains: Vec<Chain>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_knows_its_addresses() {
        for (cidr, inside, outside) in [
            ("10.244.1.0/24", "10.244.1.255", "10.244.2.0"),
            ("10.244.1.7/32", "10.244.1.7", "10.244.1.8"),
            ("10.255.0.0/9", "10.128.0.0", "10.127.0.0"),
        ] {
            let net = Net::parse(cidr).unwrap();
            assert!(net.contains(inside.parse().unwrap()) && !net.contains(outside.parse().unwrap()), "{cidr}");
        }
        assert!(Net::parse("0.0.0.0/0").unwrap().contains(Ipv4Addr::BROADCAST));
        assert_eq!(Net::parse("10.0.0.0/33").or(Net::parse("fd00::/8")).or(Net::parse("10.0.0.0")), None);
    }
}
