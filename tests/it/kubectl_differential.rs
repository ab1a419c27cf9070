//! The built-in kubectl beside the real one: the same command lines, the same words, the same exit codes.
//!
//! The lines are in `tests/kubectl/*.txt`. What is read is asked of one playground by both. What is
//! written happens in two namespaces (`ns-real`, `ns-ours`) of that playground; `{ns}` in a line is the
//! namespace's name. What cannot be equal is made so: ages, times, hashes, uids, versions, addresses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use regex::Regex;

use crate::served::{Printed, Served, with_kubectl};

/// The longest that a command may take, on a busy machine.
const LONGEST: Duration = Duration::from_secs(90);

/// Which of the two.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Real,
    Ours,
}

impl Who {
    fn namespace(self) -> &'static str {
        match self {
            Who::Real => "ns-real",
            Who::Ours => "ns-ours",
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl")
}

/// The command lines of a list.
fn lines(list: &str) -> Vec<String> {
    let text = fs::read_to_string(folder().join(list)).unwrap();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The words of a line: parted by spaces, except inside quotes.
fn words(line: &str) -> Vec<String> {
    let (mut found, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => (quote, begun) = (Some(letter), true),
            (None, ' ') => {
                if begun || !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, letter) => word.push(letter),
        }
    }
    if begun || !word.is_empty() {
        found.push(word);
    }
    found
}

struct Pair<'a> {
    play: &'a Served,
    home: tempfile::TempDir,
    rules: Vec<(Regex, &'static str)>,
}

impl Pair<'_> {
    fn of(play: &Served) -> Pair<'_> {
        let rules = [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000( UTC)?|Z)?", "<time>"),
            (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", "<when>"),
            (r"-[0-9a-f]{8,10}\b", "-<hash>"),
            (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-<rand>"),
            (r"pod-template-hash=\w+", "pod-template-hash=<hash>"),
            (r#"resourceVersion("?): "\d+""#, "resourceVersion$1: <rv>"),
            (r"\b10\.\d+\.\d+\.\d+", "<ip>"),
            (r"\b3[0-2]\d{3}\b", "<port>"),
            (r"(^|[^\w.])(\d+[smhdy])+( ago)?($|[^\w.])", "$1<age>$4"),
            (r"-{2,}", "--"),
            (r"\b(LIVE|MERGED)-(\d+|<hash>)", "$1"),
            (r"tutor://[0-9a-f]{64}", "tutor://<id>"),
            (r"\bnode-[123]\b", "<node>"),
            (r"\b172\.18\.0\.\d+", "<node address>"),
            // How much of a rollout is seen depends on when one looks.
            (r"^Waiting for .*\n", ""),
        ];
        let rules = rules.into_iter().map(|(pattern, shown)| (Regex::new(&format!("(?m){pattern}")).unwrap(), shown));
        let pair = Pair { play, home: tempfile::tempdir().unwrap(), rules: rules.collect() };
        for who in [Who::Real, Who::Ours] {
            play.does(&format!("create namespace {}", who.namespace()));
            pair.play.kubectl_config(&pair.kubeconfig(who), who.namespace());
        }
        pair
    }

    fn kubeconfig(&self, who: Who) -> PathBuf {
        self.home.path().join(who.namespace())
    }

    fn run(&self, who: Who, line: &str) -> Printed {
        let line = line.replace("{ns}", who.namespace());
        let (line, input) = match line.split_once(" < ") {
            Some((line, file)) => (line.to_owned(), fs::read(folder().join("files").join(file)).unwrap()),
            None => (line, Vec::new()),
        };
        let mut command = match who {
            Who::Real => Command::new(self.play.program()),
            Who::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_tutor"));
                command.arg("kubectl");
                command
            }
        };
        let mut child = command
            .args(words(&line))
            .env("KUBECONFIG", self.kubeconfig(who))
            .env("HOME", self.home.path())
            .env("TUTOR_STATE_DIR", self.home.path())
            .current_dir(folder().join("files"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads no input may have ended already.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), &input);
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let process = rustix::process::Pid::from_child(&child);
        // A command that hangs is one that differs, not the end of the test.
        let guard = std::thread::spawn(move || {
            if end.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
                // It may have ended in this very moment.
                let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
            }
        });
        let done = child.wait_with_output().unwrap();
        drop(ended);
        guard.join().unwrap();
        let text = |bytes: &[u8]| self.normal(&String::from_utf8_lossy(bytes));
        Printed { code: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) }
    }

    /// The text with what two runs cannot share made equal; where something was, columns may differ too.
    fn normal(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for each in [Who::Real, Who::Ours] {
            text = text.replace(each.namespace(), "ns-each");
        }
        for (pattern, shown) in &self.rules {
            text = pattern.replace_all(&text, *shown).into_owned();
        }
        let spaces = Regex::new(" {2,}").unwrap();
        let line = |line: &str| {
            let varies = ["<", "--", "CLUSTER-IP"].iter().any(|mark| line.contains(mark));
            if varies { spaces.replace_all(line, "  ").trim_end().to_owned() } else { line.to_owned() }
        };
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    /// Runs each line of a list by both; tells every line whose answer or exit code differs.
    fn compare(&self, list: &str) {
        let mut faults = Vec::new();
        let lines = lines(list);
        for line in &lines {
            let (real, ours) = std::thread::scope(|scope| {
                let real = scope.spawn(|| self.run(Who::Real, line));
                (real.join().unwrap(), self.run(Who::Ours, line))
            });
            if (real.code, &real.out) != (ours.code, &ours.out) {
                faults.push(format!("kubectl {line}\n  real: {real:#?}\n  ours: {ours:#?}"));
            }
        }
        assert!(faults.is_empty(), "{} of {} lines differ:\n{}", faults.len(), lines.len(), faults.join("\n"));
    }
}

#[test]
fn what_is_read_is_told_in_the_same_words() {
    let Some(play) = with_kubectl() else { return };
    Pair::of(&play).compare("read.txt");
}

#[test]
fn what_is_written_is_told_in_the_same_words() {
    let Some(play) = with_kubectl() else { return };
    Pair::of(&play).compare("write.txt");
}
