//! A thousand Services: more rules than the kernel takes at once, also from who is not root.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tutor::network::filter;
use tutor::network::policy::Isolation;
use tutor::network::rules::{Net, Protocol};
use tutor::network::services::{self, Behind, Candidate, Front, Table};

use super::partition::{reaches, start};

const PATIENCE: Duration = Duration::from_secs(120);
const SERVICES: u32 = 1000;
const PODS_EACH: u32 = 5;
const WEB: &str = "10.244.0.2";

/// Each Service's address.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 96, 1, 0)) + number)
}

/// A thousand Services with five Pods each. Of the last, all Pods are the one that is there; all others have nobody.
fn table() -> Table {
    let mut table = Table::new();
    for service in 0..SERVICES {
        let pod = |n: u32| match service + 1 {
            SERVICES => SocketAddrV4::new(WEB.parse().unwrap(), 80),
            _ => {
                SocketAddrV4::new(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 250, 0, 0)) + service * PODS_EACH + n), 80)
            }
        };
        let candidate =
            |n| Candidate { at: pod(n), node: None, for_nodes: Vec::new(), for_zones: Vec::new(), ready: true };
        let front = Front { address: address(service), port: 80, protocol: Protocol::Tcp };
        table.insert(front, Behind { candidates: (0..PODS_EACH).map(candidate).collect(), ..Behind::default() });
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_services_lead_to_their_pods_and_are_gone_when_they_are_taken_away() {
    let Some(machine) = super::machine().await else { return };
    let (node, wire) = (&machine.node, machine.host.wire((Ipv4Addr::new(10, 96, 0, 0), 16)).await.unwrap());
    start(node, "web", "tutor/web:1", WEB).await;
    let (_, client) = start(node, "client", "tutor/shell:1", "10.244.0.3").await;
    let places = [services::Place {
        node: "node-0".to_owned(),
        zone: None,
        address: "172.18.0.2".parse().ok(),
        pods: Net::parse("10.244.0.0/24"),
    }];
    let names = Ipv4Addr::new(10, 96, 0, 10);
    let rules = |table: &Table| filter::ruleset(table, &places, &Isolation::default(), names, &BTreeSet::new());
    let (all, last) = (table(), address(SERVICES - 1).to_string());
    let many = rules(&all);
    let count: usize = many.chains.iter().map(|chain| chain.rules.len()).sum();
    assert!(count > (SERVICES * (PODS_EACH + 1)) as usize, "{count} rules");

    wire.filter(&many).await.unwrap();
    let listens = async { while !reaches(node, &client, WEB).await {} };
    assert!(tokio::time::timeout(PATIENCE, listens).await.is_ok(), "the Pod itself answers");
    assert!(reaches(node, &client, &last).await, "the last Service leads to it");
    // Each replaces the last as a whole, whichever is longer.
    for (rules, there) in
        [(rules(&Table::new()), false), (many.clone(), true), (many, true), (rules(&Table::new()), false)]
    {
        wire.filter(&rules).await.unwrap();
        let as_wished = async { while reaches(node, &client, &last).await != there {} };
        assert!(tokio::time::timeout(PATIENCE, as_wished).await.is_ok(), "it is reached: {}", !there);
    }
    drop(wire);
    machine.stop().await;
}
