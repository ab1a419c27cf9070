//! What happens inside: code that runs in processes tutor starts from its own executable, never in tutor.
//!
//! Each of these processes has one thread and no async runtime, because the kernel lets only such a
//! process change its namespaces; `main.rs` asks [`enter`] before anything else is started. They are
//! told apart by the name they are started with, which is also what `ps` shows. Read in this order:
//! [`machine`], [`pause`], [`container`]; then [`namespaces`], one wall a file, [`rootfs`],
//! [`privileges`], [`seccomp`], [`leaks`]. Chapter: `book/src/inside/runtime.md`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

mod children;
mod container;
pub(in crate::kubelet::runtime) mod docker;
mod leaks;
mod machine;
pub(super) mod namespaces;
mod pause;
pub(super) mod privileges;
mod rootfs;
mod seccomp;
mod sockets;
mod users;
mod walls;

/// The name of the machine's first process.
pub(super) const MACHINE: &str = "tutor-machine";
/// Its child, number 1.
const MACHINE_INSIDE: &str = "tutor-machine-inside";
/// A Pod's first process.
const PAUSE: &str = "tutor-pause";
/// A process that will be a container's.
const CONTAINER: &str = "tutor-container";
/// A process that goes behind one wall after the other.
pub(super) const WALLS: &str = "tutor-walls";
/// Its child, number 1.
const WALLS_INSIDE: &str = "tutor-walls-inside";

/// Whether this process's `main` asked [`enter`]: only such a program may be started again.
static ASKED: AtomicBool = AtomicBool::new(false);

/// If this process was started by tutor to be part of the runtime, is that until its end.
pub fn enter() -> Option<ExitCode> {
    ASKED.store(true, Ordering::Relaxed);
    let name = std::env::args_os().next()?;
    match name.to_str()? {
        MACHINE => Some(machine::main()),
        MACHINE_INSIDE => Some(machine::inside()),
        PAUSE => Some(pause::main()),
        CONTAINER => Some(container::main()),
        WALLS => Some(walls::main()),
        WALLS_INSIDE => Some(walls::inside()),
        docker::IN_IMAGES => docker::main(),
        _ => None,
    }
}

/// Whether this process's `main` asked what it was started for.
pub(super) fn was_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Whether a process of this name was started to be a part of the runtime.
pub(super) fn is_part(name: &str) -> bool {
    [MACHINE, MACHINE_INSIDE, PAUSE, CONTAINER, WALLS, WALLS_INSIDE].contains(&name)
}

/// The executable `program`, tutor's, under one of these names. It inherits no variables: what tutor knows
/// of its user's shell is none of a container's business.
pub(super) fn command(program: &Path, name: &str) -> Command {
    let mut command = Command::new(program);
    command.arg0(name).env_clear();
    command
}

/// The same executable once more.
fn myself(name: &str) -> Command {
    command(Path::new("/proc/self/exe"), name)
}
