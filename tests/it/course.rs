//! The course from a learner's shell: start, fail, be told why, hint, do it, pass.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use http::Request;
use serde_json::{Value, json};

/// A `tutor serve` on free ports and a folder of its own, and a learner beside it.
struct Learner {
    folder: tempfile::TempDir,
    serve: Child,
}

/// What a command answered.
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Learner {
    fn new() -> Learner {
        let folder = tempfile::tempdir().unwrap();
        let mut serve = tutor(folder.path())
            .args(["serve", "--json", "--runtime", "simulated", "--listen", "127.0.0.1:0"])
            .args([
                "--api-listen",
                "127.0.0.1:0",
                "--registry-listen",
                "127.0.0.1:0",
                "--ingress-listen",
                "127.0.0.1:0",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(serve.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with('{'), "tutor serve was not ready: {line}");
        Learner { folder, serve }
    }

    fn types(&self, line: &str) -> Answer {
        run(tutor(self.folder.path()).args(line.split_whitespace()).current_dir(self.folder.path()))
    }

    async fn sends(&self, method: &str, content_type: &str, path: &str, body: &Value) {
        let client = tutor::client::from_kubeconfig(&self.folder.path().join("state/kubeconfig"), None).await.unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .header("user-agent", "curl/8")
            .body(body.to_string().into_bytes())
            .unwrap();
        client.request_text(request).await.unwrap();
    }
}

impl Drop for Learner {
    fn drop(&mut self) {
        // Already ended where something went wrong before.
        let _ = self.serve.kill();
        let _ = self.serve.wait();
    }
}

fn tutor(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tutor"));
    command.env("TUTOR_STATE_DIR", folder.join("state")).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Answer {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_fails_is_told_why_and_passes() {
    let learner = Learner::new();
    let started = learner.types("start raw-api");
    assert_eq!(started.code, 0, "{}", started.err);
    assert!(started.out.contains("Make this true"), "{}", started.out);

    let failed = learner.types("check");
    assert_eq!(failed.code, 1, "{}", failed.err);
    for part in ["✗ the ConfigMap is there", "expected", "found", "why", "tutor hint raw-api"] {
        assert!(failed.out.contains(part), "{part} is missing: {}", failed.out);
    }
    let report: Value = serde_json::from_str(&learner.types("check --json").out).unwrap();
    assert_eq!((&report["exercise"], &report["passed"]), (&json!("raw-api"), &json!(false)));
    assert!(learner.types("hint").out.contains("POST"));
    let kept = learner.types("solution raw-api");
    assert!(kept.code == 2 && kept.err.contains("--spoil"), "{}", kept.err);

    let maps = "/api/v1/namespaces/raw-api/configmaps";
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-hand"},
        "data": {"greeting": "hello", "language": "en"}});
    learner.sends("POST", "application/json", maps, &object).await;
    let change = json!({"data": {"greeting": "goodbye"}});
    learner.sends("PATCH", "application/merge-patch+json", &format!("{maps}/by-hand"), &change).await;

    let passed = learner.types("check");
    assert_eq!(passed.code, 0, "{}", passed.out);
    assert!(learner.types("list").out.contains("✓ raw-api"));
    assert_eq!(learner.types("solution").code, 0);
    assert_eq!(learner.types("reset raw-api").code, 0);
    assert_eq!(learner.types("check").code, 1, "a reset gives a fresh start");
    assert!(learner.types("list").out.contains("✓ raw-api"), "and what passed stays passed");
    assert_eq!(learner.types("reset --all").code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_exercise_finds_every_loop_running() {
    let learner = Learner::new();
    let scheduler = || {
        let all = learner.types("controllers").out;
        all.lines().find(|line| line.starts_with("scheduler ")).unwrap_or(&all).to_owned()
    };
    assert_eq!(learner.types("start bind-by-hand").code, 0);
    assert!(scheduler().ends_with("paused"), "{}", scheduler());
    assert_eq!(learner.types("start raw-api").code, 0);
    assert!(scheduler().ends_with("on"), "{}", scheduler());
    assert_eq!(learner.types("start bind-by-hand").code, 0);
    assert!(scheduler().ends_with("paused"), "{}", scheduler());
    let one = learner.types("controllers resume scheduler");
    assert_eq!(one.out.lines().count(), 1, "{}", one.out);
}

#[test]
fn who_reads_no_further_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut list = tutor(folder.path()).arg("list").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(list.stdout.take());
    let ended = list.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn wrong_use_is_answered_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let none = run(tutor(folder.path()).args(["start", "raw-api"]));
    assert!(none.code == 2 && none.err.contains("tutor serve"), "{}", none.err);
    let unknown = run(tutor(folder.path()).args(["start", "bind-by-hnd"]));
    assert!(unknown.code == 2 && unknown.err.contains("did you mean bind-by-hand"), "{}", unknown.err);
    let nothing = run(tutor(folder.path()).args(["check"]).current_dir(folder.path()));
    assert!(nothing.code == 2 && nothing.err.contains("tutor start first-contact"), "{}", nothing.err);
}

#[test]
fn an_exercise_that_needs_real_containers_says_so_where_there_are_none() {
    let learner = Learner::new();
    let refused = learner.types("start build-an-image");
    assert_eq!(refused.code, 2, "{}", refused.out);
    for part in ["needs native containers", "runs simulated ones", "tutor serve --runtime native", "tutor doctor"] {
        assert!(refused.err.contains(part), "{part} is missing: {}", refused.err);
    }
    let following = learner.types("start");
    assert!(following.out.starts_with("# ") && following.code == 0, "{}", following.err);
    assert!(learner.types("list").out.contains("native"));
}

#[test]
fn init_writes_the_starting_files_once() {
    let folder = tempfile::tempdir().unwrap();
    let init = || run(tutor(folder.path()).args(["init", "work"]).current_dir(folder.path()));
    assert_eq!(init().code, 0);
    let file = folder.path().join("work/start/first-contact/hello.yaml");
    std::fs::write(&file, "mine").unwrap();
    assert!(init().out.contains("are as they were"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "mine");
}

#[test]
fn malformed_yaml_is_told_with_its_place() {
    let learner = Learner::new();
    assert_eq!(learner.types("start first-contact").code, 0);
    std::fs::write(learner.folder.path().join("bad.yaml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: hello\n")
        .unwrap();
    let refused = learner.types("check first-contact --file bad.yaml");
    assert!(refused.code == 2 && refused.err.contains("bad.yaml") && refused.err.contains("line"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_leads_from_the_command_to_the_running_pod_and_shows_what_each_write_changed() {
    let learner = Learner::new();
    learner.types("start order-the-trace");
    let order = ["kubectl creates", "deployment-controller creates", "replicaset-controller creates", "kube-scheduler"];
    // The loops may still be at it.
    let begun = Instant::now();
    let traced = loop {
        let traced = learner.types("trace deployment/relay -n order-the-trace");
        assert_eq!(traced.code, 0, "{}", traced.err);
        if order.iter().all(|part| traced.out.contains(part)) {
            break traced;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it never is whole: {}", traced.out);
    };
    let places: Vec<_> = order.iter().map(|part| traced.out.find(part).expect(part)).collect();
    assert!(places.is_sorted(), "{}", traced.out);
    let binding = traced.out.lines().find(|line| line.contains("kube-scheduler")).unwrap();
    let revision = binding.split_whitespace().next().unwrap();
    let change = learner.types(&format!("trace deployment/relay -n order-the-trace --at {revision}"));
    assert!(change.out.contains("+ spec.nodeName: \"node-"), "{}{}", change.out, change.err);
    let unknown = learner.types("trace deployment/nobody");
    assert!(unknown.code == 2 && unknown.err.contains("nobody wrote deployments/nobody"), "{}", unknown.err);
    assert_eq!(learner.types("trace nonsense").code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_keys_are_read_as_they_lie_there() {
    let learner = Learner::new();
    let keys = learner.types("etcd get --prefix --keys-only /registry/minions/");
    assert_eq!(
        keys.out, "/registry/minions/node-1\n/registry/minions/node-2\n/registry/minions/node-3\n",
        "{}",
        keys.err
    );
    let one = learner.types("etcd get /registry/namespaces/default");
    assert!(one.out.contains("created at revision") && one.out.contains("\"name\":\"default\""), "{}", one.out);
    let none = learner.types("etcd get /registry/namespaces");
    assert!(none.code == 2 && none.err.contains("did you mean --prefix?"), "{}", none.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_pulls_the_plug_is_told_to_the_end_in_the_shell_and_on_the_page() {
    let learner = Learner::new();
    assert_eq!(learner.types("start survive-the-crash").code, 0);
    let here = "/api/v1/namespaces/survive-the-crash";
    let answer = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "answer"},
        "data": {"word": "heron", "pod": "same", "restarts": "1", "revisions": "go on"}});
    let worker = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker", "labels": {"app": "worker"}},
        "spec": {"containers": [{"name": "web", "image": "tutor/web:1"}]}});
    learner.sends("POST", "application/json", &format!("{here}/configmaps"), &answer).await;
    learner.sends("POST", "application/json", &format!("{here}/pods"), &worker).await;
    let in_the_shell = learner.types("check");
    assert_eq!(in_the_shell.code, 0, "{}{}", in_the_shell.out, in_the_shell.err);

    let state = tutor::state::StateDir::resolve(Some(&learner.folder.path().join("state"))).unwrap();
    let playground = state.playground().unwrap();
    let page = tutor::client::page::Page::of(&playground);
    let life = page.get("/api/status").await.unwrap()["life"].clone();
    let begun = page.post("/api/exercises/survive-the-crash/check", &json!({})).await.unwrap();
    assert_eq!(begun, json!({"outside": "survive-the-crash"}));
    let mut lines: Vec<Value> = Vec::new();
    while !lines.iter().any(|line| line["report"].is_object() || line["error"].is_object()) {
        // Between two lives nobody answers; the same token opens both.
        let path = format!("/api/exercises/survive-the-crash/lines?from={}", lines.len());
        let Ok(said) = page.get(&path).await else { continue };
        lines.extend(said["lines"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(lines.last().unwrap()["report"]["passed"], true, "{lines:#?}");
    assert_ne!(page.get("/api/status").await.unwrap()["life"], life, "it was another process, in the same place");
    assert_eq!(state.playground().unwrap().book, playground.book);
}
