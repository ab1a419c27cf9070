//! `tutor lab`: experiments: what is measured on this machine, and what is done to a node from outside of Kubernetes.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{Outcome, closed_output};
use crate::client::page::Page;
use crate::client::{self, Informers};
use crate::clock::Clock;
use crate::cluster;
use crate::error::Result;
use crate::lab::boot::{self, Start};
use crate::lab::orchestrator::{self, Board, Keeper, Rules, Score, Told};
use crate::lab::walls::{self, Wall};
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
    /// Make a container by hand, a namespace at a time, and say what its process sees
    Container {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Keep three Pods alive while they die: you do, or a Deployment does
    Orchestrate {
        /// A Deployment keeps them
        #[arg(long)]
        deployment: bool,
        /// How long
        #[arg(long, default_value_t = 120)]
        seconds: u64,
        /// Seconds from one death to the next
        #[arg(long, default_value_t = 15)]
        every: u64,
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
            Experiment::Container { json } => return walls_one_by_one(json, out).await,
            Experiment::Orchestrate { deployment, seconds, every } => {
                let keeper = if deployment { Keeper::Deployment } else { Keeper::You };
                let (length, every) = (Duration::from_secs(seconds.max(1)), Duration::from_secs(every.max(1)));
                return orchestrate(state, Rules { keeper, length, every }, out).await;
            }
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

async fn walls_one_by_one(as_json: bool, out: &mut dyn Write) -> Result<Outcome> {
    let walls = walls::build(Path::new("/proc/self/exe"), Clock::real()).await?;
    match as_json {
        true => writeln!(out, "{}", json!({"walls": walls})).map_err(closed_output)?,
        false => out.write_all(walls_told(&walls).as_bytes()).map_err(closed_output)?,
    }
    Ok(Outcome::Done)
}

/// A paragraph for each wall: what it did, and what is seen now.
fn walls_told(walls: &[Wall]) -> String {
    let mut text = String::new();
    for Wall { wall, said, hostname, number, user, processes, cards, files, kernel } in walls {
        text.push_str(&format!("{wall}: {said}\n"));
        text.push_str(&format!("  host name {hostname}, process {number}, user {user}, sees {processes} processes\n"));
        text.push_str(&format!("  network cards {}, files in / {}\n", cards.join(" "), files.join(" ")));
        text.push_str(&format!("  kernel {kernel}\n\n"));
    }
    text.push_str("The kernel is the same all along. That was a container, without its image.\n");
    text
}

async fn orchestrate(state: &StateDir, rules: Rules, out: &mut dyn Write) -> Result<Outcome> {
    let (playground, clock, tasks) = (state.playground()?, Clock::real(), TaskGroup::new());
    let client = client::from_playground(&playground).await?;
    let namespace = client::current_namespace(&playground.kubeconfig).unwrap_or_else(|| "default".to_owned());
    if rules.keeper == Keeper::You {
        let more = "kubectl run keep-1 --image=tutor/web:1";
        writeln!(out, "Keep three alive, in another terminal: {more} (namespace {namespace})")
            .map_err(closed_output)?;
    }
    let board = Board { informers: Informers::new(client, clock, &tasks), namespace, clock };
    let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
    // Whoever prints has gone when this fails; the game still removes its Pods.
    let mut tell = |told: Told| drop(say.send(told));
    let mut game = std::pin::pin!(orchestrator::play(&board, rules, &mut tell));
    let played = loop {
        tokio::select! {
            Some(told) = said.recv() => writeln!(out, "{}", line_of(&told)).map_err(closed_output)?,
            played = &mut game => break played,
        }
    };
    while let Ok(told) = said.try_recv() {
        writeln!(out, "{}", line_of(&told)).map_err(closed_output)?;
    }
    tasks.cancel();
    played.map(|_| Outcome::Done)
}

fn line_of(told: &Told) -> String {
    match told {
        Told::Ready { at, names } => format!("{at:>6.1} s  {} of 3 ready: {}", names.len(), names.join(" ")),
        Told::Killed { at, name } => format!("{at:>6.1} s  {name} dies"),
        Told::Score(Score { killed, whole, longest }) => {
            format!("{killed} died. All three ran for {whole:.0} % of the time. The longest gap: {longest:.1} s.")
        }
    }
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
