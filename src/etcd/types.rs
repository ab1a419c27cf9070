//! The words everything else in this room is said in: revisions, keys, key-values.

use std::fmt;

use bytes::Bytes;

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
