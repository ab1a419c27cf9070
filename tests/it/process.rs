//! `tutor serve` as a process: its ready line, its ports, its lock, its end, and its sudden death.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// A `tutor serve --json` that is ready.
pub struct Serve {
    child: Child,
    ready: Value,
}

fn tutor(state: &Path) -> Command {
    let mut command = Command::new(crate::native::program());
    command.env("TUTOR_STATE_DIR", state).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn serve_command(state: &Path) -> Command {
    let mut command = tutor(state);
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]);
    command.args(["--registry-listen", "127.0.0.1:0", "--ingress-listen", "127.0.0.1:0", "--nodes", "2"]);
    command
}

/// What `tutor status` says of it.
pub fn status(state: &Path) -> String {
    String::from_utf8(tutor(state).arg("status").output().unwrap().stdout).unwrap()
}

impl Serve {
    /// With two nodes, on ports of its own.
    pub fn start(state: &Path) -> Serve {
        Self::with(state, &[])
    }

    /// With arguments besides.
    pub fn with(state: &Path, arguments: &[&str]) -> Serve {
        Self::with_env(state, arguments, &[])
    }

    /// And with variables.
    pub fn with_env(state: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Serve {
        let mut command = serve_command(state);
        if !arguments.contains(&"--runtime") {
            command.args(["--runtime", "simulated"]);
        }
        command.args(arguments).envs(env.iter().copied());
        Self::of(command)
    }

    /// Started by a shell, after it did something first.
    pub fn below(first: &str, state: &Path, arguments: &[&str]) -> Serve {
        let serve = serve_command(state);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{first} && exec \"$@\""), "sh"]).arg(serve.get_program()).args(serve.get_args());
        shell.args(arguments).envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self::of(shell)
    }

    fn of(mut command: Command) -> Serve {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("tutor serve was not ready: {line}{said}")
        });
        Serve { child, ready }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::INT);
        self.child.wait().unwrap()
    }

    /// Where its registry is.
    pub fn registry(&self) -> &str {
        self.ready["registry"].as_str().unwrap()
    }

    /// A client over TLS.
    pub async fn client(&self) -> Client {
        let kubeconfig = Path::new(self.ready["kubeconfig"].as_str().unwrap());
        tutor::client::from_kubeconfig(kubeconfig, None).await.unwrap()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Already ended where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command says that must not start. One that starts all the same is ended.
fn refused(command: &mut Command) -> String {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let (tell, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output().unwrap()));
    let Ok(done) = ended.recv_timeout(Duration::from_secs(150)) else {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        panic!("{command:?} started, and should have refused");
    };
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(done.stdout.is_empty());
    said
}

#[test]
fn the_ready_line_is_the_contract_and_is_published() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path());
    for key in ["book", "api", "registry", "kubeconfig", "token", "stateDir", "pid", "version", "startMs"] {
        assert!(!serve.ready[key].is_null(), "{key} is missing: {}", serve.ready);
    }
    assert!(serve.ready.get("etcd").is_some());
    assert_eq!(serve.ready["pid"], serve.child.id());
    let published: Value =
        serde_json::from_slice(&std::fs::read(state.path().join("playground.json")).unwrap()).unwrap();
    assert_eq!(published, serve.ready);
    let status = tutor(state.path()).arg("status").output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("2 nodes"), "{status:?}");
    assert!(serve.interrupt().success());
    assert!(!state.path().join("playground.json").exists());
}

#[test]
fn left_to_itself_it_makes_real_containers_where_the_kernel_lets_it_and_says_why() {
    let state = tempfile::tempdir().unwrap();
    let obstacles = tutor::cluster::native_obstacles();
    let serve = Serve::with(state.path(), &["--runtime", "auto"]);
    let said = status(state.path());
    match obstacles.is_empty() {
        true => assert!(said.contains("native runtime") && said.contains("make containers itself"), "{said}"),
        false => assert!(!said.contains("native runtime") && said.contains(obstacles[0].0), "{said}"),
    }
    assert!(serve.interrupt().success());
}

