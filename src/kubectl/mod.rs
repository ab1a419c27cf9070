//! The built-in kubectl: the commands, words, columns and exit codes of kubectl 1.37, as a library.
//!
//! In: a [`Session`] and the words behind `kubectl`. Out: text on the session's streams and an exit code.
//! It reaches the cluster only as any client does, by requests that `-v 6` shows. Many sessions run in one
//! process: nothing here prints, ends the process, or reads a global of it.
//!
//! One file a command; what commands share is in [`selection`] (which objects), [`print`](mod@print) (how they are
//! shown) and [`mapping`] (what a word means). Chapter: `book/src/inside/kubectl.md`.

use std::sync::Arc;

pub mod command;
mod complete;
pub mod connect;
pub mod failure;
pub mod flags;
pub mod http;
pub mod kubeconfig;
pub mod kuberc;
pub mod manifests;
pub mod mapping;
pub mod print;
pub mod selection;
pub mod session;
pub mod shared_flags;
pub mod three_way;
pub mod watch;
pub mod write;

mod commands;

use command::{Command, Invocation};
pub use complete::{Offer, complete};
use failure::{Failure, Result};
use flags::Flags;
pub use session::Session;

/// Runs one command line (`["get", "pods"]`) and says with which code it ends.
pub async fn run(session: &Session, words: &[String]) -> i32 {
    let ended = match session.unless_stopped(run_command(session, words)).await {
        Ok(ended) => ended,
        Err(stopped) => Err(stopped),
    };
    let code = match ended {
        Ok(()) => 0,
        Err(failure) => {
            let (text, code) = failure.print();
            session.console.err(text);
            code
        }
    };
    match session.console.flush().await {
        Ok(()) => code,
        Err(_) => code.max(1),
    }
}

async fn run_command(session: &Session, words: &[String]) -> Result {
    let root = &commands::ROOT;
    if let Some(at) = next_argument(root, words).filter(|at| words[*at] == "help") {
        help(session, root, &words[at + 1..]);
        return Ok(());
    }
    let applied = kuberc::apply(session, root, words)?;
    let (command, path, rest) = locate(root, &applied.words)?;
    let mut flags = Flags::of(command.all_flags());
    for (preset, words) in &applied.presets {
        let failed = |why| Failure::Plain(format!("error occurred while applying preferences {words} err: {why}"));
        flags.preset(&preset.name, &preset.default).map_err(failed)?;
    }
    flags.plugins = applied.plugins;
    flags.client_first = connect::asks_client_first(&path);
    let path = applied.alias.map_or(path, |alias| format!("kubectl {alias}"));
    flags.parse(&rest).map_err(|why| match path.as_str() {
        // Code 1 of diff says that something differs.
        "kubectl diff" => Failure::Coded(format!("error: {why}\nSee 'kubectl diff -h' for help and examples"), 2),
        _ => Failure::new(format!("{why}\nSee '{path} --help' for usage.")),
    })?;
    if flags.is("help") {
        tell_help(session, command, &path);
        return Ok(());
    }
    let call = Arc::new(Invocation::new(session.clone(), flags, path, command));
    let ended = match command.run {
        Some(run) => run(&call).await,
        None => no_command(&call),
    };
    if let Err(failure) = ended {
        if call.flags.int("v") >= TELLS_STATUS {
            tell_status(session, &failure);
        }
        return Err(failure);
    }
    let warnings = call.connected().map_or(0, |cluster| cluster.api.warnings());
    if call.flags.is("warnings-as-errors") && warnings > 0 {
        let words =
            if warnings == 1 { "1 warning received".to_owned() } else { format!("{warnings} warnings received") };
        return Err(Failure::new(words));
    }
    Ok(())
}

/// `kubectl help get`; a topic that is none is told, and does no harm.
fn help(session: &Session, root: &'static Command, words: &[String]) {
    match locate(root, words) {
        Ok((command, path, _)) => tell_help(session, command, &path),
        Err(_) => {
            let topic: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            session.console.err(format!("Unknown help topic [{}]\n{}", topic.join(" "), root.help("kubectl")));
        }
    }
}

fn tell_help(session: &Session, command: &Command, path: &str) {
    if path == "kubectl alpha" {
        session.console.err(NO_ALPHA);
    } else {
        session.console.out(command.help(path));
    }
}

