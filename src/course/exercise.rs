//! The format of `exercise.yaml`: the types it is read into, and what makes one valid.
//!
//! In: the text of a file. Out: an [`Exercise`] whose expressions are compiled and whose names
//! refer to things that exist, or an error that says file, line and column. Nothing here reaches
//! a cluster. Chapter: `book/src/inside/exercises.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub use super::actions::{Action, PatchAction, RequestAction, Victim};
use super::expression::Expression;
use crate::error::{Error, Result};

/// One exercise, as its `exercise.yaml` says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The folder's name; the learner's name for it. Not in the file.
    #[serde(skip)]
    pub name: String,
    /// The part it belongs to: the folder above. Not in the file.
    #[serde(skip)]
    pub part: String,
    /// What the list shows.
    pub title: String,
    /// The ideas it teaches.
    pub teaches: Vec<String>,
    /// How long it takes a learner.
    pub minutes: u32,
    /// The runtimes it can be done on; on another, `start` says so.
    pub runtimes: Vec<Runtime>,
    /// Which clusters it can be graded on.
    #[serde(default)]
    pub cluster: ClusterKind,
    /// The namespace `start` makes and `reset` removes.
    pub namespace: String,
    /// Loops that `start` pauses or resumes; `reset` resumes them.
    #[serde(default)]
    pub switches: BTreeMap<String, SwitchState>,
    /// What `start` does after it has made the namespace.
    #[serde(default)]
    pub setup: Vec<Action>,
    /// What puts right what is outside of the namespace, such as nodes' taints: at a reset, and when another is begun.
    #[serde(default)]
    pub cleanup: Vec<Action>,
    /// What must become true, in order.
    pub steps: Vec<Step>,
    /// What to say to a learner who is stuck, by the state they are in.
    #[serde(default)]
    pub hints: Vec<Hint>,
    /// Ways that pass; each is proven by `tutor dev check`. The first is what `solution` shows.
    pub solutions: Vec<Attempt>,
    /// Wrong answers that people give; each must fail at the step it names.
    pub mutants: Vec<Mutant>,
}

/// A container runtime of the playground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Runtime {
    Simulated,
    Native,
    Docker,
}

impl Runtime {
    /// The word of `--runtime`.
    pub fn as_str(self) -> &'static str {
        match self {
            Runtime::Simulated => "simulated",
            Runtime::Native => "native",
            Runtime::Docker => "docker",
        }
    }
}

/// Which clusters an exercise can be graded on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterKind {
    /// A playground only: it uses switches or the playground's records.
    #[default]
    Playground,
    /// Any cluster, also one given with `--context`.
    Any,
}

/// What a loop's switch is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SwitchState {
    /// The loop does nothing.
    Paused,
    /// The loop works.
    Running,
}

impl SwitchState {
    /// The word the playground's switches use.
    pub fn as_str(self) -> &'static str {
        match self {
            SwitchState::Paused => "paused",
            SwitchState::Running => "on",
        }
    }
}

/// One thing that must be true, after what the check does to the cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The outcome, as a clause: `the Pod has a node`.
    pub name: String,
    /// What the check does first.
    #[serde(default, rename = "do")]
    pub actions: Vec<Action>,
    /// Must become true within `within`.
    pub until: Option<Expression>,
    /// Must be true now.
    pub that: Option<Expression>,
    /// How long `until` may take.
    #[serde(default = "Span::five_seconds")]
    pub within: Span,
    /// Waits for `within` to the end, also when the cluster is quiet: for what comes after a
    /// back-off or a lease.
    #[serde(default)]
    pub patience: Patience,
    /// How long it must then stay true; a moment, when absent.
    pub stays: Option<Span>,
    /// What is expected, in words; the expression itself when absent.
    pub expected: Option<String>,
    /// CEL that says in words what was found; worked out from the expression when absent.
    pub found: Option<Expression>,
    /// The mechanism behind it: one sentence that teaches.
    pub why: Option<String>,
    /// Where to look next: a command or an object. Never the answer.
    pub look: Option<String>,
}

/// Whether a step gives up once the cluster has settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Patience {
    /// It gives up when nothing changes and nothing is on its way.
    #[default]
    UntilQuiet,
    /// It waits to the end.
    ToTheEnd,
}

impl Step {
    /// The expression that decides, when the step has one.
    pub fn condition(&self) -> Option<&Expression> {
        self.until.as_ref().or(self.that.as_ref())
    }

