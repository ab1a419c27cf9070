//! A node's images: tutor's own store first, then docker's.
//!
//! In: a name. Out: an image that docker has. What is in tutor's store (the course's images, which are made
//! of tutor itself, and what `tutor image build` made) is handed to docker; so is what a registry of this machine has,
//! which tutor pulls: to docker, perhaps in a machine of its own, 127.0.0.1 is somebody else. Everything else docker
//! pulls. What was handed over and is in the store no more, is gone for docker, too. An image that docker had already is
//! used as it is, and never removed from here.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::{BTreeMap, BTreeSet};

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::ImageInspect;
use bollard::query_parameters::{CreateImageOptions, ImportImageOptions, RemoveImageOptions};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use super::words::{failed, is_missing, said};
use crate::images::{self, ImageName, Registries, Stored, is_course};
use crate::kubelet::runtime::{Credentials, Image, Result, RuntimeError};
use crate::tasks::TaskGroup;

/// What is in flight between the store and docker.
const PIPE_BYTES: usize = 256 * 1024;
/// On which images made of tutor say what they were made of.
const MADE_OF: &str = "dev.tutor.executable";

/// The images of one machine: its nodes share them, as they share its disk.
pub struct Images {
    docker: Docker,
    registries: Registries,
    tasks: TaskGroup,
    /// Those that were asked for, by their whole name.
    seen: Mutex<BTreeMap<String, Image>>,
    /// Those of them that came to docker through us.
    ours: Mutex<BTreeSet<String>>,
    /// And those that came from the store.
    handed: Mutex<BTreeSet<String>>,
    /// What docker calls an image of our store, by its configuration's digest.
    loaded: Mutex<BTreeMap<String, String>>,
    /// One load at a time: they share a layer, which docker then has already.
    loading: tokio::sync::Mutex<()>,
}

/// An image in docker's store.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the node reports.
    pub image: Image,
    /// Docker's own id for it.
    pub docker_id: String,
    /// What asks its process to stop; empty: `SIGTERM`.
    pub stop_signal: String,
    labels: std::collections::HashMap<String, String>,
}

fn not_pulled(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::new("ErrImagePull", error.to_string())
}

impl Images {
    /// Docker's, and those of our store.
    pub fn new(docker: Docker, registries: Registries, tasks: &TaskGroup) -> Images {
        let (seen, ours, handed) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (loaded, loading) = (Mutex::default(), Default::default());
        Images { docker, registries, tasks: tasks.clone(), seen, ours, handed, loaded, loading }
    }

    /// The image, if it is on the node.
    pub async fn get(&self, name: &str) -> Option<Found> {
        let name = ImageName::parse(name).ok()?;
        match self.registries.find(&name) {
            Some(stored) => self.hand_over(&name, &stored).await.ok(),
            // One that an older tutor was put into is not the course's any more.
            None if is_course(&name) => None,
            None if self.handed.lock().contains(&name.to_string()) => {
                self.take_back(&name.to_string()).await;
                None
            }
            None => self.look(&name).await.ok().flatten(),
        }
    }

    /// Fetches it.
    pub async fn pull(&self, name: &str, credentials: Option<&Credentials>) -> Result<Found> {
        let name = ImageName::parse(name).map_err(not_pulled)?;
        if is_course(&name) {
            let stored = self.registries.pull(&name, None).await.map_err(not_pulled)?;
            return self.hand_over(&name, &stored).await;
        }
        if name.is_of_this_machine() {
            let who = credentials
                .map(|it| images::Credentials { username: it.username.clone(), password: it.password.clone() });
            let stored = self.registries.pull(&name, who.as_ref()).await.map_err(not_pulled)?;
            return self.hand_over(&name, &stored).await;
        }
        if let Some(stored) = self.registries.find(&name) {
            return self.hand_over(&name, &stored).await;
        }
        let options = CreateImageOptions {
            from_image: Some(name.repository()),
            tag: Some(name.reference()),
            ..CreateImageOptions::default()
        };
        let login = credentials.map(|it| DockerCredentials {
            username: Some(it.username.clone()),
            password: Some(it.password.clone()),
            serveraddress: Some(name.host.clone()),
            ..DockerCredentials::default()
        });
        let refused = |error| not_pulled(format!("Error response from daemon: {}", said(&error)));
        let mut steps = std::pin::pin!(self.docker.create_image(Some(options), None, login));
        while let Some(step) = steps.next().await {
            if let Some(why) = step.map_err(refused)?.error_detail.and_then(|detail| detail.message) {
                return Err(not_pulled(format!("Error response from daemon: {why}")));
            }
        }
        self.ours.lock().insert(name.to_string());
        self.look(&name).await?.ok_or_else(|| not_pulled(format!("{name}: not found")))
    }

    /// Takes from docker what the store has no more. Docker keeps it as long as a container uses it.
    async fn take_back(&self, whole: &str) {
        // Docker may have lost it, too.
        let _ = self.docker.remove_image(whole, Some(RemoveImageOptions::default()), None).await;
        for known in [&self.ours, &self.handed] {
            known.lock().remove(whole);
        }
        self.seen.lock().remove(whole);
    }

