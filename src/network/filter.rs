//! What the kernel is asked to do: Services and NetworkPolicies as rules of its packet filter.
//!
//! In: the table of Services, where the nodes are, who may talk to whom. Out: a [`Ruleset`]. Pure: the runtime that has
//! a network puts it into the kernel. The kernel looks at the first packet of each connection; what follows,
//! and what answers, takes the same way. kube-proxy does the same with nftables, one rule a Service.
//! Chapter: `book/src/inside/network.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::policy::{Isolation, Opening};
use super::rules::{Action, Chain, Hook, Match, Net, Protocol, Rule, Ruleset};
use super::services::{Behind, Front, Place, Reach, Table};

/// The chain of all Services' addresses.
const SERVICES: &str = "services";

/// Whether the kernel can lead a Service's clients by itself. What it cannot, [`super::proxy`] carries: a habit that
/// lasts hours, and this computer's own loopback, which is in another network.
pub fn is_for_kernel(front: &Front, behind: &Behind) -> bool {
    let loopback = behind.candidates.iter().any(|candidate| candidate.at.ip().is_loopback());
    // Nobody else carries SCTP.
    let habit = behind.sticky.is_some() && front.protocol != Protocol::Sctp;
    !habit && !loopback
}

/// All rules. `names` is where Pods ask for names: their walls hold there too. `cut` are the nodes that are cut off.
pub fn ruleset(
    table: &Table,
    places: &[Place],
    isolation: &Isolation,
    names: Ipv4Addr,
    cut: &BTreeSet<String>,
) -> Ruleset {
    let mut services = Services { places, chains: Vec::new(), known: BTreeMap::new() };
    let mut knocks = Vec::new();
    for (front, behind) in table.iter().filter(|(front, behind)| is_for_kernel(front, behind)) {
        services.add(front, behind, &mut knocks);
    }
    let mut chains = services.chains;
    let all = || vec![Rule { when: Vec::new(), then: Action::Jump(SERVICES.to_owned()) }];
    chains.push(Chain { name: SERVICES.to_owned(), hook: None, rules: knocks });
    chains.push(Chain { name: "arriving".to_owned(), hook: Some(Hook::Arriving), rules: all() });
    chains.push(Chain { name: "beginning".to_owned(), hook: Some(Hook::Beginning), rules: all() });
    chains.push(Chain { name: "leaving".to_owned(), hook: Some(Hook::Leaving), rules: hairpins(table) });
    walls(isolation, names, &mut chains);
    cuts(places.iter().filter(|place| cut.contains(&place.node)), &mut chains);
    Ruleset { chains }
}

/// A node that is cut off: its Pods reach each other and their node, and nobody else; nor does anybody reach them,
/// also not over a connection that is open.
fn cuts<'a>(places: impl Iterator<Item = &'a Place>, chains: &mut Vec<Chain>) {
    let (mut passing, mut ending) = (Vec::new(), Vec::new());
    for place in places {
        let Some(pods) = place.pods else { continue };
        let drop = |when: Vec<Match>| Rule { when, then: Action::Drop };
        passing.push(drop(vec![Match::From(pods), Match::NotTo(pods)]));
        passing.push(drop(vec![Match::To(pods), Match::NotFrom(pods)]));
        let node = place.address.map(|address| Match::NotTo(Net::one(address)));
        ending.push(drop([Match::From(pods), Match::NotTo(pods)].into_iter().chain(node).collect()));
    }
    if !passing.is_empty() {
        chains.push(Chain { name: "cut-passing".to_owned(), hook: Some(Hook::Passing), rules: passing });
        chains.push(Chain { name: "cut-ending".to_owned(), hook: Some(Hook::Ending), rules: ending });
    }
}

/// Chains that end in a Pod; equal ones are made once.
struct Services<'a> {
    places: &'a [Place],
    chains: Vec<Chain>,
    known: BTreeMap<Vec<SocketAddrV4>, String>,
}

