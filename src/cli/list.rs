//! `tutor list`: the exercises, in the course's order, and which of them passed.

use std::io::Write;

use serde_json::json;

use super::{Outcome, closed_output, course};
use crate::course::catalogue::Catalogue;
use crate::error::Result;
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct List {
    /// One JSON document
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let catalogue = Catalogue::get()?;
        let progress = course::progress(state).read()?;
        if self.json {
            let exercises: Vec<_> = catalogue
                .iter()
                .map(|exercise| {
                    let entry = progress.of(&exercise.name);
                    json!({"name": exercise.name, "part": exercise.part, "title": exercise.title,
                        "minutes": exercise.minutes, "teaches": exercise.teaches,
                        "started": entry.started, "passed": entry.passed})
                })
                .collect();
            writeln!(out, "{}", json!({"current": progress.current, "exercises": exercises})).map_err(closed_output)?;
            return Ok(Outcome::Done);
        }
        for part in &catalogue.parts {
            writeln!(out, "{}", part.title).map_err(closed_output)?;
            for exercise in catalogue.iter().filter(|exercise| exercise.part == part.name) {
                let entry = progress.of(&exercise.name);
                let mark = match (entry.passed, entry.started) {
                    (Some(_), _) => "✓",
                    (None, Some(_)) => "…",
                    (None, None) => " ",
                };
                let needs = if exercise.runs_on("simulated") { "" } else { "   native containers" };
                let (name, title, minutes) = (&exercise.name, &exercise.title, exercise.minutes);
                writeln!(out, "  {mark} {name:<18} {title:<34} {minutes:>2} min{needs}").map_err(closed_output)?;
            }
        }
        Ok(Outcome::Done)
    }
}
