//! Between the version that is stored and the version that is asked for.
//!
//! Most kinds have one version. Two built-in kinds have two: an `Event` of `events.k8s.io/v1` is
//! stored as `v1`, a `HorizontalPodAutoscaler` of `autoscaling/v1` as `autoscaling/v2`. Versions of
//! a custom resource differ in their `apiVersion` alone, unless a [`webhook`] converts them; its
//! stored objects are read through the schema as it is now, which may know fewer fields and more
//! defaults than when they were written.

pub mod webhook;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::api::prune;
use crate::api::resource::{self, Resource};
use crate::api::schema::Schema;
use crate::api::status::Status;
use crate::api::{meta, typed};
use crate::apiserver::cache::object::encode;
use crate::apiserver::engine::Engine;
use crate::apiserver::kinds::autoscaling::versions;

/// Fields of an Event that have two names: in `v1`, in `events.k8s.io/v1`.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// The name that a selectable field of this resource has in the stored version:
/// `regarding.name` of `events.k8s.io/v1` is `involvedObject.name`. A name that only the stored
/// version knows is left alone under another prefix, so that nothing matches it by accident.
pub fn stored_field(resource: &Resource, field: &str) -> String {
    if &*resource.group != "events.k8s.io" {
        return field.to_owned();
    }
    let (head, tail) = field.split_at(field.find('.').unwrap_or(field.len()));
    match EVENT_FIELDS.iter().find(|(old, new)| *old == head || *new == head) {
        Some((old, new)) if *new == head => format!("{old}{tail}"),
        Some(_) => format!("v1:{field}"),
        None => field.to_owned(),
    }
}

/// Whether this resource shows its objects otherwise than they are stored.
pub fn is_needed(resource: &Resource) -> bool {
    resource.custom || is_other_version(resource)
}

/// Whether what was written may be read otherwise: by a webhook, or in another version's schema.
pub fn is_told_anew(resource: &Resource) -> bool {
    webhook::is_asked(resource) || resource.custom && is_other_version(resource)
}

fn is_other_version(resource: &Resource) -> bool {
    resource.storage.group != resource.group || resource.storage.version != resource.version
}

/// A stored object in the resource's version.
///
/// # Errors
/// 500 when a webhook has to convert it and does not.
pub async fn read(engine: &Engine, object: Value, resource: &Resource) -> Result<Value, Status> {
    if !webhook::is_asked(resource) {
        return Ok(from_stored(object, resource));
    }
    let place = webhook::Unreadable::of(&object, resource);
    let read = converted(engine, vec![object], resource).await.map_err(|why| place.status(&why))?;
    Ok(read.into_iter().next().unwrap_or_default())
}

/// Stored objects in the resource's version.
///
/// # Errors
/// 500 when a webhook has to convert them and does not.
pub async fn read_all(engine: &Engine, objects: Vec<Value>, resource: &Resource) -> Result<Vec<Value>, Status> {
    if !webhook::is_asked(resource) {
        return Ok(objects.into_iter().map(|object| from_stored(object, resource)).collect());
    }
    let own = resource.api_version();
    let other = objects.iter().filter(|object| meta::api_version(object) != own);
    let places: Vec<_> = other.map(|object| webhook::Unreadable::of(object, resource)).collect();
    converted(engine, objects, resource).await.map_err(|why| webhook::Unreadable::list_status(&places, resource, &why))
}

async fn converted(engine: &Engine, objects: Vec<Value>, resource: &Resource) -> Result<Vec<Value>, String> {
    let Some(definition) = &resource.definition else { return Ok(objects) };
    // Defaults are those of the version that was stored.
    let served = engine.catalog.now();
    let defaulted = objects.into_iter().map(|mut object| {
        let (group, version) = resource::parse_api_version(meta::api_version(&object));
        if let Some(stored) = served.find(group, version, &resource.plural) {
            prune::default(&mut object, &stored.schema);
        }
        object
    });
    let objects = webhook::convert(engine, definition, defaulted.collect(), &resource.api_version()).await?;
    Ok(objects.into_iter().map(|object| from_stored(object, resource)).collect())
}

/// An object of the resource's version as it is stored.
///
/// # Errors
/// When a webhook has to convert it and does not.
pub async fn store(engine: &Engine, object: Value, resource: &Resource) -> Result<Value, Status> {
    match &resource.definition {
        Some(definition) if definition.conversion.is_some() => {
            let to = resource::api_version(&resource.storage.group, &resource.storage.version);
            // It is not what its revision says any more.
            let mut object = object;
            let revision = meta::remove(&mut object, &["metadata", "resourceVersion"]);
            let converted = webhook::convert(engine, definition, vec![object], &to).await;
            let mut stored = converted.map_err(webhook::plain_error)?.pop().unwrap_or_default();
            if let Some(revision) = revision {
                meta::set(&mut stored, &["metadata", "resourceVersion"], revision);
            }
            Ok(stored)
        }
        _ => Ok(to_stored(object, resource)),
    }
}

