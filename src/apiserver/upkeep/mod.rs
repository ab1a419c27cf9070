//! What kube-apiserver itself keeps true, with loops of its own: an IPAddress for each Service's address, and in
//! each FlowSchema's status whether its priority level exists.
//!
//! A loop wakes with a change of what it looks at, looks at all of it, and writes what differs. What it holds
//! could be made again from a list. Who writes a Service is answered when its address has its object
//! ([`Upkeep::settled`]), as on the official server, which makes the object first.

mod flow_schemas;
mod ip_addresses;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::engine::Engine;
use crate::api::resource::Resource;

/// The longest that an answer waits for a loop: a loop in trouble must not stop those who mend it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far the loops are.
pub struct Upkeep {
    /// Services up to this revision have their addresses; everything, while no loop runs.
    addresses: watch::Sender<i64>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Upkeep { addresses: watch::Sender::new(i64::MAX) }
    }
}

impl Upkeep {
    /// Waits until a write of this resource has had its consequences. Of most there is nothing to wait for.
    pub async fn settled(&self, engine: &Engine, resource: &Resource, revision: i64) {
        if resource.group.is_empty() && &*resource.plural == "services" {
            // Every write's future would have room for this one.
            Box::pin(self.reach(engine, revision)).await;
        }
    }

    async fn reach(&self, engine: &Engine, revision: i64) {
        let mut seen = self.addresses.subscribe();
        if engine.clock.timeout(PATIENCE, seen.wait_for(|seen| *seen >= revision)).await.is_err() {
            tracing::warn!(revision, "a Service's address has no object yet");
        }
    }
}

/// Starts the loops.
pub async fn start(engine: &Arc<Engine>) {
    flow_schemas::start(engine);
    ip_addresses::start(engine).await;
}