impl Services<'_> {
    fn add(&mut self, front: &Front, behind: &Behind, knocks: &mut Vec<Rule>) {
        let places = self.places;
        if !front.address.is_unspecified() {
            self.add_at(front, front.address, behind, None, knocks);
            return;
        }
        for place in places {
            if let Some(address) = place.address {
                self.add_at(front, address, behind, Some(place), knocks);
            }
        }
    }

    /// One address: for each node whose clients are led elsewhere than others a rule, then one for all others.
    fn add_at(
        &mut self,
        front: &Front,
        address: Ipv4Addr,
        behind: &Behind,
        knocked: Option<&Place>,
        knocks: &mut Vec<Rule>,
    ) {
        let places = self.places;
        let others = behind.choices(None, knocked);
        let is_here =
            [Match::To(Net::one(address)), Match::Protocol(front.protocol), Match::Ports(front.port, front.port)];
        for place in places {
            let own = behind.choices(Some(place), knocked);
            if let Some(pods) = place.pods.filter(|_| own != others) {
                let when = [Match::From(pods)].into_iter().chain(is_here.clone()).collect();
                knocks.push(Rule { when, then: self.lead(&own) });
            }
        }
        // Nobody is here, for now or for this node: the packet ends here, and is refused or, as by policy, lost.
        if !others.is_empty() || behind.reach != Reach::Cluster {
            knocks.push(Rule { when: is_here.into(), then: self.lead(&others) });
        }
    }

    fn lead(&mut self, to: &[SocketAddrV4]) -> Action {
        if to.is_empty() {
            return Action::Drop;
        }
        if let Some(name) = self.known.get(to) {
            return Action::Jump(name.clone());
        }
        let name = format!("to-{}", self.known.len());
        let rules = to.iter().zip((1..=to.len() as u32).rev()).map(|(pod, left)| {
            let when = if left > 1 { vec![Match::OneIn(left)] } else { Vec::new() };
            Rule { when, then: Action::Redirect(*pod) }
        });
        self.chains.push(Chain { name: name.clone(), hook: None, rules: rules.collect() });
        self.known.insert(to.to_vec(), name.clone());
        Action::Jump(name)
    }
}

/// A Pod that is led back to itself would not take a packet that seems to come from itself.
fn hairpins(table: &Table) -> Vec<Rule> {
    let candidates = table.values().flat_map(|behind| &behind.candidates);
    let pods: BTreeSet<Ipv4Addr> = candidates.map(|candidate| *candidate.at.ip()).collect();
    let to_itself = |pod: Ipv4Addr| Rule {
        when: vec![Match::From(Net::one(pod)), Match::To(Net::one(pod))],
        then: Action::Masquerade,
    };
    pods.into_iter().map(to_itself).collect()
}

