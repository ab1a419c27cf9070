//! The built-in kubectl beside the real one: the same command lines, the same words, the same exit codes.
//!
//! The lines are in `tests/kubectl/*.txt`. What is read is asked of one playground by both. What is
//! written happens in two namespaces (`ns-real`, `ns-ours`) of that playground; what changes nodes, in a
//! playground for each. In a line `{ns}` is the namespace's name, `{home}` a folder of one's own, `{url}`
//! a web server with the files of `tests/kubectl/files`; `NAME=value` before it sets a variable; `< file`
//! behind it is its input. What cannot be equal is made so: ages, times, hashes, uids, versions, addresses.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;

use crate::served::{Printed, Served, ended, with_kubectl};

/// Which of the two.
#[derive(Clone, Copy, PartialEq)]
pub enum Who {
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

/// How often both look, when they see different things: the cluster goes on between two looks, also when nobody
/// writes. What differs for another reason differs each time.
const LOOKS: u32 = 6;

/// Whether a line changes nothing, so that it may be run again.
fn only_looks(line: &str) -> bool {
    const LOOKING: [&str; 16] = [
        "api-resources",
        "api-versions",
        "auth can-i",
        "auth whoami",
        "cluster-info",
        "config get-contexts",
        "config view",
        "describe",
        "diff",
        "events",
        "explain",
        "get",
        "logs",
        "rollout history",
        "rollout status",
        "top",
    ];
    LOOKING
        .iter()
        .any(|looking| line.strip_prefix(looking).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
}

/// Both programs, each with a namespace and a home of its own.
pub struct Pair<'a> {
    plays: [&'a Served; 2],
    home: tempfile::TempDir,
    url: String,
    rules: Vec<(Regex, &'static str)>,
}

/// What two runs cannot share, and what is shown in its place.
const RULES: [(&str, &str); 34] = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"^[IWEF]\d{4} [\d:.]+ +\d+ \S+\] ", "<log> "),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000( UTC)?|Z)?", "<time>"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d (\+0000|GMT)", "<when>"),
    (r"-[0-9a-f]{8,10}\b", "-<hash>"),
    (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-<rand>"),
    (r"pod-template-hash=\w+", "pod-template-hash=<hash>"),
    (r#"resourceVersion("?): "\d+""#, "resourceVersion$1: <rv>"),
    (r"\b10\.\d+\.\d+\.\d+", "<ip>"),
    (r"127\.0\.0\.1:\d+", "<loopback>"),
    (r"\b3[0-2]\d{3}\b", "<port>"),
    (r"(^|[^\w.])(\d+[smhdy])+( ago)?($|[^\w.])", "$1<age>$4"),
    (r"-{2,}", "--"),
    (r"\b(LIVE|MERGED)-(\d+|<hash>)", "$1"),
    (r"tutor://[0-9a-f]{64}", "tutor://<id>"),
    (r"\bnode-[123]\b", "<node>"),
    (r"\bzone-[abc]\b", "<zone>"),
    (r"\b172\.18\.0\.\d+", "<node address>"),
    (r"can't set a map to a value: map.*", "can't set a map"),
    (r"milliseconds=\d+", "milliseconds=<n>"),
    (r#"lstat \S*/"#, "lstat "),
    (r"Audit-Id: \S+", "Audit-Id: <id>"),
    (r"Content-Length: \d+", "Content-Length: <n>"),
    (r#"User-Agent: \S+ [^\n'"]*"#, "User-Agent: <agent>"),
    // What the Go libraries of the real one say of themselves, and of their connections.
    (r"^<log> (.Feature gate default state|Unable to decode server response into a Table).*\n", ""),
    (r"Milliseconds=\d+", "Milliseconds=<n>"),
    // It keeps what the cluster serves on disk, so not every command asks.
    (r#"^<log> .*url="\S*/(apis?\?|openapi/)\S*".*\n"#, ""),
    (r"^<log> Running apply post-processor function\n", ""),
    // How much of a rollout is seen depends on when one looks.
    (r"^Waiting for .*\n", ""),
    // Real kubectl keeps what the cluster serves on disk, and looks at folders of its PATH.
    (r"^.*(memcache\.go|Unable to read directory).*\n", ""),
    // The files that a diff compares.
    (r"/tmp/(LIVE|MERGED)(<hash>)?", "$1"),
    (r"^(---|\+\+\+) (\S+)\t.*$", "$1 $2"),
    (r"(?s)\A.*\n(Usage:|Available Commands:)\n.*\z", "<help>"),
    (r"(?s)\A.*\n(Usage|Commands):\n.*\z", "<help>"),
];

impl Pair<'_> {
    /// Both on one playground.
    pub fn of(play: &Served) -> Pair<'_> {
        Pair::apart([play, play])
    }

    /// Each on a playground of its own.
    fn apart<'a>(plays: [&'a Served; 2]) -> Pair<'a> {
        let rules = RULES.map(|(pattern, shown)| (Regex::new(&format!("(?m){pattern}")).unwrap(), shown));
        let pair = Pair { plays, home: tempfile::tempdir().unwrap(), url: serve_files(), rules: rules.to_vec() };
        for who in [Who::Real, Who::Ours] {
            let play = pair.play(who);
            let namespace = who.namespace();
            play.does(&format!("create namespace {namespace}"));
            // What a loop puts into each namespace is there before anybody looks.
            for made in ["serviceaccount/default", "configmap/kube-root-ca.crt"] {
                play.does(&format!("wait {made} -n {namespace} --for=create --timeout=140s"));
            }
            play.kubectl_config(&pair.kubeconfig(who), who.namespace());
            fs::create_dir(pair.own_folder(who)).unwrap();
        }
        pair
    }

    fn play(&self, who: Who) -> &Served {
        self.plays[who as usize]
    }

    fn kubeconfig(&self, who: Who) -> PathBuf {
        self.home.path().join(who.namespace())
    }

    fn own_folder(&self, who: Who) -> PathBuf {
        self.home.path().join(format!("{}.d", who.namespace()))
    }

    /// What a line's words stand for.
    fn filled(&self, who: Who, text: &str) -> String {
        text.replace("{ns}", who.namespace())
            .replace("{home}", &self.own_folder(who).to_string_lossy())
            .replace("{url}", &self.url)
    }

    fn command(&self, who: Who, line: &str) -> Command {
        let mut command = match who {
            Who::Real => Command::new(self.play(who).program()),
            Who::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_tutor"));
                command.arg("kubectl");
                command
            }
        };
        let mut words = words(&self.filled(who, line));
        let variable = Regex::new("^[A-Z_]+=").unwrap();
        while words.first().is_some_and(|word| variable.is_match(word)) {
            let word = words.remove(0);
            let (name, value) = word.split_once('=').unwrap();
            command.env(name, value);
        }
        command
            .args(words)
            .env("KUBECONFIG", self.kubeconfig(who))
            .env("HOME", self.home.path())
            .env("TUTOR_STATE_DIR", self.home.path())
            .env_remove("DEBUG")
            .current_dir(folder().join("files"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, who: Who, line: &str) -> Printed {
        let (line, input) = match line.split_once(" < ") {
            Some((line, file)) => (line, fs::read_to_string(folder().join("files").join(file)).unwrap()),
            None => (line, String::new()),
        };
        let printed = ended(&mut self.command(who, line), &self.filled(who, &input));
        Printed { code: printed.code, out: self.normal(&printed.out), err: self.normal(&printed.err) }
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
        let header = Regex::new(r#" -H "[^"]*""#).unwrap();
        let line = |line: &str| {
            if line.trim_start().starts_with("curl -v ") {
                // The real one's headers come in the order of a Go map, which is none.
                let mut headers: Vec<&str> = header.find_iter(line).map(|found| found.as_str()).collect();
                headers.sort_unstable();
                return header.replace_all(line, "").into_owned() + &headers.concat();
            }
            if let Some(warnings) = line.strip_prefix("Warning: ") {
                // A drain's warnings come in the order of a Go map, too.
                let mut warnings: Vec<&str> = warnings.split("; ").collect();
                warnings.sort_unstable();
                return format!("Warning: {}", warnings.join("; "));
            }
            let varies =
                ["<", "--", "CLUSTER-IP", "  Reason  ", "LAST SEEN", "AGE "].iter().any(|mark| line.contains(mark));
            if varies { spaces.replace_all(line, "  ").trim_end().to_owned() } else { line.to_owned() }
        };
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    /// Runs a line by both; what differs in the answers or the exit code.
    fn other_answer(&self, line: &str) -> Option<String> {
        self.difference_of(line, |printed| (printed.code, printed.out.clone(), String::new()))
    }

    /// Runs a line by both; what differs in the answers, the messages or the exit code.
    pub fn difference(&self, line: &str) -> Option<String> {
        self.difference_of(line, |printed| (printed.code, printed.out.clone(), printed.err.clone()))
    }

    fn difference_of(&self, line: &str, told: impl Fn(&Printed) -> (i32, String, String)) -> Option<String> {
        let mut difference = None;
        for _ in 0..if only_looks(line) { LOOKS } else { 1 } {
            let (real, ours) = std::thread::scope(|scope| {
                let real = scope.spawn(|| self.run(Who::Real, line));
                (real.join().unwrap(), self.run(Who::Ours, line))
            });
            if told(&real) == told(&ours) {
                return None;
            }
            difference = Some(format!("kubectl {line}\n  real: {real:#?}\n  ours: {ours:#?}"));
        }
        difference
    }

    /// Runs each line of a list by both; tells every line of which something differs.
    fn compare(&self, list: &str) {
        self.compare_by(list, Self::difference);
    }

    fn compare_by(&self, list: &str, difference: impl Fn(&Self, &str) -> Option<String>) {
        let lines = lines(list);
        let faults: Vec<String> = lines.iter().filter_map(|line| difference(self, line)).collect();
        assert!(faults.is_empty(), "{} of {} lines differ:\n{}", faults.len(), lines.len(), faults.join("\n"));
    }
}

/// A web server with the files of `tests/kubectl/files`, for as long as this process lives.
fn serve_files() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
            let (status, body) = match fs::read(folder().join("files").join(&path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", b"no such file\n".to_vec()),
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            // A reader that has gone is its own affair.
            let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    format!("http://{address}")
}

#[test]
fn what_is_read_is_told_in_the_same_words() {
    let Some(play) = with_kubectl() else { return };
    Pair::of(&play).compare("read.txt");
}

#[test]
fn mistakes_are_told_in_the_same_words() {
    let Some(play) = with_kubectl() else { return };
    Pair::of(&play).compare("mistakes.txt");
}

#[test]
fn what_is_written_is_told_in_the_same_words() {
    let Some(play) = with_kubectl() else { return };
    // Messages are compared in the other lists.
    Pair::of(&play).compare_by("write.txt", Pair::other_answer);
}

#[test]
fn kubeconfigs_are_changed_in_the_same_way() {
    let Some(play) = with_kubectl() else { return };
    Pair::of(&play).compare("config.txt");
}

#[test]
fn what_belongs_together_is_kept_together_in_the_same_way() {
    let Some(play) = with_kubectl() else { return };
    Pair::of(&play).compare("sets.txt");
}

#[test]
fn requests_are_shown_in_the_same_way() {
    let Some(play) = with_kubectl() else { return };
    Pair::of(&play).compare("verbose.txt");
}

#[test]
fn what_is_used_is_told_in_the_same_words() {
    let (Some(theirs), Some(own)) = (with_kubectl(), with_kubectl()) else { return };
    Pair::apart([&theirs, &own]).compare("top.txt");
}

#[test]
fn preferences_hold_in_the_same_way() {
    let Some(play) = with_kubectl() else { return };
    Pair::of(&play).compare("kuberc.txt");
}

#[test]
fn nodes_are_changed_in_the_same_way() {
    let (Some(theirs), Some(own)) = (with_kubectl(), with_kubectl()) else { return };
    Pair::apart([&theirs, &own]).compare("nodes.txt");
}

/// A `kubectl proxy` that runs, and what it answers.
struct Proxy {
    child: std::process::Child,
    address: String,
}

impl Proxy {
    fn start(pair: &Pair<'_>, who: Who, flags: &str) -> Proxy {
        let mut child = pair.command(who, &format!("proxy --port=0 {flags}")).spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        Proxy { child, address: line.trim().rsplit(' ').next().unwrap().to_owned() }
    }

    /// The status line and the headers, and the body.
    fn ask(&self, method: &str, path: &str, host: &str) -> (String, String) {
        let mut stream = std::net::TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(crate::served::LONGEST)).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_proxy_passes_on_the_same_answers() {
    let Some(play) = with_kubectl() else { return };
    let pair = Pair::of(&play);
    let answers = [Who::Real, Who::Ours].map(|who| {
        let proxy = Proxy::start(&pair, who, "--reject-methods=DELETE");
        let ask = |method: &str, path: &str, host: &str| {
            let (head, body) = proxy.ask(method, path, host);
            (head.lines().next().unwrap_or_default().to_owned(), body.contains("\"default\""), body.len() > 20)
        };
        [
            ask("GET", "/api/v1/namespaces/default", "127.0.0.1"),
            ask("GET", "/apis", "localhost"),
            ask("GET", "/nothing", "127.0.0.1"),
            ask("GET", "/api", "evil.example"),
            ask("DELETE", "/api/v1/namespaces/default", "127.0.0.1"),
            ask("GET", "/api/v1/namespaces/default/pods/x/exec", "127.0.0.1"),
        ]
    });
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_proxy_serves_a_folder_of_files_in_the_same_way() {
    let Some(play) = with_kubectl() else { return };
    let pair = Pair::of(&play);
    let answers = [Who::Real, Who::Ours].map(|who| {
        let proxy = Proxy::start(&pair, who, "--www=. --www-prefix=/files/");
        let ask = |path: &str| {
            let (head, body) = proxy.ask("GET", path, "127.0.0.1");
            let said = |line: &&str| line.to_lowercase().starts_with("location:") || line.starts_with("HTTP/");
            (head.lines().filter(said).map(str::to_lowercase).collect::<Vec<_>>(), body)
        };
        // The one answer that differs: the real one sends a browser to the API's own path.
        let (outside, _) = ask("/files/../web.yaml");
        assert!(!outside[0].contains("200"), "{outside:?}");
        ["hello.txt", "nothing.txt", "", "folder", "folder/", "folder/a.yaml", "hello.txt/"]
            .map(|path| ask(&format!("/files/{path}")))
            .into_iter()
            .chain([ask("/files"), ask("/api/v1/namespaces/nothing")])
            .collect::<Vec<_>>()
    });
    assert_eq!(answers[0], answers[1]);
}
