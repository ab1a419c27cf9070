//! `…/log`, `…/exec`, `…/attach`, `…/portforward`: requests that the Pod's kubelet answers.
//!
//! The API server checks the options, finds the node and the container, turns the path into the
//! kubelet's own, and passes the answer through as it comes. Where the client asked for another protocol
//! its connection goes with the request: the kubelet serves it.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use serde_json::Value;
use warp::Reply;
use warp::reply::Response;

use crate::api::go_json;
use crate::api::meta;
use crate::api::schema::Type;
use crate::api::status::{Details, Reason, Status};
use crate::apiserver::auth::Decision;
use crate::apiserver::engine::{Call, bad_request, not_served};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::request::is_true;
use crate::apiserver::respond;

/// Options of a log that the kubelet understands.
const LOG_OPTIONS: &[&str] =
    &["follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes"];
/// Options of exec and attach that the kubelet understands, under its own names.
const STREAM_OPTIONS: &[(&str, &str)] =
    &[("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")];
/// What an upgraded connection is asked for with.
const UPGRADE_HEADERS: [&str; 6] = [
    "connection",
    "upgrade",
    "sec-websocket-protocol",
    "sec-websocket-key",
    "sec-websocket-version",
    "x-stream-protocol-version",
];

/// Asks the kubelet.
///
/// # Errors
/// 400 for a container that is not there or not chosen, 403 for who may read but not create, 422 for log
/// options that make no sense, 500 when the kubelet cannot be reached.
pub async fn connect(call: &Call) -> Result<Response, Status> {
    let log = call.info.subresource == "log";
    if log {
        check_log_options(call)?;
    } else {
        may_create(call)?;
        check_ports(call)?;
    }
    let pod = call.read(&call.info.name).await?.value();
    let node = meta::text(&pod, &["spec", "nodeName"]).to_string();
    let (namespace, name, uid) = (meta::namespace(&pod), meta::name(&pod), meta::uid(&pod));
    let path = match call.info.subresource.as_str() {
        "log" => {
            let container = container(call, &pod)?;
            if node.is_empty() {
                return Ok(respond::nothing());
            }
            format!("/containerLogs/{namespace}/{name}/{container}{}", log_query(call))
        }
        sub @ ("exec" | "attach") => {
            let container = container(call, &pod)?;
            format!("/{sub}/{namespace}/{name}/{uid}/{container}{}", stream_query(call))
        }
        "portforward" => {
            let ports = call.query.iter().filter(|(key, _)| key == "ports");
            format!("/portForward/{namespace}/{name}/{uid}{}", query(ports.map(|(_, value)| ("port", value.as_str()))))
        }
        _ => return Err(not_served()),
    };
    if node.is_empty() {
        return Err(bad_request(format!("pod {name} does not have a host assigned")));
    }
    if log {
        return forward(call, &node, path).await;
    }
    let Some(upgrade) = call.upgrade.clone().filter(|_| asks_for_upgrade(call)) else {
        return Err(bad_request("Upgrade request required"));
    };
    hand_over(call, &node, path, upgrade).await
}

/// A WebSocket begins with a GET, which `get` alone would allow; running things needs `create`.
/// Source: feature `AuthorizePodWebsocketUpgradeCreatePermission`.
fn may_create(call: &Call) -> Result<(), Status> {
    let mut action = call.info.action();
    if action.verb == "create" {
        return Ok(());
    }
    action.verb = "create".to_owned();
    match call.engine.auth.authorize(&call.user, &action, &*call.engine) {
        Decision::Allow(_) => Ok(()),
        Decision::NoOpinion(reason) => {
            let (plural, name) = (&call.resource.plural, &call.info.name);
            let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            let message = format!("{plural} \"{name}\" is forbidden{because}");
            let details = Details { name: name.clone(), kind: plural.to_string(), ..Details::default() };
            Err(Status::new(Reason::Forbidden, message).details(details))
        }
    }
}

fn asks_for_upgrade(call: &Call) -> bool {
    let header = |name: &str| call.header(name).unwrap_or_default().to_ascii_lowercase();
    header("connection").contains("upgrade") && !header("upgrade").is_empty()
}

fn request(call: &Call, path: String) -> Result<http::Request<Bytes>, Status> {
    let mut request = http::Request::builder().uri(path).method(http::Method::GET);
    for name in UPGRADE_HEADERS {
        for value in call.headers.get_all(name) {
            request = request.header(name, value);
        }
    }
    request.body(Bytes::new()).map_err(|error| bad_request(error.to_string()))
}

fn unreachable(error: crate::error::Error) -> Status {
    Status::new(Reason::InternalError, format!("Internal error occurred: {error}")).details(Details::default())
}

