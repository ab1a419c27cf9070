//! The machine: the one process that stands for the computer on which the nodes and their Pods are.
//!
//! It owns the user namespace in which everything else is root, a network with a bridge for each node,
//! and the process namespace whose number 1 it is. So it is also the lifeline: when it ends, however it
//! ends, the kernel ends every Pod. In and out, over standard input: [`ToMachine`], [`FromInside`]; when
//! the other end is gone because tutor is, it ends. Chapter: `book/src/inside/runtime.md`.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Signal, WaitOptions};

use super::super::messages::{FromInside, SandboxPlan, ToMachine};
use super::super::wire;
use super::namespaces::{ipc, mount, net, netfilter, pid, user};
use super::{children, leaks, sockets};

/// First process: makes the user namespace, and starts the one that will be number 1.
///
/// It stays, to be killed with its child or to kill it: a process cannot move into a process namespace.
pub fn main() -> ExitCode {
    match prepare() {
        Ok(code) => code,
        Err(fault) => {
            refuse(&fault);
            ExitCode::FAILURE
        }
    }
}

fn refuse(fault: &io::Error) {
    let answer = FromInside::Answer(Err(fault.to_string()));
    // If tutor is gone, there is nobody left to tell.
    let _ = wire::send(io::stdin(), &answer, &[]);
}

fn prepare() -> io::Result<ExitCode> {
    // Ctrl-C in tutor's terminal is for tutor, which then ends this in its own order.
    rustix::process::setsid()?;
    leaks::seal()?;
    user::enter().map_err(|fault| io::Error::new(fault.kind(), format!("user namespace: {fault}")))?;
    wire::send(io::stdin(), &FromInside::Answer(Ok(())), &[])?;
    // tutor writes the maps from outside, and says so.
    let Some(((), _)) = wire::receive(io::stdin())? else { return Ok(ExitCode::FAILURE) };
    user::become_root()?;
    let mut inside = super::myself(super::MACHINE_INSIDE);
    inside.stdin(Stdio::from(io::stdin().as_fd().try_clone_to_owned()?));
    let mut child = pid::spawn_first(&mut inside)?;
    Ok(if child.wait()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Second process, number 1: makes the other namespaces and serves.
pub fn inside() -> ExitCode {
    if let Err(fault) = settle() {
        refuse(&fault);
        return ExitCode::FAILURE;
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn settle() -> io::Result<()> {
    let said = |what: &'static str| move |fault: io::Error| io::Error::new(fault.kind(), format!("{what}: {fault}"));
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    mount::enter().map_err(said("mount namespace"))?;
    ipc::enter().map_err(said("ipc namespace"))?;
    net::enter().map_err(said("network namespace"))?;
    wire::send(io::stdin(), &FromInside::Answer(Ok(())), &[])
}

fn serve() -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let ended = children::Ended::watch()?;
    let mut filter = netfilter::Filter::default();
    loop {
        let mut ready = [PollFd::new(&socket, PollFlags::IN), PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => _ = polled?,
        }
        let (asked, child_ended) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
        if asked {
            let Some((request, files)) = wire::receive(&socket)? else { return Ok(()) };
            let (outcome, file) = match answer(request, files.into_iter().next(), &mut filter) {
                Ok(file) => (Ok(()), file),
                Err(fault) => (Err(fault.to_string()), None),
            };
            let beside: Vec<_> = file.iter().map(AsFd::as_fd).collect();
            wire::send(&socket, &FromInside::Answer(outcome), &beside)?;
        }
        if child_ended {
            ended.clear()?;
            while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        }
    }
}

fn answer(request: ToMachine, file: Option<OwnedFd>, filter: &mut netfilter::Filter) -> io::Result<Option<OwnedFd>> {
    match request {
        ToMachine::Node { bridge, gateway, prefix, address } => net::add_node(&bridge, gateway, prefix, address)?,
        ToMachine::Sandbox(plan) => {
            let socket = file.ok_or(io::ErrorKind::InvalidInput)?;
            match &plan.network {
                Some(plug) => net::with_new(plug, || start_pause(&plan, socket))?,
                None => start_pause(&plan, socket)?,
            }
        }
        ToMachine::Socket => return sockets::stream().map(Some),
        ToMachine::Own { network, prefix } => net::own(network, prefix)?,
        ToMachine::Listen(at) => return sockets::listener(at).map(Some),
        ToMachine::Receive(at) => return sockets::datagrams(at).map(Some),
        ToMachine::Unplug { cable } => net::unplug(&cable)?,
        ToMachine::Filter => {
            let mut file = File::from(file.ok_or(io::ErrorKind::InvalidInput)?);
            file.rewind()?;
            filter.load(&serde_json::from_reader(BufReader::new(file))?)?;
        }
    }
    Ok(None)
}

/// Starts a Pod's pause process as number 1 of a new process namespace, in the present network.
fn start_pause(plan: &SandboxPlan, socket: OwnedFd) -> io::Result<()> {
    let mut command = super::myself(super::PAUSE);
    command.arg(serde_json::to_string(plan)?).stdin(Stdio::from(socket)).stdout(Stdio::null());
    pid::spawn_apart(&mut command).map(drop)
}
