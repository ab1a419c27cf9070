//! The paths of a document: what may be done at each, and with which parameters.
//!
//! In: resources. Out: path items; what all operations of a path have in common stands beside them.
//! [`super::operations`] has the operations themselves.

use super::super::resource::{Resource, Subresource};
use super::Form;
use super::descriptions::Descriptions;
use super::operations::{self, Operation, Parameter, Place, Subject};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Every path below which `resources` are served.
pub(super) fn paths(resources: &[Arc<Resource>], form: Form) -> Map<String, Value> {
    let (mut paths, texts) = (Map::new(), Descriptions::read());
    let groups: BTreeSet<_> = resources.iter().filter(|r| !r.custom).map(|r| (&*r.group, &*r.version)).collect();
    for (group, version) in groups {
        let path = format!("{}/", prefix(group, version));
        paths.insert(path, item(&[operations::resources(group, version, form)], &[], form));
    }
    for resource in resources {
        own(&mut paths, resource, &texts, form);
        for sub in &resource.subresources {
            below(&mut paths, &Subject { resource, sub: Some(sub), place: place(resource), texts: &texts }, sub, form);
        }
    }
    paths.sort_keys();
    paths
}

fn prefix(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// A resource's collection and objects, and the older paths to watch them.
fn own(paths: &mut Map<String, Value>, resource: &Resource, texts: &Descriptions, form: Form) {
    let (prefix, plural) = (prefix(&resource.group, &resource.version), &resource.plural);
    let scoped = if resource.namespaced() { "/namespaces/{namespace}" } else { "" };
    let objects = ["get", "update", "delete", "patch"];
    let scope = if resource.namespaced() { Place::Namespace } else { Place::Cluster };
    let collection: Vec<&str> =
        ["list", "create", "deletecollection"].into_iter().filter(|verb| resource.allows(verb)).collect();
    let mut add = |path: String, verbs: &[&str], place: Place| {
        let subject = Subject { resource, sub: None, place, texts };
        let found: Vec<Operation> = verbs.iter().map(|verb| subject.operation(verb, form)).collect();
        if !found.is_empty() {
            paths.insert(path, item(&found, &subject.path_parameters(), form));
        }
    };
    add(format!("{prefix}{scoped}/{plural}"), &collection, scope);
    let allowed: Vec<&str> = objects.into_iter().filter(|verb| resource.allows(verb)).collect();
    add(format!("{prefix}{scoped}/{plural}/{{name}}"), &allowed, scope.object());
    if resource.namespaced() && resource.allows("list") {
        add(format!("{prefix}/{plural}"), &["list"], Place::Everywhere);
    }
    if resource.custom || !resource.allows("watch") {
        return;
    }
    add(format!("{prefix}/watch{scoped}/{plural}"), &["watchlist"], scope);
    if resource.allows("get") {
        add(format!("{prefix}/watch{scoped}/{plural}/{{name}}"), &["watch"], scope.object());
    }
    if resource.namespaced() {
        add(format!("{prefix}/watch/{plural}"), &["watchlist"], Place::Everywhere);
    }
}

/// Where an object of the resource is.
fn place(resource: &Resource) -> Place {
    if resource.namespaced() { Place::NamespacedObject } else { Place::Object }
}

/// A subresource.
fn below(paths: &mut Map<String, Value>, subject: &Subject, sub: &Subresource, form: Form) {
    let resource = subject.resource;
    let scoped = if resource.namespaced() { "/namespaces/{namespace}" } else { "" };
    let prefix = prefix(&resource.group, &resource.version);
    let path = format!("{prefix}{scoped}/{}/{{name}}/{}", resource.plural, sub.name);
    if let Some((options, methods)) = operations::connection(&sub.name) {
        let mut parameters = subject.path_parameters();
        parameters.extend(options.iter().map(|(name, kind)| subject.query(name, kind, "")));
        let found: Vec<Operation> = methods.iter().map(|method| subject.connect(method, false, form)).collect();
        paths.insert(path.clone(), item(&found, &parameters, form));
        if &*sub.name == "proxy" {
            parameters.push(Parameter::path("path", "path to the resource"));
            let found: Vec<Operation> = methods.iter().map(|method| subject.connect(method, true, form)).collect();
            paths.insert(format!("{path}/{{path}}"), item(&found, &parameters, form));
        }
        return;
    }
    let verbs = ["get", "update", "patch", "create"];
    let allowed = verbs.into_iter().filter(|verb| sub.verbs.iter().any(|own| **own == **verb));
    let found: Vec<Operation> = allowed.map(|verb| subject.operation(verb, form)).collect();
    if !found.is_empty() {
        paths.insert(path, item(&found, &subject.path_parameters(), form));
    }
}

/// The operations of a path; parameters that all of them take stand beside them.
pub(super) fn item(operations: &[Operation], own: &[Parameter], form: Form) -> Value {
    let shared = |parameter: &&Parameter| operations.iter().all(|one| one.parameters.contains(parameter));
    let common: Vec<&Parameter> =
        operations.first().into_iter().flat_map(|one| &one.parameters).filter(shared).collect();
    let mut item = Map::new();
    for operation in operations {
        let mut told = operation.told.clone();
        let mut left: Vec<Value> = operation.body.iter().cloned().collect();
        left.extend(operation.parameters.iter().filter(|one| !common.contains(one)).map(|one| one.told(form)));
        if !left.is_empty() {
            told["parameters"] = Value::Array(left);
        }
        item.insert(operation.method.clone(), told);
    }
    let mut beside: Vec<&Parameter> = own.iter().chain(common).collect();
    beside.sort_by(|a, b| (&a.name, a.place).cmp(&(&b.name, b.place)));
    if !beside.is_empty() {
        item.insert("parameters".into(), json!(beside.iter().map(|one| one.told(form)).collect::<Vec<_>>()));
    }
    Value::Object(item)
}
