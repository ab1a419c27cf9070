//! One request passed through to the server that answers for its group and version.
//!
//! Who asks has been settled here, and travels in `X-Remote-User`, `X-Remote-Group` and
//! `X-Remote-Extra-…`; our client certificate proves that it was us who wrote them. Source:
//! kube-aggregator, `handler_proxy.go`.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::Remote;
use crate::apiserver::auth::User;
use crate::apiserver::backend::relay::{self, Passed};
use crate::apiserver::backend::tls;
use crate::apiserver::engine::Engine;
use crate::apiserver::respond;

/// Discovery has to be quick: clients ask every server before they do anything.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(5);
/// The largest document that we read ourselves.
const MAX_DOCUMENT_BYTES: usize = 32 * 1024 * 1024;

/// A request to pass on.
pub struct Passing {
    /// `GET`, …
    pub method: Method,
    /// Path and query, as they came.
    pub target: String,
    /// As they came.
    pub headers: HeaderMap,
    /// The client's connection, when it may be used for something else than HTTP.
    pub upgrade: Option<OnUpgrade>,
    /// Who asks.
    pub user: User,
}

/// Passes the request on, and the answer back.
pub async fn pass<B, D>(engine: &Arc<Engine>, remote: &Remote, passing: Passing, body: B) -> warp::reply::Response
where
    B: Stream<Item = Result<D, warp::Error>> + Send + 'static,
    D: Buf,
{
    if !remote.available {
        return respond::text(503, "service unavailable\n");
    }
    let path = passing.target.split('?').next().unwrap_or_default();
    let is_discovery = path.trim_matches('/').split('/').count() == 3;
    let upgrade = passing.upgrade.clone().filter(|_| relay::is_upgrade(&passing.headers));
    let mut headers = relay::request_headers(&passing.headers);
    identify(&mut headers, &passing.user);
    let sent = send(engine, remote, passing.method, &passing.target, headers, relay::body(body));
    let answer = match is_discovery {
        true => engine.clock.timeout(DISCOVERY_LIMIT, sent).await.unwrap_or_else(|_| Err(too_late())),
        false => sent.await,
    };
    match answer {
        Ok(response) => relay::answer(response, upgrade, &engine.tasks),
        Err(why) => respond::text(503, format!("error trying to reach service: {why}\n")),
    }
}

fn too_late() -> String {
    "context deadline exceeded".to_string()
}

async fn send(
    engine: &Arc<Engine>,
    remote: &Remote,
    method: Method,
    target: &str,
    mut headers: HeaderMap,
    body: Passed,
) -> Result<Response<Incoming>, String> {
    let connector = tls::connector(&remote.trust, Some(engine.authority.front_proxy_client()))?;
    let (mut sender, connection) = remote.place.open(connector, &**engine).await?;
    engine.tasks.spawn("aggregated API", connection);
    let host = remote.place.authority();
    set(&mut headers, "host", &host);
    set(&mut headers, "x-forwarded-host", &host);
    set(&mut headers, "x-forwarded-proto", "https");
    set(&mut headers, "x-forwarded-uri", target.split('?').next().unwrap_or_default());
    let mut request = http::Request::builder().method(method).uri(target).body(body).map_err(|e| e.to_string())?;
    *request.headers_mut() = headers;
    sender.send_request(request).await.map_err(|error| error.to_string())
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Writes who asks into the headers, over whatever a client wrote there.
fn identify(headers: &mut HeaderMap, user: &User) {
    let own = |name: &&HeaderName| {
        let name = name.as_str();
        matches!(name, "x-remote-user" | "x-remote-uid" | "x-remote-group") || name.starts_with("x-remote-extra-")
    };
    let written: Vec<HeaderName> = headers.keys().filter(own).cloned().collect();
    written.iter().for_each(|name| drop(headers.remove(name)));
    let mut add = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    };
    add("x-remote-user", &user.name);
    if !user.uid.is_empty() {
        add("x-remote-uid", &user.uid);
    }
    user.groups.iter().for_each(|group| add("x-remote-group", group));
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escaped(key));
        values.iter().for_each(|value| add(&name, value));
    }
}

/// A key as a header's name can hold it: what may not stand there is percent-encoded.
fn escaped(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    key.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A document of an aggregated server, asked for by us: status, headers and body.
///
/// # Errors
/// Why there is no answer, in Go's words.
pub async fn fetch(
    engine: &Arc<Engine>,
    remote: &Remote,
    path: &str,
    accept: &'static str,
) -> Result<Response<Bytes>, String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("kube-apiserver"));
    identify(&mut headers, &User::new("system:kube-aggregator", &["system:masters"]));
    let empty = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
    let asked = async {
        let (parts, body) = send(engine, remote, Method::GET, path, headers, empty).await?.into_parts();
        let body = Limited::new(body, MAX_DOCUMENT_BYTES).collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    engine.clock.timeout(DISCOVERY_LIMIT, asked).await.unwrap_or_else(|_| Err(too_late()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("root"));
        headers.insert("x-remote-extra-scopes", HeaderValue::from_static("all"));
        let mut user = User::new("jane", &["devs", "system:authenticated"]);
        user.extra.insert("example.org/Team:x".into(), vec!["a".into(), "b".into()]);
        identify(&mut headers, &user);
        let all = |name: &str| headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("x-remote-user"), ["jane"]);
        assert_eq!(all("x-remote-group"), ["devs", "system:authenticated"]);
        assert_eq!(all("x-remote-extra-example.org%2fteam%3ax"), ["a", "b"]);
        assert!(all("x-remote-extra-scopes").is_empty() && all("x-remote-uid").is_empty());
    }
}
