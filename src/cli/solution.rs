//! `tutor solution`: a way that passes, once yours has.

use std::io::Write;

use super::{Outcome, closed_output, course};
use crate::course::catalogue;
use crate::error::{Error, Result};
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Solution {
    /// The exercise; the current one when absent
    name: Option<String>,
    /// Show it although the exercise has not passed
    #[arg(long)]
    spoil: bool,
}

impl Solution {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let progress = course::progress(state).read()?;
        let exercise = course::meant(self.name.as_deref(), &progress)?;
        if progress.of(&exercise.name).passed.is_none() && !self.spoil {
            let why = "a solution is shown once yours has passed";
            return Err(Error::new(format!("{} has not passed yet", exercise.name), why)
                .hint(format!("tutor hint {} helps without telling", exercise.name))
                .hint(format!("tutor solution {} --spoil shows it all the same", exercise.name)));
        }
        let files = catalogue::folder(exercise, "solution");
        let shown = exercise.solutions.iter().filter(|solution| !solution.show.is_empty());
        for solution in shown {
            writeln!(out, "{}:\n\n{}", solution.name, indented(&solution.show)).map_err(closed_output)?;
        }
        for (name, text) in files {
            writeln!(out, "{name}:\n\n{}", indented(&text)).map_err(closed_output)?;
        }
        Ok(Outcome::Done)
    }
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}\n")).collect()
}
