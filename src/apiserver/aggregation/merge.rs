//! Discovery and OpenAPI of everything that can be asked here: our own part, and what aggregated
//! servers told of theirs.
//!
//! In: our own document and the moment's list. Out: the document with their groups and versions in
//! it, all in order of priority.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Registered, Remote};
use crate::api::discovery::priority;
use crate::api::resource::api_version;
use crate::apiserver::catalog::List;
use crate::apiserver::kinds::json::Json;

/// Sorts as Kubernetes does: groups by their highest priority, then by the name of the APIService;
/// versions of a group by theirs, then as versions go.
pub fn sort(registered: &mut [Registered]) {
    let name = |one: &Registered| format!("{}.{}", one.version, one.group);
    registered.sort_by_cached_key(|one| (Reverse(one.group_priority), name(one)));
    let mut groups: HashMap<String, usize> = HashMap::new();
    for one in registered.iter() {
        let next = groups.len();
        groups.entry(one.group.clone()).or_insert(next);
    }
    registered.sort_by(|a, b| {
        let place = |one: &Registered| groups.get(&one.group).copied();
        let version = |one: &Registered| one.version_priority;
        (place(a), Reverse(version(a)), Reverse(priority(&a.version))).cmp(&(
            place(b),
            Reverse(version(b)),
            Reverse(priority(&b.version)),
        ))
    });
}

/// The groups of `/apis`, in order. Our own group comes first: nobody registers it.
pub fn group_list(mut list: Value, all: &List) -> Value {
    if all.registered().is_empty() {
        return list;
    }
    let groups = list["groups"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let groups = ordered(groups, all, |group| group.text("name").to_string(), |name| json!({"name": name}));
    let groups = groups.into_iter().map(|mut group| {
        let name = group.text("name").to_string();
        let mut versions = group["versions"].as_array_mut().map(std::mem::take).unwrap_or_default();
        for remote in all.remotes().filter(|remote| remote.group == name) {
            versions.retain(|version| version.text("version") != remote.version);
            let group_version = api_version(&remote.group, &remote.version);
            versions.push(json!({"groupVersion": group_version, "version": remote.version}));
        }
        sort_versions(&mut versions, &name, all);
        // As Go writes the struct.
        json!({"name": name, "versions": versions.clone(), "preferredVersion": versions.first()})
    });
    list["groups"] = groups.filter(|group| !group.items("versions").is_empty()).collect();
    list
}

/// `/apis` as one document.
pub fn aggregated(mut list: Value, all: &List) -> Value {
    if all.registered().is_empty() {
        return list;
    }
    let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let name_of = |group: &Value| group.text("metadata.name").to_string();
    let items = ordered(items, all, name_of, |name| json!({"metadata": {"name": name}, "versions": []}));
    let items = items.into_iter().map(|mut group| {
        let name = group.text("metadata.name").to_string();
        let mut versions = group["versions"].as_array_mut().map(std::mem::take).unwrap_or_default();
        for remote in all.remotes().filter(|remote| remote.group == name) {
            versions.retain(|version| version.text("version") != remote.version);
            versions.push(entry(remote));
        }
        sort_versions(&mut versions, &name, all);
        group["versions"] = json!(versions);
        group
    });
    list["items"] = items.filter(|group| !group.items("versions").is_empty()).collect();
    list
}

/// What a server told of its version, and whether that is still so.
fn entry(remote: &Remote) -> Value {
    let mut entry = remote.told.discovery.clone().unwrap_or_else(|| json!({"version": remote.version}));
    entry["freshness"] = json!(if remote.available { "Current" } else { "Stale" });
    entry
}

/// Groups as the APIServices order them, with those that only other servers have; groups that are not
/// registered yet come last.
fn ordered(own: Vec<Value>, all: &List, name_of: impl Fn(&Value) -> String, new: impl Fn(&str) -> Value) -> Vec<Value> {
    let mut groups: Vec<(String, Value)> = own.into_iter().map(|group| (name_of(&group), group)).collect();
    for remote in all.remotes().filter(|remote| !remote.group.is_empty()) {
        if !groups.iter().any(|(name, _)| *name == remote.group) {
            groups.push((remote.group.clone(), new(&remote.group)));
        }
    }
    let place = |name: &str| match name {
        super::GROUP => (0, 0),
        name => match all.registered().iter().position(|one| one.group == name) {
            Some(at) => (1, at),
            None => (2, 0),
        },
    };
    groups.sort_by_key(|(name, _)| place(name));
    groups.into_iter().map(|(_, group)| group).collect()
}

fn sort_versions(versions: &mut [Value], group: &str, all: &List) {
    let place = |version: &Value| {
        let own = version.text("version");
        let at = all.registered().iter().position(|one| one.group == group && one.version == own);
        at.unwrap_or(usize::MAX)
    };
    versions.sort_by_key(place);
}

/// The index of OpenAPI documents, with those of aggregated servers.
pub fn openapi_index(mut index: Value, all: &List) -> Value {
    for remote in all.remotes() {
        let Some(document) = &remote.told.openapi_v3 else { continue };
        let path = remote.path().trim_start_matches('/').to_string();
        let hash = crate::api::discovery::etag(document);
        let url = format!("/openapi/v3/{path}?hash={}", hash.trim_matches('"'));
        index["paths"][path] = json!({"serverRelativeURL": url});
    }
    index
}

/// The document of everything in the old form, with the paths and definitions of aggregated servers.
pub fn swagger(mut document: Value, all: &List) -> Value {
    for remote in all.remotes() {
        let Some(theirs) = &remote.told.openapi_v2 else { continue };
        let (root, own) = (format!("{}/", remote.path()), remote.path());
        let mut take = |field: &str, wanted: &dyn Fn(&str) -> bool| {
            let Some(from) = theirs.get(field).and_then(Value::as_object) else { return };
            let into = document[field].as_object_mut().map(std::mem::take).unwrap_or_default();
            let mut merged: Map<String, Value> = into;
            for (key, value) in from.iter().filter(|(key, _)| wanted(key)) {
                merged.entry(key.clone()).or_insert_with(|| value.clone());
            }
            document[field] = Value::Object(merged);
        };
        take("paths", &|path| path.starts_with(&root) || path == own);
        take("definitions", &|_| true);
        take("parameters", &|_| true);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(group: &str, version: &str, group_priority: i64, version_priority: i64) -> Registered {
        Registered { group: group.into(), version: version.into(), group_priority, version_priority, remote: None }
    }

    #[test]
    fn groups_stand_by_priority_and_versions_by_theirs() {
        let mut all = vec![
            one("b.io", "v1", 100, 10),
            one("a.io", "v1beta1", 100, 20),
            one("a.io", "v1", 100, 20),
            one("apps", "v1", 17_800, 15),
            one("a.io", "v2", 1, 30),
        ];
        sort(&mut all);
        let names: Vec<String> = all.iter().map(|one| format!("{}/{}", one.group, one.version)).collect();
        assert_eq!(names, ["apps/v1", "a.io/v2", "a.io/v1", "a.io/v1beta1", "b.io/v1"]);
    }
}
