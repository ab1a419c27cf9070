//! What Tab offers: programs, what their arguments may be, and files.
//!
//! In: the line up to the cursor. Out: where the word that is completed begins (in characters), and the
//! words it may become.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::World;
use super::home::Home;
use super::pipes::{input, way_out};
use super::programs::{self, PROGRAMS};
use super::shell::{Context, Screen, State};
use super::syntax::Stream;
use crate::kubectl::session::FileKind;
use crate::kubectl::{self, Offer};

/// Programs before whose command others stand.
const BEFORE_OTHERS: [&str; 2] = ["watch", "xargs"];

/// What the word at the end of a text may become.
pub async fn complete(
    world: &Arc<World>,
    state: &Arc<Mutex<State>>,
    screen: &Screen,
    text: &str,
) -> (usize, Vec<String>) {
    let (words, begun) = last_command(text);
    let start = text.chars().count() - begun.chars().count();
    let mut words = &words[..];
    while words.first().is_some_and(|first| BEFORE_OTHERS.contains(&first.as_str())) {
        let flags = words[1..].iter().take_while(|word| word.starts_with('-')).count();
        words = &words[1 + flags..];
    }
    let folder = state.lock().folder.clone();
    let files = || files(&world.home, &folder, &begun);
    let choices = match words {
        [] => starting(PROGRAMS.iter().map(|program| program.name.to_owned()).filter(|name| name != "["), &begun),
        [.., last] if matches!(last.as_str(), ">" | ">>" | "<" | "2>") => files(),
        [first, rest @ ..] if first == "kubectl" => of_kubectl(world, state, screen, rest, &begun, files).await,
        [first, second, rest @ ..] if first == "tutor" && second == "kubectl" => {
            of_kubectl(world, state, screen, rest, &begun, files).await
        }
        [first, rest @ ..] if first == "tutor" => starting(world.commands.after(rest).into_iter(), &begun),
        _ => files(),
    };
    (start, choices)
}

fn starting(words: impl Iterator<Item = String>, begun: &str) -> Vec<String> {
    let mut words: Vec<String> = words.filter(|word| word.starts_with(begun)).collect();
    words.sort();
    words
}

async fn of_kubectl(
    world: &Arc<World>,
    state: &Arc<Mutex<State>>,
    screen: &Screen,
    words: &[String],
    begun: &str,
    files: impl Fn() -> Vec<String>,
) -> Vec<String> {
    let (out, _nobody) = way_out();
    let context = Context {
        world: world.clone(),
        state: state.clone(),
        screen: screen.clone(),
        stdin: input(Vec::new()),
        err: out.as_stream(Stream::Err),
        out,
        typed: false,
        shown: false,
        stop: CancellationToken::new(),
    };
    match kubectl::complete(&programs::session(&context), words, begun).await {
        Offer::Words(words) => words,
        Offer::Files => files(),
    }
}

fn files(home: &Home, folder: &Path, begun: &str) -> Vec<String> {
    let (before, last) = begun.rfind('/').map_or(("", begun), |at| begun.split_at(at + 1));
    let inside = Home::inside(folder, if before.is_empty() { "." } else { before });
    let names = home.list(&inside).unwrap_or_default();
    let shown = names.into_iter().filter(|name| name.starts_with(last)).map(|name| {
        let mark = if home.kind(&inside.join(&name)) == Some(FileKind::Folder) { "/" } else { "" };
        format!("{before}{name}{mark}")
    });
    shown.collect()
}

/// The words of the command that a text ends in, and the beginning of the word at its end.
fn last_command(text: &str) -> (Vec<String>, String) {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => quote = Some(letter),
            (None, '\\') => word.extend(letters.next()),
            (None, '|' | ';' | '&' | '(' | '\n') => {
                words.clear();
                word.clear();
            }
            (None, '>' | '<') => {
                words.push(letter.to_string());
                word.clear();
            }
            (None, letter) if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, letter) => word.push(letter),
        }
    }
    (words, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_command_is_the_one_that_is_completed() {
        let (words, begun) = last_command("kubectl get pods | grep 'a b' && kubectl  get po");
        assert_eq!((words.join(","), begun.as_str()), ("kubectl,get".into(), "po"));
        assert_eq!(last_command("kubectl get ").1, "");
        assert_eq!(last_command("cat < we"), (vec!["cat".into(), "<".into()], "we".into()));
        assert_eq!(last_command("echo $(ku"), (vec![], "ku".into()));
    }
}
