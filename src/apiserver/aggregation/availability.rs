//! Whether an aggregated API can be asked, and what it tells about itself.
//!
//! In: an APIService, its Service and endpoints. Out: the condition `Available` in Kubernetes' words,
//! and the server's discovery and OpenAPI documents. Source: kube-aggregator,
//! `controllers/status/remote`, `apiserver/handler_discovery.go`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::proxy::fetch;
use super::{Remote, Told};
use crate::api::discovery::AGGREGATED;
use crate::api::meta;
use crate::apiserver::engine::Engine;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::{Objects, collection};

/// Aggregated discovery, or whatever else there is.
const ACCEPT_DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList, application/json";

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether requests are passed on.
    pub available: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why.
    pub message: String,
}

impl Verdict {
    fn no(reason: &'static str, message: String) -> Verdict {
        Verdict { available: false, reason, message }
    }
}

/// Checks a server and asks what it serves. What it told `before` stays when it does not answer.
pub async fn check(engine: &Arc<Engine>, remote: &Remote, before: Told) -> (Verdict, Told) {
    let Some((namespace, name)) = &remote.place.service else {
        return (Verdict::no("ServiceNotFound", String::new()), before);
    };
    if let Err(verdict) = is_routable(&**engine, namespace, name, remote.place.port) {
        return (verdict, before);
    }
    let url = format!("https://{}{}", shown_host(&**engine, remote), remote.path());
    let failed = |why: String| {
        let message = format!("failing or missing response from {url}: {why}");
        Verdict::no("FailedDiscoveryCheck", message)
    };
    match fetch(engine, remote, &remote.path(), "application/json").await {
        Err(why) => (failed(format!("Get {url:?}: {why}")), before),
        Ok(answer) if !(200..300).contains(&answer.status().as_u16()) => {
            (failed(format!("bad status from {url}: {}", answer.status().as_u16())), before)
        }
        Ok(answer) => {
            let legacy = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
            let told = ask(engine, remote, &legacy).await;
            let message = "all checks passed".to_string();
            (Verdict { available: true, reason: "Passed", message }, told)
        }
    }
}

/// The Service is there, has the port, and something behind it.
fn is_routable(objects: &dyn Objects, namespace: &str, name: &str, port: u16) -> Result<(), Verdict> {
    let at = format!("service/{name} in {namespace:?}");
    let Some(service) = objects.get(collection("", "services"), namespace, name) else {
        return Err(Verdict::no("ServiceNotFound", format!("{at} is not present")));
    };
    if service.text("spec.type") != "ClusterIP" {
        return Ok(());
    }
    let ports = service.items("spec.ports").iter();
    let Some(own) = ports.into_iter().find(|own| own.int("port") == Some(i64::from(port))) else {
        return Err(Verdict::no("ServicePortError", format!("{at} is not listening on port {port}")));
    };
    let slices: Vec<_> = objects
        .list(collection("discovery.k8s.io", "endpointslices"), namespace)
        .into_iter()
        .filter(|slice| meta::label(slice, "kubernetes.io/service-name") == Some(name))
        .collect();
    if slices.is_empty() {
        return Err(Verdict::no("EndpointsNotFound", format!("cannot find endpointslices for {at}")));
    }
    let port_name = own.text("name");
    let serves = |slice: &Arc<Value>| {
        slice.items("endpoints").iter().any(|endpoint| endpoint.at("conditions.ready") != false)
            && slice.items("ports").iter().any(|port| port.text("name") == port_name && port.int("port").is_some())
    };
    if slices.iter().any(serves) {
        return Ok(());
    }
    let message = format!("endpointslices for {at} have no addresses with port name {port_name:?}");
    Err(Verdict::no("MissingEndpoints", message))
}

/// The host that messages show: the Service's address, or the name it stands for.
fn shown_host(objects: &dyn Objects, remote: &Remote) -> String {
    let (namespace, name) = remote.place.service.clone().unwrap_or_default();
    let host = objects.get(collection("", "services"), &namespace, &name).map(|service| {
        let field = if service.text("spec.type") == "ExternalName" { "spec.externalName" } else { "spec.clusterIP" };
        service.text(field).to_string()
    });
    format!("{}:{}", host.unwrap_or_default(), remote.place.port)
}

