//! Addresses for Pods: one node's range, given out and taken back.
//!
//! In: the node's podCIDR. Out: addresses, the lowest free one after the last given, so that a fresh
//! address is not that of a Pod that has only gone. Limit: the range. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::HashSet;
use std::net::Ipv4Addr;

/// One node's addresses.
#[derive(Debug)]
pub struct Ipam {
    first: u32,
    last: u32,
    next: u32,
    used: HashSet<u32>,
}

impl Ipam {
    /// The addresses of a range like `10.244.1.0/24`; `None` when it cannot be read or holds too few.
    /// The network's own address, the gateway's (the first) and the broadcast address are not given.
    pub fn new(cidr: &str) -> Option<Self> {
        let (network, length) = cidr.split_once('/')?;
        let (network, length): (Ipv4Addr, u32) = (network.parse().ok()?, length.parse().ok()?);
        let size = 1_u32.checked_shl(32_u32.checked_sub(length)?)?;
        let start = u32::from(network) & !(size - 1);
        if size < 4 {
            return None;
        }
        Some(Ipam { first: start + 2, last: start + size - 2, next: start + 2, used: HashSet::new() })
    }

    /// An address nobody has; `None` when all are taken.
    pub fn allocate(&mut self) -> Option<Ipv4Addr> {
        let mut all = (self.next..=self.last).chain(self.first..self.next);
        let free = all.find(|address| !self.used.contains(address))?;
        self.used.insert(free);
        self.next = if free == self.last { self.first } else { free + 1 };
        Some(free.into())
    }

    /// Takes an address back.
    pub fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_round_and_run_out() {
        let mut ipam = Ipam::new("10.244.1.0/29").unwrap();
        let given: Vec<String> = std::iter::from_fn(|| ipam.allocate()).map(|it| it.to_string()).collect();
        assert_eq!(given, ["10.244.1.2", "10.244.1.3", "10.244.1.4", "10.244.1.5", "10.244.1.6"]);
        ipam.release("10.244.1.3".parse().unwrap());
        assert_eq!(ipam.allocate().map(|it| it.to_string()).as_deref(), Some("10.244.1.3"));
        assert!(Ipam::new("10.244.1.0/31").is_none() && Ipam::new("nonsense").is_none());
    }
}
