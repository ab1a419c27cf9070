//! A playground's registries, and images that are built beside it.
//!
//! In: addresses, the state folder. Out: an open registry, whose folder is also the machine's store of images; a
//! private one, which wants a login; images from Dockerfiles. Chapter: `book/src/servers/registries.md`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::Cluster;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::images::{Credentials, Logins, Registries, Store, Stored, build};
use crate::kubelet::runtime::native;
use crate::registry::Registry;
use crate::state;
use crate::tasks::TaskGroup;

/// Where images are kept inside the state folder: the registry's folder, as their content is the same.
pub const REGISTRY: &str = "registry";

/// Docker's `config.json` for the private registry, inside the state folder: `DOCKER_CONFIG` is its folder.
pub const LOGIN: &str = "login/config.json";

impl Cluster {
    /// Serves the image registry over plain HTTP, as clients expect of loopback. It stands for the registries `behind`
    /// it: what it does not have of theirs, it fetches.
    ///
    /// # Errors
    /// When its folder cannot be used, or one of these is no registry.
    pub fn serve_registry(&self, listener: TcpListener, folder: &Path, behind: &[String]) -> Result<SocketAddr> {
        let address = listener.local_addr().map_err(|e| Error::new("the registry has no address", e.to_string()))?;
        let serving = &self.0.serving;
        let registry = match behind {
            [] => Registry::open(folder, serving)?,
            behind => {
                let upstream = Registries::new(Store::open(folder)?, self.0.options.clock, serving)?;
                Registry::through(folder, serving, Arc::new(upstream), behind.to_vec())?
            }
        };
        let filter = registry.filter();
        self.0.serving.spawn("registry", async move { warp::serve(filter).incoming(listener).run().await });
        Ok(address)
    }

    /// Serves a private registry beside the open one: on the next loopback address, 127.0.0.2, at the same port, as
    /// clients want a login of a whole registry or of none. Its user's password is made once and kept in
    /// `login/config.json` of the state folder, in Docker's form. `None` where the system has no such address or the
    /// port is taken there.
    ///
    /// # Errors
    /// When its folder cannot be used.
    pub async fn serve_private_registry(&self, open: SocketAddr, state: &Path) -> Result<Option<SocketAddr>> {
        let file = state.join(LOGIN);
        let address = SocketAddr::from(([127, 0, 0, 2], open.port()));
        let listener = match open.ip().is_loopback() {
            true => TcpListener::bind(address).await.ok(),
            false => None,
        };
        let Some(listener) = listener else {
            // A password for a registry that is not there would mislead; there may be none.
            let _ = std::fs::remove_file(file);
            return Ok(None);
        };
        let before = Logins::at(&file);
        let known = before.registries().next().and_then(|registry| before.find(registry));
        let user = known.unwrap_or_else(|| Credentials {
            username: "learner".to_owned(),
            password: uuid::Uuid::new_v4().simple().to_string(),
        });
        std::fs::create_dir_all(state.join(LOGIN).parent().unwrap_or(state))
            .map_err(|error| Error::new("the private registry's login cannot be kept", error.to_string()))?;
        state::write_private(&file, user.config(&address.to_string()).as_bytes())?;
        let filter = Registry::private(&state.join("private-registry"), &self.0.serving, &user.basic())?.filter();
        let serving = async move { warp::serve(filter).incoming(listener).run().await };
        self.0.serving.spawn("private registry", serving);
        Ok(Some(address))
    }
}

/// Builds an image from a Dockerfile; its RUNs are native containers, whatever a playground runs.
///
/// # Errors
/// What is wrong, at which line of the Dockerfile, and what to do.
pub async fn build_image(
    registries: &Registries,
    request: &build::Request,
    state: &Path,
    tasks: &TaskGroup,
    report: build::Report<'_>,
) -> Result<Stored> {
    let workshop = native::build::Workshop::new(state.join("build"), Clock::real(), tasks);
    let built = build::build(registries, &workshop, request, report).await;
    workshop.close().await;
    built
}
