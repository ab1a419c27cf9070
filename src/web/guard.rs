//! Who may ask the page for what.
//!
//! A playground listens on loopback, but every site the reader visits can send requests there.
//! Three locks: the `Host` must be ours (a rebound DNS name is not), an `Origin`, if there is one,
//! must be ours, and `/api/` needs the token, which the page has as a `SameSite=Strict` cookie and
//! tutor's commands send as a bearer token.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use warp::reply::Response;

use crate::error::Error;
use crate::state::Playground;

/// A request as it came in.
pub struct Asked {
    /// `GET`, `POST`, …
    pub method: Method,
    /// Begins with `/`.
    pub path: String,
    /// Without the `?`; may be empty.
    pub query: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Asked {
    /// A header, where it is text.
    pub fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Why a request may not pass, if it may not.
pub fn refusal(asked: &Asked, playground: &Playground) -> Option<&'static str> {
    let (own, port) = address(playground);
    let ours = |host: &str| host == own || host == format!("localhost:{port}") || host == format!("127.0.0.1:{port}");
    if !asked.header(header::HOST).is_some_and(ours) {
        return Some("this host name is not the playground's");
    }
    if let Some(origin) = asked.header(header::ORIGIN)
        && !origin.strip_prefix("http://").is_some_and(ours)
    {
        return Some("another site may not use the playground");
    }
    if asked.path.starts_with("/api/") && !has_token(asked, playground) {
        return Some("the playground's token is missing or wrong");
    }
    None
}

fn has_token(asked: &Asked, playground: &Playground) -> bool {
    let name = cookie_name(playground);
    let bearer = asked.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let cookie = asked
        .header(header::COOKIE)
        .into_iter()
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(&*name)?.strip_prefix('='));
    bearer.or(cookie).is_some_and(|given| same(given.as_bytes(), playground.token.as_bytes()))
}

/// Compares without telling by its time where the difference is.
fn same(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// The header that hands the page its token.
pub fn cookie(playground: &Playground) -> Option<HeaderValue> {
    let name = cookie_name(playground);
    HeaderValue::from_str(&format!("{name}={}; Path=/; HttpOnly; SameSite=Strict", playground.token)).ok()
}

/// A browser keeps cookies by host and not by port, so each playground's has a name of its own.
fn cookie_name(playground: &Playground) -> String {
    format!("tutor-token-{}", address(playground).1)
}

/// The page's `host:port`, and the port.
fn address(playground: &Playground) -> (&str, &str) {
    let own = playground.book.trim_start_matches("http://").trim_end_matches('/');
    (own, own.rsplit_once(':').map_or("", |(_, port)| port))
}

/// An error as JSON, in the three parts of [`crate::error::Error`].
pub fn refuse(code: StatusCode, what: &str) -> Response {
    refuse_because(code, what, "")
}

/// As [`refuse`], with the reason.
pub fn refuse_because(code: StatusCode, what: &str, why: &str) -> Response {
    failed(code, &Error::new(what, why))
}

/// The error as JSON: `{"what", "why", "hints"}`.
pub fn failed(code: StatusCode, error: &Error) -> Response {
    answer(code, "application/json", in_parts(error).to_string())
}

/// An error's three parts.
pub fn in_parts(error: &Error) -> Value {
    json!({"what": error.what, "why": error.why, "hints": error.hints})
}

/// An answer with the headers every answer has.
pub fn answer(code: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    dress(&mut response, code, media);
    response
}

/// Gives an answer its code and the headers every answer has.
pub fn dress(response: &mut Response, code: StatusCode, media: &'static str) {
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playground() -> Playground {
        Playground {
            book: "http://127.0.0.1:7878/".into(),
            api: String::new(),
            registry: String::new(),
            etcd: None,
            ingress: None,
            kubeconfig: "kubeconfig".into(),
            token: "secret".into(),
            state_dir: "state".into(),
            pid: 1,
            version: "0".into(),
            start_ms: 1,
        }
    }

    fn passes(path: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        let asked = Asked {
            method: Method::GET,
            path: path.into(),
            query: String::new(),
            headers: pairs.collect(),
            body: Bytes::new(),
        };
        refusal(&asked, &playground()).is_none()
    }

    #[test]
    fn only_our_own_pages_pass() {
        let own = ("host", "127.0.0.1:7878");
        for (headers, expected) in [
            (&[own][..], true),
            (&[("host", "localhost:7878")][..], true),
            (&[("host", "evil.example:7878")][..], false),
            (&[("host", "127.0.0.1:80")][..], false),
            (&[][..], false),
            (&[own, ("origin", "http://127.0.0.1:7878")][..], true),
            (&[own, ("origin", "http://evil.example")][..], false),
            (&[own, ("origin", "https://127.0.0.1:7878")][..], false),
            (&[own, ("origin", "null")][..], false),
        ] {
            assert_eq!(passes("/", headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn the_api_needs_the_token() {
        let own = ("host", "127.0.0.1:7878");
        for (headers, expected) in [
            (&[own][..], false),
            (&[own, ("cookie", "tutor-token-7878=wrong")][..], false),
            (&[own, ("cookie", "xtutor-token-7878=secret")][..], false),
            (&[own, ("cookie", "a=b; tutor-token-7878=secret")][..], true),
            (&[own, ("authorization", "Bearer secret")][..], true),
            (&[own, ("authorization", "Bearer secre")][..], false),
            (&[own, ("authorization", "secret")][..], false),
        ] {
            assert_eq!(passes("/api/status", headers), expected, "{headers:?}");
        }
    }
}
