//! Who watches what, and the newest commits.
//!
//! A watch has no queue. It knows the first revision that holds something it has not delivered
//! (`pending`); everything before is delivered or none of its business. The writer sets that and
//! wakes it. What it then delivers comes from the newest commits, kept here, or when it is late,
//! from history. So a slow watch costs nothing, misses nothing, and an idle one is never too old.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::event::Event;
use super::options::{RECENT_BYTES_MAX, RECENT_MAX};
use super::types::Keys;

/// All events of one revision.
#[derive(Debug)]
pub(super) struct Commit {
    pub revision: i64,
    pub events: Vec<Event>,
}

impl Commit {
    fn bytes(&self) -> usize {
        let size = |event: &Event| event.kv.value.len() + event.prev_kv.as_ref().map_or(0, |kv| kv.value.len());
        self.events.iter().map(size).sum()
    }
}

#[derive(Debug)]
struct Entry {
    keys: Keys,
    /// Events before this revision are not wanted.
    from: i64,
    pending: Option<i64>,
    /// The watch has said that everything up to here is delivered.
    told: i64,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    published: i64,
    recent: VecDeque<Arc<Commit>>,
    recent_bytes: usize,
    entries: HashMap<u64, Entry>,
    next_id: u64,
    stopped: bool,
}

impl State {
    fn pass(&mut self, id: u64, revision: i64) -> Option<&mut Entry> {
        let published = self.published;
        let entry = self.entries.get_mut(&id)?;
        entry.pending = (revision < published).then_some(revision + 1);
        Some(entry)
    }
}

/// What a watch has to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Deliver from these commits, all there were up to `to`.
    Live { to: i64, commits: Vec<Arc<Commit>> },
    /// Deliver `from..=to` from history.
    Late { from: i64, to: i64 },
    /// Say that everything up to here is delivered.
    Mark(i64),
    /// Wait to be woken.
    Wait,
    /// The store is shutting down.
    Stop,
}

/// The meeting place of the writer and the watches.
#[derive(Debug)]
pub(super) struct Hub {
    state: Mutex<State>,
    /// Watches are asked to say so when they have come this far.
    asked: AtomicI64,
}

impl Hub {
    pub fn new(revision: i64) -> Self {
        Hub { state: Mutex::new(State { published: revision, ..State::default() }), asked: AtomicI64::new(0) }
    }

    /// Adds a watch of `keys` from the revision `from` on.
    pub fn add(&self, keys: Keys, from: i64) -> (u64, Arc<Notify>) {
        let mut state = self.state.lock();
        let pending = (from <= state.published).then_some(from);
        let wake = Arc::new(Notify::new());
        let id = state.next_id;
        state.next_id += 1;
        let told = (from - 1).min(state.published);
        state.entries.insert(id, Entry { keys, from, pending, told, wake: wake.clone() });
        (id, wake)
    }

    pub fn remove(&self, id: u64) {
        self.state.lock().entries.remove(&id);
    }

    /// Tells the watches of new durable commits, oldest first.
    pub fn publish(&self, commits: Vec<Commit>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let asked = self.asked.load(Ordering::Acquire);
        if let Some(last) = commits.last() {
            state.published = last.revision;
        }
        for entry in state.entries.values_mut() {
            if entry.pending.is_none() {
                let wanted = |commit: &&Commit| {
                    commit.revision >= entry.from
                        && commit.events.iter().any(|event| entry.keys.contains(&event.kv.key))
                };
                entry.pending = commits.iter().find(wanted).map(|commit| commit.revision);
                if entry.pending.is_some() || entry.told < asked {
                    entry.wake.notify_one();
                }
            }
        }
        for commit in commits {
            state.recent_bytes += commit.bytes();
            state.recent.push_back(Arc::new(commit));
        }
        while state.recent.len() > RECENT_MAX || state.recent_bytes > RECENT_BYTES_MAX {
            let Some(oldest) = state.recent.pop_front() else { break };
            state.recent_bytes -= oldest.bytes();
        }
    }

    /// Asks every watch to say when it has come as far as `revision`.
    pub fn ask(&self, revision: i64) {
        if self.asked.fetch_max(revision, Ordering::AcqRel) < revision {
            let state = self.state.lock();
            for entry in state.entries.values().filter(|entry| entry.told < state.published.min(revision)) {
                entry.wake.notify_one();
            }
        }
    }

    /// What the watch has to do now.
    pub fn next(&self, id: u64) -> Next {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.stopped {
            return Next::Stop;
        }
        // Removed only when the watch is dropped.
        let Some(entry) = state.entries.get_mut(&id) else { return Next::Stop };
        let to = state.published;
        let Some(from) = entry.pending else {
            if entry.told < self.asked.load(Ordering::Acquire).min(to) {
                entry.told = to;
                return Next::Mark(to);
            }
            return Next::Wait;
        };
        match state.recent.front() {
            Some(oldest) if oldest.revision <= from => {
                let first = state.recent.partition_point(|commit| commit.revision < from);
                Next::Live { to, commits: state.recent.range(first..).cloned().collect() }
            }
            _ => Next::Late { from, to },
        }
    }

    /// The watch is about to deliver everything up to `revision`.
    pub fn delivered(&self, id: u64, revision: i64) {
        let mut state = self.state.lock();
        if let Some(entry) = state.pass(id, revision) {
            entry.told = revision;
        }
    }

    /// The watch has nothing to deliver up to `revision`.
    pub fn passed(&self, id: u64, revision: i64) {
        self.state.lock().pass(id, revision);
    }

    /// Ends all watches.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        for entry in state.entries.values() {
            entry.wake.notify_one();
        }
    }
}
