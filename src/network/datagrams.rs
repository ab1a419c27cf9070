//! Datagrams of a Service that no rule of the kernel leads: they are carried, as connections are.
//!
//! In: a socket at a Service's address; who is behind it. Out: to each client that sends, a socket of its own to a Pod,
//! and the Pod's answers from the Service's address. It is for a client that keeps its Pod (`sessionAffinity`), and for
//! all where the kernel takes no rules. UDP has no end: who has been silent for a while is forgotten, as the kernel
//! forgets. Source: kernel, `nf_conntrack_udp_timeout_stream`. Chapter: `book/src/inside/network.md`.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use super::Wire;
use super::proxy::{Asks, Habits, Now, choose};
use super::rules::Protocol;
use super::services::Behind;
use crate::clock::{Clock, Tick};
use crate::tasks::TaskGroup;

/// After so long without a word, either way, a client is forgotten.
const SILENCE: Duration = Duration::from_secs(120);
/// Clients of one port at once; the one that has been silent longest makes room for the next.
const CLIENTS: usize = 4096;
/// The longest datagram there is.
const LARGEST: usize = 64 << 10;
/// How long after a fault the next datagram is waited for.
const PAUSE: Duration = Duration::from_millis(100);

/// What it works with.
#[derive(Clone)]
pub(super) struct Means {
    /// Where to open sockets.
    pub wire: Arc<dyn Wire>,
    /// The source of time.
    pub clock: Clock,
    /// Where its tasks run.
    pub tasks: TaskGroup,
}

/// One client's way to its Pod. The task that carries answers ends with it.
struct Way {
    to: SocketAddrV4,
    pod: Arc<UdpSocket>,
    last: Arc<Mutex<Tick>>,
    _answers: DropGuard,
}

/// Carries what comes to `socket`, which is at `address`, until nobody says any more who is behind it.
pub(super) async fn serve(
    means: Means,
    address: Ipv4Addr,
    socket: UdpSocket,
    mut behind: watch::Receiver<Behind>,
    now: Arc<RwLock<Now>>,
) {
    let (socket, mut habits, mut ways) = (Arc::new(socket), Habits::new(), HashMap::new());
    let mut buffer = vec![0; LARGEST];
    loop {
        tokio::select! {
            came = socket.recv_from(&mut buffer) => match came {
                Ok((length, client)) => {
                    let who = behind.borrow().clone();
                    let asks = Asks { from: client.ip(), knocked: Some(address), protocol: Protocol::Udp };
                    // Without a habit a client stays where its first datagram went, while that may be.
                    let kept = ways.get(&client).map(|way: &Way| way.to).filter(|to| {
                        let there = who.candidates.iter().any(|candidate| candidate.at == *to);
                        there && who.sticky.is_none() && now.read().allows(asks.from, *to, asks.protocol)
                    });
                    let to = kept.or_else(|| choose(&who, asks, &now.read(), &mut habits, means.clock));
                    let Some(to) = to else {
                        // Nobody for it, or a policy is against it: lost, as datagrams are.
                        ways.remove(&client);
                        continue;
                    };
                    match way(&means, &socket, &mut ways, client, to).await {
                        // One that does not arrive is lost.
                        Ok(pod) => _ = pod.send(&buffer[..length]).await,
                        Err(fault) => tracing::debug!(%to, %fault, "a datagram to a Service was lost"),
                    }
                }
                // What an earlier one met with is told here: nobody listened.
                Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => means.clock.sleep(PAUSE).await,
            },
            changed = behind.changed() => if changed.is_err() { return },
            () = means.clock.sleep(SILENCE) => forget(&means, &mut ways),
        }
    }
}

/// The way of a client to somebody: the one it has, if that leads there; else a new one.
async fn way(
    means: &Means,
    socket: &Arc<UdpSocket>,
    ways: &mut HashMap<SocketAddr, Way>,
    client: SocketAddr,
    to: SocketAddrV4,
) -> io::Result<Arc<UdpSocket>> {
    if let Some(known) = ways.get(&client).filter(|known| known.to == to) {
        *known.last.lock() = means.clock.tick();
        return Ok(known.pod.clone());
    }
    if ways.len() >= CLIENTS {
        forget(means, ways);
        let longest = ways.iter().max_by_key(|(_, way)| means.clock.since(*way.last.lock())).map(|(client, _)| *client);
        longest.filter(|_| ways.len() >= CLIENTS).and_then(|client| ways.remove(&client));
    }
    let pod = means.wire.receive(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).await?;
    pod.connect(to).await?;
    let (pod, last) = (Arc::new(pod), Arc::new(Mutex::new(means.clock.tick())));
    let tasks = means.tasks.child();
    tasks.spawn("service datagrams", answers(pod.clone(), socket.clone(), client, means.clock, last.clone()));
    ways.insert(client, Way { to, pod: pod.clone(), last, _answers: tasks.on_drop() });
    Ok(pod)
}

