//! A playground behind real sockets and real time, for clients that are programs of their own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use kube::runtime::wait::await_condition;
use tutor::clock::Clock;
use tutor::cluster::{self, Cluster, Runtime, StoreIn};
use tutor::tasks::TaskGroup;

/// A playground that listens on a free port of loopback.
pub struct Served {
    runtime: tokio::runtime::Runtime,
    cluster: Cluster,
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// The nodes of a playground.
const NODES: u16 = 3;

/// What a command printed.
#[derive(Debug)]
pub struct Printed {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Real kubectl.
pub const KUBECTL: &str = "bin/kubectl";
/// Real helm.
pub const HELM: &str = "bin/helm";
/// The client-go programs of `tests/clients/go`.
pub const CLIENTGO: &str = "bin/clientgo";
/// A Python that has the packages of `tests/clients/python/requirements.txt`.
pub const PYTHON: &str = "python/bin/python";

/// A playground and the real kubectl, or `None` (and the reason printed) on a machine without one.
/// In CI a missing kubectl fails the test.
pub fn with_kubectl() -> Option<Served> {
    with_tools(&[KUBECTL])
}

/// A playground and these programs, or `None` (and the reason printed) where one is missing. In CI
/// that fails the test.
pub fn with_tools(tools: &[&str]) -> Option<Served> {
    for tool in tools {
        if program(tool).is_none() {
            assert!(std::env::var_os("CI").is_none(), "{tool} is missing: run .ci/install");
            eprintln!("skipped: needs {tool}");
            return None;
        }
    }
    Some(Served::start())
}

/// Where a program is: named by `TUTOR_KUBECTL`, in the folder of `.ci/install`, or on the PATH.
pub fn program(tool: &str) -> Option<PathBuf> {
    let name = tool.rsplit('/').next().unwrap_or(tool);
    let named = std::env::var_os(format!("TUTOR_{}", name.to_uppercase())).map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/tutor-tools"));
    let folder = std::env::var_os("TUTOR_TOOLS").map(PathBuf::from).or(home);
    let path = std::env::var_os("PATH").filter(|_| tool.starts_with("bin/")).unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name)).collect::<Vec<_>>();
    let found = named.into_iter().chain(folder.map(|folder| folder.join(tool))).chain(on_path);
    found.into_iter().find(|path| path.is_file())
}

impl Served {
    fn start() -> Served {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let clock = Clock::real();
        let cluster = runtime.block_on(async {
            let options = cluster::Options {
                store: StoreIn::Memory,
                nodes: NODES,
                runtime: Runtime::Simulated,
                controllers: vec!["all".into()],
                clock,
            };
            let cluster = Cluster::start(options, &TaskGroup::new()).await.unwrap();
            let address = cluster.serve_api("127.0.0.1:0".parse().unwrap()).await.unwrap();
            cluster.write_kubeconfig(&folder.path().join("kubeconfig"), address).unwrap();
            let door = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            cluster.serve_ingress(door).unwrap();
            clock.timeout(LONGEST, ready(cluster.client("test"))).await.expect("the nodes become ready");
            cluster
        });
        Served { runtime, cluster, folder, env: Vec::new() }
    }

    /// Sets variables for every program from here on.
    pub fn set_env(&mut self, variables: &[(&str, &str)]) {
        self.env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    /// `kubectl` with these words, its streams pipes, not started yet.
    pub fn command(&self, words: &str) -> Command {
        let mut command = self.tool(KUBECTL);
        command.args(split(words));
        command
    }

    /// As [`Served::command`], in a terminal of its own (the program `script` makes one).
    pub fn command_in_terminal(&self, words: &str) -> Command {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{} {words}", program(KUBECTL).unwrap().display()), "/dev/null"]);
        self.ready(command)
    }

    /// A program that talks to this playground, and keeps its own files in the playground's folder.
    pub fn tool(&self, tool: &str) -> Command {
        self.ready(Command::new(program(tool).unwrap()))
    }

    fn ready(&self, mut command: Command) -> Command {
        command
            .current_dir(self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HOME", self.folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `kubectl` with these words (split at spaces; a part in single quotes stays whole).
    pub fn kubectl(&self, words: &str) -> Printed {
        self.kubectl_with(words, "")
    }

    /// As [`Served::kubectl`], with something on its standard input.
    pub fn kubectl_with(&self, words: &str, input: &str) -> Printed {
        self.run(&mut self.command(words), input)
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &mut Command, input: &str) -> Printed {
        ended(command, input)
    }

    /// The real kubectl's program.
    pub fn program(&self) -> PathBuf {
        program(KUBECTL).unwrap()
    }

    /// Writes a kubeconfig whose context works in this namespace.
    pub fn kubectl_config(&self, path: &std::path::Path, namespace: &str) {
        std::fs::copy(self.folder.path().join("kubeconfig"), path).unwrap();
        let done = Command::new(self.program())
            .args(["config", "set-context", "--current", "--namespace", namespace, "--kubeconfig"])
            .arg(path)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// Writes a file that the programs find by this name.
    pub fn file(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs one of the programs of `tests/clients`, which must succeed; it says `ok:` for each fact it
    /// found to hold.
    #[track_caller]
    pub fn holds(&self, command: &mut Command) -> Vec<String> {
        let printed = self.run(command, "");
        assert_eq!(printed.code, 0, "{command:?}:\n{}{}", printed.out, printed.err);
        printed.out.lines().filter_map(|line| line.strip_prefix("ok: ")).map(str::to_owned).collect()
    }

    /// Runs `kubectl`, which must succeed; what it printed.
    #[track_caller]
    pub fn does(&self, words: &str) -> String {
        let printed = self.kubectl(words);
        assert_eq!(printed.code, 0, "kubectl {words}: {printed:#?}");
        printed.out
    }

    /// Runs `kubectl` again until its answer holds: for what is told only a moment later (events).
    #[track_caller]
    pub fn comes_to(&self, words: &str, holds: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let printed = self.does(words);
            if holds(&printed) {
                return printed;
            }
            let late = begun.elapsed() > LONGEST;
            assert!(!late, "kubectl {words} never came to say what is expected:\n{printed}");
        }
    }

    /// Runs `kubectl` with a manifest on its standard input, which must succeed.
    #[track_caller]
    pub fn does_with(&self, words: &str, input: &str) -> String {
        let printed = self.kubectl_with(words, input);
        assert_eq!(printed.code, 0, "kubectl {words}: {printed:#?}");
        printed.out
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.runtime.block_on(self.cluster.stop(Duration::from_secs(2)));
    }
}

/// Waits until every node is ready and takes Pods: two who look after that see the same.
async fn ready(client: kube::Client) {
    let takes_pods = |node: Option<&Node>| {
        let status = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
        let ready = status.into_iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True");
        ready && node.and_then(|node| node.spec.as_ref()?.taints.as_ref()).is_none_or(Vec::is_empty)
    };
    for number in 1..=NODES {
        await_condition(Api::all(client.clone()), &format!("node-{number}"), takes_pods).await.unwrap();
    }
}

/// The longest that a command may take, on a busy machine.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Runs a command, its streams pipes, to its end, or kills it when it does not come to one.
pub fn ended(command: &mut Command, input: &str) -> Printed {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (tell, end) = std::sync::mpsc::channel::<()>();
    let process = rustix::process::Pid::from_child(&child);
    let guard = std::thread::spawn(move || {
        if end.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
            // It may have ended in this very moment.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
    });
    // A program that reads nothing may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    drop(tell);
    guard.join().unwrap();
    Printed {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// Words at spaces; a part in single quotes stays whole.
pub fn split(words: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in words.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
