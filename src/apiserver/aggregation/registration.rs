//! An APIService for every group and version of custom resources, so that all groups are in one list.
//!
//! In: the custom resources that are served and the APIServices there are. Out: what to create and
//! delete. Those that people made are left alone. Source: `controlplane/controller/crdregistration`,
//! kube-aggregator's `autoregister`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::GROUP;
use crate::api::meta;
use crate::apiserver::catalog::List;
use crate::apiserver::kinds::json::Json;

/// Marks the APIServices that are kept here.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Custom groups come after those of Kubernetes.
const GROUP_PRIORITY: i64 = 1_000;
/// All the same: versions stand as versions go.
const VERSION_PRIORITY: i64 = 100;

/// What has to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// APIServices to create.
    pub create: Vec<Value>,
    /// Names of those to delete.
    pub delete: Vec<String>,
}

/// Compares what is served with what is registered.
pub fn plan(list: &List, services: &[Arc<Value>]) -> Plan {
    let custom = list.all().iter().filter(|resource| resource.custom);
    let wanted: BTreeSet<(String, String)> =
        custom.map(|resource| (resource.group.to_string(), resource.version.to_string())).collect();
    let name = |(group, version): &(String, String)| format!("{version}.{group}");
    let create = wanted.iter().filter(|own| !services.iter().any(|service| meta::name(service) == name(own)));
    let kept = services.iter().filter(|service| meta::label(service, MANAGED) == Some("true"));
    let of = |service: &Arc<Value>| (service.text("spec.group").to_string(), service.text("spec.version").to_string());
    let delete = kept.filter(|service| !wanted.contains(&of(service)));
    Plan {
        create: create.map(|own| service(&name(own), &own.0, &own.1)).collect(),
        delete: delete.map(|service| meta::name(service).to_string()).collect(),
    }
}

fn service(name: &str, group: &str, version: &str) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "APIService",
        "metadata": {"name": name, "labels": {MANAGED: "true"}},
        "spec": {"group": group, "version": version,
            "groupPriorityMinimum": GROUP_PRIORITY, "versionPriority": VERSION_PRIORITY},
    })
}
