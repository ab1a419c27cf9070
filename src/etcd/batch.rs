//! Transactions applied one after the other, before any of them is on disk.
//!
//! In: the index as it is durable, and transactions. Out: [`Work`] for the disk, and the answers to
//! give once it is there. Each transaction sees what those before it in the batch did; nobody else
//! does. A transaction that fails leaves no trace.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::disk::{Change, Work};
use super::error::StoreError;
use super::event::{Event, EventKind};
use super::index::{RowId, Version, bounds};
use super::lease::Lessor;
use super::read::{self, View};
use super::request::{Compare, Op, OpResponse, RangeRequest, RangeResponse, Test, Txn, TxnResponse, Want};
use super::types::{KeyValue, Keys, LeaseId, Revision};

/// A group of transactions on their way to one durable commit.
pub(super) struct Batch<'a> {
    view: &'a View<'a>,
    leases: &'a Lessor,
    work: Work,
    /// Each changed key's newest change.
    newest: BTreeMap<Bytes, usize>,
    revision: i64,
}

impl<'a> Batch<'a> {
    /// An empty batch on what is durable.
    pub fn new(view: &'a View<'a>, leases: &'a Lessor) -> Self {
        Batch { view, leases, work: Work::default(), newest: BTreeMap::new(), revision: view.index.revision }
    }

    /// What to make durable, and the store's revision once it is.
    pub fn finish(self) -> (Work, i64) {
        (self.work, self.revision)
    }

    pub fn txn(&mut self, txn: Txn) -> Result<TxnResponse, StoreError> {
        let before = self.work.changes.len();
        self.try_txn(txn, before).inspect_err(|_| self.undo(before))
    }

    pub fn grant(&mut self, lease: LeaseId, ttl_seconds: i64) {
        self.work.granted.push((lease.0, ttl_seconds));
    }

    /// Ends a lease: all its keys go in one revision.
    pub fn revoke(&mut self, lease: LeaseId) -> Result<(), StoreError> {
        self.check(lease)?;
        let keys: BTreeSet<Bytes> = self
            .view
            .index
            .leased(lease.0)
            .chain(self.newest.keys())
            .filter(|key| self.version(key).is_some_and(|version| version.lease == lease.0))
            .cloned()
            .collect();
        let before = self.work.changes.len();
        for key in keys {
            self.delete(&key, before).inspect_err(|_| self.undo(before))?;
        }
        self.end_revision(before);
        self.work.revoked.push(lease.0);
        Ok(())
    }

    /// Forgets history before `revision`.
    pub fn compact(&mut self, revision: Revision) -> Result<(), StoreError> {
        let oldest = self.work.compact.unwrap_or(self.view.index.compacted);
        if revision.0 <= oldest {
            return Err(StoreError::Compacted { oldest: Revision(oldest) });
        }
        if revision.0 > self.revision {
            return Err(StoreError::FutureRevision);
        }
        self.work.compact = Some(revision.0);
        Ok(())
    }

    fn try_txn(&mut self, txn: Txn, before: usize) -> Result<TxnResponse, StoreError> {
        let mut succeeded = true;
        for compare in &txn.compare {
            succeeded = succeeded && self.holds(compare)?;
        }
        let ops = if succeeded { txn.success } else { txn.failure };
        let mut responses = Vec::with_capacity(ops.len());
        for op in ops {
            responses.push(self.op(op, before)?);
        }
        self.end_revision(before);
        Ok(TxnResponse { revision: Revision(self.revision), succeeded, responses })
    }

    fn holds(&self, compare: &Compare) -> Result<bool, StoreError> {
        let version = self.version(&compare.key);
        Ok(match &compare.test {
            Test::ModRevision(want, than) => version.map_or(0, |it| it.row.revision).cmp(&than.0) == *want,
            Test::CreateRevision(want, than) => version.map_or(0, |it| it.create).cmp(&than.0) == *want,
            Test::Version(want, than) => version.map_or(0, |it| it.version).cmp(than) == *want,
            Test::Value(want, than) => {
                let found = self.key_value(&compare.key)?.map(|kv| kv.value).unwrap_or_default();
                found.cmp(than) == *want
            }
        })
    }

    fn op(&mut self, op: Op, before: usize) -> Result<OpResponse, StoreError> {
        match op {
            Op::Put { key, value, lease } => {
                if lease.0 != 0 {
                    self.check(lease)?;
                }
                let prev = self.put(&key, value, lease, before)?;
                Ok(OpResponse::Put { prev })
            }
            Op::Delete { keys } => {
                let mut prev = Vec::new();
                for key in self.live(&keys) {
                    prev.extend(self.delete(&key, before)?);
                }
                Ok(OpResponse::Delete { prev })
            }
            Op::Range(request) => Ok(OpResponse::Range(self.range(&request)?)),
        }
    }

