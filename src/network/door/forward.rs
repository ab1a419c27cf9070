//! One request through the door: find its rule, ask a Pod, carry the answer back.
//!
//! In: a request. Out: the Pod's answer as it comes, or one of the door's own, which says in words what is missing. A
//! request that asks for another protocol (WebSocket) keeps its connection. Chapter: `book/src/inside/network.md`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tower::BoxError;

use super::route::{Asked, Changes, Headers, NewPath, Path, Redirect, Retry, Route, find, rest};
use super::{Door, Target, backend, mirror};

type Body = BoxBody<Bytes, hyper::Error>;
/// The body of a request on its way to a Pod.
pub type Sent = BoxBody<Bytes, BoxError>;

/// A request's body up to this size is kept, where the rule wants the request sent once more.
const KEPT_BYTES: u64 = 64 << 10;

/// Headers that are about one connection, not about the request. Source: RFC 9110, 7.6.1.
const OF_CONNECTION: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// Answers.
pub async fn answer(
    door: Arc<Door>,
    scheme: &'static str,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static(scheme));
    let routes = door.routes.read().clone();
    let host = host_of(&request);
    let asked = Asked {
        host: &host,
        path: request.uri().path(),
        method: request.method().as_str(),
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
    };
    let Some(route) = find(&routes, &asked) else {
        let words = format!("no Ingress and no HTTPRoute has a rule for {host}{}", asked.path);
        return Ok(own(StatusCode::NOT_FOUND, &words));
    };
    if let Some(words) = route.then.fault {
        return Ok(own(StatusCode::INTERNAL_SERVER_ERROR, words));
    }
    if let Some(redirect) = &route.then.redirect {
        return Ok(redirected(redirect, route, (scheme, &host), request.uri()));
    }
    let asked = within(&door, route.then.request_limit, ask(&door, route, &host, request)).await;
    Ok(asked.unwrap_or_else(|(status, words)| own(status, &words)))
}

/// What comes of asking, if it comes in time; what comes after an answer has begun may take as long as it likes.
async fn within<T>(
    door: &Door,
    limit: Option<Duration>,
    asking: impl Future<Output = Result<T, (StatusCode, String)>>,
) -> Result<T, (StatusCode, String)> {
    let Some(limit) = limit else { return asking.await };
    let late = |_| Err((StatusCode::GATEWAY_TIMEOUT, format!("no answer began within {} ms", limit.as_millis())));
    door.setup.clock.timeout(limit, asking).await.unwrap_or_else(late)
}

/// The host that is asked for, without its port.
fn host_of(request: &Request<Incoming>) -> String {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().host().or(header).unwrap_or_default();
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => bare,
        _ => host,
    };
    bare.trim_end_matches('.').to_lowercase()
}

