//! The content that the registry and the image store share: files named by their digests.
//!
//! In: bytes, and perhaps the digest that they should have. Out: a file under its digest, whole and
//! verified, or nothing. Blocking: callers run it where blocking is allowed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::arriving::{self, Incoming};
use super::name::{Digest, Hashing};

/// How long content may be without an owner: a large image's upload.
pub(super) const SPARED: Duration = Duration::from_secs(600);

/// A folder of content. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Content {
    dir: PathBuf,
    /// Content that is younger than this is not swept: its owner may be on the way.
    spared: Duration,
}

/// Content that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl Content {
    /// The content of the registry in `dir`, made if need be.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(dir: &Path) -> io::Result<Content> {
        for folder in ["blobs", "uploads", "images"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        Ok(Content { dir: dir.to_owned(), spared: SPARED })
    }

    /// The same content, of which even what came this moment may be swept.
    pub fn sparing_nothing(mut self) -> Content {
        self.spared = Duration::ZERO;
        self
    }

    /// The folder that holds all of it.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// Where content is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.hex())
    }

    /// True when the content is there.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// All of a piece of content, if it is there and not longer than `most` bytes.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or is not what its name says.
    pub fn read(&self, digest: &Digest, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path(digest))?.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(invalid(format!("{digest} has more than {most} bytes")));
        }
        if digest.alike(&bytes) != *digest {
            return Err(invalid(format!("the file of {digest} is damaged")));
        }
        Ok(bytes)
    }

    /// Deletes content that is neither in `needed` (hex digests) nor held by a repository, and is older than
    /// what is being written now. Returns how many bytes went.
    ///
    /// # Errors
    /// When a folder cannot be read or a file not deleted.
    pub fn sweep(&self, needed: &HashSet<String>) -> io::Result<u64> {
        // What arrives at this moment has no owner yet; a file made now says which moment that is.
        let mark = Unfinished(self.dir.join("uploads").join(format!("mark-{}", Uuid::new_v4())));
        let now = File::create(&mark.0)?.metadata()?.modified()?;
        let mut held = needed.clone();
        repositories(&self.dir.join("repositories"), &mut held)?;
        let mut freed = 0;
        for entry in fs::read_dir(self.dir.join("blobs"))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let young = metadata.modified().is_ok_and(|at| at + self.spared > now);
            if !young && !held.contains(&*entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())?;
                freed += metadata.len();
            }
        }
        Ok(freed)
    }

    /// Stores what `from` gives, under its digest; `expected` is the digest it must have.
    ///
    /// # Errors
    /// When it cannot be read or written, or is not what was expected; nothing is stored then.
    pub fn write(&self, from: impl Read, expected: Option<&Digest>) -> io::Result<Written> {
        self.keep(expected, |file, hash| arriving::pour(file, hash, arriving::pieces(from)))
    }

    /// As [`Content::write`], of what comes by and by: never more than `most` bytes of it.
    ///
    /// # Errors
    /// As there; and when there is more.
    pub fn receive(&self, mut from: Incoming, expected: Option<&Digest>, most: u64) -> io::Result<Written> {
        let mut left = most;
        let next = |_| {
            let piece = from.piece()?;
            let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            let longer = || invalid(format!("it is longer than the {most} bytes that were promised"));
            left = left.checked_sub(length).ok_or_else(longer)?;
            Ok(piece)
        };
        self.keep(expected, |file, hash| arriving::pour(file, hash, next))
    }

    fn keep(
        &self,
        expected: Option<&Digest>,
        pour: impl FnOnce(&File, Hashing) -> io::Result<(Hashing, u64)>,
    ) -> io::Result<Written> {
        let unfinished = Unfinished(self.dir.join("uploads").join(format!("content-{}", Uuid::new_v4())));
        let file = File::create(&unfinished.0)?;
        let (hash, size) = pour(&file, expected.map_or_else(Hashing::default, Digest::hashing))?;
        let digest = hash.finish();
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(invalid(format!("expected {expected}, but what came is {digest}")));
        }
        file.sync_all()?;
        fs::rename(&unfinished.0, self.path(&digest))?;
        Ok(Written { digest, size })
    }
}

/// Adds what repositories hold.
fn repositories(folder: &Path, held: &mut HashSet<String>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.as_str() {
            "_blobs" | "_manifests" => {
                for file in fs::read_dir(entry.path())? {
                    held.insert(file?.file_name().to_string_lossy().into_owned());
                }
            }
            name if name.starts_with('_') => {}
            _ => repositories(&entry.path(), held)?,
        }
    }
    Ok(())
}

/// Gone when dropped, unless it was renamed before.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Renamed already, or left for the next start to clear.
        let _ = fs::remove_file(&self.0);
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_opens_clears_uploads_and_lets_others_write() {
        let dir = tempfile::tempdir().unwrap();
        let content = Content::open(dir.path()).unwrap();
        let upload = dir.path().join("uploads").join(Uuid::new_v4().to_string());
        fs::write(&upload, "half").unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let (opened, open) = std::sync::mpsc::channel();
        let slow = std::thread::scope(|scope| {
            let content = &content;
            let writer = scope.spawn(move || {
                let mut first = true;
                let bytes = arriving_by_and_by(move || {
                    if std::mem::take(&mut first) {
                        tell.send(()).unwrap();
                        open.recv().unwrap();
                    }
                });
                content.write(bytes, None)
            });
            told.recv().unwrap();
            super::super::storage::Storage::open(dir.path()).unwrap();
            opened.send(()).unwrap();
            writer.join().unwrap()
        });
        assert_eq!(content.read(&slow.unwrap().digest, 9).unwrap(), b"slowly");
        assert!(!upload.exists(), "an upload that nobody goes on with is forgotten");
    }

    /// Bytes whose reader is held up before the first of them.
    fn arriving_by_and_by(held: impl FnMut()) -> impl Read {
        struct Held<F>(F, &'static [u8]);
        impl<F: FnMut()> Read for Held<F> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (self.0)();
                self.1.read(buffer)
            }
        }
        Held(held, b"slowly")
    }

    #[test]
    fn content_is_what_its_digest_says_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let content = Content::open(dir.path()).unwrap();
        let written = content.write(&b"hello"[..], None).unwrap();
        assert_eq!((written.size, content.read(&written.digest, 5).unwrap()), (5, b"hello".to_vec()));
        assert!(content.read(&written.digest, 4).is_err());
        assert!(content.write(&b"other"[..], Some(&written.digest)).is_err());
        assert!(fs::read_dir(dir.path().join("uploads")).unwrap().next().is_none());
        fs::write(content.path(&written.digest), "changed").unwrap();
        assert!(content.read(&written.digest, 100).is_err());
    }
}
