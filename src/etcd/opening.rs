//! Opening a store's folder, and the words for when it cannot be opened. Destroys nothing.

use std::fs;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{DatabaseError, StorageError};

use super::disk::{Backing, Disk, Found, OpenError};
use super::options::Options;
use super::tree::FORMAT_NEWEST;
use crate::error::{Error, Result};

/// The tree's file in the store's folder.
const FILE: &str = "store.redb";

/// Makes the folder and the files in it if need be; returns where the tree's file is.
pub(super) fn file(dir: &Path) -> Result<PathBuf> {
    let file = dir.join(FILE);
    // A new file's name is durable only once its folder is flushed.
    let make = || -> io::Result<()> {
        fs::create_dir_all(dir)?;
        for file in [file.with_extension("log"), file.clone()] {
            if !file.exists() {
                fs::File::create(&file)?.sync_all()?;
                fs::File::open(dir)?.sync_all()?;
            }
        }
        Ok(())
    };
    make().map_err(|error| unusable(dir, &error))?;
    Ok(file)
}

/// Opens the store behind `backing`; `dir` is for the words.
pub(super) fn open(backing: Box<dyn Backing>, dir: &Path, options: &Options) -> Result<(Disk, Found)> {
    // redb checks the file as it opens it, but a page that lies can still make it panic.
    let opened = catch_unwind(AssertUnwindSafe(|| Disk::open(backing, options)));
    match opened {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(explain(dir, error)),
        Err(_) => Err(damaged(dir, "its pages do not fit together")),
    }
}

fn explain(dir: &Path, error: OpenError) -> Error {
    match error {
        OpenError::NewerFormat(format) => Error::new(
            format!("the store in {} was written by a newer tutor", dir.display()),
            format!("it has format {format}; this tutor reads formats up to {FORMAT_NEWEST}"),
        )
        .hint("use the newer tutor again, or give this one a folder of its own: tutor serve --state-dir DIR"),
        OpenError::Database(DatabaseError::DatabaseAlreadyOpen) => Error::new(
            format!("the store in {} is in use", dir.display()),
            "another process has it open, and two would overwrite each other's work",
        )
        .hint("stop the other playground (tutor status shows it), or use another folder: tutor serve --state-dir DIR"),
        OpenError::Database(DatabaseError::Storage(StorageError::Io(error)))
        | OpenError::Reading(redb::Error::Io(error))
            if !is_about_content(&error) =>
        {
            unusable(dir, &error)
        }
        OpenError::Database(error) => damaged(dir, &error.to_string()),
        OpenError::Reading(error) => damaged(dir, &error.to_string()),
    }
}

fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput)
}

fn unusable(dir: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on that disk, then start again",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable for you, or use another: tutor serve --state-dir DIR"
        }
        _ => "use another folder: tutor serve --state-dir DIR",
    };
    Error::new(format!("the store in {} cannot be opened", dir.display()), error.to_string()).hint(hint)
}

fn damaged(dir: &Path, why: &str) -> Error {
    let dir = dir.display().to_string();
    Error::new(format!("the store in {dir} is damaged"), why.to_string()).hint(format!(
        "keep it aside and start with an empty one: mv {} {}",
        quoted(&dir),
        quoted(&format!("{}.damaged", dir.trim_end_matches('/')))
    ))
}

/// As a shell reads it as one word.
fn quoted(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if path.bytes().all(plain) { path.to_string() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
