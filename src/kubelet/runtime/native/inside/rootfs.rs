//! A container's tree of files: the image's layers, a sheet to write on, the kernel's own folders, volumes.
//!
//! In: [`Files`] and how much of the kernel it may see. Out: the caller, in a mount namespace of its own, has that tree as its root. Layers
//! are never written to: overlayfs shows them as one, and what the container changes goes to a folder
//! of its own. Where the kernel refuses overlayfs to us, the layers are copied instead: slower, the
//! same to look at. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use rustix::mount::MountFlags;

use super::super::messages::{Files, Lay, Plan};
use super::namespaces::mount::{self, Tree};

/// Files of the kernel that tell about the host, or do something to it. Source: OCI runtime defaults.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// The devices every program may expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Builds the tree and moves in.
pub fn enter(plan: &Plan, files: &Files) -> io::Result<()> {
    let said = |doing: &'static str| move |fault: io::Error| io::Error::new(fault.kind(), format!("{doing}: {fault}"));
    mount::enter().map_err(said("mount namespace"))?;
    let root = files.folder.join("rootfs");
    fs::create_dir_all(&root)?;
    let laid = match files.lay {
        Lay::Over => overlay(files, &root),
        Lay::Copy => Err(io::Error::from(io::ErrorKind::Unsupported)),
    };
    if let Err(refused) = laid {
        copy_layers(&files.layers, &root)
            .map_err(|fault| io::Error::new(fault.kind(), format!("overlayfs: {refused}; and copying: {fault}")))?;
    }
    if !is_mount_point(&root)? {
        rustix::mount::mount_bind(&root, &root)?;
    }
    let tree = Tree::open(&root)?;
    let restricted = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // The numbers in /proc are those of this process namespace.
    tree.mount("proc", "/proc", restricted, "").map_err(said("proc"))?;
    devices(&tree, files).map_err(said("dev"))?;
    let sys = if plan.privileged { restricted } else { restricted | MountFlags::RDONLY };
    // The kernel may refuse /sys to a namespace; few programs miss it.
    if tree.mount("sysfs", "/sys", sys, "").is_ok() && tree.has("/sys/fs/cgroup") {
        let _ = tree.mount("cgroup2", "/sys/fs/cgroup", sys, "");
    }
    if !plan.privileged && !plan.unmasked {
        restrict(&tree)?;
    }
    for volume in &files.mounts {
        let failed = |fault: io::Error| {
            let (source, target) = (volume.source.display(), volume.target.display());
            io::Error::new(fault.kind(), format!("mounting {source} at {target}: {fault}"))
        };
        tree.bind(&volume.source, &volume.target).map_err(failed)?;
        if volume.read_only {
            tree.make_read_only(&volume.target).map_err(failed)?;
        }
    }
    if files.read_only {
        tree.make_read_only(Path::new("/"))?;
    }
    tree.become_root().map_err(said("pivot_root"))
}

/// Layers below, the container's own folder on top. Source: kernel document overlayfs.
fn overlay(files: &Files, root: &Path) -> io::Result<()> {
    let (upper, work) = (files.folder.join("upper"), files.folder.join("work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    let name =
        |path: &PathBuf| path.display().to_string().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,");
    // Overlayfs wants the top layer first.
    let lower: Vec<String> = files.layers.iter().rev().map(name).collect();
    // Marks that overlayfs leaves go into attributes a user may write.
    let data = format!("lowerdir={},upperdir={},workdir={},userxattr", lower.join(":"), name(&upper), name(&work));
    let data = std::ffi::CString::new(data)?;
    Ok(rustix::mount::mount("overlay", root, "overlay", MountFlags::NODEV, data.as_c_str())?)
}

fn is_mount_point(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let parent = path.parent().unwrap_or(path);
    Ok(fs::metadata(path)?.dev() != fs::metadata(parent)?.dev())
}

/// Copies layers over each other; links stay links, owners stay where that is allowed, and so do the times of files: by
/// them and its size one can tell whether a file was changed since.
fn copy_layers(layers: &[PathBuf], root: &Path) -> io::Result<()> {
    for layer in layers {
        copy_folder(layer, root)?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = fs::symlink_metadata(&source)?;
        let there = fs::symlink_metadata(&target).ok();
        if there.as_ref().is_some_and(|there| !(there.is_dir() && meta.is_dir())) {
            fs::remove_file(&target).or_else(|_| fs::remove_dir_all(&target))?;
        }
        if meta.is_dir() {
            fs::create_dir_all(&target)?;
            copy_folder(&source, &target)?;
            fs::set_permissions(&target, meta.permissions())?;
        } else if meta.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if meta.is_file() {
            fs::copy(&source, &target)?;
        }
        use std::os::unix::fs::MetadataExt;
        // With one user number to give there is nobody else to give it to.
        let _ = std::os::unix::fs::lchown(&target, Some(meta.uid()), Some(meta.gid()));
        if meta.is_file() {
            let time = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() as _ };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, &target, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

/// A /dev with the few devices that are safe, and terminals and shared memory of its own.
fn devices(tree: &Tree, files: &Files) -> io::Result<()> {
    tree.mount("tmpfs", "/dev", MountFlags::NOSUID | MountFlags::STRICTATIME, "mode=755,size=65536k")?;
    for device in DEVICES {
        let device = format!("/dev/{device}");
        tree.bind(Path::new(&device), Path::new(&device))?;
    }
    let restricted = MountFlags::NOSUID | MountFlags::NOEXEC;
    tree.mount("devpts", "/dev/pts", restricted, "newinstance,ptmxmode=0666,mode=0620")?;
    match &files.shm {
        Some(shared) => tree.bind(shared, Path::new("/dev/shm"))?,
        None => tree.mount("tmpfs", "/dev/shm", restricted | MountFlags::NODEV, "mode=1777,size=65536k")?,
    }
    tree.mount("mqueue", "/dev/mqueue", restricted | MountFlags::NODEV, "")?;
    for (name, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        tree.link(to, "/dev", name)?;
    }
    Ok(())
}

fn restrict(tree: &Tree) -> io::Result<()> {
    for path in MASKED.iter().filter(|path| tree.has(path)) {
        let folder = tree.mount("tmpfs", path, MountFlags::RDONLY, "size=0");
        if folder.is_err() {
            tree.bind(Path::new("/dev/null"), Path::new(path))?;
        }
    }
    for path in READ_ONLY.iter().filter(|path| tree.has(path)) {
        tree.bind_itself(path)?;
        tree.make_read_only(Path::new(path))?;
    }
    Ok(())
}
