//! Content on its way to the disk and from it: large pieces, and each kind of work on a core of its own.
//!
//! In: pieces, as they come over a network or from a file. Out: a file, and the digest of what is in it. Three things take
//! time here: to write, to hash, to wait for the disk. Done one after the other they take as long as all three
//! together, so beyond the first bytes they are done side by side. The other way round a file is read ahead of who takes
//! it. Blocking work runs where blocking is allowed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;

use super::name::Hashing;
use crate::tasks::TaskGroup;

/// What is read, and given away, at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that wait between two stages.
const WAITING: usize = 8;
/// Up to so much, a second thread takes longer to begin than the work.
const SMALL_BYTES: u64 = 1 << 20;
/// After so much the disk is told to begin: at the end little is left to wait for.
const FLUSHED_BYTES: u64 = 8 << 20;

/// Writes what `next` gives, to its end, and hashes it; returns the hash and how many bytes came. What was written is
/// partly flushed: the caller flushes the rest when the file is whole. `next` gets pieces back that are done with.
///
/// # Errors
/// What `next` says, or the disk.
pub(super) fn pour<Piece: AsRef<[u8]> + Send>(
    file: &File,
    mut hash: Hashing,
    mut next: impl FnMut(Option<Piece>) -> io::Result<Option<Piece>>,
) -> io::Result<(Hashing, u64)> {
    let (mut written, mut spent) = (0, None);
    while written < SMALL_BYTES {
        let Some(piece) = next(spent.take())? else { return Ok((hash, written)) };
        write(file, piece.as_ref(), &mut written)?;
        hash.update(piece.as_ref());
        spent = Some(piece);
    }
    thread::scope(|scope| {
        let (to_hash, pieces) = sync_channel::<Piece>(WAITING);
        let (used, done) = channel();
        let hasher = scope.spawn(move || {
            for piece in pieces {
                hash.update(piece.as_ref());
                // Who writes may have met with a fault.
                let _ = used.send(piece);
            }
            hash
        });
        let (flush, flushes) = sync_channel::<()>(1);
        let flusher = scope.spawn(move || flushes.iter().try_for_each(|()| file.sync_data()));
        let outcome = (|| {
            let mut flushed = written;
            while let Some(piece) = next(done.try_recv().ok())? {
                write(file, piece.as_ref(), &mut written)?;
                // The other side ends only after this one.
                let _ = to_hash.send(piece);
                if written - flushed >= FLUSHED_BYTES && flush.try_send(()).is_ok() {
                    flushed = written;
                }
            }
            Ok(written)
        })();
        drop((to_hash, flush));
        let (hash, flushed) = (joined(hasher), joined(flusher));
        // A fault of the disk is told once: who is told it here must not be told later that all is well.
        outcome.and_then(|written| flushed.map(|()| (hash, written)))
    })
}

fn write(mut file: &File, piece: &[u8], written: &mut u64) -> io::Result<()> {
    file.write_all(piece)?;
    *written += piece.len() as u64;
    Ok(())
}

fn joined<T>(worker: thread::ScopedJoinHandle<'_, T>) -> T {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Pieces of what a reader has, for [`pour`].
pub(super) fn pieces(mut from: impl Read) -> impl FnMut(Option<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
    move |spent| {
        let mut piece = spent.unwrap_or_default();
        piece.resize(PIECE_BYTES, 0);
        let mut filled = 0;
        while filled < PIECE_BYTES {
            match from.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        piece.truncate(filled);
        Ok((filled > 0).then_some(piece))
    }
}

/// Pieces that come by and by, to be taken where blocking is allowed.
pub struct Incoming(mpsc::Receiver<io::Result<Option<Bytes>>>);

impl Incoming {
    /// The next piece; none at the end. A stream that was dropped before its end is a fault.
    ///
    /// # Errors
    /// What the stream says.
    pub fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "it broke off");
        self.0.blocking_recv().ok_or_else(broken)?
    }
}

/// Does blocking `work` on what a stream gives, while it gives it.
pub async fn drain<T: Send + 'static>(
    tasks: &TaskGroup,
    stream: impl Stream<Item = io::Result<Bytes>>,
    work: impl FnOnce(Incoming) -> T + Send + 'static,
) -> T {
    let (give, taken) = mpsc::channel(WAITING);
    let feed = async move {
        let mut pieces = std::pin::pin!(stream.map(|piece| piece.map(Some)).chain(stream::iter([Ok(None)])));
        while let Some(piece) = pieces.next().await {
            let ends = piece.is_err();
            // Who takes them may have had enough.
            if give.send(piece).await.is_err() || ends {
                return;
            }
        }
    };
    let ((), outcome) = tokio::join!(feed, tasks.blocking(move || work(Incoming(taken))));
    outcome
}

