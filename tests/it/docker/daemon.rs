//! A dockerd for a test: its own socket, folder and network, ended by its number.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

/// Tests that need docker run one after the other: two cores have enough with one dockerd.
static ALONE: Mutex<()> = Mutex::const_new(());
/// How long dockerd may take to answer, and to end.
const LIMIT: Duration = Duration::from_secs(150);

/// A running dockerd.
pub struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Starts one in a network of its own; `None`, and the reason printed, where none can run. In CI it must run for root.
pub async fn daemon() -> Option<Daemon> {
    start(&["unshare", "--net"]).await
}

/// One in the network of this test, whose loopback it reaches; it makes no bridges and no rules.
pub async fn daemon_beside() -> Option<Daemon> {
    start(&["env"]).await
}

/// `around` is the command that starts it.
async fn start(around: &[&str]) -> Option<Daemon> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs dockerd and root");
        return None;
    }
    let alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let log = fs::File::create(path("log")).unwrap();
    // In a network of its own its bridges are nobody else's, and go with it.
    let started = Command::new(around[0])
        .args(&around[1..])
        .args(["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none"])
        .arg(format!("--host=unix://{}", path("docker.sock").display()))
        .arg("--data-root")
        .arg(path("data"))
        .arg("--exec-root")
        .arg(path("exec"))
        .arg("--pidfile")
        .arg(path("pid"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    let missing = |why: String| {
        assert!(std::env::var_os("CI").is_none(), "dockerd does not run: {why}");
        println!("skipped: needs dockerd: {why}");
    };
    let mut child = match started {
        Ok(child) => child,
        Err(fault) => {
            missing(fault.to_string());
            return None;
        }
    };
    let begun = Instant::now();
    while !answers(&path("docker.sock")) {
        if begun.elapsed() > LIMIT || child.try_wait().unwrap().is_some() {
            let _ = child.kill();
            let _ = child.wait();
            missing(fs::read_to_string(path("log")).unwrap_or_default());
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Some(Daemon { child, folder, _alone: alone })
}

fn answers(socket: &Path) -> bool {
    let asked = docker(socket, &["version", "--format", "{{.Server.Version}}"]).output();
    asked.is_ok_and(|done| done.status.success())
}

fn docker(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.arg("-H").arg(format!("unix://{}", socket.display())).args(arguments).stdin(Stdio::null());
    command
}

impl Daemon {
    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// As `DOCKER_HOST` says it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// What docker's own client prints.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let done = docker(&self.socket(), arguments).output().unwrap();
        assert!(done.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// All containers, in this form.
    pub fn all(&self, format: &str) -> String {
        self.docker(&["ps", "--all", "--no-trunc", "--format", format])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked first: a killed dockerd would leave containers and its containerd.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < LIMIT && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
