//! A container made by hand on this machine, a namespace at a time.
//!
//! In: tutor's executable. Out: what the process sees after each wall, and in a sentence what that wall did.
//! Chapter: `book/src/servers/containers.md`.

use std::path::Path;

use serde::Serialize;

use crate::clock::Clock;
use crate::error::Result;
/// What each wall does, in the order in which they are made.
#[cfg(target_os = "linux")]
const SAID: [(&str, &str); 7] = [
    ("nothing", "An ordinary process. It sees what everybody sees."),
    (
        "user",
        "It is root, user 0, over what belongs to it from here on, and over nothing else. That is the right to make the other walls.",
    ),
    ("uts", "Its machine has another name. Yours still has its own."),
    ("net", "Its network cards are gone. It has a loopback of its own, and all ports are free."),
    (
        "pid",
        "It is number 1, a child that was started for this: a new list begins with a child. It still counts everybody's processes, itself with them: it reads them from files in /proc, and the files are still yours.",
    ),
    ("mnt", "A /proc of its own is mounted where only it can see that. Now it is alone."),
    ("files", "Its root is another folder. Your files have no name that it could say. An image goes here."),
];

/// A wall, what it did, and what the process sees then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wall {
    /// The namespace; `nothing` before the first.
    pub wall: String,
    /// What it did, in a sentence.
    pub said: &'static str,
    /// The machine's name.
    pub hostname: String,
    /// The process's own number.
    pub number: u32,
    /// Its user's number.
    pub user: u32,
    /// How many processes it sees.
    pub processes: usize,
    /// Its network cards.
    pub cards: Vec<String>,
    /// What is in `/`.
    pub files: Vec<String>,
    /// The kernel's release.
    pub kernel: String,
}

/// Makes it. `program` is tutor's executable.
///
/// # Errors
/// When this machine does not make such walls, and which one it refuses.
#[cfg(target_os = "linux")]
pub async fn build(program: &Path, clock: Clock) -> Result<Vec<Wall>> {
    use crate::kubelet::runtime::native::walls;
    let seen = |look: walls::Look| Wall {
        said: SAID.iter().find(|(name, _)| *name == look.wall).map_or("", |(_, said)| said),
        wall: look.wall,
        hostname: look.hostname,
        number: look.number,
        user: look.user,
        processes: look.processes,
        cards: look.cards,
        files: look.files,
        kernel: look.kernel,
    };
    Ok(walls::build(program, clock).await?.into_iter().map(seen).collect())
}

/// Such walls are Linux' own.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub async fn build(_: &Path, _: Clock) -> Result<Vec<Wall>> {
    Err(crate::error::Error::new("these walls are Linux' own", "this machine runs another system"))
}
