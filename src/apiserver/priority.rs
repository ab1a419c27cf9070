//! Whose request is served now, and whose waits: API priority and fairness in its simplest form.
//!
//! A request belongs to the priority level of the first flow schema that fits it, as in the table that
//! Kubernetes installs. Each level has seats of its own, and the seats that levels may lend are one pool
//! that all share: a thousand nodes that start at once cannot keep a leader from renewing its lease. Who finds
//! neither waits in line with its level, at most [`LONGEST_WAIT`]; a full line, and whoever has waited too
//! long, is told to come again (429). Members of `system:masters` and health probes are exempt.
//! Within a level it is first come, first served: there are no queues per user. FlowSchema objects that
//! you make yourself are kept, and change nothing here.
//! Source: `k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap`, `k8s.io/apiserver/pkg/util/flowcontrol`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::User;
use super::request::RequestInfo;
use crate::clock::Clock;

/// The longest that a request stands in line: a quarter of `--request-timeout`.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A level as Kubernetes sets it up: its share of all seats, how much of that it lends in percent, and
/// how many requests may stand in line.
struct Setup {
    name: &'static str,
    shares: usize,
    lendable_percent: usize,
    line: usize,
}

const fn setup(name: &'static str, shares: usize, lendable_percent: usize, line: usize) -> Setup {
    Setup { name, shares, lendable_percent, line }
}

const LEVELS: [Setup; 7] = [
    setup("system", 30, 33, 64 * 50),
    setup("node-high", 40, 25, 64 * 50),
    setup("leader-election", 10, 0, 16 * 50),
    setup("workload-high", 40, 50, 128 * 50),
    setup("workload-low", 100, 90, 128 * 50),
    setup("global-default", 20, 50, 128 * 50),
    setup("catch-all", 5, 0, 0),
];

/// The levels of one server.
pub struct Levels {
    levels: Vec<Level>,
    lent: Arc<Semaphore>,
}

struct Level {
    own: Arc<Semaphore>,
    waiting: AtomicUsize,
    line: usize,
}

/// There is no seat: come again later.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

/// Held while a request is served; `None` for who needs none.
pub type Seat = Option<OwnedSemaphorePermit>;

impl Levels {
    /// Divides `seats` among the levels by their shares.
    pub fn new(seats: usize) -> Levels {
        let shares: usize = LEVELS.iter().map(|level| level.shares).sum();
        let mut lent = 0;
        let levels = LEVELS.iter().map(|level| {
            let nominal = (seats * level.shares).div_ceil(shares);
            let lendable = (nominal * level.lendable_percent + 50) / 100;
            lent += lendable;
            let own = Arc::new(Semaphore::new(nominal - lendable));
            Level { own, waiting: AtomicUsize::new(0), line: level.line }
        });
        let levels = levels.collect();
        Levels { levels, lent: Arc::new(Semaphore::new(lent)) }
    }

    /// A seat for this request, as soon as there is one.
    ///
    /// # Errors
    /// [`Busy`] when the line is full, and after [`LONGEST_WAIT`].
    pub async fn seat(&self, user: &User, info: &RequestInfo, clock: &Clock) -> Result<Seat, Busy> {
        let Some(place) = level_of(user, info) else { return Ok(None) };
        let level = &self.levels[place];
        for seats in [&level.own, &self.lent] {
            if let Ok(seat) = seats.clone().try_acquire_owned() {
                return Ok(Some(seat));
            }
        }
        let _place = Place::take(level)?;
        let first = async {
            tokio::select! {
                seat = level.own.clone().acquire_owned() => seat,
                seat = self.lent.clone().acquire_owned() => seat,
            }
        };
        clock.timeout(LONGEST_WAIT, first).await.ok().and_then(Result::ok).map(Some).ok_or(Busy)
    }
}

/// A place in a level's line, given back when dropped.
struct Place<'a>(&'a Level);

impl Place<'_> {
    fn take(level: &Level) -> Result<Place<'_>, Busy> {
        let fits = |waiting| (waiting < level.line).then_some(waiting + 1);
        let taken = level.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map(|_| Place(level)).map_err(|_| Busy)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place in [`LEVELS`] of a request's level, from the flow schemas in the order of their
