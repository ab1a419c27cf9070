//! A very small shell: enough of `sh` that a Pod's command behaves as it would, without a process.
//!
//! In: a command line, the environment, the files that volumes put there, the changes that others made to
//! them later. Out: what is printed and when, which files exist at a time, and when it ends with which
//! code. Pure: [`Script::play`] computes what has happened by a time from nothing but those. It knows `echo printf sleep exit true false
//! : cat touch rm ls hostname date env printenv test trap exec tail`, `;  &&  ||  |` (the last command
//! speaks), `> >>`, `while`, `until`, `for` and `if`. Everything else is `not found`. Limit: 20,000
//! commands; a script that runs on is taken to run for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use super::syntax::{Node, Over, STDERR, STDIN, Then, Writing, parse, quote};
use crate::kubelet::runtime::Stream;

const MOST_COMMANDS: usize = 20_000;
/// What a turn of a loop takes when nothing in it takes time.
const SHORTEST_TURN: Duration = Duration::from_millis(100);

/// A parsed script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(Vec<Node>);

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A file that somebody else (an exec, a volume) wrote or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, after the start.
    pub at: Duration,
    /// Which file.
    pub path: String,
    /// What it holds; `None`: it is gone.
    pub content: Option<Vec<u8>>,
}

/// A line that was printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// When, after the start.
    pub at: Duration,
    /// Where.
    pub stream: Stream,
    /// Without its end.
    pub text: String,
}

/// What has happened by a time.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// What was printed, in order.
    pub lines: Vec<Printed>,
    /// Files by path.
    pub files: Files,
    /// When it ended, and with which code.
    pub ended: Option<(Duration, i32)>,
    /// True when it ended because it said `exit`.
    pub exited: bool,
    /// True once it asked to be told of TERM.
    pub heeds_term: bool,
    /// The variables as they are then.
    pub env: BTreeMap<String, String>,
}

impl Script {
    /// Parses `sh -c` text.
    pub fn parse(text: &str) -> Script {
        Script(parse(text))
    }

    /// One command, not through a shell.
    pub fn command(words: &[String]) -> Script {
        let words = words.iter().map(|word| quote(word)).collect();
        Script(vec![Node::Command { words, into: None, then: Then::Always }])
    }

    /// Whether a command of it reads standard input.
    pub fn reads_input(&self) -> bool {
        fn any(nodes: &[Node]) -> bool {
            nodes.iter().any(|node| match node {
                Node::Command { words, .. } => words.len() == 1 && words[0] == "cat",
                Node::Loop { over, body } => {
                    any(body) || matches!(over, Over::While(condition) | Over::Until(condition) if any(condition))
                }
                Node::If { condition, yes, no } => any(condition) || any(yes) || any(no),
            })
        }
        any(&self.0)
    }

    /// What has happened `until` after the start, when others made these changes, in order of time.
    pub fn play(&self, env: &BTreeMap<String, String>, files: Files, changes: &[Change], until: Duration) -> Played {
        let played = Played { files, env: env.clone(), ..Played::default() };
        let mut machine = Machine { played, changes, at: Duration::ZERO, until, status: 0, commands: 0 };
        let flow = machine.run(&self.0);
        let code = match flow {
            Flow::Go => Some(machine.status),
            Flow::Exit(code) => Some(code),
            Flow::Later => None,
        };
        machine.played.exited = matches!(flow, Flow::Exit(_));
        machine.played.ended = code.map(|code| (machine.at, code));
        machine.take_changes(until);
        machine.played
    }
}

enum Flow {
    Go,
    Exit(i32),
    /// Past the time that was asked about.
    Later,
}

struct Machine<'a> {
    played: Played,
    /// Those that have not been seen yet.
    changes: &'a [Change],
    at: Duration,
    until: Duration,
    status: i32,
    commands: usize,
}

