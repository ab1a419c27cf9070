//! Control groups from the outside: made, limited, measured and removed by tutor.
//!
//! In: what a container may use. Out: a group whose `cgroup.procs` file the container's process enters
//! (`inside/namespaces/cgroup.rs`), or nothing where the kernel gives us no group to make one in; then
//! `watchdog.rs` does what it can, and [`Groups::why_not`] says what is missing. Groups are made below
//! the one tutor is in, never elsewhere. Both versions of the interface are spoken: in version 1 each
//! resource has a tree of its own. Source: kernel documents cgroup-v1 and cgroup-v2.
//! Chapter: `book/src/inside/runtime.md`.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Clock;
use crate::kubelet::runtime::Resources;

/// A period of CPU time, in microseconds. Source: the kernel's default.
const PERIOD: i64 = 100_000;
/// Source: kubelet `MilliCPUToQuota`.
const SMALLEST_QUOTA: i64 = 1_000;

/// The resources that can be limited here, each with the group below which ours are made.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    trees: Vec<Tree>,
    why_not: Option<String>,
}

#[derive(Clone, Debug)]
struct Tree {
    /// Version 2 has one tree for all.
    version: Version,
    controllers: Vec<String>,
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What we limit or measure.
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

impl Groups {
    /// Looks where groups can be made; `name` is that of the group which will hold all of ours.
    pub fn find(name: &str) -> Groups {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut trees = Vec::new();
        let mut why_not = None;
        for (version, controllers, own) in own_groups(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo")) {
            let folder = own.join(name);
            let made = match version {
                Version::One => fs::create_dir(&folder),
                Version::Two => take_over(&own, &folder),
            };
            match made {
                Ok(()) => trees.push(Tree { version, controllers, folder }),
                Err(fault) => why_not = Some(format!("{}: {fault}", own.display())),
            }
        }
        Groups { trees, why_not }
    }

    /// Whether the resource (`memory`, `cpu`, `pids`) is limited by the kernel.
    pub fn limits(&self, controller: &str) -> bool {
        self.trees.iter().any(|tree| tree.controllers.iter().any(|known| known == controller))
    }

    /// What the kernel said, where a group could not be made.
    pub fn why_not(&self) -> Option<&str> {
        self.why_not.as_deref()
    }

    /// The folders that hold our groups, for the record of what has to be removed.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.trees.iter().map(|tree| tree.folder.clone()).collect()
    }

    /// Makes a container's group.
    ///
    /// # Errors
    /// When the kernel refuses a limit.
    pub fn make(&self, name: &str, resources: &Resources) -> io::Result<Group> {
        let group = Group {
            trees: self.trees.iter().map(|tree| Tree { folder: tree.folder.join(name), ..tree.clone() }).collect(),
        };
        for tree in &group.trees {
            fs::create_dir(&tree.folder)?;
        }
        group.set(resources)?;
        Ok(group)
    }
}

/// A container's group, in each tree.
#[derive(Debug, Default)]
pub struct Group {
    trees: Vec<Tree>,
}

impl Group {
    fn tree(&self, controller: &str) -> Option<&Tree> {
        self.trees.iter().find(|tree| tree.controllers.iter().any(|known| known == controller))
    }

    /// Whether the kernel limits the resource for this container.
    pub fn limits(&self, controller: &str) -> bool {
        self.tree(controller).is_some()
    }

    /// Sets the limits; a running container feels them at once.
    pub fn set(&self, resources: &Resources) -> io::Result<()> {
        let write = |controller: &str, one: &str, two: &str, value: String| match self.tree(controller) {
            Some(tree) => {
                let file = if tree.version == Version::One { one } else { two };
                fs::write(tree.folder.join(file), value)
            }
            None => Ok(()),
        };
        let two = self.trees.iter().any(|tree| tree.version == Version::Two);
        let or_none = |limit: Option<i64>, none: &str| limit.map_or(none.to_owned(), |limit| limit.to_string());
        let none = if two { "max" } else { "-1" };
        write("memory", "memory.limit_in_bytes", "memory.max", or_none(resources.memory_limit_bytes, none))?;
        if resources.memory_limit_bytes.is_some() {
            // Memory that may be swapped out would not count; a machine without swap has no such file.
            let _ = write("memory", "memory.swappiness", "memory.swap.max", "0".to_owned());
        }
        write("pids", "pids.max", "pids.max", or_none(resources.pids_limit, "max"))?;
        let quota = resources.cpu_limit_millis.map(|millis| (millis * PERIOD / 1000).max(SMALLEST_QUOTA));
        let quota_two = format!("{} {PERIOD}", or_none(quota, "max"));
        let quota = if two { quota_two } else { or_none(quota, "-1") };
        write("cpu", "cpu.cfs_quota_us", "cpu.max", quota)?;
        // Source: kubelet `MilliCPUToShares`; and how runtimes turn shares (2 to 262144) into weights (1 to 10000).
        let shares = (resources.cpu_request_millis * 1024 / 1000).clamp(2, 262_144);
        let weight = 1 + ((shares - 2) * 9999) / 262_142;
        write("cpu", "cpu.shares", "cpu.weight", if two { weight } else { shares }.to_string())
    }

