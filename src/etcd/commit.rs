//! Grouped durable commit: one flush serves every writer that is waiting.
//!
//! Writers put their jobs into a queue. The first one to find nobody leading leads: it takes all
//! that wait, applies them in order, makes one durable commit, installs the result where readers
//! see it, answers, and tells the watches. It does so where it is, for its own group; whoever came
//! meanwhile is served by a thread of the blocking pool, group after group until nobody waits. So a
//! lone writer pays for one flush and no change of threads, and a hundred writers share the flush.
//! On a disk that takes its time, the thread's other tasks go to another thread first.
//! Whatever fails is answered with the reason, and nothing of it is kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::batch::{Batch, value_bytes};
use super::core::Core;
use super::disk::{Change, Work};
use super::error::StoreError;
use super::hub::Commit;
use super::index::RowId;
use super::options::{GROUP_BYTES_MAX, GROUP_MAX, SWEEP_MAX};
use super::read::View;
use super::request::{Txn, TxnResponse};
use super::types::{LeaseId, Revision};
use crate::tasks::TaskGroup;

/// A commit that takes no longer keeps its thread. To hand the thread's other tasks to another one costs a lone writer
/// a tenth of all its time, measured with client-go (`benches/README.md`).
const QUICK: Duration = Duration::from_micros(500);

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What a writer wants.
pub(super) enum Job {
    Txn(Txn, Reply<TxnResponse>),
    Compact(Revision, Reply<()>),
    Grant(LeaseId, i64, Reply<()>),
    Revoke(LeaseId, Reply<()>),
    /// Nothing but a look at whether history is too old.
    Tick(Reply<()>),
}

/// An answer that is given once the commit is durable.
enum Answer {
    Txn(Reply<TxnResponse>, Result<TxnResponse, StoreError>),
    Done(Reply<()>, Result<(), StoreError>),
}

impl Answer {
    /// A writer that is gone does not want its answer.
    fn give(self) {
        match self {
            Answer::Txn(reply, result) => drop(reply.send(result)),
            Answer::Done(reply, result) => drop(reply.send(result)),
        }
    }

    fn refuse(self, error: &StoreError) {
        match self {
            Answer::Txn(reply, _) => drop(reply.send(Err(error.clone()))),
            Answer::Done(reply, _) => drop(reply.send(Err(error.clone()))),
        }
    }
}

/// Who waits. Its length is limited by [`Core::places`]: each job holds one.
pub(super) struct Queue {
    jobs: VecDeque<(Job, OwnedSemaphorePermit)>,
    /// Rows of forgotten history, to be deleted a few with each commit.
    garbage: Vec<RowId>,
    leading: bool,
    /// The last group had more than one writer: another one will.
    crowded: bool,
}

/// How long commits take lately, in nanoseconds: an average in which the newest counts for an eighth.
#[derive(Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    /// Only the one who commits calls this.
    fn took(&self, time: Duration) {
        let (before, now) = (self.0.load(Ordering::Relaxed), time.as_nanos() as u64);
        self.0.store(before - before / 8 + now / 8, Ordering::Relaxed);
    }

    fn is_quick(&self) -> bool {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)) <= QUICK
    }
}

struct Group {
    jobs: Vec<(Job, OwnedSemaphorePermit)>,
    garbage: Vec<RowId>,
}

impl Queue {
    pub fn new(garbage: Vec<RowId>) -> Self {
        Queue { jobs: VecDeque::new(), garbage, leading: false, crowded: false }
    }

    fn waits(&self) -> bool {
        !self.jobs.is_empty() || !self.garbage.is_empty()
    }

    fn next(&mut self) -> Option<Group> {
        let mut jobs = Vec::new();
        let mut bytes = 0;
        while jobs.len() < GROUP_MAX
            && bytes < GROUP_BYTES_MAX
            && let Some((job, place)) = self.jobs.pop_front()
        {
            if let Job::Txn(txn, _) = &job {
                bytes += value_bytes(txn);
            }
            jobs.push((job, place));
        }
        self.crowded = jobs.len() > 1;
        let garbage = self.garbage.split_off(self.garbage.len().saturating_sub(SWEEP_MAX));
        (!jobs.is_empty() || !garbage.is_empty()).then_some(Group { jobs, garbage })
    }
}

/// The duty to lead: a queue with jobs is never without someone who has it. Dropped, it goes to the
/// blocking pool; so a leader whose future is dropped passes it on.
struct Duty(Option<Arc<Core>>);

impl Duty {
    /// Commits one group here. What is left of the duty passes on.
    fn serve_one(mut self) {
        let Some(core) = self.0.take() else { return };
        let stays = core.pace.is_quick() && !core.disk.is_log_full();
        let more = if stays { core.lead_once() } else { tokio::task::block_in_place(|| core.lead_once()) };
        if more.is_some() {
            self.0 = Some(core);
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if let Some(core) = self.0.take() {
            core.tasks.clone().spawn_blocking(move || while core.lead_once().is_some() {});
        }
    }
}

/// There may be another group to commit, and whoever knows it leads on.
struct More;

/// Lets nobody wait for ever for a leader that broke.
struct Leading<'a>(&'a Core);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = self.0.queue.lock();
            queue.leading = false;
            queue.jobs.clear();
        }
    }
}

impl Core {
    pub async fn txn(self: &Arc<Self>, txn: Txn) -> Result<TxnResponse, StoreError> {
        self.submit(|reply| Job::Txn(txn, reply)).await
    }

