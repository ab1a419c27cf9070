//! How everything reaches the cluster.

pub mod page;
