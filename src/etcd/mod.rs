//! The key-value store: what etcd is to Kubernetes, with etcd's semantics and etcd's words.
//!
//! Keys and values are bytes. Every change makes a new [`Revision`] of the whole store; old
//! revisions stay readable until compaction; a watch from a revision misses nothing after it. A
//! write is acknowledged once it is on disk.
//!
//! Architecture invariant: only `apiserver/` uses this room, through the [`Store`] trait.
//! Source for semantics: etcd v3 API reference, <https://etcd.io/docs/v3.6/learning/api/>.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;

/// A version of the whole store. The empty store is at revision 1, as in etcd; each write
/// transaction that changes anything adds one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a lease; 0 is "no lease".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// One key as it was at some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value; empty in a delete event.
    pub value: Bytes,
    /// The revision that created the key (since its last deletion).
    pub create_revision: Revision,
    /// The revision of this value.
    pub mod_revision: Revision,
    /// Number of writes since creation, from 1; 0 in a delete event.
    pub version: i64,
    /// The lease the key dies with, or 0.
    pub lease: LeaseId,
}

/// Which keys: one key, or all from `start` up to (not including) `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Exactly this key.
    One(Bytes),
    /// `start <= key < end`. An empty `end` is "to the last key".
    Span {
        /// First key.
        start: Bytes,
        /// First key after the span; empty for no end.
        end: Bytes,
    },
}

impl Keys {
    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Keys {
        let start: Bytes = prefix.into();
        let mut end = start.to_vec();
        while let Some(last) = end.pop() {
            if last < 0xff {
                end.push(last + 1);
                break;
            }
        }
        Keys::Span { start, end: end.into() }
    }

    /// Whether `key` is one of them.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Keys::One(one) => one == key,
            Keys::Span { start, end } => start <= key && (end.is_empty() || key < end.as_ref()),
        }
    }
}

/// A read.
#[derive(Clone, Debug)]
pub struct RangeRequest {
    /// Which keys.
    pub keys: Keys,
    /// At most so many; 0 for all.
    pub limit: usize,
    /// As of which revision; `None` for now.
    pub revision: Option<Revision>,
    /// What to return of them.
    pub want: Want,
}

/// How much of each key a read returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// Keys and values.
    #[default]
    Values,
    /// Keys with empty values.
    Keys,
    /// The count alone.
    Count,
}

/// What a read found.
#[derive(Clone, Debug, Default)]
pub struct RangeResponse {
    /// The store's revision when it answered.
    pub revision: Revision,
    /// In key order.
    pub kvs: Vec<KeyValue>,
    /// Whether `limit` cut the answer.
    pub more: bool,
    /// How many keys there are in the span, limit or not.
    pub count: usize,
}

/// A condition on one key. A missing key has revisions and version 0 and an empty value.
#[derive(Clone, Debug)]
pub struct Compare {
    /// The key that is looked at.
    pub key: Bytes,
    /// What must hold.
    pub test: Test,
}

/// What [`Compare`] looks at.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are etcd's and say it")]
pub enum Test {
    ModRevision(std::cmp::Ordering, Revision),
    CreateRevision(std::cmp::Ordering, Revision),
    Version(std::cmp::Ordering, i64),
    Value(std::cmp::Ordering, Bytes),
}

/// One operation of a transaction.
#[derive(Clone, Debug)]
pub enum Op {
    /// Writes a key.
    Put {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// The lease it dies with, or 0.
        lease: LeaseId,
    },
    /// Deletes keys.
    Delete {
        /// Which keys.
        keys: Keys,
    },
    /// Reads keys, as the transaction sees them at this place.
    Range(RangeRequest),
}

/// If all of `compare` hold then `success`, else `failure`; all in one revision.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// All must hold.
    pub compare: Vec<Compare>,
    /// Done when they do.
    pub success: Vec<Op>,
    /// Done when one does not.
    pub failure: Vec<Op>,
}

/// What a transaction did.
#[derive(Clone, Debug)]
pub struct TxnResponse {
    /// The store's revision after it: its own, if it wrote.
    pub revision: Revision,
    /// Whether every comparison held.
    pub succeeded: bool,
    /// One answer for each operation that ran.
    pub responses: Vec<OpResponse>,
}

/// The answer to one [`Op`].
#[derive(Clone, Debug)]
pub enum OpResponse {
    /// A put, with what was there before.
    Put {
        /// The previous value, if the key existed.
        prev: Option<KeyValue>,
    },
    /// A delete, with what was there before.
    Delete {
        /// The deleted keys' last values.
        prev: Vec<KeyValue>,
    },
    /// A read.
    Range(RangeResponse),
}

/// A change to one key.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The key after it. For a delete: empty value, `mod_revision` of the deletion.
    pub kv: KeyValue,
    /// The key before it, if it existed (and history still has it).
    pub prev_kv: Option<KeyValue>,
}

/// Put or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are etcd's and say it")]
pub enum EventKind {
    Put,
    Delete,
}

/// What a watch delivers: all events of one or more whole revisions, in order; or none, as a
/// progress mark which says that everything up to `revision` has been delivered.
#[derive(Clone, Debug)]
pub struct WatchResponse {
    /// Everything up to here has been delivered.
    pub revision: Revision,
    /// The changes, oldest first.
    pub events: Vec<Event>,
}

/// Why the store would not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The revision asked for is gone; reading starts at the next one that is kept.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted {
        /// The oldest revision that can still be read.
        oldest: Revision,
    },
    /// The revision asked for has not happened yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// No such lease.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// The disk refused (full, removed, read-only). Nothing of the request was kept.
    #[error("etcdserver: the write could not be made durable: {0}")]
    Disk(String),
    /// The store is shutting down.
    #[error("etcdserver: server stopped")]
    Stopped,
}

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
    /// The revision of the newest durable write.
    fn revision(&self) -> Revision;
}