/// Discovery in the new form or, from the old list of its resources, as good; and OpenAPI.
async fn ask(engine: &Arc<Engine>, remote: &Remote, legacy: &Value) -> Told {
    let (discovery, v3, v2) = futures::future::join3(
        fetch(engine, remote, "/apis", ACCEPT_DISCOVERY),
        openapi_v3(engine, remote),
        fetch(engine, remote, "/openapi/v2", "application/json"),
    )
    .await;
    let aggregated = discovery.ok().filter(|answer| {
        let media = answer.headers().get(http::header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
        answer.status() == 200 && media.is_some_and(|media| media.replace(' ', "") == AGGREGATED)
    });
    let entry = aggregated.and_then(|answer| {
        let document: Value = serde_json::from_slice(answer.body()).ok()?;
        let groups = document.items("items").iter();
        let group = groups.into_iter().find(|group| group.text("metadata.name") == remote.group)?;
        let versions = group.items("versions").iter();
        versions.into_iter().find(|version| version.text("version") == remote.version).cloned()
    });
    let v2 = v2.ok().filter(|answer| answer.status() == 200);
    Told {
        discovery: Some(entry.unwrap_or_else(|| from_legacy(&remote.version, legacy))),
        openapi_v3: v3,
        openapi_v2: v2.and_then(|answer| serde_json::from_slice(answer.body()).ok()).map(Arc::new),
    }
}

async fn openapi_v3(engine: &Arc<Engine>, remote: &Remote) -> Option<bytes::Bytes> {
    let path = format!("/openapi/v3{}", remote.path());
    let answer = fetch(engine, remote, &path, "application/json").await.ok()?;
    (answer.status() == 200).then(|| answer.body().clone())
}

/// A version of aggregated discovery from an `APIResourceList`.
fn from_legacy(version: &str, list: &Value) -> Value {
    let mut resources: Vec<Value> = Vec::new();
    for entry in list.items("resources") {
        let kind = json!({"group": entry.text("group"), "version": entry.text("version"), "kind": entry.text("kind")});
        let name = entry.text("name");
        if let Some((parent, sub)) = name.split_once('/') {
            let found = resources.iter_mut().find(|resource| resource.text("resource") == parent);
            let entry = json!({"subresource": sub, "responseKind": kind, "verbs": entry.at("verbs")});
            if let Some(parent) = found {
                match parent["subresources"].as_array_mut() {
                    Some(subs) => subs.push(entry),
                    None => parent["subresources"] = json!([entry]),
                }
            }
            continue;
        }
        let scope = if entry.flag("namespaced") { "Namespaced" } else { "Cluster" };
        let mut resource = Map::new();
        resource.insert("resource".into(), json!(name));
        resource.insert("responseKind".into(), kind);
        resource.insert("scope".into(), json!(scope));
        resource.insert("singularResource".into(), json!(entry.text("singularName")));
        for field in ["verbs", "shortNames", "categories"] {
            if !entry.items(field).is_empty() {
                resource.insert(field.into(), entry.at(field).clone());
            }
        }
        resources.push(Value::Object(resource));
    }
    json!({"version": version, "resources": resources})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_list_of_resources_says_as_much() {
        let list = json!({"resources": [
            {"name": "nodes", "singularName": "node", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get"]},
            {"name": "nodes/proxy", "kind": "X", "group": "g", "version": "v2", "verbs": ["create"]}]});
        assert_eq!(
            from_legacy("v1", &list),
            json!({"version": "v1", "resources": [{
                "resource": "nodes", "responseKind": {"group": "", "version": "", "kind": "NodeMetrics"},
                "scope": "Cluster", "singularResource": "node", "verbs": ["get"],
                "subresources": [{"subresource": "proxy",
                    "responseKind": {"group": "g", "version": "v2", "kind": "X"}, "verbs": ["create"]}]}]})
        );
    }
}
