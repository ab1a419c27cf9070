//! The docker runtime where it cannot be: the course's images are made of tutor's own program.
//!
//! The same names as in `docker/`, so that the rest of tutor builds on macOS and Windows without asking where
//! it is; a [`Host`] cannot exist here. Docker runs Linux programs there too, in a machine of its own, and this
//! tutor is none. Chapter: `book/src/inside/runtime.md`.

use std::sync::Arc;

use super::Runtime;
use crate::error::{Error, Result};
use crate::tasks::TaskGroup;

/// Docker may be there, but it cannot be used from here.
pub fn available() -> bool {
    false
}

/// What stands in the way.
pub fn obstacle() -> Option<Error> {
    let why = "the course's images are made of tutor's own program, which is none for Linux here";
    Some(Error::new("docker containers cannot be made on this machine", why).hint("use --runtime simulated"))
}

/// A host that cannot be.
pub enum Host {}

/// How it would be asked for.
pub mod host {
    use std::net::Ipv4Addr;
    use std::path::PathBuf;

    /// Where and with what.
    #[derive(Clone)]
    #[allow(missing_docs, reason = "the names are those of the real one")]
    pub struct Options {
        pub folder: PathBuf,
        pub socket: Option<PathBuf>,
        pub pods: (Ipv4Addr, u8),
        pub services: (Ipv4Addr, u8),
        pub nodes: (Ipv4Addr, u8),
        pub registries: crate::images::Registries,
        pub clock: crate::clock::Clock,
    }
}

impl Host {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub async fn start(_: host::Options, _: &TaskGroup) -> Result<Host> {
        Err(obstacle().unwrap_or_else(|| Error::new("docker containers cannot be made on this machine", "")))
    }

    /// A node's runtime.
    ///
    /// # Errors
    /// There is no host to ask.
    pub fn node(self: &Arc<Self>, _: &str, _: &str) -> Result<Arc<dyn Runtime>> {
        match **self {}
    }

    /// Pulls a node's plug.
    pub fn power_off(self: &Arc<Self>, _: &str) {
        match **self {}
    }

    /// The way to Services.
    ///
    /// # Errors
    /// There is no host to ask.
    pub async fn wire(&self) -> std::result::Result<Arc<dyn crate::network::Wire>, String> {
        match *self {}
    }

    /// What docker it is.
    pub fn said(&self) -> String {
        match *self {}
    }

    /// Ends everything.
    pub async fn stop(&self) {
        match *self {}
    }
}
