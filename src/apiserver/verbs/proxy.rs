//! `…/proxy`: a request to a Pod, a Service or a node, passed through the API server.
//!
//! The object's name may say a scheme and a port (`https:web:8443`, `web:http`). What comes after
//! `/proxy` is the path; method, query, headers and body go along. A redirect comes back so that a client
//! can follow it through here. Source: `registry/core/{pod,service,node}`, `apimachinery/pkg/util/proxy`.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt, Full};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use warp::reply::Response;

use crate::api::meta;
use crate::api::status::{Reason, Status};
use crate::apiserver::Connection;
use crate::apiserver::admission::Operation;
use crate::apiserver::backend::relay::{self, Passed};
use crate::apiserver::backend::tls::{self, Trust};
use crate::apiserver::engine::{Call, bad_request, not_served};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::{Objects, collection};

/// What of a request only its raw form says.
pub struct Raw {
    /// `GET`, `OPTIONS`, …
    pub method: Method,
    /// The path as it came.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// The client's connection.
    pub upgrade: Option<OnUpgrade>,
}

/// Where the request goes.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// A port of a Pod on a node.
    Pod { node: String, name: String, address: String, port: u16, tls: bool },
    /// The kubelet of a node.
    Kubelet { node: String },
}

impl Target {
    /// The same, asked in a scheme (`https`, `http`, or none).
    fn spoken_to_in(mut self, scheme: &str) -> Target {
        if let Target::Pod { tls, .. } = &mut self {
            *tls = scheme == "https";
        }
        self
    }
}

/// Passes the request through.
///
/// # Errors
/// 400 for a name that says too much or an address that may not be asked, 404 for an object that is not
/// there, 503 when nobody answers.
pub async fn proxy(call: &Call, raw: Raw) -> Result<Response, Status> {
    if call.param("dryRun").is_some_and(|value| !value.is_empty()) {
        return Err(bad_request("dryRun is not supported"));
    }
    admit(call).await?;
    let target = target(call)?;
    let upgrades = relay::is_upgrade(&call.headers);
    if call.info.rest.is_empty() && !upgrades && matches!(raw.method, Method::GET | Method::HEAD) {
        return Ok(to_the_root(&raw));
    }
    let path = if call.info.rest.is_empty() { "/" } else { call.info.rest.as_str() };
    let uri = if raw.query.is_empty() { path.to_string() } else { format!("{path}?{}", raw.query) };
    let body = Full::new(call.body.clone()).map_err(|never| match never {}).boxed_unsync();
    let mut request = http::Request::builder()
        .method(raw.method.clone())
        .uri(uri)
        .body(body)
        .map_err(|error| bad_request(error.to_string()))?;
    *request.headers_mut() = headers(call, &raw);
    let unreachable =
        |why: String| Status::new(Reason::ServiceUnavailable, format!("error trying to reach service: {why}"));
    let upgrade = raw.upgrade.filter(|_| upgrades);
    let mut answer = match &target {
        Target::Kubelet { node } => ask_kubelet(call, node, request).await.map_err(unreachable)?,
        Target::Pod { .. } => ask_pod(call, &target, request, upgrade).await.map_err(unreachable)?,
    };
    let prefix = raw.path.strip_suffix(&call.info.rest).unwrap_or(&raw.path);
    rewrite(&mut answer, prefix, &target, call.header("host"));
    Ok(answer)
}

/// Plugins may refuse a connection.
async fn admit(call: &Call) -> Result<(), Status> {
    let kind = call.resource.subresource("proxy").map_or("", |sub| &*sub.kind);
    let options = json!({"kind": kind, "apiVersion": "v1", "path": call.info.rest});
    let mut attributes = call.attributes(Operation::Connect, Some(options), None, &call.info.name, false);
    attributes.object_kind = ("", "v1", kind);
    let mut verdict = call.engine.admission.admit(&mut attributes).await;
    if verdict.is_ok() {
        verdict = call.engine.admission.validate(&mut attributes).await;
    }
    call.warn(std::mem::take(&mut attributes.warnings));
    verdict
}

/// `scheme:name:port`, `name:port` or `name`.
fn split(id: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = id.split(':').collect();
    let (scheme, name, port) = match parts[..] {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => return None,
    };
    (!name.is_empty() && matches!(scheme, "" | "http" | "https")).then_some((scheme, name, port))
}

