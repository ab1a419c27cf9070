//! What a RUN left behind: overlayfs' upper folder as a layer's entries.
//!
//! In: the folder with what the process wrote, as overlayfs marks it: a character device 0:0 where a file was
//! removed, an attribute on a folder that replaced another. Out: [`Entries`]. What the runtime itself put
//! there for its mounts is no part of the image. Blocking. Source: the kernel's document overlayfs.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::layer::{Entries, Entry, Kind};
use super::view::View;

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

fn collect(upper: &Path, folder: &Path, below: &View, found: &mut Entries) -> io::Result<()> {
    for item in fs::read_dir(upper.join(folder))? {
        let path = folder.join(item?.file_name());
        if MOUNTED.iter().any(|mounted| path == Path::new(mounted)) {
            continue;
        }
        let real = upper.join(&path);
        let metadata = fs::symlink_metadata(&real)?;
        let kind = metadata.file_type();
        let entry = |kind: Kind| Entry { kind, mode: metadata.permissions().mode() & 0o777, owner: owner(&metadata) };
        if kind.is_char_device() && metadata.rdev() == 0 {
            found.put(path, entry(Kind::Whiteout));
        } else if kind.is_dir() {
            // A folder that was passed through on the way to a file is no change.
            let before = below.look(&path).filter(|seen| seen.metadata.is_dir());
            let same =
                before.is_some_and(|seen| seen.metadata.permissions().mode() & 0o777 == entry(Kind::Folder).mode);
            if !same {
                found.put(path.clone(), Entry { mode: metadata.permissions().mode() & 0o1777, ..entry(Kind::Folder) });
            }
            if is_opaque(&real) {
                found.put(path.join(".wh..wh..opq"), entry(Kind::Text(String::new())));
            }
            collect(upper, &path, below, found)?;
        } else if kind.is_symlink() {
            found.put(path, entry(Kind::Link(fs::read_link(&real)?)));
        } else if kind.is_file() {
            found.put(path, entry(Kind::File(real)));
        }
        // Sockets and pipes live no longer than their process.
    }
    Ok(())
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
