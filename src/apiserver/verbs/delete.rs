//! `DELETE`: at once, after a grace period, or once every finalizer is gone.
//!
//! An object with finalizers, or one whose kind grants a grace period, is marked with
//! `deletionTimestamp` first; it goes away with the write that removes the last reason to stay.

use serde_json::{Value, json};
use warp::reply::Response;

use super::create::second;
use super::delete_options::DeleteOptions;
use crate::api::meta;
use crate::api::resource::Resource;
use crate::api::status::{Reason, Status};
use crate::apiserver::admission::Operation;
use crate::apiserver::convert;
use crate::apiserver::engine::{Call, conflict, conflict_because};
use crate::apiserver::respond;
use crate::apiserver::storage::{self, Stored, Written};

/// How often a delete that lost a race is tried again.
const ATTEMPTS: usize = 20;

/// Told to whoever deletes a Job and does not say what becomes of its Pods.
const JOB_WARNING: &str = "child pods are preserved by default when jobs are deleted; set \
     propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

pub(super) fn is(resource: &Resource, (group, plural): (&str, &str)) -> bool {
    &*resource.group == group && &*resource.plural == plural
}

/// Deletes the object.
///
/// # Errors
/// 403, 404, 409, 422.
pub async fn delete(call: &Call) -> Result<Response, Status> {
    let options = DeleteOptions::parse(call)?;
    if (&*call.resource.group, &*call.resource.plural) == ("batch", "jobs") && options.says_nothing_of_dependents() {
        call.warn([JOB_WARNING.to_string()]);
    }
    let name = call.info.name.clone();
    if let Some(why) = (call.strategy().kept)(&name) {
        return Err(Status::forbidden(&call.resource.group, &call.resource.plural, &name, why));
    }
    if options.ignores_read_errors() {
        return Err(readable(call, &name).await?);
    }
    match remove(call, &name, &options, Admission::Of(&name)).await? {
        Removed::Stays(object) if options.keeps_no_dependents() => respond::object(202, &object, call),
        Removed::Stays(object) => respond::object(200, &object, call),
        Removed::Gone(object) if call.resource.is_returned_by_delete() => respond::object(200, &object, call),
        Removed::Gone(object) => {
            let mut details = json!({"name": name, "kind": &*call.resource.plural, "uid": meta::uid(&object)});
            if !call.resource.group.is_empty() {
                details["group"] = json!(&*call.resource.group);
            }
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
            let accepted = crate::apiserver::negotiate::Accepted {
                shape: crate::apiserver::negotiate::Shape::Native,
                ..call.accepted
            };
            Ok(respond::send(200, accepted.content_type(), respond::encode(&status, accepted)?))
        }
    }
}

/// Only an object that cannot be read may be deleted without reading it, and here all can be read.
async fn readable(call: &Call, name: &str) -> Result<Status, Status> {
    call.read(name).await?;
    let key = call.store_key(name);
    let why = "unsafe deletion is not allowed because the object is decodable from storage";
    let why =
        format!("StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {why}");
    Ok(conflict_because(&call.resource, name, &why))
}

/// What a delete came to.
pub enum Removed {
    /// It is gone; this is its last state.
    Gone(Value),
    /// It is marked and stays for now.
    Stays(Value),
}

/// What admission has to do with a delete.
#[derive(Clone, Copy)]
pub enum Admission<'a> {
    /// It is asked about the object of this name; empty where a whole collection goes.
    Of(&'a str),
    /// It was asked before: the delete is part of another request.
    Passed,
}

