//! Images as files: what `docker save` writes and `docker load` reads.
//!
//! In: a tar archive, in Docker's form (`manifest.json`) or as an OCI layout (`index.json`); both are in what
//! today's Docker writes. Out: images in the store; or an archive that both forms can be read from.
//! Source: Docker's image specification 1.2, OCI image layout 1.1. Blocking.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::Deserialize;
use serde_json::{Value, json};

use super::manifest::{Descriptor, MANIFEST_MAX, Manifest, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use super::name::ImageName;
use super::store::{Store, Stored};
use crate::error::{Error, Result};
use crate::registry::{Digest, Written};

/// A file of an archive that lists others.
const LIST_MAX: u64 = 8 << 20;
/// Files of an archive.
const MOST_FILES: usize = 100_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Takes the images of an archive into the store.
///
/// # Errors
/// When it is no such archive, or something in it is missing or damaged. Images before that one stay.
pub fn load(store: &Store, archive: impl Read) -> Result<Vec<Stored>> {
    let bad = |why: String| {
        Error::new("this is no archive of images", why).hint("make one: docker save IMAGE -o FILE, or tutor image save")
    };
    let files = contents(store, archive).map_err(|error| bad(error.to_string()))?;
    let text = |name: &str| -> Result<Option<Vec<u8>>> {
        let Some(file) = files.get(name) else { return Ok(None) };
        store.content.read(&file.digest, LIST_MAX).map(Some).map_err(|error| bad(error.to_string()))
    };
    if let Some(list) = text("manifest.json")? {
        let entries: Vec<DockerEntry> = serde_json::from_slice(&list).map_err(|error| bad(error.to_string()))?;
        return entries
            .iter()
            .map(|entry| docker(store, &files, entry).map_err(bad))
            .collect::<Result<Vec<_>>>()
            .map(|all| all.concat());
    }
    let Some(index) = text("index.json")? else {
        return Err(bad("it has neither manifest.json nor index.json".to_owned()));
    };
    let index = Manifest::parse(&index).map_err(bad)?;
    let mut loaded = Vec::new();
    for entry in &index.manifests {
        let keys = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        let name = keys.iter().find_map(|key| entry.annotations.get(*key));
        let name = name.ok_or_else(|| bad("its index gives an image no name".to_owned()))?;
        let name = ImageName::parse(name).map_err(bad)?;
        loaded.push(store.record(&name, &entry.digest().map_err(bad)?)?);
    }
    Ok(loaded)
}

/// Every file of the archive, as content.
fn contents(store: &Store, archive: impl Read) -> io::Result<BTreeMap<String, Written>> {
    let mut files = BTreeMap::new();
    let mut links: Vec<(String, String)> = Vec::new();
    for (count, entry) in tar::Archive::new(archive).entries()?.enumerate() {
        let entry = entry?;
        if count >= MOST_FILES {
            return Err(io::Error::other(format!("it has more than {MOST_FILES} files")));
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if let Some(link) = entry.link_name()?.filter(|_| !entry.header().entry_type().is_file()) {
            // Old Docker writes a layer once and links to it: `../<id>/layer.tar`.
            links.push((path, link.to_string_lossy().trim_start_matches("../").to_owned()));
        } else if entry.header().entry_type().is_file() {
            files.insert(path, store.content.write(entry, None)?);
        }
    }
    for (path, to) in links {
        if let Some(file) = files.get(&to).cloned() {
            files.insert(path, file);
        }
    }
    Ok(files)
}

/// An image of Docker's list: it has no manifest, so one is written for it.
fn docker(
    store: &Store,
    files: &BTreeMap<String, Written>,
    entry: &DockerEntry,
) -> std::result::Result<Vec<Stored>, String> {
    let find = |name: &String| files.get(name).ok_or_else(|| format!("{name} is not in it"));
    let describe = |file: &Written, media_type: &str| Descriptor {
        media_type: media_type.to_owned(),
        digest: file.digest.to_string(),
        size: file.size,
        ..Descriptor::default()
    };
    let mut layers = Vec::new();
    for layer in &entry.layers {
        layers.push(describe(find(layer)?, OCI_LAYER));
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: Some(describe(find(&entry.config)?, OCI_CONFIG)),
        layers,
        manifests: Vec::new(),
    };
    let bytes = serde_json::to_vec(&manifest).map_err(|error| error.to_string())?;
    let written = store.content.write(bytes.as_slice(), None).map_err(|error| error.to_string())?;
    let tags = entry.repo_tags.clone().unwrap_or_default();
    if tags.is_empty() {
        return Err("an image in it has no name: save it by its name".to_owned());
    }
    let record =
        |tag: &String| store.record(&ImageName::parse(tag)?, &written.digest).map_err(|error| error.to_string());
    tags.iter().map(record).collect()
}

/// Writes images as an archive that Docker and OCI tools can load.
///
/// # Errors
/// When content is missing or the archive cannot be written.
pub fn save(store: &Store, images: &[Stored], to: impl Write) -> Result<()> {
    write(store, images, to).map_err(|error| Error::new("the images cannot be saved", error.to_string()))
}

fn write(store: &Store, images: &[Stored], to: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let mut written: Vec<String> = Vec::new();
    let mut entries = Vec::new();
    let mut manifests = Vec::new();
    for image in images {
        let path = |digest: &String| format!("blobs/{}", digest.replace(':', "/"));
        for digest in [&image.manifest, &image.config].into_iter().chain(&image.layers) {
            let name = path(digest);
            let parsed = Digest::parse(digest).ok_or_else(|| io::Error::other(format!("{digest:?} is no digest")))?;
            if !written.contains(&name) {
                let mut file = std::fs::File::open(store.content.path(&parsed))?;
                let mut header = header(file.metadata()?.len());
                archive.append_data(&mut header, &name, &mut file)?;
                written.push(name);
            }
        }
        let name = ImageName::parse(&image.name).map_err(io::Error::other)?;
        let layers: Vec<String> = image.layers.iter().map(path).collect();
        entries.push(json!({"Config": path(&image.config), "RepoTags": [name.familiar()], "Layers": layers}));
        let digest = Digest::parse(&image.manifest).ok_or_else(|| io::Error::other("no digest"))?;
        let size = store.content.read(&digest, MANIFEST_MAX)?.len();
        let media_type = if image.media_type.is_empty() { OCI_MANIFEST } else { &image.media_type };
        manifests.push(json!({"mediaType": media_type, "digest": image.manifest, "size": size, "annotations":
            {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": name.reference()}}));
    }
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    for (name, value) in [
        ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
        ("index.json", index),
        ("manifest.json", Value::Array(entries)),
    ] {
        let text = value.to_string();
        archive.append_data(&mut header(text.len() as u64), name, text.as_bytes())?;
    }
    archive.finish()
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header
}
