//! The end of a definition: its objects go first, then it does.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{CLEANUP, Condition, controller, holds};
use crate::api::meta;
use crate::api::resource::Resource;
use crate::apiserver::cache::Cache;
use crate::apiserver::engine::Engine;
use crate::apiserver::storage::{self, Written};
use crate::apiserver::verbs::create::second;

/// What a delete request does to a definition before it is stored: it will wait for its objects.
pub fn prepare(definition: &mut Value, now: &str) {
    let mut finalizers: Vec<String> = meta::finalizers(definition).map(str::to_string).collect();
    if !finalizers.iter().any(|name| name == CLEANUP) {
        finalizers.push(CLEANUP.to_string());
        meta::set_finalizers(definition, finalizers);
    }
    Condition {
        kind: "Terminating",
        holds: true,
        reason: "InstanceDeletionPending",
        message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    .set(definition, now);
}

/// Whether a definition waits for its objects to go.
pub fn is_asked(definition: &Value) -> bool {
    meta::deletion_timestamp(definition).is_some() && meta::finalizers(definition).any(|name| name == CLEANUP)
}

/// Empties a definition that is marked as deleted and lets it go. Done in the background, because
/// objects may have finalizers of their own.
pub fn start(engine: &Arc<Engine>, resource: &Arc<Resource>, definition: Value) {
    let (tasks, engine, resource) = (engine.tasks.clone(), engine.clone(), resource.clone());
    tasks.spawn("custom resource removal", async move {
        let mut new = definition.clone();
        Condition {
            kind: "Terminating",
            holds: true,
            reason: "InstanceDeletionInProgress",
            message: "CustomResource deletion is in progress",
        }
        .set(&mut new, &second(engine.clock.now()));
        // Whoever wrote in between does not change what has to be done.
        let _ = controller::write(&engine, &resource, &definition, new).await;
        if let Some(cache) = engine.caches.get(&prefix(&definition)) {
            empty(&engine, &cache).await;
        }
        finish(&engine, &resource, meta::name(&definition)).await;
    });
}

fn prefix(definition: &Value) -> String {
    let (group, names) = (meta::text(definition, &["spec", "group"]), &definition["status"]["acceptedNames"]);
    format!("{}{group}/{}/", crate::apiserver::cache::feed::ROOT, meta::text(names, &["plural"]))
}

/// Deletes every object, and waits until those with finalizers are gone too.
async fn empty(engine: &Engine, cache: &Arc<Cache>) {
    let mut changes = cache.subscribe();
    engine.caches.fresh().await;
    loop {
        changes.mark_unchanged();
        let objects = cache.snapshot("", "").objects;
        if objects.is_empty() {
            return;
        }
        for object in objects {
            let (key, mut value) = (format!("{}{}", cache.prefix, object.key), object.value());
            let kept = meta::finalizers(&value).next().is_some();
            let written = if !kept {
                engine.storage.delete(key, object.revision).await
            } else if meta::deletion_timestamp(&value).is_none() {
                meta::set(&mut value, &["metadata", "deletionTimestamp"], json!(second(engine.clock.now())));
                meta::set(&mut value, &["metadata", "deletionGracePeriodSeconds"], json!(0));
                engine.storage.update(key, object.revision, storage::encode(&value)).await
            } else {
                continue;
            };
            if let Err(status) = written {
                tracing::warn!(status.message, "a custom object cannot be deleted");
            }
        }
        engine.caches.fresh().await;
        if !cache.is_empty() && !changes.has_changed().unwrap_or(false) && changes.changed().await.is_err() {
            return;
        }
    }
}

/// Takes the finalizer away: with it the last reason to stay, or one of them.
async fn finish(engine: &Engine, resource: &Resource, name: &str) {
    let key = storage::prefix(resource) + name;
    loop {
        let Ok(Some(stored)) = engine.storage.get(key.clone()).await else { return };
        let mut new = stored.object.clone();
        let established = holds(&new, "Established");
        let (reason, message) = match established {
            true => ("InstanceDeletionCompleted", "removed all instances"),
            false => ("NeverEstablished", "resource was never established"),
        };
        Condition { kind: "Terminating", holds: false, reason, message }.set(&mut new, &second(engine.clock.now()));
        let rest: Vec<String> = meta::finalizers(&new).filter(|name| *name != CLEANUP).map(str::to_string).collect();
        let last = rest.is_empty();
        meta::set_finalizers(&mut new, rest);
        let written = match last {
            true => engine.storage.delete(key.clone(), stored.revision).await,
            false => engine.storage.update(key.clone(), stored.revision, storage::encode(&new)).await,
        };
        match written {
            Ok(Written::Changed(Some(_))) => {}
            _ => return,
        }
    }
}
