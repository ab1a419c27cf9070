//! The check engine: an exercise's steps in order, until one fails.
//!
//! In: a target and an exercise. Out: a [`Report`], the same for the terminal, `--json` and the
//! page. A step that waits gives up at `within`, or earlier when the cluster has gone quiet and
//! nothing is on its way, so that a wrong answer is told in two seconds. Chapter: `book/src/inside/exercises.md`.

use std::sync::LazyLock;
use std::time::Duration;

use cel::Value as Cel;
use serde::Serialize;

use super::action::Performer;
use super::evidence::{self, Evidence};
use super::exercise::{Exercise, Patience, Step};
use super::explain;
use super::expression::Expression;
use super::observer::{Change, Observer};
use super::target::Target;
use crate::error::{Error, Result};

/// A cluster that changes nothing for this long, with nothing on its way, has settled. Longer than the
/// scheduler's second back-off (1 s, then 2 s): a Pod that found no room may find it when that is over.
const QUIET: Duration = Duration::from_millis(2_200);

/// True while a Pod of the namespace is starting, becoming ready or stopping.
static ON_ITS_WAY: LazyLock<Option<Expression>> = LazyLock::new(|| {
    let starting = r#"p.?status.?phase.orValue("") == "Pending" && has(p.spec.nodeName)
        && nodes().exists(n, n.metadata.name == p.spec.nodeName)
        && p.?status.?containerStatuses.orValue([]).all(c,
            c.?state.?waiting.?reason.orValue("ContainerCreating") in ["ContainerCreating", "PodInitializing"])"#;
    let unready = r#"p.?status.?containerStatuses.orValue([]).exists(c, has(c.state.running) && !c.ready)"#;
    Expression::compile(&format!("pods().exists(p, has(p.metadata.deletionTimestamp) || ({starting}) || {unready})"))
        .ok()
});

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The exercise's name.
    pub exercise: String,
    /// Whether every step passed.
    pub passed: bool,
    /// The steps, in order; those after a failing one are not looked at.
    pub steps: Vec<StepReport>,
    /// How long it took.
    pub ms: u64,
}

/// What one step found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StepReport {
    /// The step's name.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was expected, in words.
    pub expected: String,
    /// What was found instead; empty when it passed.
    pub found: String,
    /// The mechanism behind it; empty when it passed.
    pub why: String,
    /// Where to look next; empty when it passed.
    pub hint: String,
    /// What the cluster says about it.
    pub evidence: Vec<Evidence>,
}

impl Report {
    /// The step that failed, if one did.
    pub fn failed(&self) -> Option<&StepReport> {
        self.steps.iter().find(|step| !step.passed)
    }
}

/// Checks `exercise` on `target`; tells `on_step` of each step as it ends.
///
/// # Errors
/// When the cluster cannot be reached. An exercise that does not pass is a report, not an error.
pub async fn check(
    target: &Target,
    exercise: &Exercise,
    on_step: &mut (dyn FnMut(&StepReport) + Send),
) -> Result<Report> {
    let started = target.clock().tick();
    let mut observer = Observer::new(target, &exercise.namespace);
    let mut performer = Performer::new(target, exercise);
    let mut steps = Vec::new();
    if let Some(missing) = not_started(target, exercise).await? {
        on_step(&missing);
        steps.push(missing);
    } else {
        for step in &exercise.steps {
            let report = run_step(&mut observer, &mut performer, target, exercise, step).await;
            on_step(&report);
            steps.push(report);
            if steps.last().is_some_and(|report| !report.passed) {
                break;
            }
        }
    }
    performer.undo().await?;
    let ms = u64::try_from(target.clock().since(started).as_millis()).unwrap_or(u64::MAX);
    let passed = steps.iter().all(|step| step.passed);
    Ok(Report { exercise: exercise.name.clone(), passed, steps, ms })
}

