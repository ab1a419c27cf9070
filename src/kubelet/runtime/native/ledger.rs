//! What this runtime has on the machine, written down so that the next start can clean up after a crash.
//!
//! A process is known by its number and the time it started (numbers are given again), a machine's life by
//! its boot id: nothing is ever found by its name. In: the state folder. Out: what an earlier tutor left
//! is gone. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

use super::{limits, usage, volumes};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

const FILE: &str = "ledger.json";

/// The record.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    boot: String,
    machine: u32,
    machine_started: u64,
    groups: Vec<PathBuf>,
}

impl Ledger {
    /// Of a machine process and these control groups.
    pub fn new(machine: u32, groups: Vec<PathBuf>) -> Ledger {
        let machine_started = usage::start_time(machine).unwrap_or_default();
        Ledger { boot: boot(), machine, machine_started, groups }
    }

    /// Writes it down.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let new = folder.join("ledger.json.new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        fs::rename(new, folder.join(FILE))
    }

    /// Undoes what the last one left: processes first, then what they used.
    pub async fn clean(folder: &Path, clock: Clock, tasks: &TaskGroup) -> io::Result<()> {
        let text = fs::read(folder.join(FILE)).unwrap_or_default();
        let left: Ledger = serde_json::from_slice(&text).unwrap_or_default();
        if left.boot == boot() {
            tasks.blocking(move || end(left.machine, left.machine_started)).await?;
            for group in &left.groups {
                limits::remove_when_empty(group, clock).await?;
            }
        }
        let pods = folder.join("pods");
        tasks.blocking(move || volumes::remove(&pods)).await?;
        match fs::remove_file(folder.join(FILE)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            _ => Ok(()),
        }
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Kills a process if it is still the same one, and waits until it is gone. Its process namespace, with
/// every container, goes with it.
fn end(process: u32, started: u64) -> io::Result<()> {
    let Some(number) = i32::try_from(process).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let Ok(handle) = rustix::process::pidfd_open(number, PidfdFlags::empty()) else { return Ok(()) };
    // Looked at after the handle was opened: from here on the handle means this process and no other.
    if usage::start_time(process) != Some(started) {
        return Ok(());
    }
    rustix::process::pidfd_send_signal(&handle, Signal::KILL)?;
    // A handle becomes readable when its process has ended.
    let mut ended = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut ended, Some(&rustix::time::Timespec { tv_sec: 10, tv_nsec: 0 }))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_recorded_process_is_ended() {
        let (clock, tasks) = (Clock::real(), TaskGroup::new());
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("pods/p/volumes")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let mut ledger = Ledger::new(child.id(), Vec::new());
        ledger.machine_started += 1;
        ledger.write(folder.path()).unwrap();
        Ledger::clean(folder.path(), clock, &tasks).await.unwrap();
        assert!(child.try_wait().unwrap().is_none(), "another process of that number was killed");
        assert!(!folder.path().join("pods").exists());
        ledger.machine_started -= 1;
        ledger.write(folder.path()).unwrap();
        Ledger::clean(folder.path(), clock, &tasks).await.unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(!folder.path().join(FILE).exists());
    }
}
