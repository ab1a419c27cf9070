//! Measures what a reader of the page feels: the first page, its weight, a key's way to the screen, a change's
//! way to the map of a thousand Pods, and how long frames take meanwhile. Prints a table for
//! `benches/README.md`.
//!
//! `cargo bench --bench page`. Needs Debian's `chromium-driver` (`.ci/install`); without it, what can be
//! measured without a browser is. The server is `tutor serve` as a learner starts it; the browser shares the
//! machine with it, and frames are those of a headless chromium, which draws in software.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

#[path = "../tests/it/webdriver.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests need more of it")]
mod webdriver;

use webdriver::Browser;

const PODS: usize = 1_000;
/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

struct Serve {
    child: Child,
    ready: Value,
    _state: tempfile::TempDir,
}

impl Serve {
    fn start() -> Serve {
        let state = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tutor"))
            .args(["serve", "--json", "--runtime", "simulated", "--listen", "127.0.0.1:0"])
            .args(["--api-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0"])
            .args(["--ingress-listen", "127.0.0.1:0", "--state-dir"])
            .arg(state.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Serve { child, ready: serde_json::from_str(&line).unwrap(), _state: state }
    }

    fn book(&self) -> &str {
        self.ready["book"].as_str().unwrap()
    }

    fn host(&self) -> &str {
        self.book().trim_start_matches("http://").trim_end_matches('/')
    }

    async fn client(&self) -> kube::Client {
        tutor::client::from_kubeconfig(Path::new(self.ready["kubeconfig"].as_str().unwrap()), None).await.unwrap()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn row(what: &str, figure: String, budget: &str) {
    println!("| {what} | {figure} | {budget} |");
    std::io::stdout().flush().unwrap();
}

/// Milliseconds, as p50, p95 and the worst.
fn spread(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:.1} ms, p95 {:.1} ms, worst {:.1} ms", at(0.5), at(0.95), at(1.0))
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("| what | figure | budget |\n|---|---|---|");
    let serve = Serve::start();
    first_page(&serve);
    runtime.block_on(key_to_container(&serve));
    let Some(browser) = Browser::start() else { return };
    page_in_a_browser(&serve, &browser);
    key_to_letter(&serve, &browser);
    runtime.block_on(change_to_map(&serve, &browser));
}

/// The book's first page over a socket, from a server that has served it once.
fn first_page(serve: &Serve) {
    let ask = || {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(serve.host()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", serve.host()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        (begun.elapsed().as_secs_f64() * 1e3, answer.len())
    };
    let (first, bytes) = ask();
    let times = (0..50).map(|_| ask().0).collect();
    let figure = format!("{}, the first after the start {first:.0} ms", spread(times));
    row(&format!("first page of the book, {} kB, over a socket", bytes / 1000), figure, "100 ms");
}

/// How often each page is opened.
const OPENED: usize = 15;

/// A page with nothing on it, on a server with nothing else to do: what the browser itself needs.
fn empty_page() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut asked = [0; 4096];
                while stream.read(&mut asked).is_ok_and(|count| count > 0) {
                    let page = "<!DOCTYPE html><html lang=\"en\"><title>empty</title><p>empty</p></html>";
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", page.len());
                    // A browser that has gone needs no answer.
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page.as_bytes()));
                }
            });
        }
    });
    format!("http://{address}/")
}

