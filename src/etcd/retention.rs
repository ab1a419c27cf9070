//! When history is forgotten: by age and by size. Pure.
//!
//! Marks are taken while the store is written to: "at this time the store was at this revision, and
//! so much had been superseded". To forget everything before a mark is one compaction at its
//! revision. The times are not kept on disk: after a restart, all that is found counts as new.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::index::Index;
use super::options::Options;

/// Marks are taken each time history grew by this part of its limits, so there are few of them.
const PARTS: u32 = 64;

#[derive(Clone, Copy, Debug)]
struct Mark {
    time: Timestamp,
    revision: i64,
    superseded: u64,
}

/// The marks, and the limits they are held against.
#[derive(Debug)]
pub(super) struct Retention {
    age: Duration,
    bytes: u64,
    marks: VecDeque<Mark>,
}

impl Retention {
    pub fn new(options: &Options) -> Self {
        Retention { age: options.history_age, bytes: options.history_bytes, marks: VecDeque::new() }
    }

    /// Notes where the store is now; returns the revision to compact at, if it is time.
    pub fn due(&mut self, now: Timestamp, index: &Index) -> Option<i64> {
        self.note(now, index);
        let too_large = index.history_bytes() > self.bytes;
        let keep = self.bytes - self.bytes / 4;
        let gone = self
            .marks
            .iter()
            .take_while(|mark| {
                let old = since(mark.time, now) >= self.age;
                old || (too_large && index.superseded - mark.superseded >= keep)
            })
            .count();
        // The newest mark that is too old; for size, one further, to get under the limit.
        let at = if too_large { gone.min(self.marks.len() - 1) } else { gone.checked_sub(1)? };
        let mark = self.marks[at];
        self.marks.drain(..at);
        (mark.revision > index.compacted && mark.superseded > index.reclaimed).then_some(mark.revision)
    }

    fn note(&mut self, now: Timestamp, index: &Index) {
        let mark = Mark { time: now, revision: index.revision, superseded: index.superseded };
        match self.marks.back() {
            Some(last) if last.superseded == mark.superseded => {}
            Some(last)
                if mark.superseded - last.superseded < self.bytes / u64::from(PARTS)
                    && since(last.time, now) < self.age / PARTS => {}
            _ => self.marks.push_back(mark),
        }
    }
}

fn since(past: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(past)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::index::{RowId, Version};
    use super::*;

    fn write(index: &mut Index) {
        let revision = index.revision + 1;
        let version =
            Version { row: RowId { revision, sub: 0 }, create: 2, version: revision - 1, lease: 0, size: 871 };
        index.install(&Bytes::from_static(b"k"), version, None);
    }

    #[test]
    fn history_goes_after_its_time() {
        let mut retention = Retention::new(&Options { history_age: Duration::from_secs(64), ..Options::default() });
        let mut index = Index::default();
        let mut compacted = Vec::new();
        for second in 0..200 {
            write(&mut index);
            if let Some(at) = retention.due(Timestamp::from_second(second).unwrap(), &index) {
                index.compact(at);
                compacted.push((second, at));
            }
        }
        assert_eq!(compacted.first(), Some(&(65, 3)), "at 1 s revision 3 was written");
        assert_eq!(compacted.last(), Some(&(199, 137)));
    }

    #[test]
    fn history_stays_under_its_size() {
        let mut retention = Retention::new(&Options { history_bytes: 64_000, ..Options::default() });
        let mut index = Index::default();
        for _ in 0..1000 {
            write(&mut index);
            if let Some(at) = retention.due(Timestamp::UNIX_EPOCH, &index) {
                index.compact(at);
            }
            assert!(index.history_bytes() <= 66_000, "{}", index.history_bytes());
        }
        assert!(index.history_bytes() >= 40_000, "{}", index.history_bytes());
    }

    #[test]
    fn an_idle_store_is_left_alone() {
        let mut retention = Retention::new(&Options::default());
        let mut index = Index::default();
        write(&mut index);
        for hour in 0..10 {
            assert_eq!(retention.due(Timestamp::from_second(hour * 3600).unwrap(), &index), None);
        }
    }
}
