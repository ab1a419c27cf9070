//! The kubelet's own HTTP API, as a function from request to answer.
//!
//! In: what the API server's `KubeletDialer` passes on: `GET /containerLogs/{ns}/{pod}/{container}`,
//! `/pods`, `/healthz`, and the routes of [`streams`]. Out: plain text, streamed where it is followed.
//! Errors in the kubelet's words.
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::pod::PodView;
use super::run::Node;
use super::runtime::{self, LogLine, LogOptions};
use super::status::{self, ID_SCHEME};
use super::streams::{self, Named, Route};
use crate::error::Error;
use crate::tasks::TaskGroup;

/// The body of an answer.
pub type Body = BoxBody<Bytes, Error>;

/// Answers a request.
pub async fn answer(node: &Arc<Node>, tasks: &TaskGroup, request: &Request<Bytes>) -> Response<Body> {
    let parts: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["healthz"] => text(StatusCode::OK, "ok"),
        ["pods"] => {
            let pods: Vec<_> = node.pods.lock().values().cloned().collect();
            let items: Vec<&PodView> = pods.iter().map(|pod| &**pod).collect();
            let list = serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items});
            let mut response = text(StatusCode::OK, &list.to_string());
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            response
        }
        ["containerLogs", namespace, pod, container] => {
            let query = Query::parse(request.uri().query().unwrap_or_default());
            logs(node, namespace, pod, container, query).await.unwrap_or_else(|(code, why)| text(code, &why))
        }
        [route @ ("exec" | "attach"), namespace, pod, container] => {
            stream(node, tasks, route, Named { namespace, pod, uid: "", container }, request).await
        }
        [route @ ("exec" | "attach"), namespace, pod, uid, container] => {
            stream(node, tasks, route, Named { namespace, pod, uid, container }, request).await
        }
        [route @ "portForward", namespace, pod] => {
            stream(node, tasks, route, Named { namespace, pod, uid: "", container: "" }, request).await
        }
        [route @ "portForward", namespace, pod, uid] => {
            stream(node, tasks, route, Named { namespace, pod, uid, container: "" }, request).await
        }
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

async fn stream(
    node: &Arc<Node>,
    tasks: &TaskGroup,
    route: &str,
    named: Named<'_>,
    request: &Request<Bytes>,
) -> Response<Body> {
    let route = match route {
        "exec" => Route::Exec,
        "attach" => Route::Attach,
        _ => Route::PortForward,
    };
    let answered = streams::answer(node, tasks, route, named, request).await;
    answered.unwrap_or_else(|(code, why)| text(code, &why))
}

/// A plain answer.
pub(super) fn text(code: StatusCode, words: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(words.to_owned())).map_err(|never: Infallible| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

/// The parameters of `kubectl logs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Query {
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail: Option<usize>,
    since_seconds: Option<i64>,
    since: Option<Timestamp>,
    limit_bytes: Option<usize>,
    /// Only this stream.
    stream: Option<runtime::Stream>,
}

impl Query {
    fn parse(query: &str) -> Query {
        let mut parsed = Query::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let yes = value == "true" || value == "1";
            match &*name {
                "follow" => parsed.follow = yes,
                "previous" => parsed.previous = yes,
                "timestamps" => parsed.timestamps = yes,
                "tailLines" => parsed.tail = value.parse().ok(),
                "sinceSeconds" => parsed.since_seconds = value.parse().ok(),
                "sinceTime" => parsed.since = value.parse().ok(),
                "limitBytes" => parsed.limit_bytes = value.parse().ok(),
                "stream" if value == "Stdout" => parsed.stream = Some(runtime::Stream::Stdout),
                "stream" if value == "Stderr" => parsed.stream = Some(runtime::Stream::Stderr),
                _ => {}
            }
        }
        parsed
    }
}

/// A refusal: its code and words.
pub(super) type Refused = (StatusCode, String);

