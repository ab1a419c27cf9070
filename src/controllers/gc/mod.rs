//! The garbage collector: what an object's owners mean when they go.
//!
//! Comes in: the metadata of every object of every resource that discovery names, custom ones as
//! soon as they exist. Goes out: dependents deleted (background), owners held until their dependents
//! are gone (foreground), dependents set free (orphan). Source: kube-controller-manager,
//! pkg/controller/garbagecollector. Chapter: `book/src/control-plane/kube-controller-manager.md`.
//!
//! The files: `graph` (who owns whom), `decide` (what that means, pure).

mod decide;
mod graph;

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};

use self::decide::{Decision, Dependents, Owner};
use self::graph::{Graph, Item};
use super::runner::{Room, text};
use crate::client::{Causes, ObjectKey, Switch, WorkQueue, cause};
use crate::clock::Clock;

/// Source: --concurrent-gc-syncs.
const WORKERS: usize = 20;
/// Set while dependents are set free.
const ORPHAN: &str = "orphan";
/// Set while dependents are deleted first.
const FOREGROUND: &str = "foregroundDeletion";

/// Starts the loop.
pub fn start(room: Room) {
    let queue = WorkQueue::new(room.clock);
    let graph = Arc::new(Graph::new(room.informers.client(), room.clock, &room.tasks, queue.clone()));
    // A resource that comes or goes changes what there is to watch.
    let (definitions, services) = (room.informer::<CustomResourceDefinition>(), room.informer::<APIService>());
    room.wake(&definitions, |_| vec![ObjectKey::cluster("discovery")]);
    room.wake(&services, |_| vec![ObjectKey::cluster("discovery")]);
    room.queue.add(ObjectKey::cluster("discovery"), &Causes::none());
    let collector = Arc::new(Collector { client: room.client.clone(), graph: graph.clone(), clock: room.clock });
    for _ in 0..WORKERS {
        room.tasks.spawn("garbage-collector-controller", work(collector.clone(), queue.clone(), room.switch.clone()));
    }
    room.run_async("garbage-collector-discovery", 1, move |_, _| {
        let graph = graph.clone();
        async move { graph.refresh().await.map(|()| None).map_err(|error| text(&error)) }
    });
}

async fn work(collector: Arc<Collector>, queue: WorkQueue<Item>, switch: Switch) {
    collector.graph.ready().await;
    loop {
        let turn = queue.next().await;
        switch.gate().await;
        match collector.collect(&turn.key, &turn.causes).await {
            Ok(()) => queue.forget(&turn.key),
            Err(failure) => {
                tracing::debug!(item = %turn.key, failure, "garbage collector");
                queue.retry(turn.key.clone());
            }
        }
    }
}

/// Carries decisions out.
struct Collector {
    client: kube::Client,
    graph: Arc<Graph>,
    clock: Clock,
}

impl Collector {
    async fn collect(&self, item: &Item, causes: &Causes) -> Result<(), String> {
        let Some(meta) = self.graph.get(item) else { return Ok(()) };
        let mut owners = Vec::new();
        for reference in meta.owner_references.iter().flatten() {
            owners.push(self.owner(item, reference).await?);
        }
        let dependents = self.graph.dependents(meta.uid.as_deref().unwrap_or_default());
        let found = Dependents {
            any: !dependents.is_empty(),
            block: dependents.iter().any(|(_, dependent)| decide::blocks(dependent, meta.uid.as_deref())),
            wait: dependents.iter().any(|(_, dependent)| waits(dependent)),
        };
        let decision = decide::decide(&meta, &owners, found);
        let client = cause::with(&self.client, causes);
        self.carry_out(&client, item, &meta, decision, &dependents).await.map_err(|error| text(&error))?;
        Ok(())
    }

    async fn owner(&self, item: &Item, reference: &OwnerReference) -> Result<Owner, String> {
        let known = self.graph.owner(item, reference)?;
        if let Some(meta) = known {
            return Ok(if waits(&meta) { Owner::Waiting(reference.uid.clone()) } else { Owner::Solid });
        }
        // The copy may be a moment old: nothing is deleted before the API has been asked.
        let Some(api) = self.graph.owner_api(&self.client, item, reference) else { return Ok(Owner::Solid) };
        match api.get_metadata_opt(&reference.name).await.map_err(|error| text(&error))? {
            Some(live) if live.metadata.uid.as_ref() == Some(&reference.uid) => Ok(Owner::Solid),
            _ => Ok(Owner::Gone(reference.uid.clone())),
        }
    }

