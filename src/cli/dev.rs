//! `tutor dev check`: for authors; proves every exercise on a fresh playground of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use super::{Outcome, closed_output};
use crate::clock::Clock;
use crate::cluster;
use crate::course::catalogue::Catalogue;
use crate::course::exercise::{Exercise, Runtime};
use crate::course::prove::{self, Attempt, Trial};
use crate::course::target::Target;
use crate::error::{Error, Result};
use crate::images::{ImageName, Registries, Store};
use crate::state::Playground;
use crate::tasks::TaskGroup;

/// How long a playground may take to say that it is ready, and to clean up.
const READY: Duration = Duration::from_secs(120);
/// Playgrounds side by side; most of the time each waits for its cluster to settle. On docker it is one: all want the
/// same addresses for their Pods.
const SIDE_BY_SIDE: usize = 8;
/// Attempts made on one playground, one after the other: each must leave nothing behind that troubles the next.
/// With fewer, more playgrounds start at once than two processors can bear.
const ON_ONE_PLAYGROUND: usize = 6;

#[derive(Debug, clap::Args)]
pub struct Dev {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prove exercises: the start fails, each solution passes, each mutant fails where it should
    Check {
        /// The exercises; all of them when absent
        names: Vec<String>,
        /// Only on this runtime: simulated, native or docker
        #[arg(long, value_parser = runtime)]
        runtime: Option<Runtime>,
        /// How often, each time on another playground
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// Only the start and the first solution, once: no mutants
        #[arg(long)]
        quick: bool,
        /// Print every trial, not only what is wrong
        #[arg(long)]
        verbose: bool,
    },
}

fn runtime(word: &str) -> Result<Runtime, String> {
    let all = [Runtime::Simulated, Runtime::Native, Runtime::Docker];
    let found = all.into_iter().find(|runtime| runtime.as_str() == word);
    found.ok_or_else(|| "expected simulated, native or docker".to_owned())
}

impl Dev {
    pub async fn run(self, out: &mut dyn Write) -> Result<Outcome> {
        let Action::Check { names, runtime, rounds, quick, verbose } = self.action;
        let catalogue = Catalogue::get()?;
        catalogue.sound()?;
        let mut exercises: Vec<Exercise> = match names.is_empty() {
            true => catalogue.iter().cloned().collect(),
            false => names.iter().map(|name| catalogue.find(name).cloned()).collect::<Result<_>>()?,
        };
        let rounds = if quick { 1 } else { rounds };
        if quick {
            for exercise in &mut exercises {
                exercise.solutions.truncate(1);
                exercise.mutants.clear();
            }
        }
        let refusals = Refusals {
            native: cluster::native_refusal(Clock::real()).await.map(|refused| refused.why),
            docker: cluster::docker_obstacle().map(|obstacle| obstacle.why),
        };
        let mut units = Vec::new();
        let mut skipped = 0;
        for exercise in &exercises {
            match place(exercise, runtime, &refusals) {
                Ok(runtime) => units.extend(Unit::all(exercise, runtime, rounds)),
                Err(why) => {
                    skipped += 1;
                    writeln!(out, "- {:<18} skipped: {why}", exercise.name).map_err(closed_output)?;
                }
            }
        }
        let mut proofs: BTreeMap<&str, Proof> = BTreeMap::new();
        for unit in &units {
            proofs.entry(&unit.exercise.name).or_default().left += 1;
        }
        // The longest first, so that none of them is alone at the end.
        units.sort_by_key(|unit| std::cmp::Reverse(unit.waits()));
        let seed = &Seed::default();
        let runs = units.into_iter().enumerate().map(|(number, unit)| async move {
            let trials = unit.prove(number, seed).await;
            (unit, trials)
        });
        let at_once = if runtime == Some(Runtime::Docker) { 1 } else { SIDE_BY_SIDE };
        let mut runs = stream::iter(runs).buffer_unordered(at_once);
        let mut all_hold = true;
        while let Some((unit, trials)) = runs.next().await {
            let proof = proofs.entry(&unit.exercise.name).or_default();
            proof.parts.insert((unit.round, unit.first), trials);
            proof.left -= 1;
            if proof.left == 0 {
                let trials = std::mem::take(&mut proof.parts).into_values().collect::<Result<Vec<_>>>();
                all_hold &=
                    print(unit.exercise, trials.map(|parts| parts.concat()), verbose, out).map_err(closed_output)?;
            }
        }
        if skipped > 0 {
            writeln!(out, "{skipped} exercises were skipped: nothing is proven about them").map_err(closed_output)?;
        }
        Ok(if all_hold { Outcome::Done } else { Outcome::NotYet })
    }
}

/// Some attempts at an exercise, to be made on one playground.
struct Unit<'a> {
    exercise: &'a Exercise,
    runtime: Runtime,
    round: u32,
    /// The place of the first of them among the exercise's attempts.
    first: usize,
    attempts: Vec<Attempt<'a>>,
}

/// What is known of an exercise so far.
#[derive(Default)]
struct Proof {
    /// Units that are not through.
    left: usize,
    /// What the others found, by round and place.
    parts: BTreeMap<(u32, usize), Result<Vec<Trial>>>,
}

