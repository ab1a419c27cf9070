//! Two minutes of keeping three Pods alive while they die: by hand, or by a loop.
//!
//! In: a cluster, who keeps the Pods, how long. Out: what happens, as it happens, and a score. By hand, somebody else
//! has to make what is missing: anything in the namespace whose name begins with `keep-` counts. At the end the Pods
//! are removed. Chapter: `book/src/servers/docker.md`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use rand::seq::IndexedRandom;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Notify;

use crate::client::Informers;
use crate::client::views::PodView;
use crate::clock::{Clock, Tick};
use crate::error::{Error, Result};

/// So many should be there.
pub const WANTED: usize = 3;
/// What their names begin with; the Deployment has it as its name, without the dash.
const PREFIX: &str = "keep-";
const IMAGE: &str = "tutor/web:1";
/// How long the first three may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who makes a Pod that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// Whoever types.
    You,
    /// A Deployment's loops.
    Deployment,
}

/// How long, and how often one dies.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Who keeps them.
    pub keeper: Keeper,
    /// The whole game.
    pub length: Duration,
    /// From one death to the next.
    pub every: Duration,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum Told {
    /// So many are ready now.
    Ready {
        /// Seconds since the beginning.
        at: f64,
        /// Their names.
        names: Vec<String>,
    },
    /// One was killed.
    Killed {
        /// Seconds since the beginning.
        at: f64,
        /// Which.
        name: String,
    },
    /// It is over.
    Score(Score),
}

/// How well they were kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// How many were killed.
    pub killed: usize,
    /// The share of the time in which all were ready, in percent.
    pub whole: f64,
    /// The longest time in which one was missing, in seconds.
    pub longest: f64,
}

/// A cluster to play on.
pub struct Board {
    /// Watches its Pods, and whose client makes and kills them.
    pub informers: Informers,
    /// Where.
    pub namespace: String,
    /// The source of time.
    pub clock: Clock,
}

/// Plays to the end. `tell` is called as things happen.
///
/// # Errors
/// When the cluster refuses, or the first three are not there in a minute.
pub async fn play(board: &Board, rules: Rules, tell: &mut (dyn FnMut(Told) + Send)) -> Result<Score> {
    clear(board).await?;
    let played = match set_up(board, rules.keeper).await {
        Ok(()) => kill_and_count(board, rules, tell).await,
        Err(error) => Err(error),
    };
    // Also after a fault: the next game begins with nothing.
    clear(board).await?;
    let score = played?;
    tell(Told::Score(score));
    Ok(score)
}

