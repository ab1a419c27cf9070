//! The images on this machine: which there are, and their files unpacked.
//!
//! ```text
//! blobs/<hex>                  content, shared with the registry
//! images/<hex>.json            an image by name: its manifest and all content it needs
//! layers/<hex>/root            a layer, unpacked; never written again
//! layers/<hex>/removals.json   what it hides of the layers below it
//! layers/<hex>/owners.json     whose its files are, once somebody asked
//! flat/<hex>                   an image whose layers hide files, in one folder
//! ```
//! In: content that is there, names. Out: [`Stored`] images and [`Unpacked`] folders. Content without an
//! owner goes when [`Store::collect`] runs. Blocking. Chapter: `book/src/servers/images.md`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::manifest::{CONFIG_MAX, ImageConfig, ImageFile, MANIFEST_MAX, Manifest, architecture};
use super::name::ImageName;
use super::owners::{Layer, Owners};
use super::packed::{ahead, plain};
use super::unpack::{self, Limits, Removals};
use crate::error::{Error, Result};
use crate::registry::{Content, Digest};

/// The images on a machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) content: Content,
}

/// An image that is there, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its whole name: `docker.io/tutor/web:1`.
    pub name: String,
    /// The manifest's digest: what `repository@sha256:…` names.
    pub manifest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// The configuration's digest; Docker calls it the image's id.
    pub config: String,
    /// The layers' digests, lowest first.
    pub layers: Vec<String>,
    /// Bytes of all of it, packed.
    pub size_bytes: u64,
}

impl Stored {
    /// `docker.io/tutor/web@sha256:…`
    pub fn id(&self) -> String {
        let slash = self.name.rfind('/').map_or(0, |at| at + 1);
        let end = self.name[slash..].find([':', '@']).map_or(self.name.len(), |at| slash + at);
        format!("{}@{}", &self.name[..end], self.manifest)
    }
}

/// An image ready to run.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// Folders whose union is the image's file system, lowest first. Read-only: many containers share
    /// them, nobody writes.
    pub layers: Vec<PathBuf>,
    /// How its process starts.
    pub config: ImageConfig,
}

