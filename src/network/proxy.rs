//! kube-proxy: makes Services' addresses answer, and holds Pods to their NetworkPolicies.
//!
//! In: Services, EndpointSlices, NetworkPolicies and what they speak of, by watch. Out: rules for the kernel's packet
//! filter ([`super::filter`] says which), and for what the kernel cannot do (a client's habit, this computer's own
//! loopback) a listener, and for each connection one to a Pod; `datagrams.rs` does so for UDP. Where the kernel takes no
//! rules, listeners carry everything, with the same walls; Pods that use each other's addresses are not held back
//! then: [`Outlook`] says so. A connection that is open stays with its Pod when the
//! Service changes. Chapter: `book/src/inside/network.md`.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::filter;
use super::policy::{self, Isolation, PodView};
use super::rules::{Protocol, Ruleset};
use super::services::{self, Behind, Front, Place, Table, add_host_ports};
use super::{Wire, carry, datagrams};
use crate::client::views::NodeView;
use crate::client::{Informer, Watched};
use crate::clock::{Clock, Tick};
use crate::tasks::TaskGroup;

/// How long after a failed accept the next is tried: the process is out of files then.
const PAUSE: Duration = Duration::from_millis(100);

/// What it works with.
#[derive(Clone)]
pub struct Setup {
    /// All Services.
    pub services: Informer<Service>,
    /// All EndpointSlices.
    pub slices: Informer<EndpointSlice>,
    /// All NetworkPolicies.
    pub policies: Informer<NetworkPolicy>,
    /// All Pods.
    pub pods: Informer<PodView>,
    /// All namespaces.
    pub namespaces: Informer<Namespace>,
    /// All nodes.
    pub nodes: Informer<NodeView>,
    /// Where Pods ask for names.
    pub names: SocketAddrV4,
    /// The nodes that are cut off from all others.
    pub cut: watch::Receiver<BTreeSet<String>>,
    /// Where to listen and connect.
    pub wire: Arc<dyn Wire>,
    /// The source of time.
    pub clock: Clock,
    /// Where its tasks run.
    pub tasks: TaskGroup,
}

/// Who keeps Pods to their policies, for a reader. Cheap to clone: all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Outlook(Arc<Mutex<Option<String>>>);

impl Outlook {
    /// In one sentence.
    pub fn said(&self) -> String {
        match &*self.0.lock() {
            None => "its packet filter leads to Services and holds Pods to NetworkPolicies".to_owned(),
            Some(why) => format!(
                "it refuses a packet filter ({why}): tutor carries what goes to Services, and NetworkPolicies hold only there"
            ),
        }
    }
}

impl Setup {
    /// Wakes when a Service changed; the first wait ends once all are known.
    pub(super) fn changes(&self) -> Arc<Notify> {
        let changed = Arc::new(Notify::new());
        wake(&self.services, &changed);
        wake(&self.slices, &changed);
        changed
    }

    pub(super) async fn synced(&self) {
        self.services.synced().await;
        self.slices.synced().await;
    }

    async fn all_synced(&self) {
        self.synced().await;
        self.policies.synced().await;
        self.pods.synced().await;
        self.namespaces.synced().await;
        self.nodes.synced().await;
    }

    /// Where the nodes are, in order of their names.
    fn places(&self) -> Vec<Place> {
        self.nodes.all().iter().map(|node| Place::of(node)).collect()
    }

    fn isolation(&self, places: &[Place]) -> Isolation {
        let mut pods = self.pods.all();
        pods.push(Arc::new(policy::name_server(*self.names.ip())));
        let (policies, namespaces) = (self.policies.all(), self.namespaces.all());
        let ranges = places.iter().filter_map(|place| place.pods).collect();
        Isolation::new(policy::Objects { policies: &policies, pods: &pods, namespaces: &namespaces, ranges })
    }
}

fn wake<K: Watched + Clone + std::fmt::Debug>(informer: &Informer<K>, changed: &Arc<Notify>) {
    let changed = changed.clone();
    informer.subscribe(move |_| changed.notify_one());
}

