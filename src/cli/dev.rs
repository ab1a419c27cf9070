//! `tutor dev check`: for authors; proves every exercise on a fresh playground of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{Outcome, closed_output};
use crate::clock::Clock;
use crate::course::catalogue::Catalogue;
use crate::course::exercise::Exercise;
use crate::course::prove::{self, Trial};
use crate::course::target::Target;
use crate::error::{Error, Result};
use crate::state::Playground;

/// How long a playground may take to say that it is ready.
const READY: Duration = Duration::from_secs(30);
/// Playgrounds side by side; most of the time each waits for its cluster to settle.
const SIDE_BY_SIDE: usize = 8;
/// Each exercise is proven so often, each time on a playground of its own.
const ROUNDS: usize = 2;

#[derive(Debug, clap::Args)]
pub struct Dev {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prove exercises: the start fails, each solution passes, each mutant fails where it should, twice
    Check {
        /// The exercises; all of them when absent
        names: Vec<String>,
        /// Print every trial, not only what is wrong
        #[arg(long)]
        verbose: bool,
    },
}

impl Dev {
    pub async fn run(self, out: &mut dyn Write) -> Result<Outcome> {
        let Action::Check { names, verbose } = self.action;
        let catalogue = Catalogue::get()?;
        let exercises: Vec<&Exercise> = match names.is_empty() {
            true => catalogue.iter().collect(),
            false => names.iter().map(|name| catalogue.find(name)).collect::<Result<_>>()?,
        };
        // The longest first, so that none of them is alone at the end.
        let mut units: Vec<(&Exercise, usize)> =
            exercises.iter().flat_map(|exercise| (1..=ROUNDS).map(|round| (*exercise, round))).collect();
        units.sort_by_key(|(exercise, _)| std::cmp::Reverse(prove::waits(exercise)));
        let rounds =
            units.into_iter().map(|(exercise, round)| async move { (exercise, prove_round(exercise, round).await) });
        let mut rounds = stream::iter(rounds).buffer_unordered(SIDE_BY_SIDE);
        let mut proven: BTreeMap<&str, Vec<Result<Vec<Trial>>>> = BTreeMap::new();
        let mut all_hold = true;
        while let Some((exercise, round)) = rounds.next().await {
            let done = proven.entry(&exercise.name).or_default();
            done.push(round);
            if done.len() == ROUNDS {
                let proof = std::mem::take(done).into_iter().collect::<Result<Vec<_>>>();
                all_hold &=
                    print(exercise, proof.map(|rounds| rounds.concat()), verbose, out).map_err(closed_output)?;
            }
        }
        Ok(if all_hold { Outcome::Done } else { Outcome::NotYet })
    }
}

async fn prove_round(exercise: &Exercise, round: usize) -> Result<Vec<Trial>> {
    let folder = std::env::temp_dir().join(format!("tutor-dev-{}-{}-{round}", std::process::id(), exercise.name));
    let proven = match spawn(&folder).await {
        Ok((mut child, playground)) => {
            let proven = match Target::playground(&playground, Clock::real()).await {
                Ok(target) => prove::prove(&target, exercise, round).await,
                Err(error) => Err(error),
            };
            // It may have ended by itself; then there is nothing to end.
            let _ = child.kill().await;
            proven
        }
        Err(error) => Err(error),
    };
    // What is left of a temporary folder does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    proven
}

/// A playground in a process of its own, on free ports and a folder of its own.
async fn spawn(folder: &Path) -> Result<(Child, Playground)> {
    let cannot = |why: String| Error::new("a playground could not be started", why);
    let program = std::env::current_exe().map_err(|why| cannot(why.to_string()))?;
    let ports = ["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0"];
    let mut child = Command::new(program)
        .args(["serve", "--json", "--runtime", "simulated", "--state-dir"])
        .arg(folder)
        .args(ports)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|why| cannot(why.to_string()))?;
    let output = child.stdout.take().ok_or_else(|| cannot("it has no output".to_owned()))?;
    let mut lines = BufReader::new(output).lines();
    let line = Clock::real().timeout(READY, lines.next_line()).await;
    let line = line.map_err(|_| cannot(format!("it was not ready after {} s", READY.as_secs())))?;
    let line = line.map_err(|why| cannot(why.to_string()))?.ok_or_else(|| cannot("it ended at once".to_owned()))?;
    let playground = serde_json::from_str(&line).map_err(|why| cannot(format!("{line}: {why}")))?;
    Ok((child, playground))
}

fn print(exercise: &Exercise, proof: Result<Vec<Trial>>, verbose: bool, out: &mut dyn Write) -> std::io::Result<bool> {
    let trials = match proof {
        Ok(trials) => trials,
        Err(error) => {
            writeln!(out, "✗ {}: {error}", exercise.name)?;
            return Ok(false);
        }
    };
    let holds = trials.iter().all(|trial| trial.fault.is_none());
    let took: Duration = trials.iter().map(|trial| trial.took).sum();
    writeln!(
        out,
        "{} {:<18} {} trials, {:.1} s",
        if holds { "✓" } else { "✗" },
        exercise.name,
        trials.len(),
        took.as_secs_f64()
    )?;
    for trial in trials.iter().filter(|trial| verbose || trial.fault.is_some()) {
        let verdict = trial.fault.as_deref().unwrap_or("as it should be");
        writeln!(out, "    {} ({:.1} s): {verdict}", trial.name, trial.took.as_secs_f64())?;
    }
    Ok(holds)
}
