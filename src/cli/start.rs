//! `tutor start NAME`: the exercise's namespace, its starting objects and switches, and the task.

use std::io::Write;

use super::{Outcome, closed_output, course};
use crate::course::catalogue::{self, Catalogue};
use crate::course::exercise::Exercise;
use crate::course::lifecycle::Started;
use crate::course::session;
use crate::course::target::Target;
use crate::error::{Error, Result};
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Start {
    /// The exercise; the next one when absent
    name: Option<String>,
    #[command(flatten)]
    place: course::Where,
}

impl Start {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let catalogue = Catalogue::get()?;
        let progress = course::progress(state).read()?;
        // A name that is none is told before anything is looked for.
        let named = self.name.as_deref().map(|name| catalogue.find(name)).transpose()?;
        let target = self.place.target(state).await?;
        let runtime = target.runtime().await?.map(|(runtime, _)| runtime);
        let exercise = match named {
            Some(exercise) => exercise,
            None => course::following(catalogue, &progress, runtime.as_deref())
                .ok_or_else(|| Error::new("every exercise has passed", "").hint("tutor start NAME does one again"))?,
        };
        begin(&target, exercise, state, out).await
    }
}

/// Starts an exercise on a target and prints its task.
///
/// # Errors
/// When the cluster refuses.
pub async fn begin(target: &Target, exercise: &Exercise, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
    let started = session::begin(target, exercise, &course::progress(state)).await?;
    writeln!(out, "{}", catalogue::task(exercise)?.trim_end()).map_err(closed_output)?;
    if started == Started::Again {
        let again =
            format!("It was started before, and is as you left it. For a fresh start: tutor reset {}", exercise.name);
        writeln!(out, "\n{again}").map_err(closed_output)?;
    }
    Ok(Outcome::Done)
}
