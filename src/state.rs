//! The state folder: everything a playground keeps, in one place the reader can look into.
//!
//! `store/` (the etcd-like store), `pki/` (certificates), `registry/` (image layers),
//! `progress.json` (exercises), `kubeconfig`, `token` (the page's), and, while a playground runs, `playground.json`,
//! which is how `tutor check` and the others find it. One playground at a time: `serve` holds a
//! lock for as long as it lives, so a crash cannot leave a stale one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// This program's version; a playground of another one is not spoken to.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A running playground, as `serve --json` prints it and `playground.json` keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Playground {
    /// The book's URL.
    pub book: String,
    /// The API server's URL.
    pub api: String,
    /// The registry's `host:port`.
    pub registry: String,
    /// The `host:port` at which Ingresses and Gateways are served, when they are.
    #[serde(default)]
    pub ingress: Option<String>,
    /// The etcd endpoint, when one is served.
    pub etcd: Option<String>,
    /// The kubeconfig's path.
    pub kubeconfig: PathBuf,
    /// The bearer token of the page's own API (also accepted from its cookie).
    pub token: String,
    /// The state folder.
    pub state_dir: PathBuf,
    /// The process that serves it.
    pub pid: u32,
    /// The version of tutor that serves it.
    pub version: String,
    /// From the start of `tutor serve` to ready, in milliseconds.
    pub start_ms: u64,
}

/// A state folder, which may not exist yet.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

/// Held by the one `serve` that owns the folder; released when dropped or when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl StateDir {
    /// `--state-dir`, else `$TUTOR_STATE_DIR`, else `$XDG_DATA_HOME/tutor`, else
    /// `~/.local/share/tutor`.
    ///
    /// # Errors
    /// When none of them is known.
    pub fn resolve(flag: Option<&Path>) -> Result<StateDir> {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let path = flag
            .map(Path::to_path_buf)
            .or_else(|| variable("TUTOR_STATE_DIR"))
            .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("tutor")))
            .or_else(|| variable("HOME").map(|home| home.join(".local/share/tutor")))
            .ok_or_else(|| {
                Error::new("no state folder", "neither --state-dir, $TUTOR_STATE_DIR nor $HOME is set")
                    .hint("name one: tutor --state-dir DIR …")
            })?;
        let path = std::path::absolute(&path).unwrap_or(path);
        Ok(StateDir { path })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder if need be (mode 0700) and takes its lock.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written, or another playground runs on it.
    pub fn lock(&self) -> Result<Lock> {
        let fault = |doing: &str, source: std::io::Error| self.unusable(doing, &source);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|e| fault("be made", e))?;
        fs::read_dir(&self.path).map_err(|e| fault("be read", e))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.join("lock"))
            .map_err(|e| fault("be written to", e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.already_served(&mut file)),
            Err(TryLockError::Error(e)) => return Err(fault("be locked", e)),
        }
        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(|e| fault("be written to", e))?;
        Ok(Lock { _file: file })
    }

    fn unusable(&self, doing: &str, source: &std::io::Error) -> Error {
        Error::new(format!("the state folder {} cannot {doing}", self.path.display()), source.to_string())
            .hint(format!("check its owner and mode: ls -ld {}", self.path.display()))
            .hint("or use another folder: tutor serve --state-dir DIR")
    }

    fn already_served(&self, lock: &mut File) -> Error {
        let mut pid = String::new();
        // Best effort: the lock says that somebody runs; the pid only helps to find them.
        let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut pid));
        let pid = if pid.is_empty() { "unknown".to_owned() } else { pid };
        Error::new(
            "a playground is already running on this state folder",
            format!("process {pid} serves {}", self.path.display()),
        )
        .hint(format!("use that one (tutor status), or stop it: kill {pid}"))
        .hint("or start a second one elsewhere: tutor serve --state-dir DIR --listen 127.0.0.1:0 --api-listen 127.0.0.1:0 --registry-listen 127.0.0.1:0")
    }

    /// The playground that runs on this folder.
    ///
    /// # Errors
    /// When none runs, or one of another version of tutor.
    pub fn playground(&self) -> Result<Playground> {
        let none = |why: String| {
            Error::new("no playground is running", why)
                .hint("start one in another terminal: tutor serve")
                .hint("if it runs on another state folder, name that: --state-dir DIR or TUTOR_STATE_DIR=DIR")
        };
        let path = self.join("playground.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(none(format!("there is no playground.json in {}", self.path.display())));
            }
            Err(e) => return Err(self.unusable("be read", &e)),
        };
        let version = serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|json| json["version"].as_str().map(str::to_owned))
            .unwrap_or_else(|| "unknown".into());
        if self.lock_is_free() {
            return Err(none(format!("the last one on {} has ended", self.path.display())));
        }
        if version != VERSION {
            return Err(Error::new(
                "the playground that runs is of another version",
                format!("it is tutor {version}, this is tutor {VERSION}"),
            )
            .hint("stop it with Ctrl-C in its terminal and start it again: tutor serve"));
        }
        serde_json::from_slice(&bytes).map_err(|e| {
            Error::new(format!("{} cannot be understood", path.display()), e.to_string())
                .hint("stop the playground and start it again: tutor serve")
        })
    }

    /// Whether nobody serves this folder.
    fn lock_is_free(&self) -> bool {
        OpenOptions::new().read(true).open(self.join("lock")).is_ok_and(|file| file.try_lock_shared().is_ok())
    }

    /// The token of this folder's page: the same at each start, so that a page that was open before
    /// works on. `make` makes the first.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn token(&self, make: impl FnOnce() -> String) -> Result<String> {
        let path = self.join("token");
        match fs::read_to_string(&path) {
            Ok(token) if token.len() >= 32 => Ok(token),
            _ => {
                let token = make();
                write_private(&path, token.as_bytes())?;
                Ok(token)
            }
        }
    }

    /// Says that a playground runs.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, playground: &Playground) -> Result<()> {
        let text = serde_json::to_vec_pretty(playground).unwrap_or_default();
        write_private(&self.join("playground.json"), &text)
    }

    /// Says that it has ended.
    pub fn unpublish(&self) {
        // A file that stays is harmless: the lock tells that nobody serves.
        let _ = fs::remove_file(self.join("playground.json"));
    }
}

