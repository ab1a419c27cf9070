//! kube-proxy: makes Services' addresses answer.
//!
//! In: Services and EndpointSlices, by watch. Out: a listener at each address that has somebody behind it
//! ([`super::services`] says which), and for each connection one to a Pod. A connection that is open stays
//! with its Pod when the Service changes. Others than this one let the kernel's packet filter do it
//! (iptables, nftables); a listener shows better what happens, and needs no rights on your machine.
//! UDP ports are not carried. Chapter: `book/src/inside/runtime.md`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::Wire;
use super::services::{self, Behind};
use crate::client::Informer;
use crate::clock::{Clock, Tick};
use crate::tasks::TaskGroup;

/// Bytes that wait in each direction of a connection.
const BUFFER: usize = 32 << 10;
/// How long after a failed accept the next is tried: the process is out of files then.
const PAUSE: Duration = Duration::from_millis(100);

/// What it works with.
#[derive(Clone)]
pub struct Setup {
    /// All Services.
    pub services: Informer<Service>,
    /// All EndpointSlices.
    pub slices: Informer<EndpointSlice>,
    /// Where to listen and connect.
    pub wire: Arc<dyn Wire>,
    /// The source of time.
    pub clock: Clock,
    /// Where its tasks run.
    pub tasks: TaskGroup,
}

impl Setup {
    /// Wakes when an object changed; the first wait ends once all are known.
    pub(super) fn changes(&self) -> Arc<Notify> {
        let changed = Arc::new(Notify::new());
        let (service, slice) = (changed.clone(), changed.clone());
        self.services.subscribe(move |_| service.notify_one());
        self.slices.subscribe(move |_| slice.notify_one());
        changed
    }

    pub(super) async fn synced(&self) {
        self.services.synced().await;
        self.slices.synced().await;
    }
}

/// Starts it.
pub fn start(setup: Setup) {
    let tasks = setup.tasks.clone();
    tasks.spawn("kube-proxy", async move {
        let changed = setup.changes();
        setup.synced().await;
        let mut open = HashMap::new();
        loop {
            let wanted = services::table(&setup.services.all(), &setup.slices.all());
            follow(&setup, &mut open, wanted).await;
            changed.notified().await;
        }
    });
}

/// Listeners that are open, each with its word on who is behind it. One closes when that is dropped.
type Open = HashMap<SocketAddrV4, watch::Sender<Behind>>;

/// Opens, changes and closes listeners until they are as `wanted`.
async fn follow(setup: &Setup, open: &mut Open, wanted: BTreeMap<SocketAddrV4, Behind>) {
    open.retain(|front, _| wanted.contains_key(front));
    for (front, behind) in wanted {
        if let Some(known) = open.get(&front) {
            known.send_if_modified(|known| {
                let differs = *known != behind;
                *known = behind;
                differs
            });
            continue;
        }
        match setup.wire.listen(front).await {
            Ok(listener) => {
                let (tell, told) = watch::channel(behind);
                open.insert(front, tell);
                setup.tasks.spawn("service", serve(setup.clone(), listener, told));
            }
            // A Pod in the nodes' network may have the port. It is tried again with the next change.
            Err(fault) => tracing::warn!(%front, %fault, "a Service's address cannot be listened on"),
        }
    }
}

/// Which client went where, and when last.
type Habits = HashMap<IpAddr, (SocketAddrV4, Tick)>;

async fn serve(setup: Setup, listener: TcpListener, mut behind: watch::Receiver<Behind>) {
    let mut habits = Habits::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, from)) => {
                    let behind = behind.borrow().clone();
                    let Some(to) = choose(&behind, from.ip(), &mut habits, setup.clock) else { continue };
                    let wire = setup.wire.clone();
                    setup.tasks.spawn("service connection", async move {
                        if let Err(fault) = carry(client, to, &*wire).await {
                            tracing::debug!(%to, %fault, "a connection through a Service ended");
                        }
                    });
                }
                Err(_) => setup.clock.sleep(PAUSE).await,
            },
            changed = behind.changed() => if changed.is_err() { return },
        }
    }
}

/// Any of them, as kube-proxy does; a client with a habit keeps it while it lasts.
fn choose(behind: &Behind, client: IpAddr, habits: &mut Habits, clock: Clock) -> Option<SocketAddrV4> {
    let any = || behind.endpoints.get(rand::random_range(0..behind.endpoints.len().max(1))).copied();
    let Some(lasts) = behind.sticky else { return any() };
    habits.retain(|_, (to, last)| clock.since(*last) < lasts && behind.endpoints.contains(to));
    let chosen = match habits.get(&client) {
        Some((to, _)) => *to,
        None => any()?,
    };
    habits.insert(client, (chosen, clock.tick()));
    Some(chosen)
}

/// Carries bytes both ways until both sides are done.
async fn carry(mut client: TcpStream, to: SocketAddrV4, wire: &dyn Wire) -> io::Result<()> {
    let mut pod = match wire.connect(to).await {
        Ok(pod) => pod,
        Err(fault) => {
            // The client is told at once: its connection is reset, not closed in good order.
            client.set_zero_linger()?;
            return Err(fault);
        }
    };
    client.set_nodelay(true)?;
    pod.set_nodelay(true)?;
    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut pod, BUFFER, BUFFER).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_keeps_its_pod_while_the_pod_is_there_and_the_time_lasts() {
        let clock = Clock::real();
        let endpoints: Vec<SocketAddrV4> = (1..=50).map(|n| SocketAddrV4::new([10, 244, 0, n].into(), 80)).collect();
        let sticky = Behind { endpoints: endpoints.clone(), sticky: Some(Duration::from_secs(600)) };
        let (mut habits, client) = (Habits::new(), IpAddr::from([10, 244, 1, 2]));
        let first = choose(&sticky, client, &mut habits, clock).unwrap();
        for _ in 0..20 {
            assert_eq!(choose(&sticky, client, &mut habits, clock), Some(first));
        }
        let others = endpoints.iter().copied().filter(|endpoint| *endpoint != first).collect();
        let without = Behind { endpoints: others, ..sticky.clone() };
        assert_ne!(choose(&without, client, &mut habits, clock), Some(first), "it is gone");
        let over = Behind { sticky: Some(Duration::ZERO), ..sticky };
        let chosen: std::collections::HashSet<_> =
            (0..200).filter_map(|_| choose(&over, client, &mut habits, clock)).collect();
        assert!(chosen.len() > 10, "the time is over at once: any Pod will do");
        assert_eq!(choose(&Behind::default(), client, &mut habits, clock), None);
    }
}
