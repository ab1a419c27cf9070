//! The runner that all loops share: informers → queue → pure reconcile → plan carried out.
//!
//! Comes in: changes from informers. Goes out: writes through the loop's own client, with the
//! revisions that caused them. After its writes a key's turn lasts until the informers show them,
//! so a loop never acts twice on one observation; that takes the place of client-go's
//! "expectations" and needs no memory. A failed plan is tried again with backoff.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use http::{Request, header};
use jiff::Timestamp;
use kube::Resource;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Setup;
use super::csr_signing::Signer;
use super::plan::{Action, Note, Plan, Step, Verb};
use crate::client::events::Type;
use crate::client::{
    Causes, Change, Informer, Informers, ObjectKey, Recorder, Switch, Watched, WorkQueue, Written, cause,
};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// The longest wait for one's own writes to show. Source: controller_utils.go, ExpectationsTimeout.
const SETTLE_LIMIT: Duration = Duration::from_secs(300);

/// Why the last attempt at a key failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason of the action's failure note (`FailedCreate`), or empty.
    pub reason: &'static str,
    /// The error's text.
    pub message: String,
}

/// The circumstances of a reconcile.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// Why the last attempt at this key failed, if it did.
    pub failure: Option<Failure>,
}

/// What a loop is given.
pub struct Room {
    /// Writes as the loop's own user.
    pub client: kube::Client,
    /// The shared informers.
    pub informers: Informers,
    /// Time.
    pub clock: Clock,
    /// Background work.
    pub tasks: TaskGroup,
    /// Lets a reader pause the loop.
    pub switch: Switch,
    /// Says what happened.
    pub recorder: Recorder,
    /// The loop's keys.
    pub queue: WorkQueue<ObjectKey>,
    /// The cluster's certificate authority (PEM).
    pub root_ca: String,
    /// Signs certificates in the authority's name.
    pub signer: Signer,
    /// What must be complete before the loop starts.
    awaited: Mutex<Vec<BoxFuture<'static, ()>>>,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({:?})", self.queue)
    }
}

impl Room {
    /// A loop's room.
    pub fn new(client: kube::Client, informers: Informers, switch: Switch, recorder: Recorder, setup: &Setup) -> Self {
        let queue = WorkQueue::new(setup.clock);
        let (root_ca, signer) = (setup.root_ca.clone(), setup.signer.clone());
        let (clock, tasks) = (setup.clock, setup.tasks.clone());
        Room { client, informers, clock, tasks, switch, recorder, queue, root_ca, signer, awaited: Mutex::default() }
    }

    /// The shared informer of a kind; the loop starts once it is complete.
    pub fn informer<K>(&self) -> Informer<K>
    where
        K: Watched + Clone + fmt::Debug + DeserializeOwned + Resource<DynamicType = ()>,
    {
        let informer = self.informers.get::<K>();
        self.wait_for(&informer);
        informer
    }

    /// The loop starts once this informer is complete.
    pub fn wait_for<K: Watched + Clone + fmt::Debug>(&self, informer: &Informer<K>) {
        let synced = informer.clone();
        self.awaited.lock().push(async move { synced.synced().await }.boxed());
    }

