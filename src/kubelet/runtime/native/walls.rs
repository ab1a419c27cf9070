//! A container made by hand: tutor's side. One wall after the other, and after each what the process sees.
//!
//! In: tutor's executable. Out: a [`Look`] for each wall, in order. The process is started anew and is gone afterwards;
//! it does what a container's process does, by the same functions (`inside/walls.rs`), and nothing else.
//! Chapter: `book/src/servers/containers.md`.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::connection::Connection;
use super::inside::namespaces::user;
use super::program::Program;
use super::{inside, wire};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// How long it may take on a machine under load.
const LIMIT: Duration = Duration::from_secs(30);

/// What a process sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The wall that was made last; `nothing` before the first.
    pub wall: String,
    /// The machine's name.
    pub hostname: String,
    /// Its own number.
    pub number: u32,
    /// Its user's number.
    pub user: u32,
    /// How many processes `/proc` lists.
    pub processes: usize,
    /// Its network cards.
    pub cards: Vec<String>,
    /// What is in `/`.
    pub files: Vec<String>,
    /// The kernel's release.
    pub kernel: String,
}

/// What the process tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    /// It looked around.
    Look(Look),
    /// It is in a user namespace and waits for its users.
    Map,
    /// A wall could not be made.
    Refused {
        /// Which.
        wall: String,
        /// What the kernel said.
        why: String,
    },
}

/// Makes a container, a wall at a time. `program` is tutor's executable.
///
/// # Errors
/// When a wall cannot be made: which, and what the kernel said.
pub async fn build(program: &Path, clock: Clock) -> Result<Vec<Look>> {
    let program = Program::new(program)?;
    let told = clock.timeout(LIMIT, converse(&program)).await;
    match told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok((looks, None)) => Ok(looks),
        Ok((_, Some((wall, why)))) => {
            Err(Error::new(format!("this machine does not make the wall {wall}"), why).hint("see why: tutor doctor"))
        }
        Err(fault) => Err(Error::new("no container can be made here", fault.to_string()).hint("see why: tutor doctor")),
    }
}

type Refusal = Option<(String, String)>;

async fn converse(program: &Program) -> io::Result<(Vec<Look>, Refusal)> {
    let (ours, theirs) = wire::pair()?;
    let mut command = Command::from(inside::command(program.path(), inside::WALLS));
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    drop(command); // It holds a copy of their end, and would keep it open.
    let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
    let connection = Connection::new(ours)?;
    let (mut looks, mut refused) = (Vec::new(), None);
    while let Some((told, _)) = connection.receive::<Told>().await? {
        match told {
            Told::Look(look) => looks.push(look),
            Told::Map => {
                user::map(pid)?;
                connection.send(&(), &[]).await?;
            }
            Told::Refused { wall, why } => refused = Some((wall, why)),
        }
    }
    child.wait().await?;
    Ok((looks, refused))
}
