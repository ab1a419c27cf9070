//! The user namespace: root inside, somebody ordinary outside.
//!
//! Without it: only root could make the other namespaces, and root in a container would be the host's
//! root, one mistake away from everything. With it the kernel keeps two numbers for one user. Inside,
//! number 0 holds every capability over what belongs to the namespace; outside, the same process may do
//! what the user who started tutor may, and no more. Source: user_namespaces(7).
//! Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Gid, Uid};

/// Goes into a new user namespace. Until [`map`] was called for it, every number in it is "nobody".
pub fn enter() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWUSER)?)
}

/// Tells the kernel which numbers inside are which outside, for a process that has entered. Called from
/// outside, since a process may not grant itself more than its own number.
///
/// Root maps every number it has to itself: an image's users keep their numbers, and the capabilities
/// are still worth nothing outside. Anybody else has one number to give: it becomes 0.
pub fn map(process: u32) -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let file = |name: &str| format!("/proc/{process}/{name}");
    if uid.is_root() {
        fs::write(file("uid_map"), same_numbers(&fs::read_to_string("/proc/self/uid_map")?))?;
        return fs::write(file("gid_map"), same_numbers(&fs::read_to_string("/proc/self/gid_map")?));
    }
    map_one(process, (0, uid.as_raw()), (0, gid.as_raw()))
}

/// Maps one user and one group: inside, outside.
fn map_one(process: impl std::fmt::Display, uid: (u32, u32), gid: (u32, u32)) -> io::Result<()> {
    fs::write(format!("/proc/{process}/uid_map"), format!("{} {} 1", uid.0, uid.1))?;
    // Leaving a group can open what the group was shut out of; who maps only his own may not allow it.
    fs::write(format!("/proc/{process}/setgroups"), "deny")?;
    fs::write(format!("/proc/{process}/gid_map"), format!("{} {} 1", gid.0, gid.1))
}

/// The lines of a `uid_map`, each made to map its numbers to themselves.
fn same_numbers(map: &str) -> String {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (inside, _, count) = (words.next()?, words.next()?, words.next()?);
        Some(format!("{inside} {inside} {count}\n"))
    };
    map.lines().filter_map(line).collect()
}

/// Becomes number 0 of the namespace.
pub fn become_root() -> io::Result<()> {
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    Ok(())
}

/// Whether the numbers `uid` and `gid` exist here.
pub fn has(uid: u32, gid: u32) -> bool {
    let within = |file: &str, number: u32| {
        let ranges = fs::read_to_string(file).unwrap_or_default();
        ranges.lines().any(|line| {
            let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            matches!(numbers[..], [inside, _, count] if (inside..inside + count).contains(&number.into()))
        })
    };
    within("/proc/self/uid_map", uid) && within("/proc/self/gid_map", gid)
}

/// Where the only number is 0 and a container wants to be `uid`: one more namespace, in which our one
/// number has that name. Its files are those of root outside; inside they look like its own.
pub fn rename(uid: u32, gid: u32) -> io::Result<()> {
    enter()?;
    map_one("self", (uid, 0), (gid, 0))
}

#[cfg(test)]
mod tests {
    use super::same_numbers;

    #[test]
    fn root_keeps_the_numbers_it_has() {
        assert_eq!(same_numbers("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(same_numbers("0 100000 65536\n65536 5 1\n"), "0 0 65536\n65536 65536 1\n");
    }
}
