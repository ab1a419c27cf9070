//! tutor's end of a process's terminal, for tasks to read and write.
//!
//! In: the outer end of a pseudo-terminal (pty(7)). Out: bytes both ways, and its size. When the last
//! process has left the inner end, the kernel says EIO; that is the end of the output, not a fault.
//! Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::termios::Winsize;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;

use crate::kubelet::runtime::session::TerminalSize;

/// A terminal's outer end.
pub struct Terminal(OwnedFd);

/// What is shown on it.
pub struct Screen(pipe::Receiver);

impl Terminal {
    /// Takes the outer end over.
    pub fn new(end: OwnedFd) -> io::Result<Terminal> {
        rustix::io::ioctl_fionbio(&end, true)?;
        Ok(Terminal(end))
    }

    /// What its programs print. A terminal reads and writes like a pipe that happens to go both ways.
    pub fn screen(&self) -> io::Result<Screen> {
        Ok(Screen(pipe::Receiver::from_owned_fd_unchecked(self.0.try_clone()?)?))
    }

    /// What its programs read.
    pub fn keyboard(&self) -> io::Result<pipe::Sender> {
        pipe::Sender::from_owned_fd_unchecked(self.0.try_clone()?)
    }

    /// Tells its programs how large it is.
    pub fn resize(&self, size: TerminalSize) {
        let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
        // A terminal nobody uses any more has no size.
        let _ = rustix::termios::tcsetwinsize(&self.0, size);
    }
}

impl AsyncRead for Screen {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(context, into) {
            Poll::Ready(Err(fault)) if fault.raw_os_error() == Some(nix::libc::EIO) => Poll::Ready(Ok(())),
            other => other,
        }
    }
}
