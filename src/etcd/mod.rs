//! The key-value store: what etcd is to Kubernetes, with etcd's semantics and etcd's words.
//!
//! Keys and values are bytes. Every change makes a new [`Revision`] of the whole store; old
//! revisions stay readable until compaction; a watch from a revision misses nothing after it. A
//! write is acknowledged once it is on disk.
//!
//! | file | holds |
//! |---|---|
//! | `types`, `request`, `event`, `error` | the contract's words |
//! | `index` | the tree in memory: each key's versions, without their values |
//! | `disk` | what is durable: one commit, made so by the log, and taken over by the tree |
//! | `log`, `record` | the write-ahead log: one flush for one commit, written in one place |
//! | `tree` | the B-tree on disk: (revision, sub) → version and value |
//! | `batch` | transactions applied one after the other, before they are on disk |
//! | `core`, `commit` | the state, and the one writer at a time that commits for all who wait |
//! | `read` | ranges, now and in the past |
//! | `hub`, `watch` | who watches what; live events, and history for those who are late |
//! | `lease`, `retention` | keys that die with a lease; when history is forgotten |
//! | `opening`, `server` | opening a folder, with words when it cannot be; the [`Store`] itself |
//!
//! Architecture invariant: only `apiserver/` uses this room, through the [`Store`] trait.
//! Source for semantics: etcd v3 API reference, <https://etcd.io/docs/v3.6/learning/api/>.

mod batch;
mod commit;
mod core;
mod disk;
mod error;
mod event;
mod hub;
mod index;
mod lease;
mod log;
mod opening;
mod options;
mod read;
mod record;
mod request;
mod retention;
mod server;
mod tree;
mod types;
mod watch;

#[cfg(test)]
mod tests;

use futures::future::BoxFuture;

pub use self::error::StoreError;
pub use self::event::{Event, EventKind, WatchResponse};
pub use self::options::Options;
pub use self::request::{Compare, Op, OpResponse, RangeRequest, RangeResponse, Test, Txn, TxnResponse, Want};
pub use self::server::Etcd;
pub use self::types::{KeyValue, Keys, LeaseId, Revision};

/// A running watch. Dropping it ends it.
pub trait Watching: Send {
    /// The next batch, or the error that ended the watch: [`StoreError::Compacted`] when history
    /// it still needed was compacted, [`StoreError::Stopped`] at shutdown. Never loses an event.
    fn next(&mut self) -> BoxFuture<'_, Result<WatchResponse, StoreError>>;
}

/// What the API server needs of a store: the embedded one, or an etcd cluster elsewhere.
pub trait Store: Send + Sync + 'static {
    /// Reads.
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>>;
    /// Reads and writes in one revision; returns once it is durable.
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, StoreError>>;
    /// Watches `keys` from `from` on (inclusive), or from now on (`None`).
    fn watch(&self, keys: Keys, from: Option<Revision>) -> BoxFuture<'_, Result<Box<dyn Watching>, StoreError>>;
    /// Forgets history before `revision`.
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Makes a lease of `ttl_seconds`; keys put with it are deleted when it ends.
    fn lease_grant(&self, ttl_seconds: i64) -> BoxFuture<'_, Result<LeaseId, StoreError>>;
    /// The revision of the newest durable write. Asking for it also asks every watch that has not
    /// come so far to say so with a progress mark as soon as it has; so "wait until my cache is at
    /// `revision()`" always ends.
    fn revision(&self) -> Revision;
}