impl Machine<'_> {
    fn take_changes(&mut self, until: Duration) {
        while let Some((change, later)) = self.changes.split_first().filter(|(change, _)| change.at <= until) {
            match &change.content {
                Some(content) => _ = self.played.files.insert(change.path.clone(), content.clone()),
                None => _ = self.played.files.remove(&change.path),
            }
            self.changes = later;
        }
    }

    fn run(&mut self, nodes: &[Node]) -> Flow {
        let mut skip = false;
        for node in nodes {
            let flow = match node {
                Node::Command { words, into, then } => {
                    let skipped = std::mem::replace(&mut skip, false);
                    let flow = if skipped { Flow::Go } else { self.command(words, into.as_ref(), *then) };
                    skip = match then {
                        Then::IfTrue => self.status != 0,
                        Then::IfFalse => self.status == 0,
                        Then::Always | Then::Pipe => false,
                    };
                    flow
                }
                Node::Loop { over, body } => self.turns(over, body),
                Node::If { condition, yes, no } => match self.run(condition) {
                    Flow::Go if self.status == 0 => self.run(yes),
                    Flow::Go => self.run(no),
                    other => other,
                },
            };
            if !matches!(flow, Flow::Go) {
                return flow;
            }
        }
        Flow::Go
    }

    fn turns(&mut self, over: &Over, body: &[Node]) -> Flow {
        let (condition, goes_on) = match over {
            Over::While(condition) => (condition, 0),
            Over::Until(condition) => (condition, 1),
            Over::Words { name, words } => return self.each_word(name, words, body),
        };
        loop {
            let began = self.at;
            match self.run(condition) {
                Flow::Go if self.status.min(1) != goes_on => {
                    self.status = 0;
                    return Flow::Go;
                }
                Flow::Go => {}
                other => return other,
            }
            match self.run(body) {
                Flow::Go => {}
                other => return other,
            }
            if self.at == began {
                self.at += SHORTEST_TURN;
            }
            if self.at > self.until {
                return Flow::Later;
            }
        }
    }

    fn each_word(&mut self, name: &str, words: &[String], body: &[Node]) -> Flow {
        for word in words {
            let word = self.expand(word);
            self.played.env.insert(name.to_owned(), word);
            match self.run(body) {
                Flow::Go => {}
                other => return other,
            }
        }
        Flow::Go
    }

    fn command(&mut self, words: &[String], into: Option<&(String, Writing)>, then: Then) -> Flow {
        self.commands += 1;
        if self.commands > MOST_COMMANDS {
            return Flow::Later;
        }
        self.take_changes(self.at.min(self.until));
        let words: Vec<String> = words.iter().map(|word| self.expand(word)).collect();
        let mut words: &[String] = &words;
        while let Some((name, value)) = words.first().and_then(|word| assignment(word)) {
            self.played.env.insert(name.to_owned(), value.to_owned());
            words = &words[1..];
        }
        let Some((name, args)) = words.split_first() else { return Flow::Go };
        let (mut output, mut errors) = (String::new(), String::new());
        self.status = 0;
        match name.rsplit('/').next().unwrap_or(name) {
            "exit" => return Flow::Exit(args.first().and_then(|code| code.parse().ok()).unwrap_or(0)),
            "sleep" => match args.first().map(|text| seconds(text)) {
                Some(Some(wait)) => self.at = self.at.saturating_add(wait),
                _ => self.status = 1,
            },
            "tail" if args.iter().any(|arg| arg == "-f" || arg == "-F") => return Flow::Later,
            "trap" => self.played.heeds_term = true,
            "exec" => return self.command(args, into, then),
            name => self.built_in(name, args, &mut output, &mut errors),
        }
        if self.at > self.until {
            return Flow::Later;
        }
        self.print(Stream::Stderr, &errors);
        self.write(output, into, then);
        Flow::Go
    }

    fn built_in(&mut self, name: &str, args: &[String], output: &mut String, errors: &mut String) {
        match name {
            "true" | ":" | "set" | "export" | "mkdir" | "chmod" | "cd" | "wait" => {
                for (name, value) in args.iter().filter_map(|word| assignment(word)) {
                    self.played.env.insert(name.to_owned(), value.to_owned());
                }
            }
            "false" => self.status = 1,
            "echo" => {
                let args = args.iter().filter(|arg| !matches!(arg.as_str(), "-n" | "-e" | "-ne"));
                *output = args.cloned().collect::<Vec<_>>().join(" ") + "\n";
            }
            "printf" => *output = args.join(" ").replace("\\n", "\n"),
            "touch" => args.iter().for_each(|path| _ = self.played.files.entry(path.clone()).or_default()),
            "rm" => args.iter().for_each(|path| _ = self.played.files.remove(path)),
            "cat" => self.cat(args, output, errors),
            "ls" => {
                let here = |path: &&String| args.iter().all(|arg| arg.starts_with('-') || path.starts_with(arg));
                let found: Vec<&String> = self.played.files.keys().filter(here).collect();
                self.status = i32::from(found.is_empty() && !args.is_empty());
                found.iter().for_each(|path| output.push_str(&format!("{path}\n")));
            }
            "test" | "[" => self.status = i32::from(!self.test(args)),
            "hostname" => *output = format!("{}\n", self.played.env.get("HOSTNAME").map_or("", String::as_str)),
            "date" => *output = format!("{}s after the start\n", self.at.as_secs()),
            "env" | "printenv" => match args.first() {
                None => self.played.env.iter().for_each(|(name, value)| output.push_str(&format!("{name}={value}\n"))),
                Some(name) => match self.played.env.get(name) {
                    Some(value) => *output = format!("{value}\n"),
                    None => self.status = 1,
                },
            },
            other => {
                *errors = format!("sh: {other}: not found\n");
                self.status = 127;
            }
        }
    }

    fn cat(&mut self, args: &[String], output: &mut String, errors: &mut String) {
        if args.is_empty() {
            let input = self.played.files.remove(STDIN).unwrap_or_default();
            output.push_str(&String::from_utf8_lossy(&input));
        }
        for path in args {
            match self.played.files.get(path) {
                Some(text) => output.push_str(&String::from_utf8_lossy(text)),
                None => {
                    errors.push_str(&format!("cat: can't open '{path}': No such file or directory\n"));
                    self.status = 1;
                }
            }
        }
    }

    fn test(&self, args: &[String]) -> bool {
        let args: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "]").collect();
        match args.as_slice() {
            ["-d", path] => is_folder(&self.played.files, path),
            ["-e", path] => self.played.files.contains_key(*path) || is_folder(&self.played.files, path),
            ["-f", path] => self.played.files.contains_key(*path),
            ["!", "-f" | "-e", path] => !self.played.files.contains_key(*path),
            ["-z", text] => text.is_empty(),
            ["-n", text] | [text] => !text.is_empty(),
            [left, "=" | "==", right] => left == right,
            [left, "!=", right] => left != right,
            [left, operator, right] => match (left.parse::<i64>(), right.parse::<i64>()) {
                (Ok(left), Ok(right)) => match *operator {
                    "-eq" => left == right,
                    "-ne" => left != right,
                    "-lt" => left < right,
                    "-le" => left <= right,
                    "-gt" => left > right,
                    "-ge" => left >= right,
                    _ => false,
                },
                _ => false,
            },
            _ => false,
        }
    }

    fn write(&mut self, output: String, into: Option<&(String, Writing)>, then: Then) {
        match into {
            Some((path, _)) if path == STDERR => self.print(Stream::Stderr, &output),
            Some((path, _)) if path.starts_with("/dev/") => {}
            Some((path, Writing::New)) => _ = self.played.files.insert(path.clone(), output.into_bytes()),
            Some((path, Writing::Append)) => {
                self.played.files.entry(path.clone()).or_default().extend_from_slice(output.as_bytes());
            }
            None if then == Then::Pipe => {}
            None => self.print(Stream::Stdout, &output),
        }
    }

    fn print(&mut self, stream: Stream, text: &str) {
        let at = self.at;
        self.played.lines.extend(text.lines().map(|line| Printed { at, stream, text: line.to_owned() }));
    }

    /// Puts in variables: `$NAME`, `${NAME}`, `$(hostname)`, `$(date)`, `$?`.
    fn expand(&self, word: &str) -> String {
        let mut expanded = String::new();
        let mut rest = word;
        let variable = |name: &str| self.played.env.get(name).map_or("", String::as_str);
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some((inside, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
                match inside.trim() {
                    "hostname" => expanded.push_str(variable("HOSTNAME")),
                    "date" => expanded.push_str(&format!("{}s", self.at.as_secs())),
                    name => expanded.push_str(variable(name)),
                }
                rest = after;
            } else if let Some((inside, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                expanded.push_str(variable(inside));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('?') {
                expanded.push_str(&self.status.to_string());
                rest = after;
            } else {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                expanded.push_str(variable(&rest[..end]));
                rest = &rest[end..];
            }
        }
        expanded.push_str(rest);
        super::syntax::unquote(&expanded)
    }
}

/// Whether there is a folder: one that every image has, or one with a file in it.
pub fn is_folder(files: &Files, path: &str) -> bool {
    const ALWAYS: [&str; 10] = ["", "/bin", "/dev", "/etc", "/home", "/root", "/run", "/tmp", "/usr", "/var"];
    let path = path.trim_end_matches('/');
    ALWAYS.contains(&path) || files.keys().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

/// `5`, `0.5`, `2m`, `1h`, `infinity`.
pub fn seconds(text: &str) -> Option<Duration> {
    if text == "infinity" || text == "inf" {
        return Some(Duration::from_secs(u64::from(u32::MAX)));
    }
    let (number, unit) = if let Some(number) = text.strip_suffix("ms") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60.0)
    } else if let Some(number) = text.strip_suffix('h') {
        (number, 3600.0)
    } else {
        (text, 1.0)
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, changes: &[Change], until: u64) -> Played {
        let env = BTreeMap::from([("NAME".to_owned(), "ada".to_owned())]);
        Script::parse(text).play(&env, Files::new(), changes, Duration::from_secs(until))
    }

    fn played(text: &str, until: u64) -> Played {
        changed(text, &[], until)
    }

    #[test]
    fn a_script_sees_what_others_write_from_then_on() {
        let text = "while [ ! -f /go ]; do sleep 1; done; cat /go; sleep 5";
        let change = |at: u64, content: Option<&str>| Change {
            at: Duration::from_secs(at),
            path: "/go".into(),
            content: content.map(|text| text.as_bytes().to_vec()),
        };
        let changes = [change(3, Some("now\n")), change(6, None)];
        let before = changed(text, &changes, 2);
        assert!(before.ended.is_none() && before.files.is_empty());
        let after = changed(text, &changes, 60);
        assert_eq!(after.lines.iter().map(|line| (line.at.as_secs(), &*line.text)).collect::<Vec<_>>(), [(3, "now")]);
        assert_eq!(after.ended, Some((Duration::from_secs(8), 0)));
        assert!(after.files.is_empty());
    }

    #[test]
    fn scripts_end_as_they_would() {
        for (text, ended, lines) in [
            ("exit 3", Some((0, 3)), vec![]),
            ("false", Some((0, 1)), vec![]),
            ("true", Some((0, 0)), vec![]),
            ("sleep 5; exit 1", Some((5, 1)), vec![]),
            ("echo hello $NAME; exit 2", Some((0, 2)), vec!["hello ada"]),
            ("echo \"hello ${NAME}\" 'and $NAME'", Some((0, 0)), vec!["hello ada and $NAME"]),
            ("false || echo saved", Some((0, 0)), vec!["saved"]),
            ("false && echo never; echo end", Some((0, 0)), vec!["end"]),
            ("sleep 3600", None, vec![]),
            ("nonsense", Some((0, 127)), vec!["sh: nonsense: not found"]),
            ("while true; do echo tick; sleep 5; done", None, vec!["tick", "tick", "tick"]),
            ("for i in 1 2 3; do echo $i; sleep 1; done", Some((3, 0)), vec!["1", "2", "3"]),
            ("if [ -f /x ]; then echo yes; else echo no; fi", Some((0, 0)), vec!["no"]),
            ("touch /x && cat /x > /y; test -f /y && echo there", Some((0, 0)), vec!["there"]),
            ("echo wrong >&2; echo fine 2>&1; cat; exit 3", Some((0, 3)), vec!["wrong", "fine"]),
            ("tail -f /dev/null", None, vec![]),
            ("while true; do :; done", None, vec![]),
        ] {
            let played = played(text, 10);
            assert_eq!(played.ended.map(|(at, code)| (at.as_secs(), code)), ended, "{text}");
            assert_eq!(played.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), lines, "{text}");
        }
    }

    #[test]
    fn files_come_and_go_with_time() {
        let text = "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600";
        assert!(played(text, 29).files.contains_key("/tmp/healthy"));
        assert!(!played(text, 31).files.contains_key("/tmp/healthy"));
    }
}
