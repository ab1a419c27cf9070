//! Discovery: which groups, versions and resources there are, in the old form and the aggregated one.
//!
//! In: the resources that are served. Out: the documents at `/api`, `/apis`, `/api/v1`,
//! `/apis/{group}` and `/apis/{group}/{version}`. Source: `k8s.io/api/apidiscovery/v2`.

pub mod protobuf;

use super::resource::{Resource, Subresource, api_version};
use base64::Engine as _;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha512};
use std::sync::Arc;

/// The media type of aggregated discovery.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api`: the versions of the core group, and where the server is.
pub fn core_versions(server_address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}]})
}

/// `/apis`: every group but the core.
pub fn group_list(resources: &[Arc<Resource>]) -> Value {
    let groups: Vec<Value> =
        groups(resources).iter().filter(|group| !group.is_empty()).map(|group| describe(resources, group)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/{group}`, from the document of `/apis`; `None` if nothing serves it.
pub fn group(list: &Value, name: &str) -> Option<Value> {
    let found = list["groups"].as_array()?.iter().find(|group| group["name"] == name)?.clone();
    let mut group = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Some(all), Value::Object(told)) = (group.as_object_mut(), found) {
        all.extend(told);
    }
    Some(group)
}

/// `/api/v1` and `/apis/{group}/{version}`; `None` if nothing serves it.
pub fn resource_list(resources: &[Arc<Resource>], group: &str, version: &str) -> Option<Value> {
    let mut served: Vec<&Arc<Resource>> =
        resources.iter().filter(|r| &*r.group == group && &*r.version == version).collect();
    if served.is_empty() {
        return None;
    }
    served.sort_by(|a, b| a.plural.cmp(&b.plural));
    let list: Vec<Value> = served
        .iter()
        .flat_map(|r| std::iter::once(own_entry(r)).chain(r.subresources.iter().map(|sub| sub_entry(r, sub))))
        .collect();
    let mut answer = json!({"kind": "APIResourceList"});
    if !group.is_empty() {
        answer["apiVersion"] = json!("v1");
    }
    answer["groupVersion"] = json!(api_version(group, version));
    answer["resources"] = json!(list);
    Some(answer)
}

/// `/api` (`core`) or `/apis` as one document: every group, version and resource.
pub fn aggregated(resources: &[Arc<Resource>], core: bool) -> Value {
    let items: Vec<Value> = groups(resources)
        .into_iter()
        .filter(|group| group.is_empty() == core)
        .map(|group| {
            let metadata = if core { json!({}) } else { json!({"name": group}) };
            let versions: Vec<Value> = versions(resources, group)
                .into_iter()
                .map(|version| {
                    let served = resources.iter().filter(|r| &*r.group == group && &*r.version == version);
                    let mut served: Vec<&Arc<Resource>> = served.collect();
                    served.sort_by(|a, b| a.plural.cmp(&b.plural));
                    let entries: Vec<Value> = served.into_iter().map(|r| aggregated_entry(r)).collect();
                    json!({"version": version, "resources": entries, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

/// The `ETag` of a document: quoted, and the same for the same bytes.
pub fn etag(document: &[u8]) -> String {
    let hash: String = Sha512::digest(document).iter().map(|byte| format!("{byte:02X}")).collect();
    format!("\"{hash}\"")
}

/// Groups in the order they are served; those of custom resources last, by name.
pub fn groups(resources: &[Arc<Resource>]) -> Vec<&str> {
    let (mut builtin, mut custom): (Vec<&str>, Vec<&str>) = Default::default();
    for resource in resources {
        let groups = if resource.custom { &mut custom } else { &mut builtin };
        if !groups.contains(&&*resource.group) {
            groups.push(&resource.group);
        }
    }
    custom.retain(|group| !builtin.contains(group));
    custom.sort_unstable();
    builtin.into_iter().chain(custom).collect()
}

/// A group's versions, the preferred one first.
pub fn versions<'a>(resources: &'a [Arc<Resource>], group: &str) -> Vec<&'a str> {
    let mut versions: Vec<&str> = Vec::new();
    for resource in resources.iter().filter(|r| &*r.group == group) {
        if !versions.contains(&&*resource.version) {
            versions.push(&resource.version);
        }
    }
    versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
    versions
}

/// Kubernetes' order of versions: released before beta before alpha, then the higher number; a name
/// that is no such version comes last.
pub fn priority(version: &str) -> (u8, u32, u32, std::cmp::Reverse<&str>) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let split = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, tail) = rest.split_at(split);
        let major: u32 = major.parse().ok()?;
        let (rank, minor) = match tail {
            "" => (3, 0),
            _ => match (tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
                (Some(minor), _) => (2, minor.parse().ok()?),
                (_, Some(minor)) => (1, minor.parse().ok()?),
                _ => return None,
            },
        };
        Some((rank, major, minor))
    };
    let (rank, major, minor) = parse().unwrap_or_default();
    (rank, major, minor, std::cmp::Reverse(version))
}

fn describe(resources: &[Arc<Resource>], group: &str) -> Value {
    let versions: Vec<Value> = versions(resources, group)
        .into_iter()
        .map(|version| json!({"groupVersion": api_version(group, version), "version": version}))
        .collect();
    json!({"name": group, "preferredVersion": versions[0].clone(), "versions": versions})
}

fn own_entry(resource: &Resource) -> Value {
    let mut entry = json!({"name": resource.plural, "singularName": resource.singular,
        "namespaced": resource.namespaced(), "kind": resource.kind, "verbs": resource.verbs});
    names(&mut entry, resource);
    if resource.allows("list") && resource.allows("create") {
        entry["storageVersionHash"] = json!(storage_version_hash(resource));
    }
    entry
}

fn sub_entry(resource: &Resource, sub: &Subresource) -> Value {
    let mut entry = Map::new();
    entry.insert("name".into(), json!(format!("{}/{}", resource.plural, sub.name)));
    entry.insert("singularName".into(), json!(""));
    entry.insert("namespaced".into(), json!(resource.namespaced()));
    if (&sub.group, &sub.version) != (&resource.group, &resource.version) {
        entry.insert("group".into(), json!(sub.group));
        entry.insert("version".into(), json!(sub.version));
    }
    entry.insert("kind".into(), json!(sub.kind));
    entry.insert("verbs".into(), json!(sub.verbs));
    Value::Object(entry)
}

fn names(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

/// Kinds that Kubernetes keeps in etcd in an older version than it serves.
const STORED_OLDER: &[(&str, &str)] = &[
    ("ClusterTrustBundle", "v1beta1"),
    ("CustomResourceDefinition", "v1beta1"),
    ("DeviceTaintRule", "v1beta2"),
    ("PodCertificateRequest", "v1beta1"),
    ("StorageVersionMigration", "v1beta1"),
];

/// Eight bytes that change when the stored version does.
fn storage_version_hash(resource: &Resource) -> String {
    let older = STORED_OLDER.iter().find(|(kind, _)| !resource.custom && *kind == &*resource.kind);
    let version = older.map_or(&*resource.storage.version, |(_, version)| version);
    let stored = format!("{}/{version}/{}", resource.storage.group, resource.kind);
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(stored)[..8])
}

fn aggregated_entry(resource: &Resource) -> Value {
    // A kind of the resource's own group and version is named without them.
    let kind = |group: &str, version: &str, kind: &str| match group == &*resource.group && version == &*resource.version
    {
        true if !resource.custom => json!({"group": "", "version": "", "kind": kind}),
        _ => json!({"group": group, "version": version, "kind": kind}),
    };
    let mut entry = json!({"resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": resource.verbs});
    names(&mut entry, resource);
    if !resource.subresources.is_empty() {
        let subresources: Vec<Value> = resource
            .subresources
            .iter()
            .map(|sub| {
                json!({"subresource": sub.name, "responseKind": kind(&sub.group, &sub.version, &sub.kind), "verbs": sub.verbs})
            })
            .collect();
        entry["subresources"] = json!(subresources);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::resource::builtin;

    #[test]
    fn documents_are_as_recorded() {
        let autoscaling = group(&group_list(builtin()), "autoscaling").unwrap();
        assert_eq!(
            autoscaling,
            json!({"kind": "APIGroup", "apiVersion": "v1", "name": "autoscaling",
                "versions": [{"groupVersion": "autoscaling/v2", "version": "v2"}, {"groupVersion": "autoscaling/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"}})
        );
        let policy = resource_list(builtin(), "policy", "v1").unwrap();
        assert_eq!(policy["resources"][1]["name"], "poddisruptionbudgets/status");
        let apps = resource_list(builtin(), "apps", "v1").unwrap();
        let scale = apps["resources"].as_array().unwrap().iter().find(|r| r["name"] == "deployments/scale").unwrap();
        assert_eq!((&scale["group"], &scale["version"]), (&json!("autoscaling"), &json!("v1")));
        let core = aggregated(builtin(), true);
        assert_eq!(core["items"].as_array().unwrap().len(), 1);
        assert_eq!(core["items"][0]["metadata"], json!({}));
        assert!(resource_list(builtin(), "apps", "v9").is_none());
    }

    #[test]
    fn versions_stand_in_kubernetes_order() {
        let mut versions =
            ["v1", "foo10", "v11alpha2", "v2", "v3beta1", "v10", "foo1", "v12alpha1", "v11beta2", "v10beta3"];
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
        );
    }
}
