//! The UTS namespace: a host name of its own.
//!
//! Without it: `hostname` in a container prints the host's, and a container that may set it renames
//! the host. The name is all there is to it; Kubernetes makes it the Pod's. Source: uts_namespaces(7).
//! Chapter: `book/src/inside/runtime.md`.

use std::io;

use nix::sched::{CloneFlags, unshare};

/// The longest name. Source: `HOST_NAME_MAX`.
const LONGEST: usize = 64;

/// Goes into a new namespace with this name.
pub fn enter(hostname: &str) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUTS)?;
    let name = hostname.as_bytes();
    Ok(rustix::system::sethostname(&name[..name.len().min(LONGEST)])?)
}
