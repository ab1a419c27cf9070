//! How everything in the process reaches the cluster: as any Kubernetes client does, over HTTP.
//!
//! Comes in: an API (this process's warp filter, or an HTTPS server named by a kubeconfig). Goes
//! out: `kube::Client`s that say who they are, shared [`informer`]s that keep a copy of what a loop
//! reads, a [`queue`] that keeps a loop's work in order, a recorder of [`events`], and [`switch`]es
//! that let a reader pause a loop. Nothing here decides anything about Kubernetes objects.
//!
//! Architecture invariant: loops know the cluster only through this room; no list is read on a
//! timer, each change arrives by watch. Chapter: `book/src/inside/loops.md`.

pub mod cause;
pub mod events;
pub mod exec;
pub mod follow;
pub mod https;
pub mod in_process;
pub mod informer;
pub mod line;
pub mod page;
pub mod queue;
pub mod shared;
pub mod slim;
pub mod store;
pub mod switch;
pub mod trace;
pub mod views;

pub use cause::Causes;
pub use events::Recorder;
pub use exec::run_in;
pub use follow::follow;
pub use https::{current_namespace, from_kubeconfig, from_playground};
pub use in_process::{as_user, over_filter, over_line};
pub use informer::{Informer, Informers, Written};
pub use line::Line;
pub use queue::WorkQueue;
pub use store::{Change, ObjectKey, Watched};
pub use switch::{Switch, Switches};
pub use views::view;