async fn set_up(board: &Board, keeper: Keeper) -> Result<()> {
    let client = board.informers.client();
    let container = json!([{"name": "web", "image": IMAGE}]);
    match keeper {
        Keeper::You => {
            let pods: Api<Pod> = Api::namespaced(client, &board.namespace);
            for at in 1..=WANTED {
                let pod = json!({"metadata": {"name": format!("{PREFIX}{at}")}, "spec": {"containers": container}});
                pods.create(&PostParams::default(), &typed(pod)?).await.map_err(refused)?;
            }
        }
        Keeper::Deployment => {
            let labels = json!({"app": "keep"});
            let deployment = json!({"metadata": {"name": "keep"}, "spec": {
                "replicas": WANTED, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": container}}}});
            let deployments: Api<Deployment> = Api::namespaced(client, &board.namespace);
            deployments.create(&PostParams::default(), &typed(deployment)?).await.map_err(refused)?;
        }
    }
    let changed = changes(board);
    let all = async {
        while ready(board).len() < WANTED {
            changed.notified().await;
        }
    };
    let late = || Error::new("the first three Pods are not ready after a minute", "").hint("kubectl get pods");
    board.clock.timeout(PATIENCE, all).await.map_err(|_| late())
}

async fn kill_and_count(board: &Board, rules: Rules, tell: &mut (dyn FnMut(Told) + Send)) -> Result<Score> {
    let pods: Api<Pod> = Api::namespaced(board.informers.client(), &board.namespace);
    let changed = changes(board);
    let clock = board.clock;
    let mut tally = Tally { clock, begun: clock.tick(), short: Duration::ZERO, longest: Duration::ZERO, since: None };
    let (mut killed, mut shown) = (0, Vec::new());
    let mut next = rules.every;
    loop {
        let now = ready(board);
        tally.counts(now.len());
        if now != shown {
            tell(Told::Ready { at: tally.seconds(), names: now.clone() });
            shown = now;
        }
        let passed = clock.since(tally.begun);
        if passed >= rules.length {
            break;
        }
        if passed >= next {
            next += rules.every;
            // One that somebody else removed meanwhile is dead, too.
            let victim = shown.choose(&mut rand::rng()).cloned();
            if let Some(name) = victim {
                let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
                killed += 1;
                tell(Told::Killed { at: tally.seconds(), name });
            }
            continue;
        }
        // Whichever comes first: a change, the next death, the end.
        let _ = clock.timeout(next.min(rules.length) - passed, changed.notified()).await;
    }
    tally.counts(WANTED);
    let length = clock.since(tally.begun).as_secs_f64();
    let whole = 100.0 * (1.0 - tally.short.as_secs_f64() / length);
    Ok(Score { killed, whole, longest: tally.longest.as_secs_f64() })
}

/// Adds up the time in which one was missing.
struct Tally {
    clock: Clock,
    begun: Tick,
    short: Duration,
    longest: Duration,
    since: Option<Tick>,
}

impl Tally {
    fn counts(&mut self, ready: usize) {
        match (ready >= WANTED, self.since) {
            (false, None) => self.since = Some(self.clock.tick()),
            (true, Some(since)) => {
                let gap = self.clock.since(since);
                self.short += gap;
                self.longest = self.longest.max(gap);
                self.since = None;
            }
            _ => {}
        }
    }

    fn seconds(&self) -> f64 {
        self.clock.since(self.begun).as_secs_f64()
    }
}

/// Wakes at each change of a Pod or a Deployment.
fn changes(board: &Board) -> Arc<Notify> {
    let changed = Arc::new(Notify::new());
    // An informer keeps whom it tells; without a game there is nobody to wake.
    let wake = |it: Weak<Notify>| move || _ = it.upgrade().map(|it| it.notify_one());
    let (pods, deployments) = (wake(Arc::downgrade(&changed)), wake(Arc::downgrade(&changed)));
    board.informers.get::<PodView>().subscribe(move |_| pods());
    board.informers.get::<Deployment>().subscribe(move |_| deployments());
    changed
}

/// The names of those that are ready and stay.
fn ready(board: &Board) -> Vec<String> {
    let ours = |pod: &PodView| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        name.starts_with(PREFIX) && pod.is_ready() && pod.metadata.deletion_timestamp.is_none()
    };
    let pods = board.informers.get::<PodView>().in_namespace(&board.namespace);
    let mut names: Vec<String> =
        pods.iter().filter(|pod| ours(pod)).filter_map(|pod| pod.metadata.name.clone()).collect();
    names.sort();
    names
}

/// Removes everything of a game.
async fn clear(board: &Board) -> Result<()> {
    let client = board.informers.client();
    let at_once = DeleteParams::background().grace_period(0);
    let gone = |outcome: kube::Result<()>| match outcome {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map_err(refused),
    };
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &board.namespace);
    // From the leaves up: when it is gone, its ReplicaSet is, and nobody makes one more Pod.
    gone(deployments.delete("keep", &DeleteParams::foreground()).await.map(drop))?;
    let pods: Api<Pod> = Api::namespaced(client, &board.namespace);
    let changed = changes(board);
    let all = async {
        // Asked for each time something changed: two informers need not be equally far.
        loop {
            let kept = deployments.get_opt("keep").await.map_err(refused)?.is_some();
            let found = pods.list_metadata(&ListParams::default()).await.map_err(refused)?;
            let names = found.items.into_iter().filter_map(|pod| pod.metadata.name);
            let ours: Vec<String> = names.filter(|name| name.starts_with(PREFIX)).collect();
            if ours.is_empty() && !kept {
                return Ok(());
            }
            for name in ours {
                gone(pods.delete(&name, &at_once).await.map(drop))?;
            }
            changed.notified().await;
        }
    };
    board
        .clock
        .timeout(PATIENCE, all)
        .await
        .unwrap_or_else(|_| Err(Error::new("the Pods of an earlier game do not go away", "").hint("kubectl get pods")))
}

fn typed<T: serde::de::DeserializeOwned>(object: serde_json::Value) -> Result<T> {
    serde_json::from_value(object).map_err(|fault| Error::new("the game is set up wrongly", fault.to_string()))
}

fn refused(fault: kube::Error) -> Error {
    match fault {
        kube::Error::Api(status) => Error::new(status.message.clone(), ""),
        other => Error::new("the API server does not answer", other.to_string()),
    }
}
