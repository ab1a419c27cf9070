//! What is acknowledged is here: a write-ahead log in front of a B-tree.
//!
//! A commit is durable once it is in the log. The values of what the tree does not have yet are kept
//! in memory too, so that readers find them; when the log is full, the tree takes over all of it in
//! one transaction. After a crash, opening does the same first. A commit that is larger than the
//! log, and every commit of a store in memory, goes into the tree at once.
//!
//! redb refuses everything after one failed write until it is opened anew; [`Disk`] does that, and
//! takes back what a failed commit may have left, so that a refused write is gone and the store goes
//! on once the disk does. Runs on whatever thread calls it and blocks there.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, DatabaseError, StorageBackend};

use super::error::StoreError;
use super::event::Event;
use super::index::{Index, RowId, Version};
use super::log::Log;
use super::options::{Options, SWEEP_WAITING_MAX, VERIFY_BYTES_MAX};
use super::record;
use super::tree::{self, Values, disk_error};

/// What most commits fit into.
const LOG_ROOM: usize = 64 << 10;

/// Where the bytes are: files, memory, or a test's broken disk. Opened again after a failure.
pub(super) trait Backing: Send + Sync + 'static {
    fn open(&self, cache_bytes: usize) -> Result<Database, DatabaseError>;
    /// The log's file, locked; `None` where a commit into the tree is as fast.
    fn log(&self) -> Result<Option<Box<dyn StorageBackend>>, DatabaseError>;
    /// Whether a commit takes no time, so that it need not leave the caller's thread.
    fn is_instant(&self) -> bool {
        false
    }
}

/// The tree's file; the log is beside it.
pub(super) struct File(pub PathBuf);

impl Backing for File {
    fn open(&self, cache_bytes: usize) -> Result<Database, DatabaseError> {
        // Unreadable is found just below, and a file that was not closed is always verified.
        let verify = fs::metadata(&self.0).is_ok_and(|file| file.len() <= VERIFY_BYTES_MAX);
        Database::builder().set_cache_size(cache_bytes).set_check_integrity_on_open(verify).create(&self.0)
    }

    fn log(&self) -> Result<Option<Box<dyn StorageBackend>>, DatabaseError> {
        let file = fs::File::options().read(true).write(true).open(self.0.with_extension("log"))?;
        Ok(Some(Box::new(FileBackend::new(file)?)))
    }
}

/// Memory; gone with the store.
pub(super) struct Memory;

impl Backing for Memory {
    fn open(&self, cache_bytes: usize) -> Result<Database, DatabaseError> {
        Database::builder().set_cache_size(cache_bytes).create_with_backend(InMemoryBackend::new())
    }

    fn log(&self) -> Result<Option<Box<dyn StorageBackend>>, DatabaseError> {
        Ok(None)
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
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub version: Version,
    pub event: Event,
}

impl Work {
    pub fn is_empty(&self) -> bool {
        self.is_only_garbage() && self.garbage.is_empty()
    }

    /// Rows of forgotten history are found again when the store is opened: they need not be durable.
    fn is_only_garbage(&self) -> bool {
        self.changes.is_empty() && self.granted.is_empty() && self.revoked.is_empty() && self.compact.is_none()
    }

