//! A layer to be: its entries, what they come to, and the archive.
//!
//! In: entries by their path. Out: a digest of them all, which the cache knows them by; and a tar archive.
//! The same entries give the same bytes: they are in order, and no time is in them. Blocking.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::view::View;
use crate::images::owners::Owner;
use crate::images::store::Store;
use crate::registry::{Digest, Written};

/// A layer's entries by path, without a leading slash.
#[derive(Debug, Default)]
pub struct Entries(BTreeMap<PathBuf, Entry>);

/// A file, folder or link.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Its user and group.
    pub owner: Owner,
}

/// What an entry is.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Folder,
    /// The content of this file.
    File(PathBuf),
    Text(String),
    Link(PathBuf),
    /// Hides what lower layers have under this name.
    Whiteout,
}

impl Entries {
    /// True when the layer would change nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its entries in short, for tests.
    #[cfg(test)]
    pub fn shown(&self) -> Vec<String> {
        let shown = |(path, entry): (&PathBuf, &Entry)| match &entry.kind {
            Kind::Folder => format!("{}/", path.display()),
            Kind::File(_) | Kind::Text(_) => format!("{} file", path.display()),
            Kind::Link(to) => format!("{} -> {}", path.display(), to.display()),
            Kind::Whiteout => format!("{} -", path.display()),
        };
        self.0.iter().map(shown).collect()
    }

    /// Adds an entry; a later one of the same path counts.
    pub fn put(&mut self, path: PathBuf, entry: Entry) {
        self.0.insert(path, entry);
    }

    /// Adds the folders on the way to a path: those that `below` has as they are there, for what a layer says nothing of
    /// would hide the permissions below; the others for `owner`.
    ///
    /// # Errors
    /// When it cannot be found out who owns a folder.
    pub fn put_folders(&mut self, path: &Path, below: &View, owner: Owner) -> io::Result<()> {
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            if self.0.contains_key(part) {
                continue;
            }
            let there = below.look(part).filter(|seen| seen.metadata.is_dir());
            let (mode, owner) = match there {
                Some(seen) => (seen.metadata.permissions().mode() & 0o7777, below.owner(part, &seen)?),
                None => (0o755, owner),
            };
            self.put(part.to_owned(), Entry { kind: Kind::Folder, mode, owner });
        }
        Ok(())
    }

    /// What the entries come to.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> io::Result<Digest> {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (path, entry) in &self.0 {
            add(path.as_os_str().as_bytes());
            add(format!("{:o} {} {}", entry.mode, entry.owner.0, entry.owner.1).as_bytes());
            match &entry.kind {
                Kind::Folder => add(b"folder"),
                Kind::Text(text) => add(format!("file {}", Digest::of(text.as_bytes())).as_bytes()),
                Kind::File(path) => add(format!("file {}", digest_of(path)?).as_bytes()),
                Kind::Link(to) => add(&[b"link ", to.as_os_str().as_bytes()].concat()),
                Kind::Whiteout => add(b"whiteout"),
            }
        }
        Ok(Digest::finish(hash))
    }

    /// Writes the archive into the store.
    ///
    /// # Errors
    /// When a file cannot be read, or the store not written.
    pub fn write(&self, store: &Store) -> io::Result<Written> {
        let unfinished = store.folder("uploads").join(uuid::Uuid::new_v4().to_string());
        let written = self.archive(&unfinished).and_then(|()| store.content.write(File::open(&unfinished)?, None));
        // A leftover is cleared at the registry's next start.
        let _ = fs::remove_file(&unfinished);
        written
    }

    fn archive(&self, to: &Path) -> io::Result<()> {
        let mut archive = Builder::new(io::BufWriter::new(File::create(to)?));
        for (path, entry) in &self.0 {
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.0.into());
            header.set_gid(entry.owner.1.into());
            header.set_mtime(0);
            header.set_size(0);
            match &entry.kind {
                Kind::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    archive.append_data(&mut header, path, io::empty())?;
                }
                Kind::File(from) => {
                    let file = File::open(from)?;
                    let size = file.metadata()?.len();
                    header.set_size(size);
                    archive.append_data(&mut header, path, file.take(size))?;
                }
                Kind::Text(text) => {
                    header.set_size(text.len() as u64);
                    archive.append_data(&mut header, path, text.as_bytes())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    archive.append_link(&mut header, path, target)?;
                }
                Kind::Whiteout => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    archive.append_data(&mut header, path.with_file_name(format!(".wh.{name}")), io::empty())?;
                }
            }
        }
        archive.into_inner()?.flush()
    }
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::finish(hash)),
            read => hash.update(&buffer[..read]),
        }
    }
}
