//! Watch mode: checks again whenever you save a file or the cluster changes, until it passes.
//!
//! Files of the exercise's folder are watched by the system's own means (notify); the cluster by
//! watches of the exercise's namespace. A check itself may change the cluster, so after a check
//! nothing is looked at until the next change from outside or a save.

use std::io::Write;
use std::path::Path;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::{Outcome, check, closed_output, course, next};
use crate::course::exercise::Exercise;
use crate::course::expression::Expression;
use crate::course::observer::Observer;
use crate::course::target::Target;
use crate::error::{Error, Result};
use crate::state::StateDir;

/// What plain `tutor` does: in an exercise's folder, watch mode; elsewhere, where you are and what
/// is next.
///
/// # Errors
/// As [`until_passed`].
pub async fn here_or_next(state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
    match course::here()? {
        Some(exercise) => {
            let target = course::Where::default().target(state).await?;
            until_passed(&target, exercise, state, out).await
        }
        None => next::run(state, out).await,
    }
}

/// Checks until the exercise passes, printing each time.
///
/// # Errors
/// When the cluster cannot be reached, or files cannot be watched.
pub async fn until_passed(
    target: &Target,
    exercise: &Exercise,
    state: &StateDir,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let folder = std::env::current_dir().unwrap_or_default();
    let (mut saved, _watcher) = saves(&folder)?;
    loop {
        if check::once(target, exercise, state, false, out).await? {
            return Ok(Outcome::Done);
        }
        writeln!(out, "\nwatching {} and the cluster; Ctrl-C ends", folder.display()).map_err(closed_output)?;
        let mut observer = Observer::new(target, &exercise.namespace);
        let everything =
            Expression::compile(r#"[pods(), list("deployments"), list("configmaps"), list("namespaces")]"#);
        let everything = everything.map_err(|why| Error::new(why, ""))?;
        // Only to open the watches: what is there now was checked already.
        let _ = observer.value(&everything).await;
        tokio::select! {
            _ = saved.recv() => {}
            _ = observer.changed() => {}
        }
        while saved.try_recv().is_ok() {}
    }
}

/// A message for each change of a file under `folder`, while the watcher lives.
fn saves(folder: &Path) -> Result<(mpsc::Receiver<()>, notify::RecommendedWatcher)> {
    let cannot = |why: notify::Error| {
        Error::new(format!("{} cannot be watched", folder.display()), why.to_string())
            .hint("tutor check, without --watch, looks once")
    };
    let (send, receive) = mpsc::channel(1);
    let told = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| event.kind.is_create() || event.kind.is_modify()) {
            // Full means that a save is already waiting to be looked at.
            let _ = send.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(told).map_err(cannot)?;
    watcher.watch(folder, RecursiveMode::Recursive).map_err(cannot)?;
    Ok((receive, watcher))
}