impl Store {
    /// The images in the registry's folder, made if need be.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(dir: &Path) -> Result<Store> {
        let unusable = |error: io::Error| {
            Error::new(format!("the images' folder {} cannot be used", dir.display()), error.to_string())
                .hint("make it writable for you, or use another: --state-dir DIR")
        };
        let content = Content::open(dir).map_err(unusable)?;
        for folder in ["layers", "flat"] {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder).map_err(unusable)?;
            // Files in it belong to the images' users, who are strangers to this machine's of the same number.
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(unusable)?;
        }
        Ok(Store { content })
    }

    /// The same images; what nothing needs goes at once, also what came this moment. For one who knows that
    /// nobody else writes.
    pub fn alone(self) -> Store {
        Store { content: self.content.sparing_nothing() }
    }

    /// All images, by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Stored>> {
        let mut images = Vec::new();
        for entry in fs::read_dir(self.folder("images")).map_err(broken)? {
            let path = entry.map_err(broken)?.path();
            // A record that is being replaced may be gone; one that cannot be read counts as none.
            if let Some(image) = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
                images.push(image);
            }
        }
        images.sort_by(|a: &Stored, b: &Stored| a.name.cmp(&b.name));
        Ok(images)
    }

    /// An image by its name, or by its name and digest.
    pub fn find(&self, name: &ImageName) -> Option<Stored> {
        if let Ok(text) = fs::read(self.record_of(&name.to_string())) {
            return serde_json::from_slice(&text).ok();
        }
        let digest = name.digest.as_ref()?.to_string();
        let same =
            |image: &Stored| image.manifest == digest && image.id().starts_with(&format!("{}@", name.repository()));
        self.list().ok()?.into_iter().find(same)
    }

    /// Gives a manifest a name; all that it needs must be there.
    ///
    /// # Errors
    /// What is missing or makes no sense.
    pub fn record(&self, name: &ImageName, manifest: &Digest) -> Result<Stored> {
        let bad = |why: String| Error::new(format!("{name} is no image that can be used"), why);
        let bytes = self.content.read(manifest, MANIFEST_MAX).map_err(|error| bad(error.to_string()))?;
        let parsed = Manifest::parse(&bytes).map_err(bad)?;
        if parsed.is_index() {
            let chosen = parsed.choose(architecture()).map_err(bad)?.digest().map_err(bad)?;
            return self.record(name, &chosen);
        }
        let config = parsed.config.clone().unwrap_or_default();
        let (file, _) = self.file(&config.digest).map_err(bad)?;
        if file.rootfs.diff_ids.len() != parsed.layers.len() {
            let (own, said) = (parsed.layers.len(), file.rootfs.diff_ids.len());
            return Err(bad(format!("it has {own} layers, but its configuration speaks of {said}")));
        }
        for layer in &parsed.layers {
            let digest = layer.digest().map_err(bad)?;
            if !self.content.holds(&digest) {
                return Err(bad(format!("its layer {digest} is missing")));
            }
        }
        let stored = Stored {
            name: name.to_string(),
            manifest: manifest.to_string(),
            media_type: parsed.media_type.clone(),
            size_bytes: parsed.layers.iter().map(|layer| layer.size).sum::<u64>() + config.size + bytes.len() as u64,
            config: config.digest,
            layers: parsed.layers.into_iter().map(|layer| layer.digest).collect(),
        };
        let unfinished = self.folder("uploads").join(Uuid::new_v4().to_string());
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| broken(io::Error::other(error)))?;
        fs::write(&unfinished, text).map_err(broken)?;
        fs::rename(&unfinished, self.record_of(&stored.name)).map_err(broken)?;
        Ok(stored)
    }

    /// Takes a name away. What nothing else needs goes with the next [`Store::collect`].
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn remove(&self, image: &Stored) -> Result<()> {
        match fs::remove_file(self.record_of(&image.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(broken(error)),
            _ => Ok(()),
        }
    }

    /// An image's configuration.
    ///
    /// # Errors
    /// When its file is damaged.
    pub fn config(&self, image: &Stored) -> Result<ImageFile> {
        self.file(&image.config)
            .map(|(file, _)| file)
            .map_err(|why| Error::new(format!("{} is damaged", image.name), why))
    }

    /// Bytes of each of an image's layers, packed.
    ///
    /// # Errors
    /// When its manifest is missing or makes no sense.
    pub fn layer_sizes(&self, image: &Stored) -> Result<Vec<u64>> {
        let bad = |why: String| Error::new(format!("{} is damaged", image.name), why);
        let size = |digest: &String| -> Result<u64> {
            let digest = Digest::parse(digest).ok_or_else(|| bad(format!("{digest:?} is no digest")))?;
            fs::metadata(self.content.path(&digest)).map(|found| found.len()).map_err(|error| bad(error.to_string()))
        };
        image.layers.iter().map(size).collect()
    }

    fn file(&self, digest: &str) -> std::result::Result<(ImageFile, Digest), String> {
        let digest = Digest::parse(digest).ok_or_else(|| format!("{digest:?} is no digest"))?;
        let bytes = self.content.read(&digest, CONFIG_MAX).map_err(|error| error.to_string())?;
        Ok((ImageFile::parse(&bytes)?, digest))
    }

    /// An image's file system, unpacked once and then kept.
    ///
    /// # Errors
    /// When a layer is refused, damaged, or not what the configuration says; nothing of it is left.
    pub fn unpack(&self, image: &Stored) -> Result<Unpacked> {
        let file = self.config(image)?;
        let failed = |error: io::Error| {
            Error::new(format!("{} cannot be unpacked", image.name), error.to_string())
                .hint("pull it again, or ask who built it")
        };
        let layers = self.lay_out(&image.layers, &file.rootfs.diff_ids).map_err(failed)?;
        Ok(Unpacked { layers, config: file.config })
    }

    /// Folders whose union is what these layers come to.
    pub(super) fn lay_out(&self, digests: &[String], diff_ids: &[String]) -> io::Result<Vec<PathBuf>> {
        let layers = self.unpack_each(digests, diff_ids)?;
        let hides = layers.iter().skip(1).any(|(_, removals)| !removals.is_empty());
        match hides {
            true => self.flat(digests, &layers).map(|folder| vec![folder]),
            false => Ok(layers.into_iter().map(|(root, _)| root).collect()),
        }
    }

    /// Each layer in its folder, with what it hides of those below it.
    pub(super) fn unpack_each(&self, digests: &[String], diff_ids: &[String]) -> io::Result<Vec<(PathBuf, Removals)>> {
        let unpack = |(layer, diff_id): (&String, &String)| {
            let layer = Digest::parse(layer).ok_or_else(|| io::Error::other("no digest"))?;
            self.layer(&layer, diff_id)
        };
        digests.iter().zip(diff_ids).map(unpack).collect()
    }

    /// Whose the files of layers are.
    pub(super) fn owners(&self, digests: &[String]) -> Owners {
        let layer = |digest: Digest| Layer {
            archive: self.content.path(&digest),
            note: Some(self.folder("layers").join(digest.hex()).join("owners.json")),
        };
        Owners::of(digests.iter().filter_map(|digest| Digest::parse(digest)).map(layer).collect())
    }

    fn layer(&self, digest: &Digest, diff_id: &str) -> io::Result<(PathBuf, Removals)> {
        let target = self.folder("layers").join(digest.hex());
        if !target.exists() {
            let packed = File::open(self.content.path(digest))?;
            let limits = Limits::of_packed(packed.metadata()?.len());
            let unfinished = Scratch::new(&self.folder("layers"))?;
            let root = unfinished.0.join("root");
            fs::create_dir(&root)?;
            let packed = plain(packed)?;
            let (removals, found) = thread::scope(|scope| {
                let mut plain = Hashing { inner: ahead(scope, packed), hash: Sha256::new() };
                let removals = unpack::unpack(&mut plain, &root, limits)?;
                // What follows the archive's end belongs to the layer's identity too.
                io::copy(&mut plain.by_ref().take(limits.bytes), &mut io::sink())?;
                Ok::<_, io::Error>((removals, Digest::finish(plain.hash).to_string()))
            })?;
            if found != diff_id {
                let why = format!("the layer {digest} is {found} when unpacked, but should be {diff_id}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            write_removals(&unfinished.0, &removals)?;
            unfinished.finish(&target)?;
        }
        let removals = read_removals(&target)?;
        Ok((target.join("root"), removals))
    }

    /// All layers in one folder, with what they hide taken away.
    fn flat(&self, digests: &[String], layers: &[(PathBuf, Removals)]) -> io::Result<PathBuf> {
        let name = Digest::of(digests.join(" ").as_bytes());
        let target = self.folder("flat").join(name.hex());
        if !target.exists() {
            let unfinished = Scratch::new(&self.folder("flat"))?;
            for (root, removals) in layers {
                unpack::lay_over(root, removals, &unfinished.0)?;
            }
            unfinished.finish(&target)?;
        }
        Ok(target)
    }

    /// Deletes unpacked layers that no image has, then content as [`Store::collect_content`] does. For a
    /// moment when no container runs: one may still stand on the layers of an image whose name is gone.
    ///
    /// # Errors
    /// When a folder cannot be read or written.
    pub fn collect(&self) -> Result<u64> {
        let images = self.list()?;
        let flat = |image: &Stored| Digest::of(image.layers.join(" ").as_bytes()).hex().to_owned();
        let layers: Vec<String> = images.iter().flat_map(|image| image.layers.iter().map(|it| digits(it))).collect();
        let flats: Vec<String> = images.iter().map(flat).collect();
        for (folder, used) in [("layers", &layers), ("flat", &flats)] {
            for entry in fs::read_dir(self.folder(folder)).map_err(broken)? {
                let entry = entry.map_err(broken)?;
                if !used.iter().any(|used| entry.file_name().to_string_lossy() == *used) {
                    remove_tree(&entry.path()).map_err(broken)?;
                }
            }
        }
        self.collect_content()
    }

    /// Deletes content that neither an image nor the registry has a use for. Returns how many bytes went.
    ///
    /// # Errors
    /// When a folder cannot be read or written.
    pub fn collect_content(&self) -> Result<u64> {
        let images = self.list()?;
        let needed =
            images.iter().flat_map(|it| [&it.manifest, &it.config].into_iter().chain(&it.layers).map(|it| digits(it)));
        self.content.sweep(&needed.collect()).map_err(broken)
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.content.folder().join(name)
    }

    fn record_of(&self, name: &str) -> PathBuf {
        self.folder("images").join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
    }
}

/// A digest without the name of its hash function, as content is named on disk.
fn digits(digest: &str) -> String {
    digest.split_once(':').map_or(digest, |(_, digits)| digits).to_owned()
}

fn broken(error: io::Error) -> Error {
    Error::new("the images' folder cannot be used", error.to_string())
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// A folder that is gone when dropped, unless it was given its name.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new(beside: &Path) -> io::Result<Scratch> {
        let path = beside.join(format!(".{}", Uuid::new_v4()));
        fs::create_dir(&path)?;
        Ok(Scratch(path))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Two may unpack the same at once: the first to end wins, both are right.
    fn finish(self, target: &Path) -> io::Result<()> {
        match fs::rename(&self.0, target) {
            Err(error) if !target.exists() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Renamed already, or left for the next collection.
        let _ = remove_tree(&self.0);
    }
}

/// Removes a tree whose folders may be closed to their owner.
fn remove_tree(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(path)? {
            remove_tree(&entry?.path())?;
        }
        return fs::remove_dir(path);
    }
    fs::remove_file(path)
}

fn write_removals(folder: &Path, removals: &Removals) -> io::Result<()> {
    let text = serde_json::to_vec(&(&removals.paths, &removals.opaque)).map_err(io::Error::other)?;
    fs::write(folder.join("removals.json"), text)
}

fn read_removals(folder: &Path) -> io::Result<Removals> {
    let (paths, opaque) = serde_json::from_slice(&fs::read(folder.join("removals.json"))?).map_err(io::Error::other)?;
    Ok(Removals { paths, opaque })
}