    /// The files through which a process enters the group.
    pub fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |tree: &Tree| OpenOptions::new().write(true).open(tree.folder.join("cgroup.procs"));
        self.trees.iter().map(|tree| open(tree).map(OwnedFd::from)).collect()
    }

    fn number(&self, controller: &str, one: &str, two: &str) -> Option<u64> {
        let tree = self.tree(controller)?;
        let file = if tree.version == Version::One { one } else { two };
        fs::read_to_string(tree.folder.join(file)).ok()?.trim().parse().ok()
    }

    /// A line `name number` of a file with many.
    fn line(&self, controller: &str, one: (&str, &str), two: (&str, &str)) -> Option<u64> {
        let tree = self.tree(controller)?;
        let (file, name) = if tree.version == Version::One { one } else { two };
        let text = fs::read_to_string(tree.folder.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// How often the kernel killed a process of it because its memory was used up.
    pub fn out_of_memory_kills(&self) -> u64 {
        self.line("memory", ("memory.oom_control", "oom_kill"), ("memory.events", "oom_kill")).unwrap_or(0)
    }

    /// The working set: what is used, but for files that could be dropped.
    pub fn memory_bytes(&self) -> Option<u64> {
        let used = self.number("memory", "memory.usage_in_bytes", "memory.current")?;
        let stat = "memory.stat";
        let idle = self.line("memory", (stat, "total_inactive_file"), (stat, "inactive_file")).unwrap_or(0);
        Some(used.saturating_sub(idle))
    }

    /// CPU time used so far.
    pub fn cpu_nanoseconds(&self) -> Option<u64> {
        match self.tree("cpuacct") {
            Some(tree) if tree.version == Version::One => self.number("cpuacct", "cpuacct.usage", ""),
            _ => self.line("cpu", ("", ""), ("cpu.stat", "usage_usec")).map(|micros| micros * 1000),
        }
    }

    /// Processes and threads.
    pub fn processes(&self) -> Option<u64> {
        self.number("pids", "pids.current", "pids.current")
    }

    /// Removes it; its processes have ended.
    pub async fn remove(&self, clock: Clock) -> io::Result<()> {
        for tree in &self.trees {
            remove_when_empty(&tree.folder, clock).await?;
        }
        Ok(())
    }
}

/// Removes a group whose processes are dead, but which the kernel may still be taking apart.
pub async fn remove_when_empty(folder: &Path, clock: Clock) -> io::Result<()> {
    const LIMIT: Duration = Duration::from_secs(5);
    const AGAIN: Duration = Duration::from_millis(10);
    let began = clock.tick();
    loop {
        match remove_folder(folder) {
            Err(_) if clock.since(began) < LIMIT => clock.sleep(AGAIN).await,
            removed => return removed,
        }
    }
}

/// Removes a group's folder and those below; what is not there is removed already.
fn remove_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folder(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

/// The groups that the process of these files is in, with the controllers of interest.
fn own_groups(cgroup: &str, mountinfo: &str) -> Vec<(Version, Vec<String>, PathBuf)> {
    let mut found = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(list), Some(own)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let version = if list.is_empty() { Version::Two } else { Version::One };
        let wanted: Vec<String> =
            list.split(',').filter(|name| CONTROLLERS.contains(name)).map(str::to_owned).collect();
        if version == Version::One && wanted.is_empty() {
            continue;
        }
        let mounted = mountinfo.lines().find_map(|line| mount_of(line, version, &wanted, own));
        let Some(folder) = mounted else { continue };
        let controllers = match version {
            Version::One => wanted,
            Version::Two => available(&folder),
        };
        if !controllers.is_empty() {
            found.push((version, controllers, folder));
        }
    }
    found
}

/// Where a group is, if this line of `mountinfo` mounts its tree. Source: proc_pid_mountinfo(5).
fn mount_of(line: &str, version: Version, controllers: &[String], group: &str) -> Option<PathBuf> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let matches = match version {
        Version::One => kind == "cgroup" && options.split(',').any(|option| controllers.iter().any(|it| it == option)),
        Version::Two => kind == "cgroup2",
    };
    let inside = group.strip_prefix(root.trim_end_matches('/')).unwrap_or(group);
    matches.then(|| Path::new(point).join(inside.trim_start_matches('/')))
}

fn available(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().filter(|name| CONTROLLERS.contains(name)).map(str::to_owned).collect()
}

/// Version 2: makes `folder` in a group that is ours alone. Controllers reach only groups whose parent has
/// no process of its own, so tutor moves into a group beside it first. That it may only do where nobody
/// else is in the group, as in a service or `systemd-run --scope`.
fn take_over(own: &Path, folder: &Path) -> io::Result<()> {
    let inside = fs::read_to_string(own.join("cgroup.procs"))?;
    let me = std::process::id().to_string();
    if inside.lines().any(|process| process != me) {
        return Err(io::Error::other("other processes are in this control group"));
    }
    let beside = own.join("tutor-itself");
    fs::create_dir_all(&beside)?;
    fs::write(beside.join("cgroup.procs"), me)?;
    let enable: Vec<String> = available(own).into_iter().map(|name| format!("+{name}")).collect();
    fs::write(own.join("cgroup.subtree_control"), enable.join(" "))?;
    fs::create_dir(folder)?;
    fs::write(folder.join("cgroup.subtree_control"), enable.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_groups_are_found_in_both_versions() {
        let one = "5:pids:/\n4:memory:/user/me\n1:cpu,cpuacct:/\n0::/\n";
        let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n";
        let found: Vec<_> = own_groups(one, mounts).into_iter().map(|(_, names, path)| (names, path)).collect();
        let own = |names: &[&str], path: &str| (names.iter().map(|it| (*it).to_owned()).collect(), path.into());
        let expected = [
            own(&["pids"], "/sys/fs/cgroup/pids"),
            own(&["memory"], "/sys/fs/cgroup/memory/user/me"),
            own(&["cpu", "cpuacct"], "/sys/fs/cgroup/cpu"),
        ];
        assert_eq!(found, expected);
        let line = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let place = mount_of(line, Version::Two, &[], "/user.slice/run.scope");
        assert_eq!(place.as_deref(), Some(Path::new("/sys/fs/cgroup/user.slice/run.scope")));
    }
}
