//! What a container uses: from its control group where there is one, else from `/proc`.
//!
//! In: a container. Out: CRI's figures.
//! Chapter: `book/src/inside/runtime.md`.

use super::container::Container;
use super::usage;
use crate::clock::Clock;
use crate::kubelet::runtime::{Stats, sample};

/// Measures; nothing for a container that does not run.
pub fn stats(container: &Container, clock: Clock) -> Stats {
    let Some(first) = container.running() else { return Stats::default() };
    let group = container.group.lock();
    let group = group.as_ref();
    let processes = container.processes(&first);
    let cpu = group.and_then(|it| it.cpu_nanoseconds()).unwrap_or_else(|| usage::cpu_nanoseconds(&processes));
    let memory = group.and_then(|it| it.memory_bytes()).unwrap_or_else(|| usage::memory_bytes(&processes));
    let count = group.and_then(|it| it.processes()).unwrap_or(processes.len() as u64);
    Stats {
        cpu_millis: sample::cpu_millis(&container.sample, cpu, clock),
        cpu_nanoseconds: cpu,
        memory_bytes: i64::try_from(memory).unwrap_or(i64::MAX),
        written_bytes: container.written_bytes(),
        processes: u32::try_from(count).unwrap_or(u32::MAX),
    }
}
