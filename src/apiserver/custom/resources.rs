//! A definition as resources: one for each served version, all over the same stored objects.

use std::sync::Arc;

use serde_json::Value;

use super::holds;
use crate::api::custom::Definition;
use crate::api::meta;
use crate::api::resource::{Resource, Scope, Storage, Subresource};
use crate::api::schema::Schema;

/// What may be done with custom objects, in the order discovery tells it.
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
/// What may be done with their parts.
const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

/// The resources of a definition whose names are accepted. While it is being deleted nothing can be
/// created.
pub fn of(definition: &Value) -> Vec<Arc<Resource>> {
    let stored = meta::list(definition, &["spec", "versions"]).iter().find(|version| version["storage"] == true);
    let stored = stored.map_or("", |version| meta::text(version, &["name"]));
    let served = meta::list(definition, &["spec", "versions"]).iter().filter(|version| version["served"] == true);
    served.map(|version| Arc::new(resource(definition, version, stored))).collect()
}

fn resource(definition: &Value, version: &Value, stored: &str) -> Resource {
    let spec = |field: &str| meta::text(definition, &["spec", field]);
    let name = |field: &str| meta::text(definition, &["status", "acceptedNames", field]);
    let names = |field: &str| {
        let list = meta::list(definition, &["status", "acceptedNames", field]);
        list.iter().filter_map(Value::as_str).map(Arc::from).collect()
    };
    let ending = holds(definition, "Terminating") || meta::deletion_timestamp(definition).is_some();
    let group: Arc<str> = spec("group").into();
    let read = |version: &Value| Arc::new(Schema::from_openapi(&version["schema"]["openAPIV3Schema"]));
    let schema = read(version);
    let other = meta::list(definition, &["spec", "versions"]).iter().find(|one| one["storage"] == true);
    let other = other.filter(|stored| stored["name"] != version["name"]).map(read);
    let mut resource = Resource {
        group: group.clone(),
        version: meta::text(version, &["name"]).into(),
        plural: name("plural").into(),
        singular: name("singular").into(),
        kind: name("kind").into(),
        list_kind: name("listKind").into(),
        scope: if spec("scope") == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
        verbs: VERBS.iter().filter(|verb| !(ending && **verb == "create")).map(|verb| Arc::from(*verb)).collect(),
        short_names: names("shortNames"),
        categories: names("categories"),
        subresources: Vec::new(),
        schema,
        storage: Storage { group, version: stored.into() },
        custom: true,
        definition: Some(Arc::new(Definition {
            conversion: conversion(definition),
            stored: other,
            identity: format!("{} {}", meta::uid(definition), meta::generation(definition)),
            ..Definition::read(spec("group"), name("kind"), version)
        })),
    };
    resource.subresources = subresources(&resource, &version["subresources"]);
    resource
}

/// How a server converts between versions, if one does.
fn conversion(definition: &Value) -> Option<Value> {
    let conversion = &definition["spec"]["conversion"];
    (conversion["strategy"] == "Webhook").then(|| conversion["webhook"].clone())
}

fn subresources(resource: &Resource, asked: &Value) -> Vec<Subresource> {
    let verbs: Vec<Arc<str>> = PART_VERBS.iter().map(|verb| Arc::from(*verb)).collect();
    let status = (!asked["status"].is_null()).then(|| Subresource {
        name: "status".into(),
        group: resource.group.clone(),
        version: resource.version.clone(),
        kind: resource.kind.clone(),
        verbs: verbs.clone(),
        schema: Some(resource.schema.clone()),
    });
    let scale = (!asked["scale"].is_null()).then(|| Subresource {
        name: "scale".into(),
        group: "autoscaling".into(),
        version: "v1".into(),
        kind: "Scale".into(),
        verbs: verbs.clone(),
        schema: Schema::of_kind("autoscaling", "v1", "Scale"),
    });
    status.into_iter().chain(scale).collect()
}