/// precedence; `None`: exempt.
fn level_of(user: &User, info: &RequestInfo) -> Option<usize> {
    let probe = info.verb == "get" && matches!(info.path.as_str(), "/healthz" | "/readyz" | "/livez");
    if user.is_in("system:masters") || (probe && !info.is_resource) {
        return None;
    }
    let leases = info.group == "coordination.k8s.io" && info.resource == "leases" && info.subresource.is_empty();
    let loops = matches!(user.name.as_str(), "system:kube-controller-manager" | "system:kube-scheduler");
    let system_account = user.name.starts_with("system:serviceaccount:kube-system:");
    let nodes = info.group.is_empty() && info.resource == "nodes" && matches!(&*info.subresource, "" | "status");
    let level = if (loops || system_account) && leases && matches!(info.verb, "get" | "create" | "update") {
        "leader-election"
    } else if user.is_in("system:nodes") {
        if nodes || leases { "node-high" } else { "system" }
    } else if loops || system_account {
        "workload-high"
    } else if user.is_in("system:serviceaccounts") {
        "workload-low"
    } else if user.is_in("system:authenticated") || user.is_in("system:unauthenticated") {
        "global-default"
    } else {
        "catch-all"
    };
    LEVELS.iter().position(|known| known.name == level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn level(user: &str, groups: &[&str], method: &Method, path: &str) -> &'static str {
        let info = RequestInfo::parse(method, path, &[]);
        level_of(&User::new(user, groups), &info).map_or("exempt", |place| LEVELS[place].name)
    }

    #[test]
    fn the_first_flow_schema_that_fits_names_the_level() {
        const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler";
        let (node, all) = (["system:nodes", "system:authenticated"], ["system:authenticated"]);
        let accounts = ["system:serviceaccounts", "system:authenticated"];
        let table = [
            (level("admin", &["system:masters"], &Method::GET, "/api/v1/pods"), "exempt"),
            (level("system:anonymous", &["system:unauthenticated"], &Method::GET, "/readyz"), "exempt"),
            (level("system:kube-scheduler", &all, &Method::PUT, LEASE), "leader-election"),
            (level("system:kube-scheduler", &all, &Method::PATCH, LEASE), "workload-high"),
            (level("system:node:n", &node, &Method::PATCH, "/api/v1/nodes/n/status"), "node-high"),
            (level("system:node:n", &node, &Method::GET, "/api/v1/pods"), "system"),
            (level("system:serviceaccount:kube-system:x", &accounts, &Method::GET, "/api"), "workload-high"),
            (level("system:serviceaccount:default:x", &accounts, &Method::GET, "/api"), "workload-low"),
            (level("jane", &all, &Method::GET, "/api"), "global-default"),
            (level("nobody", &[], &Method::GET, "/api"), "catch-all"),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_of_one_level_leaves_the_others_their_seats() {
        let clock = Clock::virtual_from(jiff::Timestamp::UNIX_EPOCH);
        let levels = Levels::new(245);
        let info = RequestInfo::parse(&Method::GET, "/api/v1/pods", &[]);
        let (jane, node) = (User::new("jane", &["system:authenticated"]), User::new("n", &["system:nodes"]));
        let mut held = Vec::new();
        // Ten seats of its own, and all that others lend.
        for _ in 0..10 + levels.lent.available_permits() {
            held.push(levels.seat(&jane, &info, &clock).await.unwrap());
        }
        assert!(matches!(levels.seat(&jane, &info, &clock).await, Err(Busy)), "nobody left in time");
        assert!(levels.seat(&node, &info, &clock).await.is_ok(), "nodes have seats of their own");
        let (next, ()) = tokio::join!(levels.seat(&jane, &info, &clock), async { drop(held.pop()) });
        assert!(next.is_ok(), "who waits gets the seat that becomes free");
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_without_a_line_refuses_at_once() {
        let clock = Clock::virtual_from(jiff::Timestamp::UNIX_EPOCH);
        let info = RequestInfo::parse(&Method::GET, "/api", &[]);
        let nobody = User::new("nobody", &[]);
        assert!(matches!(Levels::new(0).seat(&nobody, &info, &clock).await, Err(Busy)));
        assert_eq!(clock.now(), jiff::Timestamp::UNIX_EPOCH);
    }
}
