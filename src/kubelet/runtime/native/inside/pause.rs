//! The pause process: a Pod's first process, and the parent of all the others.
//!
//! It holds the Pod's namespaces open (network, host name, shared memory) while containers come and go,
//! and is number 1 of the Pod's process namespace: it starts containers' processes, collects every
//! process that ends, and tells tutor. When it dies, the kernel kills whatever the Pod still had. It
//! knows nothing of images or files. In and out, over standard input: [`ToPause`], [`FromInside`]; when
//! the other end is gone, so is the Pod. Chapter: `book/src/inside/runtime.md`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags};
use rustix::mount::MountFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::super::messages::{FromInside, SandboxPlan, ToPause};
use super::super::wire;
use super::namespaces::{ipc, mount, pid, uts};
use super::{children, sockets};

/// A process that was started here.
struct Started {
    token: u64,
    process: OwnedFd,
}

struct Pause {
    socket: OwnedFd,
    started: HashMap<Pid, Started>,
}

/// Serves until the other end of standard input is gone.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let plan = std::env::args().nth(1).unwrap_or_default();
    let entered = serde_json::from_str(&plan).map_err(io::Error::from).and_then(|plan| enter(&plan));
    let answer = FromInside::Answer(entered.map_err(|fault| fault.to_string()));
    wire::send(&socket, &answer, &[])?;
    let ended = children::Ended::watch()?;
    let mut pause = Pause { socket, started: HashMap::new() };
    loop {
        let mut ready =
            [PollFd::new(&pause.socket, PollFlags::IN), PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => _ = polled?,
        }
        let (asked, child_ended) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
        if asked {
            let Some((request, files)) = wire::receive(&pause.socket)? else { return Ok(()) };
            let (outcome, file) = match pause.answer(request, files.into_iter().next()) {
                Ok(file) => (Ok(()), file),
                Err(fault) => (Err(fault.to_string()), None),
            };
            let beside: Vec<_> = file.iter().map(AsFd::as_fd).collect();
            wire::send(&pause.socket, &FromInside::Answer(outcome), &beside)?;
        }
        if child_ended {
            ended.clear()?;
            pause.collect()?;
        }
    }
}

/// Makes the Pod's own namespaces that need no help from outside, and sets its kernel parameters.
fn enter(plan: &SandboxPlan) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    mount::enter()?;
    uts::enter(&plan.hostname)?;
    ipc::enter()?;
    for (name, value) in &plan.sysctls {
        let set = fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value);
        set.map_err(|fault| io::Error::new(fault.kind(), format!("sysctl {name}: {fault}")))?;
    }
    Ok(())
}

impl Pause {
    fn answer(&mut self, request: ToPause, file: Option<OwnedFd>) -> io::Result<Option<OwnedFd>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such container");
        match request {
            ToPause::Start { token, own_pids } => {
                let mut command = newborn(file.ok_or_else(missing)?);
                let child = if own_pids { pid::spawn_apart(&mut command)? } else { command.spawn()? };
                self.note(token, child.id())?;
            }
            ToPause::Join { token, container } => {
                let within = self.started.values().find(|started| started.token == container);
                let within = within.ok_or_else(missing)?;
                let child = pid::spawn_beside(&mut newborn(file.ok_or_else(missing)?), within.process.as_fd())?;
                self.note(token, child.id())?;
            }
            ToPause::Socket => return sockets::stream().map(Some),
            ToPause::Memory { folder, size } => mount_memory(&folder, size)?,
        }
        Ok(None)
    }

    fn note(&mut self, token: u64, child: u32) -> io::Result<()> {
        let pid = Pid::from_raw(child as i32).ok_or(io::ErrorKind::NotFound)?;
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        self.started.insert(pid, Started { token, process });
        Ok(())
    }

    /// Collects every child that ended, also those that lost their own parent.
    fn collect(&mut self) -> io::Result<()> {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let Some(started) = self.started.remove(&pid) else { continue };
            let (code, signal) = (status.exit_status(), status.terminating_signal());
            wire::send(&self.socket, &FromInside::Ended { token: started.token, code, signal }, &[])?;
        }
        Ok(())
    }
}

fn mount_memory(folder: &Path, size: Option<u64>) -> io::Result<()> {
    let size = size.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
    let data = std::ffi::CString::new(format!("mode=1777{size}"))?;
    Ok(rustix::mount::mount("tmpfs", folder, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, data.as_c_str())?)
}

/// A process that hears over `socket` what it is to become (`container.rs`).
fn newborn(socket: OwnedFd) -> Command {
    let mut command = super::myself(super::CONTAINER);
    command.stdin(Stdio::from(socket)).stdout(Stdio::null());
    command
}
