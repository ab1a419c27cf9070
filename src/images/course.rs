//! The course's own images, assembled from this program: nothing is downloaded.
//!
//! In: the executable that runs now and the libraries it is linked with. Out: `tutor/pause:1`, `tutor/web:1`
//! and the others in the store. They share one layer, in which the executable is `/tutor` and each tool of
//! `/bin` a link to it; an image differs in what it starts. Made at first use, and again when the executable
//! has changed. Blocking. Chapter: `book/src/servers/images.md`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::manifest::{
    Descriptor, History, ImageConfig, ImageFile, Manifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, RootFs, architecture,
};
use super::name::ImageName;
use super::store::{Store, Stored};
use crate::error::{Error, Result};
use crate::registry::Written;

/// An image: its name, its tags, what it starts, the ports it listens on.
type Made = (&'static str, &'static [&'static str], &'static [&'static str], &'static [u16]);

const IMAGES: [Made; 7] = [
    ("pause", &["1"], &["/bin/pause"], &[]),
    ("web", &["1", "2"], &["/bin/web"], &[80]),
    ("worker", &["1"], &["/bin/worker"], &[]),
    ("trainer", &["1"], &["/bin/trainer"], &[]),
    ("model-server", &["1"], &["/bin/model-server"], &[8080]),
    ("load", &["1"], &["/bin/load"], &[]),
    ("shell", &["1"], &["/bin/sh"], &[]),
];
/// The one that is a box of tools.
const SHELL: &str = "shell";
/// Their tags that mean the newest.
const LATEST: &str = "latest";
/// Where the executable is in the image.
const EXECUTABLE: &str = "tutor";

/// True for a name of the course's: `tutor/…` on no registry or on Docker Hub's place.
pub fn is_course(name: &ImageName) -> bool {
    name.host == "docker.io" && name.repository.starts_with("tutor/") && name.digest.is_none()
}

/// True when the image was made of this executable as it is now.
pub fn is_current(store: &Store, image: &Stored, executable: &Path) -> bool {
    stamp(executable).is_ok_and(|stamp| is_of(store, image, &stamp))
}

fn is_of(store: &Store, image: &Stored, stamp: &String) -> bool {
    store.config(image).is_ok_and(|file| file.config.labels.get(STAMP) == Some(stamp))
}

/// One of the course's images, made of this executable if need be; `None` when the course has no such image.
///
/// # Errors
/// When the executable cannot be read or the image cannot be written.
pub fn image(store: &Store, name: &ImageName, executable: &Path) -> Result<Option<Stored>> {
    let short = name.repository.trim_start_matches("tutor/");
    let tag = name.tag.as_deref().unwrap_or(LATEST);
    let Some((_, tags, start, ports)) = IMAGES.iter().find(|(known, ..)| *known == short) else { return Ok(None) };
    let version = match tags.iter().find(|known| **known == tag) {
        Some(version) => *version,
        None if tag == LATEST => tags[tags.len() - 1],
        None => return Ok(None),
    };
    let failed = |error: io::Error| {
        Error::new(format!("the image {} cannot be made", name.familiar()), error.to_string())
            .hint("see that the disk has room: df -h")
    };
    let stamp = stamp(executable).map_err(failed)?;
    if let Some(there) = store.find(name)
        && is_of(store, &there, &stamp)
    {
        return Ok(Some(there));
    }
    let layer = layer(store, executable, &stamp).map_err(failed)?;
    let start: Vec<String> = start.iter().map(|word| (*word).to_owned()).collect();
    // Words after the image's name take the shell's place, as they do with busybox; to a server they are arguments.
    let (entrypoint, cmd) = if short == SHELL { (Vec::new(), start) } else { (start, Vec::new()) };
    let config = ImageConfig {
        entrypoint,
        cmd,
        env: vec!["PATH=/usr/local/bin:/bin".to_owned(), format!("VERSION={version}")],
        exposed_ports: ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect(),
        labels: [(STAMP.to_owned(), stamp)].into(),
        ..ImageConfig::default()
    };
    let manifest = manifest(store, config, &layer, short).map_err(failed)?;
    store.record(name, &manifest.digest).map(Some)
}

/// Says which executable an image was made from.
const STAMP: &str = "dev.tutor.executable";

/// Changes when the file does.
fn stamp(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    Ok(format!("{}-{}-{}", metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

fn manifest(store: &Store, config: ImageConfig, layer: &Written, name: &str) -> io::Result<Written> {
    let file = ImageFile {
        architecture: architecture().to_owned(),
        os: "linux".to_owned(),
        config,
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.digest.to_string()] },
        history: vec![History {
            created_by: Some(format!("tutor: its own executable as {name}")),
            ..History::default()
        }],
        ..ImageFile::default()
    };
    let config = store.content.write(serde_json::to_vec(&file)?.as_slice(), None)?;
    let describe = |media_type: &str, written: &Written| Descriptor {
        media_type: media_type.to_owned(),
        digest: written.digest.to_string(),
        size: written.size,
        ..Descriptor::default()
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: Some(describe(OCI_CONFIG, &config)),
        layers: vec![describe(OCI_LAYER, layer)],
        manifests: Vec::new(),
    };
    store.content.write(serde_json::to_vec(&manifest)?.as_slice(), None)
}

/// The layer all share; written once for an executable.
fn layer(store: &Store, executable: &Path, stamp: &str) -> io::Result<Written> {
    let note = store.folder("images").join("course-layer");
    if let Ok(text) = fs::read_to_string(&note)
        && let Some((known, digest)) = text.split_once(' ')
        && known == stamp
        && let Some(digest) = crate::registry::Digest::parse(digest)
        && let Ok(metadata) = fs::metadata(store.content.path(&digest))
    {
        return Ok(Written { digest, size: metadata.len() });
    }
    let unfinished = store.folder("uploads").join(format!("course-{}", uuid::Uuid::new_v4()));
    let written = archive(&unfinished, executable).and_then(|()| store.content.write(File::open(&unfinished)?, None));
    // A leftover is cleared at the registry's next start.
    let _ = fs::remove_file(&unfinished);
    let written = written?;
    fs::write(note, format!("{stamp} {}", written.digest))?;
    Ok(written)
}

fn archive(to: &Path, executable: &Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::new(File::create(to)?));
    let mut folders = BTreeSet::new();
    for folder in ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/local/bin", "var/log"] {
        add_folders(&mut archive, &mut folders, Path::new(folder))?;
    }
    add_file(&mut archive, Path::new(EXECUTABLE), executable, 0o755)?;
    for tool in crate::programs::names() {
        add_link(&mut archive, &Path::new("bin").join(tool), Path::new("/").join(EXECUTABLE).as_path())?;
    }
    for library in libraries()? {
        let inside = library.strip_prefix("/").unwrap_or(&library).to_owned();
        add_folders(&mut archive, &mut folders, inside.parent().unwrap_or(Path::new("")))?;
        add_file(&mut archive, &inside, &fs::canonicalize(&library)?, 0o755)?;
    }
    for (path, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
        ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ("etc/os-release", "ID=tutor\nNAME=tutor\nPRETTY_NAME=\"tutor\"\n"),
    ] {
        let mut header = header(text.len() as u64, 0o644);
        archive.append_data(&mut header, path, text.as_bytes())?;
    }
    archive.into_inner()?.flush()
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header
}

fn add_folders(archive: &mut tar::Builder<impl Write>, known: &mut BTreeSet<PathBuf>, folder: &Path) -> io::Result<()> {
    let mut at = PathBuf::new();
    for part in folder.components() {
        at.push(part);
        if known.insert(at.clone()) {
            let mut header = header(0, if at == Path::new("tmp") { 0o777 } else { 0o755 });
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, &at, io::empty())?;
        }
    }
    Ok(())
}

