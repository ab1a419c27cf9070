//! Runs what `syntax` has read: variables, pipes, redirections, loops. Never a process of this machine.
//!
//! In: a script, and where its streams lead. Out: an exit code. A name is one of the programs in
//! `programs`, or it is not found: there is no way from here to a shell of the machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::World;
use super::editor::Editing;
use super::home::{Home, LONGEST_FILE};
use super::pipes::{Chunk, Ended, Fault, In, Out, input, pipe, read_all, way_out};
use super::programs::{self, Call};
use super::syntax::{Command, Kind, Piece, Redirect, Script, Step, Stream, When, Word};

/// The most words one command may have.
const MOST_WORDS: usize = 4_096;
/// The most turns of a loop that never waits.
const MOST_TURNS: usize = 100_000;

/// What a tab of the terminal remembers from line to line.
#[derive(Debug, Default)]
pub struct State {
    /// Variables.
    pub variables: BTreeMap<String, String>,
    /// The folder it is in, from the home.
    pub folder: PathBuf,
    /// The last exit code.
    pub code: i32,
}

/// A terminal as programs see it. Cheap to clone.
#[derive(Clone)]
pub struct Screen {
    /// Width and height, and each later one.
    pub sizes: watch::Receiver<(u16, u16)>,
    /// Told when a program wants each key as it is pressed, and when no longer.
    pub raw: mpsc::UnboundedSender<bool>,
    /// Opens the page's editor.
    pub editor: mpsc::UnboundedSender<Editing>,
}

/// Where a command runs. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The playground.
    pub world: Arc<World>,
    /// The tab's memory.
    pub state: Arc<Mutex<State>>,
    /// The tab's screen.
    pub screen: Screen,
    /// What is typed or piped in.
    pub stdin: In,
    /// Answers.
    pub out: Out,
    /// Messages.
    pub err: Out,
    /// Whether standard input is the terminal.
    pub typed: bool,
    /// Whether standard output is the terminal.
    pub shown: bool,
    /// Cancelled by Ctrl-C.
    pub stop: CancellationToken,
}

impl Context {
    /// Runs a script to its end; its exit code.
    pub async fn run(&self, script: &Script) -> i32 {
        match self.script(script).await {
            Ok(code) => code,
            Err(Fault::Gone) => 141,
            Err(Fault::Said(why)) => {
                // Nobody is left to tell when the terminal is gone.
                let _ = self.err.write(format!("{why}\n")).await;
                1
            }
        }
    }

    /// Steps of a script; a loop or a condition runs its parts with it.
    pub fn script<'a>(&'a self, script: &'a Script) -> BoxFuture<'a, Ended> {
        Box::pin(async move {
            let mut code = 0;
            for step in &script.0 {
                let runs = match step.when {
                    When::Always => true,
                    When::IfTrue => code == 0,
                    When::IfFalse => code != 0,
                };
                if runs {
                    code = self.step(step).await?;
                    self.state.lock().code = code;
                }
            }
            Ok(code)
        })
    }

    async fn step(&self, step: &Step) -> Ended {
        let count = step.commands.len();
        let mut stages = Vec::new();
        let mut stdin = None;
        for (at, command) in step.commands.iter().enumerate() {
            let mut here = self.clone();
            if let Some(stdin) = stdin.take() {
                (here.stdin, here.typed) = (stdin, false);
            }
            if at + 1 < count {
                let (out, next) = pipe();
                (here.out, here.shown) = (out, false);
                stdin = Some(next);
            }
            // Each stage owns its ends, so that its neighbours see when it is done.
            stages.push(async move { here.command(command).await });
        }
        let mut ended = join_all(stages).await;
        let last = ended.pop().unwrap_or(Ok(0));
        for early in ended {
            if let Err(Fault::Said(why)) = early {
                self.err.write(format!("{why}\n")).await?;
            }
        }
        let code = last?;
        Ok(if step.negated { i32::from(code == 0) } else { code })
    }