    pub async fn compact(self: &Arc<Self>, revision: Revision) -> Result<(), StoreError> {
        self.submit(|reply| Job::Compact(revision, reply)).await
    }

    pub async fn grant(self: &Arc<Self>, lease: LeaseId, ttl_seconds: i64) -> Result<(), StoreError> {
        self.submit(|reply| Job::Grant(lease, ttl_seconds, reply)).await
    }

    pub async fn revoke(self: &Arc<Self>, lease: LeaseId) -> Result<(), StoreError> {
        self.submit(|reply| Job::Revoke(lease, reply)).await
    }

    pub async fn tick(self: &Arc<Self>) -> Result<(), StoreError> {
        self.submit(Job::Tick).await
    }

    async fn submit<T>(self: &Arc<Self>, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let (lead, crowded) = {
            let mut queue = self.queue.lock();
            queue.jobs.push_back((job(reply), place));
            (!std::mem::replace(&mut queue.leading, true), queue.crowded)
        };
        if lead && self.disk.is_instant() {
            while self.lead_once().is_some() {}
        } else if lead {
            let duty = Duty(Some(self.clone()));
            if TaskGroup::can_block_in_place() {
                if crowded {
                    // Others get their jobs in first, and share the flush.
                    tokio::task::yield_now().await;
                }
                duty.serve_one();
            }
        }
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Commits one group; `None` when nobody waits and nothing is left to sweep: nobody leads then.
    fn lead_once(&self) -> Option<More> {
        let _leading = Leading(self);
        let group = {
            let mut queue = self.queue.lock();
            let Some(group) = queue.next() else {
                queue.leading = false;
                return None;
            };
            group
        };
        let began = self.clock.tick();
        self.commit(group);
        self.pace.took(self.clock.since(began));
        let mut queue = self.queue.lock();
        queue.leading = queue.waits();
        queue.leading.then_some(More)
    }

    fn commit(&self, group: Group) {
        let now = self.clock.now();
        let (answers, mut work, before, after) = self.apply(group.jobs, now);
        work.garbage = group.garbage;
        if !work.is_empty()
            && let Err(error) = self.disk.commit(&work, before, after)
        {
            answers.into_iter().for_each(|answer| answer.refuse(&error));
            if work.changes.is_empty() {
                // Rows that are left over are found again when the store is next opened.
                tracing::warn!(%error, "forgotten history stays on disk for now");
            }
            return;
        }
        self.install(&work);
        for (id, ttl_seconds) in &work.granted {
            self.lessor.granted(LeaseId(*id), *ttl_seconds, now);
        }
        for id in &work.revoked {
            self.lessor.revoked(LeaseId(*id));
        }
        answers.into_iter().for_each(Answer::give);
        self.hub.publish(by_revision(work.changes));
    }

    /// Applies the jobs in order to what is durable, without changing it.
    fn apply(&self, jobs: Vec<(Job, OwnedSemaphorePermit)>, now: jiff::Timestamp) -> (Vec<Answer>, Work, i64, i64) {
        let index = self.index.read();
        let view = View::new(&index, &self.disk);
        let mut batch = Batch::new(&view, &self.lessor);
        let answer = |(job, _place): (Job, OwnedSemaphorePermit)| match job {
            Job::Txn(txn, reply) => Answer::Txn(reply, batch.txn(txn)),
            Job::Compact(revision, reply) => Answer::Done(reply, batch.compact(revision)),
            Job::Revoke(lease, reply) => Answer::Done(reply, batch.revoke(lease)),
            Job::Grant(lease, ttl_seconds, reply) => {
                batch.grant(lease, ttl_seconds);
                Answer::Done(reply, Ok(()))
            }
            Job::Tick(reply) => Answer::Done(reply, Ok(())),
        };
        let answers: Vec<Answer> = jobs.into_iter().map(answer).collect();
        if let Some(revision) = self.retention.lock().due(now, &index) {
            // Refused only if one of the jobs compacts further.
            let _ = batch.compact(Revision(revision));
        }
        let (work, after) = batch.finish();
        (answers, work, index.revision, after)
    }

    /// Shows readers what is durable now.
    fn install(&self, work: &Work) {
        let mut index = self.index.write();
        for Change { version, event } in &work.changes {
            index.install(&event.kv.key, *version, Some(event.kv.value.clone()));
        }
        let garbage = work.compact.map(|revision| index.compact(revision)).unwrap_or_default();
        self.committed.store(index.revision, Ordering::Release);
        drop(index);
        if !garbage.is_empty() {
            self.queue.lock().garbage.extend(garbage);
        }
    }
}

fn by_revision(changes: Vec<Change>) -> Vec<Commit> {
    let mut commits: Vec<Commit> = Vec::new();
    for Change { version, event } in changes {
        match commits.last_mut() {
            Some(last) if last.revision == version.row.revision => last.events.push(event),
            _ => commits.push(Commit { revision: version.row.revision, events: vec![event] }),
        }
    }
    commits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_commit_changes_little_and_a_slow_disk_is_noticed_and_forgotten() {
        let (pace, quick, slow) = (Pace::default(), Duration::from_micros(100), Duration::from_millis(2));
        assert!(pace.is_quick(), "nothing is known yet");
        (0..32).for_each(|_| pace.took(quick));
        pace.took(slow);
        assert!(pace.is_quick());
        (0..8).for_each(|_| pace.took(slow));
        assert!(!pace.is_quick());
        (0..32).for_each(|_| pace.took(quick));
        assert!(pace.is_quick());
    }
}