/// All that is said of a group of commands that has none.
const NO_ALPHA: &str = "No alpha commands are available in this version of kubectl\n";

/// From this `-v` on, the Status behind a failure is shown.
const TELLS_STATUS: i64 = 4;

fn tell_status(session: &Session, failure: &Failure) {
    match failure {
        Failure::Many(all) => all.iter().for_each(|one| tell_status(session, one)),
        Failure::Server(status) if failure.reason() != "Invalid" => {
            let text = serde_json::to_string_pretty(status).unwrap_or_default();
            session.log('I', "helpers.go:247", &format!("server response object: {text}"));
        }
        _ => {}
    }
}

/// The command that words name, and the words that are left; `None` when the first is no command.
fn find(root: &'static Command, words: &[String]) -> Option<(&'static Command, Vec<String>)> {
    locate(root, words).ok().map(|(command, _, rest)| (command, rest))
}

/// The command that words name, its path, and the words that are left. Flags may stand before the name.
fn locate(root: &'static Command, words: &[String]) -> Result<(&'static Command, String, Vec<String>)> {
    let (mut command, mut path, mut rest) = (root, "kubectl".to_owned(), words.to_vec());
    loop {
        let Some(at) = next_argument(command, &rest) else { return Ok((command, path, rest)) };
        let hidden = Some(&commands::ALPHA).filter(|alpha| std::ptr::eq(command, root) && rest[at] == alpha.name);
        let Some(found) = command.find(&rest[at]).or(hidden) else {
            if std::ptr::eq(command, root) {
                return Err(unknown_command(root, &rest[at]));
            }
            return Ok((command, path, rest));
        };
        rest.remove(at);
        path = format!("{path} {}", found.name);
        command = found;
    }
}

/// The place of the first word that is no flag and no flag's value.
fn next_argument(command: &'static Command, words: &[String]) -> Option<usize> {
    let flags = command.all_flags();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') || word == "-" {
            return Some(at);
        }
        let takes_next = |flag: &flags::Flag| !matches!(flag.kind, flags::Kind::Bool(_) | flags::Kind::Optional(..));
        let value_follows = match word.strip_prefix("--") {
            Some(name) => !name.contains('=') && flags.iter().any(|flag| flag.name == name && takes_next(flag)),
            None => {
                let mut letters = word[1..].chars();
                let letter = letters.next();
                letters.next().is_none() && flags.iter().any(|flag| Some(flag.short) == letter && takes_next(flag))
            }
        };
        at += if value_follows { 2 } else { 1 };
    }
    None
}

fn unknown_command(root: &'static Command, word: &str) -> Failure {
    let near = |command: &&Command| strsim::levenshtein(word, command.name) <= 2 || command.name.starts_with(word);
    let mut names: Vec<&str> = root.commands.iter().filter(near).map(|command| command.name).collect();
    if matches!(word, "list" | "ps") {
        names.push("get");
    }
    names.sort_by_key(|name| commands::GROUPED.iter().position(|grouped| grouped == name));
    let mut text = format!("unknown command {} for \"kubectl\"", failure::quote(word));
    if !names.is_empty() {
        text.push_str("\n\nDid you mean this?\n");
        names.iter().for_each(|name| text.push_str(&format!("\t{name}\n")));
    }
    Failure::new(text)
}

/// A command that only has subcommands was called alone, or with a word it does not know.
fn no_command(call: &Invocation) -> Result {
    let tells_only = matches!(call.path.as_str(), "kubectl certificate" | "kubectl alpha");
    if !call.arguments().is_empty() && !tells_only {
        let words = call.arguments().join(" ");
        return Err(call.usage(format!("unknown command {}", failure::quote(&words))));
    }
    let help = call.command.help(&call.path);
    // A group of commands fails and says its help as a message, but for these, as the real one has it.
    match call.path.as_str() {
        "kubectl" | "kubectl certificate" | "kubectl alpha" => {
            tell_help(&call.session, call.command, &call.path);
            return Ok(());
        }
        "kubectl rollout" => call.out(help),
        _ => call.err(help),
    }
    Err(Failure::Exit(1))
}
