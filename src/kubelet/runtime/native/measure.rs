//! What a container uses: from its control group where there is one, else from `/proc`.
//!
//! In: a container. Out: CRI's figures. Lately's CPU is what was used since it was asked before.
//! Chapter: `book/src/inside/runtime.md`.

use super::container::Container;
use super::usage;
use crate::clock::{Clock, Tick};
use crate::kubelet::runtime::Stats;

/// A measurement to compare the next with.
#[derive(Clone, Copy)]
pub struct Sample {
    at: Tick,
    cpu_nanoseconds: u64,
    cpu_millis: i64,
}

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
        cpu_millis: lately(container, cpu, clock),
        cpu_nanoseconds: cpu,
        memory_bytes: i64::try_from(memory).unwrap_or(i64::MAX),
        written_bytes: container.written_bytes(),
        processes: u32::try_from(count).unwrap_or(u32::MAX),
    }
}

fn lately(container: &Container, cpu_nanoseconds: u64, clock: Clock) -> i64 {
    let mut before = container.sample.lock();
    let passed = before.map(|sample| (clock.since(sample.at).as_nanos() as u64, sample));
    let cpu_millis = match passed {
        // Too short a time says nothing.
        Some((passed, sample)) if passed < 100_000_000 => return sample.cpu_millis,
        Some((passed, sample)) => {
            i64::try_from(cpu_nanoseconds.saturating_sub(sample.cpu_nanoseconds) * 1000 / passed).unwrap_or(i64::MAX)
        }
        None => 0,
    };
    *before = Some(Sample { at: clock.tick(), cpu_nanoseconds, cpu_millis });
    cpu_millis
}