    async fn command(mut self, command: &Command) -> Ended {
        let mut files = Vec::new();
        for redirect in &command.redirects {
            match redirect {
                Redirect::From(word) => {
                    let path = self.one(word).await?;
                    let bytes = match path.as_str() {
                        "/dev/null" => Vec::new(),
                        path => self.read_file(path)?,
                    };
                    (self.stdin, self.typed) = (input(bytes), false);
                }
                Redirect::Here(word) => {
                    (self.stdin, self.typed) = (input(self.one(word).await?.into_bytes()), false);
                }
                Redirect::ErrorsToOutput => self.err = self.out.clone(),
                Redirect::OutputToErrors => self.out = self.err.clone(),
                Redirect::Into { stream, file, append } => {
                    let (out, chunks) = way_out();
                    match stream {
                        Stream::Out => (self.out, self.shown) = (out, false),
                        Stream::Err => self.err = out,
                    }
                    files.push((self.one(file).await?, *append, chunks));
                }
            }
        }
        let (world, folder) = (self.world.clone(), self.state.lock().folder.clone());
        let kept = files.into_iter().map(|(path, append, chunks)| {
            let (home, inside) = (world.home.clone(), Home::inside(&folder, &path));
            async move { keep(&home, &path, &inside, append, chunks).await }
        });
        let (ended, kept) = futures::join!(async move { self.kind(&command.kind).await }, join_all(kept));
        kept.into_iter().collect::<Result<Vec<()>, Fault>>()?;
        ended
    }

    async fn kind(&self, kind: &Kind) -> Ended {
        match kind {
            Kind::Simple { assignments, words } => self.simple(assignments, words).await,
            Kind::Group(script) => self.script(script).await,
            Kind::If { condition, yes, no } => {
                let chosen = if self.script(condition).await? == 0 { yes } else { no };
                self.script(chosen).await
            }
            Kind::For { name, words, body } => {
                let mut code = 0;
                for value in self.fields(words).await? {
                    self.state.lock().variables.insert(name.clone(), value);
                    code = self.script(body).await?;
                }
                Ok(code)
            }
            Kind::While { goes_on, condition, body } => {
                let mut code = 0;
                for _ in 0..MOST_TURNS {
                    if (self.script(condition).await? == 0) != *goes_on {
                        return Ok(code);
                    }
                    code = self.script(body).await?;
                    // A loop of programs that never wait must not keep the others from running.
                    tokio::task::yield_now().await;
                }
                Err(Fault::Said(format!("the loop was ended after {MOST_TURNS} turns")))
            }
        }
    }

    async fn simple(&self, assignments: &[(String, Word)], words: &[Word]) -> Ended {
        let words = self.fields(words).await?;
        for (name, value) in assignments {
            let value = self.one(value).await?;
            self.state.lock().variables.insert(name.clone(), value);
        }
        let Some((name, arguments)) = words.split_first() else { return Ok(0) };
        self.program(name, arguments).await
    }

    /// Runs one program.
    pub async fn program(&self, name: &str, arguments: &[String]) -> Ended {
        let Some(program) = programs::find(name) else {
            self.err.write(format!("{name}: not found\n{}\n", programs::instead(name))).await?;
            return Ok(127);
        };
        let call = Call { arguments: arguments.to_vec(), context: self.clone() };
        match (program.run)(&call).await {
            Err(Fault::Said(why)) => {
                self.err.write(format!("{name}: {why}\n")).await?;
                Ok(1)
            }
            ended => ended,
        }
    }

