//! A running watch: waits for its turn, then delivers whole revisions.
//!
//! What it has to do the [`Hub`](super::hub::Hub) says. Until a response is ready nothing is marked
//! as delivered, so a caller may drop the future of `next` at any time and ask again.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use super::Watching;
use super::core::Core;
use super::disk::Reader;
use super::error::StoreError;
use super::event::{Event, EventKind, WatchResponse};
use super::hub::{Commit, Next};
use super::index::{Index, Version};
use super::options::RESPONSE_EVENTS_MAX;
use super::types::{KeyValue, Keys, Revision};

/// A watch of some keys.
pub(super) struct Watch {
    core: Arc<Core>,
    keys: Keys,
    id: u64,
    wake: Arc<Notify>,
}

impl Watch {
    pub fn new(core: Arc<Core>, keys: Keys, from: Option<Revision>) -> Result<Self, StoreError> {
        if let Some(from) = from {
            let oldest = core.index.read().compacted;
            if from.0 < oldest {
                return Err(StoreError::Compacted { oldest: Revision(oldest) });
            }
        }
        // "From now on" is after what is acknowledged, though it may not be published yet.
        let from = from.map_or_else(|| core.revision() + 1, |from| from.0);
        let (id, wake) = core.hub.add(keys.clone(), from);
        Ok(Watch { core, keys, id, wake })
    }

    async fn step(&mut self) -> Result<WatchResponse, StoreError> {
        loop {
            let response = match self.core.hub.next(self.id) {
                Next::Live { to, commits } => live(&self.keys, to, &commits),
                Next::Late { from, to } => self.late(from, to).await?,
                Next::Mark(to) => return Ok(WatchResponse { revision: Revision(to), events: Vec::new() }),
                Next::Stop => return Err(StoreError::Stopped),
                Next::Wait => {
                    self.wake.notified().await;
                    continue;
                }
            };
            if !response.events.is_empty() {
                self.core.hub.delivered(self.id, response.revision.0);
                return Ok(response);
            }
            self.core.hub.passed(self.id, response.revision.0);
        }
    }

    async fn late(&self, from: i64, to: i64) -> Result<WatchResponse, StoreError> {
        let (replay, reader) = {
            let index = self.core.index.read();
            if from < index.compacted {
                return Err(StoreError::Compacted { oldest: Revision(index.compacted) });
            }
            let replay = replay(&index, &self.keys, from, to);
            if replay.steps.is_empty() {
                return Ok(WatchResponse { revision: Revision(replay.to), events: Vec::new() });
            }
            (replay, self.core.disk.reader()?)
        };
        if self.core.disk.is_instant() {
            return replay.read(&reader);
        }
        self.core.tasks.blocking(move || replay.read(&reader)).await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.core.hub.remove(self.id);
    }
}

impl Watching for Watch {
    fn next(&mut self) -> BoxFuture<'_, Result<WatchResponse, StoreError>> {
        self.step().boxed()
    }
}

fn live(keys: &Keys, to: i64, commits: &[Arc<Commit>]) -> WatchResponse {
    let mut events: Vec<Event> = Vec::new();
    for commit in commits {
        if events.len() >= RESPONSE_EVENTS_MAX {
            return WatchResponse { revision: Revision(commit.revision - 1), events };
        }
        events.extend(commit.events.iter().filter(|event| keys.contains(&event.kv.key)).cloned());
    }
    WatchResponse { revision: Revision(to), events }
}

/// One event of the past whose values are still to be read.
struct Step {
    key: Bytes,
    version: Version,
    before: Option<Version>,
}

struct Replay {
    to: i64,
    steps: Vec<Step>,
}

/// The events of `keys` in `from..=to`, or of as many whole revisions as one response holds.
fn replay(index: &Index, keys: &Keys, from: i64, to: i64) -> Replay {
    let mut steps: Vec<Step> = index
        .span(keys)
        .flat_map(|(key, history)| {
            history.between(from, to).map(|(version, before)| Step {
                key: key.clone(),
                version: *version,
                before: before.copied(),
            })
        })
        .collect();
    steps.sort_by_key(|step| step.version.row);
    let Some(full) = steps.get(RESPONSE_EVENTS_MAX) else { return Replay { to, steps } };
    // The revision that would be cut is left to the next response, unless it is all there is.
    let mut last = full.version.row.revision - 1;
    if steps[0].version.row.revision > last {
        last = steps[0].version.row.revision;
    }
    steps.truncate(steps.partition_point(|step| step.version.row.revision <= last));
    Replay { to: last, steps }
}

impl Replay {
    fn read(self, reader: &Reader) -> Result<WatchResponse, StoreError> {
        let load = |key: &Bytes, version: &Version| -> Result<KeyValue, StoreError> {
            Ok(version.key_value(key, reader.value(version.row)?))
        };
        let mut events = Vec::with_capacity(self.steps.len());
        for Step { key, version, before } in &self.steps {
            let prev_kv = before.as_ref().map(|before| load(key, before)).transpose()?;
            events.push(if version.is_tombstone() {
                Event { kind: EventKind::Delete, kv: version.key_value(key, Bytes::new()), prev_kv }
            } else {
                Event { kind: EventKind::Put, kv: load(key, version)?, prev_kv }
            });
        }
        Ok(WatchResponse { revision: Revision(self.to), events })
    }
}
