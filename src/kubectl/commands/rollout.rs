//! `kubectl rollout`: follow, look back at, undo, restart, pause and resume a workload's template.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long, short};
use super::super::print;
use super::super::selection::{self, Found, Info, Selection};
use super::super::write::{self, STRATEGIC, Writing};
use crate::api::meta;

mod history;
mod status;

const REVISION: &[Flag] = &[long("revision", Kind::Int(0), "The revision to show or wait for")];
const TO_REVISION: &[Flag] = &[long("to-revision", Kind::Int(0), "The revision to go back to; 0 for the one before")];
const STATUS: &[Flag] = &[
    short("watch", 'w', Kind::Bool(true), "Go on until it is done"),
    long("timeout", Kind::Duration("0s"), "How long to wait; 0 for as long as it takes"),
];

/// A command under `rollout`.
macro_rules! under {
    ($name:literal, $about:literal, [$($flags:expr),+], $run:path) => {
        Command {
            name: $name,
            usage: "(TYPE NAME | TYPE/NAME | -f FILE)",
            about: $about,
            flags: &[$($flags,)+ selection::FILES, selection::LABELS],
            run: run!($run),
            ..BASE
        }
    };
}

/// `rollout`
pub const COMMAND: Command = Command {
    name: "rollout",
    about: "Look after a workload's rollouts",
    commands: &[
        under!("history", "Show the revisions", [print::OUTPUT, REVISION], history::history),
        under!("pause", "Let changes wait", [print::OUTPUT, write::MANAGER], pause),
        under!("restart", "Replace all Pods", [print::OUTPUT, write::MANAGER], restart),
        under!("resume", "Let changes go on", [print::OUTPUT, write::MANAGER], resume),
        under!("status", "Follow until it is done", [REVISION, STATUS], status::status),
        under!("undo", "Go back to a revision", [print::OUTPUT, TO_REVISION, write::DRY_RUN], history::undo),
    ],
    ..BASE
};

/// The workloads that are named.
async fn selected(call: &Invocation) -> Result<Found> {
    let mut selection = Selection::of(call);
    if call.arguments().is_empty() && selection.files().is_empty() {
        return Err(Failure::new("required resource not specified"));
    }
    selection.latest = true;
    selection.type_means_all = true;
    selection.typed = true;
    selection.read().await
}

/// Says that nothing was selected.
fn nothing(call: &Invocation) -> Result {
    call.err(format!("No resources found in {} namespace.\n", call.namespace()?));
    Ok(())
}

async fn pause(call: &Invocation) -> Result {
    patch(call, "paused", "already paused", |info| match (info.mapping.kind.as_str(), is_paused(info)) {
        ("Deployment", true) => Err("is already paused".into()),
        ("Deployment", false) => Ok(json!({"spec": {"paused": true}})),
        _ => Err("pausing is not supported".into()),
    })
    .await
}

async fn resume(call: &Invocation) -> Result {
    patch(call, "resumed", "already resumed", |info| match (info.mapping.kind.as_str(), is_paused(info)) {
        ("Deployment", false) => Err("is not paused".into()),
        ("Deployment", true) => Ok(json!({"spec": {"paused": null}})),
        _ => Err("resuming is not supported".into()),
    })
    .await
}

async fn restart(call: &Invocation) -> Result {
    let now = call.session.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    patch(call, "restarted", "already restarted", |info| match info.mapping.kind.as_str() {
        "Deployment" if is_paused(info) => Err("can't restart paused deployment (run rollout resume first)".into()),
        "Deployment" | "DaemonSet" | "StatefulSet" => {
            let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
            Ok(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}))
        }
        _ => Err("restarting is not supported".into()),
    })
    .await
}

fn is_paused(info: &Info) -> bool {
    meta::get(&info.object, &["spec", "paused"]) == Some(&Value::Bool(true))
}

async fn patch(
    call: &Invocation,
    done: &str,
    already: &str,
    change: impl Fn(&Info) -> std::result::Result<Value, String>,
) -> Result {
    let writing = Writing::of(call, "kubectl-rollout")?;
    let mut printer = writing.printer()?;
    printer.typed = true;
    let found = selected(call).await?;
    let mut failures = found.failures;
    if found.infos.is_empty() && failures.is_empty() {
        return nothing(call);
    }
    for info in found.infos {
        let patch = match change(&info) {
            Ok(patch) => patch,
            Err(why) => {
                let words = format!("error: {} {} {why}", info.mapping.group_resource(), quote(&info.name));
                failures.push(Failure::new(words));
                continue;
            }
        };
        if writing.dry_run == DryRun::Client {
            writing.say(&mut printer, &info.object, done)?;
            continue;
        }
        match writing.patch(&info, "", STRATEGIC, &patch).await {
            Ok(object) => {
                let same = meta::resource_version(&object) == meta::resource_version(&info.object);
                writing.say(&mut printer, &object, if same { already } else { done })?;
            }
            Err(failure) => failures.push(Failure::new(format!("failed to patch: {}", failure.words()))),
        }
    }
    Failure::of(failures)
}