    /// A file of the terminal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, Fault> {
        let inside = Home::inside(&self.state.lock().folder, path);
        self.world.home.read(&inside).map_err(|fault| Fault::Said(format!("{path}: {fault}")))
    }

    /// A word as one text.
    async fn one(&self, word: &Word) -> Result<String, Fault> {
        let mut text = String::new();
        for piece in &word.0 {
            text.push_str(&self.piece(piece).await?.0);
        }
        Ok(text)
    }

    async fn fields(&self, words: &[Word]) -> Result<Vec<String>, Fault> {
        let mut fields = Vec::new();
        for word in words {
            let (mut field, mut pattern) = (None::<String>, false);
            for piece in &word.0 {
                let (text, splits) = self.piece(piece).await?;
                if !splits {
                    pattern |= matches!(piece, Piece::Text { quoted: false, .. }) && text.contains(['*', '?']);
                    field.get_or_insert_default().push_str(&text);
                    continue;
                }
                let mut parts = text.split_ascii_whitespace().peekable();
                if text.starts_with(|c: char| c.is_ascii_whitespace()) {
                    fields.extend(field.take());
                }
                while let Some(part) = parts.next() {
                    field.get_or_insert_default().push_str(part);
                    if parts.peek().is_some() || text.ends_with(|c: char| c.is_ascii_whitespace()) {
                        fields.extend(field.take());
                    }
                }
            }
            match field {
                Some(field) if pattern => fields.extend(self.files_like(field)),
                field => fields.extend(field),
            }
            if fields.len() > MOST_WORDS {
                return Err(Fault::Said(format!("a command has at most {MOST_WORDS} words")));
            }
        }
        Ok(fields)
    }

    /// The text of a piece, and whether blanks in it end words.
    async fn piece(&self, piece: &Piece) -> Result<(String, bool), Fault> {
        Ok(match piece {
            Piece::Text { text, quoted } => {
                let home = !quoted && (text == "~" || text.starts_with("~/"));
                (if home { text.replacen('~', "/", 1).replacen("//", "/", 1) } else { text.clone() }, false)
            }
            Piece::Variable { name, quoted } => {
                let state = self.state.lock();
                let text = match name.as_str() {
                    "?" => state.code.to_string(),
                    "PWD" => format!("/{}", state.folder.display()),
                    "HOME" => "/".to_owned(),
                    name => state.variables.get(name).cloned().unwrap_or_default(),
                };
                (text, !quoted)
            }
            Piece::Output { script, quoted } => {
                let (out, inside) = pipe();
                let here = Context { out, shown: false, ..self.clone() };
                let (_, bytes) = futures::join!(async move { here.run(script).await }, read_all(&inside));
                let text = String::from_utf8_lossy(&bytes?).trim_end_matches('\n').to_owned();
                (text, !quoted)
            }
        })
    }

    /// The files that a pattern fits; the pattern itself when there is none.
    fn files_like(&self, pattern: String) -> Vec<String> {
        let (folder, last) = pattern.rsplit_once('/').map_or(("", pattern.as_str()), |(folder, last)| (folder, last));
        let inside = Home::inside(&self.state.lock().folder, if folder.is_empty() { "." } else { folder });
        let names = self.world.home.list(&inside).unwrap_or_default();
        let fits = |name: &String| fits(last.as_bytes(), name.as_bytes()) && !name.starts_with('.');
        let found: Vec<String> = names
            .into_iter()
            .filter(fits)
            .map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") })
            .collect();
        if found.is_empty() { vec![pattern] } else { found }
    }
}

/// Whether a name fits a pattern of `*` and `?`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut star, mut tried) = (0, None, 0);
    let mut next = 0;
    while next < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some(at);
                tried = next;
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[next] => {
                at += 1;
                next += 1;
            }
            _ => match star {
                Some(star) => {
                    tried += 1;
                    (at, next) = (star + 1, tried);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

/// Writes what comes to a file, once it has ended.
async fn keep(
    home: &Home,
    path: &str,
    inside: &std::path::Path,
    append: bool,
    mut chunks: mpsc::Receiver<Chunk>,
) -> Result<(), Fault> {
    let complain = |fault: std::io::Error| Fault::Said(format!("{path}: {fault}"));
    let discard = path == "/dev/null";
    let mut bytes = if append && !discard { home.read(inside).unwrap_or_default() } else { Vec::new() };
    while let Some(chunk) = chunks.recv().await {
        let more = match chunk {
            Chunk::Text(_, more) => more,
            Chunk::Frame(text) => text.into(),
            Chunk::Clear => continue,
        };
        if !discard && bytes.len() <= LONGEST_FILE {
            bytes.extend_from_slice(&more);
        }
    }
    if discard { Ok(()) } else { home.write(inside, &bytes).map_err(complain) }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, expected) in [
            ("*.yaml", "web.yaml", true),
            ("*.yaml", "web.yml", false),
            ("w?b*", "web.yaml", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b", "abc", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert!(!fits(&b"*a".repeat(2_000), &b"b".repeat(20_000)));
    }
}
