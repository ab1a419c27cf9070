//! The walls, one file each, in the order a reader meets them.
//!
//! [`user`] comes first, because it gives the right to make the others; then [`pid`], [`mount`], [`net`],
//! [`uts`], [`ipc`] and [`cgroup`]. Each says what a process would see without it. All are called by the
//! process that goes behind the wall (unshare(2)), which has one thread. Chapter: `book/src/inside/runtime.md`.

pub mod cgroup;
pub mod ipc;
pub mod mount;
pub mod net;
pub mod netfilter;
pub mod netlink;
pub mod pid;
pub mod user;
pub mod uts;
