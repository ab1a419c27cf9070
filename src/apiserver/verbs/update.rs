//! `PUT`, and the guarded write that every change of an object goes through.
//!
//! Read, change, check, write if the object is still the one that was read; otherwise read again.
//! A client that sent a `resourceVersion` is told of the conflict instead.

use bytes::Bytes;
use serde_json::{Value, json};
use warp::reply::Response;

use super::create::{self, finish, place};
use super::delete;
use crate::api::apply::track_update;
use crate::api::go_values::{came_empty, with_empties};
use crate::api::meta;
use crate::api::status::{Reason, Status};
use crate::apiserver::admission::Operation;
use crate::apiserver::auth::{Action, Decision};
use crate::apiserver::cache::feed::ROOT;
use crate::apiserver::convert;
use crate::apiserver::custom;
use crate::apiserver::engine::{Call, bad_request, conflict, conflict_because};
use crate::apiserver::kinds::{self, FieldError};
use crate::apiserver::options::WriteOptions;
use crate::apiserver::respond;
use crate::apiserver::storage::{self, Stored, Written};

/// How often a write that only lost a race is tried again.
const ATTEMPTS: usize = 20;

/// Replaces the object by the one in the body.
///
/// # Errors
/// 400, 404, 409, 422 as Kubernetes says them.
pub async fn update(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "UpdateOptions")?;
    let mut object = create::body(call, &options)?;
    named(call, &mut object)?;
    place(call, &mut object)?;
    let (object, made) = write(call, &options, "update", |_| Ok(object.clone())).await?;
    respond::object(if made { 201 } else { 200 }, &object, call)
}

/// The object has the name of the URL.
fn named(call: &Call, object: &mut Value) -> Result<(), Status> {
    let url = &call.info.name;
    match meta::name(object) {
        "" => Err(bad_request(format!(
            "the name of the object ({url} based on URL) was undeterminable: name must be provided"
        ))),
        own if own != url => {
            Err(bad_request(format!("the name of the object ({own}) does not match the name on the URL ({url})")))
        }
        _ => Ok(()),
    }
}

/// Changes an object: `make` gives the new one from the one that is (in the request's version).
/// Returns the object as it is now, and whether it was created.
///
/// # Errors
/// 404 when there is none (and the kind is not created by updates), 409, 422, 403.
pub async fn write(
    call: &Call,
    options: &WriteOptions,
    verb: &'static str,
    mut make: impl FnMut(&Value) -> Result<Value, Status> + Send,
) -> Result<(Value, bool), Status> {
    let name = call.info.name.clone();
    let key = call.store_key(&name);
    let mut current = current(call, &name, &key).await?;
    for _ in 0..ATTEMPTS {
        let Some(stored) = current else {
            return missing(call, options, verb, &name, &mut make).await;
        };
        let stored_as = meta::api_version(&stored.object).to_string();
        let old = convert::read(&call.engine, stored.object, &call.resource).await?;
        let new = make(&old)?;
        let asked = asked_revision(&new)?;
        if asked.is_some_and(|revision| revision != stored.revision) {
            return Err(conflict(&call.resource, &name));
        }
        let new = prepare(call, new, &old, options, verb).await?;
        if options.dry_run {
            return Ok((new, false));
        }
        match commit(call, &key, &old, &stored_as, new, stored.revision).await? {
            Committed::Unchanged(object) => return Ok((object, false)),
            Committed::Done(object, revision) => {
                call.note(verb, revision, &name, Some(&old), &object);
                custom::controller::settled(&call.engine, &call.resource, revision).await;
                call.engine.upkeep.settled(&call.engine, &call.resource, revision).await;
                return Ok((object, false));
            }
            Committed::Lost(_) if asked.is_some() => return Err(conflict(&call.resource, &name)),
            Committed::Lost(now) => current = now,
        }
    }
    Err(conflict(&call.resource, &name))
}

/// The object as it is: from the cache, which a guarded write makes safe.
async fn current(call: &Call, name: &str, key: &str) -> Result<Option<Stored>, Status> {
    match call.read(name).await {
        Ok(object) => Ok(Some(Stored { object: object.value(), revision: object.revision })),
        Err(status) if status.reason == Some(Reason::BadRequest) => Err(status),
        Err(_) => call.engine.storage.get(key.to_string()).await,
    }
}

