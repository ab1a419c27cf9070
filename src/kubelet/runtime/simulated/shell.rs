//! A very small shell: enough of `sh` that a Pod's command behaves as it would, without a process.
//!
//! In: a command line, the environment, the files that volumes put there, the changes that others made to
//! them later, when it was told to end. Out: what is printed and when, which files exist at a time, and when it
//! ends with which code. Pure: [`Script::play`] computes what has happened by a time from nothing but those. It
//! knows `echo printf sleep exit true false : cat touch rm ls hostname date env printenv test trap exec tail`,
//! `;  &&  ||  |` (the last command speaks), `> >>`, `while`, `until`, `for` and `if`, `$(…)`, `$((…))` and
//! `${X:-…}`. Everything else is `not found`. A trap runs while a command sleeps, too: nobody but the script would
//! wait for that one. Limit: 20,000 commands; a script that runs on is taken to run for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::syntax::{Node, Over, STDERR, STDIN, Then, Writing, parse, quote};
use crate::kubelet::runtime::Stream;

mod expand;

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

/// What others did to a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// To its files, in order of time.
    pub changes: Vec<Change>,
    /// When it was sent TERM.
    pub term: Option<Duration>,
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

    /// What has happened `until` after the start, when others did this to it.
    pub fn play(&self, env: &BTreeMap<String, String>, files: Files, done: &Done, until: Duration) -> Played {
        let played = Played { files, env: env.clone(), ..Played::default() };
        let mut machine = Machine {
            played,
            changes: &done.changes,
            term: done.term,
            trap: None,
            at: Duration::ZERO,
            until,
            status: 0,
            commands: 0,
        };
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
    /// When TERM comes, until it has come.
    term: Option<Duration>,
    /// What it does then.
    trap: Option<String>,
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
                    Flow::Go => {
                        self.status = 0;
                        self.run(no)
                    }
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
            let Some(word) = self.expand(word) else { return Flow::Later };
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
        match self.pass(Duration::ZERO) {
            Flow::Go => {}
            other => return other,
        }
        self.take_changes(self.at.min(self.until));
        let Some(words) = words.iter().map(|word| self.expand(word)).collect::<Option<Vec<String>>>() else {
            return Flow::Later;
        };
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
                Some(Some(wait)) => match self.pass(wait) {
                    Flow::Go => {}
                    other => return other,
                },
                _ => self.status = 1,
            },
            "tail" if args.iter().any(|arg| arg == "-f" || arg == "-F") => {
                return match self.pass(Duration::MAX) {
                    Flow::Go => Flow::Later,
                    other => other,
                };
            }
            "trap" => self.set_trap(args),
            "exec" => {
                // Another program is there now, which has not heard of it.
                self.trap = None;
                return self.command(args, into, then);
            }
            name => self.built_in(name, args, &mut output, &mut errors),
        }
        if self.at > self.until {
            return Flow::Later;
        }
        self.print(Stream::Stderr, &errors);
        self.write(output, into, then);
        Flow::Go
    }

    /// Lets time pass. TERM may come meanwhile, and the trap runs then.
    fn pass(&mut self, wait: Duration) -> Flow {
        let end = self.at.saturating_add(wait);
        if let Some(came) = self.term.filter(|came| *came <= end && *came <= self.until) {
            self.term = None;
            if let Some(action) = self.trap.clone() {
                self.at = self.at.max(came);
                let status = self.status;
                match self.run(&parse(&action)) {
                    Flow::Go => self.status = status,
                    other => return other,
                }
            }
        }
        self.at = self.at.max(end);
        Flow::Go
    }

    /// `trap 'what to do' TERM`; `-` takes it back. Other signals are nobody's here.
    fn set_trap(&mut self, args: &[String]) {
        let Some((action, signals)) = args.split_first() else { return };
        if signals.iter().any(|signal| matches!(signal.as_str(), "TERM" | "SIGTERM" | "15")) {
            self.trap = Some(action.clone()).filter(|action| action != "-");
        }
    }

    fn built_in(&mut self, name: &str, args: &[String], output: &mut String, errors: &mut String) {
        match name {
            "true" | ":" | "set" | "export" | "mkdir" | "chmod" | "cd" | "wait" | "kill" => {
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
            "ls" => self.ls(args, output, errors),
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

    /// Names of files and of what is in folders; a folder is what files are in.
    fn ls(&mut self, args: &[String], output: &mut String, errors: &mut String) {
        let asked: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
        let all = args.iter().any(|arg| arg.starts_with('-') && arg.contains(['a', 'A']));
        for path in if asked.is_empty() { &["/"] } else { asked.as_slice() } {
            let folder = format!("{}/", path.trim_end_matches('/'));
            let inside = self.played.files.keys().filter_map(|file| file.strip_prefix(&folder)?.split('/').next());
            let names: BTreeSet<&str> = inside.filter(|name| all || !name.starts_with('.')).collect();
            if self.played.files.contains_key(*path) {
                output.push_str(&format!("{path}\n"));
            } else if !is_folder(&self.played.files, path) {
                self.status = 1;
                errors.push_str(&format!("ls: {path}: No such file or directory\n"));
            }
            if asked.len() > 1 && !names.is_empty() {
                output.push_str(&format!("{path}:\n"));
            }
            names.iter().for_each(|name| output.push_str(&format!("{name}\n")));
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
mod tests;
