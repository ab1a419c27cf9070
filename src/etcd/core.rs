//! The store's state, shared by readers, writers, watches and its own background tasks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use super::commit::{Pace, Queue};
use super::disk::{Disk, Found};
use super::hub::Hub;
use super::index::Index;
use super::lease::Lessor;
use super::options::{Options, TICK, WAITING_MAX};
use super::retention::Retention;
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// All of a running store.
pub(super) struct Core {
    pub disk: Disk,
    /// What is durable. Only the one who commits changes it.
    pub index: RwLock<Index>,
    pub hub: Hub,
    pub lessor: Lessor,
    pub retention: Mutex<Retention>,
    pub queue: Mutex<Queue>,
    pub pace: Pace,
    /// Places in the queue.
    pub places: Arc<Semaphore>,
    /// The index's revision, readable without its lock.
    pub committed: AtomicI64,
    pub clock: Clock,
    pub tasks: TaskGroup,
}

impl Core {
    pub fn new(disk: Disk, found: Found, clock: Clock, tasks: &TaskGroup, options: &Options) -> Arc<Core> {
        let Found { index, leases, garbage } = found;
        let revision = index.revision;
        Arc::new(Core {
            disk,
            hub: Hub::new(revision),
            lessor: Lessor::load(&leases, &index, clock.now()),
            retention: Mutex::new(Retention::new(options)),
            queue: Mutex::new(Queue::new(garbage)),
            pace: Pace::default(),
            places: Arc::new(Semaphore::new(WAITING_MAX)),
            committed: AtomicI64::new(revision),
            index: RwLock::new(index),
            clock,
            tasks: tasks.clone(),
        })
    }

    pub fn revision(&self) -> i64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Ends watches, refuses writers, waits for a commit under way, closes the file.
    fn stop(&self) {
        self.hub.stop();
        self.places.close();
        self.disk.close();
    }
}

/// Closes the store when its tasks are told to stop, so that it can be opened again at once.
pub(super) async fn close(core: Weak<Core>, tasks: TaskGroup) {
    tasks.stopping().await;
    if let Some(core) = core.upgrade() {
        if core.disk.is_instant() {
            core.stop();
        } else {
            tasks.blocking(move || core.stop()).await;
        }
    }
}

/// Forgets history that is too old, also while nobody writes; lets watches say how far they are.
pub(super) async fn tick(core: Weak<Core>, clock: Clock) {
    loop {
        clock.sleep(TICK).await;
        let Some(core) = core.upgrade() else { return };
        core.hub.ask(core.revision());
        if let Err(error) = core.tick().await {
            tracing::debug!(%error, "history could not be compacted");
        }
    }
}
