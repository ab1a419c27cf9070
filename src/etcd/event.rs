//! What a watch says: events, and how far it has come.
//!
//! Source: etcd v3 API, `WatchResponse`.

use super::types::{KeyValue, Revision};

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