/// There is no such object: some kinds are created by `PUT`.
async fn missing(
    call: &Call,
    options: &WriteOptions,
    verb: &'static str,
    name: &str,
    make: &mut (impl FnMut(&Value) -> Result<Value, Status> + Send),
) -> Result<(Value, bool), Status> {
    let creates = verb == "apply" || (verb == "update" && call.strategy().create_on_update);
    if !creates || !call.info.subresource.is_empty() {
        return Err(call.not_found(name));
    }
    let action = Action { verb: "create".to_string(), ..call.info.action() };
    if let Decision::NoOpinion(reason) = call.engine.auth.authorize(&call.user, &action, &*call.engine) {
        return Err(call.engine.auth.forbidden(&call.user, &action, &reason));
    }
    let mut object = make(&Value::Null)?;
    meta::remove(&mut object, &["metadata", "resourceVersion"]);
    let verb = if verb == "apply" { "apply" } else { "create" };
    Ok((create::store(call, object, options, verb).await?, true))
}

/// The revision the client says it changes; none and 0 say "whatever is there".
fn asked_revision(new: &Value) -> Result<Option<i64>, Status> {
    let text = meta::resource_version(new);
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    text.parse::<u64>().map(|n| i64::try_from(n).ok()).map_err(|_| {
        let mut status =
            Status::new(Reason::InternalError, format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
        status.reason = None;
        status
    })
}

/// What the system keeps, what this part of the object may change, admission, validation.
async fn prepare(
    call: &Call,
    mut new: Value,
    old: &Value,
    options: &WriteOptions,
    verb: &str,
) -> Result<Value, Status> {
    let name = call.info.name.as_str();
    let strategy = call.strategy();
    let context = call.context(options.dry_run);
    let uid = meta::uid(&new);
    if !uid.is_empty() && uid != meta::uid(old) && call.info.verb == "update" {
        let key = call.store_key(name);
        // A dry run is refused a layer above the store, which does not know the root of all keys.
        let key = key.strip_prefix(ROOT.trim_end_matches('/')).filter(|_| options.dry_run).unwrap_or(&key);
        return Err(conflict_because(
            &call.resource,
            name,
            &format!(
                "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {uid}, UID in object meta: {}",
                meta::uid(old)
            ),
        ));
    }
    // A Scale says what it means by itself; the object is the one that was read just now.
    if meta::resource_version(&new).is_empty() && !strategy.unconditional_update && verb == "update" {
        // Kubernetes knows only the resource here, and names it as if it were the kind.
        let error = FieldError::invalid_raw("metadata.resourceVersion", "0", "must be specified for an update");
        return Err(FieldError::status(&call.resource.group, &call.resource.plural, name, &[error]));
    }
    let came = create::came_empty(call, &new);
    keep_system_fields(&mut new, old);
    finish(call, &mut new, options);
    // Apply and scale have said already who owns what.
    if !matches!(verb, "apply" | "scale") {
        call.as_writer(&options.field_manager, |writer| track_update(Some(old), &mut new, writer));
    }
    let subresource = strategy.subresource(&call.info.subresource);
    match subresource {
        Some(sub) => (sub.prepare)(&mut new, old, &context),
        None if verb == "bind" => {}
        None => {
            (strategy.prepare_update)(&mut new, old, &context);
            let schema = call.resource.schema.field(strategy.exact).map(|field| field.schema());
            let (field, now) = (strategy.exact, &new[strategy.exact]);
            let differs = |came: &Value| schema.is_some_and(|schema| came_empty(schema, &came[field], now));
            if came.as_ref().is_some_and(differs) && meta::generation(&new) == meta::generation(old) {
                meta::set_generation(&mut new, meta::generation(old) + 1);
            }
        }
    }
    if verb == "scale" {
        // Admission is asked about the Scale: its replicas are all that may change.
        super::scale::admit(call, &mut new, old, options.dry_run).await?;
    }
    let mut attributes = call.attributes(Operation::Update, Some(new), Some(old), name, options.dry_run);
    attributes.options = Some(json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"}));
    // What is created under an object, and its scale, has been asked about in its own form.
    let asked = matches!(verb, "bind" | "scale");
    let owners = attributes.object.as_ref().map(|object| object["metadata"]["managedFields"].clone());
    if !asked {
        let verdict = call.engine.admission.admit(&mut attributes).await;
        // A refusal brings its warnings with it.
        call.warn(std::mem::take(&mut attributes.warnings));
        verdict?;
    }
    let mut new = attributes.object.take().unwrap_or(Value::Null);
    create::keep_owners(call, owners, &mut new);
    finish(call, &mut new, options);
    call.guard_grant(&new, Some(old))?;
    if call.resource.custom {
        call.warn(custom::strategy::ratcheted(&new, old, &context));
    }
    let mut errors = match subresource {
        Some(sub) => {
            let mut errors = kinds::metadata::validate_update(&new, old);
            errors.extend(with_empties(came.as_ref(), &call.resource.schema, || (sub.validate)(&new, old, &context)));
            errors
        }
        // A binding is the one write that may give a Pod its node; its own checks have been made.
        None if verb == "bind" => Vec::new(),
        None => {
            // What cannot be given is said alone.
            match (strategy.allocate)(&mut new, Some(old), &context) {
                Err(errors) => errors,
                Ok(()) => {
                    with_empties(came.as_ref(), &call.resource.schema, || strategy.check_update(&new, old, &context))
                }
            }
        }
    };
    errors.extend(call.engine.raw.changed(call, &mut new, old));
    if !errors.is_empty() {
        return Err(call.invalid(name, &errors));
    }
    if subresource.is_none() {
        call.warn((strategy.warnings)(&new, Some(old)));
    }
    if asked {
        return Ok(new);
    }
    attributes.object = Some(new);
    let verdict = call.engine.admission.validate(&mut attributes).await;
    // A refusal brings its warnings with it.
    call.warn(std::mem::take(&mut attributes.warnings));
    verdict?;
    Ok(attributes.object.take().unwrap_or(Value::Null))
}

/// What no client may change.
fn keep_system_fields(new: &mut Value, old: &Value) {
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"] {
        let kept = old["metadata"].get(field).cloned();
        // What a delete sets, an update may repeat and not begin: validation says so.
        let deletes = field.starts_with("deletion");
        match kept {
            Some(value) if field != "deletionGracePeriodSeconds" || new["metadata"].get(field).is_none() => {
                meta::set(new, &["metadata", field], value);
            }
            None if !deletes => {
                meta::remove(new, &["metadata", field]);
            }
            _ => {}
        }
    }
    for field in ["uid", "resourceVersion"] {
        if field == "resourceVersion" || meta::text(new, &["metadata", field]).is_empty() {
            meta::set(new, &["metadata", field], old["metadata"][field].clone());
        }
    }
}

/// What became of a guarded write.
enum Committed {
    /// Nothing differed, nothing was written.
    Unchanged(Value),
    /// Written (or, for the last finalizer's removal, deleted) at this revision.
    Done(Value, i64),
    /// Another write came first: the object as it is now.
    Lost(Option<Stored>),
}

/// `stored_as` is the version the old object lies in: an object that only moves to another is written too.
async fn commit(
    call: &Call,
    key: &str,
    old: &Value,
    stored_as: &str,
    mut new: Value,
    revision: i64,
) -> Result<Committed, Status> {
    let storage = &call.engine.storage;
    if delete::is_finished(&new, old) {
        return Ok(match storage.delete(key.to_string(), revision).await? {
            Written::Done(revision) => Committed::Done(new, revision),
            Written::Changed(now) => Committed::Lost(now),
        });
    }
    let stored = convert::stored_bytes(&call.engine, &new, &call.resource).await?;
    let moves = !stored_as.is_empty() && stored_as != call.resource.stored_api_version();
    if !moves && stored == convert::stored_bytes(&call.engine, old, &call.resource).await? {
        return Ok(Committed::Unchanged(old.clone()));
    }
    Ok(match storage.update(key.to_string(), revision, stored.clone()).await? {
        Written::Done(revision) => {
            storage::set_revision(&mut new, revision);
            Committed::Done(as_stored(call, new, stored, revision).await?, revision)
        }
        Written::Changed(now) => Committed::Lost(now),
    })
}

/// What the client is shown of its write: what another would read. Only another version can make a difference.
///
/// # Errors
/// When the webhook fails; the object is written all the same.
pub async fn as_stored(call: &Call, new: Value, stored: Bytes, revision: i64) -> Result<Value, Status> {
    if !convert::is_told_anew(&call.resource) {
        return Ok(new);
    }
    let mut stored: Value = serde_json::from_slice(&stored).map_err(Status::internal)?;
    storage::set_revision(&mut stored, revision);
    convert::read(&call.engine, stored, &call.resource).await
}