fn add_file(archive: &mut tar::Builder<impl Write>, path: &Path, from: &Path, mode: u32) -> io::Result<()> {
    let file = File::open(from)?;
    let mut header = header(file.metadata()?.len(), mode);
    archive.append_data(&mut header, path, file)
}

fn add_link(archive: &mut tar::Builder<impl Write>, path: &Path, to: &Path) -> io::Result<()> {
    let mut header = header(0, 0o777);
    header.set_entry_type(tar::EntryType::Symlink);
    archive.append_link(&mut header, path, to)
}

/// The files that the executable needs at run time: what of it is mapped into this process now, and the
/// program loader under the name that the executable asks for. None for a static executable.
fn libraries() -> io::Result<Vec<PathBuf>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let own = std::env::current_exe()?;
    let mut found = BTreeSet::new();
    for line in maps.lines() {
        let Some(at) = line.find('/') else { continue };
        let path = PathBuf::from(&line[at..]);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_library = name.ends_with(".so") || name.contains(".so.");
        if is_library && path != own && path.is_file() {
            found.insert(path);
        }
    }
    if !found.is_empty() {
        for loader in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux-armhf.so.3"] {
            if Path::new(loader).exists() {
                found.insert(PathBuf::from(loader));
            }
        }
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_image_is_made_of_one_executable_under_many_names() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let executable = dir.path().join("program");
        fs::write(&executable, "not really").unwrap();
        let make = |name: &str| image(&store, &ImageName::parse(name).unwrap(), &executable).unwrap();
        let made = make("tutor/web:2").unwrap();
        assert_eq!(made.name, "docker.io/tutor/web:2");
        let unpacked = store.unpack(&made).unwrap();
        assert_eq!(unpacked.config.entrypoint, ["/bin/web"]);
        assert!(unpacked.config.env.contains(&"VERSION=2".to_owned()));
        let root = &unpacked.layers[0];
        assert_eq!(fs::read_link(root.join("bin/sh")).unwrap(), Path::new("/tutor"));
        assert_eq!(fs::read_to_string(root.join("tutor")).unwrap(), "not really");
        let shell = make("tutor/shell").unwrap();
        assert_eq!(shell.layers, made.layers);
        let config = store.config(&shell).unwrap().config;
        assert_eq!((config.entrypoint.len(), config.cmd), (0, vec!["/bin/sh".to_owned()]));
        assert_eq!(make("tutor/web:2"), Some(made.clone()));
        fs::write(&executable, "another one").unwrap();
        assert_ne!(make("tutor/web:2").unwrap().layers, made.layers);
        assert!(make("tutor/web:9").is_none() && make("tutor/none:1").is_none());
    }
}
