//! tutor's commands as the page's terminal runs them: the same ones, with other streams.
//!
//! In: words, and where the answers go. Out: an exit code. What would read files of this machine, start a
//! playground or reach another cluster stays with the reader's own shell.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::image::Desk;
use super::{Arguments, Command, Outcome, in_words, next, one_thread};
use crate::cluster;
use crate::course::catalogue::Catalogue;
use crate::error::{Error, Result};
use crate::images::Logins;
use crate::state::StateDir;
use crate::tasks::TaskGroup;
use crate::web::terminal::Commands;
use crate::web::terminal::home::Home;
use crate::web::terminal::pipes::Out;

/// Flags that reach out of the playground.
const OUTSIDE: [&str; 4] = ["--state-dir", "--file", "--context", "--kubeconfig"];
/// Commands for a shell of the machine.
const ELSEWHERE: [&str; 4] = ["serve", "init", "dev", "completions"];
/// Commands whose argument is an exercise.
const OF_EXERCISES: [&str; 5] = ["start", "check", "hint", "solution", "reset"];

/// tutor's commands on this state folder; `program` is tutor's executable.
pub fn commands(state: StateDir, tasks: &TaskGroup, program: PathBuf) -> Arc<dyn Commands> {
    Arc::new(Here { state, tasks: tasks.clone(), program })
}

struct Here {
    state: StateDir,
    tasks: TaskGroup,
    program: PathBuf,
}

impl Commands for Here {
    fn run(
        &self,
        words: Vec<String>,
        folder: PathBuf,
        out: Out,
        err: Out,
        stop: CancellationToken,
    ) -> BoxFuture<'static, i32> {
        let (state, tasks) = (self.state.clone(), self.tasks.clone());
        let files = Home::of(state.path()).root().display().to_string();
        Box::pin(async move {
            let messages = err.clone();
            let work = move || {
                let mut answers = Pipe { out, gone: false };
                let place = Place { folder, err };
                (run(&words, &state, &place, &mut answers, stop), answers.gone)
            };
            let (code, text) = match tasks.blocking(work).await {
                // Whoever read has heard enough: `tutor list | head -1`.
                (_, true) => return 141,
                (Ok(ended), _) => ended,
                // Files are named as they are in here.
                (Err(error), _) => (2, in_words(&error, "error:").replace(&files, "~")),
            };
            // A terminal that is gone is told nothing.
            let _ = messages.write(text).await;
            code
        })
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn after(&self, words: &[String]) -> Vec<String> {
        let mut command = Arguments::command();
        let mut names: Vec<String> = Vec::new();
        for word in words.iter().filter(|word| !word.starts_with('-')) {
            match command.find_subcommand(word) {
                Some(found) => {
                    command = found.clone();
                    names.push(word.clone());
                }
                None => break,
            }
        }
        let mut offered: Vec<String> = command
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .filter(|name| !(names.is_empty() && ELSEWHERE.contains(&name.as_str())))
            .collect();
        if names.first().is_some_and(|name| OF_EXERCISES.contains(&name.as_str()))
            && let Ok(catalogue) = Catalogue::get()
        {
            offered.extend(catalogue.iter().map(|exercise| exercise.name.clone()));
        }
        let flags = command.get_arguments().filter_map(|argument| argument.get_long().map(|name| format!("--{name}")));
        offered.extend(flags.filter(|flag| !OUTSIDE.contains(&flag.as_str())));
        offered
    }
}

/// Where in the terminal a command runs.
struct Place {
    /// The folder of the terminal's files that relative paths start in.
    folder: PathBuf,
    /// What takes messages.
    err: Out,
}

impl Place {
    /// A file as it is typed, on this machine's disk; it lies among the terminal's files.
    fn on_disk(&self, state: &StateDir, path: &Path) -> Result<PathBuf> {
        let inside = Home::inside(&self.folder, &path.to_string_lossy());
        Home::of(state.path())
            .on_disk(&inside)
            .map_err(|fault| Error::new(format!("{} cannot be used", path.display()), fault.to_string()))
    }

    /// A line of what goes on. A terminal that is gone is told nothing.
    fn say(&self, line: &str) {
        let told = tokio::task::unconstrained(self.err.line(line.as_bytes()));
        let _ = futures::executor::block_on(told);
    }
}

/// Runs one command on this thread; its exit code and what is said beside its answer.
fn run(
    words: &[String],
    state: &StateDir,
    place: &Place,
    out: &mut Pipe,
    stop: CancellationToken,
) -> Result<(i32, String)> {
    let reaches = |word: &String| OUTSIDE.iter().any(|flag| word.split('=').next() == Some(flag));
    if let Some(flag) = words.iter().find(|word| reaches(word)) {
        let why = format!("{flag} names what is outside of this playground");
        return Err(Error::new("the page's terminal stays in its playground", why)
            .hint("a file: kubectl apply -f FILE, then tutor check")
            .hint("another cluster: the same command in your own shell"));
    }
    let words = std::iter::once(OsString::from("tutor")).chain(words.iter().map(OsString::from));
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            let text = wrong.render().to_string();
            if wrong.use_stderr() {
                return Ok((2, text));
            }
            io::Write::write_all(out, text.as_bytes()).map_err(super::closed_output)?;
            return Ok((0, String::new()));
        }
    };
    let outcome = one_thread()?.block_on(async {
        tokio::select! {
            outcome = command(arguments, state, place, out) => outcome.map(Some),
            () = stop.cancelled() => Ok(None),
        }
    })?;
    Ok(match outcome {
        Some(Outcome::Done) => (0, String::new()),
        Some(Outcome::NotYet) => (1, String::new()),
        None => (130, String::new()),
    })
}

