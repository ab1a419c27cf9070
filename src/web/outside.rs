//! Checks that end the playground: they run in a process of their own, which outlives it.
//!
//! A check button starts `tutor check NAME` with its lines going to a file of the state folder; the
//! page reads them with `GET exercises/NAME/lines?from=N`, before the crash and after. Nothing here
//! remembers anything that the page needs: after the crash, this is another process.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::Site;
use super::guard::Asked;
use crate::course::exercise::Exercise;
use crate::error::{Error, Result};

/// The one that runs now.
#[derive(Default)]
pub struct Outside(Mutex<Option<Child>>);

/// Starts the check; the page is told where to read on.
pub fn begin(site: &Site, exercise: &Exercise) -> Result<Value> {
    let mut running = site.0.outside.0.lock();
    if running.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none())) {
        return Err(Error::new(
            "a check that ends the playground runs already",
            "two at once would mislead each other",
        )
        .hint("wait a moment, then press Check again"));
    }
    let cannot = |why: std::io::Error| Error::new("the check cannot be started", why.to_string());
    let path = file(site, exercise);
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(cannot)?;
    let lines = fs::File::create(&path).map_err(cannot)?;
    let child = Command::new(&site.0.program)
        .args(["check", "--lines", &exercise.name, "--state-dir"])
        .arg(&site.0.playground.state_dir)
        .stdin(Stdio::null())
        .stdout(lines)
        .stderr(Stdio::null())
        .spawn();
    *running = Some(child.map_err(cannot)?);
    Ok(json!({"outside": exercise.name}))
}

/// `{"lines": […], "next": N}`: what was said since line `from`.
pub fn lines(site: &Site, exercise: &Exercise, asked: &Asked) -> Result<Value> {
    let from: usize = asked.query("from").and_then(|text| text.parse().ok()).unwrap_or(0);
    // Not there yet, or never: no lines.
    let text = fs::read_to_string(file(site, exercise)).unwrap_or_default();
    // A line without its end is still being written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines: Vec<Value> = whole.lines().skip(from).filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(json!({"next": from + lines.len(), "lines": lines}))
}

fn file(site: &Site, exercise: &Exercise) -> PathBuf {
    site.0.playground.state_dir.join("checks").join(format!("{}.ndjson", exercise.name))
}
