//! What a playground has and a cluster has not: switches for its loops, the scheduler's record.
//!
//! From another process they are reached through the page; inside the playground's own process,
//! directly.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::exercise::SwitchState;
use crate::client::page::Page;
use crate::error::Result;

/// A playground's switches and records.
pub trait Controls: Send + Sync {
    /// Pauses a loop, or lets it run.
    ///
    /// # Errors
    /// When there is no such loop, or the playground does not answer.
    fn set_switch<'a>(&'a self, name: &'a str, state: SwitchState) -> BoxFuture<'a, Result<()>>;

    /// The scheduler's last record of a Pod.
    ///
    /// # Errors
    /// When it has not looked at the Pod, or the playground does not answer.
    fn decision<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Value>>;
}

impl Controls for Page {
    fn set_switch<'a>(&'a self, name: &'a str, state: SwitchState) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let body = json!({"name": name, "state": state.as_str()});
            self.post("/api/switches", &body).await.map(|_| ())
        })
    }

    fn decision<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move { self.get(&format!("/api/decisions?namespace={namespace}&name={name}")).await })
    }
}