/// A part of a file, `length` bytes from `first` on, read ahead of who takes it.
pub fn read_ahead(
    tasks: &TaskGroup,
    mut file: File,
    first: u64,
    length: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + use<> {
    let (give, taken) = mpsc::channel(WAITING);
    tasks.spawn_blocking(move || {
        let mut left = length;
        let mut begun = file.seek(SeekFrom::Start(first)).map(drop);
        while left > 0 {
            let piece = std::mem::replace(&mut begun, Ok(())).and_then(|()| piece(&mut file, left));
            left -= piece.as_ref().map_or(left, |piece| piece.len() as u64);
            if give.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    stream::unfold(taken, |mut taken| async move { taken.recv().await.map(|piece| (piece, taken)) })
}

fn piece(file: &mut File, left: u64) -> io::Result<Bytes> {
    let most = left.min(PIECE_BYTES as u64);
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    match file.take(most).read_to_end(&mut piece)? as u64 == most {
        true => Ok(Bytes::from(piece)),
        false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::name::Digest;
    use super::*;

    /// Larger than what one thread does alone, and no multiple of a piece.
    fn bytes() -> Vec<u8> {
        (0..(9_u32 << 20) + 17).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    #[test]
    fn what_is_poured_is_what_came() {
        let bytes = bytes();
        for length in [0, 1, PIECE_BYTES, SMALL_BYTES as usize, bytes.len()] {
            let wanted = &bytes[..length];
            let file = tempfile::NamedTempFile::new().unwrap();
            let (hash, written) = pour(file.as_file(), Hashing::default(), pieces(wanted)).unwrap();
            assert_eq!((hash.finish(), written), (Digest::of(wanted), length as u64), "{length}");
            assert_eq!(std::fs::read(file.path()).unwrap(), wanted, "{length}");
        }
    }

    #[test]
    fn a_fault_of_the_source_or_the_disk_is_told() {
        let bytes = bytes();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut given = 0;
        let source = |_| {
            given += 1;
            if given < 9 { Ok(Some(&bytes[..PIECE_BYTES])) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        };
        let fault = pour(file.as_file(), Hashing::default(), source).err().unwrap();
        assert_eq!(fault.kind(), io::ErrorKind::BrokenPipe);
        let unwritable = File::open(file.path()).unwrap();
        assert!(pour(&unwritable, Hashing::default(), pieces(&*bytes)).is_err());
    }

    #[tokio::test]
    async fn a_file_is_read_in_part_and_drained_as_a_whole() {
        let (bytes, tasks) = (bytes(), TaskGroup::new());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let open = || File::open(file.path()).unwrap();
        let (first, length) = (PIECE_BYTES - 3, 2 * PIECE_BYTES + 5);
        let collect = |mut incoming: Incoming| {
            let mut all = Vec::new();
            while let Some(piece) = incoming.piece()? {
                all.extend_from_slice(&piece);
            }
            Ok::<_, io::Error>(all)
        };
        let part = drain(&tasks, read_ahead(&tasks, open(), first as u64, length as u64), collect).await.unwrap();
        assert!(part == bytes[first..first + length]);
        let beyond = drain(&tasks, read_ahead(&tasks, open(), bytes.len() as u64 - 1, 2), collect).await;
        assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let none = drain(&tasks, read_ahead(&tasks, open(), 5, 0), collect).await.unwrap();
        assert!(none.is_empty());
    }

    #[tokio::test]
    async fn what_breaks_off_is_not_taken_for_the_end() {
        let tasks = TaskGroup::new();
        let (told, tell) = std::sync::mpsc::channel();
        let endless = stream::iter([Ok(Bytes::from_static(b"begun"))]).chain(stream::pending());
        let begun = std::sync::Arc::new(tokio::sync::Notify::new());
        let seen = begun.clone();
        let mut draining = Box::pin(drain(&tasks, endless, move |mut incoming| {
            assert_eq!(incoming.piece().unwrap().unwrap(), "begun");
            seen.notify_one();
            told.send(incoming.piece().map_err(|fault| fault.kind())).unwrap();
        }));
        tokio::select! {
            () = &mut draining => unreachable!("it never ends by itself"),
            () = begun.notified() => {}
        }
        drop(draining);
        assert_eq!(tasks.blocking(move || tell.recv().unwrap()).await, Err(io::ErrorKind::UnexpectedEof));
    }
}