/// Deletes one object by name.
///
/// # Errors
/// As [`delete`].
pub async fn remove(
    call: &Call,
    name: &str,
    options: &DeleteOptions,
    admission: Admission<'_>,
) -> Result<Removed, Status> {
    let key = call.store_key(name);
    let mut current = match call.read(name).await {
        Ok(object) => Some(Stored { object: object.value(), revision: object.revision }),
        Err(status) if status.reason == Some(Reason::BadRequest) => return Err(status),
        Err(_) => call.engine.storage.get(key.clone()).await?,
    };
    for _ in 0..ATTEMPTS {
        let stored = current.ok_or_else(|| call.not_found(name))?;
        let old = convert::read(&call.engine, stored.object, &call.resource).await?;
        options.check(&call.resource, &old)?;
        if let Admission::Of(shown) = admission {
            let mut attributes = call.attributes(Operation::Delete, None, Some(&old), shown, options.dry_run);
            call.pass(&mut attributes).await?;
        }
        let plan = plan(call, &old, options);
        if options.dry_run {
            return Ok(plan);
        }
        let written = match &plan {
            // A Pod is marked even where it may go at once: who watches sees both.
            Removed::Gone(new) if is(&call.resource, ("", "pods")) && *new != old => {
                let marked = convert::stored_bytes(&call.engine, new, &call.resource).await?;
                match call.engine.storage.update(key.clone(), stored.revision, marked).await? {
                    Written::Done(revision) => match call.engine.storage.delete(key.clone(), revision).await? {
                        // Who saw the mark was quicker: a Pod without a node is also the collector's to delete.
                        Written::Changed(None) => return Ok(plan),
                        written => written,
                    },
                    changed => changed,
                }
            }
            Removed::Gone(_) => call.engine.storage.delete(key.clone(), stored.revision).await?,
            Removed::Stays(new) if *new == old => return Ok(plan),
            Removed::Stays(new) => {
                let new = convert::stored_bytes(&call.engine, new, &call.resource).await?;
                call.engine.storage.update(key.clone(), stored.revision, new).await?
            }
        };
        match (written, plan) {
            (Written::Done(revision), Removed::Gone(object)) => {
                call.note("delete", revision, name, Some(&old), &Value::Null);
                call.engine.upkeep.settled(&call.engine, &call.resource, revision).await;
                return Ok(Removed::Gone(object));
            }
            (Written::Done(revision), Removed::Stays(mut object)) => {
                storage::set_revision(&mut object, revision);
                call.note("delete", revision, name, Some(&old), &object);
                return Ok(Removed::Stays(object));
            }
            (Written::Changed(now), _) => current = now,
        }
    }
    Err(conflict(&call.resource, name))
}

/// Whether the object goes now, and how it looks if it stays.
fn plan(call: &Call, old: &Value, options: &DeleteOptions) -> Removed {
    let asked = options.grace_seconds.map(|seconds| seconds.max(if seconds < 0 { 1 } else { 0 }));
    let grace = (call.strategy().grace_seconds)(old, asked);
    let mut new = old.clone();
    meta::set_finalizers(&mut new, options.finalizers(&call.resource, old));
    if meta::deletion_timestamp(old).is_none() {
        (call.strategy().prepare_delete)(&mut new, &call.context(options.dry_run));
    }
    let stays = has_finalizers(&new);
    let pending = meta::deletion_grace_period_seconds(old);
    if meta::deletion_timestamp(old).is_some() && (grace > 0 || stays) {
        // Already on its way: a new request can only make it shorter.
        if pending.is_some_and(|pending| grace < pending) {
            mark(call, &mut new, grace);
        }
        return Removed::Stays(new);
    }
    if grace > 0 || stays {
        if meta::generation(old) > 0 {
            meta::set_generation(&mut new, meta::generation(old) + 1);
        }
        mark(call, &mut new, grace);
        return Removed::Stays(new);
    }
    if &*call.resource.plural == "pods" || meta::deletion_timestamp(old).is_some() {
        if meta::deletion_timestamp(old).is_none() && meta::generation(old) > 0 {
            meta::set_generation(&mut new, meta::generation(old) + 1);
        }
        mark(call, &mut new, 0);
    }
    Removed::Gone(new)
}

fn mark(call: &Call, object: &mut Value, grace: i64) {
    if meta::kind(object) == "Namespace" {
        meta::set(object, &["status", "phase"], json!("Terminating"));
    }
    let at = call.now.saturating_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(call.now);
    meta::set(object, &["metadata", "deletionTimestamp"], json!(second(at)));
    // Definitions and namespaces are marked by hand where Kubernetes has it, and no grace is noted.
    if !matches!(meta::kind(object), "CustomResourceDefinition" | "Namespace") {
        meta::set(object, &["metadata", "deletionGracePeriodSeconds"], json!(grace));
    }
}

/// Reasons to stay: finalizers in `metadata`, and a Namespace's own in `spec`.
fn has_finalizers(object: &Value) -> bool {
    meta::finalizers(object).next().is_some()
        || (meta::kind(object) == "Namespace" && !meta::list(object, &["spec", "finalizers"]).is_empty())
}

/// Whether this write takes away the last reason for a marked object to stay.
pub fn is_finished(new: &Value, old: &Value) -> bool {
    meta::deletion_timestamp(new).is_some()
        && meta::deletion_grace_period_seconds(new).unwrap_or(0) == 0
        && !has_finalizers(new)
        && has_finalizers(old)
}