impl<'a> Unit<'a> {
    /// All attempts, `rounds` times.
    fn all(exercise: &'a Exercise, runtime: Runtime, rounds: u32) -> Vec<Self> {
        let attempts = prove::attempts(exercise);
        let parts = |round| {
            let unit = move |(at, attempts): (usize, &[Attempt<'a>])| Unit {
                exercise,
                runtime,
                round,
                first: at * ON_ONE_PLAYGROUND,
                attempts: attempts.to_vec(),
            };
            attempts.chunks(ON_ONE_PLAYGROUND).enumerate().map(unit).collect::<Vec<_>>()
        };
        (1..=rounds).flat_map(parts).collect()
    }

    /// How long it waits, about.
    fn waits(&self) -> Duration {
        prove::waits(self.exercise).saturating_mul(u32::try_from(self.attempts.len()).unwrap_or(u32::MAX))
    }

    /// Makes the attempts on a playground of its own; `number` tells its folder from others.
    async fn prove(&self, number: usize, seed: &Seed) -> Result<Vec<Trial>> {
        let folder = std::env::temp_dir().join(format!("tutor-dev-{}-{number}", std::process::id()));
        if self.runtime != Runtime::Simulated {
            seed.plant(&folder).await?;
        }
        let proven = match spawn(&folder, self.runtime).await {
            Ok((mut child, playground)) => {
                let proven = match Target::playground(&playground, Clock::real()).await {
                    Ok(target) => prove::prove(&target, self.exercise, &self.attempts).await,
                    Err(error) => Err(error),
                };
                end(&mut child, self.runtime).await;
                proven
            }
            Err(error) => Err(error),
        };
        // What is left of a temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&folder);
        proven
    }
}

/// Why this machine cannot run containers in these ways, where it cannot.
struct Refusals {
    native: Option<String>,
    docker: Option<String>,
}

/// The runtime to prove an exercise on: the one asked for; else the simulated one, which is fast, if the exercise
/// can be done there, else the native one. Or why it cannot be proven.
fn place(exercise: &Exercise, asked: Option<Runtime>, refusals: &Refusals) -> Result<Runtime, String> {
    let known = [Runtime::Simulated, Runtime::Native, Runtime::Docker];
    // Docker is the learner's own, and only used when asked.
    let mut known = known.into_iter().filter(|runtime| *runtime != Runtime::Docker || asked == Some(*runtime));
    let fits = |runtime: &Runtime| exercise.runtimes.contains(runtime) && asked.is_none_or(|asked| asked == *runtime);
    let words = |all: &[Runtime]| all.iter().map(|runtime| runtime.as_str()).collect::<Vec<_>>().join(" or ");
    let Some(runtime) = known.find(fits) else {
        return Err(format!("it needs {} containers", words(&exercise.runtimes)));
    };
    let refused = match runtime {
        Runtime::Simulated => None,
        Runtime::Native => refusals.native.as_ref(),
        Runtime::Docker => refusals.docker.as_ref(),
    };
    match refused {
        Some(why) => Err(format!("it needs {} containers, and this machine refuses them: {why}", runtime.as_str())),
        None => Ok(runtime),
    }
}

/// The course's base image, made once and linked into each playground with real containers: it holds this whole program.
#[derive(Default)]
struct Seed(OnceCell<SeedFolder>);

/// A state folder that is gone when dropped.
struct SeedFolder(PathBuf);

impl Drop for SeedFolder {
    fn drop(&mut self) {
        // What is left of a temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Seed {
    /// Gives a new state folder the image. Its files are the same ones on disk: nobody writes to content.
    async fn plant(&self, folder: &Path) -> Result<()> {
        let cannot = |why: std::io::Error| Error::new("the course's image cannot be prepared", why.to_string());
        let make = || async {
            let seed = SeedFolder(std::env::temp_dir().join(format!("tutor-dev-{}-seed", std::process::id())));
            let tasks = TaskGroup::new();
            let store = Store::open(&seed.0.join(cluster::REGISTRY))?;
            let registries = Registries::new(store.clone(), Clock::real(), &tasks)?;
            let name = ImageName::parse("tutor/shell:1").map_err(|why| Error::new("the course's image", why))?;
            let image = registries.pull(&name, None).await?;
            tasks.blocking(move || store.unpack(&image)).await?;
            Ok::<_, Error>(seed)
        };
        let seed = self.0.get_or_try_init(make).await?;
        link(&seed.0.join(cluster::REGISTRY), &folder.join(cluster::REGISTRY)).map_err(cannot)
    }
}

/// The files of one folder in another, without a copy where the disk can link.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => link(&entry.path(), &target)?,
            _ => {
                std::fs::hard_link(entry.path(), &target).or_else(|_| std::fs::copy(entry.path(), &target).map(drop))?
            }
        }
    }
    Ok(())
}

/// Ends a playground: at once, but for one whose containers are docker's, which do not end with it.
async fn end(child: &mut Child, runtime: Runtime) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|_| runtime == Runtime::Docker) {
        let _ = kill_process(pid, Signal::INT);
        let _ = Clock::real().timeout(READY, child.wait()).await;
    }
    // It may have ended by itself; then there is nothing to end.
    let _ = child.kill().await;
}

/// A playground in a process of its own, on free ports and a folder of its own.
async fn spawn(folder: &Path, runtime: Runtime) -> Result<(Child, Playground)> {
    let cannot = |why: String| Error::new("a playground could not be started", why);
    let program = std::env::current_exe().map_err(|why| cannot(why.to_string()))?;
    let listeners = ["--listen", "--api-listen", "--registry-listen", "--ingress-listen"];
    let ports = listeners.iter().flat_map(|flag| [flag, "127.0.0.1:0"]);
    let mut child = Command::new(program)
        .args(["serve", "--json", "--runtime", runtime.as_str(), "--state-dir"])
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
