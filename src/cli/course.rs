//! What the course's commands share: which exercise is meant, and where it is graded.

use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::course::catalogue::Catalogue;
use crate::course::exercise::Exercise;
use crate::course::progress::{Progress, ProgressFile};
use crate::course::target::Target;
use crate::error::{Error, Result};
use crate::state::StateDir;

/// The exercise that a command is about: the one named, else the one whose folder this is, else
/// the one started last.
///
/// # Errors
/// When the name is of no exercise, or nothing says which is meant.
pub fn meant(name: Option<&str>, progress: &Progress) -> Result<&'static Exercise> {
    let catalogue = Catalogue::get()?;
    if let Some(name) = name {
        return catalogue.find(name);
    }
    if let Some(exercise) = here()? {
        return Ok(exercise);
    }
    match &progress.current {
        Some(current) => catalogue.find(current),
        None => Err(Error::new("no exercise is named", "this folder is not an exercise's, and none was started")
            .hint("name one: tutor start first-contact")
            .hint("tutor list shows them all")),
    }
}

/// The exercise whose folder the command was started in.
///
/// # Errors
/// When the catalogue cannot be read.
pub fn here() -> Result<Option<&'static Exercise>> {
    let folder = std::env::current_dir().unwrap_or_default();
    Ok(Catalogue::get()?.at(&folder))
}

/// The exercise to do next: the first that has not passed and that can be done with the containers of the playground
/// that runs; where it has no such, the first that has not passed.
pub fn following<'c>(catalogue: &'c Catalogue, progress: &Progress, runtime: Option<&str>) -> Option<&'c Exercise> {
    let left = || catalogue.iter().filter(|exercise| progress.of(&exercise.name).passed.is_none());
    left().find(|exercise| runtime.is_none_or(|runtime| exercise.runs_on(runtime))).or_else(|| left().next())
}

/// The progress file of this state folder.
pub fn progress(state: &StateDir) -> ProgressFile {
    ProgressFile::new(state.path())
}

/// Which cluster to grade: this machine's playground, unless another is named.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Where {
    /// Grade another cluster: a context of your kubeconfig
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Grade another cluster: a kubeconfig file
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl Where {
    /// The cluster.
    ///
    /// # Errors
    /// When no playground runs, or the kubeconfig names no such cluster.
    pub async fn target(&self, state: &StateDir) -> Result<Target> {
        if self.context.is_none() && self.kubeconfig.is_none() {
            return Target::playground(&state.playground()?, Clock::real()).await;
        }
        let file = self.kubeconfig.clone().or_else(default_kubeconfig).ok_or_else(|| {
            Error::new("there is no kubeconfig", "neither --kubeconfig, $KUBECONFIG nor $HOME is set")
        })?;
        Target::other(&file, self.context.as_deref(), Clock::real()).await
    }
}

/// Where kubectl itself would look.
fn default_kubeconfig() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let listed = set("KUBECONFIG").and_then(|paths| std::env::split_paths(&paths).next());
    listed.or_else(|| set("HOME").map(|home| Path::new(&home).join(".kube/config")))
}
