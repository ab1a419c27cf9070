//! `tutor check`: looks at what the cluster does, and says what is missing.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Outcome, closed_output, course, watch};
use crate::course::action;
use crate::course::catalogue::Catalogue;
use crate::course::check::{Report, StepReport};
use crate::course::exercise::Exercise;
use crate::course::session;
use crate::course::target::Target;
use crate::error::{Error, Result};
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Check {
    /// The exercise; the current one when absent
    #[arg(conflicts_with = "all")]
    name: Option<String>,
    /// Check every exercise that was started
    #[arg(long, conflicts_with_all = ["watch", "file"])]
    all: bool,
    /// Check again whenever a file is saved or the cluster changes, until it passes
    #[arg(long)]
    watch: bool,
    /// One JSON document, a line an exercise
    #[arg(long)]
    json: bool,
    /// Apply this file first
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A line of JSON a step as it ends, as the page reads them
    #[arg(long, hide = true, conflicts_with_all = ["all", "watch", "json"])]
    lines: bool,
    #[command(flatten)]
    place: course::Where,
}

impl Check {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let exercises = self.exercises(state)?;
        let target = self.place.target(state).await?;
        if self.lines {
            return lines(&target, exercises[0], state).await;
        }
        if let Some(file) = &self.file {
            apply(&target, file, exercises[0]).await?;
        }
        if self.watch {
            return watch::until_passed(&target, exercises[0], state, out).await;
        }
        let mut all_passed = true;
        for exercise in exercises {
            all_passed &= once(&target, exercise, state, self.json, out).await?;
        }
        Ok(if all_passed { Outcome::Done } else { Outcome::NotYet })
    }

    fn exercises(&self, state: &StateDir) -> Result<Vec<&'static Exercise>> {
        let progress = course::progress(state).read()?;
        Ok(match self.all {
            true => Catalogue::get()?.iter().filter(|e| progress.of(&e.name).started.is_some()).collect(),
            false => vec![course::meant(self.name.as_deref(), &progress)?],
        })
    }

    /// Whether it ends the playground in its course, and so cannot run inside of it.
    ///
    /// # Errors
    /// When no exercise is meant, or the progress file cannot be read.
    pub fn crashes(&self, state: &StateDir) -> Result<bool> {
        Ok(self.exercises(state)?.iter().any(|exercise| exercise.crashes()))
    }
}

/// Checks once, prints what was found, and notes a pass. Returns whether it passed.
///
/// # Errors
/// When the cluster cannot be reached, or the progress file not written.
pub async fn once(
    target: &Target,
    exercise: &Exercise,
    state: &StateDir,
    json: bool,
    out: &mut dyn Write,
) -> Result<bool> {
    let report = session::check(target, exercise, &course::progress(state), &mut |_| {}).await?;
    match json {
        true => {
            let text = serde_json::to_string(&report)
                .map_err(|e| Error::new("the report cannot be written", e.to_string()))?;
            writeln!(out, "{text}")
        }
        false => print(&report, exercise, out),
    }
    .map_err(closed_output)?;
    Ok(report.passed)
}

/// Checks once for the page, which runs a check as a process of its own when it ends the playground.
async fn lines(target: &Target, exercise: &Exercise, state: &StateDir) -> Result<Outcome> {
    // A page that has gone misses the lines; the check undoes what it did all the same.
    let say = |line: &Value| drop(writeln!(std::io::stdout(), "{line}"));
    let mut on_step = |step: &StepReport| say(&session::step_line(step));
    let checked = session::check(target, exercise, &course::progress(state), &mut on_step).await;
    say(&session::last_line(exercise, &checked));
    Ok(if checked.is_ok_and(|report| report.passed) { Outcome::Done } else { Outcome::NotYet })
}

async fn apply(target: &Target, file: &Path, exercise: &Exercise) -> Result<()> {
    let name = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|why| Error::new(format!("{name} cannot be read"), why.to_string()))?;
    action::apply_text(target, &name, &text, &exercise.namespace).await
}

fn print(report: &Report, exercise: &Exercise, out: &mut dyn Write) -> std::io::Result<()> {
    for step in &report.steps {
        print_step(step, out)?;
    }
    if report.passed {
        writeln!(out, "\n{} passed. tutor next", exercise.title)
    } else {
        writeln!(out, "\nNot yet. When you are stuck: tutor hint {}", exercise.name)
    }
}

fn print_step(step: &StepReport, out: &mut dyn Write) -> std::io::Result<()> {
    if step.passed {
        return writeln!(out, "✓ {}", step.name);
    }
    writeln!(out, "✗ {}", step.name)?;
    for (label, text) in
        [("expected", &step.expected), ("found", &step.found), ("why", &step.why), ("look at", &step.hint)]
    {
        if !text.is_empty() {
            writeln!(out, "  {label:>8}  {}", text.trim())?;
        }
    }
    for fact in &step.evidence {
        writeln!(out, "  {:>8}  {}: {}", fact.source, fact.about, fact.text)?;
    }
    Ok(())
}
