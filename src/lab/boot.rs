//! How long it takes to start a process, a container and a machine, side by side.
//!
//! Each is started anew some times, from nothing to the first thing it does, and its median is told. Where this
//! machine cannot do one of them, the figure is somebody else's, with its source, and the reason stands beside it.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::guest;
use crate::clock::Clock;
use crate::error::Result;
use crate::tasks::TaskGroup;

/// Where in the state folder it works.
pub const FOLDER: &str = "lab";
/// How often each is started.
const ROUNDS: usize = 20;

/// One way to start something.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// What was started.
    pub what: &'static str,
    /// What it had done when the time was taken.
    pub until: &'static str,
    /// The median, in milliseconds.
    pub milliseconds: f64,
    /// True when this machine did it just now.
    pub here: bool,
    /// Where the figure comes from, when it is not from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'static str>,
    /// Why it could not be done here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}

/// What is started, until when, and the figure for machines that cannot.
struct Kind {
    what: &'static str,
    until: &'static str,
    recorded: f64,
    source: &'static str,
}

/// Where the recorded figures of tutor's own come from.
const OURS: &str = "this experiment on tutor's own test machine, 2026-11-28";

const PROCESS: Kind = Kind { what: "a process", until: "true has run and ended", recorded: 1.0, source: OURS };
const CONTAINER: Kind = Kind {
    what: "a container",
    until: "its namespaces, network and files are made, its program runs",
    recorded: 34.0,
    source: OURS,
};
const MACHINE: Kind = Kind {
    what: "a machine with nothing in it",
    until: "its program has printed a line and halted",
    recorded: 2.5,
    source: OURS,
};
/// Not measured here: that takes a kernel and a disk that tutor does not bring.
const LINUX: Kind = Kind {
    what: "a machine with a small Linux in it",
    until: "the first line of the user's code runs",
    recorded: 125.0,
    source: "Firecracker: Agache et al., NSDI 2020",
};

/// Starts each of them. Works in `folder`, which is gone afterwards. The program that runs must be tutor: containers
/// are made by starting it again (`native::inside`).
pub async fn measure(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Vec<Start> {
    let process = tasks.blocking(move || repeat(clock, process)).await;
    let container = containers(folder, clock, tasks).await;
    let machine = tasks.blocking(move || repeat(clock, guest::run)).await;
    let recorded = Start { obstacle: None, ..told(&LINUX, Err(crate::error::Error::new("", ""))) };
    vec![told(&PROCESS, process), told(&CONTAINER, container), told(&MACHINE, machine), recorded]
}

fn told(kind: &Kind, measured: Result<Duration>) -> Start {
    let (what, until) = (kind.what, kind.until);
    match measured {
        Ok(median) => {
            let milliseconds = median.as_secs_f64() * 1000.0;
            Start { what, until, milliseconds, here: true, source: None, obstacle: None }
        }
        Err(error) => {
            let obstacle = Some(match error.hints.first() {
                Some(hint) => format!("{error}. Mend it: {hint}"),
                None => error.to_string(),
            });
            Start { what, until, milliseconds: kind.recorded, here: false, source: Some(kind.source), obstacle }
        }
    }
}

/// The median of some rounds.
fn repeat(clock: Clock, mut start: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = clock.tick();
        start()?;
        times.push(clock.since(begun));
    }
    Ok(median(times))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn process() -> Result<()> {
    let ended = std::process::Command::new("true").status();
    ended.map(drop).map_err(|fault| crate::error::Error::new("true cannot be run", fault.to_string()))
}

#[cfg(target_os = "linux")]
async fn containers(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Result<Duration> {
    let measured = containers::measure(folder, clock, tasks).await;
    // What is left there is of no use to anybody; the next run cleans it up, too.
    let _ = std::fs::remove_dir_all(folder);
    measured
}

#[cfg(not(target_os = "linux"))]
async fn containers(_: &Path, clock: Clock, _: &TaskGroup) -> Result<Duration> {
    let refusal = crate::kubelet::runtime::native::doctor::refusal(clock).await;
    Err(refusal.unwrap_or_else(|| crate::error::Error::new("no container can be made here", "")))
}

/// Containers of the native runtime, outside of any cluster.
#[cfg(target_os = "linux")]
mod containers {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{ROUNDS, median};
    use crate::clock::Clock;
    use crate::error::{Error, Result};
    use crate::kubelet::runtime::native::borrowed::Borrowed;
    use crate::kubelet::runtime::native::host::{Host, Options, Place};
    use crate::kubelet::runtime::{ContainerConfig, Runtime, RuntimeError, SandboxConfig};
    use crate::tasks::TaskGroup;

    /// An image of this machine's own programs: nothing is fetched or unpacked.
    const IMAGE: &str = "tutor/shell:1";

    pub async fn measure(folder: &Path, clock: Clock, tasks: &TaskGroup) -> Result<Duration> {
        let host = Arc::new(Host::start(Options::new(folder.join("native"), clock), tasks).await?);
        let place = Place { node: "lab", pod_cidr: "10.250.0.0/24", address: "172.31.250.2" };
        let times = async {
            let images = Borrowed::new(&folder.join("images"))
                .map_err(|fault| Error::new("the container has no files", fault.to_string()))?;
            let node = host.node(&place, Arc::new(images))?;
            let mut times = Vec::with_capacity(ROUNDS);
            for round in 0..ROUNDS {
                let begun = clock.tick();
                let sandbox = start(&*node, round)
                    .await
                    .map_err(|fault| Error::new("the container did not start", fault.to_string()))?;
                times.push(clock.since(begun));
                // Its end is not measured; stopping the host ends whatever is left.
                let _ = node.remove_sandbox(&sandbox).await;
            }
            Ok(median(times))
        }
        .await;
        host.stop().await;
        times
    }

    async fn start(node: &dyn Runtime, round: usize) -> std::result::Result<String, RuntimeError> {
        let name = "lab".to_owned();
        let ip = format!("10.250.0.{}", 2 + round);
        let config = SandboxConfig { name: name.clone(), hostname: name.clone(), ip, ..SandboxConfig::default() };
        let sandbox = node.run_sandbox(config).await?;
        node.pull_image(&sandbox, IMAGE, None).await?;
        let command = ["sleep", "600"].map(str::to_owned).into();
        let config = ContainerConfig { name, image: IMAGE.to_owned(), command, ..ContainerConfig::default() };
        let container = node.create_container(&sandbox, config).await?;
        node.start_container(&container).await?;
        Ok(sandbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_figure_from_elsewhere_says_whose_it_is_and_why() {
        let refused = Err(Error::new("there is no hypervisor", "no such file").hint("modprobe kvm"));
        let start = told(&MACHINE, refused);
        assert!(!start.here);
        assert_eq!(start.source, Some(OURS));
        assert_eq!(start.obstacle.unwrap(), "there is no hypervisor: no such file. Mend it: modprobe kvm");
    }
}
