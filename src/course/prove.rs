//! `tutor dev check`: an exercise proven against its own solutions and mutants.
//!
//! In: a fresh playground and an exercise. Out: one [`Trial`] for each attempt: the untouched start (must
//! fail), each solution (must pass) and each mutant (must fail at the step it names), one after the other
//! on the same playground; and none may leave anything behind. Nothing here knows how a playground is
//! made, how many there are, or how often each attempt is made.

use std::time::Duration;

use serde_json::Value;

use super::action::Performer;
use super::check::{Report, check};
use super::exercise::{Action, Exercise, Patience, Step};
use super::images;
use super::lifecycle;
use super::observer::Observer;
use super::target::Target;
use crate::error::Result;

/// One attempt and how it went.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What was tried: `start`, `solution: …`, `mutant: …`.
    pub name: String,
    /// Why it is not as it should be; `None` when it is.
    pub fault: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Something to try, and what should come of it.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    name: String,
    actions: &'a [Action],
    expected: Expected<'a>,
}

/// All that an exercise wants tried: the untouched start, its solutions, its mutants.
pub fn attempts(exercise: &Exercise) -> Vec<Attempt<'_>> {
    let start = Attempt { name: "start".into(), actions: &[], expected: Expected::Failure };
    let solutions = exercise.solutions.iter().map(|solution| Attempt {
        name: format!("solution: {}", solution.name),
        actions: &solution.actions,
        expected: Expected::Pass,
    });
    let mutants = exercise.mutants.iter().map(|mutant| Attempt {
        name: format!("mutant: {}", mutant.name),
        actions: &mutant.actions,
        expected: Expected::FailureAt(&mutant.fails),
    });
    std::iter::once(start).chain(solutions).chain(mutants).collect()
}

/// Makes `attempts` at `exercise`, one after the other, on `target`, a playground that nobody else uses.
///
/// # Errors
/// When the playground cannot be reached.
pub async fn prove(target: &Target, exercise: &Exercise, attempts: &[Attempt<'_>]) -> Result<Vec<Trial>> {
    let mut trials = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        trials.push(try_one(target, exercise, attempt).await?);
    }
    Ok(trials)
}

/// How long one attempt at an exercise waits, as far as its steps tell: for an order, not a promise.
pub fn waits(exercise: &Exercise) -> Duration {
    let step = |step: &Step| {
        let to_the_end = if step.patience == Patience::ToTheEnd { step.within.0 } else { Duration::ZERO };
        to_the_end + step.stays.map_or(Duration::ZERO, |stays| stays.0)
    };
    exercise.steps.iter().map(step).sum()
}

#[derive(Clone, Debug)]
enum Expected<'a> {
    Pass,
    Failure,
    FailureAt(&'a str),
}

impl Expected<'_> {
    fn fault(&self, report: &Report) -> Option<String> {
        match (self, report.failed()) {
            (Expected::Pass, None) | (Expected::Failure, Some(_)) => None,
            (Expected::FailureAt(step), Some(failed)) if failed.name == *step => None,
            (Expected::Pass, Some(failed)) => Some(format!("fails at {:?}: {}", failed.name, failed.found)),
            (Expected::Failure, None) => Some("passes with nothing done".to_owned()),
            (Expected::FailureAt(step), Some(failed)) => {
                Some(format!("fails at {:?}, not at {step:?}: {}", failed.name, failed.found))
            }
            (Expected::FailureAt(step), None) => Some(format!("passes; it should fail at {step:?}")),
        }
    }
}

async fn try_one(target: &Target, exercise: &Exercise, attempt: &Attempt<'_>) -> Result<Trial> {
    let begun = target.clock().tick();
    lifecycle::start(target, exercise).await?;
    let mut observer = Observer::new(target, &exercise.namespace);
    let mut performer = Performer::new(target, exercise);
    let fault = match performer.perform(&mut observer, attempt.actions).await {
        Err(error) => Some(format!("could not be tried: {error}")),
        Ok(()) => attempt.expected.fault(&check(target, exercise, &mut |_| {}).await?),
    };
    performer.undo().await?;
    lifecycle::clean(target, exercise).await?;
    let left = left_behind(target, exercise).await?;
    Ok(Trial { name: attempt.name.clone(), fault: fault.or(left), took: target.clock().since(begun) })
}

/// What an exercise left in the cluster, if anything.
async fn left_behind(target: &Target, exercise: &Exercise) -> Result<Option<String>> {
    if target.get(&format!("/api/v1/namespaces/{}", exercise.namespace)).await?.code != 404 {
        return Ok(Some("its namespace is still there".to_owned()));
    }
    let nodes = target.get("/api/v1/nodes").await?.body;
    let cordoned =
        nodes["items"].as_array().is_some_and(|nodes| nodes.iter().any(|n| n["spec"]["unschedulable"] == true));
    if cordoned {
        return Ok(Some("a node is still cordoned".to_owned()));
    }
    let taints = nodes["items"].as_array().into_iter().flatten().filter_map(|node| node["spec"]["taints"].as_array());
    let by_hand = |taint: &Value| taint["key"].as_str().is_some_and(|key| !key.starts_with("node.kubernetes.io/"));
    if taints.flatten().any(by_hand) {
        return Ok(Some("a node is still tainted".to_owned()));
    }
    Ok(images::left(target, exercise).await?.map(|image| format!("the image {image} is still there")))
}