/// From the start of a navigation until something is drawn, in a browser that runs already: an empty page as the
/// floor, the first page with an empty cache, and the next page. They take turns, so that what else the machine
/// does falls on all of them.
fn page_in_a_browser(serve: &Serve, browser: &Browser) {
    const COST: &str = "const [, done] = arguments; const parts = performance.getEntriesByType('resource');
        const page = performance.getEntriesByType('navigation')[0];
        (function look() {
            const drawn = performance.getEntriesByName('first-contentful-paint')[0];
            if (!drawn) return setTimeout(look, 20);
            done({ bytes: [page, ...parts].reduce((sum, part) => sum + part.encodedBodySize, 0), parts: parts.length + 1,
                answered: page.responseEnd, drawn: drawn.startTime, editor: parts.some((part) => part.name.includes('editor.js')) });
        })()";
    let empty = empty_page();
    let next = format!("{}control-plane/etcd.html", serve.book());
    let mut drawn: [Vec<f64>; 3] = Default::default();
    for turn in 0..=OPENED {
        for (at, url) in [&*empty, serve.book(), &*next].into_iter().enumerate() {
            if at == 1 {
                browser.devtools("Network.clearBrowserCache", &json!({}));
            }
            browser.open(url);
            if at > 0 {
                browser.wait("#mdbook-sidebar .tutor-progress");
            }
            let cost = browser.script_async(COST, "");
            assert_eq!(cost["editor"], false, "the editor comes when it is opened");
            // The first turn starts what a browser starts once.
            if turn > 0 {
                drawn[at].push(cost["drawn"].as_f64().unwrap());
            }
            if turn == OPENED && at > 0 {
                let weight = format!("{:.0} kB in {} parts", cost["bytes"].as_f64().unwrap() / 1000.0, cost["parts"]);
                let what = if at == 1 { "first" } else { "next" };
                row(&format!("weight of the {what} page, without the editor"), weight, "400 kB");
            }
        }
    }
    let whats = ["an empty page, drawn in this chromium", "first page, nothing cached, drawn", "next page, drawn"];
    for (what, times) in whats.into_iter().zip(drawn) {
        row(what, spread(times), if what.starts_with("first") { "100 ms" } else { "" });
    }
}

const INPUT: &str = "#tutor-terminal .panel:not([hidden]) textarea";

/// From a key to the frame that shows its letter, in the terminal's line; and from Enter to an answer.
fn key_to_letter(serve: &Serve, browser: &Browser) {
    browser.open(&format!("{}control-plane/etcd.html", serve.book()));
    browser.wait("#tutor-terminal .toggle");
    browser.script("document.querySelector('#tutor-terminal .toggle').click()", "");
    browser.wait("#tutor-terminal .line[data-ready=true]");
    const KEY: &str = "const [selector, done] = arguments; const input = document.querySelector(selector), times = [];
        input.focus();
        (function type() {
            const begun = performance.now();
            document.execCommand('insertText', false, 'x');
            input.getBoundingClientRect();
            times.push(performance.now() - begun);
            if (times.length < 100) requestAnimationFrame(type); else { input.value = ''; done(times); }
        })()";
    let times: Vec<f64> = serde_json::from_value(browser.script_async(KEY, INPUT)).unwrap();
    row("key → letter laid out, in the terminal's line", spread(times), "10 ms");
    const ANSWER: &str = "const [selector, done] = arguments; const input = document.querySelector(selector), times = [];
        const output = document.querySelector('#tutor-terminal .panel:not([hidden]) .output');
        (function ask() {
            if (!document.querySelector('#tutor-terminal .line[data-ready=true]:not(.running)')) return setTimeout(ask, 5);
            const word = `quick-${times.length}`; input.value = `echo ${word}`;
            const begun = performance.now();
            const observer = new MutationObserver(() => {
                if (!output.textContent.includes(`\\n${word}\\n`)) return;
                observer.disconnect(); times.push(performance.now() - begun);
                if (times.length < 30) ask(); else done(times);
            });
            observer.observe(output, { childList: true, subtree: true, characterData: true });
            input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }));
        })()";
    let times: Vec<f64> = serde_json::from_value(browser.script_async(ANSWER, INPUT)).unwrap();
    row("Enter → answer of echo in the page", spread(times), "");
}

/// A page's side of one terminal, without the page.
struct Tab(WebSocketStream<tokio::net::TcpStream>);

