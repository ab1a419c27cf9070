//! Unpacks a layer into a folder, trusting nothing in it.
//!
//! In: a tar stream (already unzipped), an empty folder that nobody else writes to. Out: files, or an error
//! that names the entry; the caller throws the folder away then. Refused: `..`, absolute paths, a path or a
//! hard link that goes through a link, devices, layers that grow without measure. A setuid bit is dropped:
//! nothing here may give anybody anybody's rights. Source: OCI image specification, "Layers".
//! Chapter: `book/src/servers/images.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use super::owners;

/// What a layer may grow to, in bytes.
const MOST_BYTES: u64 = 32 << 30;
/// How often its packed size it may be, once it is larger than [`FREE_BYTES`]; gzip's own limit is 1032.
const MOST_RATIO: u64 = 200;
/// Layers up to this size may be as dense as they like.
const FREE_BYTES: u64 = 256 << 20;
/// In a folder with this bit each may delete only what is theirs: `/tmp`.
const STICKY: u32 = 0o1000;
/// Files of a layer.
const MOST_ENTRIES: usize = 1_000_000;
/// A file that hides what is below it: `.wh.name`.
const WHITEOUT: &str = ".wh.";
/// A file that hides all that is below its folder.
const OPAQUE: &str = ".wh..wh..opq";

/// What a layer takes away from the layers below it, by path in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removals {
    /// Files and folders.
    pub paths: BTreeSet<PathBuf>,
    /// Folders whose former content is hidden.
    pub opaque: BTreeSet<PathBuf>,
}

impl Removals {
    /// True when it takes nothing away.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.opaque.is_empty()
    }
}

/// How much a layer may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes, unpacked.
    pub bytes: u64,
    /// Entries.
    pub entries: usize,
}

impl Limits {
    /// Those of a layer that is this long, packed.
    pub fn of_packed(packed_bytes: u64) -> Limits {
        let bytes = packed_bytes.saturating_mul(MOST_RATIO).clamp(FREE_BYTES, MOST_BYTES);
        Limits { bytes, entries: MOST_ENTRIES }
    }
}

/// Unpacks `layer` into `root`.
///
/// # Errors
/// What in it was refused, or could not be written.
pub fn unpack(layer: impl Read, root: &Path, limits: Limits) -> io::Result<Removals> {
    let mut archive = Archive::new(Limited { inner: layer, left: limits.bytes, limit: limits.bytes });
    let mut removals = Removals::default();
    // Folders get their permissions last: one may be closed to its owner.
    let mut modes = Modes::new();
    for (count, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        if count >= limits.entries {
            return Err(refused(&entry, &format!("the layer has more than {} entries", limits.entries)));
        }
        let path = inside(&entry, &entry.path()?)?;
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            continue;
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        if name == OPAQUE {
            removals.opaque.insert(folder);
            continue;
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            if hidden.is_empty() || hidden == "." || hidden == ".." || hidden.starts_with(WHITEOUT) {
                return Err(refused(&entry, "it hides nothing that can be hidden"));
            }
            removals.paths.insert(folder.join(hidden));
            continue;
        }
        make_folders(&entry, root, &folder)?;
        place(&mut entry, root, &path, &mut modes)?;
    }
    for (path, mode) in modes.into_iter().rev() {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode))?;
    }
    Ok(removals)
}

/// The permissions of the folders that are there, by path in the root.
type Modes = BTreeMap<PathBuf, u32>;

