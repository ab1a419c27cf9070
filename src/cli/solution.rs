//! `tutor solution`: a way that passes, once yours has.

use std::io::Write;

use super::{Outcome, closed_output, course};
use crate::course::session::{self, Spoil};
use crate::error::Result;
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
        let file = course::progress(state);
        let exercise = course::meant(self.name.as_deref(), &file.read()?)?;
        let spoil = if self.spoil { Spoil::Yes } else { Spoil::No };
        let solution = session::solution(exercise, &file, spoil)?;
        for (name, text) in solution.ways.iter().chain(&solution.files) {
            writeln!(out, "{name}:\n\n{}", indented(text)).map_err(closed_output)?;
        }
        Ok(Outcome::Done)
    }
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}\n")).collect()
}