    async fn carry_out(
        &self,
        client: &kube::Client,
        item: &Item,
        meta: &ObjectMeta,
        decision: Decision,
        dependents: &[(Item, Arc<ObjectMeta>)],
    ) -> kube::Result<()> {
        match decision {
            Decision::Keep => Ok(()),
            Decision::WakeDependents => {
                for (dependent, meta) in dependents {
                    if meta.deletion_timestamp.is_none() {
                        self.graph.queue().add(dependent.clone(), &Causes::of(meta));
                    }
                }
                Ok(())
            }
            Decision::Orphan => {
                for (dependent, known) in dependents {
                    let gone = meta.uid.iter().cloned().collect::<Vec<_>>();
                    self.patch(client, dependent, &without_owners(known, &gone)).await?;
                }
                self.patch(client, item, &without_finalizer(meta, ORPHAN)).await
            }
            Decision::Finish => self.patch(client, item, &without_finalizer(meta, FOREGROUND)).await,
            Decision::LeaveOwners(gone) => self.patch(client, item, &without_owners(meta, &gone)).await,
            Decision::Delete(policy) => self.delete(client, item, meta, policy).await,
            Decision::BreakCircle => {
                self.patch(client, item, &without_blocks(meta)).await?;
                self.delete(client, item, meta, PropagationPolicy::Foreground).await
            }
        }
    }

    async fn patch(&self, client: &kube::Client, item: &Item, patch: &Value) -> kube::Result<()> {
        let Some(api) = self.graph.api(client, item) else { return Ok(()) };
        let result = api.patch_metadata(&item.key.name, &PatchParams::default(), &Patch::Merge(patch)).await;
        done(result.map(drop))
    }

    async fn delete(
        &self,
        client: &kube::Client,
        item: &Item,
        meta: &ObjectMeta,
        policy: PropagationPolicy,
    ) -> kube::Result<()> {
        let Some(api) = self.graph.api(client, item) else { return Ok(()) };
        let options = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(Preconditions { uid: meta.uid.clone(), resource_version: None }),
            ..Default::default()
        };
        done(api.delete(&item.key.name, &options).await.map(drop))?;
        // So that the same copy does not ask for the deletion twice.
        let limit = std::time::Duration::from_secs(5);
        let _ = self.clock.timeout(limit, self.graph.left(item, meta.uid.as_deref())).await;
        Ok(())
    }
}

/// An object that is gone, or has another's name, needs nothing more.
fn done(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}

fn has(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.iter().flatten().any(|known| known == finalizer)
}

/// The object is there only until its dependents are deleted.
fn waits(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some() && has(meta, FOREGROUND)
}

/// A merge patch after which the object holds none of its owners up.
fn without_blocks(meta: &ObjectMeta) -> Value {
    let free = |owner: &OwnerReference| OwnerReference { block_owner_deletion: Some(false), ..owner.clone() };
    let owners: Vec<_> = meta.owner_references.iter().flatten().map(free).collect();
    guarded(meta, "ownerReferences", json!(owners))
}

/// A merge patch with all owners but these; guarded by the revision read.
fn without_owners(meta: &ObjectMeta, gone: &[String]) -> Value {
    let stay: Vec<_> = meta.owner_references.iter().flatten().filter(|owner| !gone.contains(&owner.uid)).collect();
    let stay = if stay.is_empty() { Value::Null } else { json!(stay) };
    guarded(meta, "ownerReferences", stay)
}

fn without_finalizer(meta: &ObjectMeta, finalizer: &str) -> Value {
    let stay: Vec<_> = meta.finalizers.iter().flatten().filter(|known| *known != finalizer).collect();
    let stay = if stay.is_empty() { Value::Null } else { json!(stay) };
    guarded(meta, "finalizers", stay)
}

fn guarded(meta: &ObjectMeta, field: &str, value: Value) -> Value {
    json!({ "metadata": { "uid": meta.uid, "resourceVersion": meta.resource_version, field: value } })
}

/// What the collector reads of any object.
type AnyApi = Api<DynamicObject>;
