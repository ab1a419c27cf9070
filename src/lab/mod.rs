//! Experiments of the book's first part, made on the reader's own machine and cluster.
//!
//! In: a folder to work in, a clock, for one of them a cluster. Out: figures, each with where it comes from: measured
//! here and now, or recorded elsewhere and by whom. Nothing is left behind.
//!
//! | file | experiment | chapter |
//! |---|---|---|
//! | `boot` | how long a process, a container and a machine take to start | `book/src/servers/virtual-machines.md` |
//! | `memory` | what a system takes before any application | `book/src/servers/virtual-machines.md` |
//! | `walls` | a container by hand, a namespace at a time | `book/src/servers/containers.md` |
//! | `orchestrator` | two minutes of keeping three Pods alive | `book/src/servers/docker.md` |

pub mod boot;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod guest;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[path = "guest_elsewhere.rs"]
mod guest;
pub mod memory;
pub mod orchestrator;
pub mod walls;
