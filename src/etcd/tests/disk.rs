//! A disk that can lose what was not flushed, tear writes, be full, and keep a flush waiting.

use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;
use redb::{Database, DatabaseError, StorageBackend};

use super::super::disk::Backing;

const SECTOR: usize = 512;

/// One file on the disk.
#[derive(Default)]
struct Image {
    durable: Vec<u8>,
    seen: Vec<u8>,
    /// Writes since the last flush.
    unflushed: Vec<(usize, Vec<u8>)>,
}

impl Image {
    fn after_crash(&self, keeps: &mut impl FnMut() -> bool) -> Image {
        let mut image = self.durable.clone();
        for (offset, data) in &self.unflushed {
            for (at, sector) in data.chunks(SECTOR).enumerate() {
                if keeps() {
                    let start = offset + at * SECTOR;
                    image.resize(image.len().max(start + sector.len()), 0);
                    image[start..start + sector.len()].copy_from_slice(sector);
                }
            }
        }
        Image { durable: image.clone(), seen: image, unflushed: Vec::new() }
    }
}

const TREE: usize = 0;
const LOG: usize = 1;

#[derive(Default)]
struct State {
    files: [Image; 2],
    /// Operations until the power goes; `None` for never.
    power: Option<usize>,
    full: bool,
    failing_flushes: usize,
    flushes: usize,
    gate: Option<(Sender<()>, Receiver<()>)>,
}

#[derive(Clone)]
pub struct TestDisk {
    state: Arc<Mutex<State>>,
    instant: bool,
}

/// One of its files, as the store opens it.
#[derive(Debug)]
struct TestFile {
    disk: TestDisk,
    file: usize,
}

impl fmt::Debug for TestDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestDisk")
    }
}

impl TestDisk {
    /// Commits run on the caller's thread.
    pub fn instant() -> Self {
        TestDisk { state: Arc::default(), instant: true }
    }

    /// Commits run on the blocking pool, as over a file.
    pub fn slow() -> Self {
        TestDisk { instant: false, ..TestDisk::instant() }
    }

    pub fn set_full(&self, full: bool) {
        self.state.lock().full = full;
    }

    pub fn fail_flushes(&self, count: usize) {
        self.state.lock().failing_flushes = count;
    }

    pub fn power_off_after(&self, operations: usize) {
        self.state.lock().power = Some(operations);
    }

    pub fn flushes(&self) -> usize {
        self.state.lock().flushes
    }

    /// From now on each flush says that it began, and waits to be let go.
    pub fn hold_flushes(&self) -> (Receiver<()>, Sender<()>) {
        let (begun, begins) = channel();
        let (release, released) = channel();
        self.state.lock().gate = Some((begun, released));
        (begins, release)
    }

    /// What a machine finds after the power came back: everything flushed, and of the rest what
    /// `keeps` decides, sector by sector.
    pub fn after_crash(&self, mut keeps: impl FnMut() -> bool) -> TestDisk {
        let files = self.state.lock().files.each_ref().map(|file| file.after_crash(&mut keeps));
        TestDisk { state: Arc::new(Mutex::new(State { files, ..State::default() })), instant: self.instant }
    }

    fn operation(&self) -> Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        match &mut state.power {
            Some(0) => return Err(Error::other("no power")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }
}

impl Backing for TestDisk {
    fn open(&self, cache_bytes: usize) -> std::result::Result<Database, DatabaseError> {
        Database::builder().set_cache_size(cache_bytes).create_with_backend(TestFile { disk: self.clone(), file: TREE })
    }

    fn log(&self) -> std::result::Result<Option<Box<dyn StorageBackend>>, DatabaseError> {
        Ok(Some(Box::new(TestFile { disk: self.clone(), file: LOG })))
    }

    fn is_instant(&self) -> bool {
        self.instant
    }
}

impl StorageBackend for TestFile {
    fn len(&self) -> Result<u64> {
        Ok(self.disk.operation()?.files[self.file].seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let state = self.disk.operation()?;
        let start = offset as usize;
        let data = state.files[self.file].seen.get(start..start + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut state = self.disk.operation()?;
        let file = &state.files[self.file];
        if state.full && len > file.seen.len() as u64 {
            return Err(ErrorKind::StorageFull.into());
        }
        let file = &mut state.files[self.file];
        file.seen.resize(len as usize, 0);
        // The length itself is taken to survive: file systems journal it.
        file.durable.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let gate = self.disk.operation()?.gate.take();
        if let Some((begun, released)) = gate {
            begun.send(()).unwrap();
            released.recv().unwrap();
        }
        let mut state = self.disk.state.lock();
        if state.failing_flushes > 0 {
            state.failing_flushes -= 1;
            return Err(Error::other("the flush failed"));
        }
        state.flushes += 1;
        let file = &mut state.files[self.file];
        file.durable = file.seen.clone();
        file.unflushed.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut state = self.disk.operation()?;
        if state.full {
            return Err(ErrorKind::StorageFull.into());
        }
        let start = offset as usize;
        let file = &mut state.files[self.file];
        file.seen[start..start + data.len()].copy_from_slice(data);
        file.unflushed.push((start, data.to_vec()));
        Ok(())
    }
}
