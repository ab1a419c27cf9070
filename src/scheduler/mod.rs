//! The scheduler: gives each Pod without a node a node, and writes down why.
//!
//! In: Pods, Nodes and what volumes they need, through `client/`. Out: one Binding per Pod, or the
//! condition `PodScheduled=False` with the event `FailedScheduling`. The thinking is one pure
//! function, [`schedule()`]: a Pod and a [`Snapshot`] go in, a [`Decision`] comes out, and the event,
//! the page and the checker all show that same record. It never starts anything: that is the
//! kubelet's work. Chapter: `book/src/control-plane/kube-scheduler.md`.
//!
//! Read in this order: [`decision`] (what comes out), [`snapshot`] (what goes in), [`schedule`]
//! (filter, then score), `plugins/` (one rule a file), [`preemption`], [`queue`], [`run`].

pub mod decision;
pub mod node;
pub mod plugins;
pub mod pod;
pub mod pod_view;
pub mod preemption;
pub mod queue;
pub mod resources;
pub mod run;
pub mod schedule;
pub mod selector;
pub mod snapshot;
pub mod topology;
pub mod volumes;
pub mod workloads;
mod write;

pub use decision::{Decision, Outcome, Plugin, Verdict};
pub use node::NodeInfo;
pub use pod::PodInfo;
pub use run::Scheduler;
pub use schedule::schedule;
pub use snapshot::Snapshot;
