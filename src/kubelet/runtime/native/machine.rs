//! tutor's hold on the machine process: starts it, asks it, ends it.
//!
//! In: tutor's own executable. Out: nodes' bridges, Pods' sandboxes, sockets in the machine's
//! network. All Pods live in processes below the machine (`inside/machine.rs`): when this is dropped,
//! or tutor dies in any way, they die. Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::process::{Child, Command};

use super::connection::{Caller, Connection};
use super::inside::namespaces::user;
use super::messages::{FromInside, ToMachine};
use super::program::Program;
use super::{inside, wire};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// How long it may take to be there. A machine under load takes a while; one that hangs should not
/// hold up the start for ever.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The running machine.
pub struct Machine {
    caller: Caller<ToMachine>,
    child: Mutex<Option<Child>>,
    /// Its process number, as tutor sees it.
    pub pid: u32,
}

impl Machine {
    /// Starts it from the executable `program`.
    ///
    /// # Errors
    /// When the kernel refuses a namespace; the message says which.
    pub async fn start(program: &Program, clock: Clock, tasks: &TaskGroup) -> io::Result<Machine> {
        let (ours, theirs) = wire::pair()?;
        let mut command = Command::from(inside::command(program.path(), inside::MACHINE));
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn()?;
        drop(command); // It holds a copy of their end, and would keep it open.
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let connection = Connection::new(ours)?;
        let greet = async {
            step(&connection).await?;
            user::map(pid).map_err(|fault| io::Error::new(fault.kind(), format!("uid_map: {fault}")))?;
            connection.send(&(), &[]).await?;
            step(&connection).await
        };
        clock.timeout(START_LIMIT, greet).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let caller = Caller::new(connection, tasks, "native machine", |_| {});
        Ok(Machine { caller, child: Mutex::new(Some(child)), pid })
    }

    /// Asks it for something.
    pub async fn call(&self, request: ToMachine, files: Vec<OwnedFd>) -> io::Result<Option<OwnedFd>> {
        self.caller.call(request, files).await
    }

    /// Ends it, and with it everything it holds; returns when it is gone.
    pub async fn stop(&self) {
        let child = self.child.lock().take();
        if let Some(mut child) = child {
            // It can only fail when the process is gone already.
            let _ = child.kill().await;
        }
    }
}

/// One step of the start: done, or why not.
async fn step(connection: &Connection) -> io::Result<()> {
    match connection.receive::<FromInside>().await? {
        Some((FromInside::Answer(outcome), _)) => outcome.map_err(io::Error::other),
        _ => Err(io::Error::other("the process ended without a word")),
    }
}
