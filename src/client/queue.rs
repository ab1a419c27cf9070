//! A loop's work queue: which keys wait for attention, and why.
//!
//! A key that is added many times before its turn is worked on once; a key that is added during
//! its turn gets another turn after it, so no two workers ever hold one key. Failures wait twice
//! as long each time. Each key carries the revisions that woke it. As client-go's workqueue; the
//! waits are client-go's too (5 ms doubling to 1,000 s).
//!
//! Limits: one entry a key, so never more entries than objects; at most 32 causes a key.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::cause::Causes;
use crate::clock::Clock;

/// The wait after a key's first failure.
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// The longest wait after a failure.
const LONGEST_RETRY: Duration = Duration::from_secs(1000);

/// A queue of keys. Cheap to clone: all clones are the same queue.
pub struct WorkQueue<K>(Arc<Shared<K>>);

struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    clock: Clock,
}

struct State<K> {
    /// Keys whose turn comes, first in first out.
    ready: VecDeque<K>,
    /// Why each waiting key waits; has exactly the keys of `ready` and those re-added in their turn.
    waiting: HashMap<K, Causes>,
    /// Keys in the hands of a worker.
    working: HashSet<K>,
    /// Keys to be added later, by time; the number keeps the order of equal times.
    later: BTreeMap<(Timestamp, u64), K>,
    /// When each later key is due.
    due: HashMap<K, (Timestamp, u64)>,
    failures: HashMap<K, u32>,
    sequence: u64,
}

/// One key's turn. Ends when dropped.
pub struct Turn<K: Clone + Eq + Hash> {
    /// The key to work on.
    pub key: K,
    /// The revisions that woke it.
    pub causes: Causes,
    queue: WorkQueue<K>,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        WorkQueue(self.0.clone())
    }
}

impl<K> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        write!(
            f,
            "WorkQueue({} ready, {} later, {} working)",
            state.ready.len(),
            state.later.len(),
            state.working.len()
        )
    }
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// An empty queue.
    pub fn new(clock: Clock) -> Self {
        let state = State {
            ready: VecDeque::new(),
            waiting: HashMap::new(),
            working: HashSet::new(),
            later: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
        };
        WorkQueue(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), clock }))
    }

    /// Adds a key, or a cause to a key that waits already.
    pub fn add(&self, key: K, causes: &Causes) {
        self.0.state.lock().add(key, causes);
        self.0.changed.notify_one();
    }

    /// Adds a key once `delay` has passed. Of two delays for one key the earlier counts.
    pub fn add_after(&self, key: K, delay: Duration) {
        let at = self.0.clock.now().saturating_add(delay).unwrap_or(Timestamp::MAX);
        let mut state = self.0.state.lock();
        if let Some(&due) = state.due.get(&key) {
            if due.0 <= at {
                return;
            }
            state.later.remove(&due);
        }
        state.sequence += 1;
        let due = (at, state.sequence);
        state.later.insert(due, key.clone());
        state.due.insert(key, due);
        drop(state);
        self.0.changed.notify_one();
    }

    /// Adds a key that failed: after 5 ms, then 10 ms, up to 1,000 s. Its causes are kept.
    pub fn retry(&self, key: K) -> Duration {
        let delay = {
            let mut state = self.0.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            FIRST_RETRY.saturating_mul(1 << (*failures - 1).min(20)).min(LONGEST_RETRY)
        };
        self.add_after(key, delay);
        delay
    }

    /// Forgets a key's failures: it succeeded.
    pub fn forget(&self, key: &K) {
        self.0.state.lock().failures.remove(key);
    }

    /// Waits for the next key. The turn ends when the returned value is dropped.
    pub async fn next(&self) -> Turn<K> {
        loop {
            let changed = self.0.changed.notified();
            let wait_until = {
                let mut state = self.0.state.lock();
                state.promote(self.0.clock.now());
                if let Some((key, causes)) = state.take() {
                    if !state.ready.is_empty() {
                        self.0.changed.notify_one();
                    }
                    return Turn { key, causes, queue: self.clone() };
                }
                state.later.keys().next().map(|(at, _)| *at)
            };
            match wait_until {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = self.0.clock.sleep_until(at) => {}
                },
            }
        }
    }

    /// True when no key waits, now or later, and none is worked on.
    pub fn is_idle(&self) -> bool {
        let state = self.0.state.lock();
        state.ready.is_empty() && state.later.is_empty() && state.working.is_empty()
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K, causes: &Causes) {
        if let Some(known) = self.waiting.get_mut(&key) {
            known.merge(causes);
            return;
        }
        self.waiting.insert(key.clone(), causes.clone());
        if !self.working.contains(&key) {
            self.ready.push_back(key);
        }
    }

    /// Moves keys whose time has come.
    fn promote(&mut self, now: Timestamp) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key, &Causes::none());
        }
    }

    fn take(&mut self) -> Option<(K, Causes)> {
        let key = self.ready.pop_front()?;
        self.working.insert(key.clone());
        let causes = self.waiting.remove(&key).unwrap_or_default();
        Some((key, causes))
    }

    fn done(&mut self, key: &K) {
        self.working.remove(key);
        if self.waiting.contains_key(key) {
            self.ready.push_back(key.clone());
        }
    }
}

impl<K: Clone + Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        self.queue.0.state.lock().done(&self.key);
        self.queue.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn queue() -> (WorkQueue<&'static str>, Clock) {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        (WorkQueue::new(clock), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_is_worked_on_once_with_both_causes() {
        let (queue, _) = queue();
        queue.add("a", &Causes::one(1));
        queue.add("a", &Causes::one(2));
        let turn = queue.next().await;
        assert_eq!(turn.causes, Causes::one(1).and(2));
        drop(turn);
        assert!(queue.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_never_held_twice() {
        let (queue, _) = queue();
        queue.add("a", &Causes::none());
        let turn = queue.next().await;
        queue.add("a", &Causes::one(3));
        assert!(queue.next().now_or_never().is_none());
        drop(turn);
        assert_eq!(queue.next().await.causes, Causes::one(3));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_delays_counts() {
        let (queue, clock) = queue();
        queue.add_after("a", Duration::from_secs(60));
        queue.add_after("a", Duration::from_secs(10));
        queue.add_after("a", Duration::from_secs(30));
        assert_eq!(queue.next().await.key, "a");
        assert_eq!(clock.now().as_second(), 10);
        assert!(queue.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_twice_as_long_each_time_up_to_a_limit() {
        let (queue, _) = queue();
        assert_eq!(queue.retry("a"), Duration::from_millis(5));
        assert_eq!(queue.retry("a"), Duration::from_millis(10));
        for _ in 0..30 {
            queue.retry("a");
        }
        assert_eq!(queue.retry("a"), LONGEST_RETRY);
        queue.forget(&"a");
        assert_eq!(queue.retry("a"), Duration::from_millis(5));
    }

    #[tokio::test(start_paused = true)]
    async fn two_workers_share_what_is_ready() {
        let (queue, _) = queue();
        let tasks = crate::tasks::TaskGroup::new();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..2 {
            let (queue, sender) = (queue.clone(), sender.clone());
            tasks.spawn("worker", async move {
                let turn = queue.next().await;
                let _ = sender.send(turn.key);
                std::future::pending::<()>().await;
            });
        }
        tokio::task::yield_now().await;
        queue.add("a", &Causes::none());
        queue.add("b", &Causes::none());
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some("a"), Some("b")));
    }
}
