//! One request to the API server, its answer or its refusal, and what `-v` tells about both.
//!
//! In: a [`Call`]. Out: JSON, bytes or a stream; a refusal becomes [`Failure::Server`]. Warnings that the
//! server sends go to standard error, each once. With `-v 6` to `-v 9` every request is shown, more of it
//! as the number grows: this is how a reader sees that kubectl is nothing but HTTP.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::failure::{Failure, Result, quote};
use super::session::Console;
use crate::clock::Clock;

pub mod dial;
mod verbose;

use dial::Dials;

/// What kubectl calls itself.
pub const USER_AGENT: &str = concat!("kubectl/v1.37.2 (tutor/", env!("CARGO_PKG_VERSION"), ")");

/// The Table form first, then plain JSON.
pub const TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// How often a request is made again when the server asks for patience. Source: client-go, rest/request.go.
const MOST_RETRIES: usize = 10;

/// A way to the API server.
pub struct Api {
    client: kube::Client,
    headers: HeaderMap,
    /// The server's URL, for `-v` and error messages.
    pub server: String,
    verbosity: i64,
    process: u32,
    timeout: Duration,
    console: Console,
    clock: Clock,
    dials: Dials,
    warned: Arc<Mutex<BTreeSet<String>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    accept: String,
    body: Option<(String, Vec<u8>)>,
}

impl Call {
    /// A request without a body; JSON is asked for.
    pub fn new(method: Method, path: impl Into<String>) -> Call {
        Call { method, path: path.into(), query: Vec::new(), accept: "application/json".into(), body: None }
    }

    /// `GET`.
    pub fn get(path: impl Into<String>) -> Call {
        Call::new(Method::GET, path)
    }

    /// Adds a query parameter, unless it is empty.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl ToString) -> Call {
        let value = value.to_string();
        if !value.is_empty() {
            self.query.push((name.to_owned(), value));
        }
        self
    }

    /// Asks for another form.
    #[must_use]
    pub fn accept(mut self, accept: &str) -> Call {
        self.accept = accept.to_owned();
        self
    }

    /// Sends an object.
    #[must_use]
    pub fn json(self, body: &Value) -> Call {
        self.body("application/json", body.to_string().into_bytes())
    }

    /// Sends bytes of some type.
    #[must_use]
    pub fn body(mut self, content_type: &str, bytes: Vec<u8>) -> Call {
        self.body = Some((content_type.to_owned(), bytes));
        self
    }

    /// The path with its query.
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut pairs = self.query.clone();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        query.extend_pairs(pairs);
        let joint = if self.path.contains('?') { '&' } else { '?' };
        format!("{}{joint}{}", self.path, query.finish())
    }
}

impl Api {
    /// Over a client; `headers` go with every request.
    pub fn new(client: kube::Client, headers: HeaderMap, server: String, console: Console, clock: Clock) -> Api {
        let (dials, warned) = Default::default();
        Api {
            client,
            headers,
            server,
            verbosity: 0,
            process: 0,
            timeout: Duration::ZERO,
            console,
            clock,
            dials,
            warned,
        }
    }

    /// Sets how much `-v` tells and as which process, and how long an answer may take (zero: for ever).
    #[must_use]
    pub fn with(mut self, verbosity: i64, process: u32, timeout: Duration) -> Api {
        self.verbosity = verbosity;
        self.process = process;
        self.timeout = timeout;
        self
    }

    /// Where the client notes the connections that it makes.
    #[must_use]
    pub fn noted(mut self, dials: Dials) -> Api {
        self.dials = dials;
        self
    }

    /// How many warnings the server sent.
    pub fn warnings(&self) -> usize {
        self.warned.lock().len()
    }

