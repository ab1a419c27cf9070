//! The control group and its namespace: a share, and no sight of the others' shares.
//!
//! A control group is no namespace: it is a folder of the kernel's, with a file of process numbers and
//! files of limits. Without it one container takes all memory and all processors. Its namespace makes
//! the container's group look like the top of the tree; without it `/proc/self/cgroup` tells where on
//! the host it runs. Who makes the groups: `limits.rs`, from outside. Source: cgroups(7).
//! Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, unshare};

/// Enters groups by their open `cgroup.procs` files, then hides what is above them. "0" is whoever writes.
pub fn enter(groups: &[OwnedFd]) -> io::Result<()> {
    for group in groups {
        rustix::io::write(group, b"0")?;
    }
    Ok(unshare(CloneFlags::CLONE_NEWCGROUP)?)
}
