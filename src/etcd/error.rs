//! Why the store would not, in etcd's words.

use super::types::Revision;

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
