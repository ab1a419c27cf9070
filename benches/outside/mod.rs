//! A `tutor serve` as a bench meets it: another program, by its command line alone.
//!
//! `TUTOR_PROGRAM` names the executable; without it it is the one that cargo built beside the bench. The bench itself
//! only waits, reads and writes, so what it was built with does not change what it measures.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The executable that is measured.
pub fn program() -> PathBuf {
    std::env::var_os("TUTOR_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_tutor").into(), PathBuf::from)
}

/// A running playground; ended with it.
pub struct Serve {
    child: Child,
    /// What it printed when it was ready.
    pub ready: Value,
    /// From exec to that line.
    #[allow(dead_code, reason = "not every bench asks for it")]
    pub took: Duration,
}

impl Serve {
    /// Starts one on free ports, with its state in `state`.
    pub fn start(state: &Path, more: &[&str], variables: &[(&str, &str)]) -> Serve {
        let begun = Instant::now();
        let mut command = Command::new(program());
        command.args(["serve", "--json", "--state-dir"]).arg(state);
        for flag in ["--listen", "--api-listen", "--registry-listen", "--ingress-listen"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        let mut child =
            command.args(more).envs(variables.iter().copied()).stdout(Stdio::piped()).spawn().expect("tutor starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).expect("tutor serve says that it is ready");
        Serve { child, ready, took: begun.elapsed() }
    }

    /// What `tutor kubectl` prints; `input` is what it reads.
    pub fn kubectl(&self, input: &str, words: &[&str]) -> String {
        let mut child = Command::new(program())
            .arg("kubectl")
            .args(words)
            .env("KUBECONFIG", self.ready["kubeconfig"].as_str().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // One that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "kubectl {words:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.child.wait();
    }
}

/// In milliseconds, the value that a share of all are below.
pub fn at(times: &mut [Duration], share: f64) -> f64 {
    times.sort();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}
