//! `tutor hint`: the next hint for the state you are in.

use std::io::Write;

use super::{Outcome, closed_output, course};
use crate::course::session;
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
        let exercise = course::meant(self.name.as_deref(), &file.read()?)?;
        let target = self.place.target(state).await?;
        match session::hint(&target, exercise, &file).await? {
            Some(shown) => {
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
