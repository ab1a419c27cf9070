//! One file a verb. A verb takes a [`Call`](super::engine::Call) and answers; none knows a kind.

pub mod apply;
pub mod ask;
pub mod binding;
pub mod connect;
pub mod create;
pub mod delete;
pub mod delete_options;
pub mod deletecollection;
pub mod eviction;
pub mod get;
pub mod list;
pub mod patch;
pub mod proxy;
pub mod scale;
pub mod token;
pub mod update;
pub mod watch;
mod watch_form;
