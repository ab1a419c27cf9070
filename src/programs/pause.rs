//! `pause`: holds a Pod's namespaces open, and buries processes whose parents have died.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often it looks for the dead when nobody told it.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn main(_: &[String]) -> i32 {
    let asked = super::asked_to_end();
    let died = Arc::new(AtomicBool::new(true));
    // Without the signal it looks every second all the same.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGCHLD, died.clone());
    while !asked.load(Ordering::SeqCst) {
        if died.swap(false, Ordering::SeqCst) {
            while matches!(rustix::process::wait(rustix::process::WaitOptions::NOHANG), Ok(Some(_))) {}
        }
        // A signal cuts this short.
        std::thread::park_timeout(LOOK);
    }
    0
}
