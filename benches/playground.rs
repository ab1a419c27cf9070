//! Measures a whole playground from outside, as a learner's kubectl meets it: start, memory, reads,
//! writes, lists. Prints a table for `benches/README.md`.
//!
//! `cargo bench --bench playground`. The machine is noisy: a bare `fdatasync` and a bare TLS round
//! trip are measured in the same run to compare with.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};
use tutor::clock::Clock;
use tutor::cluster::{self, Cluster, Runtime, StoreIn};
use tutor::tasks::TaskGroup;

struct Serve {
    child: Child,
    ready: Value,
    took: Duration,
}

impl Serve {
    fn start(state: &Path, more: &[&str]) -> Serve {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tutor"))
            .args([
                "serve",
                "--json",
                "--runtime",
                "simulated",
                "--listen",
                "127.0.0.1:0",
                "--api-listen",
                "127.0.0.1:0",
            ])
            .args(["--registry-listen", "127.0.0.1:0", "--ingress-listen", "127.0.0.1:0", "--state-dir"])
            .arg(state)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Serve { child, ready: serde_json::from_str(&line).unwrap(), took: begun.elapsed() }
    }

    /// Resident memory, in MiB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("VmRSS: 0 kB");
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Processor time so far.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<u64> =
            stat.rsplit_once(')').unwrap().1.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
        Duration::from_millis((fields[11] + fields[12]) * 10)
    }

    async fn client(&self) -> Client {
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

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99))
}

async fn send(client: &Client, method: &str, path: &str, accept: &str, body: Option<&Value>) -> Bytes {
    let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let content = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", accept)
        .header("content-type", content)
        .body(kube::client::Body::from(body))
        .unwrap();
    let response = client.send(request).await.unwrap();
    let (code, bytes) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
    assert!(code.is_success(), "{method} {path}: {code} {}", String::from_utf8_lossy(&bytes[..bytes.len().min(400)]));
    bytes
}

const JSON: &str = "application/json";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v".repeat(900)}})
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "load", "shard": name}},
        "spec": {"containers": [{"name": "main", "image": "tutor/web:1",
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}})
}

/// One that changes in a label each time, as in `shared/oracle/bench`: no rollout, so that the apply
/// alone is measured.
fn deployment(n: usize) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "applied", "labels": {"n": n.to_string()}},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [
                {"name": "main", "image": "tutor/web:1", "ports": [{"containerPort": 80}],
                 "env": [{"name": "A", "value": "1"}], "resources": {"requests": {"cpu": "10m"}}}]}}}})
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("| what | figure | budget |\n|---|---|---|");
    start();
    runtime.block_on(requests());
    runtime.block_on(descriptions());
    runtime.block_on(watchers());
    runtime.block_on(in_process());
    runtime.block_on(ten_thousand_pods());
    runtime.block_on(a_thousand_nodes());
}

fn start() {
    let mut empty = Vec::new();
    for _ in 0..7 {
        let state = tempfile::tempdir().unwrap();
        empty.push(Serve::start(state.path(), &[]).took);
    }
    row("exec → ready, empty state", spread(empty), "100 ms");
    let state = tempfile::tempdir().unwrap();
    let kept = (0..7).map(|_| Serve::start(state.path(), &[]).took).collect();
    row("exec → ready, kept state", spread(kept), "100 ms");
    let serve = Serve::start(state.path(), &[]);
    std::thread::sleep(Duration::from_secs(8));
    row("idle memory, 3 nodes", format!("{:.0} MiB", serve.memory()), "50 MB");
    let before = serve.cpu();
    std::thread::sleep(Duration::from_secs(10));
    row("idle processor time in 10 s", format!("{} ms", (serve.cpu() - before).as_millis()), "0");
}

fn fdatasync() -> Vec<Duration> {
    let mut file = tempfile::tempfile().unwrap();
    let page = [7u8; 4096];
    (0..200)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&page).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect()
}

async fn timed<F: Future>(times: usize, mut work: impl FnMut(usize) -> F) -> Vec<Duration> {
    let mut taken = Vec::with_capacity(times);
    for n in 0..times {
        let begun = Instant::now();
        work(n).await;
        taken.push(begun.elapsed());
    }
    taken
}

