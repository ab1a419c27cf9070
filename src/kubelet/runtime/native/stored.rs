//! Images from registries and the course's own, through the image store.
//!
//! In: a name. Out: an image whose layers were fetched, verified and unpacked by `images/`; the runtime's
//! [`Images`] over it. An error is in containerd's words. Chapter: `book/src/inside/images.md`.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::images::{Images, Unpacked};
use crate::images::{ImageName, Registries, Store, Stored as StoredImage};
use crate::kubelet::runtime::{Credentials, Image, Result, RuntimeError};
use crate::tasks::TaskGroup;

/// The images of one machine's store: its nodes share it, as they share its disk.
pub struct Stored {
    registries: Registries,
    tasks: TaskGroup,
    /// Held while layers are unpacked: nodes that start the same image at once do it once.
    unpacking: Arc<Mutex<()>>,
}

fn failed(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::new("ErrImagePull", error.to_string())
}

/// Lays an image out for a container. Blocking.
fn unpack(store: &Store, image: &StoredImage) -> Result<Unpacked> {
    let unpacked = store.unpack(image).map_err(failed)?;
    let config = unpacked.config;
    let pair = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Unpacked {
        image: described(image, config.user),
        layers: unpacked.layers,
        mounts: Vec::new(),
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        env: config.env.iter().filter_map(pair).collect(),
        working_dir: config.working_dir,
        stop_signal: config.stop_signal,
    })
}

fn described(image: &StoredImage, user: String) -> Image {
    let size_bytes = i64::try_from(image.size_bytes).unwrap_or(i64::MAX);
    Image { name: image.name.clone(), id: image.id(), size_bytes, user }
}

impl Stored {
    /// The images that these registries put into their store.
    pub fn new(registries: Registries, tasks: &TaskGroup) -> Self {
        Stored { registries, tasks: tasks.clone(), unpacking: Arc::default() }
    }

    async fn ready(&self, image: StoredImage) -> Result<Unpacked> {
        let store = self.registries.store().clone();
        let unpacking = self.unpacking.clone();
        self.tasks
            .blocking(move || {
                let _turn = unpacking.lock();
                unpack(&store, &image)
            })
            .await
    }
}

impl Images for Stored {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Unpacked>> {
        async move {
            let image = self.registries.find(&ImageName::parse(name).ok()?)?;
            self.ready(image).await.ok()
        }
        .boxed()
    }

    fn pull<'a>(&'a self, name: &'a str, credentials: Option<&'a Credentials>) -> BoxFuture<'a, Result<Unpacked>> {
        async move {
            let credentials = credentials
                .map(|it| crate::images::Credentials { username: it.username.clone(), password: it.password.clone() });
            let name = ImageName::parse(name).map_err(failed)?;
            let pulled = self.registries.pull(&name, credentials.as_ref()).await.map_err(failed)?;
            self.ready(pulled).await
        }
        .boxed()
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let store = self.registries.store().clone();
            let Some(image) = ImageName::parse(name).ok().and_then(|name| store.find(&name)) else { return Ok(()) };
            // Its unpacked layers may be a running container's; they go at the next start.
            let removed =
                self.tasks.blocking(move || store.remove(&image).and_then(|()| store.collect_content())).await;
            removed.map(drop).map_err(failed)
        }
        .boxed()
    }

    fn list(&self) -> BoxFuture<'_, Vec<Image>> {
        async move {
            let store = self.registries.store();
            let user = |image: &StoredImage| store.config(image).map(|file| file.config.user).unwrap_or_default();
            let all = store.list().unwrap_or_default();
            let mut images: Vec<Image> = all.iter().map(|image| described(image, user(image))).collect();
            images.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.name.cmp(&b.name)));
            images
        }
        .boxed()
    }
}
