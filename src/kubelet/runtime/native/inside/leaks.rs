//! Open files that nobody meant to hand on.
//!
//! Without it: whatever file the shell that started tutor had left open, a container has open too, and a file that is
//! open leads out of every wall. In: nothing. Out: all open files but the three streams close by themselves at the next
//! exec. For a process with one thread. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io;

use nix::libc::{F_SETFD, FD_CLOEXEC, fcntl};

/// Marks all open files but standard input, output and error.
///
/// # Errors
/// When they cannot be listed.
pub fn seal() -> io::Result<()> {
    let names = fs::read_dir("/proc/self/fd")?.flatten().map(|entry| entry.file_name());
    let open: Vec<i32> = names.filter_map(|name| name.to_str()?.parse().ok()).filter(|number| *number > 2).collect();
    for number in open {
        // One of them was the list itself, which is closed by now: the kernel says so, and that is all.
        #[allow(
            unsafe_code,
            reason = "a flag is set on a number, open or not: no memory is touched, nothing is closed"
        )]
        let _ = unsafe { fcntl(number, F_SETFD, FD_CLOEXEC) };
    }
    Ok(())
}