async fn requests() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &[]);
    let client = &serve.client().await;
    row("bare fdatasync of 4 KiB", spread(fdatasync()), "");
    row("GET /healthz over TLS", spread(timed(2000, |_| send(client, "GET", "/healthz", "*/*", None)).await), "");
    send(client, "POST", MAPS, JSON, Some(&map("one"))).await;
    let path = format!("{MAPS}/one");
    row(
        "GET a ConfigMap over TLS",
        spread(timed(2000, |_| send(client, "GET", &path, JSON, None)).await),
        "p50 0.15 ms",
    );
    let create =
        timed(1000, |n| async move { send(client, "POST", MAPS, JSON, Some(&map(&format!("c{n}")))).await }).await;
    row("durable create over TLS, one client", spread(create), "p50 0.4 ms");
    let path = "/apis/apps/v1/namespaces/default/deployments/applied?fieldManager=bench";
    let apply = timed(300, |n| async move { send(client, "PATCH", path, JSON, Some(&deployment(n))).await }).await;
    row("server-side apply of a Deployment", spread(apply), "p50 0.6 ms");
    let begun = Instant::now();
    let writers = (0..32).map(|writer| async move {
        let own = client.clone();
        for n in 0..300 {
            send(&own, "POST", MAPS, JSON, Some(&map(&format!("w{writer}-{n}")))).await;
        }
    });
    futures::future::join_all(writers).await;
    row("32 writers over TLS", format!("{:.0} /s", 9600.0 / begun.elapsed().as_secs_f64()), "10,000 /s");
}

/// What every client reads first: which kinds there are, and what they look like.
async fn descriptions() {
    const GROUPS: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &[]);
    let client = &serve.client().await;
    for (path, accept) in [
        ("/apis", GROUPS),
        ("/apis/apps/v1", JSON),
        ("/openapi/v3", JSON),
        ("/openapi/v3/apis/apps/v1", JSON),
        ("/openapi/v2", JSON),
    ] {
        let begun = Instant::now();
        let bytes = send(client, "GET", path, accept, None).await.len();
        let first = begun.elapsed().as_secs_f64() * 1e3;
        let times = timed(50, |_| send(client, "GET", path, accept, None)).await;
        let figure = format!("{}, the first {first:.1} ms", spread(times));
        row(&format!("GET {path}, {:.0} kB", bytes as f64 / 1e3), figure, "");
    }
    row("memory after that", format!("{:.0} MiB", serve.memory()), "");
}

/// From the moment a write is sent until the last of many watchers has its event. All watchers are
/// this one process, which shares the machine with the server.
async fn watchers() {
    for (count, budget) in [(100, "p50 1 ms"), (1000, "p99 20 ms")] {
        let state = tempfile::tempdir().unwrap();
        let serve = Serve::start(state.path(), &[]);
        let client = &serve.client().await;
        let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let list: Value = serde_json::from_slice(&send(client, "GET", MAPS, JSON, None).await).unwrap();
        let from = list["metadata"]["resourceVersion"].as_str().unwrap();
        for _ in 0..count {
            let path = format!("{MAPS}?watch=true&resourceVersion={from}");
            let request = Request::get(path).body(kube::client::Body::empty()).unwrap();
            let mut events = client.send(request).await.unwrap().into_body();
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Some(Ok(frame)) = events.frame().await {
                    let lines = frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
                    (0..lines).for_each(|_| _ = tell.send(()));
                }
            });
        }
        let mut times = Vec::new();
        for n in 0..100 {
            let begun = Instant::now();
            send(client, "POST", MAPS, JSON, Some(&map(&format!("seen-{n}")))).await;
            for _ in 0..count {
                heard.recv().await.unwrap();
            }
            times.push(begun.elapsed());
        }
        row(&format!("write → last of {count} watchers"), spread(times), budget);
    }
}

