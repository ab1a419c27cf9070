//! The programs of the course's images: this executable under other names.
//!
//! In: the name it was called by (`argv[0]`), arguments, standard streams. Out: an exit code. In a container
//! `/bin/sh`, `/bin/web` and the rest are links to `/tutor`; which one is meant is decided here, before
//! anything of tutor itself starts. Each is its own process, so it may print, sleep and read the time; none
//! knows anything of the rooms above. Chapter: `book/src/servers/images.md`.

mod environment;
mod files;
mod filter;
mod http;
mod load;
mod model_server;
mod network;
mod pause;
mod processes;
pub mod sh;
mod tar;
pub mod text;
mod time;
mod trainer;
mod web;
mod wget;
mod worker;

use std::process::ExitCode;

/// A program: its arguments, its own name first, to its exit code.
type Program = fn(&[String]) -> i32;

/// Every program by its name.
const PROGRAMS: [(&str, Program); 41] = [
    ("[", text::main_test),
    ("cat", files::cat),
    ("chmod", files::chmod),
    ("cp", files::cp),
    ("date", time::date),
    ("echo", text::main_echo),
    ("env", environment::env),
    ("false", |_| 1),
    ("grep", filter::grep),
    ("head", filter::head),
    ("hostname", environment::hostname),
    ("id", environment::id),
    ("ip", network::ip),
    ("kill", processes::kill),
    ("ln", files::ln),
    ("load", load::main),
    ("ls", files::ls),
    ("mkdir", files::mkdir),
    ("model-server", model_server::main),
    ("mv", files::mv),
    ("nslookup", network::nslookup),
    ("pause", pause::main),
    ("printenv", environment::printenv),
    ("printf", text::main_printf),
    ("ps", processes::ps),
    ("pwd", environment::pwd),
    ("rm", files::rm),
    ("seq", text::seq),
    ("sh", sh::main),
    ("sleep", time::sleep),
    ("sort", filter::sort),
    ("tail", filter::tail),
    ("tar", tar::main),
    ("test", text::main_test),
    ("touch", files::touch),
    ("trainer", trainer::main),
    ("true", |_| 0),
    ("wc", filter::wc),
    ("web", web::main),
    ("wget", wget::main),
    ("worker", worker::main),
];

/// The programs' names.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name)
}

/// Runs the program that this process was called as; `None`: it was called as tutor.
pub fn called() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = arguments.first()?.rsplit('/').next().unwrap_or_default().trim_start_matches('-').to_owned();
    let (_, program) = PROGRAMS.iter().find(|(known, _)| *known == name)?;
    Some(ExitCode::from((program(&arguments) & 0xff) as u8))
}

/// Prints to standard output; a reader that left ends the program, as a broken pipe does.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Complains as `name`; the exit code of who could not do what was asked.
pub(crate) fn complain(name: &str, why: &str) -> i32 {
    use std::io::Write;
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{name}: {why}");
    1
}

/// An error without Rust's number of it.
pub(crate) fn plain(error: &std::io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// Options that are single letters, and what is not an option.
pub(crate) fn split_options(arguments: &[String]) -> (String, Vec<&String>) {
    let (mut flags, mut rest, mut ended) = (String::new(), Vec::new(), false);
    for word in &arguments[1..] {
        match word.strip_prefix('-') {
            Some("-") if !ended => ended = true,
            Some(letters) if !ended && !letters.is_empty() => flags.push_str(letters.trim_start_matches('-')),
            _ => rest.push(word),
        }
    }
    (flags, rest)
}

/// This Pod's name, as its containers see it.
pub(crate) fn pod_name() -> String {
    let given = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    given.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

/// The image's version, which its configuration sets.
pub(crate) fn version() -> String {
    std::env::var("VERSION").unwrap_or_else(|_| "1".to_owned())
}

/// Set once the process was asked to end.
pub(crate) fn asked_to_end() -> std::sync::Arc<std::sync::atomic::AtomicBool> {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // A signal that cannot be caught ends the process at once, which is no harm.
        let _ = signal_hook::flag::register(signal, asked.clone());
    }
    asked
}