fn target(call: &Call) -> Result<Target, Status> {
    let (id, engine) = (call.info.name.as_str(), &*call.engine);
    let what = call.resource.singular.as_ref();
    let (scheme, name, port) = split(id).ok_or_else(|| bad_request(format!("invalid {what} request {id:?}")))?;
    let missing = |plural: &str| Status::not_found("", plural, name);
    match &*call.resource.plural {
        "pods" => {
            let pod = engine.get(collection("", "pods"), call.namespace(), name).ok_or_else(|| missing("pods"))?;
            pod_target(&pod, port).map(|target| target.spoken_to_in(scheme))
        }
        "services" => service_target(call, name, port).map(|target| target.spoken_to_in(scheme)),
        "nodes" => {
            let node = engine.get(collection("", "nodes"), "", name).ok_or_else(|| missing("nodes"))?;
            let own = node.int("status.daemonEndpoints.kubeletEndpoint.Port").unwrap_or(10_250);
            if port.is_empty() || port == own.to_string() {
                return Ok(Target::Kubelet { node: name.to_string() });
            }
            let addresses = node.items("status.addresses").iter();
            let address = addresses.into_iter().find(|one| one.text("type") == "InternalIP");
            let address = address.map(|one| one.text("address")).unwrap_or_default();
            Err(Status::new(
                Reason::ServiceUnavailable,
                format!("error trying to reach service: dial tcp {address}:{port}: connect: connection refused"),
            ))
        }
        _ => Err(not_served()),
    }
}

/// A Pod's port: the one asked for, or the first that any container has.
fn pod_target(pod: &Value, port: &str) -> Result<Target, Status> {
    let address = match pod.items("status.podIPs").first() {
        Some(first) => first.text("ip"),
        None => pod.text("status.podIP"),
    };
    let may = address.parse::<IpAddr>().is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast());
    if !may {
        return Err(bad_request("address not allowed"));
    }
    let first = || {
        let containers = pod.items("spec.containers").iter();
        containers.into_iter().find_map(|container| container.items("ports").first()?.int("containerPort"))
    };
    let port = match port {
        "" => first().and_then(|port| u16::try_from(port).ok()).unwrap_or(80),
        port => port.parse().map_err(|_| {
            let why = format!("error trying to reach service: dial tcp: lookup tcp/{port}: unknown port");
            Status::new(Reason::ServiceUnavailable, why)
        })?,
    };
    Ok(Target::Pod {
        node: pod.text("spec.nodeName").to_string(),
        name: meta::name(pod).to_string(),
        address: address.to_string(),
        port,
        tls: false,
    })
}

/// A ready Pod behind a Service's port, which is given by number or by name.
fn service_target(call: &Call, name: &str, port: &str) -> Result<Target, Status> {
    let engine = &*call.engine;
    let unavailable = |why: String| Status::new(Reason::ServiceUnavailable, why);
    let mut port_name = port.to_string();
    if let Ok(number) = port.parse::<i64>() {
        let service = engine.get(collection("", "services"), call.namespace(), name);
        let service = service.ok_or_else(|| Status::not_found("", "services", name))?;
        let ports = service.items("spec.ports").iter();
        let own = ports.into_iter().find(|own| own.int("port") == Some(number));
        port_name = own
            .map(|own| own.text("name").to_string())
            .ok_or_else(|| unavailable(format!("no service port {number} found for service {name:?}")))?;
    }
    let slices = engine.list(collection("discovery.k8s.io", "endpointslices"), call.namespace());
    for slice in slices.iter().filter(|slice| meta::label(slice, "kubernetes.io/service-name") == Some(name)) {
        let ports = slice.items("ports").iter();
        let Some(number) = ports.into_iter().find(|own| own.text("name") == port_name).and_then(|own| own.int("port"))
        else {
            continue;
        };
        for endpoint in slice.items("endpoints").iter().filter(|one| one.at("conditions.ready") != false) {
            let pod = endpoint.at("targetRef");
            let home = pod.text("namespace");
            let found = engine.get(collection("", "pods"), call.namespace(), pod.text("name"));
            if let Some(pod) = found.filter(|_| home == call.namespace()) {
                return pod_target(&pod, &number.to_string());
            }
        }
    }
    Err(unavailable(format!("no endpoints available for service {name:?}")))
}

/// A browser needs the slash, or every link of the page goes wrong.
fn to_the_root(raw: &Raw) -> Response {
    let query = if raw.query.is_empty() { String::new() } else { format!("?{}", raw.query) };
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = http::StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", raw.path)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn headers(call: &Call, raw: &Raw) -> HeaderMap {
    let mut headers = relay::request_headers(&call.headers);
    headers.remove(header::CONTENT_LENGTH);
    if let Ok(path) = HeaderValue::from_str(&raw.path) {
        headers.insert("x-forwarded-uri", path);
    }
    headers
}

