//! The way into a Pod's network from outside: a door that its pause process keeps open.
//!
//! In: a Pod's folder, an address as the Pod sees it. Out: a connection. Docker's networks cannot be reached
//! from everywhere, and a port on a Pod's `localhost` from nowhere; the pause container (`programs/pause.rs`)
//! listens on a socket in a folder that it shares with tutor, is told an address, connects to it and passes
//! bytes on. Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The socket's name in the door's folder.
pub const SOCKET: &str = "socket";
/// The longest answer to a wish.
const LONGEST_ANSWER: usize = 512;

/// Connects to `address:port`, seen from the Pod whose door's folder this is.
///
/// # Errors
/// The words of a Go client.
pub async fn connect(folder: &Path, address: &str, port: u16) -> Result<UnixStream, String> {
    let failed = |why: &str| format!("dial tcp {address}:{port}: connect: {why}");
    let talk = async {
        let mut stream = knock(folder).await?;
        stream.write_all(format!("{address}:{port}\n").as_bytes()).await?;
        let mut answer = Vec::new();
        // Byte by byte: what comes after the line is not ours.
        while answer.last() != Some(&b'\n') && answer.len() < LONGEST_ANSWER {
            answer.push(stream.read_u8().await?);
        }
        Ok::<_, io::Error>((stream, String::from_utf8_lossy(&answer).trim_end().to_owned()))
    };
    match talk.await {
        Ok((stream, answer)) if answer == "ok" => Ok(stream),
        Ok((_, why)) => Err(failed(&why)),
        Err(_) => Err(failed("the Pod's sandbox has stopped")),
    }
}

/// Opens the door; it may not be there yet.
pub async fn knock(folder: &Path) -> io::Result<UnixStream> {
    // A socket's path has room for about 100 characters, and a state folder may be deep.
    let opened = std::fs::File::open(folder)?;
    UnixStream::connect(PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(SOCKET)).await
}
