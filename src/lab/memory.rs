//! What a system takes before any application runs: this machine's own kernel, now.
//!
//! In: `/proc/meminfo`. Out: the memory that the kernel holds for itself and cannot give back. A guest's smaller kernel
//! holds less, and its system services take theirs on top: both are the reader's to choose in the page.
//! Source: proc_meminfo(5). Chapter: `book/src/servers/virtual-machines.md`.

use std::fs;

use crate::error::{Error, Result};

/// What of it counts.
const PARTS: [&str; 5] = ["SUnreclaim", "KernelStack", "PageTables", "Percpu", "VmallocUsed"];

/// The kernel's own memory, in MiB.
///
/// # Errors
/// Where no kernel tells.
pub fn kernel_mib() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").map_err(|fault| {
        Error::new("this machine does not tell what its kernel takes", format!("/proc/meminfo: {fault}"))
    })?;
    Ok(counted(&text) / 1024)
}

fn counted(meminfo: &str) -> u64 {
    let kib = |line: &str| {
        let (name, value) = line.split_once(':')?;
        PARTS.contains(&name).then(|| value.split_whitespace().next()?.parse::<u64>().ok())?
    };
    meminfo.lines().filter_map(kib).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_can_be_given_back_is_not_counted() {
        let meminfo = "MemTotal: 1000 kB\nSReclaimable: 500 kB\nSUnreclaim: 30 kB\nPageTables:  12 kB\n";
        assert_eq!(super::counted(meminfo), 42);
    }
}