/// In a user namespace whose owner allows no further ones, as hardened machines do.
#[test]
fn where_the_kernel_refuses_and_no_docker_answers_it_simulates_and_says_why() {
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let walled = |command: &[&str]| {
        let mut walled = Command::new("unshare");
        walled.args(["--user", "--map-root-user", "sh", "-c", forbid, "sh"]).args(command);
        walled
    };
    if !walled(&["true"]).output().is_ok_and(|done| done.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "unshare cannot make a user namespace here");
        eprintln!("skipped: needs unshare and user namespaces");
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let mut command = walled(&[crate::native::program().to_str().unwrap()]);
    command.env("TUTOR_STATE_DIR", state.path()).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]);
    command.args(["--registry-listen", "127.0.0.1:0", "--ingress-listen", "127.0.0.1:0", "--nodes", "1"]);
    let serve = Serve::of(command);
    let said = status(state.path());
    assert!(said.contains("simulated runtime"), "{said}");
    for part in ["native containers cannot be made", "/nowhere/docker.sock", "tutor doctor"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert!(serve.interrupt().success());
}

#[test]
fn what_starts_is_measured_here_or_says_why_not_and_leaves_nothing() {
    let state = tempfile::tempdir().unwrap();
    let done = tutor(state.path()).args(["lab", "boot", "--json"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    let starts = said["starts"].as_array().unwrap();
    assert_eq!(starts.len(), 4, "{said}");
    assert!(starts.iter().all(|start| start["milliseconds"].as_f64().unwrap() > 0.0), "{said}");
    let [process, container, machine, linux] = &starts[..] else { unreachable!() };
    assert_eq!(process["here"], true, "{said}");
    assert_eq!(container["here"], tutor::cluster::native_obstacles().is_empty(), "{said}");
    for start in [container, machine] {
        assert_eq!(start["here"], start["obstacle"].is_null(), "{said}");
    }
    assert!(linux["here"] == false && linux["source"].as_str().unwrap().contains("NSDI"), "{said}");
    assert!(!state.path().join("lab").exists());
}

#[test]
fn a_node_s_cable_and_plug_are_pulled_and_put_back() {
    let state = tempfile::tempdir().unwrap();
    let _serve = Serve::start(state.path());
    let lab = |words: &[&str]| {
        let done = tutor(state.path()).arg("lab").args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    assert_eq!(lab(&["partition", "node-1"]), "node-1: power on, cable cut off\n");
    let said = refused(tutor(state.path()).args(["lab", "partition", "node-1"]));
    assert!(said.contains("node-1 is cut off already"), "{said}");
    assert_eq!(lab(&["heal", "node-1"]), "node-1: power on, cable joined\n");
    assert_eq!(lab(&["power-off", "node-2"]), "node-2: power off, cable joined\n");
    assert_eq!(lab(&["power-on", "node-2"]), "node-2: power on, cable joined\n");
    let said = refused(tutor(state.path()).args(["lab", "partition", "node-9"]));
    assert!(said.contains("node-9") && said.contains("kubectl get nodes"), "{said}");
}

#[test]
fn a_second_serve_on_the_same_state_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path());
    let said = refused(&mut serve_command(state.path()));
    assert!(said.contains("already running") && said.contains(&serve.child.id().to_string()), "{said}");
}

#[test]
fn a_taken_port_is_explained() {
    let state = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    let said = refused(tutor(state.path()).args(["serve", "--listen", free, "--api-listen", &address]).args([
        "--registry-listen",
        free,
        "--ingress-listen",
        free,
    ]));
    assert!(said.contains(&format!("port {} is taken", taken.local_addr().unwrap().port())), "{said}");
    assert!(said.contains("--api-listen"), "{said}");
}

#[test]
fn an_unreadable_state_folder_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = refused(&mut serve_command(&file));
    assert!(said.contains("state folder") && said.contains("--state-dir"), "{said}");
}

#[test]
fn a_corrupt_store_stops_the_start_and_is_left_alone() {
    let state = tempfile::tempdir().unwrap();
    assert!(Serve::start(state.path()).interrupt().success());
    let store = state.path().join("store");
    for file in std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path()) {
        let whole = std::fs::read(&file).unwrap();
        let damaged = b"this is no store, and long enough to look like one".repeat(400);
        std::fs::write(&file, &damaged).unwrap();
        let said = refused(&mut serve_command(state.path()));
        assert!(said.contains("mv "), "it says how to move the store aside: {said}");
        assert_eq!(std::fs::read(&file).unwrap(), damaged);
        std::fs::write(&file, &whole).unwrap();
    }
    assert!(Serve::start(state.path()).interrupt().success(), "mended by hand, it is whole again");
}