/// Gives the client's connection to the kubelet. What the kubelet refuses with is passed on as it is:
/// clients read it as text.
async fn hand_over(call: &Call, node: &str, path: String, upgrade: OnUpgrade) -> Result<Response, Status> {
    let mut request = request(call, path)?;
    request.extensions_mut().insert(upgrade);
    let answer = call.engine.kubelets.request(node, request).await.map_err(unreachable)?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut response = respond::send(parts.status.as_u16(), "text/plain; charset=utf-8", body);
    if parts.status == http::StatusCode::SWITCHING_PROTOCOLS {
        *response.headers_mut() = parts.headers;
    }
    Ok(response)
}

async fn forward(call: &Call, node: &str, path: String) -> Result<Response, Status> {
    let answer = call.engine.kubelets.request(node, request(call, path)?).await.map_err(unreachable)?;
    let (parts, body) = answer.into_parts();
    if parts.status.is_client_error() || parts.status.is_server_error() {
        let text = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(refused(call, parts.status.as_u16(), String::from_utf8_lossy(&text).trim()));
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

/// A kubelet's refusal as a Status. Source: apiserver `GenericHttpResponseChecker`.
fn refused(call: &Call, code: u16, words: &str) -> Status {
    match code {
        400 => bad_request(words),
        404 => {
            let about = format!("{}/{} {}", call.resource.plural, call.info.subresource, call.info.name);
            let message = format!("the server could not find the requested resource ( {about})");
            let mut status = Status::new(Reason::NotFound, message);
            status.code = 404;
            status
        }
        _ => unreachable(crate::error::Error::new(words, "")),
    }
}

/// Source: `ValidatePodLogOptions`.
fn check_log_options(call: &Call) -> Result<(), Status> {
    let number = |name: &str| -> Result<Option<i64>, Status> {
        let Some(text) = call.param(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
    };
    // All are read before one is judged, in the order in which Go's type has them.
    let seconds = number("sinceSeconds")?;
    let time = call.param("sinceTime").filter(|text| !text.is_empty());
    if let Some(error) = time.and_then(|text| go_json::time_error(text, Type::Time)) {
        return Err(bad_request(error));
    }
    let (tail, limit) = (number("tailLines")?, number("limitBytes")?);
    let mut errors = Vec::new();
    if let Some(lines) = tail.filter(|lines| *lines < 0) {
        errors.push(FieldError::invalid("tailLines", lines, "must be greater than or equal to 0"));
    }
    if let Some(bytes) = limit.filter(|bytes| *bytes < 1) {
        errors.push(FieldError::invalid("limitBytes", bytes, "must be greater than 0"));
    }
    match (seconds, time) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
        }
        (Some(seconds), None) if seconds < 1 => {
            errors.push(FieldError::invalid("sinceSeconds", seconds, "must be greater than 0"));
        }
        _ => {}
    }
    // The feature that tells the streams of a log apart is off.
    if call.param("stream").is_some() {
        errors.push(FieldError::forbidden("stream", "may not be specified"));
    }
    if errors.is_empty() { Ok(()) } else { Err(FieldError::status("", "PodLogOptions", &call.info.name, &errors)) }
}

/// The ports to forward, each a number, or several with commas between them.
fn check_ports(call: &Call) -> Result<(), Status> {
    let ports = call.query.iter().filter(|(key, _)| key == "ports").flat_map(|(_, value)| value.split(','));
    for port in ports.filter(|_| call.info.subresource == "portforward") {
        let plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let why = match (plain, port.parse::<u16>()) {
            (true, Ok(_)) => continue,
            (true, Err(_)) => "value out of range",
            (false, _) => "invalid syntax",
        };
        return Err(bad_request(format!("cannot convert to []int32: strconv.ParseUint: parsing {port:?}: {why}")));
    }
    Ok(())
}

/// The container that is meant: named, or the only one. Source: `validateContainer`.
fn container(call: &Call, pod: &Value) -> Result<String, Status> {
    let names = |field: &str| -> Vec<String> {
        meta::list(pod, &["spec", field]).iter().filter_map(|c| c["name"].as_str()).map(str::to_string).collect()
    };
    let containers = names("containers");
    let all: Vec<String> = [names("initContainers"), containers.clone(), names("ephemeralContainers")].concat();
    let name = meta::name(pod);
    match call.param("container").unwrap_or("") {
        "" => match containers.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(bad_request(format!("a container name must be specified for pod {name}"))),
            _ => Err(bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                all.join(" ")
            ))),
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
    let streams = call.query.iter().filter_map(|(key, value)| {
        let name = STREAM_OPTIONS.iter().find(|(own, _)| own == key).map(|(_, theirs)| *theirs)?;
        is_true(value).then_some((name, "1"))
    });
    let command = call.query.iter().filter(|(key, _)| key == "command" && call.info.subresource == "exec");
    query(streams.chain(command.map(|(key, value)| (key.as_str(), value.as_str()))))
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
