//! `sh`: a small POSIX shell, for course images and for whoever types into them.
//!
//! In: `-c TEXT`, a file, or lines from standard input (with a prompt at a terminal). Out: what the commands
//! do. Has: pipes, `&& || ! &`, redirections and here-documents, `if while until for case`, functions,
//! `$…` of all kinds, patterns, `set -eux`, `trap`. Has not: jobs control, aliases, history. `parse` reads,
//! `run` walks, `expand` makes words. Chapter: `book/src/servers/containers.md`.

mod arithmetic;
mod builtin;
mod expand;
mod io;
pub mod parse;
mod pattern;
mod run;
pub mod syntax;
#[cfg(test)]
mod tests;
pub mod trap;
mod word;

use std::io::{BufRead, IsTerminal};

use io::Io;
use parse::{Wrong, parse};
use run::{Flow, Shell};

/// Runs the shell; the code it ends with.
pub fn main(arguments: &[String]) -> i32 {
    let Ok(io) = Io::own() else { return 2 };
    let (options, rest) = options(&arguments[1..]);
    let zero = arguments[0].clone();
    let mut shell = Shell::new(vec![zero.clone()]);
    shell.stop_on_error = options.contains('e');
    shell.no_unset = options.contains('u');
    shell.trace = options.contains('x');
    if options.contains('c') {
        let Some((text, more)) = rest.split_first() else {
            shell.complain(&io, "-c requires an argument");
            return 2;
        };
        shell.arguments = if more.is_empty() { vec![zero] } else { more.to_vec() };
        builtin::script(&mut shell, text, &io);
    } else if let Some(path) = rest.first() {
        shell.arguments = rest.to_vec();
        match builtin::script_text(path) {
            Ok(text) => _ = builtin::script(&mut shell, &text, &io),
            Err(error) => {
                shell.complain(&io, &format!("can't open '{path}': {}", run::plain(&error)));
                return 2;
            }
        }
    } else {
        lines(&mut shell, &io);
    }
    shell.run_exit_trap(&io);
    shell.status
}

/// The options, and what follows them.
fn options(words: &[String]) -> (String, &[String]) {
    let mut options = String::new();
    for (at, word) in words.iter().enumerate() {
        match word.strip_prefix('-') {
            Some("-") => return (options, &words[at + 1..]),
            Some(flags) if !flags.is_empty() => options.push_str(flags),
            _ => return (options, &words[at..]),
        }
    }
    (options, &[])
}

/// Commands as they come, each run before the next is read.
fn lines(shell: &mut Shell, io: &Io) {
    let asks = std::io::stdin().is_terminal();
    let mut input = std::io::stdin().lock();
    let mut text = String::new();
    loop {
        if asks {
            let place = shell.cwd.display().to_string();
            io.print(2, if text.is_empty() { place.as_str() } else { "" });
            io.print(2, if text.is_empty() { " # " } else { "> " });
        }
        let mut line = String::new();
        if !matches!(input.read_line(&mut line), Ok(1..)) {
            if asks {
                io.print(2, "\n");
            }
            return;
        }
        text.push_str(&line);
        match parse(&text) {
            Ok(list) => {
                text.clear();
                if shell.run(&list, io) == Flow::Exit && !(asks && shell.status == 2) {
                    return;
                }
            }
            Err(Wrong::Incomplete) => {}
            Err(Wrong::Syntax(why)) => {
                text.clear();
                shell.complain(io, &why);
                shell.status = 2;
            }
        }
    }
}