async fn logs(
    node: &Node,
    namespace: &str,
    name: &str,
    container: &str,
    query: Query,
) -> Result<Response<Body>, Refused> {
    let found = node.pods.lock().values().find(|pod| pod.namespace() == namespace && pod.name() == name).cloned();
    let Some(pod) = found else {
        return Err((StatusCode::NOT_FOUND, format!("pod \"{name}\" not found")));
    };
    let id = container_id(&pod, container, query.previous)?;
    let now = node.clock.now();
    let since =
        query.since_seconds.and_then(|ago| now.checked_sub(SignedDuration::from_secs(ago)).ok()).or(query.since);
    let options = LogOptions { follow: query.follow, tail: query.tail, since };
    let lines = node.runtime.logs(&id, options).await.map_err(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("unable to retrieve container logs for {ID_SCHEME}{id}: {error}"))
    })?;
    let wanted = move |line: &LogLine| query.stream.is_none_or(|stream| line.stream == stream);
    let lines = lines.filter(move |line| futures::future::ready(wanted(line)));
    let frames = lines.scan(query.limit_bytes, move |left, line| {
        let mut bytes = written(&line, query.timestamps);
        if let Some(left) = left {
            if *left == 0 {
                return futures::future::ready(None);
            }
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        futures::future::ready(Some(Ok::<_, Error>(Frame::data(Bytes::from(bytes)))))
    });
    let body = StreamBody::new(Guarded(Mutex::new(frames.boxed())));
    let mut response = Response::new(BoxBody::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// A stream of lines is Send but not Sync; a body has to be both. Nobody ever waits for the lock: only
/// the one owner polls.
struct Guarded<T>(Mutex<BoxStream<'static, T>>);

impl<T> Stream for Guarded<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().0.get_mut().as_mut().poll_next(context)
    }
}

fn written(line: &LogLine, timestamps: bool) -> Vec<u8> {
    let mut bytes = if timestamps { format!("{:.9} ", line.at).into_bytes() } else { Vec::new() };
    bytes.extend_from_slice(&line.bytes);
    if !line.partial {
        bytes.push(b'\n');
    }
    bytes
}

/// The runtime's id of the container whose output is wanted. Source of the words: kubelet
/// `validateContainerLogStatus`.
fn container_id(pod: &PodView, name: &str, previous: bool) -> Result<String, Refused> {
    let bad = |words: String| (StatusCode::BAD_REQUEST, words);
    let init = pod.status.init_container_statuses.iter().flatten();
    let status = init.chain(pod.status.container_statuses.iter().flatten()).find(|status| status.name == name);
    let pod_name = pod.name();
    let Some(status) = status else {
        return Err(match pod.container(name) {
            Some(_) => bad(format!("container \"{name}\" in pod \"{pod_name}\" is not available")),
            None => bad(format!("container {name} is not valid for pod {pod_name}")),
        });
    };
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let id_of = |id: &Option<String>| id.as_deref().and_then(|id| id.strip_prefix(ID_SCHEME)).map(str::to_owned);
    let id = if previous {
        let ended = last.and_then(|terminated| id_of(&terminated.container_id));
        return ended
            .ok_or_else(|| bad(format!("previous terminated container \"{name}\" in pod \"{pod_name}\" not found")));
    } else if state.running.is_some() {
        id_of(&status.container_id)
    } else if let Some(terminated) = &state.terminated {
        id_of(&terminated.container_id)
    } else {
        last.and_then(|terminated| id_of(&terminated.container_id))
    };
    id.ok_or_else(|| {
        let waiting = state.waiting.unwrap_or_default();
        let reason = waiting.reason.unwrap_or_else(|| status::WAITS_FOR_VOLUMES.to_owned());
        bad(match reason.as_str() {
            "ErrImagePull" => {
                format!("container \"{name}\" in pod \"{pod_name}\" is waiting to start: image can't be pulled")
            }
            "ImagePullBackOff" => {
                format!(
                    "container \"{name}\" in pod \"{pod_name}\" is waiting to start: trying and failing to pull image"
                )
            }
            reason => format!("container \"{name}\" in pod \"{pod_name}\" is waiting to start: {reason}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ask(status: Value, previous: bool) -> Result<String, String> {
        let pod: PodView = serde_json::from_value(json!({"metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c"}]}, "status": {"containerStatuses": [status]}}))
        .unwrap();
        container_id(&pod, "c", previous).map_err(|(_, words)| words)
    }

    fn status(state: Value, last: Value) -> Value {
        json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "containerID": "tutor://now", "state": state, "lastState": last})
    }

    #[test]
    fn logs_come_from_the_container_that_has_them() {
        let ended = json!({"terminated": {"exitCode": 1, "containerID": "tutor://before"}});
        let crash = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        let wait = |why: &str| Err(format!("container \"c\" in pod \"p\" is waiting to start: {why}"));
        for (state, last, previous, expected) in [
            (json!({"running": {}}), json!({}), false, Ok("now".to_owned())),
            (json!({"running": {}}), ended.clone(), true, Ok("before".to_owned())),
            (crash, ended, false, Ok("before".to_owned())),
            (creating, json!({}), false, wait("ContainerCreating")),
            (json!({"waiting": {"reason": "ErrImagePull"}}), json!({}), false, wait("image can't be pulled")),
            (
                json!({"running": {}}),
                json!({}),
                true,
                Err("previous terminated container \"c\" in pod \"p\" not found".to_owned()),
            ),
        ] {
            assert_eq!(ask(status(state.clone(), last), previous), expected, "{state}");
        }
    }
}
