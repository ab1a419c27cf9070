//! The B-tree on disk, through redb: what is acknowledged is here.
//!
//! Versions and values are two tables with the same keys, so that opening reads the versions alone.
//! redb refuses everything after one failed write until it is opened anew; [`Disk::commit`] does
//! that, and takes back what the failed commit may have left, so that a refused write is gone and
//! the store goes on once the disk does. Runs on whatever thread calls it and blocks there.

use std::path::PathBuf;

use bytes::Bytes;
use parking_lot::RwLock;
use redb::{Database, DatabaseError, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};

use super::error::StoreError;
use super::event::Event;
use super::index::{Index, RowId, Version};
use super::options::VERIFY_BYTES_MAX;

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

/// The format this code writes.
pub(super) const FORMAT_NEWEST: i64 = 1;

/// Where the bytes are: a file, memory, or a test's broken disk. Opened again after a failure.
pub(super) trait Backing: Send + Sync + 'static {
    fn open(&self, cache_bytes: usize) -> Result<Database, DatabaseError>;
    /// Whether a commit takes no time, so that it need not leave the caller's thread.
    fn is_instant(&self) -> bool {
        false
    }
}

/// A file.
pub(super) struct File(pub PathBuf);

impl Backing for File {
    fn open(&self, cache_bytes: usize) -> Result<Database, DatabaseError> {
        // Unreadable is found just below, and a file that was not closed is always verified.
        let verify = std::fs::metadata(&self.0).is_ok_and(|file| file.len() <= VERIFY_BYTES_MAX);
        Database::builder().set_cache_size(cache_bytes).set_check_integrity_on_open(verify).create(&self.0)
    }
}

/// Memory; gone with the store.
pub(super) struct Memory;

impl Backing for Memory {
    fn open(&self, cache_bytes: usize) -> Result<Database, DatabaseError> {
        Database::builder().set_cache_size(cache_bytes).create_with_backend(redb::backends::InMemoryBackend::new())
    }

    fn is_instant(&self) -> bool {
        true
    }
}

/// Everything one commit changes.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub changes: Vec<Change>,
    pub granted: Vec<(i64, i64)>,
    pub revoked: Vec<i64>,
    pub compact: Option<i64>,
    pub garbage: Vec<RowId>,
}

/// One changed key.
#[derive(Debug)]
pub(super) struct Change {
    pub version: Version,
    pub event: Event,
}

impl Work {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.granted.is_empty()
            && self.revoked.is_empty()
            && self.compact.is_none()
            && self.garbage.is_empty()
    }
}

/// What opening found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub index: Index,
    pub leases: Vec<(i64, i64)>,
    pub garbage: Vec<RowId>,
}

/// Why a store could not be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    Database(DatabaseError),
    Reading(redb::Error),
    NewerFormat(i64),
}

impl<E: Into<redb::Error>> From<E> for OpenError {
    fn from(error: E) -> Self {
        OpenError::Reading(error.into())
    }
}

enum State {
    Open(Database),
    Failed(String),
    Closed,
}

/// The open database.
pub(super) struct Disk {
    backing: Box<dyn Backing>,
    cache_bytes: usize,
    state: RwLock<State>,
}

impl Disk {
    pub fn open(backing: Box<dyn Backing>, cache_bytes: usize) -> Result<(Disk, Found), OpenError> {
        let database = backing.open(cache_bytes).map_err(OpenError::Database)?;
        prepare(&database)?;
        let found = load(&database)?;
        Ok((Disk { backing, cache_bytes, state: RwLock::new(State::Open(database)) }, found))
    }

    pub fn is_instant(&self) -> bool {
        self.backing.is_instant()
    }

    /// Makes `work` durable, or none of it. `acknowledged` is the revision before it, and `at` the
    /// one after.
    pub fn commit(&self, work: &Work, acknowledged: i64, at: i64) -> Result<(), StoreError> {
        let failed = matches!(&*self.state.read(), State::Failed(_));
        if failed {
            self.reopen(acknowledged)?;
        }
        self.try_commit(work, at).inspect_err(|error| {
            tracing::warn!(%error, "a commit failed");
            // The answer is this error; whether the store could be opened again shows next time.
            let _ = self.reopen(acknowledged);
        })
    }

    fn try_commit(&self, work: &Work, at: i64) -> Result<(), StoreError> {
        match &*self.state.read() {
            State::Open(database) => write(database, work, at).map_err(disk_error),
            State::Failed(why) => Err(StoreError::Disk(why.clone())),
            State::Closed => Err(StoreError::Stopped),
        }
    }

    /// Opens the database anew after a failure, without anything newer than `acknowledged`.
    fn reopen(&self, acknowledged: i64) -> Result<(), StoreError> {
        let mut state = self.state.write();
        if matches!(*state, State::Closed) {
            return Err(StoreError::Stopped);
        }
        // Closes the old one first: it holds the file's lock.
        *state = State::Failed(String::new());
        let opened = self.backing.open(self.cache_bytes).map_err(redb::Error::from).and_then(|database| {
            forget_after(&database, acknowledged)?;
            Ok(database)
        });
        match opened {
            Ok(database) => {
                *state = State::Open(database);
                Ok(())
            }
            Err(error) => {
                *state = State::Failed(error.to_string());
                Err(StoreError::Disk(error.to_string()))
            }
        }
    }

    /// A view of the values as they are on disk now.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        match &*self.state.read() {
            State::Open(database) => {
                let values = database
                    .begin_read()
                    .map_err(redb::Error::from)
                    .and_then(|txn| txn.open_table(VALUES).map_err(redb::Error::from));
                Ok(Reader(values.map_err(disk_error)?))
            }
            State::Failed(why) => Err(StoreError::Disk(why.clone())),
            State::Closed => Err(StoreError::Stopped),
        }
    }

    /// Waits for a commit that is under way and closes the file.
    pub fn close(&self) {
        *self.state.write() = State::Closed;
    }
}

/// Reads values; sees what was on disk when it was made.
pub(super) struct Reader(ReadOnlyTable<Row, &'static [u8]>);

impl Reader {
    pub fn value(&self, row: RowId) -> Result<Bytes, StoreError> {
        match self.0.get((row.revision, row.sub)) {
            Ok(Some(value)) => Ok(Bytes::copy_from_slice(value.value())),
            Ok(None) => Err(StoreError::Disk(format!("the value of revision {} is missing", row.revision))),
            Err(error) => Err(disk_error(error)),
        }
    }
}

fn disk_error(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Disk(error.into().to_string())
}

fn write(database: &Database, work: &Work, at: i64) -> Result<(), redb::Error> {
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
    txn.commit()?;
    Ok(())
}

/// Makes the tables of a new store; refuses one that a newer program wrote.
fn prepare(database: &Database) -> Result<(), OpenError> {
    let format = match database.begin_read()?.open_table(META) {
        Ok(meta) => meta.get(FORMAT)?.map(|format| format.value()),
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    match format {
        Some(format) if format > FORMAT_NEWEST => return Err(OpenError::NewerFormat(format)),
        Some(_) => return Ok(()),
        None => {}
    }
    let txn = database.begin_write()?;
    txn.open_table(VERSIONS)?;
    txn.open_table(VALUES)?;
    txn.open_table(LEASES)?;
    txn.open_table(META)?.insert(FORMAT, FORMAT_NEWEST)?;
    txn.commit()?;
    Ok(())
}

fn load(database: &Database) -> Result<Found, OpenError> {
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
fn forget_after(database: &Database, revision: i64) -> Result<(), redb::Error> {
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
