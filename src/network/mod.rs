//! How Pods get addresses and how they are reached.
//!
//! Out: addresses from each node's range. It starts nothing and knows no objects.
//! Chapter: `book/src/control-plane/kubelet.md`.

pub mod ipam;
