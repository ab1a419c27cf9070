//! Commands that a shell has to do itself, because they change it; and the smallest ones, for speed.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use super::io::Io;
use super::parse::{Wrong, parse};
use super::run::{Flow, Shell, code, plain};
use crate::programs::{processes, text};

const NAMES: [&str; 28] = [
    ":", ".", "[", "break", "cd", "command", "continue", "echo", "eval", "exec", "exit", "export", "false", "kill",
    "local", "printf", "pwd", "read", "readonly", "return", "set", "shift", "test", "trap", "true", "type", "unset",
    "wait",
];
/// How often a shell that waits looks for signals.
const LOOK: Duration = Duration::from_millis(20);

/// Whether a name is a builtin's.
pub fn is_builtin(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Runs one; `words[0]` is its name.
pub fn run(shell: &mut Shell, words: &[String], io: &Io) -> Flow {
    let first = words.get(1).map(String::as_str);
    let number = |default: u32| first.and_then(|text| text.parse().ok()).unwrap_or(default);
    let mut flow = Flow::Go;
    shell.status = match words[0].as_str() {
        "break" => {
            flow = Flow::Break(number(1).max(1));
            0
        }
        "continue" => {
            flow = Flow::Continue(number(1).max(1));
            0
        }
        "return" => {
            flow = Flow::Return;
            first.and_then(|text| text.parse().ok()).unwrap_or(shell.status)
        }
        "exit" => {
            flow = Flow::Exit;
            first.and_then(|text| text.parse::<i32>().ok()).map_or(shell.status, |code| code & 0xff)
        }
        ":" | "true" => 0,
        "false" => 1,
        "echo" => {
            io.print(1, &text::echo(&words[1..]));
            0
        }
        "printf" => match text::printf(&words[1..]) {
            Ok(text) => {
                io.print(1, &text);
                0
            }
            Err(why) => complain(shell, io, "printf", &why),
        },
        "test" | "[" => match text::test(words, &shell.cwd) {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(why) => complain(shell, io, &words[0], &why) + 1,
        },
        "pwd" => {
            io.print(1, &format!("{}\n", shell.cwd.display()));
            0
        }
        "cd" => change_folder(shell, first, io),
        "export" | "readonly" | "local" => declare(shell, words, io),
        "unset" => {
            for name in words[1..].iter().filter(|name| !name.starts_with('-')) {
                shell.unset(name);
                shell.functions.remove(name);
            }
            0
        }
        "set" => set(shell, &words[1..], io),
        "shift" => {
            let count = number(1) as usize;
            if count < shell.arguments.len() {
                shell.arguments.drain(1..=count);
                0
            } else {
                1
            }
        }
        "read" => read(shell, &words[1..], io),
        "kill" => processes::kill(words),
        "trap" => shell.trap(words, io),
        "wait" => wait(shell, first),
        "type" => {
            let mut status = 0;
            for name in &words[1..] {
                let what = match shell.find(name) {
                    _ if is_builtin(name) => format!("{name} is a shell builtin"),
                    _ if shell.functions.contains_key(name) => format!("{name} is a function"),
                    Some(path) => format!("{name} is {}", path.display()),
                    None => {
                        status = 127;
                        format!("{name}: not found")
                    }
                };
                io.print(1, &format!("{what}\n"));
            }
            status
        }
        "command" => {
            flow = command(shell, &words[1..], io);
            shell.status
        }
        "eval" => {
            flow = script(shell, &words[1..].join(" "), io);
            shell.status
        }
        "." => match first.map(|path| fs::read_to_string(shell.cwd.join(path))) {
            Some(Ok(text)) => {
                flow = script(shell, &text, io);
                if flow == Flow::Return {
                    flow = Flow::Go;
                }
                shell.status
            }
            Some(Err(error)) => complain(shell, io, ".", &plain(&error)),
            None => complain(shell, io, ".", "a file is missing"),
        },
        _ => {
            flow = exec(shell, &words[1..], io);
            shell.status
        }
    };
    flow
}

fn complain(shell: &Shell, io: &Io, name: &str, why: &str) -> i32 {
    shell.complain(io, &format!("{name}: {why}"));
    1
}

/// Runs text as a part of the script.
pub(super) fn script(shell: &mut Shell, text: &str, io: &Io) -> Flow {
    match parse(text) {
        Ok(list) => shell.run(&list, io),
        Err(wrong) => {
            let why = match wrong {
                Wrong::Incomplete => "syntax error: unexpected end of file".to_owned(),
                Wrong::Syntax(why) => why,
            };
            shell.complain(io, &why);
            shell.status = 2;
            Flow::Exit
        }
    }
}

fn change_folder(shell: &mut Shell, to: Option<&str>, io: &Io) -> i32 {
    let to = match to {
        Some("-") => shell.get("OLDPWD").unwrap_or_default(),
        Some(to) => to.to_owned(),
        None => shell.get("HOME").unwrap_or_else(|| "/".to_owned()),
    };
    match shell.cwd.join(&to).canonicalize() {
        Ok(path) if path.is_dir() => {
            let before = shell.cwd.display().to_string();
            shell.set("OLDPWD", &before);
            shell.cwd = path;
            0
        }
        Ok(_) => complain(shell, io, "cd", &format!("can't cd to {to}: Not a directory")),
        Err(error) => complain(shell, io, "cd", &format!("can't cd to {to}: {}", plain(&error))),
    }
}

fn declare(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    if words.len() == 1 && words[0] == "export" {
        let lines: String = shell.environment().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        io.print(1, &lines);
    }
    for word in words[1..].iter().filter(|word| !word.starts_with('-')) {
        let name = match word.split_once('=') {
            Some((name, value)) => {
                shell.set(name, value);
                name
            }
            None => word,
        };
        if words[0] == "export" {
            shell.export(name);
        }
    }
    0
}

fn set(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    if words.is_empty() {
        let lines: String = shell.all_variables().map(|(name, value)| format!("{name}='{value}'\n")).collect();
        io.print(1, &lines);
        return 0;
    }
    for (at, word) in words.iter().enumerate() {
        let (on, flags) = match (word.strip_prefix('-'), word.strip_prefix('+')) {
            (Some("-"), _) => {
                shell.arguments.truncate(1);
                shell.arguments.extend_from_slice(&words[at + 1..]);
                return 0;
            }
            (Some(flags), _) => (true, flags),
            (None, Some(flags)) => (false, flags),
            (None, None) if at > 0 && words[at - 1].ends_with('o') && words[at - 1].starts_with(['-', '+']) => continue,
            (None, None) => {
                shell.arguments.truncate(1);
                shell.arguments.extend_from_slice(&words[at..]);
                return 0;
            }
        };
        for flag in flags.chars() {
            match flag {
                'e' => shell.stop_on_error = on,
                'u' => shell.no_unset = on,
                'x' => shell.trace = on,
                'o' => {}
                other => return complain(shell, io, "set", &format!("illegal option -{other}")),
            }
        }
    }
    0
}

fn read(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let raw = words.iter().any(|word| word == "-r");
    let mut line = Vec::new();
    let mut ended = true;
    if let Some(input) = io.get(0) {
        // One byte at a time: what follows the line belongs to the next command.
        let mut byte = [0];
        while matches!((&**input).read(&mut byte), Ok(1)) {
            if byte[0] == b'\n' {
                if !raw && line.last() == Some(&b'\\') {
                    line.pop();
                    continue;
                }
                ended = false;
                break;
            }
            line.push(byte[0]);
        }
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    let mut rest = line.trim();
    for (at, name) in names.iter().enumerate() {
        let (word, after) = match rest.split_once([' ', '\t']) {
            Some((word, after)) if at + 1 < names.len() => (word, after.trim_start()),
            _ => (rest, ""),
        };
        shell.set(name, word);
        rest = after;
    }
    if names.is_empty() {
        shell.set("REPLY", &line);
    }
    i32::from(ended)
}

/// Waits for a child, or for all; a signal that a trap asked for ends the wait.
fn wait(shell: &mut Shell, which: Option<&str>) -> i32 {
    let mut status = 0;
    let wanted: Option<u32> = which.and_then(|pid| pid.trim_start_matches('%').parse().ok());
    let children = std::mem::take(&mut shell.children);
    for child in children {
        if wanted.is_some_and(|wanted| child.lock().id() != wanted) {
            shell.children.push(child);
            continue;
        }
        loop {
            let ended = child.lock().try_wait();
            match ended {
                Ok(Some(ended)) => {
                    status = if wanted.is_some() { code(ended) } else { 0 };
                    break;
                }
                Ok(None) if shell.traps.is_due() => return 128 + 15,
                Ok(None) => std::thread::sleep(LOOK),
                Err(_) => break,
            }
        }
    }
    status
}

fn command(shell: &mut Shell, words: &[String], io: &Io) -> Flow {
    match words {
        [flag, name, ..] if flag == "-v" => {
            let found = is_builtin(name).then(|| name.clone());
            let found = found.or_else(|| shell.find(name).map(|path| path.display().to_string()));
            shell.status = i32::from(found.is_none());
            if let Some(found) = found {
                io.print(1, &format!("{found}\n"));
            }
            Flow::Go
        }
        [name, ..] if is_builtin(name) => run(shell, words, io),
        [name, ..] => {
            let Some(program) = shell.find(name) else {
                shell.complain(io, &format!("{name}: not found"));
                shell.status = 127;
                return Flow::Go;
            };
            let ended = shell.process(&program, words, io).status();
            shell.status = ended.map_or(126, code);
            Flow::Go
        }
        [] => Flow::Go,
    }
}

/// Becomes another program; comes back only when that failed.
fn exec(shell: &mut Shell, words: &[String], io: &Io) -> Flow {
    let Some(name) = words.first() else {
        shell.status = 0;
        return Flow::Go;
    };
    let Some(program) = shell.find(name) else {
        shell.complain(io, &format!("exec: {name}: not found"));
        shell.status = 127;
        return Flow::Exit;
    };
    let failed = shell.process(&program, words, io).exec();
    shell.complain(io, &format!("exec: {name}: {}", plain(&failed)));
    shell.status = 126;
    Flow::Exit
}

/// A script's text, from its file.
pub(super) fn script_text(path: &str) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}
