//! Exec and attach without processes: the small shell, fed line by line.
//!
//! In: a container, a command or a client's typing. Out: a [`Session`] whose `exit` does all the work
//! while it is polled. What a command writes stays in the container. Knows, besides the shell's own
//! commands: a prompt (`sh`), `cat` of standard input, and `tar` as `kubectl cp` calls it.
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::sync::mpsc;

use super::container::{Container, HORIZON};
use super::program;
use super::shell::{Done, Played, Printed, Script};
use super::syntax::STDIN;
use super::terminal::{Keyboard, Screen, Typed};
use super::{archive, logs};
use crate::clock::Clock;
use crate::kubelet::runtime::session::TerminalSize;
use crate::kubelet::runtime::{Exec, Exit, LogOptions, Result, RuntimeError, Session, Stream, Streams};

/// What a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;
/// Sizes of a terminal that wait to be read.
const SIZES: usize = 4;
/// What a command reads from standard input at most.
const MOST_INPUT_BYTES: u64 = 64 * 1024 * 1024;
/// A prompt, as the root of a small image sees it.
const PROMPT: &str = "/ # ";

type Variables = BTreeMap<String, String>;

/// The process's side of a session.
struct Ends {
    keyboard: Keyboard,
    screen: Screen,
    /// Nobody here cares about sizes, but the client must be able to send them.
    _sizes: mpsc::Receiver<TerminalSize>,
}

/// Both sides of a session, but for its exit.
fn ends(streams: Streams) -> (Session, Ends) {
    let pipe = |wanted: bool| -> (Option<DuplexStream>, Option<DuplexStream>) {
        let pair = wanted.then(|| duplex(PIPE_BYTES));
        pair.map_or((None, None), |(near, far)| (Some(near), Some(far)))
    };
    let (stdin, typed) = pipe(streams.stdin);
    let (stdout, printed) = pipe(streams.stdout);
    let (stderr, complained) = pipe(streams.stderr && !streams.tty);
    let (resize, sizes) = mpsc::channel(SIZES);
    let session = Session {
        stdin: stdin.map(|it| Box::new(it) as _),
        stdout: stdout.map(|it| Box::new(it) as _),
        stderr: stderr.map(|it| Box::new(it) as _),
        resize: streams.tty.then_some(resize),
        exit: futures::future::pending().boxed(),
    };
    let screen = Screen::new(printed, complained, streams.tty);
    (session, Ends { keyboard: Keyboard::new(typed, streams.tty), screen, _sizes: sizes })
}

/// Runs a command in a container.
pub(super) fn exec(container: Arc<Container>, clock: Clock, exec: Exec) -> Session {
    let (mut session, ends) = ends(exec.streams);
    session.exit = async move { run(&container, clock, &exec.command, ends).await }.boxed();
    session
}

async fn run(container: &Container, clock: Clock, command: &[String], mut ends: Ends) -> Result<i32> {
    let name = command.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
    if program::is_prompt(command) {
        let mut env = container.program.env.clone();
        return Ok(prompt(container, clock, &mut env, &mut ends).await);
    }
    if name == "tar" {
        return Ok(tar(container, clock, command, &mut ends).await);
    }
    if name == "cat" && command.iter().skip(1).all(|word| word == "-") {
        return Ok(copy(&mut ends).await);
    }
    let script = program::script(command).map_err(|error| {
        let why = error.message.rsplit_once("exec: \"").map_or("", |(_, why)| why).trim_end_matches(": unknown");
        RuntimeError::new(
            "ExecError",
            format!(
                "failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to \
                 start container process: exec: \"{why}"
            ),
        )
    })?;
    let mut input = Vec::new();
    if script.reads_input()
        && let Some(typed) = ends.keyboard.raw()
    {
        // A client that goes away in the middle has sent what it has sent.
        let _ = typed.take(MOST_INPUT_BYTES).read_to_end(&mut input).await;
    }
    let played = play_with(container, clock, &script, &container.program.env, input);
    Ok(show(clock, &played, &mut ends).await)
}

/// Plays a script on the container's files as they are now; what it changes stays.
pub(super) fn play(container: &Container, clock: Clock, script: &Script, env: &Variables) -> Played {
    play_with(container, clock, script, env, Vec::new())
}

/// As [`play`], with this on standard input.
fn play_with(container: &Container, clock: Clock, script: &Script, env: &Variables, input: Vec<u8>) -> Played {
    let now = clock.now();
    let before = container.played(now).files;
    let mut files = before.clone();
    if !input.is_empty() {
        files.insert(STDIN.to_owned(), input);
    }
    let mut played = script.play(env, files, &Done::default(), HORIZON);
    played.files.remove(STDIN);
    container.change(now, Container::difference(&before, played.files.clone()));
    played
}

/// Prints what was played, each line at its time; ^C ends it.
async fn show(clock: Clock, played: &Played, ends: &mut Ends) -> i32 {
    let began = clock.tick();
    let screen = &mut ends.screen;
    let printing = async {
        for Printed { at, stream, text } in &played.lines {
            clock.sleep(at.saturating_sub(clock.since(began))).await;
            screen.line(*stream, text).await;
        }
        let (took, code) = played.ended.unwrap_or((HORIZON, 137));
        clock.sleep(took.saturating_sub(clock.since(began))).await;
        code
    };
    tokio::select! {
        biased;
        code = printing => code,
        () = ends.keyboard.interrupted() => 130,
    }
}

