//! A node that is cut off, on the level of packets.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tutor::clock::Clock;
use tutor::kubelet::runtime::native::Host;
use tutor::kubelet::runtime::native::borrowed::Borrowed;
use tutor::kubelet::runtime::native::host::{Options, Place};
use tutor::kubelet::runtime::{ContainerConfig, Dial, Runtime, SandboxConfig};
use tutor::network::filter;
use tutor::network::policy::Isolation;
use tutor::network::rules::Net;
use tutor::network::services::{self, Table};
use tutor::tasks::TaskGroup;

const PATIENCE: Duration = Duration::from_secs(120);
const NODES: [(&str, &str, &str); 2] =
    [("node-a", "10.244.0.0/24", "172.18.0.2"), ("node-b", "10.244.1.0/24", "172.18.0.3")];

/// A container of one of the borrowed images in a Pod with this address: its sandbox and its id.
pub(super) async fn start(node: &Arc<dyn Runtime>, name: &str, image: &str, ip: &str) -> (String, String) {
    let config = SandboxConfig {
        namespace: "default".into(),
        name: name.into(),
        hostname: name.into(),
        ip: ip.into(),
        ..SandboxConfig::default()
    };
    let sandbox = node.run_sandbox(config).await.unwrap();
    node.pull_image(&sandbox, image, None).await.unwrap();
    let sleeps = ["sh", "-c", "sleep 1000"].map(str::to_owned).into();
    let command = if image.contains("shell") { sleeps } else { Vec::new() };
    let config = ContainerConfig { name: "c".into(), image: image.into(), command, ..ContainerConfig::default() };
    let id = node.create_container(&sandbox, config).await.unwrap();
    node.start_container(&id).await.unwrap();
    (sandbox, id)
}

/// Whether a container reaches port 80 of an address.
pub(super) async fn reaches(node: &Arc<dyn Runtime>, container: &str, address: &str) -> bool {
    let script = format!("exit(IO::Socket::INET->new(PeerAddr => '{address}:80', Timeout => 2) ? 0 : 1)");
    let words = ["perl", "-MIO::Socket::INET", "-e", &script].map(str::to_owned);
    node.exec_sync(container, &words).await.unwrap().code == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_keeps_its_own_and_loses_all_others() {
    if super::is_refused() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = Options { program: super::program(), ..Options::new(folder.path().join("native"), Clock::real()) };
    let host = Arc::new(Host::start(options, &TaskGroup::new()).await.unwrap());
    let images = Arc::new(Borrowed::new(&folder.path().join("images")).unwrap());
    let nodes =
        NODES.map(|(node, pod_cidr, address)| host.node(&Place { node, pod_cidr, address }, images.clone()).unwrap());
    let [a, b] = &nodes;
    let (web, _) = start(a, "web", "tutor/web:1", "10.244.0.2").await;
    let (_, near) = start(a, "near", "tutor/shell:1", "10.244.0.3").await;
    let (_, far) = start(b, "far", "tutor/shell:1", "10.244.1.2").await;
    let places = NODES.map(|(node, pods, address)| services::Place {
        node: node.to_owned(),
        zone: None,
        address: address.parse().ok(),
        pods: Net::parse(pods),
    });
    let wire = host.wire((Ipv4Addr::new(10, 96, 0, 0), 16)).await.unwrap();
    let cut_off = |cut: &[&str]| {
        let cut: BTreeSet<String> = cut.iter().map(|node| (*node).to_owned()).collect();
        filter::ruleset(&Table::new(), &places, &Isolation::default(), Ipv4Addr::new(10, 96, 0, 10), &cut)
    };
    let comes_to_reach = async |node: &Arc<dyn Runtime>, container: &str| {
        let reached = async { while !reaches(node, container, "10.244.0.2").await {} };
        tokio::time::timeout(PATIENCE, reached).await.is_ok()
    };
    wire.filter(&cut_off(&[])).await.unwrap();
    assert!(comes_to_reach(b, &far).await, "the other node's Pod reaches it");

    wire.filter(&cut_off(&["node-a"])).await.unwrap();
    assert!(!reaches(b, &far, "10.244.0.2").await, "the other node's Pod does not reach it any more");
    assert!(comes_to_reach(a, &near).await, "a Pod of the same node does");
    assert!(a.dial(&web, Dial::Tcp { port: 80 }).await.is_ok(), "so does its kubelet");

    wire.filter(&cut_off(&[])).await.unwrap();
    assert!(comes_to_reach(b, &far).await, "the cable is in again");
    drop(wire);
    host.stop().await;
}
