//! The process namespace: number 1, and nobody else to see or to kill.
//!
//! Without it: `ps` in a container lists the host's processes, `kill` reaches those of the same user,
//! and what a container leaves behind when it ends runs on. With it the first process is number 1, its
//! children are all there is, and when it ends the kernel kills the rest: nothing can be left behind.
//! A process cannot change its own number, so the namespace holds from the next child on.
//! Source: pid_namespaces(7). Chapter: `book/src/inside/runtime.md`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command};

use nix::sched::{CloneFlags, unshare};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

/// Starts `command` as number 1 of a new namespace; whatever the caller starts later is born there too.
pub fn spawn_first(command: &mut Command) -> io::Result<Child> {
    unshare(CloneFlags::CLONE_NEWPID)?;
    command.spawn()
}

/// Starts `command` as number 1 of a new namespace, and stays able to do it again: for a caller whose
/// own namespace belongs to its user namespace, as going back takes the right to go there.
pub fn spawn_apart(command: &mut Command) -> io::Result<Child> {
    let child = spawn_first(command);
    come_back()?;
    child
}

/// Starts `command` as one more process of the namespace in which `process` lives.
pub fn spawn_beside(command: &mut Command, process: BorrowedFd<'_>) -> io::Result<Child> {
    rustix::thread::move_into_thread_name_spaces(process, ThreadNameSpaceType::PROCESS_ID)?;
    let child = command.spawn();
    come_back()?;
    child
}

/// Lets the next child be born here again.
fn come_back() -> io::Result<()> {
    let own = File::open("/proc/self/ns/pid")?;
    Ok(rustix::thread::move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID))?)
}