    /// Wakes the keys that `keys` finds for each change, with the change's revision as the cause.
    pub fn wake<K>(&self, informer: &Informer<K>, keys: impl Fn(&K) -> Vec<ObjectKey> + Send + Sync + 'static)
    where
        K: Watched + Clone + fmt::Debug,
    {
        let queue = self.queue.clone();
        informer.subscribe(move |change| {
            let causes = Causes::of(change.object().meta());
            let mut woken = keys(change.object());
            if let Change::Modified { old, .. } = change {
                woken.extend(keys(old));
                woken.sort();
                woken.dedup();
            }
            for key in woken {
                queue.add(key, &causes);
            }
        });
    }

    /// Wakes an object's own key.
    pub fn wake_self<K: Watched + Clone + fmt::Debug>(&self, informer: &Informer<K>) {
        self.wake(informer, |object| vec![ObjectKey::of(object.meta())]);
    }

    /// Runs a pure loop with this many workers.
    pub fn run(
        self,
        name: &'static str,
        workers: usize,
        plan: impl Fn(&ObjectKey, &Moment) -> Plan + Send + Sync + 'static,
    ) {
        let failures: Mutex<HashMap<ObjectKey, Failure>> = Mutex::default();
        let executor = Arc::new(Executor {
            client: self.client.clone(),
            informers: self.informers.clone(),
            clock: self.clock,
            recorder: self.recorder.clone(),
        });
        let clock = self.clock;
        let shared = Arc::new((plan, failures));
        self.run_async(name, workers, move |key, causes| {
            let (executor, shared) = (executor.clone(), shared.clone());
            async move {
                let (plan, failures) = &*shared;
                let failure = failures.lock().get(&key).cloned();
                let plan = plan(&key, &Moment { now: clock.now(), failure });
                let again = plan.again_after;
                tracing::trace!(controller = name, %key, ?causes, steps = plan.steps.len(), "reconciled");
                match executor.carry_out(plan, &causes).await {
                    Ok(()) => {
                        failures.lock().remove(&key);
                        Ok(again)
                    }
                    Err(failure) => {
                        let message = failure.message.clone();
                        failures.lock().insert(key, failure);
                        Err(message)
                    }
                }
            }
        });
    }

    /// Runs a loop whose work is not a plan, with this many workers. The work says when to look
    /// again; an error is tried again with backoff.
    pub fn run_async<W, F>(self, name: &'static str, workers: usize, work: W)
    where
        W: Fn(ObjectKey, Causes) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Option<Duration>, String>> + Send + 'static,
    {
        let awaited = std::mem::take(&mut *self.awaited.lock()).into_iter().collect::<Vec<_>>();
        let synced = join_all(awaited).map(drop).boxed().shared();
        let work = Arc::new(work);
        for _ in 0..workers {
            let (synced, work) = (synced.clone(), work.clone());
            let (queue, switch) = (self.queue.clone(), self.switch.clone());
            self.tasks.spawn(name, async move {
                synced.await;
                loop {
                    let turn = queue.next().await;
                    switch.gate().await;
                    match work(turn.key.clone(), turn.causes.clone()).await {
                        Ok(again) => {
                            queue.forget(&turn.key);
                            if let Some(delay) = again {
                                queue.add_after(turn.key.clone(), delay);
                            }
                        }
                        Err(failure) => {
                            tracing::debug!(controller = name, key = %turn.key, failure);
                            queue.retry(turn.key.clone());
                        }
                    }
                }
            });
        }
    }
}

/// Carries plans out.
pub struct Executor {
    /// Writes as the loop's own user.
    pub client: kube::Client,
    /// To wait for the writes to show.
    pub informers: Informers,
    /// Time.
    pub clock: Clock,
    /// Says what happened.
    pub recorder: Recorder,
}

impl Executor {
    /// Carries a plan out, up to the first failure, and waits until the informers show it.
    ///
    /// # Errors
    /// The first failure.
    pub async fn carry_out(&self, plan: Plan, causes: &Causes) -> Result<(), Failure> {
        if plan.steps.is_empty() {
            return Ok(());
        }
        let client = cause::with(&self.client, causes);
        let mut writes = Vec::new();
        let mut result = Ok(());
        for step in &plan.steps {
            result = match step {
                Step::Say(note) => {
                    self.say(note, "", "", causes);
                    Ok(())
                }
                Step::Do(action) => self.act(&client, action, causes, &mut writes).await,
                Step::Burst(actions) => self.burst(&client, actions, causes, &mut writes).await,
            };
            if result.is_err() {
                break;
            }
        }
        for (action, key, written) in &writes {
            let settled = self.informers.settled(&action.resource, key, written);
            if self.clock.timeout(SETTLE_LIMIT, settled).await.is_err() {
                tracing::warn!(resource = action.resource, %key, "a write did not show in time");
            }
        }
        result
    }

    async fn burst<'a>(
        &self,
        client: &kube::Client,
        mut actions: &'a [Action],
        causes: &Causes,
        writes: &mut Vec<(&'a Action, ObjectKey, Written)>,
    ) -> Result<(), Failure> {
        let mut size = 1;
        while !actions.is_empty() {
            let (batch, rest) = actions.split_at(size.min(actions.len()));
            let results = join_all(batch.iter().map(|action| async move {
                let mut writes = Vec::new();
                (self.act(client, action, causes, &mut writes).await, writes)
            }));
            let mut first_failure = Ok(());
            for (result, done) in results.await {
                writes.extend(done);
                first_failure = first_failure.and(result);
            }
            first_failure?;
            (actions, size) = (rest, size * 2);
        }
        Ok(())
    }

    async fn act<'a>(
        &self,
        client: &kube::Client,
        action: &'a Action,
        causes: &Causes,
        writes: &mut Vec<(&'a Action, ObjectKey, Written)>,
    ) -> Result<(), Failure> {
        match send(client, action).await {
            Ok(answer) => {
                let name = answer["metadata"]["name"].as_str().unwrap_or(&action.key.name);
                let key = ObjectKey::new(action.key.namespace.clone(), name);
                if let Some(written) = written(action, &answer) {
                    tracing::trace!(resource = action.resource, %key, ?written);
                    writes.push((action, key.clone(), written));
                }
                if let Some(note) = &action.said {
                    self.say(note, name, "", causes);
                }
                Ok(())
            }
            Err(error) if is_done(action, &error) => Ok(()),
            Err(error) => {
                let message = text(&error);
                if let Some(note) = &action.failed {
                    self.say(note, &action.key.name, &message, causes);
                }
                Err(Failure { reason: action.failed.as_ref().map_or("", |note| note.reason), message })
            }
        }
    }

    fn say(&self, note: &Note, name: &str, error: &str, causes: &Causes) {
        let type_ = if note.warning { Type::Warning } else { Type::Normal };
        let message = note.message.replace("<name>", name).replace("<err>", error);
        self.recorder.record(&note.about, type_, note.reason, message, causes);
    }
}

/// Sends one action and returns the server's answer.
///
/// # Errors
/// As the client's.
pub async fn send(client: &kube::Client, action: &Action) -> kube::Result<Value> {
    let mut path = action.path.clone();
    if action.verb != Verb::Create {
        path = format!("{path}/{}", action.key.name);
    }
    if !action.subresource.is_empty() {
        path = format!("{path}/{}", action.subresource);
    }
    let (method, content) = match action.verb {
        Verb::Create => ("POST", "application/json"),
        Verb::Update => ("PUT", "application/json"),
        Verb::Patch(kind) => ("PATCH", kind),
        Verb::Delete => ("DELETE", "application/json"),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, content)
        .header(header::ACCEPT, "application/json")
        .body(action.body.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// An error that means that what was wanted is so, or can never be.
fn is_done(action: &Action, error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let terminating = || {
        let details = status.details.as_ref();
        details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
    };
    match action.verb {
        // Gone, or another object has its name by now.
        Verb::Delete => status.code == 404 || status.code == 409,
        Verb::Create => terminating(),
        Verb::Patch(_) | Verb::Update => status.code == 404,
    }
}

fn written(action: &Action, answer: &Value) -> Option<Written> {
    if action.verb == Verb::Delete {
        return action.uid.clone().map(Written::Deleted);
    }
    let revision = answer["metadata"]["resourceVersion"].as_str()?.parse().ok()?;
    Some(Written::At(revision))
}

/// The server's own words, without the client's around them.
pub fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
