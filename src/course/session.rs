//! What a learner can ask of an exercise: begin, check, hint, reset, the solution.
//!
//! The command line and the page both ask here, so that they do the same and write the same
//! progress. In: a target, an exercise, the progress file. Out: what to print or show.

use serde_json::{Value, json};

use super::catalogue;
use super::check::{self, Report, StepReport};
use super::exercise::Exercise;
use super::hint::{self, Shown};
use super::lifecycle::{self, Started};
use super::progress::ProgressFile;
use super::target::Target;
use crate::error::{Error, Result};

/// Whether a learner wants a solution before their own has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// Only once it has passed.
    No,
    /// Also before.
    Yes,
}

/// Ways that pass, to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// Commands, each with the way's name.
    pub ways: Vec<(String, String)>,
    /// Files, by name.
    pub files: Vec<(String, String)>,
}

/// Starts an exercise, makes its namespace the playground's current one, and notes it. The loops that the
/// exercise before had stopped run again, and its nodes are as they were: no other could be done without them.
///
/// # Errors
/// When the cluster refuses, or a file cannot be written.
pub async fn begin(target: &Target, exercise: &Exercise, file: &ProgressFile) -> Result<Started> {
    if let Some(before) = file.read()?.current.filter(|before| *before != exercise.name)
        && let Ok(before) = catalogue::Catalogue::get()?.find(&before)
        && target.is_playground()
    {
        lifecycle::release(target, before).await?;
        lifecycle::put_right(target, before).await?;
    }
    let started = lifecycle::start(target, exercise).await?;
    if let Some(kubeconfig) = target.kubeconfig() {
        lifecycle::set_current_namespace(kubeconfig, &exercise.namespace)?;
    }
    let now = target.clock().now();
    file.change(|progress| match started {
        Started::Fresh => progress.start(&exercise.name, now),
        Started::Again => progress.current = Some(exercise.name.clone()),
    })?;
    Ok(started)
}

/// Checks an exercise and notes a pass, with which its loops run again.
///
/// # Errors
/// When the cluster cannot be reached, or the progress file not written.
pub async fn check(
    target: &Target,
    exercise: &Exercise,
    file: &ProgressFile,
    on_step: &mut (dyn FnMut(&StepReport) + Send),
) -> Result<Report> {
    let report = check::check(target, exercise, on_step).await?;
    if report.passed {
        lifecycle::release(target, exercise).await?;
        let now = target.clock().now();
        file.change(|progress| progress.pass(&exercise.name, now))?;
    }
    Ok(report)
}

/// A step as the page reads it: one line of JSON.
pub fn step_line(step: &StepReport) -> Value {
    json!({"step": step})
}

/// How a check ended, as the page reads it: one line of JSON, the last.
pub fn last_line(exercise: &Exercise, checked: &Result<Report>) -> Value {
    match checked {
        Ok(report) => json!({"report": {"passed": report.passed, "ms": report.ms, "title": exercise.title}}),
        Err(error) => json!({"error": {"what": error.what, "why": error.why, "hints": error.hints}}),
    }
}

/// The next hint for the state of the cluster, and notes that it was shown.
///
/// # Errors
/// When the progress file cannot be read or written.
pub async fn hint(target: &Target, exercise: &Exercise, file: &ProgressFile) -> Result<Option<Shown>> {
    let shown = hint::next(target, exercise, &file.read()?.of(&exercise.name).hints).await;
    if let Some(shown) = &shown {
        file.change(|progress| progress.hinted(&exercise.name, shown.index))?;
    }
    Ok(shown)
}

/// Gives back a fresh start.
///
/// # Errors
/// When the cluster refuses, or a file cannot be written.
pub async fn reset(target: &Target, exercise: &Exercise, file: &ProgressFile) -> Result<Started> {
    lifecycle::clean(target, exercise).await?;
    begin(target, exercise, file).await
}

/// Ways that pass; once the learner's own has, or on their word.
///
/// # Errors
/// When it has not passed, or the progress file cannot be read.
pub fn solution(exercise: &Exercise, file: &ProgressFile, spoil: Spoil) -> Result<Solution> {
    if spoil == Spoil::No && file.read()?.of(&exercise.name).passed.is_none() {
        let why = "a solution is shown once yours has passed";
        return Err(Error::new(format!("{} has not passed yet", exercise.name), why)
            .hint(format!("tutor hint {} helps without telling", exercise.name))
            .hint(format!("tutor solution {} --spoil shows it all the same", exercise.name)));
    }
    let shown = exercise.solutions.iter().filter(|solution| !solution.show.is_empty());
    Ok(Solution {
        ways: shown.map(|solution| (solution.name.clone(), solution.show.clone())).collect(),
        files: catalogue::folder(exercise, "solution"),
    })
}
