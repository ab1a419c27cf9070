//! Fills a Pod's volumes: all that a container mounts, before it starts; later what follows something that changed.
//!
//! In: the Pod, through [`Sources`] what its volumes name. Out: volumes in the runtime. Reading and writing are one
//! turn, so that what is written last was read last. A volume that cannot be made anew keeps the files that it has: a
//! ConfigMap that was deleted takes nothing away from who has started with it.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Volume as PodVolume};

use super::environment::Sources;
use super::pod::PodView;
use super::run::Node;
use super::runtime::Volume;
use super::state::Sandbox;
use super::tokens::PodTokens;
use super::volumes;

/// The wait after a request that failed: of that no watch tells.
const AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What a Pod has in its volumes.
#[derive(Debug, Default)]
pub struct Mounted {
    /// The volumes that were filled.
    filled: BTreeSet<String>,
    tokens: PodTokens,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Filled {
    /// Why volumes have kept what was in them, in the words of the event FailedMount.
    pub faults: Vec<String>,
    /// When to fill them again, if nothing changes before.
    pub again: Option<Timestamp>,
}

impl Mounted {
    /// Fills what a container mounts.
    ///
    /// # Errors
    /// A volume was never filled and cannot be now: the words of the event FailedMount.
    pub async fn fill(
        &mut self,
        node: &Node,
        pod: &PodView,
        sandbox: &Sandbox,
        container: &Container,
    ) -> Result<Filled, String> {
        put(node, sandbox, volumes::hosts_file(pod, &sandbox.ip)).await?;
        self.make(node, pod, sandbox, |volume, _| volumes::mounts(container, volume)).await
    }

    /// Fills again what shows something else, of the volumes that are there.
    pub async fn refill(&mut self, node: &Node, pod: &PodView, sandbox: &Sandbox) -> Filled {
        let runtime = &*node.runtime;
        let live = |volume: &PodVolume| volumes::is_refilled(volume, runtime);
        let made = self.make(node, pod, sandbox, |volume, filled| filled.contains(&volume.name) && live(volume)).await;
        // A volume that was filled before has a fault at most.
        made.unwrap_or_default()
    }

    async fn make(
        &mut self,
        node: &Node,
        pod: &PodView,
        sandbox: &Sandbox,
        wanted: impl Fn(&PodVolume, &BTreeSet<String>) -> bool,
    ) -> Result<Filled, String> {
        let Mounted { filled, tokens } = self;
        // While an image was pulled the Pod's labels may have changed.
        let newest = node.pods.lock().get(pod.uid()).cloned();
        let pod = newest.as_deref().unwrap_or(pod);
        let now = node.clock.now();
        let mut sources = Sources::new(&node.client, pod, &sandbox.ip, &node.config.address);
        if node.runtime.has_processes() {
            sources = sources.with_tokens(tokens, now);
        }
        let mut faults = Vec::new();
        for volume in pod.spec.volumes.iter().flatten() {
            if !wanted(volume, filled) {
                continue;
            }
            let made = match sources.volume(volume).await {
                Ok(made) => put(node, sandbox, made).await,
                Err(why) => Err(why),
            };
            match made {
                Ok(()) => _ = filled.insert(volume.name.clone()),
                Err(why) if filled.contains(&volume.name) => faults.push(why),
                Err(why) => return Err(why),
            }
        }
        let soon = now.saturating_add(AGAIN).unwrap_or(Timestamp::MAX);
        let unread = sources.unread;
        let again = if unread { Some(soon) } else { tokens.renew().map(|at| at.max(soon)) };
        Ok(Filled { faults, again })
    }
}

async fn put(node: &Node, sandbox: &Sandbox, volume: Volume) -> Result<(), String> {
    let name = volume.name.clone();
    let set = node.runtime.set_volume(&sandbox.id, volume).await;
    set.map_err(|error| format!("MountVolume.SetUp failed for volume \"{name}\" : {error}"))
}
