//! The process in which the page's terminal runs a `jq` filter: limits first, then the filter.
//!
//! In: on standard input one line that says what is asked, then the text. Out: the values; the exit code is 0 or
//! 1 as `jq -e` has it, or [`jq::SAID`] with a complaint on standard error.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use crate::web::terminal::jq::{self, filter};

/// What the process may allocate, beyond what it has when it starts.
#[cfg(unix)]
const MOST_BYTES: u64 = 1024 * 1024 * 1024;
/// How long it may compute.
#[cfg(unix)]
const MOST_SECONDS: u64 = 10;

/// Whether tutor was started for a filter.
pub fn is_asked(words: &[String]) -> bool {
    words.len() == 2 && words[1] == jq::WORD
}

/// Runs the filter.
pub fn main() -> ExitCode {
    limit();
    match run() {
        Ok(last) => ExitCode::from(u8::from(!last)),
        // Nobody is left to be told.
        Err(filter::Fault::Gone(_)) => ExitCode::SUCCESS,
        Err(filter::Fault::Said(words)) => {
            eprintln!("{words}");
            ExitCode::from(jq::SAID)
        }
    }
}

fn run() -> Result<bool, filter::Fault> {
    let mut input = io::stdin().lock();
    let (mut asked, mut text) = (String::new(), Vec::new());
    let read = input.read_line(&mut asked).and_then(|_| input.read_to_end(&mut text));
    read.map_err(filter::Fault::Gone)?;
    let asked = serde_json::from_str(&asked).map_err(|fault| filter::Fault::Said(fault.to_string()))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let ended = filter::run(&asked, &text, &mut out);
    // What came before a complaint is shown.
    let flushed = out.flush();
    let last = ended?;
    flushed.map_err(filter::Fault::Gone)?;
    Ok(last)
}

/// The system ends this process when it takes more.
#[cfg(unix)]
fn limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, most) in [(Resource::As, MOST_BYTES), (Resource::Cpu, MOST_SECONDS), (Resource::Core, 0)] {
        // A system that does not know a limit has Ctrl-C.
        let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
}

#[cfg(not(unix))]
fn limit() {}
