//! The tree in memory: for each key its versions, oldest first, and the bytes of the newest.
//!
//! A generation of a key is the run of versions between two tombstones (deletions). Values of old
//! versions are on disk alone, found by [`RowId`]; a current value is remembered once it has been
//! written or read. Pure: nothing here reads or writes a file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::OnceLock;

use bytes::Bytes;

use super::options::VERSION_COST;
use super::types::{KeyValue, Keys, LeaseId, Revision};

/// Where a version is on disk: the revision, and its place among that revision's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RowId {
    pub revision: i64,
    pub sub: u32,
}

/// One version of a key, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub row: RowId,
    pub create: i64,
    /// 0 for a tombstone.
    pub version: i64,
    pub lease: i64,
    /// Length of the value.
    pub size: u32,
}

impl Version {
    pub fn is_tombstone(&self) -> bool {
        self.version == 0
    }

    pub fn key_value(&self, key: &Bytes, value: Bytes) -> KeyValue {
        KeyValue {
            key: key.clone(),
            value,
            create_revision: Revision(self.create),
            mod_revision: Revision(self.row.revision),
            version: self.version,
            lease: LeaseId(self.lease),
        }
    }

    fn cost(&self, key: &Bytes) -> u64 {
        key.len() as u64 + u64::from(self.size) + VERSION_COST
    }
}

/// A key's versions; never empty.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: Vec<Version>,
    /// The newest version's value, if it is in memory.
    current: OnceLock<Bytes>,
}

impl History {
    /// The newest version, if the key exists.
    pub fn live(&self) -> Option<&Version> {
        self.versions.last().filter(|version| !version.is_tombstone())
    }

    /// The version that was current at `revision`, if the key existed.
    pub fn at(&self, revision: i64) -> Option<&Version> {
        let older = self.versions.partition_point(|version| version.row.revision <= revision);
        self.versions[..older].last().filter(|version| !version.is_tombstone())
    }

    /// Versions made in `from..=to`, each with the one before it.
    pub fn between(&self, from: i64, to: i64) -> impl Iterator<Item = (&Version, Option<&Version>)> {
        let first = self.versions.partition_point(|version| version.row.revision < from);
        let end = self.versions.partition_point(|version| version.row.revision <= to);
        (first..end).map(|at| {
            let before = at.checked_sub(1).map(|at| &self.versions[at]);
            (&self.versions[at], before.filter(|version| !version.is_tombstone()))
        })
    }

    /// The value of `row` if it is the current one and in memory.
    pub fn remembered(&self, row: RowId) -> Option<&Bytes> {
        self.current.get().filter(|_| self.versions.last().is_some_and(|version| version.row == row))
    }
}

/// All keys.
#[derive(Debug)]
pub(super) struct Index {
    keys: BTreeMap<Bytes, History>,
    leased: HashMap<i64, BTreeSet<Bytes>>,
    /// Of the newest durable write.
    pub revision: i64,
    /// History before this one is gone; 0 when none ever was.
    pub compacted: i64,
    /// What every version superseded so far has cost, in bytes; only grows.
    pub superseded: u64,
    /// How much of it compaction has given back.
    pub reclaimed: u64,
}

impl Default for Index {
    fn default() -> Self {
        Index { keys: BTreeMap::new(), leased: HashMap::new(), revision: 1, compacted: 0, superseded: 0, reclaimed: 0 }
    }
}

impl Index {
    pub fn get(&self, key: &[u8]) -> Option<&History> {
        self.keys.get(key)
    }

