//! What a RUN left behind, as a layer's entries: overlayfs' upper folder, or a whole tree beside the one before it.
//!
//! In: the folder with what the process wrote, as overlayfs marks it: a character device 0:0 where a file was
//! removed, an attribute on a folder that replaced another. Where overlayfs is refused the process works on a copy,
//! and what it changed is what differs. Out: [`Entries`]. What the runtime itself put
//! there for its mounts is no part of the image. Blocking. Source: the kernel's document overlayfs.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::layer::{Entries, Entry, Kind};
use super::view::{Seen, View};

/// Where the runtime mounts something: it made the file to mount on.
const MOUNTED: [&str; 5] = ["dev", "proc", "sys", "etc/hostname", "etc/resolv.conf"];
/// The mark of a folder that hides the one below it.
const OPAQUE: [&str; 2] = ["user.overlay.opaque", "trusted.overlay.opaque"];

/// Reads the folder; `below` is what the process began with.
///
/// # Errors
/// When it cannot be read.
pub fn entries(upper: &Path, below: &View) -> io::Result<Entries> {
    let mut found = Entries::default();
    collect(upper, Path::new(""), below, &mut found)?;
    Ok(found)
}

/// Whether something was found. A folder that was passed through on the way is told as it was below: what a layer says
/// nothing of would hide its permissions.
fn collect(upper: &Path, folder: &Path, below: &View, found: &mut Entries) -> io::Result<bool> {
    let mut any = false;
    for item in fs::read_dir(upper.join(folder))? {
        let path = folder.join(item?.file_name());
        if MOUNTED.iter().any(|mounted| path == Path::new(mounted)) {
            continue;
        }
        let real = upper.join(&path);
        let metadata = fs::symlink_metadata(&real)?;
        let kind = metadata.file_type();
        let entry = |kind: Kind| Entry { kind, mode: metadata.permissions().mode() & 0o7777, owner: owner(&metadata) };
        if kind.is_char_device() && metadata.rdev() == 0 {
            found.put(path, entry(Kind::Whiteout));
        } else if kind.is_dir() {
            let before = below.look(&path).filter(|seen| seen.metadata.is_dir());
            let rights = |it: &fs::Metadata| (it.permissions().mode(), it.uid(), it.gid());
            let same = before.filter(|seen| rights(&seen.metadata) == rights(&metadata));
            let opaque = is_opaque(&real);
            if opaque {
                found.put(path.join(".wh..wh..opq"), entry(Kind::Text(String::new())));
            }
            let inside = collect(upper, &path, below, found)? || opaque;
            match same {
                Some(seen) if inside => found.put(path.clone(), passed(&path, &seen, below)?),
                Some(_) => continue,
                None => found.put(path, entry(Kind::Folder)),
            }
        } else if kind.is_symlink() {
            found.put(path, entry(Kind::Link(fs::read_link(&real)?)));
        } else if kind.is_file() {
            found.put(path, entry(Kind::File(real)));
        } else {
            // Sockets and pipes live no longer than their process.
            continue;
        }
        any = true;
    }
    Ok(any)
}

/// A folder as it was below.
fn passed(path: &Path, seen: &Seen, below: &View) -> io::Result<Entry> {
    let mode = seen.metadata.permissions().mode() & 0o7777;
    Ok(Entry { kind: Kind::Folder, mode, owner: below.owner(path, seen)? })
}

/// Finds what differs between a tree, `whole`, and what it was copied from.
///
/// # Errors
/// When one of them cannot be read.
pub fn between(whole: &Path, below: &View) -> io::Result<Entries> {
    let mut found = Entries::default();
    compare(whole, Path::new(""), below, &mut found)?;
    Ok(found)
}

