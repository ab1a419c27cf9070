//! The mount namespace: a tree of files of its own.
//!
//! Without it: a container sees the host's files, and what it mounts, everybody sees. With it, mounts are
//! private: the container's tree is put together where nobody else looks, made the root, and the host's
//! tree is let go. When the last process ends, the kernel unmounts it all; nothing is left to clean up.
//! Here are the moves; `rootfs.rs` says which. Source: mount_namespaces(7), pivot_root(2).
//! Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

/// Goes into a copy of the present namespace; what is mounted from now on stays inside.
pub fn enter() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    Ok(rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}

/// A tree that will be the root. Paths are looked up as they will be then: a link in an image that
/// points to `/etc` or `../..` stays inside.
pub struct Tree {
    root: OwnedFd,
}

/// What a mount's place has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Folder,
    File,
}

impl Tree {
    /// The tree at `root`.
    pub fn open(root: &Path) -> io::Result<Tree> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Tree { root: rustix::fs::open(root, flags, Mode::empty())? })
    }

    fn look_up(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// A name by which the host's side can say "this place in the tree".
    fn path_of(place: &OwnedFd) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()))
    }

    /// Finds `path`, making what is missing of it.
    pub fn make(&self, path: &Path, place: Place) -> io::Result<OwnedFd> {
        let mut so_far = PathBuf::from("/");
        let mut components = path.components().filter(|it| matches!(it, Component::Normal(_))).peekable();
        while let Some(Component::Normal(name)) = components.next() {
            let parent = self.look_up(&so_far, OFlags::PATH | OFlags::DIRECTORY)?;
            so_far.push(name);
            let last = components.peek().is_none();
            match self.look_up(&so_far, OFlags::PATH) {
                Ok(_) => {}
                Err(rustix::io::Errno::NOENT) if last && place == Place::File => {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                    rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
                }
                Err(rustix::io::Errno::NOENT) => rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?,
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(self.look_up(&so_far, OFlags::PATH)?)
    }

    /// Whether there is something at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.look_up(Path::new(path), OFlags::PATH).is_ok()
    }

    /// Mounts a new file system at `path`.
    pub fn mount(&self, kind: &str, path: &str, flags: MountFlags, data: &str) -> io::Result<()> {
        let place = self.make(Path::new(path), Place::Folder)?;
        let data = std::ffi::CString::new(data)?;
        Ok(rustix::mount::mount(kind, Tree::path_of(&place), kind, flags, data.as_c_str())?)
    }

    /// Shows the host's `source` at `path`.
    pub fn bind(&self, source: &Path, path: &Path) -> io::Result<()> {
        let place = if source.is_dir() { Place::Folder } else { Place::File };
        let place = self.make(path, place)?;
        Ok(rustix::mount::mount_bind_recursive(source, Tree::path_of(&place))?)
    }

    /// Shows what is at `path` of the tree once more, so that it can be restricted alone.
    pub fn bind_itself(&self, path: &str) -> io::Result<()> {
        let place = self.look_up(Path::new(path), OFlags::PATH)?;
        let place = Tree::path_of(&place);
        Ok(rustix::mount::mount_bind_recursive(&place, &place)?)
    }

    /// Makes the mount at `path` read-only.
    pub fn make_read_only(&self, path: &Path) -> io::Result<()> {
        let place = self.look_up(path, OFlags::PATH)?;
        remount_read_only(&Tree::path_of(&place), &place)
    }

    /// A link.
    pub fn link(&self, to: &str, folder: &str, name: &str) -> io::Result<()> {
        let folder = self.make(Path::new(folder), Place::Folder)?;
        match rustix::fs::symlinkat(to, &folder, name) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Makes the tree the root, and lets the old root go. Everything the old tree had is out of reach then,
    /// but for files that are open.
    pub fn become_root(self) -> io::Result<()> {
        rustix::process::fchdir(&self.root)?;
        // The old root is put over the new one, at ".", and taken away from there.
        rustix::process::pivot_root(".", ".")?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        Ok(rustix::process::chdir("/")?)
    }
}

/// A mount from outside carries restrictions that a user namespace may not lift, so they are said again.
pub fn remount_read_only(path: &Path, place: impl AsFd) -> io::Result<()> {
    use rustix::fs::StatVfsMountFlags as Has;
    let has = rustix::fs::fstatvfs(place)?.f_flag;
    let kept = [
        (Has::NOSUID, MountFlags::NOSUID),
        (Has::NODEV, MountFlags::NODEV),
        (Has::NOEXEC, MountFlags::NOEXEC),
        (Has::NOATIME, MountFlags::NOATIME),
        (Has::NODIRATIME, MountFlags::NODIRATIME),
        (Has::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept.into_iter().filter(|(has_it, _)| has.contains(*has_it)).map(|(_, flag)| flag);
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |all, flag| all | flag);
    Ok(rustix::mount::mount_remount(path, flags, "")?)
}
