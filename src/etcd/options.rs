//! The store's settings and written limits.

use std::time::Duration;

/// How much history the store keeps and how much memory it uses.
///
/// History is what time travel and late watches read: every superseded version of a key. It is
/// forgotten by age or by size, whichever comes first. A playground that is worked in writes some
/// tens of megabytes an hour, so the size limit is met only by large experiments.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Superseded versions older than this are forgotten. Default: 1 hour.
    pub history_age: Duration,
    /// When superseded versions take more than this, the oldest quarter is forgotten. A version
    /// counts its key, its value and [`VERSION_COST`]. Default: 128 MiB.
    pub history_bytes: u64,
    /// Pages of the file kept in memory. Current values are not among them: the store keeps those
    /// it has written or read, as the same shared bytes that its readers hold. Default: 4 MiB.
    pub cache_bytes: usize,
    /// Length of the write-ahead log. A longer one takes longer to merge into the tree: while that
    /// happens writers wait. Default: 1 MiB, some 10 ms.
    pub log_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            history_age: Duration::from_secs(3600),
            history_bytes: 128 << 20,
            cache_bytes: 4 << 20,
            log_bytes: 1 << 20,
        }
    }
}

/// What a version costs besides its key and value: its row and its place in the index, in bytes.
pub(super) const VERSION_COST: u64 = 128;
/// Writers that may wait for the commit; more wait for a place among them.
pub(super) const WAITING_MAX: usize = 4096;
/// Transactions in one durable commit.
pub(super) const GROUP_MAX: usize = 1024;
/// Bytes of new values after which a commit takes no further transaction.
pub(super) const GROUP_BYTES_MAX: u64 = 16 << 20;
/// Rows of forgotten history deleted along with one commit.
pub(super) const SWEEP_MAX: usize = 1024;
/// Such rows that may wait for the tree to take over the log.
pub(super) const SWEEP_WAITING_MAX: usize = 8 * SWEEP_MAX;
/// Commits kept in memory for watches; a watch that is later reads history.
pub(super) const RECENT_MAX: usize = 2048;
/// Bytes of those commits' values.
pub(super) const RECENT_BYTES_MAX: usize = 4 << 20;
/// Events after which a watch response takes no further revision.
pub(super) const RESPONSE_EVENTS_MAX: usize = 1000;
/// Values read on the caller's thread; more are read on the blocking pool.
pub(super) const READ_INLINE_MAX: usize = 64;
/// Time between two looks at history's age; watches say how far they are as often.
pub(super) const TICK: Duration = Duration::from_secs(10);
/// Largest file whose every page is verified each time it is opened (some 2 ms a MiB); a larger one
/// is verified only when it was not closed properly.
pub(super) const VERIFY_BYTES_MAX: u64 = 32 << 20;
