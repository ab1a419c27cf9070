//! Walks a script's tree: processes, pipes, redirections, loops.
//!
//! In: a tree, streams. Out: an exit code. A part that POSIX runs in a subshell runs in a thread with a copy
//! of the shell: its own variables and folder, but the same process; so nothing here forks.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, ExitStatus};
use std::sync::Arc;

use super::builtin;
use super::io::{Io, file};
use super::syntax::{Body, Command, Item, Joint, List, Pipeline, Word};
use super::{pattern, trap};

/// Functions that call one another, at most.
const MOST_DEPTH: usize = 64;

/// A shell: what one script knows.
#[derive(Clone, Default)]
pub struct Shell {
    variables: BTreeMap<String, String>,
    exported: std::collections::BTreeSet<String>,
    pub(super) functions: HashMap<String, Command>,
    /// `$0`, `$1`, …
    pub arguments: Vec<String>,
    /// Where relative paths begin.
    pub cwd: PathBuf,
    /// `$?`
    pub status: i32,
    /// `set -e`
    pub(super) stop_on_error: bool,
    /// `set -u`
    pub(super) no_unset: bool,
    /// `set -x`
    pub(super) trace: bool,
    /// Children that nobody waited for yet.
    pub(super) children: Vec<Arc<parking_lot::Mutex<Child>>>,
    pub(super) traps: trap::Traps,
    depth: usize,
    /// In a condition, where a failure is an answer.
    asking: usize,
}

/// How a command left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To the next one.
    Go,
    /// Out of so many loops.
    Break(u32),
    /// To the next turn of that loop.
    Continue(u32),
    /// Out of the function.
    Return,
    /// Out of the shell.
    Exit,
}

