//! A Pod's volumes on disk: folders, and files that change as one.
//!
//! In: a [`Volume`]. Out: the path a container mounts. Files of ConfigMaps and the like are replaced the
//! way the kubelet does it: a new folder is filled, then the link `..data` is moved to it, so that a
//! reader sees all of the old or all of the new. Paths in a volume that lead out of it are refused.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::kubelet::runtime::VolumeFile;
use crate::kubelet::runtime::config::HostPathKind;

/// The link that all files' links go through. Source: kubelet `AtomicWriter`.
const DATA: &str = "..data";

/// Held while files are written: a moment.
static WRITING: Mutex<()> = Mutex::new(());

/// Makes an empty folder that everybody may write.
pub fn make_empty(folder: &Path, group: Option<i64>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    if let Some(group) = group {
        give(folder, None, Some(group));
        fs::set_permissions(folder, fs::Permissions::from_mode(0o2777))?;
    }
    Ok(())
}

/// Puts exactly these files into the folder. Where they are already, nothing is touched: another container of the
/// Pod may be mounting one of them at this moment. `now` is for people who look at the folder's name.
pub fn write_files(
    folder: &Path,
    files: &BTreeMap<String, VolumeFile>,
    group: Option<i64>,
    now: Timestamp,
) -> io::Result<()> {
    // Containers of a Pod start at the same time, and each brings the Pod's volumes.
    let _turn = WRITING.lock();
    let content = digest(files, group);
    let before = fs::read_link(folder.join(DATA)).ok();
    if before.is_some_and(|before| before.to_string_lossy().ends_with(&content)) {
        return Ok(());
    }
    let version = format!("{}.{content}", now.strftime("..%Y_%m_%d_%H_%M_%S"));
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let content = folder.join(&version);
    // There already, should an attempt of this second have failed half-way.
    remove(&content)?;
    fs::create_dir(&content)?;
    for (path, file) in files {
        let place = content.join(inside(path)?);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&place, &file.content)?;
        let mode = if group.is_some() { file.mode | (file.mode & 0o400) >> 3 } else { file.mode };
        fs::set_permissions(&place, fs::Permissions::from_mode(mode & 0o777))?;
        give(&place, file.owner, group);
    }
    let moving = folder.join("..data_tmp");
    remove_file(&moving)?;
    symlink(&version, &moving)?;
    fs::rename(&moving, folder.join(DATA))?;
    let names: std::collections::BTreeSet<&str> =
        files.keys().filter_map(|path| path.trim_start_matches('/').split('/').next()).collect();
    for name in &names {
        let link = folder.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("{DATA}/{name}"), &link)?;
        }
    }
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !names.contains(name.as_ref()) {
            fs::remove_file(entry.path())?;
        } else if name.starts_with("..") && name != DATA && *name != *version {
            // What was shown before, or left over by an attempt that failed half-way.
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// The end of the name of a folder with these files: the same content has the same one.
fn digest(files: &BTreeMap<String, VolumeFile>, group: Option<i64>) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(format!("{group:?}").as_bytes());
    for (path, file) in files {
        add(path.as_bytes());
        add(format!("{:o} {:?}", file.mode, file.owner).as_bytes());
        add(&file.content);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

/// Gives a file away where we can: who has one user number has nobody to give it to.
fn give(path: &Path, owner: Option<i64>, group: Option<i64>) {
    let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let _ = chown(path, number(owner), number(group));
}

/// A path that stays inside the folder it is joined to.
fn inside(path: &str) -> io::Result<PathBuf> {
    let path = Path::new(path.trim_start_matches('/'));
    if path.components().all(|part| matches!(part, Component::Normal(_))) && path.components().next().is_some() {
        return Ok(path.to_owned());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} leads out of the volume", path.display())))
}

/// The file or folder `sub_path` of a volume, links followed; a folder that is missing is made.
pub fn sub_path(folder: &Path, sub_path: &str) -> io::Result<PathBuf> {
    if sub_path.is_empty() {
        return Ok(folder.to_owned());
    }
    let place = folder.join(inside(sub_path)?);
    if fs::symlink_metadata(&place).is_err() {
        // What is made is made inside: an existing part must not be a link that leads out.
        let existing = place.ancestors().find(|part| fs::symlink_metadata(part).is_ok()).unwrap_or(folder);
        check_inside(folder, existing)?;
        fs::create_dir_all(&place)?;
    }
    check_inside(folder, &place)
}

fn check_inside(folder: &Path, place: &Path) -> io::Result<PathBuf> {
    let (folder, place) = (fs::canonicalize(folder)?, fs::canonicalize(place)?);
    if place.starts_with(&folder) {
        return Ok(place);
    }
    let message = format!("{} leads out of the volume", place.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Looks whether the host has what is wanted at `path`, and makes what may be made.
///
/// # Errors
/// The words of the event FailedMount. Source: kubelet `hostpath.checkTypeInternal`.
pub fn check_host(path: &Path, kind: HostPathKind) -> Result<(), String> {
    use std::os::unix::fs::FileTypeExt;
    let missing = fs::metadata(path).is_err();
    let made = match kind {
        HostPathKind::DirectoryOrCreate if missing => fs::create_dir_all(path),
        HostPathKind::FileOrCreate if missing => fs::File::create(path).map(drop),
        // Runtimes make a folder where nothing is.
        HostPathKind::Any if missing => fs::create_dir_all(path),
        _ => Ok(()),
    };
    made.map_err(|fault| fault.to_string())?;
    let is = |matches: fn(&fs::FileType) -> bool| fs::metadata(path).is_ok_and(|found| matches(&found.file_type()));
    let (well, wanted) = match kind {
        HostPathKind::Any => (true, ""),
        HostPathKind::Directory | HostPathKind::DirectoryOrCreate => (is(fs::FileType::is_dir), "a directory"),
        HostPathKind::File | HostPathKind::FileOrCreate => (is(fs::FileType::is_file), "a file"),
        HostPathKind::Socket => (is(FileTypeExt::is_socket), "a socket"),
        HostPathKind::CharDevice => (is(FileTypeExt::is_char_device), "a character device"),
        HostPathKind::BlockDevice => (is(FileTypeExt::is_block_device), "a block device"),
    };
    if well { Ok(()) } else { Err(format!("hostPath type check failed: {} is not {wanted}", path.display())) }
}

/// Removes a tree, also folders that a container made unreadable.
pub fn remove(folder: &Path) -> io::Result<()> {
    if fs::remove_dir_all(folder).is_ok() {
        return Ok(());
    }
    open_up(folder);
    match fs::remove_dir_all(folder) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

fn open_up(folder: &Path) {
    if !fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) {
        return;
    }
    // What cannot be changed shows when it is removed.
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        open_up(&entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, VolumeFile> {
        let file = |text: &str| VolumeFile { content: text.into(), mode: 0o640, owner: None };
        pairs.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    #[test]
    fn files_are_replaced_as_a_whole() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("config");
        let red = files(&[("color", "red"), ("deep/shape", "round")]);
        let at = |second| Timestamp::from_second(second).unwrap();
        write_files(&folder, &red, None, at(0)).unwrap();
        let shown = || fs::read_link(folder.join(DATA)).unwrap().to_string_lossy().into_owned();
        assert!(shown().starts_with("..1970_01_01_00_00_00."), "{}", shown());
        assert_eq!(fs::read_to_string(folder.join("deep/shape")).unwrap(), "round");
        let place = fs::canonicalize(folder.join("color")).unwrap();
        assert_eq!(fs::metadata(folder.join("color")).unwrap().permissions().mode() & 0o777, 0o640);
        write_files(&folder, &red, None, at(1)).unwrap();
        assert!(place.exists(), "who mounts a file still finds it when another container asks for the same");
        fs::create_dir(folder.join("..1969_12_31_23_59_59.half")).unwrap();
        write_files(&folder, &files(&[("color", "blue")]), None, at(2)).unwrap();
        assert!(shown().starts_with("..1970_01_01_00_00_02."), "{}", shown());
        let hidden =
            fs::read_dir(&folder).unwrap().flatten().filter(|it| it.file_name().to_string_lossy().starts_with('.'));
        assert_eq!(hidden.count(), 2, "the link and what it leads to");
        assert_eq!(fs::read_to_string(folder.join("color")).unwrap(), "blue");
        assert!(!folder.join("deep").exists() && !place.exists());
        assert!(write_files(&folder, &files(&[("../out", "x")]), None, at(3)).is_err());
    }

    #[test]
    fn a_sub_path_does_not_lead_out() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("volume");
        fs::create_dir_all(folder.join("data")).unwrap();
        symlink("/etc", folder.join("link")).unwrap();
        for (path, well) in [("data", true), ("new/folder", true), ("../x", false), ("link", false), ("link/x", false)]
        {
            assert_eq!(sub_path(&folder, path).is_ok(), well, "{path}");
        }
        assert_eq!(sub_path(&folder, "").unwrap(), folder);
    }
}