async fn answers(
    pod: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    clock: Clock,
    last: Arc<Mutex<Tick>>,
) {
    let mut buffer = vec![0; LARGEST];
    loop {
        match pod.recv(&mut buffer).await {
            Ok(length) => {
                *last.lock() = clock.tick();
                // Who asked may be gone.
                let _ = socket.send_to(&buffer[..length], client).await;
            }
            // Nobody listens there now; somebody may in a moment.
            Err(_) => clock.sleep(PAUSE).await,
        }
    }
}

fn forget(means: &Means, ways: &mut HashMap<SocketAddr, Way>) {
    ways.retain(|_, way| means.clock.since(*way.last.lock()) < SILENCE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::rules::Ruleset;
    use crate::network::services::Candidate;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use std::collections::BTreeSet;
    use tokio::net::{TcpListener, TcpStream};

    /// This computer's loopback in place of a network of nodes.
    struct Loopback;

    impl Wire for Loopback {
        fn listen(&self, at: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpListener>> {
            TcpListener::bind(at).boxed()
        }

        fn receive(&self, _: SocketAddrV4) -> BoxFuture<'_, io::Result<UdpSocket>> {
            UdpSocket::bind("127.0.0.1:0").boxed()
        }

        fn connect(&self, to: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>> {
            TcpStream::connect(to).boxed()
        }

        fn filter<'a>(&'a self, _: &'a Ruleset) -> BoxFuture<'a, io::Result<()>> {
            async { Err(io::ErrorKind::Unsupported.into()) }.boxed()
        }
    }

    /// A server that answers with its own port.
    async fn server(tasks: &TaskGroup) -> SocketAddrV4 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(at) = socket.local_addr().unwrap() else { unreachable!() };
        tasks.spawn("server", async move {
            let mut buffer = [0; 16];
            while let Ok((_, client)) = socket.recv_from(&mut buffer).await {
                socket.send_to(at.port().to_string().as_bytes(), client).await.unwrap();
            }
        });
        at
    }

    /// Which of the servers answers a client.
    async fn ask(client: &UdpSocket, service: SocketAddr) -> u16 {
        client.send_to(b"who?", service).await.unwrap();
        let mut buffer = [0; 16];
        let answer = Clock::real().timeout(Duration::from_secs(60), client.recv_from(&mut buffer)).await;
        let (length, from) = answer.expect("an answer comes in time").unwrap();
        assert_eq!(from, service, "it comes from the Service's address");
        String::from_utf8_lossy(&buffer[..length]).parse().unwrap()
    }

    #[tokio::test]
    async fn a_client_with_a_habit_keeps_its_pod_and_others_are_spread() {
        let tasks = TaskGroup::new();
        let mut pods = Vec::new();
        for _ in 0..4 {
            pods.push(server(&tasks).await);
        }
        let candidate = |at: &SocketAddrV4| Candidate {
            at: *at,
            node: None,
            for_nodes: Vec::new(),
            for_zones: Vec::new(),
            ready: true,
        };
        let behind = |sticky, pods: &[SocketAddrV4]| Behind {
            candidates: pods.iter().map(candidate).collect(),
            sticky,
            ..Behind::default()
        };
        let (tell, told) = watch::channel(behind(Some(Duration::from_secs(3600)), &pods));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let service = socket.local_addr().unwrap();
        let means = Means { wire: Arc::new(Loopback), clock: Clock::real(), tasks: tasks.clone() };
        tasks.spawn("service", serve(means, Ipv4Addr::LOCALHOST, socket, told, Arc::default()));
        let mut clients = Vec::new();
        for _ in 0..24 {
            clients.push(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        }
        let mut seen = BTreeSet::new();
        for client in &clients {
            seen.insert(ask(client, service).await);
        }
        assert_eq!(seen.len(), 1, "a client is its address, whichever port it sends from");
        let first = seen.pop_first().unwrap();
        let others: Vec<SocketAddrV4> = pods.iter().copied().filter(|at| at.port() != first).collect();
        tell.send_replace(behind(Some(Duration::from_secs(3600)), &others));
        assert_ne!(ask(&clients[0], service).await, first, "its Pod is gone");

        tell.send_replace(behind(None, &pods));
        let mut kept = Vec::new();
        for _ in 0..24 {
            kept.push(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let fresh = kept.last().unwrap();
            let chosen = ask(fresh, service).await;
            seen.insert(chosen);
            assert_eq!(ask(fresh, service).await, chosen, "it stays where its first datagram went");
        }
        assert!(seen.len() > 1, "without a habit clients are spread: {seen:?}");
        tasks.cancel();
    }
}
