//! The content-addressed folder.
//!
//! ```text
//! blobs/<hex>                                    content, named by its digest
//! repositories/<name>/_blobs/<hex>               this repository holds the blob (empty file)
//! repositories/<name>/_manifests/<hex>           … the manifest; the file holds its media type
//! repositories/<name>/_tags/<tag>                the digest the tag points to
//! repositories/<name>/_referrers/<hex>/<hex>     who refers to a manifest: its descriptor
//! uploads/<id>                                   what has arrived of an upload
//! images/<hex>.json                              an image of this machine, which needs content too
//! ```
//! No component of a repository name begins with `_`, so these cannot be mistaken for repositories.
//! A file appears under its final name only when it is whole and flushed.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tokio::fs;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::content::SPARED;
use super::name::{Digest, Repository};

/// The kinds of things a repository holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    Blob,
    Manifest,
    Tag,
}

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    dir: PathBuf,
}

impl Storage {
    /// Makes the folder if need be, and clears what interrupted uploads left. What somebody else writes there at this
    /// moment (an image that is made while the registry opens) stays: it has another name than an upload.
    pub fn open(dir: &Path) -> io::Result<Storage> {
        let storage = Storage { dir: dir.to_path_buf() };
        let uploads = dir.join("uploads");
        for folder in [&uploads, &dir.join("blobs"), &dir.join("repositories")] {
            std::fs::create_dir_all(folder)?;
        }
        // A file made now says which moment that is; it is gone with the uploads.
        let now = std::fs::File::create(storage.upload(Uuid::new_v4()))?.metadata()?.modified()?;
        for entry in std::fs::read_dir(&uploads)? {
            let entry = entry?;
            let is_upload = Uuid::parse_str(&entry.file_name().to_string_lossy()).is_ok();
            let is_old = entry.metadata().and_then(|it| it.modified()).is_ok_and(|at| at + SPARED < now);
            if is_upload {
                absent(std::fs::remove_file(entry.path()))?;
            } else if is_old {
                // A left-over of somebody else's; a folder among them is the image store's.
                let _ = std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path()));
            }
        }
        Ok(storage)
    }

    pub fn content(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.hex())
    }

    pub fn upload(&self, id: Uuid) -> PathBuf {
        self.dir.join("uploads").join(id.to_string())
    }

    pub async fn uploads(&self) -> io::Result<usize> {
        Ok(names(&self.dir.join("uploads")).await?.len())
    }

    /// Writes a whole file and only then gives it its name.
    pub async fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let unfinished = self.upload(Uuid::new_v4());
        let mut file = fs::File::create(&unfinished).await?;
        file.write_all(content).await?;
        file.sync_all().await?;
        self.finish(&unfinished, path).await
    }

    /// Gives a whole, flushed file its name.
    pub async fn finish(&self, unfinished: &Path, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).await?;
        }
        fs::rename(unfinished, path).await
    }

    pub fn held(&self, repository: &Repository, kind: Held, name: &str) -> PathBuf {
        self.folder(repository, kind).join(name)
    }

    pub async fn exists(&self, repository: &Repository) -> bool {
        fs::try_exists(self.repository(repository)).await.unwrap_or(false)
    }

    /// The file's text; `None` when there is none.
    pub async fn read(&self, path: &Path) -> io::Result<Option<String>> {
        absent(fs::read_to_string(path).await)
    }

    /// Removes a file; false when there was none.
    pub async fn remove(&self, path: &Path) -> io::Result<bool> {
        Ok(absent(fs::remove_file(path).await)?.is_some())
    }

    /// The names of a kind that a repository holds, sorted.
    pub async fn list(&self, repository: &Repository, kind: Held) -> io::Result<Vec<String>> {
        names(&self.folder(repository, kind)).await
    }

    pub fn referrers(&self, repository: &Repository, subject: &Digest) -> PathBuf {
        self.repository(repository).join("_referrers").join(subject.hex())
    }

    /// The texts of the files in a folder, in the order of their names.
    pub async fn read_all(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut texts = Vec::new();
        for name in names(folder).await? {
            texts.extend(self.read(&folder.join(name)).await?);
        }
        Ok(texts)
    }

    /// All repositories that hold a tag or a manifest, sorted.
    pub async fn repositories(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut open = vec![String::new()];
        while let Some(at) = open.pop() {
            for name in names(&self.dir.join("repositories").join(&at)).await? {
                match name.as_str() {
                    "_manifests" => found.push(at.clone()),
                    name if name.starts_with('_') => {}
                    name if at.is_empty() => open.push(name.to_string()),
                    name => open.push(format!("{at}/{name}")),
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Deletes content that no repository holds any more.
    pub async fn sweep(&self, digest: &Digest) -> io::Result<()> {
        let mut open = vec![self.dir.join("repositories")];
        while let Some(at) = open.pop() {
            for name in names(&at).await? {
                let path = at.join(&name);
                if !name.starts_with('_') {
                    open.push(path);
                } else if matches!(name.as_str(), "_blobs" | "_manifests")
                    && fs::try_exists(path.join(digest.hex())).await?
                {
                    return Ok(());
                }
            }
        }
        let images = self.read_all(&self.dir.join("images")).await?;
        if images.iter().any(|image| image.contains(digest.hex())) {
            return Ok(());
        }
        self.remove(&self.content(digest)).await.map(drop)
    }

    fn repository(&self, repository: &Repository) -> PathBuf {
        self.dir.join("repositories").join(repository.to_string())
    }

    fn folder(&self, repository: &Repository, kind: Held) -> PathBuf {
        self.repository(repository).join(match kind {
            Held::Blob => "_blobs",
            Held::Manifest => "_manifests",
            Held::Tag => "_tags",
        })
    }
}

async fn names(folder: &Path) -> io::Result<Vec<String>> {
    let Some(mut entries) = absent(fs::read_dir(folder).await)? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