fn place(entry: &mut Entry<'_, impl Read>, root: &Path, path: &Path, modes: &mut Modes) -> io::Result<()> {
    let target = root.join(path);
    let kind = entry.header().entry_type();
    let mode = entry.header().mode()? & 0o777;
    // A later entry replaces an earlier one, except a folder, which it adds to.
    if let Ok(there) = fs::symlink_metadata(&target) {
        match (there.is_dir(), kind == EntryType::Directory) {
            (true, true) => {}
            (true, false) => {
                fs::remove_dir_all(&target)?;
                // What comes in its place may be a link: nothing may be closed or opened through it.
                modes.retain(|folder, _| !folder.starts_with(path));
            }
            (false, _) => fs::remove_file(&target)?,
        }
    }
    match kind {
        EntryType::Directory => {
            if !target.is_dir() {
                fs::create_dir(&target)?;
            }
            owners::give(&target, owners::of_entry(entry))?;
            modes.insert(path.to_owned(), mode | entry.header().mode()? & STICKY);
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
            io::copy(entry, &mut file)?;
            file.flush()?;
            owners::give(&target, owners::of_entry(entry))?;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        EntryType::Symlink => {
            let to = entry.link_name()?.ok_or_else(|| refused(entry, "a link that leads nowhere"))?;
            // Where it leads is looked up inside the container; here nobody follows it.
            symlink(to, &target)?;
            owners::give(&target, owners::of_entry(entry))?;
        }
        EntryType::Link => {
            let to = entry.link_name()?.ok_or_else(|| refused(entry, "a link that leads nowhere"))?.into_owned();
            let to = inside(entry, to.strip_prefix("/").unwrap_or(&to))?;
            check_folders(entry, root, to.parent().unwrap_or(Path::new("")))?;
            let source = root.join(&to);
            let there = fs::symlink_metadata(&source)
                .map_err(|_| refused(entry, &format!("it links to {}, which the layer does not have", to.display())))?;
            if there.is_dir() {
                return Err(refused(entry, "a hard link to a folder"));
            }
            fs::hard_link(source, &target)?;
        }
        EntryType::Block | EntryType::Char => return Err(refused(entry, "devices are not unpacked")),
        EntryType::Fifo => return Err(refused(entry, "pipes are not unpacked")),
        EntryType::XGlobalHeader | EntryType::XHeader => {}
        other => {
            return Err(refused(entry, &format!("entries of type {:?} are not known", char::from(other.as_byte()))));
        }
    }
    Ok(())
}

/// A path without tricks.
fn inside(entry: &Entry<'_, impl Read>, path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err(refused(entry, "a path with `..` leads out of the image")),
            Component::RootDir | Component::Prefix(_) => return Err(refused(entry, "an absolute path")),
        }
    }
    Ok(clean)
}

/// Makes the folders on the way, none of which may be a link.
fn make_folders(entry: &Entry<'_, impl Read>, root: &Path, folder: &Path) -> io::Result<()> {
    let mut at = root.to_owned();
    for part in folder.components() {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => return Err(refused(entry, &through(&at, root))),
            Err(_) => fs::create_dir(&at)?,
        }
    }
    Ok(())
}

fn check_folders(entry: &Entry<'_, impl Read>, root: &Path, folder: &Path) -> io::Result<()> {
    let mut at = root.to_owned();
    for part in folder.components() {
        at.push(part);
        if !fs::symlink_metadata(&at).is_ok_and(|there| there.is_dir()) {
            return Err(refused(entry, &through(&at, root)));
        }
    }
    Ok(())
}

fn through(at: &Path, root: &Path) -> String {
    format!("its path goes through {}, which is no folder", at.strip_prefix(root).unwrap_or(at).display())
}

fn refused(entry: &Entry<'_, impl Read>, why: &str) -> io::Error {
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    io::Error::new(io::ErrorKind::InvalidData, format!("the layer's entry {path:?} is refused: {why}"))
}

/// A reader that says no after so many bytes.
struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let why = format!("the layer is refused: unpacked it has more than {} bytes", self.limit);
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        Ok(read)
    }
}

/// Puts one unpacked layer over another, in `target`: what the upper one hides goes, what it has is moved.
///
/// # Errors
/// When a file cannot be moved or removed.
pub fn lay_over(upper: &Path, removals: &Removals, target: &Path) -> io::Result<()> {
    for folder in &removals.opaque {
        let hidden = target.join(folder);
        if is_folder(target, folder) {
            for inside in fs::read_dir(&hidden)? {
                remove(&inside?.path())?;
            }
        }
    }
    for path in &removals.paths {
        if is_folder(target, path.parent().unwrap_or(Path::new(""))) {
            remove(&target.join(path))?;
        }
    }
    merge(upper, target)
}

