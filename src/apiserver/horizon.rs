//! How long a list may be read page by page: five to ten minutes, as with an API server that
//! compacts its etcd every five.
//!
//! Clients rely on it: a continue token that is older gets 410 and a token to go on with. The store
//! remembers more than that, because time travel reads it; only tokens end here.
//! Source: kube-apiserver --etcd-compaction-interval, and etcd3/compact.go.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::storage::Storage;
use crate::clock::Clock;

/// Source: --etcd-compaction-interval.
const INTERVAL: Duration = Duration::from_secs(300);

/// The oldest revision that a continue token may name.
#[derive(Debug, Default)]
pub struct Horizon(AtomicI64);

impl Horizon {
    /// Whether pages of this revision are no longer to be had.
    pub fn is_past(&self, revision: i64) -> bool {
        revision < self.0.load(Ordering::Relaxed)
    }

    /// Moves on for ever: what was the newest revision at one turn is the oldest at the next.
    pub async fn follow(self: Arc<Self>, storage: Storage, clock: Clock) {
        let mut newest = storage.revision();
        loop {
            clock.sleep(INTERVAL).await;
            self.0.store(newest, Ordering::Relaxed);
            newest = storage.revision();
        }
    }
}
