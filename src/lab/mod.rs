//! Experiments that are measured on the reader's own machine.
//!
//! In: a folder to work in and a clock. Out: figures, each with where it comes from: measured here and now, or
//! recorded elsewhere and by whom. Nothing is left behind, and no cluster is needed.
//! Chapter: `book/src/servers/virtual-machines.md`.

pub mod boot;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod guest;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[path = "guest_elsewhere.rs"]
mod guest;
