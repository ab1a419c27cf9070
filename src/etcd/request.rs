//! What can be asked of the store, and what it answers: reads and transactions.
//!
//! Source: etcd v3 API, `RangeRequest` and `TxnRequest`.

use bytes::Bytes;

use super::types::{KeyValue, Keys, LeaseId, Revision};

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