impl Shell {
    /// A shell with the process's environment.
    pub fn new(arguments: Vec<String>) -> Shell {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let exported = variables.keys().cloned().collect();
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Shell { variables, exported, arguments, cwd, ..Shell::default() }
    }

    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "$" => Some(std::process::id().to_string()),
            "#" => Some(self.arguments.len().saturating_sub(1).to_string()),
            "@" | "*" => Some(self.arguments.get(1..).unwrap_or_default().join(" ")),
            "!" => self.children.last().map(|child| child.lock().id().to_string()),
            "-" => Some(String::new()),
            "PWD" => Some(self.cwd.display().to_string()),
            _ => match name.parse::<usize>() {
                Ok(number) => self.arguments.get(number).cloned(),
                Err(_) => self.variables.get(name).cloned(),
            },
        }
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn unset(&mut self, name: &str) {
        self.variables.remove(name);
        self.exported.remove(name);
    }

    pub(super) fn export(&mut self, name: &str) {
        self.exported.insert(name.to_owned());
    }

    pub(super) fn environment(&self) -> impl Iterator<Item = (&String, &String)> {
        self.variables.iter().filter(|(name, _)| self.exported.contains(*name))
    }

    pub(super) fn all_variables(&self) -> impl Iterator<Item = (&String, &String)> {
        self.variables.iter()
    }

    /// Runs a script's commands.
    pub fn run(&mut self, list: &List, io: &Io) -> Flow {
        for item in list {
            let flow = self.item(item, io);
            if flow != Flow::Go {
                return flow;
            }
            let flow = self.run_traps(io);
            if flow != Flow::Go {
                return flow;
            }
        }
        Flow::Go
    }

    /// A shell of its own with all that this one has, but for what this one does when it is sent a signal.
    pub(super) fn subshell(&self) -> Shell {
        let mut inner = self.clone();
        inner.traps.leave();
        inner
    }

    /// Runs it as a shell of its own; the code it ends with.
    pub fn run_subshell(&mut self, list: &List, io: Io) -> i32 {
        self.run(list, &io);
        self.status
    }

    fn item(&mut self, item: &Item, io: &Io) -> Flow {
        if item.background {
            self.in_background(item, io);
            return Flow::Go;
        }
        let last = item.chain.len() - 1;
        for (at, (joint, pipeline)) in item.chain.iter().enumerate() {
            let skip = match joint {
                Joint::Always => false,
                Joint::IfTrue => self.status != 0,
                Joint::IfFalse => self.status == 0,
            };
            if skip {
                continue;
            }
            let asks = usize::from(at < last || pipeline.negated);
            self.asking += asks;
            let flow = self.pipeline(pipeline, io);
            self.asking -= asks;
            if flow != Flow::Go {
                return flow;
            }
            if self.stop_on_error && self.status != 0 && self.asking == 0 && at == last && !pipeline.negated {
                return Flow::Exit;
            }
        }
        Flow::Go
    }

    /// A program runs beside; anything else in a thread, which ends with the shell.
    fn in_background(&mut self, item: &Item, io: &Io) {
        let nothing = File::open("/dev/null").map(Arc::new);
        let io = nothing.map_or_else(|_| io.clone(), |nothing| io.with(0, nothing));
        self.status = 0;
        if let [(_, Pipeline { commands, negated: false })] = item.chain.as_slice()
            && let [Command { body: Body::Simple { assignments, words }, redirects }] = commands.as_slice()
            && let Ok(ready) = self.redirected(redirects, &io)
            && let Ok(words) = self.expand_all(words, &ready)
            && let Some(program) = words.first().filter(|name| !self.is_own(name)).and_then(|name| self.find(name))
        {
            let mut inner = self.clone();
            inner.assign(assignments, &ready);
            if let Ok(child) = inner.process(&program, &words, &ready).spawn() {
                self.children.push(Arc::new(parking_lot::Mutex::new(child)));
                return;
            }
        }
        let (mut inner, mut item) = (self.subshell(), item.clone());
        item.background = false;
        let spawned = std::thread::Builder::new().spawn(move || _ = inner.item(&item, &io));
        self.status = i32::from(spawned.is_err());
    }

    fn pipeline(&mut self, pipeline: &Pipeline, io: &Io) -> Flow {
        let flow = match pipeline.commands.as_slice() {
            [only] => self.command(only, io),
            many => {
                self.piped(many, io);
                Flow::Go
            }
        };
        if pipeline.negated {
            self.status = i32::from(self.status == 0);
        }
        flow
    }

    fn piped(&mut self, commands: &[Command], io: &Io) {
        let shell = &*self;
        let status = std::thread::scope(|scope| {
            let mut input = io.get(0).cloned();
            let mut last = None;
            for (at, command) in commands.iter().enumerate() {
                let mut inner = shell.subshell();
                let mut io = match input.take() {
                    Some(input) => io.with(0, input),
                    None => io.clone(),
                };
                if at + 1 < commands.len() {
                    let Ok((reader, writer)) = std::io::pipe() else { return 2 };
                    io = io.with(1, file(writer));
                    input = Some(file(reader));
                }
                last = Some(scope.spawn(move || {
                    inner.command(command, &io);
                    inner.status
                }));
            }
            last.map_or(0, |last| last.join().unwrap_or(2))
        });
        self.status = status;
    }

    fn command(&mut self, command: &Command, io: &Io) -> Flow {
        let io = match self.redirected(&command.redirects, io) {
            Ok(io) => io,
            Err(why) => {
                self.complain(io, &why);
                self.status = 1;
                return Flow::Go;
            }
        };
        match &command.body {
            Body::Simple { assignments, words } => self.simple(assignments, words, &io),
            Body::Group(list) => self.run(list, &io),
            Body::Subshell(list) => {
                self.status = self.subshell().run_subshell(list, io);
                Flow::Go
            }
            Body::If { branches, otherwise } => self.condition(branches, otherwise, &io),
            Body::Loop { until, condition, body } => self.turns(*until, condition, body, &io),
            Body::For { name, words, body } => {
                let words = match words {
                    Some(words) => self.expand_all(words, &io),
                    None => Ok(self.arguments.get(1..).unwrap_or_default().to_vec()),
                };
                match words {
                    Ok(words) => self.each(name, words, body, &io),
                    Err(why) => self.fail(&io, &why),
                }
            }
            Body::Case { word, arms } => self.case(word, arms, &io),
            Body::Function { name, body } => {
                self.functions.insert(name.clone(), (**body).clone());
                self.status = 0;
                Flow::Go
            }
        }
    }

    fn condition(&mut self, branches: &[(List, List)], otherwise: &List, io: &Io) -> Flow {
        for (condition, body) in branches {
            let flow = self.ask(condition, io);
            if flow != Flow::Go {
                return flow;
            }
            if self.status == 0 {
                return self.run(body, io);
            }
        }
        self.status = 0;
        self.run(otherwise, io)
    }

    fn ask(&mut self, condition: &List, io: &Io) -> Flow {
        self.asking += 1;
        let flow = self.run(condition, io);
        self.asking -= 1;
        flow
    }

    fn turns(&mut self, until: bool, condition: &List, body: &List, io: &Io) -> Flow {
        let mut status = 0;
        loop {
            let flow = self.ask(condition, io);
            if flow != Flow::Go {
                return flow;
            }
            if (self.status == 0) == until {
                self.status = status;
                return Flow::Go;
            }
            match leave_turn(self.run(body, io)) {
                Ok(()) => status = self.status,
                Err(flow) => return flow,
            }
        }
    }

    fn each(&mut self, name: &str, words: Vec<String>, body: &List, io: &Io) -> Flow {
        self.status = 0;
        for word in words {
            self.set(name, &word);
            if let Err(flow) = leave_turn(self.run(body, io)) {
                return flow;
            }
        }
        Flow::Go
    }

    fn case(&mut self, word: &Word, arms: &[(Vec<Word>, List)], io: &Io) -> Flow {
        let text: Vec<char> = match self.expand(word, io) {
            Ok(text) => text.chars().collect(),
            Err(why) => return self.fail(io, &why),
        };
        for (patterns, body) in arms {
            for pattern in patterns {
                match self.expand_marked(pattern, io) {
                    Ok(pattern) if pattern::matches(&pattern, &text) => return self.run(body, io),
                    Ok(_) => {}
                    Err(why) => return self.fail(io, &why),
                }
            }
        }
        self.status = 0;
        Flow::Go
    }

    fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], io: &Io) -> Flow {
        let words = match self.expand_all(words, io) {
            Ok(words) => words,
            Err(why) => return self.fail(io, &why),
        };
        if self.trace && !words.is_empty() {
            io.print(2, &format!("+ {}\n", words.join(" ")));
        }
        let Some(name) = words.first() else {
            self.status = 0;
            self.assign(assignments, io);
            return Flow::Go;
        };
        if let Some(body) = self.functions.get(name).cloned() {
            self.assign(assignments, io);
            return self.call(&body, &words, io);
        }
        if builtin::is_builtin(name) {
            self.assign(assignments, io);
            return builtin::run(self, &words, io);
        }
        let Some(program) = self.find(name) else {
            self.complain(io, &format!("{name}: not found"));
            self.status = 127;
            return Flow::Go;
        };
        let mut inner = self.clone();
        inner.assign(assignments, io);
        for (name, _) in assignments {
            inner.export(name);
        }
        self.status = match inner.process(&program, &words, io).spawn() {
            Ok(mut child) => child.wait().map_or(126, code),
            Err(error) => {
                self.complain(io, &format!("{name}: {}", plain(&error)));
                126
            }
        };
        Flow::Go
    }

    fn call(&mut self, body: &Command, words: &[String], io: &Io) -> Flow {
        if self.depth >= MOST_DEPTH {
            return self.fail(io, "functions call one another too often");
        }
        let mut arguments = vec![self.arguments.first().cloned().unwrap_or_default()];
        arguments.extend_from_slice(&words[1..]);
        let before = std::mem::replace(&mut self.arguments, arguments);
        self.depth += 1;
        let flow = self.command(body, io);
        self.depth -= 1;
        self.arguments = before;
        if flow == Flow::Exit { Flow::Exit } else { Flow::Go }
    }

    fn assign(&mut self, assignments: &[(String, Word)], io: &Io) {
        for (name, word) in assignments {
            match self.expand(word, io) {
                Ok(value) => self.set(name, &value),
                Err(why) => {
                    self.complain(io, &why);
                    self.status = 2;
                }
            }
        }
    }

    fn is_own(&self, name: &str) -> bool {
        self.functions.contains_key(name) || builtin::is_builtin(name)
    }

    /// The program of that name.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let runs =
            |path: &Path| std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
        if name.contains('/') {
            return Some(self.cwd.join(name)).filter(|path| path.exists());
        }
        let path = self.get("PATH").unwrap_or_else(|| "/usr/local/bin:/bin".to_owned());
        path.split(':').map(|folder| self.cwd.join(folder).join(name)).find(|path| runs(path))
    }

    /// A program, ready to start.
    pub(super) fn process(&self, program: &Path, words: &[String], io: &Io) -> Process {
        let mut process = Process::new(program);
        process.arg0(&words[0]).args(&words[1..]).current_dir(&self.cwd).env_clear().envs(self.environment());
        let stream = |number: u32| {
            let copy = io.get(number).and_then(|stream| stream.try_clone().ok());
            copy.map_or_else(std::process::Stdio::null, std::process::Stdio::from)
        };
        process.stdin(stream(0)).stdout(stream(1)).stderr(stream(2));
        process
    }

    pub(super) fn complain(&self, io: &Io, why: &str) {
        io.print(2, &format!("sh: {why}\n"));
    }

    /// An expansion went wrong: a script ends there.
    fn fail(&mut self, io: &Io, why: &str) -> Flow {
        self.complain(io, why);
        self.status = 2;
        Flow::Exit
    }
}

/// What a loop does after a turn: the next one, or leave.
fn leave_turn(flow: Flow) -> Result<(), Flow> {
    match flow {
        Flow::Go | Flow::Continue(1) => Ok(()),
        Flow::Break(1) => Err(Flow::Go),
        Flow::Break(more) => Err(Flow::Break(more - 1)),
        Flow::Continue(more) => Err(Flow::Continue(more - 1)),
        other => Err(other),
    }
}

/// An exit code, 128 + signal when a signal ended it.
pub(super) fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// An error without Rust's number of it.
pub(super) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
