//! One object of the map, looked into: its YAML, its events, its logs, the scheduler's verdict.
//!
//! | call | answers |
//! |---|---|
//! | `GET inspect?kind=Pod&namespace=default&name=web` | `{"yaml", "events": […], "logs", "verdict": […]}` |
//!
//! `logs` and `verdict` are a Pod's, `node` ([`nodes::shown`]) is a node's; `events` are the newest last. All of it is text for a page.

use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::super::Site;
use super::super::guard::Asked;
use super::nodes;
use crate::error::{Error, Result};

/// The kinds that the map shows, with where they are served.
const KINDS: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "Node", "nodes"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Service", "services"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("batch", "v1", "Job", "jobs"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
];

/// Lines of a log, from its end.
const LINES: usize = 100;
/// Events shown, the newest.
const EVENTS: usize = 20;

/// Answers `GET inspect`, in a task of the playground (see [`Site::apart`]).
pub async fn answer(site: &Site, asked: &Asked) -> Result<Value> {
    let text = |key: &str| asked.query(key).unwrap_or_default();
    let (kind, namespace, name) = (text("kind"), text("namespace"), text("name"));
    let Some(&(group, version, kind, plural)) = KINDS.iter().find(|known| known.2 == kind) else {
        return Err(Error::new(format!("the map shows no {kind:?}"), ""));
    };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let (here, client) = (site.clone(), site.0.cluster.client("tutor-page"));
    site.apart("inspect", async move {
        let yaml = yaml(&client, &resource, &namespace, &name).await?;
        let events = events(&client, kind, &namespace, &name).await;
        let (logs, verdict) = match kind {
            "Pod" => (logs(&client, &namespace, &name).await, verdict(&here, &namespace, &name)),
            _ => (Value::Null, Value::Null),
        };
        let node = if kind == "Node" { nodes::shown(&here, &name).await? } else { Value::Null };
        Ok(json!({"yaml": yaml, "events": events, "logs": logs, "verdict": verdict, "node": node}))
    })
    .await
}

async fn yaml(client: &Client, resource: &ApiResource, namespace: &str, name: &str) -> Result<String> {
    let api: Api<kube::api::DynamicObject> = match namespace {
        "" => Api::all_with(client.clone(), resource),
        namespace => Api::namespaced_with(client.clone(), namespace, resource),
    };
    let mut object = api.get(name).await.map_err(|fault| match fault {
        kube::Error::Api(status) => Error::new(status.message.clone(), "it may have gone meanwhile"),
        other => Error::new(format!("{name} cannot be read"), other.to_string()),
    })?;
    // Who owns which field fills pages, and is the API server's bookkeeping.
    object.metadata.managed_fields = None;
    serde_saphyr::to_string(&object).map_err(|fault| Error::new(format!("{name} is no YAML"), fault.to_string()))
}

async fn events(client: &Client, kind: &str, namespace: &str, name: &str) -> Vec<Value> {
    let place = if namespace.is_empty() { "default" } else { namespace };
    let path = format!(
        "/api/v1/namespaces/{place}/events?fieldSelector=involvedObject.kind%3D{kind},involvedObject.name%3D{name}"
    );
    let Ok(request) = http::Request::get(path).body(Vec::new()) else { return Vec::new() };
    // An object whose events cannot be read has none to show.
    let Ok(list) = client.request::<Value>(request).await else { return Vec::new() };
    let mut events = list["items"].as_array().cloned().unwrap_or_default();
    events.sort_by_key(|event| event["lastTimestamp"].as_str().unwrap_or_default().to_owned());
    let first = events.len().saturating_sub(EVENTS);
    let shown = |event: &Value| {
        json!({"type": event["type"], "reason": event["reason"], "message": event["message"],
            "from": event.pointer("/source/component").or(event.get("reportingComponent")), "count": event["count"]})
    };
    events[first..].iter().map(shown).collect()
}

async fn logs(client: &Client, namespace: &str, name: &str) -> Value {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?tailLines={LINES}");
    let Ok(request) = http::Request::get(path).body(Vec::new()) else { return Value::Null };
    match client.request_text(request).await {
        Ok(text) => text.into(),
        Err(kube::Error::Api(status)) => status.message.clone().into(),
        Err(_) => Value::Null,
    }
}

/// The scheduler's record of a Pod: for each node, what it scored or which filter refused it.
fn verdict(site: &Site, namespace: &str, name: &str) -> Value {
    site.0.cluster.decision(namespace, name).unwrap_or(Value::Null)
}
