//! Whose a layer's files are, as its archive says.
//!
//! Who unpacks without root has one number for all files, so the unpacked ones do not tell. In: layers' archives. Out: the
//! owner of a path in one of them. An archive is read only when somebody asks for a file of it, and what was found is noted
//! beside the layer's files. Blocking.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::lchown;
use std::path::{Component, Path, PathBuf};

use parking_lot::Mutex;
use tar::Archive;
use uuid::Uuid;

use super::packed::plain;
use super::unpack::Limits;

/// User and group.
pub type Owner = (u32, u32);

/// Those of the files of some layers.
#[derive(Debug)]
pub struct Owners {
    layers: Vec<Layer>,
    known: Mutex<BTreeMap<usize, BTreeMap<PathBuf, Owner>>>,
}

/// A layer's archive, and where is noted what it says.
#[derive(Debug)]
pub struct Layer {
    /// Packed or not.
    pub archive: PathBuf,
    /// Its place need not be there.
    pub note: Option<PathBuf>,
}

impl Owners {
    /// Of layers, lowest first.
    pub fn of(layers: Vec<Layer>) -> Owners {
        Owners { layers, known: Mutex::default() }
    }

    /// Who owns what is at a path of a layer.
    ///
    /// # Errors
    /// When the layer's archive cannot be read.
    pub fn find(&self, layer: usize, path: &Path) -> io::Result<Owner> {
        let mut known = self.known.lock();
        if let (None, Some(from)) = (known.get(&layer), self.layers.get(layer)) {
            known.insert(layer, from.read()?);
        }
        Ok(known.get(&layer).and_then(|owners| owners.get(path)).copied().unwrap_or_default())
    }
}

impl Layer {
    fn read(&self) -> io::Result<BTreeMap<PathBuf, Owner>> {
        let noted = self.note.as_ref().and_then(|note| fs::read(note).ok());
        if let Some(noted) = noted.and_then(|text| serde_json::from_slice(&text).ok()) {
            return Ok(noted);
        }
        let packed = File::open(&self.archive)?;
        let limits = Limits::of_packed(packed.metadata()?.len());
        let found = read(plain(packed)?.take(limits.bytes))?;
        if let (Some(note), Ok(text)) = (&self.note, serde_json::to_vec(&found)) {
            // It only saves time. Written beside and renamed: nobody reads half of it.
            let unfinished = note.with_extension(Uuid::new_v4().to_string());
            let _ = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, note));
        }
        Ok(found)
    }
}

/// Owners by path, where that is not root.
fn read(archive: impl Read) -> io::Result<BTreeMap<PathBuf, Owner>> {
    let mut found = BTreeMap::new();
    for entry in Archive::new(archive).entries()? {
        let entry = entry?;
        let path: PathBuf = entry.path()?.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        match of_entry(&entry) {
            (0, 0) => found.remove(&path),
            owner => found.insert(path, owner),
        };
    }
    Ok(found)
}

/// Who owns an entry; root, where the archive has a number that no user has.
pub fn of_entry(entry: &tar::Entry<'_, impl Read>) -> Owner {
    let number = |number: io::Result<u64>| number.ok().and_then(|it| u32::try_from(it).ok()).unwrap_or(0);
    (number(entry.header().uid()), number(entry.header().gid()))
}

/// Gives what was unpacked to its owner, where root unpacks: what an image's user owns, that user may write. Who has one
/// number gives nothing away, and a container's user has that number then.
///
/// # Errors
/// When the file is not there.
pub fn give(path: &Path, owner: Owner) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    match lchown(path, Some(owner.0), Some(owner.1)) {
        // A root that may not give every number: its own files then.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::unpack::{Removals, lay_over, unpack};
    use super::*;

    #[test]
    fn what_root_unpacks_belongs_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for (name, kind) in [("d/", tar::EntryType::Directory), ("d/f", tar::EntryType::Regular)] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_uid(7);
            header.set_gid(8);
            header.set_size(0);
            header.set_mode(0o700);
            archive.append_data(&mut header, name, io::empty()).unwrap();
        }
        let (root, over) = (folder.path().join("root"), folder.path().join("over"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&over).unwrap();
        unpack(&archive.into_inner().unwrap()[..], &root, Limits::of_packed(0)).unwrap();
        lay_over(&root, &Removals::default(), &over).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let mine = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        for path in [root.join("d"), root.join("d/f"), over.join("d"), over.join("d/f")] {
            let seen = fs::metadata(&path).unwrap();
            assert_eq!((seen.uid(), seen.gid()), if is_root { (7, 8) } else { mine }, "{}", path.display());
        }
    }

    #[test]
    fn the_last_entry_of_a_path_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer.tar");
        let mut archive = tar::Builder::new(File::create(&path).unwrap());
        for (name, uid) in [("./a/b", 7), ("c", 7), ("c", 0), ("d", 0)] {
            let mut header = tar::Header::new_gnu();
            header.set_uid(uid);
            header.set_gid(uid + 1);
            header.set_size(0);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, io::empty()).unwrap();
        }
        archive.into_inner().unwrap();
        let note = folder.path().join("owners.json");
        let layer = || Owners::of(vec![Layer { archive: path.clone(), note: Some(note.clone()) }]);
        let owners = layer();
        let found = ["a/b", "c", "d", "none"].map(|path| owners.find(0, Path::new(path)).unwrap());
        assert_eq!(found, [(7, 8), (0, 1), (0, 1), (0, 0)]);
        assert_eq!(owners.find(1, Path::new("a/b")).unwrap(), (0, 0));
        fs::remove_file(&path).unwrap();
        assert_eq!(layer().find(0, Path::new("a/b")).unwrap(), (7, 8), "it is noted");
    }
}