/// Reads commands and runs them, to the end of input or `exit`.
async fn prompt(container: &Container, clock: Clock, env: &mut Variables, ends: &mut Ends) -> i32 {
    let (mut code, mut text) = (0, String::new());
    loop {
        if ends.screen.is_terminal() {
            ends.screen.raw(if text.is_empty() { PROMPT } else { "> " }).await;
        }
        match ends.keyboard.line(&mut ends.screen).await {
            Typed::Line(line) => text.push_str(&line),
            Typed::Interrupted => {
                text.clear();
                continue;
            }
            Typed::End => return code,
        }
        if !is_complete(&text) {
            text.push('\n');
            continue;
        }
        let script = Script::parse(&std::mem::take(&mut text));
        let played = play(container, clock, &script, env);
        env.clone_from(&played.env);
        code = show(clock, &played, ends).await;
        if played.exited {
            return code;
        }
    }
}

/// False while a quote, a loop or a condition is open.
fn is_complete(text: &str) -> bool {
    let count = |quote: char| text.chars().filter(|c| *c == quote).count();
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c == ';').collect();
    let seen = |word: &str| words.iter().filter(|it| **it == word).count();
    count('\'') % 2 == 0
        && count('"') % 2 == 0
        && !text.ends_with('\\')
        && seen("do") <= seen("done")
        && seen("if") <= seen("fi")
        && ["while", "until", "for"].iter().map(|word| seen(word)).sum::<usize>() <= seen("done")
}

async fn copy(ends: &mut Ends) -> i32 {
    loop {
        match ends.keyboard.line(&mut ends.screen).await {
            Typed::Line(line) => ends.screen.line(Stream::Stdout, &line).await,
            Typed::Interrupted => return 130,
            Typed::End => return 0,
        }
    }
}

/// `tar cf - PATH…` and `tar xf - -C FOLDER`.
async fn tar(container: &Container, clock: Clock, command: &[String], ends: &mut Ends) -> i32 {
    let asked = match archive::Asked::parse(&command[1..]) {
        Ok(asked) => asked,
        Err(why) => {
            ends.screen.line(Stream::Stderr, &why).await;
            return 1;
        }
    };
    let files = container.played(clock.now()).files;
    if asked.extract {
        let mut bytes = Vec::new();
        if let Some(input) = ends.keyboard.raw() {
            // What could not be read is not in the archive, and the archive says so.
            let _ = input.take(MOST_INPUT_BYTES).read_to_end(&mut bytes).await;
        }
        return match archive::unpack(&bytes, &asked.folder) {
            Ok(unpacked) => {
                container.change(clock.now(), unpacked.into_iter().map(|(path, content)| (path, Some(content))));
                0
            }
            Err(why) => {
                ends.screen.line(Stream::Stderr, &format!("tar: {why}")).await;
                1
            }
        };
    }
    let (bytes, missing) = archive::pack(&files, &asked);
    for path in &missing {
        ends.screen.line(Stream::Stderr, &format!("tar: {path}: No such file or directory")).await;
    }
    ends.screen.bytes(&bytes).await;
    i32::from(!missing.is_empty())
}

/// Connects to a container's own process.
pub(super) fn attach(container: Arc<Container>, clock: Clock, streams: Streams) -> Session {
    let streams = Streams { stdin: streams.stdin && container.config.stdin, tty: container.config.tty, ..streams };
    let (mut session, mut ends) = ends(streams);
    session.exit = async move {
        if container.program.interactive && streams.stdin {
            let mut env = container.program.env.clone();
            ends.screen.log_to(container.clone(), clock);
            let code = tokio::select! {
                biased;
                exit = ended(&container, clock) => return Ok(exit.code),
                code = prompt(&container, clock, &mut env, &mut ends) => code,
            };
            return Ok(container.end(code, clock.now()).code);
        }
        let follow = LogOptions { follow: true, since: Some(clock.now()), ..LogOptions::default() };
        let mut lines = logs::lines(container.clone(), clock, follow);
        while let Some(line) = lines.next().await {
            ends.screen.line(line.stream, &line.text()).await;
        }
        Ok(ended(&container, clock).await.code)
    }
    .boxed();
    session
}

/// Waits for a container's end.
pub(super) async fn ended(container: &Container, clock: Clock) -> Exit {
    let mut life = container.life.subscribe();
    loop {
        let now = clock.now();
        if let Some(exit) = container.exit(now) {
            return exit;
        }
        let ends = life.borrow_and_update().ends.clone();
        let natural = async {
            match ends {
                Some(exit) => clock.sleep_until(exit.at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = natural => {}
            // The sender lives in `container`, which is held here.
            _ = life.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_complete_when_nothing_is_open() {
        for (text, complete) in [
            ("echo hi", true),
            ("echo 'a", false),
            ("for i in 1 2", false),
            ("for i in 1 2; do echo $i; done", true),
            ("if true; then", false),
            ("if true; then echo; fi", true),
            ("echo \\", false),
        ] {
            assert_eq!(is_complete(text), complete, "{text}");
        }
    }
}
