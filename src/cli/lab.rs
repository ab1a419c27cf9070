//! `tutor lab`: experiments: what is measured on this machine, and what is done to a node from outside of Kubernetes.

use std::io::Write;

use serde_json::json;

use super::{Outcome, closed_output};
use crate::client;
use crate::client::page::Page;
use crate::clock::Clock;
use crate::cluster;
use crate::error::Result;
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
    /// Install the kinds of Gateway API, which Kubernetes itself does not have
    GatewayApi,
    /// Pull a node's cable: it runs on, and nobody reaches it
    Partition { node: String },
    /// Put a node's cable back in
    Heal { node: String },
    /// Pull a node's plug, without a word to the cluster
    PowerOff { node: String },
    /// Give a node its power back: it boots, empty
    PowerOn { node: String },
}

impl Lab {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let (node, action) = match self.experiment {
            Experiment::Boot { json } => return measure(state, json, out).await,
            Experiment::GatewayApi => return install_gateway_api(state, out).await,
            Experiment::Partition { node } => (node, "cut off"),
            Experiment::Heal { node } => (node, "join"),
            Experiment::PowerOff { node } => (node, "power off"),
            Experiment::PowerOn { node } => (node, "power on"),
        };
        let page = Page::of(&state.playground()?);
        let now = page.post("/api/nodes", &json!({"name": node, "do": action})).await?;
        let text = |key: &str| now[key].as_str().unwrap_or("unknown").to_owned();
        writeln!(out, "{node}: power {}, cable {}", text("power"), text("cable")).map_err(closed_output)?;
        Ok(Outcome::Done)
    }
}

async fn install_gateway_api(state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
    let client = client::from_playground(&state.playground()?).await?;
    cluster::install_gateway_api(&client, Clock::real()).await?;
    writeln!(out, "Gateway API is served: see kubectl get gatewayclasses").map_err(closed_output)?;
    Ok(Outcome::Done)
}

async fn measure(state: &StateDir, as_json: bool, out: &mut dyn Write) -> Result<Outcome> {
    let tasks = TaskGroup::new();
    let starts = boot::measure(&state.join(boot::FOLDER), Clock::real(), &tasks).await;
    match as_json {
        true => writeln!(out, "{}", json!({"starts": starts})).map_err(closed_output)?,
        false => out.write_all(chart(&starts).as_bytes()).map_err(closed_output)?,
    }
    Ok(Outcome::Done)
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
