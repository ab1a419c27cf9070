//! What an empty cluster begins with: namespaces, roles and bindings, priority classes, flow
//! schemas, and the Service through which Pods find the API.
//!
//! In: `facts/bootstrap.jsonl`, recorded from Kubernetes. Out: those of its objects that are not
//! there yet, created as any client would create them. What exists is left as it is.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::auth::User;
use super::engine::{Call, Engine};
use super::negotiate::Accepted;
use super::objects::{Objects, collection};
use super::options::WriteOptions;
use super::pki::FRONT_PROXY_CLIENT;
use super::request::RequestInfo;
use super::storage::{self, Written};
use super::verbs::create;
use crate::api::decode::FieldValidation;
use crate::api::meta;
use crate::api::resource::parse_api_version;
use crate::api::status::{Reason, Status};

static OBJECTS: &str = include_str!("facts/bootstrap.jsonl");

/// Objects created at once; their writes share one flush.
const AT_ONCE: usize = 64;

/// The rules of a recorded ClusterRole, as they are whatever became of the object since.
pub fn rules_of(cluster_role: &str) -> Vec<Value> {
    let mut objects = OBJECTS.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let role = objects.find(|object| meta::kind(object) == "ClusterRole" && meta::name(object) == cluster_role);
    role.and_then(|mut role| role["rules"].as_array_mut().map(std::mem::take)).unwrap_or_default()
}

/// Creates what is missing.
///
/// # Errors
/// When the store cannot be written.
pub async fn run(engine: &Arc<Engine>, service_ip: &str) -> Result<(), Status> {
    let objects: Vec<Value> = OBJECTS.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (namespaces, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(|o| meta::kind(o) == "Namespace");
    create_all(engine, namespaces).await?;
    engine.caches.fresh().await;
    create_all(engine, others).await?;
    create_all(engine, vec![service(service_ip), authentication(engine)]).await?;
    engine.caches.fresh().await;
    publish_authentication(engine).await
}

async fn create_all(engine: &Arc<Engine>, objects: Vec<Value>) -> Result<(), Status> {
    let mut results = stream::iter(objects).map(|object| ensure(engine, object)).buffer_unordered(AT_ONCE);
    while let Some(result) = results.next().await {
        result?;
    }
    Ok(())
}

/// Creates an object of the system's own, if it is not there.
///
/// # Errors
/// When the store cannot be written.
pub async fn ensure(engine: &Arc<Engine>, object: Value) -> Result<(), Status> {
    let Some(call) = internal(engine, &object) else { return Ok(()) };
    let key = storage::key(call.namespace(), meta::name(&object));
    if engine.cache(&call.resource).is_some_and(|cache| cache.get(&key).is_some()) {
        return Ok(());
    }
    let options =
        WriteOptions { dry_run: false, validation: FieldValidation::Ignore, field_manager: String::new(), force: None };
    match create::store(&call, object, &options, "create").await {
        Err(status) if status.reason != Some(Reason::AlreadyExists) => Err(status),
        _ => Ok(()),
    }
}

/// A request of the server to itself.
fn internal(engine: &Arc<Engine>, object: &Value) -> Option<Call> {
    let (group, version) = parse_api_version(meta::api_version(object));
    let resource = engine.catalog.now().of_kind(group, version, meta::kind(object))?.clone();
    let info = RequestInfo {
        is_resource: true,
        verb: "create",
        group: group.to_string(),
        version: version.to_string(),
        resource: resource.plural.to_string(),
        namespace: meta::namespace(object).to_string(),
        ..RequestInfo::default()
    };
    let mut headers = HeaderMap::new();
    headers.insert(http::header::USER_AGENT, http::HeaderValue::from_static("kube-apiserver"));
    Some(Call {
        engine: engine.clone(),
        info,
        query: Vec::new(),
        headers,
        user: User::new("system:apiserver", &["system:masters"]),
        resource,
        accepted: Accepted::JSON,
        body: Bytes::new(),
        upgrade: None,
        now: engine.clock.now(),
        warnings: Mutex::default(),
        empties: Mutex::default(),
    })
}

fn service(ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "type": "ClusterIP", "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}]},
    })
}

/// What an aggregated API server has to know to tell who asks: whose client certificates are good, and
/// which certificate may speak for others in which headers.
fn authentication(engine: &Engine) -> Value {
    let list = |item: &str| json!([item]).to_string();
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "client-ca-file": engine.authority.certificate(),
            "requestheader-allowed-names": list(FRONT_PROXY_CLIENT),
            "requestheader-client-ca-file": engine.authority.front_proxy_authority(),
            "requestheader-extra-headers-prefix": list("X-Remote-Extra-"),
            "requestheader-group-headers": list("X-Remote-Group"),
            "requestheader-username-headers": list("X-Remote-User"),
        },
    })
}

/// The keys may be others than at the last start.
async fn publish_authentication(engine: &Arc<Engine>) -> Result<(), Status> {
    let wanted = authentication(engine);
    let name = meta::name(&wanted);
    match engine.get(collection("", "configmaps"), meta::namespace(&wanted), name) {
        Some(found) if found["data"] != wanted["data"] => put(engine, wanted).await,
        _ => Ok(()),
    }
}

/// Says where the API is: the endpoints of the Service `kubernetes`. Written as they are, because
/// validation would refuse a loopback address, and here that is the truth.
///
/// # Errors
/// When the store cannot be written.
pub async fn publish(engine: &Arc<Engine>, address: SocketAddr) -> Result<(), Status> {
    let (ip, port) = (address.ip().to_string(), address.port());
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4", "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}], "ports": ports,
    });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": ip}], "ports": ports}],
    });
    put(engine, slice).await?;
    put(engine, endpoints).await
}

async fn put(engine: &Arc<Engine>, mut object: Value) -> Result<(), Status> {
    let Some(call) = internal(engine, &object) else { return Ok(()) };
    let key = storage::prefix(&call.resource) + &storage::key(meta::namespace(&object), meta::name(&object));
    loop {
        let current = engine.storage.get(key.clone()).await?;
        let from = |field: &str| current.as_ref().map(|stored| stored.object["metadata"][field].clone());
        let uid = from("uid").unwrap_or_else(|| json!(uuid::Uuid::new_v4().to_string()));
        let created = from("creationTimestamp").unwrap_or_else(|| json!(create::second(engine.clock.now())));
        meta::set(&mut object, &["metadata", "uid"], uid);
        meta::set(&mut object, &["metadata", "creationTimestamp"], created);
        let written = match &current {
            Some(stored) => engine.storage.update(key.clone(), stored.revision, storage::encode(&object)).await?,
            None => engine.storage.create(key.clone(), storage::encode(&object)).await?,
        };
        if matches!(written, Written::Done(_)) {
            return Ok(());
        }
    }
}
