//! `…/log`, `…/exec`, `…/attach`, `…/portforward`: requests that the Pod's kubelet answers.
//!
//! The API server finds the node and the container, turns the path into the kubelet's own, and
//! passes the answer through as it comes.

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use warp::Reply;
use warp::reply::Response;

use crate::api::meta;
use crate::api::status::{Details, Reason, Status};
use crate::apiserver::engine::{Call, bad_request, not_served};
use crate::apiserver::respond;

/// Options of a log that the kubelet understands.
const LOG_OPTIONS: &[&str] =
    &["follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes"];
/// Options of exec and attach that the kubelet understands, under its own names.
const STREAM_OPTIONS: &[(&str, &str)] =
    &[("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"), ("command", "command")];

/// Asks the kubelet.
///
/// # Errors
/// 400 for a container that is not there or not chosen, 500 when the kubelet cannot be reached.
pub async fn connect(call: &Call) -> Result<Response, Status> {
    let pod = call.read(&call.info.name).await?.value();
    let node = meta::text(&pod, &["spec", "nodeName"]).to_string();
    let (namespace, name) = (meta::namespace(&pod), meta::name(&pod));
    let path = match call.info.subresource.as_str() {
        "log" => {
            let container = container(call, &pod)?;
            if node.is_empty() {
                return Ok(respond::send(204, "text/plain", Bytes::new()));
            }
            format!("/containerLogs/{namespace}/{name}/{container}{}", log_query(call))
        }
        sub @ ("exec" | "attach") => {
            let container = container(call, &pod)?;
            let uid = meta::uid(&pod);
            format!("/{sub}/{namespace}/{name}/{uid}/{container}{}", stream_query(call))
        }
        "portforward" => format!("/portForward/{namespace}/{name}/{}", meta::uid(&pod)),
        _ => return Err(not_served()),
    };
    if node.is_empty() {
        return Err(bad_request(format!("pod {name} does not have a host assigned")));
    }
    forward(call, &node, path).await
}

async fn forward(call: &Call, node: &str, path: String) -> Result<Response, Status> {
    let mut request = http::Request::builder().uri(path).method(http::Method::GET);
    for name in ["connection", "upgrade", "sec-websocket-protocol", "sec-websocket-key", "sec-websocket-version"] {
        if let Some(value) = call.headers.get(name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Bytes::new()).map_err(|error| bad_request(error.to_string()))?;
    let unreachable = |error: crate::error::Error| {
        Status::new(Reason::InternalError, format!("Internal error occurred: {error}")).details(Details::default())
    };
    let answer = call.engine.kubelets.request(node, request).await.map_err(unreachable)?;
    let (parts, body) = answer.into_parts();
    if parts.status.is_client_error() || parts.status.is_server_error() {
        let text = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let message = String::from_utf8_lossy(&text).trim().to_string();
        let mut status = Status::new(Reason::InternalError, message);
        status.code = parts.status.as_u16();
        status.reason = match parts.status.as_u16() {
            400 => Some(Reason::BadRequest),
            404 => Some(Reason::NotFound),
            _ => status.reason,
        };
        return Err(status);
    }
    // A BoxBody may be moved between threads but not shared; a task hands its parts on.
    let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(8);
    call.engine.tasks.spawn("kubelet answer", async move {
        let mut body = body;
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data()
                && send.send(data).await.is_err()
            {
                return;
            }
        }
    });
    let stream = futures::stream::unfold(receive, |mut receive| async move {
        let bytes = receive.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), receive))
    });
    let mut response = warp::reply::stream(stream).into_response();
    *response.status_mut() = parts.status;
    for (name, value) in &parts.headers {
        if name != http::header::CONTENT_LENGTH {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
    response.headers_mut().entry(http::header::CONTENT_TYPE).or_insert(http::HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// The container that is meant: named, marked as the default, or the only one.
fn container(call: &Call, pod: &Value) -> Result<String, Status> {
    let names = |field: &str| -> Vec<String> {
        meta::list(pod, &["spec", field]).iter().filter_map(|c| c["name"].as_str()).map(str::to_string).collect()
    };
    let (containers, init) = (names("containers"), names("initContainers"));
    let all: Vec<String> = [containers.clone(), init.clone(), names("ephemeralContainers")].concat();
    let name = meta::name(pod);
    match call.param("container").unwrap_or("") {
        "" => match containers.as_slice() {
            [only] => Ok(only.clone()),
            many => {
                let init = if init.is_empty() {
                    String::new()
                } else {
                    format!(" or one of the init containers: [{}]", init.join(" "))
                };
                Err(bad_request(format!(
                    "a container name must be specified for pod {name}, choose one of: [{}]{init}",
                    many.join(" ")
                )))
            }
        },
        wanted if all.iter().any(|own| own == wanted) => Ok(wanted.to_string()),
        wanted => Err(bad_request(format!("container {wanted} is not valid for pod {name}"))),
    }
}

fn log_query(call: &Call) -> String {
    let kept = call.query.iter().filter(|(key, _)| LOG_OPTIONS.contains(&key.as_str()));
    query(kept.map(|(key, value)| (key.as_str(), value.as_str())))
}

fn stream_query(call: &Call) -> String {
    let kept = call.query.iter().filter_map(|(key, value)| {
        let name = STREAM_OPTIONS.iter().find(|(own, _)| own == key).map(|(_, theirs)| *theirs)?;
        Some((name, if value == "true" { "1" } else { value.as_str() }))
    });
    query(kept)
}

fn query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let escape = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    let parts: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", escape(value))).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}