    /// The client, for requests that upgrade the connection.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// An object.
    ///
    /// # Errors
    /// The server's refusal, or a broken connection.
    pub async fn json(&self, call: Call) -> Result<Value> {
        let bytes = self.bytes(call).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|fault| Failure::new(fault.to_string()))
    }

    /// An object of a namespace. Where it is not there because its namespace is not, that is what is told.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn json_of(&self, call: Call, namespace: &str) -> Result<Value> {
        let refused = match self.json(call).await {
            Err(refused) if refused.is_not_found() && !matches!(namespace, "" | "default") => refused,
            other => return other,
        };
        match self.json(Call::get(format!("/api/v1/namespaces/{namespace}"))).await {
            Err(missing) if missing.is_not_found() => Err(missing),
            _ => Err(refused),
        }
    }

    /// The answer's bytes.
    ///
    /// # Errors
    /// The server's refusal, or a broken connection.
    pub async fn bytes(&self, call: Call) -> Result<Bytes> {
        let whole = async {
            let response = self.send(call).await?;
            let bytes = response.into_body().collect().await.map_err(|fault| self.broken(&fault.to_string()))?;
            Ok(bytes.to_bytes())
        };
        let bytes = self.in_time(whole).await?;
        self.log_body("Response Body", &bytes);
        Ok(bytes)
    }

    /// The answer as it comes in, chunk by chunk.
    ///
    /// # Errors
    /// The server's refusal, or a broken connection.
    pub async fn stream(&self, call: Call) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let response = self.send(call).await?;
        let chunks = response.into_body().into_data_stream();
        Ok(chunks.map(|chunk| chunk.map_err(|fault| Failure::new(fault.to_string()))))
    }

    /// The answer as lines, without their ends.
    ///
    /// # Errors
    /// The server's refusal, or a broken connection.
    pub async fn lines(&self, call: Call) -> Result<impl Stream<Item = Result<Vec<u8>>> + Send + use<>> {
        let chunks = Box::pin(self.stream(call).await?);
        let start = (chunks, Vec::new(), false);
        Ok(futures::stream::unfold(start, |(mut chunks, mut buffer, mut ended)| async move {
            loop {
                if let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
                    let rest = buffer.split_off(at + 1);
                    buffer.pop();
                    return Some((Ok(buffer), (chunks, rest, ended)));
                }
                if ended {
                    let last = std::mem::take(&mut buffer);
                    return (!last.is_empty()).then_some((Ok(last), (chunks, buffer, true)));
                }
                match chunks.next().await {
                    Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                    Some(Err(fault)) => return Some((Err(fault), (chunks, Vec::new(), true))),
                    None => ended = true,
                }
            }
        }))
    }

    /// Sends a request; every refusal is an error.
    ///
    /// # Errors
    /// The server's refusal, or a broken connection.
    pub async fn send(&self, call: Call) -> Result<Response<Body>> {
        for _ in 0..MOST_RETRIES {
            let response = self.exchange(&call).await?;
            let Some(wait) = wait_before_retry(&response) else { return self.taken(response, &call).await };
            self.clock.sleep(wait).await;
        }
        let last = self.exchange(&call).await?;
        self.taken(last, &call).await
    }

    /// Sends a request once.
    async fn exchange(&self, call: &Call) -> Result<Response<Body>> {
        let request = self.request(call)?;
        let url = format!("{}{}", self.server.trim_end_matches('/'), call.target());
        self.log_body("Request Body", call.body.as_ref().map_or(&[], |(_, body)| body));
        self.log_request(call, &url, request.headers());
        let start = self.clock.tick();
        let response = self.client.send(request).await.map_err(|fault| self.broken(&chain(&fault)))?;
        self.log_response(call, &url, &response, self.clock.since(start));
        self.warn(response.headers());
        Ok(response)
    }

    /// The response, if the server did what was asked.
    async fn taken(&self, response: Response<Body>, call: &Call) -> Result<Response<Body>> {
        if response.status().is_success() || response.status().is_informational() {
            return Ok(response);
        }
        let code = response.status();
        let bytes = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        self.log_body("Response Body", &bytes);
        Err(Failure::Server(Box::new(refusal(code.as_u16(), &bytes, call))))
    }

    /// The HTTP request, with the headers that every request carries.
    fn request(&self, call: &Call) -> Result<Request<Body>> {
        let mut request = Request::builder().method(call.method.clone()).uri(call.target());
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
            headers.insert(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
            if let Ok(accept) = HeaderValue::from_str(&call.accept) {
                headers.insert(http::header::ACCEPT, accept);
            }
            if let Some(content_type) = call.body.as_ref().and_then(|(kind, _)| HeaderValue::from_str(kind).ok()) {
                headers.insert(http::header::CONTENT_TYPE, content_type);
            }
        }
        let body = call.body.as_ref().map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        request.body(Body::from(body)).map_err(|fault| Failure::new(fault.to_string()))
    }

    /// A request that asks to change the protocol: `exec`, `attach`, `port-forward`.
    ///
    /// # Errors
    /// When the path is none.
    pub fn upgrade(&self, call: &Call) -> Result<Request<Vec<u8>>> {
        let (parts, _) = self.request(call)?.into_parts();
        Ok(Request::from_parts(parts, Vec::new()))
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        if self.timeout.is_zero() {
            return answer.await;
        }
        let late = || {
            let words = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)";
            Failure::Unreachable(format!("Unable to connect to the server: {words}"))
        };
        self.clock.timeout(self.timeout, answer).await.map_err(|_| late())?
    }

    /// How long an answer may take, where there is a limit.
    pub fn timeout(&self) -> Option<Duration> {
        (!self.timeout.is_zero()).then_some(self.timeout)
    }

    /// A connection that broke, in kubectl's words.
    pub fn broken(&self, why: &str) -> Failure {
        let refused = why.to_ascii_lowercase().contains("connection refused");
        let host = self.server.split("://").last().unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        Failure::Unreachable(if refused {
            format!("The connection to the server {host} was refused - did you specify the right host or port?")
        } else {
            format!("Unable to connect to the server: {why}")
        })
    }

    fn warn(&self, headers: &HeaderMap) {
        for text in headers.get_all(http::header::WARNING).iter().filter_map(|value| value.to_str().ok()) {
            warning_texts(text).iter().for_each(|warning| self.warn_of(warning));
        }
    }

    /// Tells a warning, once.
    pub fn warn_of(&self, warning: &str) {
        if self.warned.lock().insert(warning.to_owned()) {
            self.console.err(format!("Warning: {warning}\n"));
        }
    }
}

