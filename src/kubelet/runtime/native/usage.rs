//! What a container uses, read from `/proc`: for where no control group counts.
//!
//! In: the numbers of a container's first processes. Out: all their descendants, their memory and CPU
//! time. A process that lost its parent has the container's number 1 as its parent, so the tree is
//! whole. Source: proc_pid_task(5), proc_pid_status(5), proc_pid_stat(5). Chapter: `book/src/inside/runtime.md`.

use std::fs;

/// Those that are alive of `roots`, and all below them.
pub fn processes(roots: &[u32]) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::new();
    let mut to_see = roots.to_vec();
    while let Some(process) = to_see.pop() {
        if found.contains(&process) {
            continue;
        }
        let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
        found.push(process);
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            to_see.extend(children.split_whitespace().filter_map(|number| number.parse::<u32>().ok()));
        }
    }
    found
}

/// Memory that belongs to them alone or is shared memory; programs' code, which many share, does not count.
pub fn memory_bytes(processes: &[u32]) -> u64 {
    let of = |process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let kilobytes = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        (kilobytes("RssAnon:") + kilobytes("RssShmem:")) * 1024
    };
    processes.iter().map(of).sum()
}

/// CPU time they have used, with that of their children that have ended.
pub fn cpu_nanoseconds(processes: &[u32]) -> u64 {
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let of = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name may hold anything, also spaces; it ends at the last parenthesis.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        // utime, stime, cutime, cstime
        after.split_whitespace().skip(11).take(4).map(|number| number.parse::<u64>().unwrap_or(0)).sum::<u64>()
    };
    processes.iter().map(of).sum::<u64>() * (1_000_000_000 / ticks)
}

/// When a process started, in ticks since the machine did: with its number, its identity.
pub fn start_time(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let me = std::process::id();
        let all = processes(&[me]);
        assert!(all.contains(&me) && memory_bytes(&all) > 100_000 && start_time(me).is_some());
        assert!(processes(&[u32::MAX]).is_empty() && start_time(u32::MAX).is_none());
    }
}
