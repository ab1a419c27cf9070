//! The docker runtime: its conformance, what Pods share and are limited to, whose containers are whose, and a
//! whole cluster on it.
//!
//! They start a dockerd of their own, in a network of its own, on a socket in a folder of their own; for that
//! they need root. Elsewhere they say `skipped`. What belongs to a cluster is asked of docker itself.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tutor::clock::Clock;
use tutor::images::{Registries, Store};
use tutor::kubelet::runtime::config::{Resources, Security};
use tutor::kubelet::runtime::docker::Host;
use tutor::kubelet::runtime::docker::host::Options;
use tutor::kubelet::runtime::{
    ContainerConfig, LogOptions, Mount, Runtime, SandboxConfig, Volume, VolumeSource, conformance,
};
use tutor::tasks::TaskGroup;

mod cluster;
mod course;
mod daemon;
mod registry;
mod services;
mod terminal;

use daemon::{Daemon, daemon};

/// How long the slowest step may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster's hold on the docker of a test.
struct Machine {
    host: Arc<Host>,
    node: Arc<dyn Runtime>,
    clock: Clock,
    folder: tempfile::TempDir,
    daemon: Daemon,
}

async fn host(folder: &Path, daemon: &Daemon, subnet: u8) -> Arc<Host> {
    let (clock, tasks) = (Clock::real(), TaskGroup::new());
    let store = Store::open(&daemon.folder().join("images")).unwrap();
    let options = Options {
        folder: folder.to_owned(),
        socket: Some(daemon.socket()),
        pods: ([10, subnet, 0, 0].into(), 16),
        services: ([10, 96, 0, 0].into(), 12),
        nodes: ([172, 18, 0, 0].into(), 16),
        registries: Registries::new(store, clock, &tasks).unwrap().made_of(crate::native::program()),
        clock,
    };
    Arc::new(Host::start(options, &tasks).await.unwrap())
}

/// `None` where dockerd cannot run.
async fn machine() -> Option<Machine> {
    let daemon = daemon().await?;
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path(), &daemon, 244).await;
    let node = host.node("node-1", "10.244.0.0/24").unwrap();
    Some(Machine { host, node, clock: Clock::real(), folder, daemon })
}

impl Machine {
    async fn sandbox(&self, name: &str, last: u8) -> String {
        let config = SandboxConfig {
            namespace: "default".into(),
            name: name.into(),
            uid: format!("uid-{last}"),
            hostname: name.into(),
            ip: format!("10.244.0.{last}"),
            ..SandboxConfig::default()
        };
        self.node.run_sandbox(config).await.unwrap()
    }

    async fn start(&self, sandbox: &str, script: &str, config: ContainerConfig) -> String {
        let words = ["sh", "-c", script].map(str::to_owned).into();
        let config = ContainerConfig { name: "c".into(), image: "tutor/shell:1".into(), command: words, ..config };
        self.node.pull_image(sandbox, "tutor/shell:1", None).await.unwrap();
        let id = self.node.create_container(sandbox, config).await.unwrap();
        self.node.start_container(&id).await.unwrap();
        id
    }

    /// Runs a script to its end: what it printed, its exit code, and the reason.
    async fn run(&self, sandbox: &str, script: &str, config: ContainerConfig) -> (String, i32, &'static str) {
        let id = self.start(sandbox, script, config).await;
        let exit = tokio::time::timeout(PATIENCE, self.node.wait(&id)).await.unwrap().unwrap();
        let lines: Vec<_> = self.node.logs(&id, LogOptions::default()).await.unwrap().collect().await;
        let text: Vec<_> = lines.iter().map(|line| line.text().into_owned()).collect();
        (text.join("\n"), exit.code, exit.reason)
    }

