//! The kubelet: on its node, makes what the cluster wants true, and reports what is.
//!
//! In: the Pods whose `spec.nodeName` is this node, by watch. Out: containers (through [`runtime`]),
//! Pod status, the Node object and its heartbeat. The thinking is one pure function,
//! [`sync::sync_pod`]; [`worker`] carries its actions out, one task a Pod; [`node`] speaks for the
//! machine; [`http`] answers `kubectl logs`, [`streams`] exec, attach and port-forward. It never picks a node and never makes a Pod.
//! Chapter: `book/src/control-plane/kubelet.md`.

pub mod admission;
pub mod config;
pub mod connect;
pub mod environment;
mod followed;
pub mod http;
mod jobs;
mod mounted;
pub mod node;
pub mod pod;
pub mod probes;
mod pull_secrets;
pub mod run;
pub mod runtime;
pub mod state;
pub mod status;
pub mod streams;
pub mod sync;
pub mod tokens;
pub mod volumes;
pub mod worker;

pub use node::{NODE_NETWORK, NodeConfig, POD_NETWORK};
pub use pod::PodView;
pub use run::Kubelet;