async fn command(arguments: Arguments, state: &StateDir, place: &Place, out: &mut Pipe) -> Result<Outcome> {
    match arguments.command {
        Some(Command::List(list)) => list.run(state, out).await,
        Some(Command::Next) | None => next::run(state, out).await,
        Some(Command::Start(start)) => start.run(state, out).await,
        Some(Command::Check(check)) if check.crashes(state)? => {
            let why = "it ends the playground in its course, and this terminal with it";
            Err(Error::new("this check cannot run in here", why)
                .hint("press Check at the exercise, which waits for it outside"))
        }
        Some(Command::Check(check)) => check.run(state, out).await,
        Some(Command::Hint(hint)) => hint.run(state, out).await,
        Some(Command::Solution(solution)) => solution.run(state, out).await,
        Some(Command::Reset(reset)) => reset.run(state, out).await,
        Some(Command::Status(status)) => status.run(state, out).await,
        Some(Command::Controllers(controllers)) => controllers.run(state, out).await,
        Some(Command::Trace(trace)) => trace.run(state, out).await,
        Some(Command::Etcd(etcd)) => etcd.run(state, out).await,
        Some(Command::Lab(lab)) => lab.run(state, out).await,
        Some(Command::Image(image)) => {
            let desk = Desk {
                place: &|path| place.on_disk(state, path),
                // Here one is the playground's learner, and nobody of this machine.
                logins: Logins::at(&state.join(cluster::LOGIN)),
                say: &|line| place.say(line),
            };
            image.run(state, &desk, out).await
        }
        _ => Err(Error::new("this command is not for the page", "it is about your machine, or starts a playground")
            .hint("run it in your own shell")),
    }
}

/// Writes to the terminal from this thread, and waits where the terminal is slower.
struct Pipe {
    out: Out,
    /// Whether nobody reads any more.
    gone: bool,
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // This thread has a runtime of its own, whose budget for one poll must not end the wait.
        let written = tokio::task::unconstrained(self.out.write(bytes.to_vec()));
        let written = futures::executor::block_on(written);
        self.gone |= written.is_err();
        written.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::terminal::pipes::{Chunk, way_out};

    fn offered(line: &str) -> Vec<String> {
        let folder = StateDir::resolve(Some(std::path::Path::new("/nowhere"))).unwrap();
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        commands(folder, &TaskGroup::new(), "tutor".into()).after(&words)
    }

    #[test]
    fn tab_offers_commands_exercises_and_flags() {
        let first = offered("");
        assert!(first.contains(&"check".into()) && !first.contains(&"serve".into()), "{first:?}");
        assert!(offered("check").contains(&"first-contact".into()));
        assert!(!offered("check").contains(&"--file".into()));
        assert!(offered("etcd").contains(&"get".into()));
        assert!(offered("etcd get").contains(&"--prefix".into()));
    }

    /// Types a line in a folder of the terminal; its exit code and what it printed on both streams.
    async fn types(state: &StateDir, folder: &str, line: &str) -> (i32, String) {
        let words = line.split_whitespace().map(str::to_owned).collect();
        let (out, mut chunks) = way_out();
        let here = commands(state.clone(), &TaskGroup::new(), "tutor".into());
        let ended = here.run(words, folder.into(), out.clone(), out, CancellationToken::new());
        let mut printed = Vec::new();
        let read = async {
            while let Some(chunk) = chunks.recv().await {
                if let Chunk::Text(_, text) = chunk {
                    printed.extend_from_slice(&text);
                }
            }
        };
        let (code, ()) = futures::join!(ended, read);
        (code, String::from_utf8(printed).unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_image_is_built_of_the_terminal_s_files_and_of_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::resolve(Some(folder.path())).unwrap();
        let home = Home::of(state.path());
        home.write(Path::new("app/Dockerfile"), b"FROM scratch\nCOPY word /word\n").unwrap();
        home.write(Path::new("app/word"), b"heron").unwrap();
        let (code, said) = types(&state, "app", "image build -t app:1 .").await;
        assert!(code == 0 && said.contains("COPY word /word"), "{said}");
        let (code, said) = types(&state, "", "image ls").await;
        assert!(code == 0 && said.contains("app:1"), "{said}");
        let (code, said) = types(&state, "", "image save app:1 -o app.tar").await;
        assert!(code == 0 && home.kind(Path::new("app.tar")).is_some(), "{said}");
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY token /token\n").unwrap();
        for path in ["..", "/..", "app/../.."] {
            let (code, said) = types(&state, "app", &format!("image build -t out:1 {path}")).await;
            assert!(code == 2 && said.contains("Dockerfile"), "{path} leads out: {said}");
        }
        home.write(Path::new("app/Dockerfile"), b"FROM scratch\nCOPY words /word\n").unwrap();
        let (code, said) = types(&state, "app", "image build -t app:2 .").await;
        assert!(code == 2 && said.contains("~/app/Dockerfile:2"), "a file is named as it is in here: {said}");
    }
}