/// A stored object in the resource's version, where no webhook has to be asked.
pub fn from_stored(mut object: Value, resource: &Resource) -> Value {
    if !is_needed(resource) {
        return object;
    }
    object["apiVersion"] = Value::String(resource.api_version());
    if resource.custom {
        // Defaults are those of the version it lies in; what is shown, the fields of the one asked for.
        let stored = resource.definition.as_ref().and_then(|definition| definition.stored.as_ref());
        prune::default(&mut object, stored.unwrap_or(&resource.schema));
        prune::prune(&mut object, &resource.schema);
        return object;
    }
    match &*resource.kind {
        "Event" => rename(&mut object, EVENT_FIELDS.iter().copied()),
        "HorizontalPodAutoscaler" => versions::to_v1(&mut object),
        _ => return object,
    }
    typed::normalize(&mut object, &resource.schema);
    object
}

/// The bytes of an object of the resource's version as they are stored.
///
/// # Errors
/// When a webhook has to convert it and does not.
pub async fn stored_bytes(engine: &Engine, object: &Value, resource: &Resource) -> Result<Bytes, Status> {
    if webhook::is_asked(resource) {
        return Ok(encode(&store(engine, object.clone(), resource).await?));
    }
    Ok(if is_other_version(resource) { encode(&to_stored(object.clone(), resource)) } else { encode(object) })
}

/// An object of the resource's version as it is stored, where no webhook has to be asked.
fn to_stored(mut object: Value, resource: &Resource) -> Value {
    if is_other_version(resource) {
        object["apiVersion"] = Value::String(resource::api_version(&resource.storage.group, &resource.storage.version));
        match (resource.custom, &*resource.kind) {
            (true, _) => {
                if let Some(stored) = resource.definition.as_ref().and_then(|definition| definition.stored.as_ref()) {
                    prune::prune(&mut object, stored);
                }
                return object;
            }
            (false, "Event") => rename(&mut object, EVENT_FIELDS.iter().map(|(core, own)| (*own, *core))),
            (false, "HorizontalPodAutoscaler") => versions::to_v2(&mut object),
            _ => return object,
        }
        if let Some(schema) = Schema::of_kind(&resource.storage.group, &resource.storage.version, &resource.kind) {
            typed::normalize(&mut object, &schema);
        }
    }
    object
}

fn rename<'a>(object: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
    let Some(fields) = object.as_object_mut() else { return };
    let renamed: Map<String, Value> = std::mem::take(fields)
        .into_iter()
        .map(|(key, value)| {
            let name = names.clone().find(|(from, _)| *from == key).map(|(_, to)| to.to_string());
            (name.unwrap_or(key), value)
        })
        .collect();
    *fields = renamed;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_of_the_new_event_is_found_under_its_old_name() {
        let of = |group: &str| resource::builtin().iter().find(|r| &*r.kind == "Event" && &*r.group == group).unwrap();
        let table = [
            ("events.k8s.io", "regarding.name", "involvedObject.name"),
            ("events.k8s.io", "reportingController", "reportingComponent"),
            ("events.k8s.io", "involvedObject.name", "v1:involvedObject.name"),
            ("events.k8s.io", "reason", "reason"),
            ("", "involvedObject.name", "involvedObject.name"),
        ];
        for (group, field, stored) in table {
            assert_eq!(stored_field(of(group), field), stored);
        }
    }

    fn builtin(group: &str, version: &str, kind: &str) -> &'static Resource {
        let found =
            resource::builtin().iter().find(|r| &*r.group == group && &*r.version == version && &*r.kind == kind);
        found.unwrap()
    }

    #[test]
    fn an_autoscaler_keeps_its_cpu_target_between_versions() {
        let v1 = builtin("autoscaling", "v1", "HorizontalPodAutoscaler");
        let object = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"}, "spec": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 70}});
        let stored = to_stored(object, v1);
        assert_eq!(stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);
        assert_eq!(from_stored(stored, v1)["spec"]["targetCPUUtilizationPercentage"], 70);
    }

    #[test]
    fn an_event_has_two_sets_of_names() {
        let events = builtin("events.k8s.io", "v1", "Event");
        let object =
            json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "n", "regarding": {"name": "x"}});
        let stored = to_stored(object, events);
        assert_eq!((&stored["message"], &stored["involvedObject"]["name"]), (&json!("n"), &json!("x")));
        assert_eq!(from_stored(stored, events)["note"], "n");
    }
}
