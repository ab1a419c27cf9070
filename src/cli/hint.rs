//! `tutor hint`: the next hint for the state you are in.

use std::io::Write;

use super::{Outcome, closed_output, course};
use crate::course::hint;
use crate::error::Result;
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Hint {
    /// The exercise; the current one when absent
    name: Option<String>,
    #[command(flatten)]
    place: course::Where,
}

impl Hint {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let file = course::progress(state);
        let progress = file.read()?;
        let exercise = course::meant(self.name.as_deref(), &progress)?;
        let target = self.place.target(state).await?;
        match hint::next(&target, exercise, &progress.of(&exercise.name).hints).await {
            Some(shown) => {
                file.change(|progress| progress.hinted(&exercise.name, shown.index))?;
                writeln!(out, "{}", shown.say).map_err(closed_output)?;
                if shown.more > 0 {
                    writeln!(out, "({} more for where you are: tutor hint)", shown.more).map_err(closed_output)?;
                }
            }
            None => writeln!(out, "no hint fits where you are; tutor check {} says what is missing", exercise.name)
                .map_err(closed_output)?,
        }
        Ok(Outcome::Done)
    }
}
