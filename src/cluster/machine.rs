//! The computer on which native nodes run, and where their images come from.
//!
//! In: the cluster's options. Out: a [`Machine`] that gives each node its runtime; none where containers are
//! not real. Never: a decision of the cluster's. Chapter: `book/src/inside/runtime.md`.

use std::path::Path;
use std::sync::Arc;

use super::{Options, REGISTRY, Runtime, StoreIn};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::images;
use crate::kubelet::runtime::native::{self, Host};
use crate::kubelet::{self, NodeConfig};
use crate::tasks::TaskGroup;

/// The computer behind all nodes: one kernel, one disk.
pub(super) struct Machine {
    pub host: Arc<Host>,
    images: Arc<native::stored::Stored>,
}

impl Machine {
    /// A node's runtime on it.
    pub fn node(&self, config: &NodeConfig) -> Result<Arc<dyn kubelet::runtime::Runtime>> {
        let place = native::host::Place { node: &config.name, pod_cidr: &config.pod_cidr, address: &config.address };
        self.host.node(&place, self.images.clone())
    }
}

/// Where native containers keep what they have, inside the state folder.
const NATIVE: &str = "native";

/// The computer behind the nodes and its images, if containers are to be real.
pub(super) async fn start(options: &Options, tasks: &TaskGroup) -> Result<Option<Machine>> {
    match (&options.store, options.runtime.settle().0) {
        (StoreIn::Folder(folder), Runtime::Native) => {
            let host = Host::start(native::host::Options::new(folder.join(NATIVE), options.clock), tasks).await?;
            let images = native_images(folder, options.clock, tasks)?;
            Ok(Some(Machine { host: Arc::new(host), images }))
        }
        (StoreIn::Memory, Runtime::Native) => {
            Err(Error::new("native containers need a state folder", "this cluster keeps its state in memory"))
        }
        (_, Runtime::Auto | Runtime::Simulated) => Ok(None),
    }
}

/// The images of native containers; what none needs any more goes now, before a container runs.
fn native_images(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Result<Arc<native::stored::Stored>> {
    let store = images::Store::open(&folder.join(REGISTRY))?;
    store.collect()?;
    let registries = images::Registries::new(store, clock, tasks)?;
    Ok(Arc::new(native::stored::Stored::new(registries, tasks)))
}
