//! What a container uses, as docker measures it.
//!
//! In: a container. Out: CRI's figures.
//! Chapter: `book/src/inside/runtime.md`.

use bollard::Docker;
use bollard::models::ContainerMemoryStats;
use bollard::query_parameters::{InspectContainerOptions, StatsOptions};
use futures::StreamExt;

use super::container::Container;
use super::words::failed;
use crate::clock::Clock;
use crate::kubelet::runtime::{Result, Stats, sample};

/// Measures; nothing for a container that does not run.
pub async fn stats(docker: &Docker, container: &Container, clock: Clock) -> Result<Stats> {
    if !container.is_running() {
        return Ok(Stats::default());
    }
    let failed = || failed("ContainerStatsError");
    let once = StatsOptions { stream: false, one_shot: true };
    let Some(found) = docker.stats(&container.id, Some(once)).next().await else { return Ok(Stats::default()) };
    let found = found.map_err(failed())?;
    let sizes = InspectContainerOptions { size: true };
    let written = docker.inspect_container(&container.id, Some(sizes)).await.map_err(failed())?.size_rw;
    let cpu = found.cpu_stats.and_then(|cpu| cpu.cpu_usage).and_then(|usage| usage.total_usage).unwrap_or_default();
    let processes = found.pids_stats.and_then(|pids| pids.current).unwrap_or_default();
    Ok(Stats {
        cpu_millis: sample::cpu_millis(&container.sample, cpu, clock),
        cpu_nanoseconds: cpu,
        memory_bytes: found.memory_stats.map_or(0, |memory| working_set(&memory)),
        written_bytes: written.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        processes: u32::try_from(processes).unwrap_or(u32::MAX),
    })
}

/// What cannot be taken away. Source: kubelet's `memory.working_set`; the first name is that of the old groups.
fn working_set(memory: &ContainerMemoryStats) -> i64 {
    let detail = memory.stats.as_ref();
    let named = |name: &str| detail.and_then(|stats| stats.get(name).copied());
    let idle = named("total_inactive_file").or_else(|| named("inactive_file")).unwrap_or_default();
    i64::try_from(memory.usage.unwrap_or_default().saturating_sub(idle)).unwrap_or(i64::MAX)
}
