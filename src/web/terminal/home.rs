//! The terminal's files: one folder of the playground's state, and nothing else of this machine.
//!
//! In: paths as a learner types them (`web.yaml`, `~/first-contact`, `../x`). Out: files under
//! `<state>/files`. `..` ends at that folder, links are not followed, and number and size are limited. What
//! heredocs, `>` and the editor write is here, and stays when the playground is started again.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::course::catalogue;
use crate::course::exercise::Exercise;
use crate::kubectl::session::{FileKind, Files};
use crate::state;

/// The longest file.
pub const LONGEST_FILE: usize = 1024 * 1024;
/// The most files and folders.
const MOST_FILES: usize = 1_000;

/// The folder of the terminal's files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The files under this state folder.
    pub fn of(state: &Path) -> Home {
        Home { root: state.join("files") }
    }

    /// Where the files are on disk.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path from a folder inside, as a path from the home: `.`, `..` and `~` are resolved.
    pub fn inside(folder: &Path, path: &str) -> PathBuf {
        let from = if path.starts_with(['/', '~']) { Path::new("") } else { folder };
        let path = path.strip_prefix('~').unwrap_or(path);
        let mut inside = from.to_path_buf();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) => inside.push(name),
                Component::ParentDir => _ = inside.pop(),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        inside
    }

    /// The place on disk; nothing on the way to it may be a link.
    ///
    /// # Errors
    /// When something on the way is one.
    pub fn on_disk(&self, inside: &Path) -> io::Result<PathBuf> {
        let mut path = self.root.clone();
        for part in inside.components() {
            path.push(part);
            if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "links are not followed"));
            }
        }
        Ok(path)
    }

    /// What is there.
    pub fn kind(&self, inside: &Path) -> Option<FileKind> {
        if inside.as_os_str().is_empty() {
            return Some(FileKind::Folder);
        }
        let found = fs::symlink_metadata(self.on_disk(inside).ok()?).ok()?;
        Some(if found.is_dir() { FileKind::Folder } else { FileKind::File })
    }

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self, inside: &Path) -> io::Result<Vec<String>> {
        let path = self.on_disk(inside)?;
        if inside.as_os_str().is_empty() && !path.exists() {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, inside: &Path) -> io::Result<Vec<u8>> {
        let path = self.on_disk(inside)?;
        if fs::metadata(&path).map_err(words)?.is_dir() {
            return Err(io::Error::other("is a directory"));
        }
        fs::read(path).map_err(words)
    }

    /// Writes a file, making its folder.
    ///
    /// # Errors
    /// When it cannot be written, is too long, or there are too many.
    pub fn write(&self, inside: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = self.on_disk(inside)?;
        if bytes.len() > LONGEST_FILE {
            return Err(io::Error::other(format!("a file here holds at most {LONGEST_FILE} bytes")));
        }
        if inside.as_os_str().is_empty() || path.is_dir() {
            return Err(io::Error::other("is a directory"));
        }
        if !path.exists() && count(&self.root) >= MOST_FILES {
            return Err(io::Error::other(format!("there are {MOST_FILES} files here already; remove some: rm FILE")));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, bytes)
    }

    /// Makes a folder, and those on the way to it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_folder(&self, inside: &Path) -> io::Result<()> {
        if count(&self.root) >= MOST_FILES {
            return Err(io::Error::other(format!("there are {MOST_FILES} files here already; remove some: rm FILE")));
        }
        fs::create_dir_all(self.on_disk(inside)?)
    }

    /// Removes a file, or a folder with what is in it.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&self, inside: &Path) -> io::Result<()> {
        let path = self.on_disk(inside)?;
        match self.kind(inside) {
            None => Err(words(io::Error::from(io::ErrorKind::NotFound))),
            Some(FileKind::File) => fs::remove_file(path),
            Some(FileKind::Folder) => fs::remove_dir_all(path),
        }
    }

    /// Puts an exercise's starting files into its folder; a file that is there stays as it is.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn begin(&self, exercise: &Exercise) -> io::Result<()> {
        for (name, text) in catalogue::folder(exercise, "start") {
            let inside = Path::new(&exercise.name).join(name);
            if self.kind(&inside).is_none() {
                self.write(&inside, text.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Short words for the usual faults.
fn words(fault: io::Error) -> io::Error {
    match fault.kind() {
        io::ErrorKind::NotFound => io::Error::new(io::ErrorKind::NotFound, "no such file or directory"),
        _ => fault,
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| 1 + if entry.file_type().is_ok_and(|kind| kind.is_dir()) { count(&entry.path()) } else { 0 })
        .sum()
}

/// The files as kubectl sees them from a folder; and the playground's kubeconfig, by its own path.
#[derive(Clone, Debug)]
pub struct Folder {
    /// All files.
    pub home: Home,
    /// Where relative paths start.
    pub at: PathBuf,
    /// The one file of this machine that kubectl reads.
    pub kubeconfig: PathBuf,
}

impl Folder {
    fn inside(&self, path: &Path) -> PathBuf {
        Home::inside(&self.at, &path.to_string_lossy())
    }
}

impl Files for Folder {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        if path == self.kubeconfig { Some(FileKind::File) } else { self.home.kind(&self.inside(path)) }
    }

    fn whole(&self, path: &Path) -> PathBuf {
        Path::new("/").join(self.inside(path))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.home.list(&self.inside(folder))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.kubeconfig { fs::read(path) } else { self.home.read(&self.inside(path)) }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if path == self.kubeconfig {
            return state::write_private(path, bytes).map_err(|fault| io::Error::other(fault.what));
        }
        self.home.write(&self.inside(path), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("secret"), "x").unwrap();
        let home = Home::of(state.path());
        for path in ["../secret", "/../secret", "~/../../secret", "a/../../secret"] {
            assert_eq!(Home::inside(Path::new("deep"), path).file_name().unwrap(), "secret");
            assert!(home.read(&Home::inside(Path::new("deep"), path)).is_err(), "{path}");
        }
        home.write(Path::new("a"), b"1").unwrap();
        std::os::unix::fs::symlink(state.path(), state.path().join("files/link")).unwrap();
        assert!(home.read(Path::new("link/secret")).is_err());
        assert!(home.write(Path::new("link/new"), b"").is_err());
        assert!(home.list(Path::new("link")).is_err());
    }

    #[test]
    fn what_is_written_is_read_listed_and_limited() {
        let state = tempfile::tempdir().unwrap();
        let home = Home::of(state.path());
        assert_eq!(home.list(Path::new("")).unwrap(), Vec::<String>::new());
        home.write(Path::new("a/web.yaml"), b"kind: Pod").unwrap();
        assert_eq!(home.read(Path::new("a/web.yaml")).unwrap(), b"kind: Pod");
        assert_eq!(
            (home.list(Path::new("")).unwrap(), home.kind(Path::new("a"))),
            (vec!["a".into()], Some(FileKind::Folder))
        );
        assert!(home.write(Path::new("big"), &vec![0; LONGEST_FILE + 1]).is_err());
        assert!(home.write(Path::new("a"), b"").is_err());
        home.remove(Path::new("a")).unwrap();
        assert_eq!(home.kind(Path::new("a/web.yaml")), None);
    }
}
