//! Who may ask the page for what.
//!
//! A playground listens on loopback, but every site the reader visits can send requests there.
//! Three locks: the `Host` must be ours (a rebound DNS name is not), an `Origin`, if there is one,
//! must be ours, and `/api/` needs the token, which the page has as a `SameSite=Strict` cookie and
//! tutor's commands send as a bearer token.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;

use crate::state::Playground;

/// The cookie that carries the token.
pub const COOKIE: &str = "tutor-token";

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
    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Lets a request pass, or answers why not.
pub fn check(asked: &Asked, playground: &Playground) -> Result<(), Response> {
    let own = playground.book.trim_start_matches("http://").trim_end_matches('/');
    let port = own.rsplit_once(':').map_or("", |(_, port)| port);
    let ours = |host: &str| host == own || host == format!("localhost:{port}") || host == format!("127.0.0.1:{port}");
    if !asked.header(header::HOST).is_some_and(ours) {
        return Err(refuse(StatusCode::FORBIDDEN, "this host name is not the playground's"));
    }
    if let Some(origin) = asked.header(header::ORIGIN)
        && !origin.strip_prefix("http://").is_some_and(ours)
    {
        return Err(refuse(StatusCode::FORBIDDEN, "another site may not use the playground"));
    }
    if asked.path.starts_with("/api/") && !has_token(asked, &playground.token) {
        return Err(refuse(StatusCode::FORBIDDEN, "the playground's token is missing or wrong"));
    }
    Ok(())
}

fn has_token(asked: &Asked, token: &str) -> bool {
    let bearer = asked.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let cookie = asked
        .header(header::COOKIE)
        .into_iter()
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    bearer.or(cookie).is_some_and(|given| same(given.as_bytes(), token.as_bytes()))
}

/// Compares without telling by its time where the difference is.
fn same(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// The header that hands the page its token.
pub fn cookie(token: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict")).ok()
}

/// An error as JSON, in the three parts of [`crate::error::Error`].
pub fn refuse(code: StatusCode, what: &str) -> Response {
    let body = serde_json::json!({"what": what, "why": "", "hints": []});
    answer(code, "application/json", body.to_string())
}

/// An answer with the headers every answer has.
pub fn answer(code: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    response
}
