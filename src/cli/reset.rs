//! `tutor reset`: an exercise as it was at the start; with `--all`, nothing left of any.

use std::io::Write;

use super::{Outcome, closed_output, course, start};
use crate::course::catalogue::Catalogue;
use crate::course::lifecycle;
use crate::error::Result;
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Reset {
    /// The exercise; the current one when absent
    #[arg(conflicts_with = "all")]
    name: Option<String>,
    /// Remove what every exercise made; what you passed stays passed
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: course::Where,
}

impl Reset {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let file = course::progress(state);
        let target = self.place.target(state).await?;
        if !self.all {
            let exercise = course::meant(self.name.as_deref(), &file.read()?)?;
            lifecycle::clean(&target, exercise).await?;
            return start::begin(&target, exercise, state, out).await;
        }
        for exercise in Catalogue::get()?.iter() {
            lifecycle::clean(&target, exercise).await?;
        }
        file.change(|progress| {
            progress.current = None;
            for entry in progress.exercises.values_mut() {
                entry.started = None;
                entry.hints.clear();
            }
        })?;
        writeln!(out, "nothing is left of any exercise").map_err(closed_output)?;
        Ok(Outcome::Done)
    }
}