/// Starts it.
pub fn start(setup: Setup) -> Outlook {
    let (tasks, outlook) = (setup.tasks.clone(), Outlook::default());
    let said = outlook.clone();
    tasks.spawn("kube-proxy", async move {
        let changed = setup.changes();
        wake(&setup.policies, &changed);
        wake(&setup.pods, &changed);
        wake(&setup.namespaces, &changed);
        wake(&setup.nodes, &changed);
        setup.all_synced().await;
        let (mut open, mut loaded, mut cuts) = (HashMap::new(), None, setup.cut.clone());
        let now = Arc::new(RwLock::new(Now::default()));
        loop {
            let places = setup.places();
            let mut table = services::table(&setup.services.all(), &setup.slices.all());
            add_host_ports(&mut table, &setup.pods.all(), &places);
            let isolation = setup.isolation(&places);
            let cut = cuts.borrow_and_update().clone();
            let rules = filter::ruleset(&table, &places, &isolation, *setup.names.ip(), &cut);
            *now.write() = Now { places, isolation, cut };
            load(&setup, rules, &mut loaded, &said).await;
            if said.0.lock().is_none() {
                table.retain(|front, behind| !filter::is_for_kernel(front, behind));
            }
            follow(&setup, &mut open, table, &now).await;
            tokio::select! {
                () = changed.notified() => {}
                // Nobody is left to cut anything when the sender is gone.
                Ok(()) = cuts.changed() => {}
            }
        }
    });
    outlook
}

/// What connections that are carried here need to know.
#[derive(Default)]
pub(super) struct Now {
    pub places: Vec<Place>,
    isolation: Isolation,
    cut: BTreeSet<String>,
}

impl Now {
    /// The node on which somebody is: a Pod of its range, or the node itself.
    fn place_of(&self, address: Ipv4Addr) -> Option<&Place> {
        let is_there =
            |place: &&Place| place.address == Some(address) || place.pods.is_some_and(|pods| pods.contains(address));
        self.places.iter().find(is_there)
    }

    /// Whether the policies, and the cables that are plugged in, let a client reach somebody.
    pub fn allows(&self, from: IpAddr, to: SocketAddrV4, protocol: Protocol) -> bool {
        let IpAddr::V4(from) = from else { return true };
        let (here, there) = (self.place_of(from), self.place_of(*to.ip()));
        let (here, there) = (here.map(|it| &it.node), there.map(|it| &it.node));
        let is_cut = here != there && [here, there].into_iter().flatten().any(|node| self.cut.contains(node));
        self.isolation.allows(from, to, protocol) && !is_cut
    }
}

/// Puts rules into the kernel, if they are others than the last.
async fn load(setup: &Setup, rules: Ruleset, loaded: &mut Option<Ruleset>, outlook: &Outlook) {
    if loaded.as_ref() == Some(&rules) {
        return;
    }
    let outcome = setup.wire.filter(&rules).await;
    let why = outcome.err().map(|fault| fault.to_string());
    *loaded = why.is_none().then_some(rules);
    let mut known = outlook.0.lock();
    // It is asked again at each change, and says the same each time.
    if let Some(why) = why.as_ref().filter(|why| known.as_ref() != Some(why)) {
        tracing::warn!(%why, "the kernel takes no rules for packets");
    }
    *known = why;
}

/// Listeners that are open, each with its word on who is behind it. One closes when that is dropped.
type Open = HashMap<Front, watch::Sender<Behind>>;

/// Opens, changes and closes listeners until they are as `wanted`.
async fn follow(setup: &Setup, open: &mut Open, mut wanted: Table, now: &Arc<RwLock<Now>>) {
    wanted.retain(|front, _| front.protocol != Protocol::Sctp);
    let places = now.read().places.iter().filter_map(|place| place.address).collect::<Vec<_>>();
    for front in wanted.keys().filter(|front| answers_everywhere(front)).copied().collect::<Vec<_>>() {
        // Who has sent to one address takes no answer from another, so each has a socket of its own.
        let Some(behind) = wanted.remove(&front) else { continue };
        wanted.extend(places.iter().map(|address| (Front { address: *address, ..front }, behind.clone())));
    }
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
        let (tell, told) = watch::channel(behind);
        match begin(setup, front, told, now).await {
            Ok(()) => _ = open.insert(front, tell),
            // A Pod in the nodes' network may have the port. It is tried again with the next change.
            Err(fault) => tracing::warn!(?front, %fault, "a Service's address cannot be listened on"),
        }
    }
}

/// A port of all nodes, for datagrams.
fn answers_everywhere(front: &Front) -> bool {
    front.protocol == Protocol::Udp && front.address.is_unspecified()
}