    /// The keys among `keys` that exist or have history, in order.
    pub fn span<'a>(&'a self, keys: &'a Keys) -> impl Iterator<Item = (&'a Bytes, &'a History)> {
        self.keys.range::<[u8], _>(bounds(keys))
    }

    /// Keys that die with `lease`.
    pub fn leased(&self, lease: i64) -> impl Iterator<Item = &Bytes> {
        self.leased.get(&lease).into_iter().flatten()
    }

    /// Leases that some key names.
    pub fn leases(&self) -> impl Iterator<Item = i64> {
        self.leased.keys().copied()
    }

    /// Adds a version that is newer than all others. `value` is `None` when it is only on disk.
    pub fn install(&mut self, key: &Bytes, version: Version, value: Option<Bytes>) {
        let history = match self.keys.get_mut(key) {
            Some(history) => history,
            None => self.keys.entry(key.clone()).or_default(),
        };
        if let Some(old) = history.live() {
            self.superseded += old.cost(key);
            if old.lease != 0
                && let Some(keys) = self.leased.get_mut(&old.lease)
            {
                keys.remove(key);
                if keys.is_empty() {
                    self.leased.remove(&old.lease);
                }
            }
        }
        if version.is_tombstone() {
            self.superseded += version.cost(key);
        } else if version.lease != 0 {
            self.leased.entry(version.lease).or_default().insert(key.clone());
        }
        history.versions.push(version);
        history.current = value.map_or_else(OnceLock::new, OnceLock::from);
        self.revision = self.revision.max(version.row.revision);
    }

    /// Keeps a value that was read from disk, if it is still the current one.
    pub fn remember(&self, key: &[u8], row: RowId, value: &Bytes) {
        if let Some(history) = self.keys.get(key)
            && history.versions.last().is_some_and(|version| version.row == row)
        {
            // A second reader may have been faster; its bytes are the same.
            let _ = history.current.set(value.clone());
        }
    }

    /// Forgets what can be seen only before `revision`; returns the rows to delete. All that was
    /// changed at `revision` itself stays, so that a watch from there misses nothing.
    pub fn compact(&mut self, revision: i64) -> Vec<RowId> {
        let mut garbage = Vec::new();
        let reclaimed = &mut self.reclaimed;
        self.keys.retain(|key, history| {
            let older = history.versions.partition_point(|version| version.row.revision < revision);
            let changed_then = history.versions.get(older).is_some_and(|version| version.row.revision == revision);
            let still_seen = history.versions[..older].last().is_some_and(|version| !version.is_tombstone());
            let gone = if still_seen && !changed_then { older - 1 } else { older };
            for version in history.versions.drain(..gone) {
                *reclaimed += version.cost(key);
                garbage.push(version.row);
            }
            if history.versions.capacity() > 2 * history.versions.len() + 4 {
                history.versions.shrink_to_fit();
            }
            !history.versions.is_empty()
        });
        self.compacted = self.compacted.max(revision);
        garbage
    }

    /// Bytes of superseded versions that are still kept.
    pub fn history_bytes(&self) -> u64 {
        self.superseded.saturating_sub(self.reclaimed)
    }
}

/// `keys` as bounds of a map; an inverted span is empty, as in etcd.
pub(super) fn bounds(keys: &Keys) -> (Bound<&[u8]>, Bound<&[u8]>) {
    match keys {
        Keys::One(key) => (Bound::Included(key), Bound::Included(key)),
        Keys::Span { start, end } if end.is_empty() => (Bound::Included(start), Bound::Unbounded),
        Keys::Span { start, end } if start < end => (Bound::Included(start), Bound::Excluded(end)),
        Keys::Span { start, .. } => (Bound::Included(start), Bound::Excluded(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(revision: i64, version: i64) -> Version {
        Version { row: RowId { revision, sub: 0 }, create: 2, version, lease: 0, size: 1 }
    }

    fn index(versions: &[(i64, i64)]) -> Index {
        let mut index = Index::default();
        for (revision, number) in versions {
            index.install(&Bytes::from_static(b"k"), version(*revision, *number), None);
        }
        index
    }

    #[test]
    fn compaction_keeps_what_can_still_be_seen() {
        let table = [
            (vec![(2, 1), (3, 2), (4, 3)], 3, vec![3, 4]),
            (vec![(2, 1), (3, 2), (9, 3)], 5, vec![3, 9]),
            (vec![(2, 1), (3, 0)], 3, vec![3]),
            (vec![(2, 1), (3, 0)], 4, vec![]),
            (vec![(2, 1), (3, 0), (6, 1)], 5, vec![6]),
        ];
        for (versions, at, stay) in table {
            let mut index = index(&versions);
            let garbage = index.compact(at);
            let kept: Vec<i64> = index
                .get(b"k")
                .map(|history| history.versions.iter().map(|version| version.row.revision).collect())
                .unwrap_or_default();
            assert_eq!(kept, stay, "{versions:?} at {at}");
            assert_eq!(garbage.len() + kept.len(), versions.len());
        }
    }

    #[test]
    fn the_past_is_read_by_revision() {
        let index = index(&[(2, 1), (4, 2), (6, 0), (8, 1)]);
        let at = |revision| index.get(b"k").and_then(|history| history.at(revision)).map(|found| found.row.revision);
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(at), [None, Some(2), Some(2), Some(4), Some(4), None, None, Some(8)]);
    }
}
