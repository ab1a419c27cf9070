//! The format of an action: something done to the cluster, to images, or by a learner.
//!
//! In: an item of a list in `exercise.yaml`. Out: an [`Action`], which `action.rs` does. Pure.
//! Chapter: `book/src/inside/exercises.md`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::exercise::{Span, SwitchState};
use super::expression::Expression;

/// Something done to the cluster: by `start`, by a step, by a solution or a mutant.
/// File names are relative to the exercise's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Applies a file (server-side, as kubectl would); `{registry}` and other texts that are known fill in.
    Apply(String),
    /// Deletes an object, or each of a list of objects, that a CEL expression gives.
    Delete(Expression),
    /// Marks nodes (names or objects) unschedulable; undone when the check ends.
    Cordon(Expression),
    /// Makes nodes schedulable again.
    Uncordon(Expression),
    /// Cordons nodes and deletes this namespace's Pods on them; the cordon is undone at the end.
    Drain(Expression),
    /// Merges fields into an object.
    Patch(PatchAction),
    /// One HTTP request to the API server; a `{namespace}` in its path is filled in.
    Request(RequestAction),
    /// Sets loops' switches; undone when a check ends, kept when a learner's action.
    Switch(BTreeMap<String, SwitchState>),
    /// Keeps the values of expressions under names that later expressions can use.
    Remember(BTreeMap<String, Expression>),
    /// Ends the playground in the middle of what it does, and waits until it answers again.
    Crash(Victim),
    /// Users begin to ask, through the cluster's door, and go on until the check ends; `flood()` counts them. Another
    /// one ends it and counts anew.
    Flood(FloodAction),
    /// Starts a shell script, a learner's own loop, beside the check; it is ended with the attempt.
    /// For solutions and mutants only: a check runs no script on a learner's machine.
    Run(String),
    /// Runs a shell script to its end, in a folder with the exercise's starting files as a learner has
    /// them, with `tutor` and `kubectl` in it. For solutions and mutants only.
    Shell(String),
    /// `tutor image …`, in the exercise's folder: `[build, -t, '{registry}/app:1', start]`. Strings that are
    /// remembered, and `registry` and `privateRegistry`, fill in `{…}`.
    Image(Vec<String>),
    /// Waits until an expression is true, at most a minute.
    Until(Expression),
    /// Waits.
    Wait(Span),
}

/// What a crash hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Victim {
    /// Control plane, nodes and page: all of the playground's process.
    Playground,
}

/// What a flood of requests asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloodAction {
    /// The host that an Ingress of the exercise has a rule for.
    pub host: String,
    /// The path.
    #[serde(default = "FloodAction::root")]
    pub path: String,
}

impl FloodAction {
    fn root() -> String {
        "/".to_owned()
    }
}

/// A merge patch of one object.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchAction {
    /// The object.
    pub what: Expression,
    /// The fields to merge in.
    pub with: Value,
}

/// One HTTP request to the API server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestAction {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The body; sent as JSON.
    pub body: Option<Value>,
    /// A CEL expression that gives the body, for one that depends on the cluster.
    #[serde(rename = "bodyFrom")]
    pub body_from: Option<Expression>,
    /// The media type of the body.
    #[serde(default = "RequestAction::json", rename = "contentType")]
    pub content_type: String,
    /// A CEL expression that gives a list of bodies: one request is sent for each of them.
    pub each: Option<Expression>,
    /// Keeps what was answered under this name, `{code, body, says}`, refused or not; with `each` a list of that.
    pub keep: Option<String>,
    /// Who asks, in User-Agent: the writer's name in the record of writes.
    #[serde(default, rename = "as")]
    pub component: Option<String>,
}

impl RequestAction {
    fn json() -> String {
        "application/json".to_owned()
    }
}
