//! A container made by hand: the process that goes behind one wall after the other, and looks around after each.
//!
//! Out, over standard input: [`Told`]. The walls are those of every container, made by the same functions, in an order
//! in which each changes something that can be seen. The first process makes what a process can make for itself; its
//! own number it cannot change, so the rest is its child's. When both have ended nothing is left: no name of a
//! namespace was ever written down. Chapter: `book/src/servers/containers.md`.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use rustix::mount::MountFlags;
use rustix::process::Signal;

use super::super::walls::{Look, Told};
use super::super::wire;
use super::namespaces::mount::{Place, Tree};
use super::namespaces::{ipc, mount, net, pid, user, uts};

/// First process: its user, its machine's name, its shared memory, its network.
pub fn main() -> ExitCode {
    ended(outer())
}

/// Second process, number 1: its processes and its files.
pub fn inside() -> ExitCode {
    ended(inner())
}

type Outcome = Result<(), (&'static str, io::Error)>;

fn ended(outcome: Outcome) -> ExitCode {
    let Err((wall, fault)) = outcome else { return ExitCode::SUCCESS };
    // If tutor is gone, there is nobody left to tell.
    let _ = wire::send(io::stdin(), &Told::Refused { wall: wall.to_owned(), why: fault.to_string() }, &[]);
    ExitCode::FAILURE
}

/// Makes a wall and looks around.
fn behind(wall: &'static str, make: impl FnOnce() -> io::Result<()>) -> Outcome {
    let look = || {
        make()?;
        wire::send(io::stdin(), &Told::Look(look(wall)?), &[])
    };
    look().map_err(|fault| (wall, fault))
}

fn outer() -> Outcome {
    behind("nothing", || Ok(()))?;
    behind("user", || {
        user::enter()?;
        wire::send(io::stdin(), &Told::Map, &[])?;
        wire::receive::<()>(io::stdin())?.ok_or(io::ErrorKind::BrokenPipe)?;
        user::become_root()
    })?;
    behind("uts", || uts::enter("inside"))?;
    behind("net", net::enter)?;
    let second = || {
        ipc::enter()?;
        let mut second = super::myself(super::WALLS_INSIDE);
        second.stdin(Stdio::from(io::stdin().as_fd().try_clone_to_owned()?));
        pid::spawn_first(&mut second)?.wait()
    };
    second().map(drop).map_err(|fault| ("pid", fault))
}

fn inner() -> Outcome {
    behind("pid", || Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?))?;
    behind("mnt", || {
        mount::enter()?;
        let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        Tree::open(Path::new("/"))?.mount("proc", "/proc", safe, "")
    })?;
    behind("files", || {
        let root = Path::new("/tmp");
        Tree::open(Path::new("/"))?.mount("tmpfs", "/tmp", MountFlags::NOSUID | MountFlags::NODEV, "mode=755")?;
        let tree = Tree::open(root)?;
        tree.mount("proc", "/proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, "")?;
        for folder in ["/bin", "/etc"] {
            tree.make(Path::new(folder), Place::Folder)?;
        }
        tree.become_root()
    })
}

fn look(wall: &str) -> io::Result<Look> {
    let about = rustix::system::uname();
    let names = |folder: &str| -> io::Result<Vec<String>> {
        let mut names: Vec<String> =
            fs::read_dir(folder)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    };
    let cards = fs::read_to_string("/proc/self/net/dev")?;
    Ok(Look {
        wall: wall.to_owned(),
        hostname: about.nodename().to_string_lossy().into_owned(),
        number: std::process::id(),
        user: rustix::process::getuid().as_raw(),
        processes: names("/proc")?.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).count(),
        cards: cards.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect(),
        files: names("/")?,
        kernel: about.release().to_string_lossy().into_owned(),
    })
}