/// True when there is such a folder and no link on the way to it: what a lower layer made a link may lead
/// anywhere, and nothing is hidden there.
fn is_folder(root: &Path, path: &Path) -> bool {
    let mut at = root.to_owned();
    path.components().all(|part| {
        at.push(part);
        fs::symlink_metadata(&at).is_ok_and(|there| there.is_dir())
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn merge(upper: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(upper)? {
        let entry = entry?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let folder = entry.file_type()?.is_dir();
        let there = fs::symlink_metadata(&to).ok();
        if folder && there.as_ref().is_some_and(fs::Metadata::is_dir) {
            merge(&from, &to)?;
            same_rights(&entry.metadata()?, &to)?;
            continue;
        }
        if there.is_some() {
            remove(&to)?;
        }
        if folder {
            fs::create_dir(&to)?;
            merge(&from, &to)?;
            same_rights(&entry.metadata()?, &to)?;
        } else if fs::hard_link(&from, &to).is_err() {
            copy(&from, &to)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        return owners::give(to, (metadata.uid(), metadata.gid()));
    }
    io::copy(&mut File::open(from)?, &mut File::create(to)?)?;
    same_rights(&metadata, to)
}

fn same_rights(of: &fs::Metadata, to: &Path) -> io::Result<()> {
    owners::give(to, (of.uid(), of.gid()))?;
    fs::set_permissions(to, of.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Builder, Header};

    /// What an attacker, or a careless tool, puts into a layer.
    enum Put<'a> {
        File(&'a str, &'a str),
        Folder(&'a str),
        Symlink(&'a str, &'a str),
        Link(&'a str, &'a str),
        Odd(&'a str, EntryType),
    }

    fn layer(entries: &[Put<'_>]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for entry in entries {
            let (path, kind, content, link) = match entry {
                Put::File(path, content) => (path, EntryType::Regular, *content, None),
                Put::Folder(path) => (path, EntryType::Directory, "", None),
                Put::Symlink(path, to) => (path, EntryType::Symlink, "", Some(*to)),
                Put::Link(path, to) => (path, EntryType::Link, "", Some(*to)),
                Put::Odd(path, kind) => (path, *kind, "", None),
            };
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o4755 });
            // Written by hand: the builder itself would refuse what is tried here.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            if let Some(link) = link {
                header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            }
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(entries: &[Put<'_>]) -> (tempfile::TempDir, io::Result<Removals>) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let done = unpack(layer(entries).as_slice(), &root, Limits { bytes: 1 << 20, entries: 10 });
        (dir, done)
    }

    #[test]
    fn tricks_are_refused_and_leave_nothing_outside() {
        use Put::{File, Folder, Link, Odd, Symlink};
        let attacks: [(&str, Vec<Put<'_>>); 12] = [
            ("leads out", vec![File("../evil", "x")]),
            ("leads out", vec![File("a/../../evil", "x")]),
            ("absolute", vec![File("/evil", "x")]),
            ("no folder", vec![Symlink("a", ".."), File("a/evil", "x")]),
            ("no folder", vec![Symlink("a", "/tmp"), File("a/evil", "x")]),
            ("no folder", vec![Folder("d"), Symlink("d/a", "../.."), File("d/a/evil", "x")]),
            ("leads out", vec![Link("evil", "../outside")]),
            ("no folder", vec![Symlink("a", ".."), Link("evil", "a/outside")]),
            ("does not have", vec![Link("evil", "passwd")]),
            ("devices", vec![Odd("dev/sda", EntryType::Block)]),
            ("devices", vec![Odd("dev/null", EntryType::Char)]),
            ("pipes", vec![Odd("pipe", EntryType::Fifo)]),
        ];
        for (words, entries) in attacks {
            let (dir, done) = unpacked(&entries);
            let why = done.unwrap_err().to_string();
            assert!(why.contains(words), "{why}");
            let outside: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
            assert_eq!(outside, ["root"]);
        }
    }

    #[test]
    fn a_layer_that_grows_without_measure_is_refused() {
        let (big, root) = ("x".repeat(2 << 20), tempfile::tempdir().unwrap());
        let bytes = layer(&[Put::File("big", &big)]);
        let why = unpack(bytes.as_slice(), root.path(), Limits { bytes: 1 << 20, entries: 10 }).unwrap_err();
        assert!(why.to_string().contains("more than 1048576 bytes"), "{why}");
        let many: Vec<String> = (0..20).map(|number| format!("f{number}")).collect();
        let many: Vec<Put<'_>> = many.iter().map(|name| Put::File(name, "")).collect();
        assert!(unpacked(&many).1.unwrap_err().to_string().contains("more than 10 entries"));
        assert_eq!(Limits::of_packed(1000).bytes, FREE_BYTES);
    }

    #[test]
    fn files_links_and_modes_are_unpacked_without_setuid() {
        use Put::{File, Link, Symlink};
        let entries = [
            File("bin/su", "s"),
            Link("bin/again", "bin/su"),
            Symlink("sh", "/bin/su"),
            File("bin/su2", "1"),
            File("bin/su2", "2"),
        ];
        let (dir, done) = unpacked(&entries);
        assert!(done.unwrap().is_empty());
        let root = dir.path().join("root");
        assert_eq!(fs::metadata(root.join("bin/su")).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_to_string(root.join("bin/again")).unwrap(), "s");
        assert_eq!(fs::read_to_string(root.join("bin/su2")).unwrap(), "2");
        assert_eq!(fs::read_link(root.join("sh")).unwrap(), Path::new("/bin/su"));
    }

    #[test]
    fn permissions_and_removals_do_not_go_through_links() {
        use Put::{File, Folder, Symlink};
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("deep")).unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        fs::write(outside.path().join("deep/kept"), "x").unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let away = outside.path().to_str().unwrap();
        // The folders become a link, after which only their permissions are left to be set.
        let (lower, done) = unpacked(&[Folder("a"), Folder("a/deep"), Symlink("a", away)]);
        done.unwrap();
        for path in ["", "deep"] {
            let mode = fs::metadata(outside.path().join(path)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode == 0o700, path.is_empty(), "{path}: {mode:o}");
        }
        let hides = [File("a/.wh.kept", ""), File("a/deep/.wh..wh..opq", ""), File("a/deep/.wh.kept", "")];
        let (upper, done) = unpacked(&hides);
        lay_over(&upper.path().join("root"), &done.unwrap(), &lower.path().join("root")).unwrap();
        assert!(outside.path().join("kept").exists() && outside.path().join("deep/kept").exists());
    }

    #[test]
    fn what_an_upper_layer_hides_is_gone() {
        use Put::File;
        let (lower, done) =
            unpacked(&[File("etc/a", "1"), File("etc/b", "1"), File("opt/x/y", "1"), File("var/z", "1")]);
        done.unwrap();
        let upper = [
            File("etc/.wh.a", ""),
            File("etc/c", "2"),
            File("opt/.wh..wh..opq", ""),
            File("opt/new", "2"),
            File("var", "2"),
        ];
        let (upper, done) = unpacked(&upper);
        let target = lower.path().join("root");
        lay_over(&upper.path().join("root"), &done.unwrap(), &target).unwrap();
        assert!(!target.join("etc/a").exists() && !target.join("opt/x").exists());
        for (path, content) in [("etc/b", "1"), ("etc/c", "2"), ("opt/new", "2"), ("var", "2")] {
            assert_eq!(fs::read_to_string(target.join(path)).unwrap(), content);
        }
    }
}
