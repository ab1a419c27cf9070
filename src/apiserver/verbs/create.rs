//! `POST`: a new object, through everything that may change or refuse it, into one transaction.

use rand::Rng;
use serde_json::{Value, json};
use warp::reply::Response;

use super::update;
use crate::api::apply::{ownership_fault, track_update};
use crate::api::decode::{self, Target};
use crate::api::go_values::{empties, with_empties};
use crate::api::status::{Reason, Status};
use crate::api::{meta, typed};
use crate::apiserver::admission::Operation;
use crate::apiserver::convert;
use crate::apiserver::engine::{Call, bad_request};
use crate::apiserver::kinds::Context;
use crate::apiserver::negotiate;
use crate::apiserver::options::WriteOptions;
use crate::apiserver::respond;
use crate::apiserver::storage::{self, Written};

/// Letters of a generated name: no vowels, nothing that looks like another.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Letters appended to `generateName`.
const SUFFIX: usize = 5;
/// The longest `generateName` that is kept whole.
const MAX_PREFIX: usize = 63 - SUFFIX;
/// How often another name is tried when a generated one is taken.
const ATTEMPTS: usize = 8;

/// Creates the object in the body.
///
/// # Errors
/// 400, 403, 409, 413, 415, 422 as Kubernetes says them.
pub async fn create(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let object = body(call, &options)?;
    let made = store(call, object, &options, "create").await?;
    respond::object(201, &made, call)
}

/// The object in the body, decoded.
///
/// # Errors
/// 400, 415.
pub fn body(call: &Call, options: &WriteOptions) -> Result<Value, Status> {
    let media = negotiate::body_media(call.header("content-type"), call.resource.custom)?;
    let decoded = decode::decode(&call.body, media, &Target::resource(&call.resource), options.validation)?;
    call.warn(decoded.warnings);
    *call.empties.lock() = decoded.empties;
    Ok(decoded.value)
}

/// Takes a decoded object through defaulting, admission and validation and stores it.
///
/// # Errors
/// As [`create`].
pub async fn store(
    call: &Call,
    mut object: Value,
    options: &WriteOptions,
    verb: &'static str,
) -> Result<Value, Status> {
    place(call, &mut object)?;
    let sent = meta::resource_version(&object).to_string();
    let generate = meta::name(&object).is_empty() && !meta::generate_name(&object).is_empty();
    let came = came_empty(call, &object);
    let warnings = prepare(call, &mut object, options, verb);
    // Admission judges by what is there: also by what was written a moment ago.
    call.engine.caches.fresh().await;
    let mut admitted = admit(call, object, options).await?;
    call.warn(warnings);
    let mut attempt = 0;
    loop {
        attempt += 1;
        // With a name of its own there is one attempt.
        let mut object = if generate { admitted.clone() } else { admitted.take() };
        if generate {
            let name = generated(meta::generate_name(&object));
            meta::set_text(&mut object, "name", &name);
            (call.strategy().named)(&mut object);
            finish(call, &mut object, options);
        }
        let name = meta::name(&object).to_string();
        check(call, &mut object, &name, came.as_ref(), options).await?;
        // The store looks at it, which a dry run does not reach.
        match sent.parse() {
            _ if options.dry_run && !sent.is_empty() => meta::set_text(&mut object, "resourceVersion", &sent),
            Ok(0_u64) | Err(_) => {}
            Ok(_) => return Err(has_revision()),
        }
        match write(call, &mut object, &name, options).await? {
            Some(revision) => {
                if !options.dry_run {
                    call.engine.raw.remember(call, &object).await?;
                    call.note(verb, revision, &name, None, &object);
                    call.engine.upkeep.settled(&call.engine, &call.resource, revision).await;
                }
                return Ok(object);
            }
            None if generate && attempt < ATTEMPTS => {}
            None if generate => return Err(exhausted(call, &name)),
            None => return Err(taken(call, &name).await),
        }
    }
}

fn has_revision() -> Status {
    let status = bad_request("resourceVersion should not be set on objects to be created");
    Status { reason: None, code: 500, ..status }
}

/// The object is in the namespace of the URL; what is in none is not asked for it.
pub fn place(call: &Call, object: &mut Value) -> Result<(), Status> {
    check_namespace(call, object)?;
    if call.resource.namespaced() {
        meta::set_text(object, "namespace", call.namespace());
    } else {
        meta::remove(object, &["metadata", "namespace"]);
    }
    Ok(())
}

