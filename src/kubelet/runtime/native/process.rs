//! A process of a Pod: started by its pause process, held by tutor.
//!
//! In: a plan, streams, control groups. Out: the process with a handle (pidfd) by which it is signalled,
//! so that a number that was given to somebody else can never be hit; and how it ended.
//! Chapter: `book/src/inside/runtime.md`.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use serde::Serialize;
use tokio::sync::watch;

use super::connection::{Connection, Ended};
use super::messages::{Birth, FromBirth, Plan};

/// A process that runs or ran.
pub struct Process {
    /// Names it to the pause process.
    pub token: u64,
    /// Its number as tutor sees it, for `/proc`; 0 when it had ended before it could be asked.
    pub pid: u32,
    /// The other end of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    handle: OwnedFd,
    ended: watch::Receiver<Option<Ended>>,
}

/// Why a process could not be started.
#[derive(Debug)]
pub struct NotStarted {
    /// In a runtime's words.
    pub why: String,
    /// The exit code it counts as.
    pub code: i32,
}

impl From<io::Error> for NotStarted {
    fn from(fault: io::Error) -> NotStarted {
        NotStarted { why: fault.to_string(), code: 128 }
    }
}

/// What a process is given at its birth.
pub struct Gifts {
    /// Standard input, output, error; none with a terminal.
    pub streams: Option<[OwnedFd; 3]>,
    /// The `cgroup.procs` files of its groups.
    pub groups: Vec<OwnedFd>,
    /// A handle of the container's first process, for one that joins it.
    pub joins: Option<OwnedFd>,
}

impl Process {
    /// Tells a newborn process what it is; returns when its program runs.
    pub(super) async fn raise(
        token: u64,
        newborn: &Connection,
        plan: &Plan,
        gifts: Gifts,
        ended: watch::Receiver<Option<Ended>>,
    ) -> Result<Process, NotStarted> {
        let birth = Birth { groups: gifts.groups.len(), joins: gifts.joins.is_some() };
        let mut files = vec![written(plan)?];
        files.extend(gifts.streams.into_iter().flatten());
        files.extend(gifts.groups);
        files.extend(gifts.joins);
        newborn.send(&birth, &files).await?;
        drop(files);
        let mut ready = None;
        // The program runs when the newborn's end was closed, which exec does.
        while let Some((message, files)) = newborn.receive().await? {
            match message {
                FromBirth::Ready => ready = Some(files),
                FromBirth::Failed { why, code } => return Err(NotStarted { why, code }),
            }
        }
        let lost = || NotStarted { why: "the process ended before it ran its program".to_owned(), code: 128 };
        let mut files = ready.ok_or_else(lost)?.into_iter();
        let handle = files.next().ok_or_else(lost)?;
        Ok(Process { token, pid: number(&handle)?, terminal: files.next(), handle, ended })
    }

    /// Sends a signal; one that ended already does not mind.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.handle, signal);
    }

    /// A second handle, for a process that is to join it.
    pub fn handle(&self) -> io::Result<OwnedFd> {
        self.handle.try_clone()
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        *self.ended.borrow()
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Ended {
        let mut ended = self.ended.clone();
        // The sender is gone when the whole Pod is: nobody saw how it ended, but it did.
        let lost = Ended { token: self.token, code: None, signal: Some(Signal::KILL.as_raw()) };
        ended.wait_for(Option::is_some).await.ok().and_then(|ended| *ended).unwrap_or(lost)
    }
}

/// A file in memory that holds a plan: secrets in a container's environment never reach a disk.
pub fn written(plan: &impl Serialize) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("plan", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(&serde_json::to_vec(plan)?)?;
    Ok(file.into())
}

/// The number of the process behind a handle, as this process counts them.
fn number(handle: &OwnedFd) -> io::Result<u32> {
    let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd()))?;
    // A short command may have ended by now, and has no number any more.
    Ok(about.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()).unwrap_or(0))
}