    /// Stops the cluster, after which docker has nothing of it.
    async fn stop(self) {
        self.host.stop().await;
        let left = self.daemon.all("{{.Names}} {{.Labels}}");
        assert!(left.is_empty(), "left behind: {left}");
        assert!(!self.daemon.docker(&["network", "ls", "--format", "{{.Labels}}"]).contains("tutor"));
        assert!(!self.folder.path().join("pods").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docker_runtime_conforms() {
    let Some(machine) = machine().await else { return };
    conformance::check(&*machine.node, machine.clock).await;
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_pod_share_what_they_should_and_keep_to_their_limits() {
    let Some(machine) = machine().await else { return };
    let sandbox = machine.sandbox("pair", 2).await;
    for (name, in_memory) in [("disk", false), ("memory", true)] {
        let source = VolumeSource::Empty { in_memory, size_limit_bytes: Some(1 << 20) };
        machine.node.set_volume(&sandbox, Volume { name: name.into(), source, fs_group: None }).await.unwrap();
    }
    let mounts = ["disk", "memory"].map(|name| Mount {
        volume: name.into(),
        container_path: format!("/{name}"),
        ..Mount::default()
    });
    let mounted = || ContainerConfig { mounts: mounts.clone().into(), ..ContainerConfig::default() };

    machine.node.pull_image(&sandbox, "tutor/web:1", None).await.unwrap();
    let web = ContainerConfig { name: "web".into(), image: "tutor/web:1".into(), ..ContainerConfig::default() };
    let web = machine.node.create_container(&sandbox, web).await.unwrap();
    machine.node.start_container(&web).await.unwrap();
    let asks = "hostname; for n in $(seq 900); do wget -qO- http://127.0.0.1 && exit 0; sleep 0.1; done; exit 1";
    let (printed, code, _) = machine.run(&sandbox, asks, ContainerConfig::default()).await;
    assert!(code == 0 && printed.starts_with("pair\nhello from pair"), "one localhost, one host name: {printed}");

    let (printed, code, _) = machine.run(&sandbox, "echo kept > /disk/x; echo kept > /memory/x", mounted()).await;
    assert_eq!(code, 0, "{printed}");
    let (printed, ..) = machine.run(&sandbox, "cat /disk/x /memory/x", mounted()).await;
    assert_eq!(printed, "kept\nkept", "a volume outlives the container that wrote it");

    let security = Security { user: Some(1000), read_only_root_filesystem: true, ..Security::default() };
    let nobody = ContainerConfig { security, ..ContainerConfig::default() };
    let (printed, code, reason) = machine.run(&sandbox, "id -u; echo x > /tmp/x", nobody).await;
    // Two streams have no order between them.
    assert!(printed.lines().any(|line| line == "1000") && code != 0 && reason == "Error", "{printed}");
    assert!(printed.contains("Read-only file system"), "{printed}");

    let words = ["load", "--memory", "256Mi"].map(str::to_owned).into();
    let hungry = ContainerConfig {
        name: "hungry".into(),
        image: "tutor/load:1".into(),
        command: words,
        resources: Resources { memory_limit_bytes: Some(64 << 20), ..Resources::default() },
        ..ContainerConfig::default()
    };
    machine.node.pull_image(&sandbox, "tutor/load:1", None).await.unwrap();
    let hungry = machine.node.create_container(&sandbox, hungry).await.unwrap();
    machine.node.start_container(&hungry).await.unwrap();
    let exit = tokio::time::timeout(PATIENCE, machine.node.wait(&hungry)).await.unwrap().unwrap();
    assert_eq!((exit.code, exit.reason), (137, "OOMKilled"));

    // A command that nobody waits for any more does not stay.
    let long = ["sleep".to_owned(), "3333".to_owned()];
    let waited = tokio::time::timeout(Duration::from_secs(2), machine.node.exec_sync(&web, &long)).await;
    assert!(waited.is_err());
    let gone = async {
        while machine.daemon.docker(&["top", &web]).contains("3333") {
            machine.clock.sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("a command whose client has left still runs");
    machine.node.remove_sandbox(&sandbox).await.unwrap();
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_cleans_up_after_itself_and_touches_nothing_else() {
    let Some(machine) = machine().await else { return };
    let sandbox = machine.sandbox("orphan", 2).await;
    machine.start(&sandbox, "sleep 3600", ContainerConfig::default()).await;
    let labels = machine.daemon.all("{{.Labels}}");
    for label in ["io.kubernetes.pod.name=orphan", "io.kubernetes.container.name=c", "dev.tutor.node=node-1"] {
        assert!(labels.contains(label), "{label} is missing: {labels}");
    }
    let strange = machine.daemon.docker(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "tutor-like",
        "--entrypoint",
        "/bin/sleep",
        "tutor/shell:1",
        "3600",
    ]);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = host(elsewhere.path(), &machine.daemon, 245).await;
    let node = other.node("node-1", "10.245.0.0/24").unwrap();
    let config = SandboxConfig { name: "theirs".into(), ip: "10.245.0.2".into(), ..SandboxConfig::default() };
    node.run_sandbox(config).await.unwrap();

    // The first cluster is forgotten as it is, as when its process is killed, and starts again.
    let Machine { folder, daemon, .. } = machine;
    let again = host(folder.path(), &daemon, 244).await;
    let left = daemon.all("{{.ID}} {{.Names}} {{.Labels}}");
    assert!(!left.contains("pod.name=orphan"), "{left}");
    assert!(left.contains("pod.name=theirs") && left.contains("tutor-like"), "others' are gone: {left}");
    again.stop().await;
    other.stop().await;
    assert!(daemon.all("{{.Names}}").trim() == "tutor-like");
    daemon.docker(&["rm", "-f", strange.trim()]);
}

#[test]
fn a_docker_that_is_not_there_is_explained() {
    let state = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}/docker.sock", state.path().display());
    for (place, why) in [(socket.as_str(), "there is no socket"), ("tcp://10.0.0.1:2375", "DOCKER_HOST is tcp")] {
        let done = Command::new(crate::native::program())
            .args(["serve", "--runtime", "docker", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"])
            .args(["--registry-listen", "127.0.0.1:0", "--ingress-listen", "127.0.0.1:0", "--state-dir"])
            .arg(state.path())
            .env("DOCKER_HOST", place)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && said.contains("DOCKER_HOST") && said.contains("--runtime native"), "{said}");
    }
}