    /// Adds a later commit. What was there before its changes is not kept: the tree does not ask.
    fn extend(&mut self, later: &Work) {
        let bare = |change: &Change| {
            let Event { kind, kv, .. } = &change.event;
            Change { version: change.version, event: Event { kind: *kind, kv: kv.clone(), prev_kv: None } }
        };
        self.changes.extend(later.changes.iter().map(bare));
        self.granted.extend(&later.granted);
        self.revoked.extend(&later.revoked);
        self.compact = later.compact.or(self.compact);
        self.garbage.extend(&later.garbage);
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

/// What is in the log and not in the tree yet.
#[derive(Default)]
struct Waiting {
    /// Its values. Only added to: a reader that began before the tree took over still finds them.
    values: RwLock<HashMap<RowId, Bytes>>,
    /// All of it, and the store's revision after it.
    work: Mutex<(Work, i64)>,
}

impl Waiting {
    fn add(&self, work: &Work, at: i64) {
        let puts = work.changes.iter().filter(|change| !change.version.is_tombstone());
        self.values.write().extend(puts.map(|change| (change.version.row, change.event.kv.value.clone())));
        let mut all = self.work.lock();
        all.0.extend(work);
        all.1 = at;
    }
}

enum Tree {
    Open(Database),
    Failed(String),
    Closed,
}

impl Tree {
    fn open(&self) -> Result<&Database, StoreError> {
        match self {
            Tree::Open(database) => Ok(database),
            Tree::Failed(why) => Err(StoreError::Disk(why.clone())),
            Tree::Closed => Err(StoreError::Stopped),
        }
    }
}

/// The tree and what it lacks: together, all that is durable.
struct State {
    tree: Tree,
    waiting: Arc<Waiting>,
}

/// The open store's files.
pub(super) struct Disk {
    backing: Box<dyn Backing>,
    cache_bytes: usize,
    /// Locked by the one who commits.
    log: Mutex<Option<Log>>,
    state: RwLock<State>,
}

impl Disk {
    pub fn open(backing: Box<dyn Backing>, options: &Options) -> Result<(Disk, Found), OpenError> {
        let database = backing.open(options.cache_bytes).map_err(OpenError::Database)?;
        tree::prepare(&database)?;
        let log = match backing.log().map_err(OpenError::Database)? {
            Some(file) => Some(replay(file, options.log_bytes, &database)?),
            None => None,
        };
        let found = tree::load(&database)?;
        let state = State { tree: Tree::Open(database), waiting: Arc::default() };
        let disk = Disk { backing, cache_bytes: options.cache_bytes, log: Mutex::new(log), state: RwLock::new(state) };
        Ok((disk, found))
    }

    pub fn is_instant(&self) -> bool {
        self.backing.is_instant()
    }

    /// Whether the tree has to take over the log before long, which takes longer than a commit. Asked by the one who
    /// commits.
    pub fn is_log_full(&self) -> bool {
        self.log.lock().as_ref().is_some_and(|log| !log.fits(LOG_ROOM))
    }

    /// Makes `work` durable, or none of it. `acknowledged` is the revision before it, and `at` the
    /// one after.
    pub fn commit(&self, work: &Work, acknowledged: i64, at: i64) -> Result<(), StoreError> {
        self.try_commit(work, acknowledged, at).inspect_err(|error| tracing::warn!(%error, "a commit failed"))
    }

    fn try_commit(&self, work: &Work, acknowledged: i64, at: i64) -> Result<(), StoreError> {
        let mut log = self.log.lock();
        let Some(log) = log.as_mut() else { return self.put_in_tree(work, acknowledged, at, None) };
        if matches!(self.state.read().tree, Tree::Closed) {
            return Err(StoreError::Stopped);
        }
        let mut payload = Vec::new();
        record::encode(work, at, &mut payload);
        let waiting = self.state.read().waiting.clone();
        if !log.fits(payload.len()) || waiting.work.lock().0.garbage.len() > SWEEP_WAITING_MAX {
            self.merge(log, acknowledged)?;
        }
        if !log.fits(payload.len()) {
            return self.put_in_tree(work, acknowledged, at, None);
        }
        if !work.is_only_garbage() {
            log.append(&payload).map_err(disk_error)?;
        }
        self.state.read().waiting.add(work, at);
        Ok(())
    }

    /// Lets the tree take over what is in the log, and starts the log again.
    fn merge(&self, log: &mut Log, acknowledged: i64) -> Result<(), StoreError> {
        let waiting = self.state.read().waiting.clone();
        let (work, at) = &*waiting.work.lock();
        if !work.is_empty() {
            self.put_in_tree(work, acknowledged, *at, Some(log.sequence()))?;
            self.state.write().waiting = Arc::default();
        }
        log.restart();
        Ok(())
    }

    /// One transaction of the tree; a tree that failed is opened anew before it and after it.
    fn put_in_tree(&self, work: &Work, acknowledged: i64, at: i64, merged: Option<u64>) -> Result<(), StoreError> {
        let failed = matches!(self.state.read().tree, Tree::Failed(_));
        if failed {
            self.reopen(acknowledged)?;
        }
        let written = match self.state.read().tree.open() {
            Ok(database) => tree::write(database, work, at, merged).map_err(disk_error),
            Err(error) => return Err(error),
        };
        written.inspect_err(|_| {
            // The answer is this error; whether the tree could be opened again shows next time.
            let _ = self.reopen(acknowledged);
        })
    }

    /// Opens the tree anew after a failure, without anything newer than `acknowledged`.
    fn reopen(&self, acknowledged: i64) -> Result<(), StoreError> {
        let mut state = self.state.write();
        if matches!(state.tree, Tree::Closed) {
            return Err(StoreError::Stopped);
        }
        // Closes the old one first: it holds the file's lock.
        state.tree = Tree::Failed(String::new());
        let opened = self.backing.open(self.cache_bytes).map_err(redb::Error::from).and_then(|database| {
            tree::forget_after(&database, acknowledged)?;
            Ok(database)
        });
        match opened {
            Ok(database) => {
                state.tree = Tree::Open(database);
                Ok(())
            }
            Err(error) => {
                state.tree = Tree::Failed(error.to_string());
                Err(StoreError::Disk(error.to_string()))
            }
        }
    }

    /// A view of the values as they are durable now.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        let state = self.state.read();
        Ok(Reader { values: Values::of(state.tree.open()?)?, waiting: state.waiting.clone() })
    }

    /// Waits for a commit that is under way, lets the tree take over the log, and closes both.
    pub fn close(&self) {
        let mut log = self.log.lock();
        if let Some(mut log) = log.take()
            && let Err(error) = self.merge(&mut log, i64::MAX)
        {
            tracing::debug!(%error, "the log stays as it is until the store is opened again");
        }
        self.state.write().tree = Tree::Closed;
    }
}

/// Opens the log; the tree takes over what it holds.
fn replay(file: Box<dyn StorageBackend>, log_bytes: u64, database: &Database) -> Result<Log, OpenError> {
    let (mut log, payloads) = Log::open(file, log_bytes, tree::merged(database)?).map_err(redb::Error::Io)?;
    let (mut all, mut at) = (Work::default(), 0);
    for payload in payloads {
        let unreadable = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        let (work, after) = record::decode(payload).map_err(unreadable).map_err(redb::Error::Io)?;
        all.extend(&work);
        at = after;
    }
    if !all.is_empty() {
        tree::write(database, &all, at, Some(log.sequence()))?;
    }
    log.restart();
    Ok(log)
}

/// Reads values; sees what was durable when it was made.
pub(super) struct Reader {
    values: Values,
    waiting: Arc<Waiting>,
}

impl Reader {
    pub fn value(&self, row: RowId) -> Result<Bytes, StoreError> {
        let waiting = self.waiting.values.read().get(&row).cloned();
        waiting.map_or_else(|| self.values.get(row), Ok)
    }
}