#[test]
fn no_playground_and_unknown_flags_are_wrong_usage() {
    let state = tempfile::tempdir().unwrap();
    let said = refused(tutor(state.path()).arg("status"));
    assert!(said.contains("no playground is running") && said.contains("tutor serve"), "{said}");
    let said = refused(tutor(state.path()).args(["serve", "--nods", "2"]));
    assert!(said.contains("--nodes"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_is_there_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path());
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    let made = maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();
    assert!(serve.interrupt().success());
    let serve = Serve::start(state.path());
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    assert_eq!(maps.get("kept").await.unwrap(), made);
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": "v"}})).unwrap()
}

/// Creates up to 125 ConfigMaps one after the other, telling the name and revision of each.
async fn write_until_it_fails(maps: Api<ConfigMap>, prefix: String, tell: UnboundedSender<(String, i64)>) {
    for n in 0..125 {
        let name = format!("{prefix}-{n}");
        let Ok(object) = maps.create(&PostParams::default(), &config_map(&name)).await else { return };
        tell.send((name, object.resource_version().unwrap().parse().unwrap())).unwrap();
    }
}

/// A watch from the last revision seen before the crash goes on from there, or is told 410.
async fn assert_resumes(maps: &Api<ConfigMap>, revision: i64) {
    let marker = maps.create(&PostParams::default(), &config_map(&format!("after-{revision}"))).await.unwrap();
    let from = WatchParams::default().timeout(120);
    let mut events = maps.watch(&from, &revision.to_string()).await.unwrap().boxed();
    while let Some(event) = events.try_next().await.unwrap() {
        match event {
            WatchEvent::Added(object) if object.name_any() == marker.name_any() => return,
            WatchEvent::Error(status) => return assert_eq!(status.code, 410, "{status:?}"),
            WatchEvent::Added(object) => {
                let seen: i64 = object.resource_version().unwrap().parse().unwrap();
                assert!(seen > revision, "{seen} was seen before {revision}");
            }
            _ => {}
        }
    }
    panic!("the watch from {revision} ended without the newest write");
}

/// A fifth of what `TUTOR_LONG=1` does, so that every run of the tests kills a server in full flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_kill_dash_nine() {
    let state = tempfile::tempdir().unwrap();
    let rounds = if std::env::var_os("TUTOR_LONG").is_some() { 10 } else { 2 };
    let mut acknowledged = Vec::new();
    let mut newest = 0;
    for round in 0..rounds {
        let mut serve = Serve::start(state.path());
        let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
        let list = maps.list(&ListParams::default()).await.unwrap();
        let revision: i64 = list.metadata.resource_version.as_deref().unwrap().parse().unwrap();
        assert!(revision >= newest, "the revision went back from {newest} to {revision}");
        let names: std::collections::BTreeSet<String> = list.items.iter().map(ResourceExt::name_any).collect();
        let lost: Vec<&String> = acknowledged.iter().filter(|name| !names.contains(*name)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        // Each acknowledged write is told to the killer, who strikes in the middle of the burst.
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        if newest > 0 {
            assert_resumes(&maps, newest).await;
        }
        let writers: Vec<_> = (0..8)
            .map(|writer| write_until_it_fails(maps.clone(), format!("m-{round}-{writer}"), tell.clone()))
            .collect();
        drop(tell);
        let kill = async {
            let mut made = Vec::new();
            while let Some(write) = told.recv().await {
                made.push(write);
                if made.len() == 250 {
                    serve.child.kill().unwrap();
                    serve.child.wait().unwrap();
                }
            }
            made
        };
        let (_, made) = tokio::join!(futures::future::join_all(writers), kill);
        for (name, revision) in made {
            newest = newest.max(revision);
            acknowledged.push(name);
        }
    }
    assert!(acknowledged.len() >= 250 * rounds);
}