/// An answer of the door's own.
fn own(status: StatusCode, words: &str) -> Response<Body> {
    let full = Full::new(Bytes::from(format!("{words}\n")));
    let mut response = Response::new(full.map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

async fn ask(
    door: &Arc<Door>,
    route: &Route,
    host: &str,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, (StatusCode, String)> {
    let client = request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let retry = route.then.retry.as_ref().filter(|_| client.is_none());
    let (parts, body) = request.into_parts();
    let (mut body, kept) = keep(body, retry).await?;
    let mut left = retry.filter(|_| kept.is_some()).map_or(0, |retry| retry.attempts);
    let mut mirrored = client.is_some();
    let (mut response, changes) = loop {
        let (target, changes) = backend::pick(&route.then.backends, |key| door.services.get(key), &door.slices.all())?;
        let mut request = Request::from_parts(parts.clone(), body);
        prepare(&mut request, route, changes, host);
        if !std::mem::replace(&mut mirrored, true) {
            request = mirror::copy(door, route, request);
        }
        let came = within(door, route.then.backend_limit, send(door, &target, request)).await;
        let wanted = |retry: &&Retry| came.as_ref().map_or(true, |it| retry.codes.contains(&it.status().as_u16()));
        match (retry.filter(|_| left > 0).filter(wanted), &kept) {
            (Some(retry), Some(kept)) => {
                (left, body) = (left - 1, full(kept.clone()));
                door.setup.clock.sleep(retry.backoff).await;
            }
            _ => break (came?, changes),
        }
    };
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    match client.filter(|_| upgraded) {
        Some(client) => {
            let pod = hyper::upgrade::on(&mut response);
            door.setup.tasks.spawn("ingress upgraded", async move {
                if let (Ok(client), Ok(pod)) = tokio::join!(client, pod) {
                    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(pod)).await;
                }
            });
        }
        None => strip(response.headers_mut()),
    }
    for changes in [&route.then.changes, changes] {
        change(response.headers_mut(), &changes.response);
    }
    Ok(response.map(BodyExt::boxed))
}

/// A body to be sent; and all of it, if it may have to be sent once more and is small.
async fn keep(body: Incoming, retry: Option<&Retry>) -> Result<(Sent, Option<Bytes>), (StatusCode, String)> {
    if retry.is_none() || body.size_hint().upper().is_none_or(|size| size > KEPT_BYTES) {
        return Ok((body.map_err(BoxError::from).boxed(), None));
    }
    let broken = |fault: hyper::Error| (StatusCode::BAD_REQUEST, format!("the request broke off: {fault}"));
    let kept = body.collect().await.map_err(broken)?.to_bytes();
    Ok((full(kept.clone()), Some(kept)))
}

fn full(bytes: Bytes) -> Sent {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

async fn send(
    door: &Door,
    target: &Target,
    request: Request<Sent>,
) -> Result<Response<Incoming>, (StatusCode, String)> {
    let unreachable = |why: String| (StatusCode::BAD_GATEWAY, format!("the Pod does not answer: {why}"));
    let mut sender = connect(door, target).await.map_err(unreachable)?;
    sender.send_request(request).await.map_err(|fault| unreachable(fault.to_string()))
}

/// A connection to a Pod that takes one request.
pub async fn connect(door: &Door, target: &Target) -> Result<SendRequest<Sent>, String> {
    let stream = door.setup.dialer.dial(target).await?;
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|fault| fault.to_string())?;
    door.setup.tasks.spawn("ingress to pod", async move {
        // How it ended, the request sees for itself.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}

/// Makes of the client's request the one that the Pod gets.
fn prepare(request: &mut Request<Sent>, route: &Route, own: &Changes, host: &str) {
    let all = &route.then.changes;
    let (new_host, path) = (own.host.as_ref().or(all.host.as_ref()), own.path.as_ref().or(all.path.as_ref()));
    if !request.headers().contains_key(header::UPGRADE) {
        strip(request.headers_mut());
    }
    let asked = request.headers().get(header::HOST).cloned();
    let headers = request.headers_mut();
    if let Ok(value) = HeaderValue::from_str(host) {
        headers.insert("x-forwarded-host", asked.unwrap_or(value));
    }
    for changes in [all, own] {
        change(headers, &changes.request);
    }
    if let Some(Ok(value)) = new_host.map(|host| HeaderValue::from_str(host)) {
        headers.insert(header::HOST, value);
    }
    let uri = request.uri();
    let path = path.map_or_else(|| uri.path().to_owned(), |path| new_path(path, route, uri.path()));
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(uri) = format!("{path}{query}").parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in OF_CONNECTION {
        headers.remove(name);
    }
}

fn change(headers: &mut HeaderMap, changes: &Headers) {
    let pair =
        |(name, value): &(String, String)| Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?));
    for (name, value) in changes.set.iter().filter_map(pair) {
        headers.insert(name, value);
    }
    for (name, value) in changes.add.iter().filter_map(pair) {
        headers.append(name, value);
    }
    for name in &changes.remove {
        headers.remove(name);
    }
}

fn new_path(new: &NewPath, route: &Route, path: &str) -> String {
    match (new, &route.when.path) {
        (NewPath::Whole(whole), _) => whole.clone(),
        (NewPath::Prefix(start), Path::Prefix(matched)) => {
            let left = rest(matched, path).unwrap_or_default();
            let joined = format!("{}{left}", start.trim_end_matches('/'));
            if joined.is_empty() { "/".to_owned() } else { joined }
        }
        (NewPath::Prefix(start), _) => start.clone(),
    }
}

fn redirected(redirect: &Redirect, route: &Route, asked: (&str, &str), uri: &Uri) -> Response<Body> {
    let (scheme, host) = asked;
    let scheme = redirect.scheme.as_deref().unwrap_or(scheme);
    let host = redirect.host.as_deref().unwrap_or(host);
    let usual = |port: u16| (scheme, port) == ("http", 80) || (scheme, port) == ("https", 443);
    let port = redirect.port.filter(|port| !usual(*port)).map(|port| format!(":{port}")).unwrap_or_default();
    let path = redirect.path.as_ref().map_or_else(|| uri.path().to_owned(), |path| new_path(path, route, uri.path()));
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = own(redirect.status, "");
    if let Ok(location) = HeaderValue::from_str(&format!("{scheme}://{host}{port}{path}{query}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::door::route::{Then, When};

    fn route(prefix: &str) -> Route {
        let when = When { path: Path::Prefix(prefix.to_owned()), ..When::any() };
        Route { when, then: Then::default(), age: (None, String::new()) }
    }

    #[test]
    fn a_prefix_is_replaced_and_the_rest_stays() {
        for (matched, new, path, expected) in [
            ("/foo", "/bar", "/foo/x", "/bar/x"),
            ("/foo/", "/bar/", "/foo", "/bar"),
            ("/foo", "/", "/foo/x", "/x"),
            ("/foo", "/", "/foo", "/"),
            ("/", "/bar", "/x", "/bar/x"),
        ] {
            assert_eq!(
                new_path(&NewPath::Prefix(new.into()), &route(matched), path),
                expected,
                "{matched} {new} {path}"
            );
        }
        assert_eq!(new_path(&NewPath::Whole("/all".into()), &route("/foo"), "/foo/x"), "/all");
    }

    #[test]
    fn a_redirect_changes_only_what_it_names() {
        let to = |redirect: Redirect| {
            let response = redirected(&redirect, &route("/"), ("http", "a.example"), &"/x?q=1".parse().unwrap());
            response.headers()[header::LOCATION].to_str().unwrap().to_owned()
        };
        let https = Redirect { scheme: Some("https".into()), port: Some(443), ..Redirect::default() };
        assert_eq!(to(https), "https://a.example/x?q=1");
        let moved = Redirect { host: Some("b.example".into()), port: Some(8080), ..Redirect::default() };
        assert_eq!(to(moved), "http://b.example:8080/x?q=1");
    }
}