async fn in_process() {
    let state = tempfile::tempdir().unwrap();
    let tasks = TaskGroup::new();
    let options = cluster::Options {
        store: StoreIn::Folder(state.path().to_owned()),
        nodes: 0,
        runtime: Runtime::Simulated,
        controllers: vec!["all".into()],
        clock: Clock::real(),
    };
    let cluster = Cluster::start(options, &tasks).await.unwrap();
    let client = &cluster.client("bench");
    send(client, "POST", MAPS, JSON, Some(&map("one"))).await;
    let path = format!("{MAPS}/one");
    let get = timed(5000, |_| send(client, "GET", &path, JSON, None)).await;
    row("GET a ConfigMap in process", spread(get), "p50 0.020 ms");
    let begun = Instant::now();
    let made = futures::stream::iter(0..10_000).map(|n| async move {
        send(client, "POST", MAPS, JSON, Some(&map(&format!("w{n}")))).await;
    });
    made.buffer_unordered(32).collect::<Vec<()>>().await;
    row("32 writers in process", format!("{:.0} /s", 10_000.0 / begun.elapsed().as_secs_f64()), "20,000 /s");
    cluster.stop(Duration::from_secs(5)).await;
}

async fn ten_thousand_pods() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &["--nodes", "0", "--controllers", "all,-scheduler"]);
    let client = &serve.client().await;
    let pods = "/api/v1/namespaces/default/pods";
    let begun = Instant::now();
    let made = futures::stream::iter(0..10_000).map(|n| async move {
        send(client, "POST", pods, JSON, Some(&pod(&format!("p{n}")))).await;
    });
    made.buffer_unordered(32).collect::<Vec<()>>().await;
    row("create 10,000 Pods, 32 writers", format!("{:.1} s", begun.elapsed().as_secs_f64()), "");
    row("memory with 10,000 Pods", format!("{:.0} MiB", serve.memory()), "150 MB");
    let bytes = send(client, "GET", pods, JSON, None).await.len();
    let list = timed(10, |_| send(client, "GET", pods, JSON, None)).await;
    row(&format!("list 10,000 Pods, JSON, {:.1} MB", bytes as f64 / 1e6), spread(list), "60 ms");
    row("list 10,000 Pods, Table", spread(timed(10, |_| send(client, "GET", pods, TABLE, None)).await), "60 ms");
    let one = format!("{pods}?labelSelector=shard%3Dp77");
    row("list by a label that one has", spread(timed(20, |_| send(client, "GET", &one, JSON, None)).await), "");
}

/// A cluster of a thousand simulated nodes, and ten thousand Pods that all come to run.
async fn a_thousand_nodes() {
    let state = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let serve = Serve::start(state.path(), &["--nodes", "1000", "--runtime", "simulated"]);
    let client = &serve.client().await;
    // No answer while the server has no seat free: the nodes start all at once.
    let listed = |path: &'static str| async move {
        let request = Request::get(path).body(kube::client::Body::empty()).unwrap();
        let body = client.send(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&body).ok()?["items"].as_array().cloned()
    };
    let is_ready = |node: &Value| {
        let conditions = node["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    while listed("/api/v1/nodes").await.iter().flatten().filter(|node| is_ready(node)).count() < 1000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    row("1,000 nodes, exec → all Ready", format!("{:.1} s", begun.elapsed().as_secs_f64()), "");
    row("memory then", format!("{:.0} MiB", serve.memory()), "");
    let (begun, cpu) = (Instant::now(), serve.cpu());
    let pods = "/api/v1/namespaces/default/pods";
    let made = futures::stream::iter(0..10_000).map(|n| async move {
        send(client, "POST", pods, JSON, Some(&pod(&format!("p{n}")))).await;
    });
    made.buffer_unordered(32).collect::<Vec<()>>().await;
    row("10,000 Pods created", format!("{:.1} s", begun.elapsed().as_secs_f64()), "");
    const NOT_RUNNING: &str = "/api/v1/namespaces/default/pods?fieldSelector=status.phase!%3DRunning&limit=1";
    while listed(NOT_RUNNING).await.is_none_or(|pods| !pods.is_empty()) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(begun.elapsed() < Duration::from_secs(300), "the Pods do not come to run");
    }
    row("10,000 Pods Running, from the first create", format!("{:.1} s", begun.elapsed().as_secs_f64()), "10 s");
    row("processor time for that", format!("{:.1} s", (serve.cpu() - cpu).as_secs_f64()), "");
    row("memory then", format!("{:.0} MiB", serve.memory()), "300 MB");
}
