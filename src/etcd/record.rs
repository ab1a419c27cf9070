//! One commit as bytes, for the write-ahead log.
//!
//! All numbers are little-endian. In order: the revision after the commit; the revision compacted
//! at, or 0; then, each list with its length before it, the changes, the leases granted and the
//! leases revoked. Rows of forgotten history are not recorded: opening finds them again.

use bytes::{Buf, BufMut, Bytes, TryGetError};

use super::disk::{Change, Work};
use super::event::{Event, EventKind};
use super::index::{RowId, Version};

/// Appends `work`, which brings the store to revision `at`, to `out`.
pub(super) fn encode(work: &Work, at: i64, out: &mut Vec<u8>) {
    out.put_i64_le(at);
    out.put_i64_le(work.compact.unwrap_or(0));
    put_length(out, work.changes.len());
    for Change { version, event } in &work.changes {
        out.put_i64_le(version.row.revision);
        out.put_u32_le(version.row.sub);
        out.put_i64_le(version.create);
        out.put_i64_le(version.version);
        out.put_i64_le(version.lease);
        for bytes in [&event.kv.key, &event.kv.value] {
            put_length(out, bytes.len());
            out.put_slice(bytes);
        }
    }
    put_length(out, work.granted.len());
    for (lease, ttl_seconds) in &work.granted {
        out.put_i64_le(*lease);
        out.put_i64_le(*ttl_seconds);
    }
    put_length(out, work.revoked.len());
    work.revoked.iter().for_each(|lease| out.put_i64_le(*lease));
}

/// A group is limited to some tens of megabytes, a value to 4 GiB.
fn put_length(out: &mut Vec<u8>, length: usize) {
    out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Reads what [`encode`] wrote: the commit and the revision after it. Changes come back without
/// what was there before them.
///
/// # Errors
/// When the bytes end too early, which a record whose checksum is right never does.
pub(super) fn decode(mut bytes: Bytes) -> Result<(Work, i64), TryGetError> {
    let from = &mut bytes;
    let at = from.try_get_i64_le()?;
    let compact = Some(from.try_get_i64_le()?).filter(|revision| *revision != 0);
    let mut work = Work { compact, ..Work::default() };
    for _ in 0..from.try_get_u32_le()? {
        work.changes.push(change(from)?);
    }
    for _ in 0..from.try_get_u32_le()? {
        work.granted.push((from.try_get_i64_le()?, from.try_get_i64_le()?));
    }
    for _ in 0..from.try_get_u32_le()? {
        work.revoked.push(from.try_get_i64_le()?);
    }
    Ok((work, at))
}

fn change(from: &mut Bytes) -> Result<Change, TryGetError> {
    let row = RowId { revision: from.try_get_i64_le()?, sub: from.try_get_u32_le()? };
    let create = from.try_get_i64_le()?;
    let (number, lease) = (from.try_get_i64_le()?, from.try_get_i64_le()?);
    let (key, value) = (sized(from)?, sized(from)?);
    // It was a `u32` when it was written.
    let version = Version { row, create, version: number, lease, size: value.len() as u32 };
    let kind = if version.is_tombstone() { EventKind::Delete } else { EventKind::Put };
    Ok(Change { version, event: Event { kind, kv: version.key_value(&key, value), prev_kv: None } })
}

fn sized(from: &mut Bytes) -> Result<Bytes, TryGetError> {
    let length = from.try_get_u32_le()? as usize;
    if length > from.len() {
        return Err(TryGetError { requested: length, available: from.len() });
    }
    Ok(from.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        let change = |revision, number, value: &'static str| {
            let row = RowId { revision, sub: 3 };
            let version = Version { row, create: 2, version: number, lease: 7, size: value.len() as u32 };
            let kind = if number == 0 { EventKind::Delete } else { EventKind::Put };
            let kv = version.key_value(&Bytes::from_static(b"/registry/k"), Bytes::from_static(value.as_bytes()));
            Change { version, event: Event { kind, kv, prev_kv: None } }
        };
        Work {
            changes: vec![change(5, 1, "value"), change(6, 0, "")],
            granted: vec![(9, 60)],
            revoked: vec![8],
            compact: Some(4),
            garbage: Vec::new(),
        }
    }

    #[test]
    fn a_commit_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        encode(&work(), 6, &mut bytes);
        let (read, at) = decode(bytes.into()).unwrap();
        assert_eq!(at, 6);
        assert_eq!(format!("{read:?}"), format!("{:?}", work()));
    }

    #[test]
    fn a_commit_that_ends_early_is_refused() {
        let mut bytes = Vec::new();
        encode(&work(), 6, &mut bytes);
        for end in 0..bytes.len() {
            assert!(decode(Bytes::copy_from_slice(&bytes[..end])).is_err(), "{end} of {}", bytes.len());
        }
    }
}