/// Replaces a file as a whole, readable by its owner alone: a reader sees the old or the new one.
///
/// # Errors
/// When the folder cannot be written to or the disk is full; the old file is then untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Error::new(format!("{} cannot be written", path.display()), e.to_string())
            .hint("check free space (df -h) and the folder's owner (ls -ld)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, StateDir) {
        let temporary = tempfile::tempdir().unwrap();
        let state = StateDir::resolve(Some(&temporary.path().join("state"))).unwrap();
        (temporary, state)
    }

    fn playground(state: &StateDir, version: &str) -> Playground {
        Playground {
            book: "http://127.0.0.1:7878/".into(),
            api: "https://127.0.0.1:6443".into(),
            registry: "127.0.0.1:5050".into(),
            etcd: None,
            ingress: None,
            kubeconfig: state.join("kubeconfig"),
            token: "t".into(),
            state_dir: state.path().to_owned(),
            pid: 1,
            version: version.into(),
            start_ms: 80,
        }
    }

    #[test]
    fn the_second_lock_is_refused_and_names_the_first_pid() {
        let (_keep, state) = folder();
        let _first = state.lock().unwrap();
        let refused = state.lock().unwrap_err();
        assert!(refused.why.contains(&std::process::id().to_string()), "{refused}");
    }

    #[test]
    fn a_playground_is_found_while_it_runs_and_only_then() {
        let (_keep, state) = folder();
        assert_eq!(state.playground().unwrap_err().what, "no playground is running");
        let lock = state.lock().unwrap();
        let expected = playground(&state, VERSION);
        state.publish(&expected).unwrap();
        assert_eq!(state.playground().unwrap(), expected);
        drop(lock);
        assert!(state.playground().unwrap_err().why.contains("has ended"));
    }

    #[test]
    fn a_playground_of_another_version_is_named() {
        let (_keep, state) = folder();
        let _lock = state.lock().unwrap();
        state.publish(&playground(&state, "9.9.9")).unwrap();
        assert!(state.playground().unwrap_err().why.contains("tutor 9.9.9"));
    }

    #[test]
    fn a_file_where_the_folder_should_be_is_explained() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        fs::write(&path, "not a folder").unwrap();
        let refused = StateDir::resolve(Some(&path)).unwrap().lock().unwrap_err();
        assert!(refused.what.contains("cannot be made") && !refused.hints.is_empty(), "{refused}");
    }
}
