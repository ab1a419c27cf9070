//! The task group: every task in the process has a name, an owner, and a way to stop.
//!
//! A [`TaskGroup`] is handed to whoever needs to run something in the background. Dropping a task
//! handle does not stop the task; [`TaskGroup::shutdown`] stops them all and waits. A group can
//! have children (a node's kubelet is one), which stop alone or with their parent.
//!
//! Architecture invariant: no other file calls `tokio::spawn`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A set of named tasks that stop together. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TaskGroup {
    stop: CancellationToken,
    tasks: TaskTracker,
    /// The groups that this one is a part of: who waits for them waits for its tasks too.
    above: Arc<[TaskTracker]>,
}

impl TaskGroup {
    /// An empty group with no parent.
    pub fn new() -> Self {
        Self::default()
    }

    /// A group that stops when this one stops, or earlier, alone.
    pub fn child(&self) -> TaskGroup {
        let above = self.above.iter().chain([&self.tasks]).cloned().collect();
        TaskGroup { stop: self.stop.child_token(), tasks: TaskTracker::new(), above }
    }

    /// Keeps the groups above waiting, until it is dropped.
    fn counted_above(&self) -> Vec<TaskTrackerToken> {
        self.above.iter().map(TaskTracker::token).collect()
    }

    /// Runs `future` in the background until it ends or the group stops (it is dropped then, at
    /// its next await point). `name` shows in traces.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.run(name, Box::pin(future));
    }

    /// The one task that there is, whatever it runs: tokio's machinery is compiled once, not for each future.
    fn run(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let (stop, counted) = (self.stop.clone(), self.counted_above());
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => tracing::trace!(task = name, "stopped"),
                () = future => tracing::trace!(task = name, "ended"),
            }
            drop(counted);
        });
    }

    /// Runs blocking work (a disk flush, a child process to wait for) on the blocking pool.
    ///
    /// # Panics
    /// When `work` panics, so that a broken invariant is not swallowed.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match self.tasks.spawn_blocking(self.counted(work)).await {
            Ok(value) => value,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }

    /// Starts blocking work on the blocking pool and does not wait for it. Outside a runtime, where
    /// there is no pool, does it at once.
    pub fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        match Handle::try_current() {
            Ok(runtime) => drop(self.tasks.spawn_blocking_on(self.counted(work), &runtime)),
            Err(_) => work(),
        }
    }

    fn counted<T, F: FnOnce() -> T>(&self, work: F) -> impl FnOnce() -> T + use<T, F> {
        let counted = self.counted_above();
        move || {
            let done = work();
            drop(counted);
            done
        }
    }

    /// Whether [`tokio::task::block_in_place`] may be used here: the runtime has other threads.
    pub fn can_block_in_place() -> bool {
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
    }

    /// Resolves when the group is told to stop. For tasks that have something to finish first,
    /// run them with [`TaskGroup::spawn_graceful`] and wait for this inside.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// True once the group was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// As [`TaskGroup::spawn`], but the task is not dropped when the group stops: it must watch
    /// [`TaskGroup::stopping`] itself and end soon after.
    pub fn spawn_graceful<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.finish(name, Box::pin(future));
    }

    fn finish(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let counted = self.counted_above();
        self.tasks.spawn(async move {
            future.await;
            tracing::trace!(task = name, "ended");
            drop(counted);
        });
    }

    /// Tells every task to stop once what is returned is dropped.
    #[must_use]
    pub fn on_drop(self) -> DropGuard {
        self.stop.drop_guard()
    }

    /// Tells every task to stop, without waiting.
    pub fn cancel(&self) {
        self.stop.cancel();
    }

    /// Stops every task, of its children too, and waits until they have ended, at most `limit`. Returns
    /// false when some had not.
    pub async fn shutdown(&self, clock: crate::clock::Clock, limit: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        clock.timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn shutdown_stops_tasks_that_would_run_for_ever() {
        let group = TaskGroup::new();
        group.spawn("forever", std::future::pending());
        let clock = Clock::virtual_from(jiff::Timestamp::UNIX_EPOCH);
        assert!(group.shutdown(clock, Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_stops_with_its_parent() {
        let parent = TaskGroup::new();
        let child = parent.child();
        parent.cancel();
        child.stopping().await;
        assert!(child.is_stopping());
    }

    #[tokio::test]
    async fn who_stops_a_group_waits_for_the_work_of_its_children() {
        let (parent, clock) = (TaskGroup::new(), Clock::real());
        let child = parent.child().child();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        child.spawn_blocking(move || ended.recv().unwrap());
        assert!(!parent.shutdown(clock, Duration::from_millis(1)).await, "the child works");
        end.send(()).unwrap();
        assert!(parent.shutdown(clock, Duration::from_secs(60)).await);
    }
}
