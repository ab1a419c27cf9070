//! What a playground has and a cluster has not: switches for its loops, the scheduler's record, a
//! plug that can be pulled.
//!
//! From another process they are reached through the page; inside the playground's own process,
//! directly.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::exercise::SwitchState;
use crate::client::page::Page;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// How long a playground that was ended may take to answer again.
const BACK: Duration = Duration::from_secs(120);
/// How often it is asked meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// A playground's switches and records.
pub trait Controls: Send + Sync {
    /// Pauses a loop, or lets it run.
    ///
    /// # Errors
    /// When there is no such loop, or the playground does not answer.
    fn set_switch<'a>(&'a self, name: &'a str, state: SwitchState) -> BoxFuture<'a, Result<()>>;

    /// The runtime that runs the playground's containers, and why that one: `runtime`, `runtimeReason`.
    ///
    /// # Errors
    /// When the playground does not answer.
    fn about(&self) -> BoxFuture<'_, Result<Value>>;

    /// The scheduler's last record of a Pod.
    ///
    /// # Errors
    /// When it has not looked at the Pod, or the playground does not answer.
    fn decision<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Value>>;

    /// Ends the playground as a power cut does, and waits until it has started again.
    ///
    /// # Errors
    /// When it does not come back, or the caller is inside of it.
    fn crash(&self, clock: Clock) -> BoxFuture<'_, Result<()>>;
}

impl Controls for Page {
    fn set_switch<'a>(&'a self, name: &'a str, state: SwitchState) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let body = json!({"name": name, "state": state.as_str()});
            self.post("/api/switches", &body).await.map(|_| ())
        })
    }

    fn about(&self) -> BoxFuture<'_, Result<Value>> {
        Box::pin(async move { self.get("/api/status").await })
    }

    fn decision<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move { self.get(&format!("/api/decisions?namespace={namespace}&name={name}")).await })
    }

    fn crash(&self, clock: Clock) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let before = self.get("/api/status").await?["life"].clone();
            // The answer may be cut off: that is what was asked for.
            let _ = self.post("/api/crash", &json!({})).await;
            let back = async {
                while !self.get("/api/status").await.is_ok_and(|status| status["life"] != before) {
                    clock.sleep(ASK_AGAIN).await;
                }
            };
            clock.timeout(BACK, back).await.map_err(|_| {
                Error::new("the playground did not come back", format!("waited {} s", BACK.as_secs()))
                    .hint("its terminal says why; start it again: tutor serve")
            })
        })
    }
}