fn compare(whole: &Path, folder: &Path, below: &View, found: &mut Entries) -> io::Result<bool> {
    let mut any = false;
    let is_mounted = |path: &Path| MOUNTED.iter().any(|mounted| path == Path::new(mounted));
    let mut gone = below.names(folder)?;
    for item in fs::read_dir(whole.join(folder))? {
        let name = item?.file_name();
        let path = folder.join(&name);
        gone.remove(&name);
        if is_mounted(&path) {
            continue;
        }
        let real = whole.join(&path);
        let metadata = fs::symlink_metadata(&real)?;
        let (kind, before) = (metadata.file_type(), below.look(&path));
        let mode = metadata.permissions().mode() & 0o7777;
        let same = before.filter(|before| is_same(before, &real, &metadata));
        let mut put = |kind: Kind| found.put(path.clone(), Entry { kind, mode, owner: owner(&metadata) });
        if kind.is_dir() {
            match same {
                None => put(Kind::Folder),
                Some(_) if !compare(whole, &path, below, found)? => continue,
                Some(seen) => {
                    found.put(path.clone(), passed(&path, &seen, below)?);
                    any = true;
                    continue;
                }
            }
            compare(whole, &path, below, found)?;
        } else if same.is_some() {
            continue;
        } else if kind.is_symlink() {
            put(Kind::Link(fs::read_link(&real)?));
        } else if kind.is_file() {
            put(Kind::File(real));
        } else {
            continue;
        }
        any = true;
    }
    for path in gone.into_iter().map(|name| folder.join(name)).filter(|path| !is_mounted(path)) {
        found.put(path, Entry { kind: Kind::Whiteout, mode: 0, owner: (0, 0) });
        any = true;
    }
    Ok(any)
}

/// Whether a file is what it was. A time can be set to anything, so of a file with the same one the content counts.
fn is_same(before: &Seen, real: &Path, now: &fs::Metadata) -> bool {
    let was = &before.metadata;
    let shown = |it: &fs::Metadata| (it.file_type(), it.permissions().mode(), it.uid(), it.gid());
    if shown(was) != shown(now) {
        return false;
    }
    if now.is_symlink() {
        return fs::read_link(&before.real).ok() == fs::read_link(real).ok();
    }
    let written = |it: &fs::Metadata| (it.len(), it.mtime(), it.mtime_nsec());
    now.is_dir() || (written(was) == written(now) && has_same_content(&before.real, real).unwrap_or(false))
}

fn has_same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let length = left.len().min(right.len());
        if length == 0 || left[..length] != right[..length] {
            return Ok(left.is_empty() && right.is_empty());
        }
        one.consume(length);
        other.consume(length);
    }
}

/// Who owns a file in the image: who builds without root has one number for all of them.
fn owner(metadata: &fs::Metadata) -> (u32, u32) {
    let own = |number: u32, mine: u32| if number == mine { 0 } else { number };
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    (own(metadata.uid(), user), own(metadata.gid(), group))
}

fn is_opaque(folder: &Path) -> bool {
    let mut value = [0; 8];
    OPAQUE.iter().any(|name| matches!(rustix::fs::lgetxattr(folder, *name, &mut value), Ok(1) if value[0] == b'y'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn what_a_copy_differs_in_is_what_was_changed() {
        let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |root: &Path, path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(9)).unwrap();
        };
        for path in ["etc/kept", "etc/gone", "etc/touched", "etc/mode", "folder/x", "swapped", "etc/hostname"] {
            put(before.path(), path, "one");
            put(after.path(), path, "one");
        }
        // Another content of the same length and time.
        put(after.path(), "etc/touched", "two");
        fs::set_permissions(after.path().join("etc/mode"), fs::Permissions::from_mode(0o600)).unwrap();
        for path in ["etc/gone", "swapped", "etc/hostname"] {
            fs::remove_file(after.path().join(path)).unwrap();
        }
        fs::remove_dir_all(after.path().join("folder")).unwrap();
        put(after.path(), "swapped/new", "one");
        put(after.path(), "dev/null", "");
        std::os::unix::fs::symlink("etc", after.path().join("link")).unwrap();
        let found = between(after.path(), &View::of(before.path())).unwrap();
        let kinds: Vec<String> = found.shown();
        assert_eq!(
            kinds,
            [
                "etc/",
                "etc/gone -",
                "etc/mode file",
                "etc/touched file",
                "folder -",
                "link -> etc",
                "swapped/",
                "swapped/new file"
            ]
        );
    }
}
