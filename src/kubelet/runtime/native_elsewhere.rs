//! The native runtime where it cannot be: containers are made of what Linux offers.
//!
//! The same names as in `native/`, so that the rest of tutor builds on macOS and Windows without asking
//! where it is; a [`Host`] cannot exist here. Chapter: `book/src/inside/runtime.md`.

use std::path::PathBuf;
use std::sync::Arc;

use super::Runtime;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::network::Wire;
use crate::tasks::TaskGroup;

/// Nothing is started again here.
pub mod inside {
    /// This process is no part of a runtime.
    pub fn enter() -> Option<std::process::ExitCode> {
        None
    }
}

/// What stands in the way.
pub mod doctor {
    /// One thing: it is not Linux.
    pub fn obstacles() -> Vec<(&'static str, &'static str)> {
        vec![("native containers need Linux", "use --runtime simulated")]
    }

    /// There are no containers whose packets could be filtered.
    pub async fn filter_refusal(_: super::Clock) -> Option<String> {
        None
    }

    /// The same.
    pub async fn refusal(_: super::Clock) -> Option<super::Error> {
        Some(super::Error::new("native containers cannot be made on this machine", "they need Linux"))
    }
}

/// Images for a runtime that is not there.
pub mod images {
    /// The images of one node.
    pub trait Images: Send + Sync {}
}

/// Images from the image store.
pub mod stored {
    /// None.
    pub struct Stored;

    impl Stored {
        /// Never asked for: there is no host.
        pub fn new(_: crate::images::Registries, _: &super::TaskGroup) -> Stored {
            Stored
        }
    }

    impl super::images::Images for Stored {}
}

/// Where a Dockerfile's RUNs would run.
pub mod build {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::{Clock, Error, PathBuf, Result, TaskGroup};
    use crate::images::build::{Command, Ran, Runner};

    /// It says that it cannot.
    pub struct Workshop;

    impl Workshop {
        /// Nothing is started.
        pub fn new(_: PathBuf, _: Clock, _: &TaskGroup) -> Workshop {
            Workshop
        }

        /// Nothing was started.
        pub async fn close(&self) {}
    }

    impl Runner for Workshop {
        fn run<'a>(&'a self, _: Command, _: &'a (dyn Fn(&str) + Send + Sync)) -> BoxFuture<'a, Result<Ran>> {
            let error = Error::new("RUN needs containers", "and they need Linux")
                .hint("build without RUN: COPY what it would make")
                .hint("or build with docker, then: docker save NAME -o FILE && tutor image load FILE");
            async { Err(error) }.boxed()
        }
    }
}

/// A host that cannot be.
pub enum Host {}

/// How it would be asked for.
pub mod host {
    use super::{Clock, PathBuf};

    /// Where and with what.
    #[derive(Clone, Debug)]
    pub struct Options;

    impl Options {
        /// Not heeded.
        pub fn new(_folder: PathBuf, _clock: Clock) -> Options {
            Options
        }
    }

    /// Where a node is.
    #[derive(Clone, Copy, Debug)]
    #[allow(missing_docs, reason = "the names say it")]
    pub struct Place<'a> {
        pub node: &'a str,
        pub pod_cidr: &'a str,
        pub address: &'a str,
    }
}

impl Host {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub async fn start(_: host::Options, _: &TaskGroup) -> Result<Host> {
        Err(Error::new("native containers cannot be made on this machine", "they need Linux")
            .hint("go on without processes: tutor serve --runtime simulated"))
    }

    /// A node's runtime.
    ///
    /// # Errors
    /// There is no host to ask.
    pub fn node(self: &Arc<Self>, _: &host::Place<'_>, _: Arc<dyn images::Images>) -> Result<Arc<dyn Runtime>> {
        match **self {}
    }

    /// The nodes' network.
    ///
    /// # Errors
    /// There is no host to ask.
    pub async fn wire(self: &Arc<Self>, _: (std::net::Ipv4Addr, u8)) -> Result<Arc<dyn Wire>> {
        match **self {}
    }

    /// Pulls a node's plug.
    pub fn power_off(&self, _: &str) {
        match *self {}
    }

    /// What is limited.
    pub fn limits_said(&self) -> String {
        match *self {}
    }

    /// Ends everything.
    pub async fn stop(&self) {
        match *self {}
    }
}
