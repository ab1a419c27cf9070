//! The write-ahead log: what is acknowledged is here first.
//!
//! A B-tree commit touches pages all over its file; a log is written in one place and flushed with
//! one `fdatasync`. So each commit is appended here, and the tree takes over the whole log whenever
//! it is full; then the log starts again at its beginning. etcd does the same with its WAL and bbolt.
//!
//! The file has a fixed length and is written over, so that a flush changes no metadata. Its first
//! sector says that it is a log and how long: 12 bytes name, 8 bytes length, 4 bytes CRC-32. A record
//! begins at a sector, so that writing one never touches a sector of another: 4 bytes length of the
//! payload, 4 bytes CRC-32 of what follows, 8 bytes sequence number, the payload. Sequence numbers
//! only grow; a record counts when it is the next one. What an earlier round left behind is older.

use std::io::{Error, ErrorKind, Result};

use bytes::Bytes;
use redb::StorageBackend;

const SECTOR: usize = 512;
const HEADER: usize = 16;
const NAME: &[u8; 12] = b"tutor log 1\n";
/// Where the first record is.
const FIRST: u64 = SECTOR as u64;

/// The open log. Used by the one who commits.
pub(super) struct Log {
    file: Box<dyn StorageBackend>,
    length: u64,
    /// Where the next record goes.
    tail: u64,
    /// Of the newest record.
    sequence: u64,
    /// The record at `tail` was refused, but may have reached the disk.
    in_doubt: bool,
}

impl Log {
    /// Opens the log in `file`; returns the payloads of the records after number `merged`, which
    /// the tree does not have yet. `length` is for a new file.
    ///
    /// # Errors
    /// When the file cannot be used; [`ErrorKind::InvalidData`] when it is no longer the log that was
    /// written, or when a record is damaged that was acknowledged: others follow it.
    pub fn open(file: Box<dyn StorageBackend>, length: u64, merged: u64) -> Result<(Log, Vec<Bytes>)> {
        let mut whole = contents(file.as_ref())?;
        // Its first sector is written last, so a new log has nothing or zeros.
        if whole.iter().all(|byte| *byte == 0) {
            if merged > 0 {
                return Err(damaged("its log is empty, and was not"));
            }
            begin(file.as_ref(), length)?;
            whole = contents(file.as_ref())?;
        }
        let length = length_in(&whole).ok_or_else(|| damaged("its log does not begin as a log does"))?;
        if (whole.len() as u64) < length {
            return Err(damaged("the end of its log is missing"));
        }
        let whole = Bytes::from(whole);
        let mut log = Log { file, length, tail: FIRST, sequence: merged, in_doubt: false };
        let mut payloads = Vec::new();
        while let Some((sequence, payload)) = record(&whole, log.tail as usize)
            && sequence == log.sequence + 1
        {
            log.tail += sectors(payload.len());
            log.sequence = sequence;
            payloads.push(payload);
        }
        let later = (log.tail as usize..whole.len()).step_by(SECTOR);
        let newer = later.filter_map(|at| record(&whole, at)).any(|(sequence, _)| sequence > log.sequence + 1);
        if newer {
            return Err(damaged(&format!("record {} of its log is not as it was written", log.sequence + 1)));
        }
        Ok((log, payloads))
    }

    /// Whether there is room for a record with `payload` bytes.
    pub fn fits(&self, payload: usize) -> bool {
        self.tail + sectors(payload) <= self.length
    }

    /// The number of the newest record.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Appends a record and makes it durable. It must fit.
    ///
    /// # Errors
    /// When the disk refuses. The record is taken back then, at the latest before the next one.
    pub fn append(&mut self, payload: &[u8]) -> Result<()> {
        if self.in_doubt {
            self.take_back()?;
        }
        let mut record = Vec::with_capacity(sectors(payload.len()) as usize);
        record.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        record.extend_from_slice(&[0; 4]);
        record.extend_from_slice(&(self.sequence + 1).to_le_bytes());
        record.extend_from_slice(payload);
        let sum = checksum(&record[8..]);
        record[4..8].copy_from_slice(&sum.to_le_bytes());
        record.resize(sectors(payload.len()) as usize, 0);
        if let Err(error) = self.file.write(self.tail, &record).and_then(|()| self.file.sync_data()) {
            self.in_doubt = true;
            // If this fails too, the next append tries again, or is refused.
            let _ = self.take_back();
            return Err(error);
        }
        self.tail += record.len() as u64;
        self.sequence += 1;
        Ok(())
    }

    /// Starts again at the beginning: the tree has every record now.
    pub fn restart(&mut self) {
        self.tail = FIRST;
    }

    /// Makes sure that the record at the tail, whatever there is of it, is none.
    fn take_back(&mut self) -> Result<()> {
        self.file.write(self.tail, &[0; SECTOR])?;
        self.file.sync_data()?;
        self.in_doubt = false;
        Ok(())
    }
}

fn contents(file: &dyn StorageBackend) -> Result<Vec<u8>> {
    let mut whole = vec![0; file.len()? as usize];
    file.read(0, &mut whole)?;
    Ok(whole)
}

/// Makes the file a log without records, `length` bytes long.
fn begin(file: &dyn StorageBackend, length: u64) -> Result<()> {
    file.set_len(length)?;
    // Blocks that are written now need not be allotted while someone waits for a flush.
    file.write(0, &vec![0; length as usize])?;
    file.sync_data()?;
    let mut first = NAME.to_vec();
    first.extend_from_slice(&length.to_le_bytes());
    let sum = checksum(&first);
    first.extend_from_slice(&sum.to_le_bytes());
    first.resize(SECTOR, 0);
    file.write(0, &first)?;
    file.sync_data()
}

/// The length that the first sector gives, if it is a log's.
fn length_in(whole: &[u8]) -> Option<u64> {
    let (first, sum) = (whole.get(..20)?, whole.get(20..24)?);
    let known = first.starts_with(NAME) && checksum(first).to_le_bytes() == sum;
    known.then(|| u64::from_le_bytes(first[12..].try_into().unwrap_or_default()))
}

fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why.to_string())
}

/// Bytes that a record takes.
fn sectors(payload: usize) -> u64 {
    (HEADER + payload).next_multiple_of(SECTOR) as u64
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// The record that begins at `at`, if one does: its sequence number and its payload.
fn record(whole: &Bytes, at: usize) -> Option<(u64, Bytes)> {
    let header = whole.get(at..at + HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().ok()?) as usize;
    let sum = u32::from_le_bytes(header[4..8].try_into().ok()?);
    let sequence = u64::from_le_bytes(header[8..].try_into().ok()?);
    let end = at.checked_add(HEADER)?.checked_add(length)?;
    let summed = whole.get(at + 8..end)?;
    (sequence > 0 && checksum(summed) == sum).then(|| (sequence, whole.slice(at + HEADER..end)))
}