    /// What is expected, in words.
    pub fn expectation(&self) -> String {
        match (&self.expected, self.condition()) {
            (Some(words), _) => words.clone(),
            (None, Some(expression)) => expression.source().to_owned(),
            (None, None) => self.name.clone(),
        }
    }
}

/// One hint, for one state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    /// The state it is for; every state when absent.
    pub when: Option<Expression>,
    /// What it says.
    pub say: String,
}

/// A way to do the exercise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// What is particular about it.
    pub name: String,
    /// The lines a learner would type, shown by `tutor solution`.
    #[serde(default)]
    pub show: String,
    /// What `dev check` does.
    #[serde(rename = "do")]
    pub actions: Vec<Action>,
}

/// A wrong answer, and the step that must refuse it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// The mistake, as a clause.
    pub name: String,
    /// What `dev check` does.
    #[serde(rename = "do")]
    pub actions: Vec<Action>,
    /// The name of the step that fails.
    pub fails: String,
}

/// A length of time, written `5s`, `200ms` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    fn five_seconds() -> Self {
        Span(Duration::from_secs(5))
    }

    /// Reads `5s`, `200ms`, `2m`.
    pub fn parse(text: &str) -> Option<Self> {
        let split = text.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = text.split_at(split);
        let count: u64 = digits.parse().ok()?;
        let millis = match unit {
            "ms" => count,
            "s" => count.checked_mul(1_000)?,
            "m" => count.checked_mul(60_000)?,
            _ => return None,
        };
        Some(Span(Duration::from_millis(millis)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Span::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a length of time: write 5s, 200ms or 2m")))
    }
}

impl Exercise {
    /// Reads one exercise. `path` is its folder, `<part>/<name>`; `text` its `exercise.yaml`;
    /// `has_file` says whether a file is in its folder.
    ///
    /// # Errors
    /// When the text is not YAML of this shape (with line and column), an expression is not CEL,
    /// or a name in it refers to nothing.
    pub fn parse(path: &str, text: &str, has_file: &dyn Fn(&str) -> bool) -> Result<Self> {
        let file = format!("exercises/{path}/exercise.yaml");
        let mut exercise: Exercise = serde_saphyr::from_str(text)
            .map_err(|error| Error::new(format!("{file} cannot be read"), error.to_string()))?;
        let (part, name) = path.split_once('/').unwrap_or(("", path));
        exercise.part = part.to_owned();
        exercise.name = name.to_owned();
        let faults = exercise.faults(has_file);
        if faults.is_empty() {
            return Ok(exercise);
        }
        Err(Error::new(format!("{file} is not a valid exercise"), faults.join("; ")))
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// Whether its check ends the playground, and so cannot run inside of it.
    pub fn crashes(&self) -> bool {
        self.steps.iter().flat_map(|step| &step.actions).any(|action| matches!(action, Action::Crash(_)))
    }

    /// Whether it can be done with containers of this runtime.
    pub fn runs_on(&self, runtime: &str) -> bool {
        self.runtimes.iter().any(|fit| fit.as_str() == runtime)
    }

    /// Whether images are made for it or in it, which its reset removes.
    pub fn uses_images(&self) -> bool {
        self.actions().any(|action| matches!(action, Action::Image(_) | Action::Shell(_)))
    }

    fn faults(&self, has_file: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut faults = Vec::new();
        for step in &self.steps {
            if step.until.is_some() && step.that.is_some() {
                faults.push(format!("step {:?} has both until and that", step.name));
            }
            if step.condition().is_none() && step.actions.is_empty() {
                faults.push(format!("step {:?} does nothing and asks for nothing", step.name));
            }
            if self.steps.iter().filter(|other| other.name == step.name).count() > 1 {
                faults.push(format!("two steps are called {:?}", step.name));
            }
        }
        if self.steps.is_empty() {
            faults.push("it has no step".to_owned());
        }
        for mutant in &self.mutants {
            if self.step(&mutant.fails).is_none() {
                faults.push(format!("mutant {:?} names no step: {:?}", mutant.name, mutant.fails));
            }
        }
        if self.mutants.len() < 3 {
            faults.push("it has fewer than three mutants".to_owned());
        }
        if self.solutions.is_empty() {
            faults.push("it has no solution".to_owned());
        }
        for action in self.actions() {
            if let Action::Apply(file) | Action::Run(file) | Action::Shell(file) = action
                && !has_file(file)
            {
                faults.push(format!("there is no file {file}"));
            }
        }
        let own = self.setup.iter().chain(&self.cleanup);
        let mut checks = own.chain(self.steps.iter().flat_map(|step| &step.actions));
        if checks.any(|action| matches!(action, Action::Run(_) | Action::Shell(_))) {
            faults.push("only a solution or a mutant may run a script".to_owned());
        }
        let images = self.actions().any(|action| matches!(action, Action::Image(_)));
        let beyond = !self.switches.is_empty() || !self.cleanup.is_empty() || self.crashes() || images;
        if self.cluster == ClusterKind::Any && beyond {
            faults.push("it uses switches, a cleanup, images or a crash, so its cluster is playground".to_owned());
        }
        if self.runtimes.is_empty() {
            faults.push("it names no runtime".to_owned());
        }
        faults
    }

    fn actions(&self) -> impl Iterator<Item = &Action> {
        let steps = self.steps.iter().flat_map(|step| &step.actions);
        let solutions = self.solutions.iter().flat_map(|attempt| &attempt.actions);
        let mutants = self.mutants.iter().flat_map(|mutant| &mutant.actions);
        self.setup.iter().chain(&self.cleanup).chain(steps).chain(solutions).chain(mutants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
title: Small
teaches: [nothing]
minutes: 1
runtimes: [simulated]
namespace: small
setup:
  - apply: start/pod.yaml
steps:
  - name: it is there
    do:
      - delete: pods()
      - remember: {before: 'pods().map(p, p.metadata.uid)'}
      - patch: {what: 'pod("a")', with: {spec: {replicas: 3}}}
      - request: {method: POST, path: /api, each: '[{"a": 1}, {"a": 2}]', keep: told}
    until: pod("a").spec.?nodeName.hasValue()
    within: 200ms
solutions:
  - name: one
    do: [{apply: solution/pod.yaml}]
mutants:
  - {name: a, do: [], fails: it is there}
  - {name: b, do: [{wait: 1s}], fails: it is there}
  - {name: c, do: [{switch: {scheduler: paused}}], fails: it is there}
"#;

    fn parse(text: &str) -> Result<Exercise> {
        Exercise::parse("part/small", text, &|file| file != "start/missing.yaml")
    }

    #[test]
    fn a_small_exercise_is_read() {
        let exercise = parse(SMALL).expect("valid");
        assert_eq!((exercise.part.as_str(), exercise.name.as_str()), ("part", "small"));
        assert_eq!(exercise.steps[0].within, Span(Duration::from_millis(200)));
        assert_eq!(exercise.steps[0].actions.len(), 4);
        assert_eq!(exercise.cluster, ClusterKind::Playground);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let table = [
            ("title: Small", "titel: Small", "line 2"),
            ("within: 200ms", "within: soon", "not a length of time"),
            ("fails: it is there}\n  - {name: b", "fails: it is here}\n  - {name: b", "names no step"),
            ("start/pod.yaml", "start/missing.yaml", "there is no file"),
            ("- delete: pods()", "- run: start/pod.yaml", "may run a script"),
            ("- delete: pods()", "- shell: start/pod.yaml", "may run a script"),
            ("namespace: small", "namespace: small\ncluster: any\ncleanup: [{wait: 1s}]", "its cluster is playground"),
            ("runtimes: [simulated]", "runtimes: []", "names no runtime"),
            ("until: pod(\"a\").spec.?nodeName.hasValue()", "until: pod(\"a\"", "line 16"),
            ("runtimes: [simulated]", "runtimes: [simulated", "line"),
        ];
        for (good, bad, expected) in table {
            let text = SMALL.replace(good, bad);
            assert_ne!(text, SMALL, "{good}");
            let error = parse(&text).expect_err(bad).to_string();
            assert!(error.contains(expected) && error.contains("exercises/part/small/exercise.yaml"), "{bad}: {error}");
        }
    }

    #[test]
    fn lengths_of_time() {
        for (text, millis) in
            [("5s", Some(5_000)), ("200ms", Some(200)), ("2m", Some(120_000)), ("5", None), ("s", None), ("5h", None)]
        {
            assert_eq!(Span::parse(text).map(|span| span.0.as_millis()), millis, "{text}");
        }
    }
}
