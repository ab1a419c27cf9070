//! The page over a real socket: who may ask, what comes back, and what the buttons do.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tutor::clock::Clock;
use tutor::cluster::{self, Cluster, Runtime, StoreIn};
use tutor::course::book::Book;
use tutor::course::progress::ProgressFile;
use tutor::state::{self, Lock, Playground, StateDir};
use tutor::tasks::TaskGroup;
use tutor::web;

/// The book, rendered once for all tests.
static RENDERED: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    Book::open(folder.path()).unwrap();
    folder
});

/// How long a playground may take to stop, on a busy machine.
const LONGEST_STOP: Duration = Duration::from_secs(120);

/// A playground with its page, on free ports.
pub struct Paged {
    pub cluster: Cluster,
    pub playground: Playground,
    folder: tempfile::TempDir,
    tasks: TaskGroup,
    _lock: Lock,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl Paged {
    pub async fn start() -> Paged {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(RENDERED.path().join("book"), folder.path().join("book")).unwrap();
        let (tasks, clock) = (TaskGroup::new(), Clock::real());
        let options = cluster::Options {
            store: StoreIn::Memory,
            nodes: 3,
            runtime: Runtime::Simulated,
            controllers: vec!["all".into()],
            clock,
        };
        let cluster = Cluster::start(options, &tasks).await.unwrap();
        let api = cluster.serve_api("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        cluster.write_kubeconfig(&kubeconfig, api).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let playground = Playground {
            book: format!("http://{}/", listener.local_addr().unwrap()),
            api: format!("https://{api}"),
            registry: String::new(),
            etcd: None,
            ingress: None,
            kubeconfig,
            token: web::new_token(),
            state_dir: folder.path().to_owned(),
            pid: std::process::id(),
            version: state::VERSION.into(),
            start_ms: 0,
        };
        let state = StateDir::resolve(Some(folder.path())).unwrap();
        let lock = state.lock().unwrap();
        state.publish(&playground).unwrap();
        web::serve(
            listener,
            &web::Site::new(
                cluster.clone(),
                &playground,
                clock,
                &tasks,
                tutor::cli::page::commands(state, &tasks, env!("CARGO_BIN_EXE_tutor").into()),
            ),
        );
        let http = Client::builder(TokioExecutor::new()).build_http();
        Paged { cluster, playground, folder, tasks, _lock: lock, http }
    }

    pub fn state(&self) -> &Path {
        self.folder.path()
    }

    /// A request with these headers and nothing else.
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let url = format!("{}{path}", self.playground.book.trim_end_matches('/'));
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let (parts, body) = self.http.request(request).await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    async fn page(&self, path: &str) -> Response<Bytes> {
        self.ask(Method::GET, path, &[], "").await
    }

    /// A call of the page's own API, with the token.
    async fn call(&self, method: Method, call: &str, body: &str) -> (StatusCode, Value) {
        let bearer = format!("Bearer {}", self.playground.token);
        let response = self.ask(method, &format!("/api/{call}"), &[("authorization", &bearer)], body).await;
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    /// A check's lines.
    async fn check(&self, name: &str) -> Vec<Value> {
        let bearer = format!("Bearer {}", self.playground.token);
        let path = format!("/api/exercises/{name}/check");
        let response = self.ask(Method::POST, &path, &[("authorization", &bearer)], "{}").await;
        assert_eq!(header(&response, "content-type"), "application/x-ndjson");
        let text = String::from_utf8_lossy(response.body()).into_owned();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Makes the first exercise's Pod, as a learner would.
    pub async fn run_hello(&self) {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client("learner"), "first-contact");
        let hello =
            json!({"metadata": {"name": "hello"}, "spec": {"containers": [{"name": "web", "image": "tutor/web:1"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(hello).unwrap()).await.unwrap();
    }

    pub async fn stop(self) {
        assert!(self.cluster.stop(LONGEST_STOP).await);
        self.tasks.cancel();
    }
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_gets_nothing() {
    let play = Paged::start().await;
    let port = play.playground.book.trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
    let cookie = format!("tutor-token-{port}={}", play.playground.token);
    for (headers, expected) in [
        (vec![], 403),
        (vec![("cookie", "tutor-token=guess")], 403),
        (vec![("cookie", cookie.as_str())], 200),
        (vec![("cookie", cookie.as_str()), ("origin", "http://evil.example")], 403),
        (vec![("cookie", cookie.as_str()), ("host", "evil.example")], 403),
        (vec![("cookie", cookie.as_str()), ("host", "127.0.0.1")], 403),
    ] {
        let response = play.ask(Method::GET, "/api/status", &headers, "").await;
        assert_eq!(response.status().as_u16(), expected, "{headers:?}");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert!(expected == 200 || body["what"].is_string(), "an error says what: {body}");
    }
    let rebound = play.ask(Method::GET, "/", &[("host", "evil.example")], "").await;
    assert_eq!(rebound.status(), 403);
    let long = "x".repeat(70_000);
    assert_eq!(play.ask(Method::POST, "/api/switches", &[("cookie", &cookie)], &long).await.status(), 400);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_come_with_their_type_a_tag_and_a_policy() {
    let play = Paged::start().await;
    let page = play.page("/start/first-contact.html").await;
    assert_eq!((page.status().as_u16(), header(&page, "content-type")), (200, "text/html; charset=utf-8"));
    let policy = header(&page, "content-security-policy");
    assert!(policy.contains("script-src 'self' 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let cookie = header(&page, "set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let tag = header(&page, "etag").to_owned();
    let again = play.ask(Method::GET, "/start/first-contact.html", &[("if-none-match", &tag)], "").await;
    assert_eq!((again.status().as_u16(), again.body().len(), header(&again, "etag")), (304, 0, tag.as_str()));
    let text = String::from_utf8_lossy(page.body()).into_owned();
    let named = |mark: &str| {
        let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("{mark} is not in {text}"));
        format!("/{}", rest.split('"').next().unwrap().trim_start_matches("../"))
    };
    let (module, sheet) = (named("<script type=\"module\" src=\""), named("<link rel=\"stylesheet\" href=\""));
    for (path, media, kept) in [
        ("/", "text/html; charset=utf-8", "no-cache"),
        // What names its contents is asked for once.
        (&*module, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        (&*sheet, "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
    ] {
        let response = play.page(path).await;
        assert_eq!((header(&response, "content-type"), header(&response, "cache-control")), (media, kept), "{path}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    }
    let missing = play.page("/start/nowhere.html").await;
    assert_eq!((missing.status().as_u16(), header(&missing, "content-type")), (404, "text/html; charset=utf-8"));
    assert_eq!(play.ask(Method::POST, "/", &[], "{}").await.status(), 405);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_out_of_the_book() {
    let play = Paged::start().await;
    std::fs::write(play.state().join("progress.json"), "{}").unwrap();
    for path in [
        "/../progress.json",
        "/../../progress.json",
        "/start/../../progress.json",
        "/%2e%2e/progress.json",
        "//etc/passwd",
        "/etc/passwd",
        "/..%2fkubeconfig",
        "/.%2e/kubeconfig",
        "/theme/../../../kubeconfig",
    ] {
        let response = play.page(path).await;
        assert_eq!(response.status(), 404, "{path}");
    }
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_buttons_do_what_the_commands_do() {
    let play = Paged::start().await;
    let (code, error) = play.call(Method::POST, "exercises/first-contakt/start", "").await;
    assert_eq!((code.as_u16(), error["hints"][0].as_str()), (404, Some("did you mean first-contact?")));
    let early = play.check("first-contact").await;
    assert_eq!(early[0]["step"]["name"], "the exercise is started");
    let (_, started) = play.call(Method::POST, "exercises/first-contact/start", "").await;
    assert_eq!(started, json!({"started": "fresh", "namespace": "first-contact"}));
    let kubeconfig = std::fs::read_to_string(&play.playground.kubeconfig).unwrap();
    assert!(kubeconfig.contains("first-contact"), "the current namespace");
    let (_, hint) = play.call(Method::POST, "exercises/first-contact/hint", "").await;
    assert!(hint["say"].as_str().is_some_and(|say| say.contains("kubectl run")), "{hint}");
    let (code, refused) = play.call(Method::POST, "exercises/first-contact/solution", "").await;
    assert_eq!((code.as_u16(), refused["what"].as_str()), (400, Some("first-contact has not passed yet")));
    let lines = play.check("first-contact").await;
    let failed = &lines[0]["step"];
    assert_eq!((failed["passed"].as_bool(), failed["found"].as_str()), (Some(false), Some("the namespace has no Pod")));
    for part in ["expected", "why", "hint"] {
        assert!(failed[part].as_str().is_some_and(|text| !text.is_empty()), "{part} is empty: {failed}");
    }
    assert_eq!(lines.last().unwrap()["report"]["passed"], false);
    play.run_hello().await;
    let lines = play.check("first-contact").await;
    assert_eq!(lines.last().unwrap()["report"]["passed"], true, "{lines:#?}");
    assert!(ProgressFile::new(play.state()).read().unwrap().of("first-contact").passed.is_some());
    let (_, course) = play.call(Method::GET, "exercises", "").await;
    assert_eq!(course["exercises"][0]["page"], "start/first-contact.html");
    assert!(course["exercises"][0]["passed"].is_string());
    let (_, progress) = play.call(Method::GET, "progress", "").await;
    assert_eq!((progress["passed"].as_u64(), progress["current"].as_str()), (Some(1), Some("first-contact")));
    let (_, solution) = play.call(Method::POST, "exercises/first-contact/solution", "").await;
    assert!(solution["files"][0]["text"].as_str().is_some_and(|text| text.contains("kind: Pod")), "{solution}");
    let (_, reset) = play.call(Method::POST, "exercises/first-contact/reset", "").await;
    assert_eq!(reset["started"], "fresh");
    assert_eq!(play.check("first-contact").await[0]["step"]["found"], "the namespace has no Pod");
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_strip_tells_of_each_change() {
    let play = Paged::start().await;
    play.call(Method::POST, "exercises/first-contact/start", "").await;
    let url = format!("{}api/cluster", play.playground.book);
    let request = Request::builder().uri(url).header("authorization", format!("Bearer {}", play.playground.token));
    let response = play.http.request(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut seen = String::new();
    let mut told = false;
    while !seen.contains(r#""name":"hello","state":"Running","ok":true"#)
        || !seen.contains(r#""component":"kube-scheduler""#)
    {
        let frame = Clock::real().timeout(Duration::from_secs(120), body.frame()).await;
        let frame = frame.unwrap_or_else(|_| panic!("nothing more is told; until now: {seen}"));
        let frame = frame.expect("the stream goes on").unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        if !told && seen.contains("node-3") {
            told = true;
            play.run_hello().await;
        }
    }
    assert!(seen.starts_with("data: {\"all\":true,\"put\":["), "{seen}");
    play.stop().await;
}