/// The walls of Pods that policies select: a chain for each side of each.
fn walls(isolation: &Isolation, names: Ipv4Addr, chains: &mut Vec<Chain>) {
    if isolation.known.is_empty() && isolation.walls.is_empty() {
        return;
    }
    let open = Rule { when: vec![Match::Open], then: Action::Accept };
    let (mut passing, mut ending) = (vec![open.clone()], vec![open]);
    for address in isolation.walls.keys() {
        let own = Net::one(*address);
        passing.push(Rule { when: vec![Match::From(own), Match::To(own)], then: Action::Accept });
    }
    let mut built = Walls::default();
    for (address, walls) in &isolation.walls {
        let own = Net::one(*address);
        if let Some(openings) = &walls.egress {
            let jump = built.jump(openings, Match::To, Match::NotTo);
            passing.push(Rule { when: vec![Match::From(own)], then: jump.clone() });
            ending.push(Rule { when: vec![Match::From(own), Match::To(Net::one(names))], then: jump });
        }
        if let Some(openings) = &walls.ingress {
            let jump = built.jump(openings, Match::From, Match::NotFrom);
            passing.push(Rule { when: vec![Match::To(own)], then: jump });
        }
    }
    chains.extend(built.0);
    for (name, side) in [("known-from", Match::From as fn(Net) -> Match), ("known-to", Match::To)] {
        let known = isolation.known.iter().map(|it| Rule { when: vec![side(Net::one(*it))], then: Action::Return });
        let others = isolation.ranges.iter().map(|range| Rule { when: vec![side(*range)], then: Action::Drop });
        chains.push(Chain { name: name.to_owned(), hook: None, rules: known.chain(others).collect() });
        passing.push(Rule { when: Vec::new(), then: Action::Jump(name.to_owned()) });
    }
    let unknown = Rule { when: vec![Match::To(Net::one(names))], then: Action::Jump("known-from".to_owned()) };
    ending.push(unknown);
    chains.push(Chain { name: "passing".to_owned(), hook: Some(Hook::Passing), rules: passing });
    chains.push(Chain { name: "ending".to_owned(), hook: Some(Hook::Ending), rules: ending });
}

/// The chains of walls. Pods of one policy have equal ones, which are made once: the kernel takes only so much at a time.
#[derive(Default)]
struct Walls(Vec<Chain>);

impl Walls {
    /// One side of a Pod.
    fn jump(&mut self, openings: &[Opening], is: fn(Net) -> Match, is_not: fn(Net) -> Match) -> Action {
        let rules = wall(openings, is, is_not);
        if let Some(known) = self.0.iter().find(|chain| chain.rules == rules) {
            return Action::Jump(known.name.clone());
        }
        let name = format!("wall-{}", self.0.len());
        self.0.push(Chain { name: name.clone(), hook: None, rules });
        Action::Jump(name)
    }
}