impl Tab {
    async fn open(serve: &Serve) -> Tab {
        let url = format!("ws://{}/api/terminal?tab=bench", serve.host());
        let mut request = url.into_client_request().unwrap();
        let token = format!("Bearer {}", serve.ready["token"].as_str().unwrap());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        let stream = tokio::net::TcpStream::connect(serve.host()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut tab = Tab(tokio_tungstenite::client_async(request, stream).await.unwrap().0);
        tab.until("ready").await;
        tab
    }

    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Reads up to a message with this field, and says of each that it is drawn.
    async fn until(&mut self, field: &str) -> Value {
        loop {
            let came = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("the terminal says nothing");
            let Message::Text(text) = came.unwrap().unwrap() else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            if let Some(number) = message["n"].as_u64() {
                self.send(json!({"seen": number})).await;
            }
            if message.get(field).is_some_and(|value| !value.is_null()) {
                return message;
            }
        }
    }

    async fn until_screen_has(&mut self, words: &str) {
        while !self.until("screen").await["screen"]["rows"].to_string().contains(words) {}
    }
}

/// From a key to the screen that shows it, in a program inside a container: page, terminal, API server, kubelet,
/// shell, and back.
async fn key_to_container(serve: &Serve) {
    let mut tab = Tab::open(serve).await;
    tab.send(json!({"size": [80, 24]})).await;
    let made = "kubectl run box --image=tutor/shell:1 -- sleep 3600; kubectl wait --for=condition=Ready pod/box";
    tab.send(json!({"run": made})).await;
    tab.until("running").await;
    tab.until("ready").await;
    tab.send(json!({"run": "kubectl exec -it box -- sh"})).await;
    tab.until_screen_has("/ #").await;
    let (mut times, mut line) = (Vec::new(), String::from("/ # "));
    for at in 0..60 {
        let key = char::from(b'a' + at % 26);
        line.push(key);
        let begun = Instant::now();
        tab.send(json!({"keys": key.to_string()})).await;
        tab.until_screen_has(&line).await;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    row("key → echo of a shell in a container, over the page's WebSocket", spread(times), "10 ms");
}

fn pod(name: &str, node: &str) -> Pod {
    let object = json!({"metadata": {"name": name}, "spec": {"nodeName": node,
        "containers": [{"name": "web", "image": "tutor/web:1"}]}});
    serde_json::from_value(object).unwrap()
}

/// From the moment a Pod's creation is sent until the map has it, and how long frames take while 400 Pods change.
async fn change_to_map(serve: &Serve, browser: &Browser) {
    let pods: Api<Pod> = Api::namespaced(serve.client().await, "default");
    let made = futures::stream::iter(0..PODS).map(|at| {
        let (pods, made) = (pods.clone(), pod(&format!("p{at}"), &format!("elsewhere-{}", at % 5)));
        // On a node of no kubelet, so that the map has work and the simulation has none.
        async move { pods.create(&PostParams::default(), &made).await.unwrap() }
    });
    made.buffer_unordered(16).collect::<Vec<_>>().await;
    browser.open(serve.book());
    browser.wait(".tutor-cluster");
    browser.script("document.querySelector('.tutor-cluster').open = true", "");
    browser.wait(&format!(".tutor-cluster [data-id='Pod/default/p{}']", PODS - 1));
    let mut delays = Vec::new();
    for at in 0..40 {
        let name = format!("new{at}");
        const WATCH: &str =
            "window.seen = new Promise((done) => { const id = arguments[0]; new MutationObserver((_, observer) => {
            if (!document.querySelector(`[data-id='Pod/default/${id}']`)) return;
            observer.disconnect(); done(performance.timeOrigin + performance.now());
        }).observe(document.querySelector('.tutor-cluster'), { childList: true, subtree: true }) })";
        browser.script(WATCH, &name);
        let sent = now_ms();
        pods.create(&PostParams::default(), &pod(&name, "elsewhere-0")).await.unwrap();
        delays.push(browser.script_async("window.seen.then(arguments[1])", "").as_f64().unwrap() - sent);
    }
    row(&format!("Pod created → on the map of {PODS} Pods"), spread(delays), "50 ms");
    const FRAMES: &str = "window.frames_ = []; let last; requestAnimationFrame(function frame(now) {
        if (last !== undefined) window.frames_.push(now - last); last = now; requestAnimationFrame(frame); })";
    browser.script(FRAMES, "");
    let begun = Instant::now();
    for at in 0..400 {
        let phase = if at % 2 == 0 { "Running" } else { "Pending" };
        let change = json!({"metadata": {"labels": {"turn": at.to_string()}}, "status": {"phase": phase}});
        let name = format!("p{}", at * 7 % PODS);
        pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    }
    let rate = 400.0 / begun.elapsed().as_secs_f64();
    let frames: Vec<f64> = serde_json::from_value(browser.script("return window.frames_", "")).unwrap();
    let figure = format!("{} ({} frames)", spread(frames.clone()), frames.len());
    row(&format!("frames while Pods change, {rate:.0} a second"), figure, "p95 16.7 ms");
}
