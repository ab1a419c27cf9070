//! One question in JSON to a webhook's server, whose address its `clientConfig` says.
//!
//! In: the address with its limit of time, and the question. Out: the answer's JSON, or why there is none, in
//! the words of Go's client: which of them depends on how far the exchange came. A server that asks for
//! patience (`Retry-After`) is asked again while there is time. Source: `k8s.io/client-go/rest`.

use std::future::Future;
use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::Value;

use super::tls::{self, Trust};
use super::{Objects, Place};
use crate::api::decode;
use crate::api::resource::parse_api_version;
use crate::apiserver::kinds::json::Json;
use crate::clock::{Clock, Elapsed, Tick};

/// The largest answer that is read. Kubernetes has no such limit; a list of converted objects has to fit.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How often a server that asks for patience is asked again.
const MOST_RETRIES: usize = 10;
/// How much of an answer that is no Status an error shows.
const MAX_SHOWN_BYTES: usize = 2048;

const LATE: &str = "context deadline exceeded";

/// Where a webhook's server is, whom to trust there, and how long it may take.
pub struct Address {
    /// As errors show it.
    url: String,
    /// Path and query.
    path: String,
    place: Place,
    trust: Trust,
    limit: Duration,
}

impl Address {
    /// From a `clientConfig`; the server is told of its limit.
    ///
    /// # Errors
    /// When its URL or CA bundle cannot be read.
    pub fn of(client: &Value, limit: Duration) -> Result<Address, String> {
        let trust = Trust::Bundle(STANDARD.decode(client.text("caBundle")).map_err(|error| error.to_string())?);
        let query = format!("timeout={}s", limit.as_secs());
        let service = client.at("service");
        if !service.is_null() {
            let port = service.int("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
            let path = format!("/{}?{query}", service.text("path").trim_start_matches('/'));
            let place = Place::service(service.text("namespace"), service.text("name"), port);
            return Ok(Address { url: format!("https://{}{path}", place.authority()), path, place, trust, limit });
        }
        let uri: http::Uri = client.text("url").parse().map_err(|_| format!("invalid URL {:?}", client.text("url")))?;
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']).to_string();
        let path = format!("{}?{query}", uri.path());
        let shown = uri.authority().map_or("", |authority| authority.as_str());
        let url = format!("https://{shown}{path}");
        let place = Place { host, port: uri.port_u16().unwrap_or(443), service: None };
        Ok(Address { url, path, place, trust, limit })
    }

    /// A failure of the request, as Go's client tells it.
    fn failed(&self, why: impl std::fmt::Display) -> String {
        format!("Post {:?}: {why}", self.url)
    }
}

/// Posts the question and gives back the answer's JSON.
///
/// # Errors
/// Why there is no answer.
pub async fn post(address: &Address, question: &Value, objects: &dyn Objects, clock: Clock) -> Result<Value, String> {
    let deadline = Deadline { clock, begun: clock.tick(), limit: address.limit };
    let question = Bytes::from(question.to_string());
    let mut retries = 0;
    loop {
        let answer = ask(address, question.clone(), objects, &deadline).await?;
        match answer.patience() {
            Some(wait) if retries < MOST_RETRIES => {
                retries += 1;
                deadline.within(clock.sleep(wait)).await.map_err(|_| address.failed(LATE))?;
            }
            _ => return answer.read(),
        }
    }
}

/// When the answer has to be there.
struct Deadline {
    clock: Clock,
    begun: Tick,
    limit: Duration,
}

impl Deadline {
    async fn within<F: Future>(&self, work: F) -> Result<F::Output, Elapsed> {
        let left = self.limit.saturating_sub(self.clock.since(self.begun));
        self.clock.timeout(left, work).await
    }
}

/// One exchange on a connection of its own.
async fn ask(address: &Address, question: Bytes, objects: &dyn Objects, deadline: &Deadline) -> Result<Answer, String> {
    let late = |_| address.failed(LATE);
    let connector = tls::connector(&address.trust, None).map_err(|why| address.failed(why))?;
    let opened = deadline.within(address.place.open(connector, objects)).await.map_err(late)?;
    let (mut sender, connection) = opened.map_err(|why| address.failed(why))?;
    let request = http::Request::post(&address.path)
        .header(header::HOST, address.place.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(question))
        .map_err(|error| address.failed(error))?;
    let exchange = async move {
        let sent = deadline.within(sender.send_request(request)).await.map_err(late)?;
        let (parts, body) = sent.map_err(|error| address.failed(unanswered(&error)))?.into_parts();
        let read = match deadline.within(Limited::new(body, MAX_ANSWER_BYTES).collect()).await {
            Ok(read) => read.map_err(|error| torn(&*error)),
            Err(Elapsed) => Err(LATE.to_string()),
        };
        let body = read.map_err(|why| {
            format!("unexpected error when reading response body. Please retry. Original error: {why}")
        })?;
        Ok::<_, String>(Answer { code: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes() })
    };
    match select(Box::pin(exchange), Box::pin(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), exchange)) => exchange.await,
    }
}

