//! The composition root: builds the store, the API server, the loops and the nodes, and joins them.
//!
//! In: [`Options`]. Out: a running [`Cluster`]. This is the one place where everything below is
//! visible at once; read it to see what a Kubernetes cluster consists of. Each part gets its own
//! client and so its own identity: parts meet only at the API server. Chapter: "The cluster".

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::apiserver::auth::Peer;
use crate::apiserver::pki::Authority;
use crate::apiserver::{self, ApiServer};
use crate::client::switch::Mode;
use crate::client::{self, Switches};
use crate::clock::Clock;
use crate::controllers;
use crate::error::{Error, Result};
use crate::etcd::{self, Etcd};
use crate::kubelet::{self, Kubelets};
use crate::registry::Registry;
use crate::scheduler::{self, Scheduler};
use crate::tasks::TaskGroup;

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its state lives.
    pub store: StoreIn,
    /// How many worker nodes.
    pub nodes: u16,
    /// What runs the containers.
    pub runtime: Runtime,
    /// Which loops run: `all`, names, `-name`.
    pub controllers: Vec<String>,
    /// The source of time.
    pub clock: Clock,
}

/// Where a cluster's state lives.
#[derive(Clone, Debug)]
pub enum StoreIn {
    /// Nowhere: it is gone with the process. For tests.
    Memory,
    /// In this folder.
    Folder(PathBuf),
}

/// What runs the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The best this machine allows.
    Auto,
    /// Pods have lives but no processes.
    Simulated,
}

impl Runtime {
    /// What is used, and why.
    pub fn settle(self) -> (Runtime, &'static str) {
        match self {
            Runtime::Auto => (Runtime::Simulated, "it is the one this version of tutor has"),
            Runtime::Simulated => (Runtime::Simulated, "--runtime simulated"),
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtime::Auto => "auto",
            Runtime::Simulated => "simulated",
        })
    }
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Runtime::Auto),
            "simulated" => Ok(Runtime::Simulated),
            "native" | "docker" => Err(format!("this version of tutor cannot run {text} containers; use simulated or auto")),
            _ => Err("expected auto or simulated".to_owned()),
        }
    }
}
