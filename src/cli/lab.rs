//! `tutor lab`: experiments, measured on this machine.

use std::io::Write;

use super::{Outcome, closed_output};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::lab::boot::{self, Start};
use crate::state::StateDir;
use crate::tasks::TaskGroup;

/// The longest bar, in characters.
const BAR: f64 = 40.0;

#[derive(Debug, clap::Args)]
pub struct Lab {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Debug, clap::Subcommand)]
enum Experiment {
    /// Start a process, a container and a machine, and say how long each took
    Boot {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
}

impl Lab {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let Experiment::Boot { json } = self.experiment;
        let tasks = TaskGroup::new();
        let starts = boot::measure(&state.join(boot::FOLDER), Clock::real(), &tasks).await;
        match json {
            true => {
                let text = serde_json::to_string(&serde_json::json!({"starts": starts}))
                    .map_err(|fault| Error::new("the figures cannot be printed", fault.to_string()))?;
                writeln!(out, "{text}").map_err(closed_output)?;
            }
            false => out.write_all(chart(&starts).as_bytes()).map_err(closed_output)?,
        }
        Ok(Outcome::Done)
    }
}

/// A line and a bar for each; what was not measured here says so.
fn chart(starts: &[Start]) -> String {
    let longest = starts.iter().map(|start| start.milliseconds).fold(f64::MIN_POSITIVE, f64::max);
    let mut text = String::from("from nothing until it runs, median of 20\n\n");
    for start in starts {
        let bar = "█".repeat(((start.milliseconds / longest) * BAR).ceil() as usize);
        text.push_str(&format!("{:<34} {:>8.2} ms  {bar}\n", start.what, start.milliseconds));
        text.push_str(&format!("  until {}\n", start.until));
        if let Some(source) = start.source {
            text.push_str(&format!("  not measured here: {source}\n"));
        }
        if let Some(obstacle) = &start.obstacle {
            text.push_str(&format!("  because {obstacle}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_start_has_the_longest_bar_and_a_figure_from_elsewhere_says_so() {
        let here =
            Start { what: "a process", until: "it ended", milliseconds: 1.0, here: true, source: None, obstacle: None };
        let there =
            Start { what: "a machine", milliseconds: 100.0, here: false, source: Some("somebody"), ..here.clone() };
        let chart = chart(&[here, there]);
        let bars: Vec<usize> = chart.lines().map(|line| line.matches('█').count()).filter(|&bar| bar > 0).collect();
        assert_eq!(bars, [1, 40]);
        assert!(chart.contains("not measured here: somebody"), "{chart}");
    }
}