async fn ask_pod(
    call: &Call,
    target: &Target,
    request: http::Request<Passed>,
    upgrade: Option<OnUpgrade>,
) -> Result<Response, String> {
    let Target::Pod { node, name, address, port, tls } = target else { return Err("no Pod".to_string()) };
    let engine = &call.engine;
    let mut stream = engine.kubelets.connect(node, call.namespace(), name, *port).await?;
    if *tls {
        stream = encrypted(stream, address).await?;
    }
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    engine.tasks.spawn("proxied connection", async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a proxied connection ended");
        }
    });
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    Ok(relay::answer(response, upgrade, &engine.tasks))
}

/// TLS over a connection to a Pod. As on the official server its certificate is not judged: nobody told us whose
/// it should be.
async fn encrypted(stream: Box<dyn Connection>, address: &str) -> Result<Box<dyn Connection>, String> {
    let name = ServerName::try_from(address.to_string()).map_err(|error| error.to_string())?;
    match tls::connector(&Trust::Anyone, None)?.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(match tls::in_words(&error) {
            words if words.ends_with("does not look like a TLS handshake") => {
                "http: server gave HTTP response to HTTPS client".to_string()
            }
            words => words,
        }),
    }
}

async fn ask_kubelet(call: &Call, node: &str, request: http::Request<Passed>) -> Result<Response, String> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    let asked = call.engine.kubelets.request(node, http::Request::from_parts(parts, body));
    let response = asked.await.map_err(|error| error.what)?;
    Ok(relay::answer(response, None, &call.engine.tasks))
}

/// A redirect to somewhere on the same server goes through here again.
fn rewrite(response: &mut Response, prefix: &str, target: &Target, host: Option<&str>) {
    let Some(location) = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()) else { return };
    let own = match target {
        Target::Pod { address, port, .. } => format!("{address}:{port}"),
        Target::Kubelet { node } => node.clone(),
    };
    let Some(new) = rewritten(location, prefix, &own, host) else { return };
    if let Ok(value) = HeaderValue::from_str(&new) {
        response.headers_mut().insert(header::LOCATION, value);
    }
}

/// The location as it is to be followed; `None` when it may stay.
fn rewritten(location: &str, prefix: &str, own: &str, host: Option<&str>) -> Option<String> {
    let (authority, path) = match location.split_once("://") {
        None => (None, location),
        Some((_, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
    };
    let elsewhere = authority.is_some_and(|authority| authority != own && Some(authority) != host);
    if elsewhere || !path.starts_with('/') || path.starts_with(prefix) {
        return None;
    }
    Some(format!("{prefix}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_say_scheme_and_port() {
        assert_eq!(split("web"), Some(("", "web", "")));
        assert_eq!(split("web:http"), Some(("", "web", "http")));
        assert_eq!(split("https:web:"), Some(("https", "web", "")));
        assert_eq!(split("ftp:web:21"), None);
        assert_eq!(split("a:b:c:d"), None);
        assert_eq!(split(":80"), None);
    }

    #[test]
    fn redirects_within_the_server_come_back_through_the_proxy() {
        let at = "/api/v1/namespaces/a/pods/p/proxy";
        let table = [
            ("/login", Some("/login")),
            ("login", None),
            ("http://10.0.0.1:80/x/", Some("/x/")),
            ("http://elsewhere.example/x", None),
            ("http://me:8001/y", Some("/y")),
            ("/api/v1/namespaces/a/pods/p/proxy/z", None),
        ];
        for (location, expected) in table {
            let expected = expected.map(|path| format!("{at}{path}"));
            assert_eq!(rewritten(location, at, "10.0.0.1:80", Some("me:8001")), expected, "{location}");
        }
    }

    #[test]
    fn a_pod_is_asked_at_its_first_port() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{}, {"ports": [{"containerPort": 81}]}]},
            "status": {"podIPs": [{"ip": "10.0.0.1"}]}});
        let expected =
            |port| Target::Pod { node: "n".into(), name: "p".into(), address: "10.0.0.1".into(), port, tls: false };
        assert_eq!(pod_target(&pod, "").unwrap(), expected(81));
        assert_eq!(pod_target(&pod, "9000").unwrap(), expected(9000));
        let lost = json!({"status": {"podIP": "127.0.0.1"}});
        assert_eq!(pod_target(&lost, "").unwrap_err().message, "address not allowed");
    }
}
