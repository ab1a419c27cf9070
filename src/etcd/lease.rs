//! Leases: keys that are deleted together when nobody has said for a while that they should live.
//!
//! The time to live is on disk, the deadline is not: after a restart every lease has its full time
//! again, as in etcd when a new leader takes over.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::core::Core;
use super::error::StoreError;
use super::index::Index;
use super::types::LeaseId;
use crate::clock::Clock;

/// Time until a lease whose keys could not be deleted is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
struct Lease {
    ttl_seconds: i64,
    deadline: Timestamp,
}

/// All leases and when they end.
#[derive(Debug, Default)]
pub(super) struct Lessor {
    leases: Mutex<HashMap<i64, Lease>>,
    changed: Arc<Notify>,
}

impl Lessor {
    /// The leases found on disk. A key may name a lease that is not there (its end was half done
    /// when the disk failed); that lease ends at once.
    pub fn load(found: &[(i64, i64)], index: &Index, now: Timestamp) -> Self {
        let lessor = Lessor::default();
        for id in index.leases() {
            lessor.granted(LeaseId(id), 0, now);
        }
        for (id, ttl) in found {
            lessor.granted(LeaseId(*id), *ttl, now);
        }
        lessor
    }

    pub fn granted(&self, id: LeaseId, ttl_seconds: i64, now: Timestamp) {
        self.leases.lock().insert(id.0, Lease { ttl_seconds, deadline: deadline(now, ttl_seconds) });
        self.changed.notify_one();
    }

    pub fn revoked(&self, id: LeaseId) {
        self.leases.lock().remove(&id.0);
    }

    /// Gives a lease its full time again; returns that time.
    pub fn keep_alive(&self, id: LeaseId, now: Timestamp) -> Result<i64, StoreError> {
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(&id.0).ok_or(StoreError::LeaseNotFound)?;
        lease.deadline = deadline(now, lease.ttl_seconds);
        Ok(lease.ttl_seconds)
    }

    pub fn exists(&self, id: LeaseId) -> bool {
        self.leases.lock().contains_key(&id.0)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.leases.lock().values().map(|lease| lease.deadline).min()
    }

    fn expired(&self, now: Timestamp) -> Vec<LeaseId> {
        let leases = self.leases.lock();
        leases.iter().filter(|(_, lease)| lease.deadline <= now).map(|(id, _)| LeaseId(*id)).collect()
    }

    pub fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }
}

fn deadline(now: Timestamp, ttl_seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(ttl_seconds)).unwrap_or(Timestamp::MAX)
}

/// Ends leases when their time is over, for as long as the store lives.
pub(super) async fn expire(core: Weak<Core>, clock: Clock, changed: Arc<Notify>) {
    loop {
        let Some(next) = core.upgrade().map(|core| core.lessor.next_deadline()) else { return };
        match next {
            // A keepalive only moves a deadline back: at worst this wakes early and looks again.
            Some(deadline) => tokio::select! {
                () = clock.sleep_until(deadline) => {}
                () = changed.notified() => continue,
            },
            None => changed.notified().await,
        }
        let Some(core) = core.upgrade() else { return };
        for lease in core.lessor.expired(clock.now()) {
            match core.revoke(lease).await {
                Ok(()) | Err(StoreError::LeaseNotFound) => {}
                Err(error) => {
                    tracing::warn!(%error, lease = lease.0, "a lease's keys could not be deleted");
                    clock.sleep(RETRY).await;
                }
            }
        }
    }
}
