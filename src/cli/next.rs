//! `tutor next`: where you are and what is next; also what plain `tutor` prints.

use std::io::Write;

use super::{Outcome, closed_output, course};
use crate::client::page::Page;
use crate::course::catalogue::Catalogue;
use crate::error::Result;
use crate::state::StateDir;

pub async fn run(state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
    let catalogue = Catalogue::get()?;
    let progress = course::progress(state).read()?;
    let passed = catalogue.iter().filter(|exercise| progress.of(&exercise.name).passed.is_some()).count();
    writeln!(out, "{passed} of {} exercises passed", catalogue.iter().count()).map_err(closed_output)?;
    let runtime = match state.playground() {
        Ok(playground) => Page::of(&playground).get("/api/status").await.ok(),
        Err(_) => None,
    };
    let runtime = runtime.as_ref().and_then(|status| status["runtime"].as_str());
    match course::following(catalogue, &progress, runtime) {
        Some(exercise) => {
            let begun = progress.of(&exercise.name).started.is_some();
            let (verb, command) = if begun { ("you are at", "check") } else { ("next is", "start") };
            writeln!(
                out,
                "{verb} {}: {} ({} min)\n  tutor {command} {}",
                exercise.name, exercise.title, exercise.minutes, exercise.name
            )
        }
        None => writeln!(out, "that is all of them: from here, try the same checks on a real cluster with --context"),
    }
    .map_err(closed_output)?;
    Ok(Outcome::Done)
}
