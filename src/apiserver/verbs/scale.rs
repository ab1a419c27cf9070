//! `…/scale`: the number of replicas of anything that has one, in one form for all.
//!
//! A Scale is no object of its own: reading makes one from the object, writing changes the object.

use serde_json::{Value, json};
use warp::reply::Response;

use super::patch::Patch;
use super::{apply, update};
use crate::api::apply::scale::{from_scale, to_scale};
use crate::api::decode::{self, Target};
use crate::api::resource::{Resource, Subresource};
use crate::api::selector::LabelSelector;
use crate::api::status::Status;
use crate::api::{meta, typed};
use crate::apiserver::admission::Operation;
use crate::apiserver::convert;
use crate::apiserver::engine::{Call, bad_request, not_allowed, not_served};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::negotiate;
use crate::apiserver::options::{APPLY, PATCH, WriteOptions};
use crate::apiserver::respond;

/// Where an object keeps its replicas; custom resources say so in their definition.
struct Paths {
    wanted: Vec<String>,
    running: Vec<String>,
    selector: Option<Vec<String>>,
}

impl Paths {
    fn of(resource: &Resource) -> Paths {
        let path = |text: &str| text.split('.').map(str::to_string).collect();
        match resource.definition.as_ref().and_then(|definition| definition.scale.as_ref()) {
            Some(scale) => Paths {
                wanted: path(&scale.wanted),
                running: path(&scale.running),
                selector: scale.selector.as_deref().map(path),
            },
            None => Paths {
                wanted: path("spec.replicas"),
                running: path("status.replicas"),
                selector: Some(path("spec.selector")),
            },
        }
    }

    /// Whether the object says how many it wants; built-in ones always do.
    fn found(&self, object: &Value) -> Result<(), Status> {
        let steps: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
        if meta::get(object, &steps).is_some_and(|value| !value.is_null()) {
            return Ok(());
        }
        Err(Status::internal(format!("the spec replicas field {:?} does not exist", self.dotted())))
    }

    fn dotted(&self) -> String {
        format!(".{}", self.wanted.join("."))
    }
}

/// Reads, replaces or patches the scale.
///
/// # Errors
/// Those of get, update, patch and apply, with `Scale` for the object.
pub async fn scale(call: &Call) -> Result<Response, Status> {
    let sub = call.resource.subresource("scale").ok_or_else(not_served)?;
    let paths = Paths::of(&call.resource);
    match call.info.verb {
        "get" => {
            let stored = call.read(&call.info.name).await?.value();
            let object = convert::read(&call.engine, stored, &call.resource).await?;
            paths.found(&object)?;
            answer(call, view(call, sub, &paths, &object))
        }
        "update" | "patch" => write(call, sub, &paths).await,
        _ => Err(not_allowed()),
    }
}

/// Asks admission about the new Scale and the old one; it may set other replicas.
///
/// # Errors
/// The first refusal.
pub async fn admit(call: &Call, new: &mut Value, old: &Value, dry_run: bool) -> Result<(), Status> {
    let sub = call.resource.subresource("scale").ok_or_else(not_served)?;
    let paths = Paths::of(&call.resource);
    let (scale, before) = (view(call, sub, &paths, new), view(call, sub, &paths, old));
    let mut attributes = call.attributes(Operation::Update, Some(scale), Some(&before), &call.info.name, dry_run);
    attributes.object_kind = (&sub.group, &sub.version, &sub.kind);
    attributes.options = Some(json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"}));
    call.pass(&mut attributes).await?;
    if let Some(replicas) = attributes.object.as_ref().and_then(|scale| scale["spec"]["replicas"].as_i64()) {
        let wanted: Vec<&str> = paths.wanted.iter().map(String::as_str).collect();
        meta::set(new, &wanted, json!(replicas));
    }
    Ok(())
}

async fn write(call: &Call, sub: &Subresource, paths: &Paths) -> Result<Response, Status> {
    let media = call.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim().to_string();
    let applies = call.info.verb == "patch" && media == apply::MEDIA;
    let kind = match call.info.verb {
        "update" => "UpdateOptions",
        _ if applies => APPLY,
        _ => PATCH,
    };
    let options = WriteOptions::parse(&call.query, kind)?;
    let sent = if call.info.verb == "update" { Some(body(call, sub, &options)?) } else { None };
    let patch = if call.info.verb == "patch" && !applies { Some(Patch::of(call)?) } else { None };
    let target = Target::subresource(sub, false).ok_or_else(not_served)?;
    let (object, _) = update::write(call, &options, "scale", |old| {
        let current = view(call, sub, paths, old);
        let scale = match &patch {
            Some(patch) => unguarded(patch.applied(call, &current, &target, options.validation)?, &current),
            None if applies => {
                let merged = apply::merged(call, &current, sub, &options)?;
                unguarded(applied(call, &current, merged)?, &current)
            }
            None => sent.clone().unwrap_or_default(),
        };
        changed(call, old, scale, sub, paths, &options, applies)
    })
    .await?;
    paths.found(&object)?;
    answer(call, view(call, sub, paths, &object))
}

/// Of a custom object's scale it is not told who set it.
fn answer(call: &Call, mut scale: Value) -> Result<Response, Status> {
    if call.resource.custom {
        meta::remove(&mut scale, &["metadata", "managedFields"]);
    }
    respond::object(200, &scale, call)
}

/// An applied scale of a custom object. Kubernetes carries out none that changes anything: on the way it
/// asks to convert a Scale to a version of the object's own group.
fn applied(call: &Call, current: &Value, scale: Value) -> Result<Value, Status> {
    if !call.resource.custom || scale["spec"] == current["spec"] && is_owned(current) {
        return Ok(scale);
    }
    let (what, name) = match is_owned(current) {
        true => ("failed to convert new object", meta::name(current)),
        false => ("failed to create manager for existing fields: failed to convert live object", ""),
    };
    Err(Status::unexpected(format!(
        "{what} (/{name}; autoscaling/v1, Kind=Scale) to proper version: \
         request to convert CR to an invalid group/version: autoscaling/v1"
    )))
}

/// Whether somebody is known to have set the replicas.
fn is_owned(scale: &Value) -> bool {
    !meta::list(scale, &["metadata", "managedFields"]).is_empty()
}

/// The object as a Scale.
fn view(call: &Call, sub: &Subresource, paths: &Paths, object: &Value) -> Value {
    let at = |path: &[String]| meta::get(object, &path.iter().map(String::as_str).collect::<Vec<_>>()).cloned();
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut status = json!({"replicas": at(&paths.running).unwrap_or_else(|| json!(0))});
    if let Some(text) = paths.selector.as_ref().and_then(|path| at(path)).and_then(|value| selector_text(&value)) {
        status["selector"] = json!(text);
    }
    let mut scale = json!({
        "kind": &*sub.kind, "apiVersion": sub.api_version(), "metadata": metadata,
        "spec": {"replicas": at(&paths.wanted).unwrap_or_else(|| json!(0))}, "status": status,
    });
    to_scale(object, &mut scale, &paths.dotted());
    if let Some(schema) = &sub.schema {
        typed::normalize(&mut scale, schema);
    }
    let _ = call;
    scale
}

/// A selector as text: from a label selector, a map of labels, or a text already.
fn selector_text(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_string());
    }
    let selector = if value.get("matchLabels").is_some() || value.get("matchExpressions").is_some() {
        LabelSelector::from_value(value).ok()?
    } else {
        LabelSelector::from_map(value.as_object()?)
    };
    Some(selector.to_string())
}

