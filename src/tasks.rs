//! The task group: every task in the process has a name, an owner, and a way to stop.
//!
//! A [`TaskGroup`] is handed to whoever needs to run something in the background. Dropping a task
//! handle does not stop the task; [`TaskGroup::shutdown`] stops them all and waits. A group can
//! have children (a node's kubelet is one), which stop alone or with their parent.
//!
//! Architecture invariant: no other file calls `tokio::spawn`.

use std::future::Future;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A set of named tasks that stop together. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TaskGroup {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl TaskGroup {
    /// An empty group with no parent.
    pub fn new() -> Self {
        Self::default()
    }

    /// A group that stops when this one stops, or earlier, alone.
    pub fn child(&self) -> TaskGroup {
        TaskGroup { stop: self.stop.child_token(), tasks: TaskTracker::new() }
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
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => tracing::trace!(task = name, "stopped"),
                () = future => tracing::trace!(task = name, "ended"),
            }
        });
    }

    /// Runs blocking work (a disk flush, a child process to wait for) on the blocking pool.
    ///
    /// # Panics
    /// When `work` panics, so that a broken invariant is not swallowed.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match self.tasks.spawn_blocking(work).await {
            Ok(value) => value,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }

    /// Starts blocking work on the blocking pool and does not wait for it. Outside a runtime, where
    /// there is no pool, does it at once.
    pub fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        match Handle::try_current() {
            Ok(runtime) => drop(self.tasks.spawn_blocking_on(work, &runtime)),
            Err(_) => work(),
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
        self.tasks.spawn(async move {
            future.await;
            tracing::trace!(task = name, "ended");
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

    /// Stops every task and waits until they have ended, at most `limit`. Returns false when
    /// some had not.
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
}
