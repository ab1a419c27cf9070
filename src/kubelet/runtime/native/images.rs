//! Where the native runtime gets its images from.
//!
//! In: a name. Out: an image's layers as folders, and what its author says of running it. The runtime
//! only reads layers; who fetches, checks and unpacks them is behind this trait.
//! Chapter: `book/src/inside/runtime.md`.

use std::path::PathBuf;

use futures::future::BoxFuture;

use super::messages::Mount;
use crate::kubelet::runtime::{Credentials, Image, Result};

/// An image that is on this machine, unpacked.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// What the node reports.
    pub image: Image,
    /// Its layers as folders, lowest first.
    pub layers: Vec<PathBuf>,
    /// Folders of this machine that belong to it.
    pub mounts: Vec<Mount>,
    /// What runs.
    pub entrypoint: Vec<String>,
    /// Its arguments.
    pub cmd: Vec<String>,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// Where it starts; empty: `/`.
    pub working_dir: String,
    /// What asks it to stop; empty: `SIGTERM`.
    pub stop_signal: String,
}

/// The images of one node.
pub trait Images: Send + Sync {
    /// The image, if it is on the node.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Unpacked>>;

    /// Fetches it.
    fn pull<'a>(&'a self, name: &'a str, credentials: Option<&'a Credentials>) -> BoxFuture<'a, Result<Unpacked>>;

    /// Deletes it from the node.
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;

    /// All of them, largest first.
    fn list(&self) -> BoxFuture<'_, Vec<Image>>;
}
