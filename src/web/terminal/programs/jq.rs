//! `jq`: filters for JSON, by the crates of jaq, each in a process of its own.
//!
//! A filter is a program: it may never yield, call itself without end, or build a value that fills the
//! memory, and no library can be told to stop. So tutor starts itself once more for each, under limits
//! ([`LIMITS`]), and ends that process when its reader has gone, or at Ctrl-C.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::super::pipes::{Ended, Fault, read_all};
use super::Call;

pub mod filter;

use filter::{Asked, Form};

/// The word with which tutor is started for a filter.
pub const WORD: &str = "page-jq";
/// The exit code of a filter that has something to say.
pub const SAID: u8 = 5;
/// What is told of a filter that was ended by its limits.
const LIMITS: &str = "the filter was ended: it took too long, too much memory, or called itself too often";
/// The longest complaint.
const LONGEST_WORDS: u64 = 8 * 1024;

/// `jq`
pub async fn jq(call: &Call) -> Ended {
    let long = [
        ("raw-output", 'r'),
        ("compact-output", 'c'),
        ("exit-status", 'e'),
        ("slurp", 's'),
        ("sort-keys", 'S'),
        ("null-input", 'n'),
        ("raw-input", 'R'),
        ("join-output", 'j'),
    ];
    let mut arguments = Vec::new();
    let mut variables = Vec::new();
    let mut words = call.arguments.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.len()) {
            ("--arg" | "--argjson", 2..) => {
                let name = format!("${}", words.next().cloned().unwrap_or_default());
                variables.push((name, words.next().cloned().unwrap_or_default(), word == "--argjson"));
            }
            _ => arguments.push(word.clone()),
        }
    }
    let given = Call { arguments, context: call.context.clone() }.given("rcesSnRjM", &long)?;
    let (filter, files) = match given.words.split_first() {
        Some((filter, files)) => (filter.clone(), files.to_vec()),
        None => (".".to_owned(), Vec::new()),
    };
    let form = Form {
        raw: given.is('r') || given.is('j'),
        joined: given.is('j'),
        compact: given.is('c'),
        sorted: given.is('S'),
        slurp: given.is('s'),
        nothing: given.is('n'),
        lines: given.is('R'),
    };
    let mut text = Vec::new();
    if !form.nothing {
        for (_, input) in call.inputs(&files)? {
            text.extend(read_all(&input).await?);
        }
    }
    let asked = Asked { filter, variables, form };
    let exits = given.is('e');
    match started(call, &asked, &text).await? {
        (Some(0), _) => Ok(0),
        (Some(1), _) => Ok(i32::from(exits)),
        (Some(code), words) if code == i32::from(SAID) => Err(Fault::Said(words)),
        _ => Err(Fault::Said(LIMITS.to_owned())),
    }
}

/// Runs the filter to its end: the process's exit code, and what it said.
async fn started(call: &Call, asked: &Asked, text: &[u8]) -> Result<(Option<i32>, String), Fault> {
    let mut child = Command::new(call.context.world.commands.program())
        .arg(WORD)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(mut input), Some(mut values), Some(words)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Fault::Said(LIMITS.to_owned()));
    };
    let asked = serde_json::to_vec(asked).map_err(|fault| Fault::Said(fault.to_string()))?;
    let write = async {
        // A filter that has ended reads no more; its exit code tells why.
        for part in [asked.as_slice(), b"\n", text] {
            if input.write_all(part).await.is_err() {
                break;
            }
        }
        drop(input);
        Ok::<(), Fault>(())
    };
    let show = async {
        let mut buffer = vec![0; 8 * 1024];
        loop {
            let read = values.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            call.context.out.write(buffer[..read].to_vec()).await?;
        }
    };
    let listen = async {
        let mut said = String::new();
        words.take(LONGEST_WORDS).read_to_string(&mut said).await?;
        Ok(said.trim_end().to_owned())
    };
    let ((), (), said) = futures::try_join!(write, show, listen)?;
    Ok((child.wait().await?.code(), said))
}
