//! The command line: reads arguments, calls the rooms below, prints. One file a command.
//!
//! Architecture invariant: only this room prints, and only `main` ends the process. Answers go to
//! standard output, messages to standard error. Exit codes: 0 done or passed, 1 not yet, 2 wrong
//! usage or a broken environment.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use owo_colors::OwoColorize;

use crate::error::{Error, Result};
use crate::state::StateDir;

mod check;
mod completions;
mod controllers;
mod course;
mod dev;
mod doctor;
mod etcd;
mod filter;
mod hint;
mod image;
mod image_build;
mod init;
mod kubectl;
mod lab;
mod list;
mod next;
pub mod page;
mod reset;
mod serve;
mod solution;
mod start;
mod status;
mod trace;
mod watch;

/// How a command ended, when nothing was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or passed: exit code 0.
    Done,
    /// An exercise is not passed yet: exit code 1.
    NotYet,
}

/// Learn Kubernetes by holding one: a book, a small real cluster, and exercises graded by watching it.
#[derive(Debug, Parser)]
#[command(name = "tutor", version, about, max_term_width = 100, disable_help_subcommand = true)]
struct Arguments {
    /// Where the playground keeps its state [default: $TUTOR_STATE_DIR, else the XDG data folder `tutor`]
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the playground: book, cluster and registry
    Serve(Box<serve::Serve>),
    /// Write the exercises' tasks and starting files to a folder; never overwrites one
    Init(init::Init),
    /// The exercises, and which of them passed
    List(list::List),
    /// Where you are, and what is next
    Next,
    /// Start an exercise and show its task
    Start(start::Start),
    /// Look at what your cluster does, and say what is missing
    Check(check::Check),
    /// The next hint for where you are
    Hint(hint::Hint),
    /// Show a way that passes, once yours has
    Solution(solution::Solution),
    /// Give an exercise a fresh start
    Reset(reset::Reset),
    /// What runs, and why so
    Status(status::Status),
    /// What is missing on this machine, and the command that mends it
    Doctor,
    /// Pause, step or resume one of the cluster's loops
    Controllers(controllers::Controllers),
    /// From a command through every part's write that it caused
    Trace(trace::Trace),
    /// The store's keys, revisions and values
    Etcd(etcd::Etcd),
    /// The built-in kubectl: `tutor kubectl get pods`
    #[command(disable_help_flag = true)]
    Kubectl {
        /// What kubectl is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// The images on this machine: fetch, send, load, save, look inside
    Image(image::Image),
    /// Experiments, measured on this machine
    Lab(lab::Lab),
    /// For authors: prove the exercises
    Dev(dev::Dev),
    /// Print a completion script for your shell
    Completions(completions::Completions),
}

/// Runs the command named by the process's arguments.
pub fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(words) = kubectl::words(&words) {
        return kubectl::main(&words, None);
    }
    if filter::is_asked(&words) {
        return filter::main();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(wrong) => {
            // Printing a usage error can only fail if the terminal is gone.
            let _ = wrong.print();
            return ExitCode::from(if wrong.use_stderr() { 2 } else { 0 });
        }
    };
    if let Some(Command::Kubectl { words }) = &arguments.command {
        return kubectl::main(words, arguments.state_dir.as_deref());
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("TUTOR_LOG").unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    match run(arguments) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotYet) => ExitCode::from(1),
        // `tutor list | head`: who asked has read enough.
        Err(error) if error.what == NO_READER => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<Outcome> {
    let state = StateDir::resolve(arguments.state_dir.as_deref())?;
    let mut out = std::io::stdout();
    match arguments.command {
        Some(Command::Serve(serve)) => many_threads()?.block_on(serve.run(state)),
        Some(Command::Init(init)) => one_thread()?.block_on(init.run(&mut out)),
        Some(Command::List(list)) => one_thread()?.block_on(list.run(&state, &mut out)),
        Some(Command::Next) => one_thread()?.block_on(next::run(&state, &mut out)),
        Some(Command::Start(start)) => one_thread()?.block_on(start.run(&state, &mut out)),
        Some(Command::Check(check)) => one_thread()?.block_on(check.run(&state, &mut out)),
        Some(Command::Hint(hint)) => one_thread()?.block_on(hint.run(&state, &mut out)),
        Some(Command::Solution(solution)) => one_thread()?.block_on(solution.run(&state, &mut out)),
        Some(Command::Reset(reset)) => one_thread()?.block_on(reset.run(&state, &mut out)),
        Some(Command::Kubectl { .. }) => Ok(Outcome::Done),
        Some(Command::Dev(dev)) => one_thread()?.block_on(dev.run(&mut out)),
        Some(Command::Status(status)) => one_thread()?.block_on(status.run(&state, &mut out)),
        Some(Command::Doctor) => one_thread()?.block_on(doctor::run(&state, &mut out)),
        Some(Command::Controllers(controllers)) => one_thread()?.block_on(controllers.run(&state, &mut out)),
        Some(Command::Trace(trace)) => one_thread()?.block_on(trace.run(&state, &mut out)),
        Some(Command::Etcd(etcd)) => one_thread()?.block_on(etcd.run(&state, &mut out)),
        Some(Command::Image(image)) => many_threads()?.block_on(image.run(&state, &image::Desk::of_shell(), &mut out)),
        Some(Command::Lab(lab)) => many_threads()?.block_on(lab.run(&state, &mut out)),
        Some(Command::Completions(completions)) => completions.run(&mut Arguments::command(), &mut out),
        None => one_thread()?.block_on(watch::here_or_next(&state, &mut out)),
    }
}

/// A runtime for commands that ask and print.
fn one_thread() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)
}

/// A runtime for the playground.
fn many_threads() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(no_runtime)
}

fn no_runtime(fault: std::io::Error) -> Error {
    Error::new("the asynchronous runtime cannot start", fault.to_string())
        .hint("check the limits of this shell: ulimit -a")
}

/// Prints an error in its three parts: what, why, what to do.
fn report(error: &Error) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let title = if colour { "error:".red().bold().to_string() } else { "error:".to_owned() };
    // Nobody is left to tell when standard error is closed.
    let _ = std::io::stderr().lock().write_all(in_words(error, &title).as_bytes());
}

/// Says that something is not to be had and why, where the rest goes on without it.
fn warn(consequence: &str, fault: &Error) {
    let why = if fault.why.is_empty() { fault.what.clone() } else { format!("{}: {}", fault.what, fault.why) };
    let said = fault.hints.iter().fold(Error::new(consequence, why), |said, hint| said.hint(hint.clone()));
    // Nobody is left to tell when standard error is closed.
    let _ = std::io::stderr().lock().write_all(in_words(&said, "note:").as_bytes());
}

/// An error's three parts as lines.
fn in_words(error: &Error, title: &str) -> String {
    let mut words = format!("{title} {}\n", error.what);
    if !error.why.is_empty() {
        words.push_str(&format!("  why: {}\n", error.why));
    }
    for hint in &error.hints {
        words.push_str(&format!("   do: {hint}\n"));
    }
    words
}

/// What happened when the reader of a pipe has gone.
const NO_READER: &str = "nobody reads the answer";

/// A write to standard output failed.
fn closed_output(fault: std::io::Error) -> Error {
    match fault.kind() {
        std::io::ErrorKind::BrokenPipe => Error::new(NO_READER, ""),
        _ => Error::new("the answer cannot be printed", fault.to_string()),
    }
}