/// Listens at an address, and carries what comes.
async fn begin(setup: &Setup, front: Front, told: watch::Receiver<Behind>, now: &Arc<RwLock<Now>>) -> io::Result<()> {
    let at = SocketAddrV4::new(front.address, front.port);
    let (setup, now) = (setup.clone(), now.clone());
    let tasks = setup.tasks.clone();
    if front.protocol == Protocol::Udp {
        let socket = setup.wire.receive(at).await?;
        let means = datagrams::Means { wire: setup.wire, clock: setup.clock, tasks: setup.tasks };
        tasks.spawn("service over udp", datagrams::serve(means, front.address, socket, told, now));
    } else {
        let listener = setup.wire.listen(at).await?;
        tasks.spawn("service", serve(setup, listener, told, now));
    }
    Ok(())
}

/// Which client went where, and when last.
pub(super) type Habits = HashMap<IpAddr, (SocketAddrV4, Tick)>;

async fn serve(setup: Setup, listener: TcpListener, mut behind: watch::Receiver<Behind>, now: Arc<RwLock<Now>>) {
    let mut habits = Habits::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, from)) => {
                    let behind = behind.borrow().clone();
                    let knocked = client.local_addr().ok().and_then(|address| v4(address.ip()));
                    let asks = Asks { from: from.ip(), knocked, protocol: Protocol::Tcp };
                    let to = choose(&behind, asks, &now.read(), &mut habits, setup.clock);
                    let Some(to) = to else {
                        // Nobody for it, or a policy is against it: reset, not closed in good order.
                        let _ = client.set_zero_linger();
                        continue;
                    };
                    let wire = setup.wire.clone();
                    setup.tasks.spawn("service connection", async move {
                        if let Err(fault) = connect(client, to, &*wire).await {
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

/// Who wants to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks {
    /// The client.
    pub from: IpAddr,
    /// The address that it knocked at.
    pub knocked: Option<Ipv4Addr>,
    /// How it speaks.
    pub protocol: Protocol,
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// Who is to answer a client: one that its node leads it to, if the policies let it.
pub(super) fn choose(
    behind: &Behind,
    asks: Asks,
    now: &Now,
    habits: &mut Habits,
    clock: Clock,
) -> Option<SocketAddrV4> {
    let knocked = asks.knocked.and_then(|address| now.places.iter().find(|place| place.address == Some(address)));
    let place = v4(asks.from).and_then(|address| now.place_of(address));
    let to = pick(&behind.choices(place, knocked), behind.sticky, asks.from, habits, clock)?;
    now.allows(asks.from, to, asks.protocol).then_some(to)
}

/// Any of them, as kube-proxy does; a client with a habit keeps it while it lasts.
fn pick(
    choices: &[SocketAddrV4],
    sticky: Option<Duration>,
    client: IpAddr,
    habits: &mut Habits,
    clock: Clock,
) -> Option<SocketAddrV4> {
    let any = || choices.get(rand::random_range(0..choices.len().max(1))).copied();
    let Some(lasts) = sticky else { return any() };
    habits.retain(|_, (_, last)| clock.since(*last) < lasts);
    let chosen = match habits.get(&client).filter(|(to, _)| choices.contains(to)) {
        Some((to, _)) => *to,
        None => any()?,
    };
    habits.insert(client, (chosen, clock.tick()));
    Some(chosen)
}

/// Connects a client to its Pod, and carries bytes both ways until both sides are done.
async fn connect(mut client: TcpStream, to: SocketAddrV4, wire: &dyn Wire) -> io::Result<()> {
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
    carry::both_ways(&mut client, &mut pod).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_keeps_its_pod_while_the_pod_is_there_and_the_time_lasts() {
        let clock = Clock::real();
        let all: Vec<SocketAddrV4> = (1..=50).map(|n| SocketAddrV4::new([10, 244, 0, n].into(), 80)).collect();
        let hour = Some(Duration::from_secs(3600));
        let (mut habits, client) = (Habits::new(), IpAddr::from([10, 244, 1, 2]));
        let first = pick(&all, hour, client, &mut habits, clock).unwrap();
        for _ in 0..20 {
            assert_eq!(pick(&all, hour, client, &mut habits, clock), Some(first));
        }
        let others: Vec<_> = all.iter().copied().filter(|endpoint| *endpoint != first).collect();
        assert_ne!(pick(&others, hour, client, &mut habits, clock), Some(first), "it is gone");
        let chosen: std::collections::HashSet<_> =
            (0..200).filter_map(|_| pick(&all, Some(Duration::ZERO), client, &mut habits, clock)).collect();
        assert!(chosen.len() > 10, "the time is over at once: any Pod will do");
        assert_eq!(pick(&[], None, client, &mut habits, clock), None);
    }
}