async fn not_started(target: &Target, exercise: &Exercise) -> Result<Option<StepReport>> {
    let answer = target.get(&format!("/api/v1/namespaces/{}", exercise.namespace)).await?;
    match answer.code {
        200 => Ok(None),
        404 => Ok(Some(StepReport {
            name: "the exercise is started".to_owned(),
            expected: format!("namespace {} is there", exercise.namespace),
            found: "there is no such namespace".to_owned(),
            why: "an exercise lives in a namespace of its own, which start makes and reset removes".to_owned(),
            hint: format!("tutor start {}", exercise.name),
            ..StepReport::default()
        })),
        _ => Err(Error::new("the cluster does not let this check look", answer.words())),
    }
}

async fn run_step(
    observer: &mut Observer<'_>,
    performer: &mut Performer<'_>,
    target: &Target,
    exercise: &Exercise,
    step: &Step,
) -> StepReport {
    let passed =
        StepReport { name: step.name.clone(), passed: true, expected: step.expectation(), ..StepReport::default() };
    let found = match performer.perform(observer, &step.actions).await {
        Err(error) => Some(error.to_string()),
        Ok(()) => match holds(observer, target, step).await {
            true => None,
            false => Some(what_was_found(observer, step).await),
        },
    };
    let Some(found) = found else { return passed };
    StepReport {
        passed: false,
        found,
        why: step.why.clone().unwrap_or_default(),
        hint: step.look.clone().unwrap_or_default(),
        evidence: evidence::gather(target, &exercise.namespace).await,
        ..passed
    }
}

async fn holds(observer: &mut Observer<'_>, target: &Target, step: &Step) -> bool {
    let Some(expression) = step.condition() else { return true };
    let true_once = match step.until {
        Some(_) => target
            .clock()
            .timeout(step.within.0, until(observer, target, step.patience, expression))
            .await
            .unwrap_or(false),
        None => observer.is_true(expression).await,
    };
    match step.stays {
        // It stays true when the time passes before it was seen false.
        Some(span) if true_once => target.clock().timeout(span.0, until_false(observer, expression)).await.is_err(),
        _ => true_once,
    }
}

/// True once the expression is; false when the cluster has settled before.
async fn until(observer: &mut Observer<'_>, target: &Target, patience: Patience, expression: &Expression) -> bool {
    let clock = target.clock();
    let mut last_change = clock.tick();
    loop {
        if observer.is_true(expression).await {
            return true;
        }
        let quiet = QUIET.saturating_sub(clock.since(last_change));
        match clock.timeout(quiet, observer.changed()).await {
            Ok(Change::Objects) => last_change = clock.tick(),
            Ok(Change::LookAgain) => {}
            Err(_) if patience == Patience::ToTheEnd || on_its_way(observer).await => last_change = clock.tick(),
            Err(_) => return observer.is_true(expression).await,
        }
    }
}

async fn until_false(observer: &mut Observer<'_>, expression: &Expression) {
    while observer.is_true(expression).await {
        observer.changed().await;
    }
}

async fn on_its_way(observer: &mut Observer<'_>) -> bool {
    match &*ON_ITS_WAY {
        Some(expression) => observer.is_true(expression).await,
        None => false,
    }
}

async fn what_was_found(observer: &mut Observer<'_>, step: &Step) -> String {
    if let Some(words) = &step.found
        && let Ok(Cel::String(said)) = observer.value(words).await
    {
        return said.to_string();
    }
    match step.condition() {
        Some(expression) => explain::found(observer, expression).await,
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_own_expression_compiles() {
        assert!(ON_ITS_WAY.is_some());
    }

    #[test]
    fn the_json_form_is_the_fixed_one() {
        let step = StepReport { name: "a".into(), expected: "b".into(), found: "c".into(), ..StepReport::default() };
        let report = Report { exercise: "x".into(), passed: false, steps: vec![step], ms: 7 };
        let text = serde_json::to_string(&report).unwrap();
        let expected = r#"{"exercise":"x","passed":false,"steps":[{"name":"a","passed":false,"expected":"b","found":"c","why":"","hint":"","evidence":[]}],"ms":7}"#;
        assert_eq!(text, expected);
    }
}