/// What is let through returns, the rest is gone.
fn wall(openings: &[Opening], is: fn(Net) -> Match, is_not: fn(Net) -> Match) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for opening in openings {
        let peers: Vec<Vec<Match>> = match &opening.peers {
            None => vec![Vec::new()],
            Some(blocks) => blocks
                .iter()
                .map(|block| [is(block.net)].into_iter().chain(block.except.iter().map(|net| is_not(*net))).collect())
                .collect(),
        };
        let ports: Vec<Vec<Match>> = match &opening.ports {
            None => vec![Vec::new()],
            Some(ports) => {
                let both = ports.iter().map(|it| vec![Match::Protocol(it.protocol), Match::Ports(it.first, it.last)]);
                both.collect()
            }
        };
        for peer in &peers {
            for port in &ports {
                rules.push(Rule { when: [&peer[..], &port[..]].concat(), then: Action::Return });
            }
        }
    }
    rules.push(Rule { when: Vec::new(), then: Action::Drop });
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::policy::{self, Block};
    use crate::network::services::Candidate;

    fn behind(pods: &[(&str, &str)], reach: Reach) -> Behind {
        let candidate = |(at, node): &(&str, &str)| Candidate {
            at: at.parse().unwrap(),
            node: Some((*node).to_owned()),
            for_nodes: Vec::new(),
            for_zones: Vec::new(),
            ready: true,
        };
        Behind { candidates: pods.iter().map(candidate).collect(), reach, sticky: None }
    }

    fn places() -> Vec<Place> {
        let place = |number: u8| Place {
            node: format!("node-{number}"),
            zone: None,
            address: format!("172.18.0.{number}").parse().ok(),
            pods: Net::parse(&format!("10.244.{number}.0/24")),
        };
        vec![place(1), place(2)]
    }

    fn chain<'a>(rules: &'a Ruleset, name: &str) -> &'a Chain {
        rules.chains.iter().find(|chain| chain.name == name).unwrap()
    }

    #[test]
    fn each_pod_gets_its_share() {
        let front = Front { address: "10.96.0.7".parse().unwrap(), port: 80, protocol: Protocol::Tcp };
        let pods = [("10.244.1.2:80", "node-1"), ("10.244.2.2:80", "node-2"), ("10.244.2.3:80", "node-2")];
        let table = Table::from([(front, behind(&pods, Reach::Cluster))]);
        let rules = ruleset(&table, &places(), &Isolation::default(), Ipv4Addr::LOCALHOST, &BTreeSet::new());
        assert_eq!(chain(&rules, SERVICES).rules.len(), 1, "all clients are led the same way");
        let shares: Vec<_> = chain(&rules, "to-0").rules.iter().map(|rule| rule.when.clone()).collect();
        assert_eq!(shares, [vec![Match::OneIn(3)], vec![Match::OneIn(2)], vec![]]);
        assert_eq!(chain(&rules, "leaving").rules.len(), 3);
        assert!(!rules.chains.iter().any(|chain| chain.name == "passing"), "without policies nothing is looked at");
    }

    #[test]
    fn a_node_port_with_local_traffic_only_has_rules_for_each_node() {
        let front = Front { address: Ipv4Addr::UNSPECIFIED, port: 30080, protocol: Protocol::Tcp };
        let table = Table::from([(front, behind(&[("10.244.1.2:80", "node-1")], Reach::NodeKnockedAt))]);
        let rules = ruleset(&table, &places(), &Isolation::default(), Ipv4Addr::LOCALHOST, &BTreeSet::new());
        let knocks: Vec<_> =
            chain(&rules, SERVICES).rules.iter().map(|rule| (rule.when.len(), rule.then == Action::Drop)).collect();
        // At node-1 everybody is led to its Pod; at node-2 its own Pods are, and others are lost.
        assert_eq!(knocks, [(3, false), (4, false), (3, true)]);
    }

    #[test]
    fn pods_of_one_policy_share_their_walls() {
        let pods: Vec<Ipv4Addr> = (2..52).map(|n| Ipv4Addr::new(10, 244, 0, n)).collect();
        let peers = pods.iter().map(|pod| Block { net: Net::one(*pod), except: Vec::new() }).collect();
        let opening = Opening { peers: Some(peers), ports: None };
        let own = policy::Walls { ingress: Some(vec![opening]), egress: Some(Vec::new()) };
        let walls = pods.iter().map(|pod| (*pod, own.clone())).collect();
        let isolation = Isolation { walls, known: pods.iter().copied().collect(), ranges: Vec::new() };
        let names = Ipv4Addr::new(10, 96, 0, 10);
        let rules = ruleset(&Table::new(), &places(), &isolation, names, &BTreeSet::new());
        let walls: Vec<usize> =
            rules.chains.iter().filter(|it| it.name.starts_with("wall-")).map(|it| it.rules.len()).collect();
        assert_eq!(walls, [1, 51]);
    }

    #[test]
    fn what_has_habits_or_is_this_computer_is_not_for_the_kernel() {
        let pods = [("10.244.1.2:80", "node-1")];
        let front = |protocol| Front { address: "10.96.0.7".parse().unwrap(), port: 80, protocol };
        let (tcp, udp) = (front(Protocol::Tcp), front(Protocol::Udp));
        let sticky = Behind { sticky: Some(std::time::Duration::from_secs(1)), ..behind(&pods, Reach::Cluster) };
        assert!(is_for_kernel(&tcp, &behind(&pods, Reach::Cluster)) && !is_for_kernel(&tcp, &sticky));
        assert!(is_for_kernel(&udp, &behind(&pods, Reach::Cluster)) && !is_for_kernel(&udp, &sticky));
        assert!(is_for_kernel(&front(Protocol::Sctp), &sticky), "nobody else carries SCTP");
        assert!(!is_for_kernel(&tcp, &behind(&[("127.0.0.1:6443", "x")], Reach::Cluster)));
    }
}