    /// Deletes one that came through us; another is not ours to delete.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let Ok(name) = ImageName::parse(name) else { return Ok(()) };
        let whole = name.to_string();
        if !self.ours.lock().contains(&whole) {
            return Ok(());
        }
        match self.docker.remove_image(&whole, Some(RemoveImageOptions::default()), None).await {
            Err(error) if !is_missing(&error) => return Err(failed("RemoveImageError")(error)),
            _ => {}
        }
        self.ours.lock().remove(&whole);
        self.handed.lock().remove(&whole);
        self.seen.lock().remove(&whole);
        let store = self.registries.store().clone();
        let Some(stored) = store.find(&name) else { return Ok(()) };
        let removed = self.tasks.blocking(move || store.remove(&stored).and_then(|()| store.collect_content())).await;
        removed.map(drop).map_err(|error| RuntimeError::new("RemoveImageError", error.to_string()))
    }

    /// An image's layers as folders, lowest first: for a volume. Only those of our own store can be shown so.
    pub async fn layers(&self, name: &str) -> Result<Vec<std::path::PathBuf>> {
        let parsed = ImageName::parse(name).map_err(not_pulled)?;
        let stored = match self.registries.find(&parsed) {
            Some(stored) => stored,
            None => self.registries.pull(&parsed, None).await.map_err(not_pulled)?,
        };
        let store = self.registries.store().clone();
        let unpacked = self.tasks.blocking(move || store.unpack(&stored)).await;
        Ok(unpacked.map_err(not_pulled)?.layers)
    }

    /// Those that were asked for, largest first: what else docker has is its owner's.
    pub fn list(&self) -> Vec<Image> {
        let mut all: Vec<Image> = self.seen.lock().values().cloned().collect();
        all.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.name.cmp(&b.name)));
        all
    }

    /// As docker has it.
    async fn look(&self, name: &ImageName) -> Result<Option<Found>> {
        self.look_at(name, &name.to_string()).await
    }

    /// The same for one of our store: what is named by its digest is loaded without a name, and found by its id.
    async fn look_for(&self, name: &ImageName, stored: &Stored) -> Result<Option<Found>> {
        if name.digest.is_none() {
            return self.look(name).await;
        }
        for id in [&stored.config, &stored.manifest] {
            if let Some(found) = self.look_at(name, id).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn look_at(&self, name: &ImageName, reference: &str) -> Result<Option<Found>> {
        match self.docker.inspect_image(reference).await {
            Ok(found) => {
                let found = described(name, found);
                self.seen.lock().insert(name.to_string(), found.image.clone());
                Ok(Some(found))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("ImageInspectError")(error)),
        }
    }

    /// Makes sure that docker has an image of our store.
    async fn hand_over(&self, name: &ImageName, stored: &Stored) -> Result<Found> {
        let _one_at_a_time = self.loading.lock().await;
        let before = self.look_for(name, stored).await?;
        let known = self.loaded.lock().get(&stored.config).cloned();
        let is_it = |found: &Found| {
            [&stored.config, &stored.manifest].into_iter().chain(&known).any(|id| *id == found.docker_id)
        };
        self.handed.lock().insert(name.to_string());
        if let Some(found) = before.clone().filter(is_it) {
            return Ok(self.as_stored(name, stored, found));
        }
        self.load(stored).await?;
        let found = self.look_for(name, stored).await?.ok_or_else(|| not_pulled(format!("{name}: not found")))?;
        self.loaded.lock().insert(stored.config.clone(), found.docker_id.clone());
        self.ours.lock().insert(name.to_string());
        // What an older tutor was put into has no name any more, and nobody else's use.
        if let Some(old) = before.filter(|old| old.labels.contains_key(MADE_OF) && old.docker_id != found.docker_id) {
            // Refused as long as a container uses it.
            let _ = self.docker.remove_image(&old.docker_id, Some(RemoveImageOptions::default()), None).await;
        }
        Ok(self.as_stored(name, stored, found))
    }

    /// It has the digest that our store knows it by.
    fn as_stored(&self, name: &ImageName, stored: &Stored, mut found: Found) -> Found {
        found.image.id = stored.id();
        self.seen.lock().insert(name.to_string(), found.image.clone());
        found
    }

    async fn load(&self, stored: &Stored) -> Result<()> {
        let (store, stored) = (self.registries.store().clone(), stored.clone());
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let archive = SyncIoBridge::new(ours);
        let written = self.tasks.blocking(move || images::save(&store, &[stored], archive));
        let options = ImportImageOptions { quiet: true, ..ImportImageOptions::default() };
        let taken = self.docker.import_image_stream(options, ReaderStream::new(theirs), None);
        let taken = taken.try_for_each(|_| async { Ok(()) });
        let (written, taken) = futures::join!(written, taken);
        // Docker's word first: when it hangs up, writing fails as well.
        taken.map_err(|error| not_pulled(format!("Error response from daemon: {}", said(&error))))?;
        written.map_err(not_pulled)
    }
}

fn described(name: &ImageName, found: ImageInspect) -> Found {
    let docker_id = found.id.unwrap_or_default();
    let id = found.repo_digests.unwrap_or_default().into_iter().next();
    let config = found.config.unwrap_or_default();
    let image = Image {
        name: name.to_string(),
        id: id.unwrap_or_else(|| format!("{}@{docker_id}", name.repository())),
        size_bytes: found.size.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
    };
    Found {
        image,
        docker_id,
        stop_signal: config.stop_signal.unwrap_or_default(),
        labels: config.labels.unwrap_or_default(),
    }
}