/// The texts of a `Warning` header: `299 - "text"`, several behind commas.
/// How long the server asks to be left alone: with "too many requests" and its own faults, in whole seconds.
/// Source: client-go, rest/with_retry.go.
fn wait_before_retry(response: &Response<Body>) -> Option<Duration> {
    let status = response.status();
    let may = status == http::StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    let seconds = response.headers().get(http::header::RETRY_AFTER).filter(|_| may)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn warning_texts(header: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = header;
    while let Some(start) = rest.find('"') {
        let (mut text, mut escaped, mut end) = (String::new(), false, rest.len());
        for (at, letter) in rest[start + 1..].char_indices() {
            match letter {
                letter if escaped => {
                    text.push(letter);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    end = start + 1 + at + 1;
                    break;
                }
                letter => text.push(letter),
            }
        }
        texts.push(text);
        rest = &rest[end.min(rest.len())..];
    }
    texts
}

/// An error with all its causes in one line.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut words = fault.to_string();
    let mut cause = fault.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = inner.source();
    }
    words
}

/// The Status of a refusal; a text that is none becomes one, in client-go's words.
fn refusal(code: u16, bytes: &[u8], call: &Call) -> Value {
    if let Ok(status) = serde_json::from_slice::<Value>(bytes)
        && status.get("kind").and_then(Value::as_str) == Some("Status")
    {
        return status;
    }
    let text = String::from_utf8_lossy(bytes).trim().to_owned();
    let verb = call.method.as_str();
    let (reason, words) = match code {
        404 => ("NotFound", "the server could not find the requested resource".to_owned()),
        400 => ("BadRequest", "the server rejected our request for an unknown reason".to_owned()),
        401 => ("Unauthorized", "the server has asked for the client to provide credentials".to_owned()),
        403 if text.is_empty() => {
            ("Forbidden", "the server does not allow access to the requested resource".to_owned())
        }
        403 => ("Forbidden", text.clone()),
        405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned()),
        406 => ("NotAcceptable", text.clone()),
        409 => ("Conflict", "the server reported a conflict".to_owned()),
        410 => ("Gone", "the requested resource no longer exists".to_owned()),
        415 => ("UnsupportedMediaType", text.clone()),
        422 => ("Invalid", "the server rejected our request due to an error in our request".to_owned()),
        429 => ("TooManyRequests", text.clone()),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
        504 => ("Timeout", "the server was unable to return a response in the time allotted".to_owned()),
        500.. => (
            "InternalError",
            format!("an error on the server ({}) has prevented the request from succeeding", quote(&text)),
        ),
        _ => (
            "Unknown",
            format!("the server responded with the status code {code} but did not return more details ({verb})"),
        ),
    };
    let cause = if text.is_empty() { "unknown" } else { &text };
    json!({"metadata": {}, "status": "Failure", "message": words, "reason": reason,
        "details": {"causes": [{"reason": "UnexpectedServerResponse", "message": cause}]}, "code": code})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_left_alone_for_as_long_as_it_says() {
        let wait = |status: u16, after: Option<&str>| {
            let mut response = Response::builder().status(status);
            if let Some(after) = after {
                response = response.header("retry-after", after);
            }
            wait_before_retry(&response.body(Body::empty()).unwrap()).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(429, Some("3")), Some(3));
        assert_eq!(wait(503, Some("0")), Some(0));
        for (status, after) in [(429, None), (429, Some("soon")), (200, Some("3")), (404, Some("3"))] {
            assert_eq!(wait(status, after), None, "{status} {after:?}");
        }
    }

    #[test]
    fn warnings_are_unquoted() {
        let header = r#"299 - "unknown field \"spec.x\"", 299 - "second""#;
        assert_eq!(warning_texts(header), ["unknown field \"spec.x\"", "second"]);
    }

    #[test]
    fn queries_are_escaped_and_sorted() {
        let call = Call::get("/api/v1/pods").query("limit", 500).query("labelSelector", "a in (b)").query("watch", "");
        assert_eq!(call.target(), "/api/v1/pods?labelSelector=a+in+%28b%29&limit=500");
    }
}