    /// A lease that was granted in this batch is not known to anyone yet.
    fn check(&self, lease: LeaseId) -> Result<(), StoreError> {
        let exists = self.leases.exists(lease) && !self.work.revoked.contains(&lease.0);
        exists.then_some(()).ok_or(StoreError::LeaseNotFound)
    }

    fn put(
        &mut self,
        key: &Bytes,
        value: Bytes,
        lease: LeaseId,
        before: usize,
    ) -> Result<Option<KeyValue>, StoreError> {
        let prev = self.key_value(key)?;
        let row = self.next_row(before);
        let size = u32::try_from(value.len()).map_err(|_| StoreError::Disk("a value is larger than 4 GiB".into()))?;
        let (create, number) = prev.as_ref().map_or((row.revision, 1), |kv| (kv.create_revision.0, kv.version + 1));
        let version = Version { row, create, version: number, lease: lease.0, size };
        self.change(version, EventKind::Put, version.key_value(key, value), prev.clone());
        Ok(prev)
    }

    fn delete(&mut self, key: &Bytes, before: usize) -> Result<Option<KeyValue>, StoreError> {
        let Some(prev) = self.key_value(key)? else { return Ok(None) };
        let version = Version { row: self.next_row(before), create: 0, version: 0, lease: 0, size: 0 };
        self.change(version, EventKind::Delete, version.key_value(key, Bytes::new()), Some(prev.clone()));
        Ok(Some(prev))
    }

    fn change(&mut self, version: Version, kind: EventKind, kv: KeyValue, prev_kv: Option<KeyValue>) {
        self.newest.insert(kv.key.clone(), self.work.changes.len());
        self.work.changes.push(Change { version, event: Event { kind, kv, prev_kv } });
    }

    fn next_row(&self, before: usize) -> RowId {
        // A transaction of four billion changes does not fit in memory.
        let sub = u32::try_from(self.work.changes.len() - before).unwrap_or(u32::MAX - 1);
        RowId { revision: self.revision + 1, sub }
    }

    fn end_revision(&mut self, before: usize) {
        if self.work.changes.len() > before {
            self.revision += 1;
        }
    }

    fn undo(&mut self, before: usize) {
        for undone in self.work.changes.split_off(before) {
            let key = undone.event.kv.key;
            match self.work.changes.iter().rposition(|change| change.event.kv.key == key) {
                Some(at) => self.newest.insert(key, at),
                None => self.newest.remove(&key),
            };
        }
    }

    /// The key's version as this place in the batch sees it, if it exists.
    fn version(&self, key: &Bytes) -> Option<Version> {
        let version = match self.newest.get(key) {
            Some(at) => Some(self.work.changes[*at].version),
            None => self.view.index.get(key).and_then(|history| history.live()).copied(),
        };
        version.filter(|version| !version.is_tombstone())
    }

    fn key_value(&self, key: &Bytes) -> Result<Option<KeyValue>, StoreError> {
        if let Some(at) = self.newest.get(key) {
            let change = &self.work.changes[*at];
            return Ok((!change.version.is_tombstone()).then(|| change.event.kv.clone()));
        }
        let Some(version) = self.version(key) else { return Ok(None) };
        Ok(Some(version.key_value(key, self.view.value(key, &version)?)))
    }

    /// The keys in `keys` that exist at this place in the batch.
    fn live(&self, keys: &Keys) -> Vec<Bytes> {
        let changed = self.newest.range::<[u8], _>(bounds(keys)).map(|(key, _)| key);
        let mut all: Vec<&Bytes> = self.view.index.span(keys).map(|(key, _)| key).chain(changed).collect();
        // Two sorted runs; the standard sort merges them.
        all.sort();
        all.dedup();
        all.into_iter().filter(|key| self.version(key).is_some()).cloned().collect()
    }

    fn range(&self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        if request.revision.is_some() {
            let picked = read::pick(self.view.index, request)?;
            return picked.fill(|key, version| self.view.value(key, version));
        }
        let live = self.live(&request.keys);
        let count = live.len();
        let wanted = match (request.want, request.limit) {
            (Want::Count, _) => 0,
            (_, 0) => count,
            (_, limit) => limit.min(count),
        };
        let mut kvs = Vec::with_capacity(wanted);
        for key in &live[..wanted] {
            kvs.extend(match request.want {
                Want::Values => self.key_value(key)?,
                _ => self.version(key).map(|version| version.key_value(key, Bytes::new())),
            });
        }
        let more = request.want != Want::Count && wanted < count;
        Ok(RangeResponse { revision: Revision(self.revision), kvs, more, count })
    }
}

/// The size of the values a transaction may write, to limit a group by.
pub(super) fn value_bytes(txn: &Txn) -> u64 {
    let ops = txn.success.iter().chain(&txn.failure);
    ops.map(|op| if let Op::Put { value, .. } = op { value.len() as u64 } else { 0 }).sum()
}
