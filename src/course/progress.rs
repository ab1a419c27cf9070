//! What a learner has started, passed and been told: `progress.json` in the state folder.
//!
//! The command line and the page write the same file, from two processes: a change is read,
//! changed and written under a lock, into a new file that then takes the old one's place, so a
//! crash leaves the old one whole. A file that cannot be read is never overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Everything in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The exercise started last, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By exercise name.
    #[serde(default)]
    pub exercises: BTreeMap<String, Entry>,
    /// Answers to the book's questions, by question.
    #[serde(default)]
    pub answers: BTreeMap<String, String>,
}

/// What is known of one exercise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When it was started last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it passed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed: Option<Timestamp>,
    /// The hints that were shown, by index.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hints: BTreeSet<usize>,
}

impl Progress {
    /// What is known of an exercise; empty when nothing is.
    pub fn of(&self, name: &str) -> Entry {
        self.exercises.get(name).cloned().unwrap_or_default()
    }

    /// Notes that an exercise was started.
    pub fn start(&mut self, name: &str, now: Timestamp) {
        let entry = self.exercises.entry(name.to_owned()).or_default();
        entry.started = Some(now);
        entry.hints.clear();
        self.current = Some(name.to_owned());
    }

    /// Notes that an exercise passed; the first time counts.
    pub fn pass(&mut self, name: &str, now: Timestamp) {
        self.exercises.entry(name.to_owned()).or_default().passed.get_or_insert(now);
    }

    /// Notes that a hint was shown.
    pub fn hinted(&mut self, name: &str, index: usize) {
        self.exercises.entry(name.to_owned()).or_default().hints.insert(index);
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct ProgressFile {
    path: PathBuf,
}

impl ProgressFile {
    /// The progress file of a state folder; it need not exist yet.
    pub fn new(state_dir: &Path) -> Self {
        ProgressFile { path: state_dir.join("progress.json") }
    }

    /// What it says; nothing done when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not ours.
    pub fn read(&self) -> Result<Progress> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Progress::default()),
            Err(error) => return Err(self.error("cannot be read", &error)),
        };
        serde_json::from_slice(&bytes).map_err(|error| {
            self.error("is damaged", &error)
                .hint(format!("move it away to begin anew: mv {0} {0}.old", self.path.display()))
        })
    }

    /// Reads, changes and writes it, while nobody else does.
    ///
    /// # Errors
    /// When it cannot be read, locked or written; then it is as it was.
    pub fn change<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> Result<T> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| self.error("cannot be written", &error))?;
        let lock =
            File::create(self.path.with_extension("lock")).map_err(|error| self.error("cannot be locked", &error))?;
        lock.lock().map_err(|error| self.error("cannot be locked", &error))?;
        let mut progress = self.read()?;
        let result = change(&mut progress);
        self.write(&progress).map_err(|error| self.error("cannot be written", &error))?;
        Ok(result)
    }

    fn write(&self, progress: &Progress) -> std::io::Result<()> {
        let next = self.path.with_extension("json.new");
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec_pretty(progress)?)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.path)
    }

    fn error(&self, what: &str, why: &dyn std::fmt::Display) -> Error {
        Error::new(format!("the progress file {} {what}", self.path.display()), why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = ProgressFile::new(folder.path());
        assert_eq!(file.read().unwrap(), Progress::default());
        let now = Timestamp::UNIX_EPOCH;
        file.change(|progress| progress.start("a", now)).unwrap();
        file.change(|progress| progress.hinted("a", 2)).unwrap();
        file.change(|progress| progress.pass("a", now)).unwrap();
        let progress = file.read().unwrap();
        assert_eq!(progress.current.as_deref(), Some("a"));
        assert_eq!(progress.of("a").hints, BTreeSet::from([2]));
        assert_eq!(progress.of("a").passed, Some(now));
        file.change(|progress| progress.start("a", now)).unwrap();
        assert!(file.read().unwrap().of("a").hints.is_empty(), "a fresh start has fresh hints");
    }

    #[test]
    fn a_damaged_file_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = ProgressFile::new(folder.path());
        std::fs::write(folder.path().join("progress.json"), "{").unwrap();
        let error = file.change(|progress| progress.pass("a", Timestamp::UNIX_EPOCH)).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
        assert_eq!(std::fs::read_to_string(folder.path().join("progress.json")).unwrap(), "{");
    }

    #[test]
    fn many_writers_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = ProgressFile::new(folder.path());
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    for index in 0..10 {
                        file.change(|progress| progress.hinted("a", writer * 10 + index)).unwrap();
                    }
                });
            }
        });
        assert_eq!(file.read().unwrap().of("a").hints.len(), 80);
    }
}
