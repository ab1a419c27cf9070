//! Requests that nobody would send: 20,000 of them in a usual run, a million with `TUTOR_LONG=1`.
//!
//! They go through the whole API in this process, without a socket. Whatever they say, the answer is
//! one that Kubernetes gives: never a panic, never a 500, and the memory that they took is given back.
//! Every run with the same `TUTOR_SEED` sends the same requests; `TUTOR_SHOW=N` shows them from the
//! Nth on.

mod bodies;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use serde_json::Value;
use tower::Service;
use tutor::api::resource;
use tutor::apiserver::auth::Peer;
use tutor::apiserver::{ApiServer, Config, Connection, KubeletDialer, MAX_IN_FLIGHT, MAX_WATCHES, SERVICE_CIDR, pki};
use tutor::clock::Clock;
use tutor::error::Error;
use tutor::etcd::Etcd;
use tutor::tasks::TaskGroup;

use requests::{Generator, Request};

/// Requests in a usual run.
const FEW: usize = 20_000;
/// Requests with `TUTOR_LONG`.
const MANY: usize = 1_000_000;
/// After so many requests what they made is deleted, and the history of it is left to be forgotten.
const ROUND: usize = 10_000;
/// Rounds in which memory may still grow: caches fill, the allocator takes what it keeps.
const WARM_ROUNDS: usize = 10;
/// What memory may differ by after that.
const SLACK_BYTES: usize = 96 << 20;
/// Frames of a stream that are read before it is left.
const FRAMES: usize = 4;
/// Longer than the store keeps history.
const FORGETTING: Duration = Duration::from_secs(2 * 3600);

/// Answers 500 that Kubernetes gives too: what their messages say (recorded in `tests/golden`).
const KNOWN_500: &[&str] = &[
    "resourceVersion should not be set on objects to be created",
    "resource version may not be set on objects to be created",
    "Internal error occurred: resource quota evaluation timed out",
    "resourceVersion: Invalid value: ",
    "failed to create typed patch object (",
    // What a Binding says of its target is handed on as nobody's error.
    "target.kind: Unsupported value: ",
    "target.name: Required value",
    "target.name: Invalid value: ",
    // A strategic merge patch that does not fit the list or has a directive that is none.
    "list element types are not identical",
    "does not contain declared merge key: ",
    "unknown patch type: ",
    // Server-side apply of a value that Go's type does not take.
    "failed to convert new object (",
];

/// A kubelet that says yes to everything.
struct Agreeing;

impl KubeletDialer for Agreeing {
    fn request(
        &self,
        _: &str,
        _: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BoxBody<Bytes, Error>>, Error>> {
        let body = Full::new(Bytes::from_static(b"yes\n")).map_err(|never| match never {}).boxed();
        Box::pin(std::future::ready(Ok(http::Response::new(body))))
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
        _: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, String>> {
        Box::pin(std::future::ready(Err("connect: connection refused".to_owned())))
    }
}

struct Target {
    api: Arc<ApiServer>,
    clock: Clock,
}

struct Answer {
    code: u16,
    body: Bytes,
}

impl Target {
    async fn start() -> Target {
        let (clock, tasks) = (Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap()), TaskGroup::new());
        let config = Config {
            store: Etcd::in_memory(clock, &tasks).unwrap(),
            clock,
            tasks,
            authority: Arc::new(pki::Authority::in_memory().unwrap()),
            kubelets: Arc::new(Agreeing),
            service_cidr: SERVICE_CIDR,
            admin_token: None,
            max_in_flight: MAX_IN_FLIGHT,
            max_watches: MAX_WATCHES,
        };
        Target { api: ApiServer::start(config).await.unwrap(), clock }
    }

    /// Sends it; `None` when no HTTP client could.
    async fn send(&self, request: &Request) -> Option<Answer> {
        let mut message = http::Request::builder().method(request.method.as_str()).uri(&request.uri);
        for (name, value) in &request.headers {
            message = message.header(*name, http::HeaderValue::from_bytes(value).ok()?);
        }
        let admin = Peer::InProcess { user: "admin".into(), groups: vec!["system:masters".into()] };
        message.extensions_mut()?.insert(admin);
        let message = message.body(Full::new(request.body.clone())).ok()?;
        let answer = warp::service(self.api.filter()).call(message).await.unwrap();
        let code = answer.status().as_u16();
        let mut stream = answer.into_body();
        let mut body = Vec::new();
        for _ in 0..FRAMES {
            // A watch may say nothing for an hour; what is ready now is enough.
            match self.clock.timeout(Duration::from_millis(1), stream.frame()).await {
                Ok(Some(Ok(frame))) => body.extend_from_slice(&frame.into_data().unwrap_or_default()),
                _ => break,
            }
        }
        Some(Answer { code, body: body.into() })
    }

    async fn ask(&self, method: &str, uri: String, body: &str) -> Value {
        let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let headers = vec![("content-type", media.as_bytes().to_vec())];
        let request = Request { method: method.into(), uri, headers, body: Bytes::copy_from_slice(body.as_bytes()) };
        let answer = self.send(&request).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// Deletes what the requests made, but for the kinds that a cluster begins with objects of.
    async fn tidy_up(&self) {
        let kept = ["rbac.authorization.k8s.io", "flowcontrol.apiserver.k8s.io", "apiregistration.k8s.io"];
        for resource in resource::builtin() {
            let own = ["namespaces", "priorityclasses", "servicecidrs"].contains(&&*resource.plural);
            if own || kept.contains(&&*resource.group) || !resource.allows("list") || !resource.allows("delete") {
                continue;
            }
            let root = requests::root(&resource.group, &resource.version);
            let list = self.ask("GET", format!("{root}/{}", resource.plural), "").await;
            for object in list["items"].as_array().into_iter().flatten() {
                let text = |field: &str| in_a_path(object["metadata"][field].as_str().unwrap_or_default());
                let place = match text("namespace").as_str() {
                    "" => format!("{root}/{}/{}", resource.plural, text("name")),
                    namespace => format!("{root}/namespaces/{namespace}/{}/{}", resource.plural, text("name")),
                };
                self.ask("PATCH", place.clone(), r#"{"metadata":{"finalizers":null}}"#).await;
                self.ask("DELETE", format!("{place}?gracePeriodSeconds=0"), "").await;
            }
        }
        self.clock.sleep(FORGETTING).await;
        let map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"forget"}}"#;
        for _ in 0..3 {
            self.ask("POST", "/api/v1/namespaces/default/configmaps".into(), map).await;
            self.ask("DELETE", "/api/v1/namespaces/default/configmaps/forget".into(), "").await;
            self.clock.sleep(FORGETTING).await;
        }
    }
}

/// A name as a URL has it: some kinds' names may hold any letter.
fn in_a_path(name: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(letter).collect()
}

/// What the process has in memory.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size()
}