fn body(call: &Call, sub: &Subresource, options: &WriteOptions) -> Result<Value, Status> {
    let media = negotiate::body_media(call.header("content-type"), false)?;
    let target = Target::subresource(sub, false).ok_or_else(not_served)?;
    let decoded = decode::decode(&call.body, media, &target, options.validation).map_err(|status| {
        // The scheme of custom objects does not know a Scale, where it has to look for one.
        let known = !call.resource.custom || target.is_kind_of(&call.body, media);
        if known {
            status
        } else {
            bad_request("no kind is registered for the type v1.Scale in scheme \"pkg/runtime/scheme.go:111\"")
        }
    })?;
    call.warn(decoded.warnings);
    let (own, url) = (meta::name(&decoded.value), &call.info.name);
    if own.is_empty() {
        let message = format!("the name of the object ({url} based on URL) was undeterminable: name must be provided");
        return Err(bad_request(message));
    }
    if own != url {
        return Err(bad_request(format!("the name of the object ({own}) does not match the name on the URL ({url})")));
    }
    Ok(decoded.value)
}

/// A patched scale that names no revision but the one it was made from does not insist on that one:
/// when another writer was faster, the patch is made again.
fn unguarded(mut scale: Value, current: &Value) -> Value {
    if meta::resource_version(&scale) == meta::resource_version(current) {
        meta::remove(&mut scale, &["metadata", "resourceVersion"]);
    }
    scale
}

/// The object with the scale's replicas.
fn changed(
    call: &Call,
    old: &Value,
    mut scale: Value,
    sub: &Subresource,
    paths: &Paths,
    options: &WriteOptions,
    applied: bool,
) -> Result<Value, Status> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    // A custom resource's own validation says so in its own words.
    if replicas < 0 && !call.resource.custom {
        let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        return Err(FieldError::status(&sub.group, &sub.kind, &call.info.name, &[error]));
    }
    let uid = meta::uid(&scale);
    if !uid.is_empty() && uid != meta::uid(old) {
        return Err(crate::apiserver::engine::conflict(&call.resource, &call.info.name));
    }
    if !applied {
        let before = view(call, sub, paths, old);
        if let Some(managed) = before["metadata"].get("managedFields") {
            meta::set(&mut scale, &["metadata", "managedFields"], managed.clone());
        }
        apply::track(call, Some(&before), &mut scale, sub, &options.field_manager);
    }
    let mut new = old.clone();
    let wanted: Vec<&str> = paths.wanted.iter().map(String::as_str).collect();
    meta::set(&mut new, &wanted, json!(replicas));
    from_scale(&mut new, &scale, &paths.dotted(), &call.resource.api_version());
    match meta::resource_version(&scale) {
        "" => meta::remove(&mut new, &["metadata", "resourceVersion"]).map_or((), drop),
        asked => {
            let asked = asked.to_string();
            meta::set_text(&mut new, "resourceVersion", &asked);
        }
    }
    Ok(new)
}
