//! Hears of children that ended, in a process that waits for other things too.
//!
//! The signal SIGCHLD as something that can be polled (signalfd(2)), beside sockets. A process that this
//! one starts inherits that the signal is blocked: [`release`] before another program takes over.
//! Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Readable when a child has ended.
pub struct Ended(SignalFd);

impl Ended {
    /// From now on, in this thread, which must be the only one.
    pub fn watch() -> io::Result<Ended> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        signals.thread_block()?;
        Ok(Ended(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Makes it unreadable until the next one. Several ends can have been one signal: collect them all.
    pub fn clear(&self) -> io::Result<()> {
        while self.0.read_signal()?.is_some() {}
        Ok(())
    }
}

/// No signal is held back from this process, as every program expects when it starts.
pub fn release() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

impl AsFd for Ended {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
