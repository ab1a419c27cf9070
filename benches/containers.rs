//! Measures real containers from outside, as who types commands meets them, side by side with docker where it runs:
//! from exec of `tutor serve` to its first Pod, from create to Running, a command in a container.
//!
//! `cargo bench --bench containers`, on Linux; beside docker only as root, with a dockerd that the bench starts for itself.
//! `TUTOR_PROGRAM` names another tutor. Both sides are asked by a client that is a process of its own each time, and the
//! start of a process that does nothing is measured, too. Prints a table for `benches/README.md`. `cargo bench --bench
//! native` measures the runtime alone, without a cluster around it.

#[cfg(target_os = "linux")]
mod outside;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("real containers need Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::outside::{Serve, at, program};

    const ROUNDS: usize = 20;
    /// How long dockerd may take to answer.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn pod(name: &str) -> String {
        let container = r#"{name: c, image: "tutor/shell:1", command: [sleep, "600"]}"#;
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 0, \
             containers: [{container}]}}\n"
        )
    }

    fn run(tutor: &Serve, name: &str) {
        tutor.kubectl(&pod(name), &["apply", "-f", "-"]);
        running(tutor, name);
    }

    fn running(tutor: &Serve, name: &str) {
        let pod = format!("pod/{name}");
        tutor.kubectl("", &["wait", "--for=jsonpath={.status.phase}=Running", &pod, "--timeout=60s"]);
    }

    fn times(mut what: impl FnMut(usize)) -> Vec<Duration> {
        let time = |round| {
            let begun = Instant::now();
            what(round);
            begun.elapsed()
        };
        (0..ROUNDS).map(time).collect()
    }

    pub fn main() {
        println!("| what | tutor | docker |\n|---|---:|---:|");
        row("a process that does nothing", times(|_| quiet(Command::new("true"))), None);
        let state = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let tutor = Serve::start(state.path(), &["--runtime", "native"], &[]);
        run(&tutor, "first");
        let first = begun.elapsed();
        println!("| exec of `tutor serve` → its first Pod runs, nothing kept | {} | |", said(first));
        drop(tutor);
        let begun = Instant::now();
        let tutor = Serve::start(state.path(), &["--runtime", "native"], &[]);
        run(&tutor, "second");
        let again = begun.elapsed();
        println!(
            "| the same, with what the last start kept ({} of it until ready) | {} | |",
            said(tutor.took),
            said(again)
        );

        let starts = times(|round| run(&tutor, &format!("p{round}")));
        let execs = times(|_| _ = tutor.kubectl("", &["exec", "p0", "--", "true"]));
        let clients = times(|_| _ = tutor.kubectl("", &["version", "--client"]));
        let docker = Docker::start();
        let beside = |what: &dyn Fn(&Docker, usize)| docker.as_ref().map(|docker| times(|round| what(docker, round)));
        if let Some(docker) = &docker {
            docker.load();
        }
        let runs = beside(&|docker, round| {
            docker.quiet(&["run", "-d", "--network", "none", "--name", &format!("c{round}"), "shell", "sleep", "600"])
        });
        let inside = beside(&|docker, _| docker.quiet(&["exec", "c0", "true"]));
        let asked = beside(&|docker, _| docker.quiet(&["--version"]));
        row("a client's start alone (`kubectl version --client`, `docker --version`)", clients, asked);
        row("create → running (two kubectl; one `docker run -d`, without a network)", starts, runs);
        row("a command in it (`exec … true`)", execs, inside);
        if let Some(docker) = docker {
            docker.quiet(&["kill", "--signal", "KILL", "c0"]);
        }
    }

    fn quiet(mut command: Command) {
        let done = command.stdout(Stdio::null()).status().unwrap();
        assert!(done.success(), "{command:?}");
    }

    fn said(time: Duration) -> String {
        format!("{:.0} ms", time.as_secs_f64() * 1e3)
    }

    fn row(what: &str, mut tutor: Vec<Duration>, docker: Option<Vec<Duration>>) {
        let both = |times: &mut [Duration]| format!("{:.1} ms (p99 {:.1})", at(times, 0.5), at(times, 0.99));
        let docker = docker.map(|mut times| both(&mut times)).unwrap_or_default();
        println!("| {what}, p50 | {} | {docker} |", both(&mut tutor));
    }

    /// A dockerd of the bench's own; it has no bridge and makes no rules.
    struct Docker {
        child: Child,
        folder: tempfile::TempDir,
    }

    impl Docker {
        fn start() -> Option<Docker> {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            if !rustix::process::geteuid().is_root() {
                println!("docker: skipped: needs root");
                return None;
            }
            let started = Command::new("dockerd")
                .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
                .arg(format!("--host=unix://{}", path("docker.sock").display()))
                .args([
                    "--data-root".as_ref(),
                    path("data").as_os_str(),
                    "--exec-root".as_ref(),
                    path("exec").as_os_str(),
                ])
                .args(["--pidfile".as_ref(), path("pid").as_os_str()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let Ok(child) = started else {
                println!("docker: skipped: needs dockerd");
                return None;
            };
            let docker = Docker { child, folder };
            let begun = Instant::now();
            while !docker
                .command(&["version"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|it| it.success())
            {
                if begun.elapsed() > PATIENCE {
                    println!("docker: skipped: dockerd does not answer");
                    return None;
                }
                thread::sleep(Duration::from_millis(50));
            }
            Some(docker)
        }

        fn command(&self, words: &[&str]) -> Command {
            let mut command = Command::new("docker");
            let socket = format!("unix://{}", self.folder.path().join("docker.sock").display());
            command.args(["-H", &socket]).args(words).stdin(Stdio::null());
            command
        }

        fn quiet(&self, words: &[&str]) {
            quiet(self.command(words));
        }

        /// Gives it the image that tutor's Pods run.
        fn load(&self) {
            let store = self.folder.path().join("store");
            let archive = self.folder.path().join("shell.tar");
            let tutor = |words: &[&str], last: &Path| {
                let mut command = Command::new(program());
                quiet({
                    command.arg("image").args(words).arg(last).env("TUTOR_STATE_DIR", &store);
                    command
                });
            };
            tutor(&["pull"], Path::new("tutor/shell:1"));
            tutor(&["save", "tutor/shell:1", "-o"], &archive);
            self.quiet(&["load", "-i", archive.to_str().unwrap()]);
            self.quiet(&["tag", "tutor/shell:1", "shell"]);
            fs::remove_dir_all(store).unwrap();
        }
    }

    impl Drop for Docker {
        fn drop(&mut self) {
            // What still runs would keep its folder.
            let listed = self.command(&["ps", "-aq"]).output().map(|done| done.stdout).unwrap_or_default();
            for id in String::from_utf8_lossy(&listed).split_whitespace() {
                let _ = self.command(&["rm", "-f", id]).stdout(Stdio::null()).status();
            }
            // Asked first: a killed dockerd would leave its containerd.
            let pid = rustix::process::Pid::from_child(&self.child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = self.child.wait();
        }
    }
}