/// Panics that nobody has asked about yet; told when the test itself ends by one.
struct Panics(Arc<Mutex<Vec<String>>>);

impl Panics {
    fn pop(&self) -> Option<String> {
        self.0.lock().pop()
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.lock().join("\n"));
        }
    }
}

/// Panics of this thread, by place. A test that fails in another thread is none of this one's business.
fn watch_for_panics() -> Panics {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (own, into, before) = (std::thread::current().id(), seen.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == own {
            into.lock().push(panic.to_string());
        } else {
            before(panic);
        }
    }));
    Panics(seen)
}

fn is_known(message: &str) -> bool {
    // In YAML and protobuf the message stands in the middle of the answer.
    KNOWN_500.iter().any(|known| message.contains(known))
}

/// Why this answer is none that Kubernetes gives, if so.
fn fault(answer: &Answer) -> Option<String> {
    if answer.code != 500 {
        return None;
    }
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message =
        status["message"].as_str().map_or_else(|| String::from_utf8_lossy(&answer.body).into(), str::to_owned);
    (!is_known(&message)).then_some(message)
}

#[tokio::test(start_paused = true)]
async fn no_request_makes_the_server_fail() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let total = if std::env::var_os("TUTOR_LONG").is_some() { MANY } else { FEW };
    // A stack that overflows takes the process with it: the last request shown is the one.
    let show_from = number("TUTOR_SHOW");
    let mut generator = Generator::new(number("TUTOR_SEED").unwrap_or(7));
    let target = Target::start().await;
    let panics = watch_for_panics();
    let (mut faults, mut codes) = (BTreeMap::new(), BTreeMap::<u16, usize>::new());
    let mut memory = Vec::new();
    for sent in 1..=total {
        let request = generator.request();
        if show_from.is_some_and(|first| sent as u64 >= first) {
            eprintln!("{sent}: {request}");
        }
        if let Some(answer) = target.send(&request).await {
            *codes.entry(answer.code).or_default() += 1;
            let panicked = panics.pop();
            if let Some(why) = panicked.or_else(|| fault(&answer)) {
                let short: String = why.chars().take(80).collect();
                faults.entry(short).or_insert_with(|| format!("{why}\n{request}"));
            }
        }
        if sent.is_multiple_of(ROUND) {
            target.tidy_up().await;
            memory.push(resident_bytes());
            if total == MANY {
                eprintln!("{sent} requests, {} MiB, answers {codes:?}", resident_bytes() >> 20);
            }
        }
    }
    let told: Vec<String> = faults.into_values().collect();
    // Panics are watched for, so that this one's words would not be shown.
    told.iter().for_each(|fault| eprintln!("{fault}\n"));
    assert!(told.is_empty(), "{} ways to make the server fail:\n\n{}", told.len(), told.join("\n\n"));
    for code in [200, 201, 400, 404, 405, 406, 409, 415, 422] {
        assert!(codes.contains_key(&code), "no request was answered by {code}: {codes:?}");
    }
    if let (Some(warm), Some(end)) = (memory.get(WARM_ROUNDS), memory.last()) {
        assert!(*end < warm + SLACK_BYTES, "memory grew from {} to {} MiB", warm >> 20, end >> 20);
    }
}