/// The object names the namespace of the URL, or none.
pub fn check_namespace(call: &Call, object: &Value) -> Result<(), Status> {
    let own = meta::namespace(object);
    if !call.resource.namespaced() || own.is_empty() || own == call.namespace() {
        return Ok(());
    }
    Err(bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// What the system sets on every new object, defaults, and what this kind keeps from clients. What there is to warn
/// of is told where admission lets the object pass.
fn prepare(call: &Call, object: &mut Value, options: &WriteOptions, verb: &str) -> Vec<String> {
    let unlabelled = meta::labels(object).is_none_or(serde_json::Map::is_empty);
    let context = Context { unlabelled, ..call.context(options.dry_run) };
    for field in
        ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "uid", "creationTimestamp"]
    {
        meta::remove(object, &["metadata", field]);
    }
    if !call.resource.custom {
        typed::normalize(object, &call.resource.schema);
    }
    meta::set_text(object, "uid", &uuid::Uuid::new_v4().to_string());
    meta::set_text(object, "creationTimestamp", &seconds(call));
    let strategy = call.strategy();
    (strategy.defaults)(object, &context);
    if verb != "apply" {
        call.as_writer(&options.field_manager, |writer| track_update(None, object, writer));
    }
    let warnings = (strategy.early_warnings)(object);
    (strategy.prepare_create)(object, &context);
    warnings
}

/// Where lists and maps of the object to be came empty: in a body, or in what a patch made.
pub fn came_empty(call: &Call, object: &Value) -> Option<Value> {
    if call.resource.custom { None } else { call.empties.lock().clone().or_else(|| empties(object)) }
}

/// The changing plugins, then defaults for what they added.
async fn admit(call: &Call, object: Value, options: &WriteOptions) -> Result<Value, Status> {
    let name = meta::name(&object).to_string();
    let mut attributes = call.attributes(Operation::Create, Some(object), None, &name, options.dry_run);
    attributes.options = Some(json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}));
    let owners = attributes.object.as_ref().map(|object| object["metadata"]["managedFields"].clone());
    let verdict = call.engine.admission.admit(&mut attributes).await;
    // A refusal brings its warnings with it.
    call.warn(std::mem::take(&mut attributes.warnings));
    verdict?;
    let mut object = attributes.object.take().unwrap_or(Value::Null);
    keep_owners(call, owners, &mut object);
    finish(call, &mut object, options);
    call.guard_grant(&object, None)?;
    Ok(object)
}

/// A plugin (a webhook, most likely) that spoils `managedFields` has no say in them.
pub fn keep_owners(call: &Call, owners: Option<Value>, object: &mut Value) {
    let Some(fault) = ownership_fault(object) else { return };
    call.warn([format!(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating \
         admission controller; please fix your requests: {fault}"
    )]);
    match owners.filter(|owners| !owners.is_null()) {
        Some(owners) => meta::set(object, &["metadata", "managedFields"], owners),
        None => drop(meta::remove(object, &["metadata", "managedFields"])),
    }
}

/// Normal form and defaults.
pub fn finish(call: &Call, object: &mut Value, options: &WriteOptions) {
    call.fill_in(object, options.dry_run);
}

/// Validation by the kind, then by the plugins that only look.
async fn check(
    call: &Call,
    object: &mut Value,
    name: &str,
    came: Option<&Value>,
    options: &WriteOptions,
) -> Result<(), Status> {
    let strategy = call.strategy();
    let context = call.context(options.dry_run);
    // What cannot be given is said alone.
    let errors = match (strategy.allocate)(object, None, &context) {
        Err(errors) => errors,
        Ok(()) => with_empties(came, &call.resource.schema, || {
            strategy.check_create(object, call.resource.namespaced(), &context)
        }),
    };
    if !errors.is_empty() {
        return Err(call.invalid(name, &errors));
    }
    call.warn((strategy.warnings)(object, None));
    let mut attributes = call.attributes(Operation::Create, Some(object.take()), None, name, options.dry_run);
    attributes.options = Some(json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}));
    let verdict = call.engine.admission.validate(&mut attributes).await;
    // A refusal brings its warnings with it.
    call.warn(std::mem::take(&mut attributes.warnings));
    verdict?;
    *object = attributes.object.take().unwrap_or(Value::Null);
    Ok(())
}

/// The revision written (of the newest write for a dry run); `None` when the name is taken.
async fn write(call: &Call, object: &mut Value, name: &str, options: &WriteOptions) -> Result<Option<i64>, Status> {
    let key = call.store_key(name);
    if options.dry_run {
        let free = call.engine.storage.get(key).await?.is_none();
        return Ok(free.then_some(0));
    }
    let stored = convert::stored_bytes(&call.engine, object, &call.resource).await?;
    match call.engine.storage.create(key, stored.clone()).await? {
        Written::Done(revision) => {
            storage::set_revision(object, revision);
            *object = update::as_stored(call, object.take(), stored, revision).await?;
            Ok(Some(revision))
        }
        Written::Changed(_) => Ok(None),
    }
}

fn generated(prefix: &str) -> String {
    let mut end = prefix.len().min(MAX_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut rng = rand::rng();
    let suffix = (0..SUFFIX).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
    prefix[..end].chars().chain(suffix).collect()
}

/// The name is taken; an object that is on its way out says so.
async fn taken(call: &Call, name: &str) -> Status {
    let mut status = call.already_exists(name);
    let leaving = call.read(name).await.is_ok_and(|object| meta::deletion_timestamp(&object.value()).is_some());
    if leaving {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

fn exhausted(call: &Call, name: &str) -> Status {
    let mut status = call.already_exists(name);
    status.message = format!("{}, the server was not able to generate a unique name for the object", status.message);
    status.reason = Some(Reason::AlreadyExists);
    status
}

/// The time of the request as metadata shows it: whole seconds.
pub fn seconds(call: &Call) -> String {
    second(call.now)
}

/// A time as metadata shows it: whole seconds.
pub fn second(time: jiff::Timestamp) -> String {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
