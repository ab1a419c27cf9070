//! An exercise's files on disk: as they are in the program, and as a learner has them.
//!
//! In: an exercise. Out: a folder of its own below the system's temporary one, gone when dropped. Scripts and
//! image builds of `tutor dev check`, of `start` and of checks run in it.

use std::io;
use std::path::{Path, PathBuf};

use super::catalogue;
use super::exercise::Exercise;
use crate::error::{Error, Result};

/// The folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// All of the exercise's files, in their folders.
    pub exercise: PathBuf,
    /// Its starting files, as `tutor init` writes them.
    pub learner: PathBuf,
}

impl Folder {
    /// Writes the files.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(exercise: &Exercise) -> Result<Folder> {
        let root = std::env::temp_dir().join(format!("tutor-exercise-{}", uuid::Uuid::new_v4()));
        let folder = Folder { exercise: root.join("exercise"), learner: root.join(&exercise.name), root };
        folder.fill(exercise).map_err(|why| {
            Error::new(format!("the files of {} cannot be written", exercise.name), why.to_string())
                .hint("see that the disk has room: df -h")
        })?;
        Ok(folder)
    }

    fn fill(&self, exercise: &Exercise) -> io::Result<()> {
        let write = |home: &Path, name: &str, contents: &str| {
            let path = home.join(name);
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, contents)
        };
        std::fs::create_dir_all(&self.learner)?;
        for (name, contents) in catalogue::files(exercise) {
            write(&self.exercise, &name, contents)?;
        }
        for (name, contents) in catalogue::folder(exercise, "start") {
            write(&self.learner, &name, &contents)?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
