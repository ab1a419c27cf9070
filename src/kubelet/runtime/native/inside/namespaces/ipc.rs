//! The IPC namespace: shared memory and message queues of its own.
//!
//! Without it: a container finds the host's System V shared memory by number, reads it and removes it.
//! The containers of one Pod share one, so that they can talk like that if they want to.
//! Source: ipc_namespaces(7). Chapter: `book/src/inside/runtime.md`.

use std::io;

use nix::sched::{CloneFlags, unshare};

/// Goes into a new namespace.
pub fn enter() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWIPC)?)
}