/// A connection that ended before there was an answer, in Go's words.
fn unanswered(error: &hyper::Error) -> String {
    if error.is_parse() {
        return "net/http: HTTP/1.x transport connection broken: malformed HTTP response".to_string();
    }
    match io_error(error) {
        Some(inner) if inner.kind() == io::ErrorKind::ConnectionReset => "read: connection reset by peer".to_string(),
        _ => "EOF".to_string(),
    }
}

/// An answer that did not come whole.
fn torn(error: &(dyn std::error::Error + 'static)) -> String {
    if error.is::<LengthLimitError>() {
        return format!("more than {} MiB", MAX_ANSWER_BYTES / 1024 / 1024);
    }
    match io_error(error) {
        Some(inner) if inner.kind() == io::ErrorKind::ConnectionReset => "read: connection reset by peer".to_string(),
        _ => "unexpected EOF".to_string(),
    }
}

/// What went wrong below.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// What came back.
struct Answer {
    code: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// How long to wait before the question is put again, where the server asks for that.
    fn patience(&self) -> Option<Duration> {
        let seconds = self.header(&header::RETRY_AFTER).parse().ok()?;
        (self.code == 429 || self.code >= 500).then(|| Duration::from_secs(seconds))
    }

    fn read(self) -> Result<Value, String> {
        if !(200..=206).contains(&self.code) {
            return Err(self.refusal());
        }
        if self.body.is_empty() {
            let media = Some(self.header(&header::CONTENT_TYPE)).filter(|media| !media.is_empty());
            let media = media.unwrap_or("application/json");
            return Err(format!("0-length response with status code: {} and content type: {media}", self.code));
        }
        decode::answer(&self.body)
    }

    /// Its own words if it sent a Status, and otherwise those for its code.
    fn refusal(&self) -> String {
        let status = decode::answer(&self.body).unwrap_or_default();
        let is_one = ["", "Status"].contains(&status.text("kind")) && ["", "v1"].contains(&status.text("apiVersion"));
        if is_one && status.text("status") == "Failure" {
            return status.text("message").to_string();
        }
        let media = self.header(&header::CONTENT_TYPE);
        let shown = &self.body[..self.body.len().min(MAX_SHOWN_BYTES)];
        match media.is_empty() || media.starts_with("text/") {
            true => words(self.code, String::from_utf8_lossy(shown).trim()),
            false => words(self.code, "unknown"),
        }
    }
}

/// What a code means; `told` is what the server said with it.
fn words(code: u16, told: &str) -> String {
    let fixed = match code {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        406 if ["", "unknown"].contains(&told) => {
            "the server was unable to respond with a content type that the client supports"
        }
        403 | 406 | 415 => told,
        409 => "the server reported a conflict",
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        }
        500.. => return format!("an error on the server ({told:?}) has prevented the request from succeeding"),
        _ => return format!("the server responded with the status code {code} but did not return more information"),
    };
    fixed.to_string()
}

