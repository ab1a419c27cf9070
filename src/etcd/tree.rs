//! The B-tree on disk, through redb.
//!
//! Versions and values are two tables with the same keys, so that opening reads the versions alone.
//! Each function is one transaction: it happens as a whole or not at all. Runs on whatever thread
//! calls it and blocks there.

use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};

use super::disk::{Change, Found, OpenError, Work};
use super::error::StoreError;
use super::index::{RowId, Version};

type Row = (i64, u32);

/// (revision, sub) → (create revision, version, lease, length of the value, key).
const VERSIONS: TableDefinition<Row, (i64, i64, i64, u32, &[u8])> = TableDefinition::new("versions");
/// (revision, sub) → value; no row for a tombstone.
const VALUES: TableDefinition<Row, &[u8]> = TableDefinition::new("values");
/// Lease → its time to live in seconds.
const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");
/// Numbers about the whole store, by the names below.
const META: TableDefinition<&str, i64> = TableDefinition::new("meta");

const FORMAT: &str = "format";
const COMPACTED: &str = "compacted";
/// The revision at the last compaction: rows alone would let it go down when all are deleted.
const REVISION: &str = "revision";
/// The newest record of the log that is here.
const MERGED: &str = "merged";

/// The format this code writes. Format 1 had no log beside it.
pub(super) const FORMAT_NEWEST: i64 = 2;

/// The table of values as it is on disk now.
pub(super) struct Values(ReadOnlyTable<Row, &'static [u8]>);

impl Values {
    pub fn of(database: &Database) -> Result<Values, StoreError> {
        let table = || -> Result<_, redb::Error> { Ok(database.begin_read()?.open_table(VALUES)?) };
        table().map(Values).map_err(disk_error)
    }

    pub fn get(&self, row: RowId) -> Result<Bytes, StoreError> {
        match self.0.get((row.revision, row.sub)) {
            Ok(Some(value)) => Ok(Bytes::copy_from_slice(value.value())),
            Ok(None) => Err(StoreError::Disk(format!("the value of revision {} is missing", row.revision))),
            Err(error) => Err(disk_error(error)),
        }
    }
}

pub(super) fn disk_error(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Disk(error.into().to_string())
}

/// Makes `work` durable; `at` is the store's revision after it, `merged` the log's newest record that
/// is part of it.
pub(super) fn write(database: &Database, work: &Work, at: i64, merged: Option<u64>) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    {
        let mut versions = txn.open_table(VERSIONS)?;
        let mut values = txn.open_table(VALUES)?;
        for Change { version, event } in &work.changes {
            let row = (version.row.revision, version.row.sub);
            let Version { create, version: number, lease, size, .. } = *version;
            versions.insert(row, (create, number, lease, size, event.kv.key.as_ref()))?;
            if !version.is_tombstone() {
                values.insert(row, event.kv.value.as_ref())?;
            }
        }
        for row in &work.garbage {
            versions.remove((row.revision, row.sub))?;
            values.remove((row.revision, row.sub))?;
        }
    }
    if !work.granted.is_empty() || !work.revoked.is_empty() {
        let mut leases = txn.open_table(LEASES)?;
        for (id, ttl) in &work.granted {
            leases.insert(id, ttl)?;
        }
        for id in &work.revoked {
            leases.remove(id)?;
        }
    }
    if let Some(compacted) = work.compact {
        let mut meta = txn.open_table(META)?;
        meta.insert(COMPACTED, compacted)?;
        meta.insert(REVISION, at)?;
    }
    if let Some(record) = merged {
        txn.open_table(META)?.insert(MERGED, record as i64)?;
    }
    txn.commit()?;
    Ok(())
}

/// Makes the tables of a new store, marks an older one as ours; refuses one that a newer program wrote.
pub(super) fn prepare(database: &Database) -> Result<(), OpenError> {
    let format = match database.begin_read()?.open_table(META) {
        Ok(meta) => meta.get(FORMAT)?.map(|format| format.value()),
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    match format {
        Some(format) if format > FORMAT_NEWEST => return Err(OpenError::NewerFormat(format)),
        Some(FORMAT_NEWEST) => return Ok(()),
        _ => {}
    }
    let txn = database.begin_write()?;
    txn.open_table(VERSIONS)?;
    txn.open_table(VALUES)?;
    txn.open_table(LEASES)?;
    txn.open_table(META)?.insert(FORMAT, FORMAT_NEWEST)?;
    txn.commit()?;
    Ok(())
}

/// Reads all but the values.
pub(super) fn load(database: &Database) -> Result<Found, OpenError> {
    let txn = database.begin_read()?;
    let mut found = Found::default();
    for row in txn.open_table(VERSIONS)?.iter()? {
        let (row, version) = row?;
        let (revision, sub) = row.value();
        let (create, number, lease, size, key) = version.value();
        let version = Version { row: RowId { revision, sub }, create, version: number, lease, size };
        found.index.install(&Bytes::copy_from_slice(key), version, None);
    }
    for lease in txn.open_table(LEASES)?.iter()? {
        let (id, ttl) = lease?;
        found.leases.push((id.value(), ttl.value()));
    }
    let meta = txn.open_table(META)?;
    if let Some(revision) = meta.get(REVISION)? {
        found.index.revision = found.index.revision.max(revision.value());
    }
    if let Some(compacted) = meta.get(COMPACTED)? {
        // Rows that were forgotten, but not yet deleted when the store was last closed.
        found.garbage = found.index.compact(compacted.value());
    }
    Ok(found)
}

/// Removes what a commit left that was refused but had reached the disk after all.
pub(super) fn forget_after(database: &Database, revision: i64) -> Result<(), redb::Error> {
    let after = (revision, u32::MAX);
    let newest = database.begin_read()?.open_table(VERSIONS)?.last()?.map(|(row, _)| row.value());
    if newest.is_none_or(|row| row <= after) {
        return Ok(());
    }
    let txn = database.begin_write()?;
    txn.open_table(VERSIONS)?.retain_in(after.., |_, _| false)?;
    txn.open_table(VALUES)?.retain_in(after.., |_, _| false)?;
    txn.commit()?;
    Ok(())
}

/// The newest record of the log that the tree has.
pub(super) fn merged(database: &Database) -> Result<u64, redb::Error> {
    let merged = database.begin_read()?.open_table(META)?.get(MERGED)?;
    Ok(merged.map_or(0, |record| record.value() as u64))
}