/// Whether an answer is of this kind, in this version, or does not say of which it is.
///
/// # Errors
/// `converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion`
pub fn check_kind(answer: &Value, group: &str, version: &str, kind: &str) -> Result<(), String> {
    let or = |key: &str, other: String| Some(answer.text(key).to_string()).filter(|it| !it.is_empty()).unwrap_or(other);
    let (found, place) = (or("kind", kind.to_string()), or("apiVersion", format!("{group}/{version}")));
    let of = |version: &str| place == format!("{group}/{version}");
    if found == kind && of(version) {
        return Ok(());
    }
    let other = (found == kind && (of("v1") || of("v1beta1"))) || (found == "Status" && place == "v1");
    Err(match other {
        true => {
            let (_, from) = parse_api_version(&place);
            format!("converting ({from}.{found}) to ({version}.{kind}): unknown conversion")
        }
        false => decode::no_kind(&found, &place),
    })
}

/// What an answer says that it is, as Go writes it: `admission.k8s.io/v1, Kind=AdmissionReview`.
pub fn told_kind(answer: &Value) -> String {
    let (group, version) = parse_api_version(answer.text("apiVersion"));
    format!("{group}/{version}, Kind={}", answer.text("kind"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(code: u16, media: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, media.parse().unwrap());
        Answer { code, headers, body: Bytes::from(body.to_string()) }
    }

    #[test]
    fn an_error_is_told_in_its_own_words_or_in_those_of_its_code() {
        let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"busy"}"#;
        let table = [
            (500, "application/json", status, "busy"),
            (
                500,
                "application/json",
                "{}",
                "an error on the server (\"unknown\") has prevented the request from succeeding",
            ),
            (
                502,
                "text/plain; charset=utf-8",
                "no backend\n",
                "an error on the server (\"no backend\") has prevented the request from succeeding",
            ),
            (404, "text/plain", "404 page not found", "the server could not find the requested resource"),
            (403, "text/html", "not you", "not you"),
            (418, "text/html", "", "the server responded with the status code 418 but did not return more information"),
            (200, "application/json", "", "0-length response with status code: 200 and content type: application/json"),
        ];
        for (code, media, body, words) in table {
            assert_eq!(answer(code, media, body).read().unwrap_err(), words);
        }
        assert_eq!(
            answer(201, "text/html", "a: 1").read().unwrap(),
            json!({"a": 1}),
            "YAML is read, whatever it is called"
        );
    }

    #[test]
    fn only_a_busy_server_is_asked_again() {
        let mut answer = answer(503, "text/plain", "");
        assert_eq!(answer.patience(), None);
        answer.headers.insert(header::RETRY_AFTER, "2".parse().unwrap());
        assert_eq!(answer.patience(), Some(Duration::from_secs(2)));
        answer.code = 404;
        assert_eq!(answer.patience(), None);
    }

    #[test]
    fn an_answer_is_of_the_kind_that_was_asked_for() {
        let check = |answer: Value| check_kind(&answer, "admission.k8s.io", "v1", "AdmissionReview");
        assert_eq!(check(json!({})), Ok(()));
        assert_eq!(check(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"})), Ok(()));
        let table = [
            ("admission.k8s.io/v1beta1", "AdmissionReview", "converting (v1beta1.AdmissionReview)"),
            ("v1", "Status", "converting (v1.Status) to (v1.AdmissionReview): unknown conversion"),
            ("v1", "Pod", "no kind \"Pod\" is registered for version \"v1\""),
        ];
        for (version, kind, words) in table {
            let why = check(json!({"apiVersion": version, "kind": kind})).unwrap_err();
            assert!(why.starts_with(words), "{why}");
        }
        assert_eq!(told_kind(&json!({})), "/, Kind=");
    }
}
