//! `kubectl delete`: ask for objects' deletion, and wait until they are gone.

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{DryRun, Flag, Kind, long, short};
use super::super::http::Call;
use super::super::selection::{self, Info, Selection};
use super::super::write::{self, Writing};

const FLAGS: &[Flag] = &[
    long(
        "cascade",
        Kind::Optional("background", "background"),
        "What happens to dependents: background, foreground, orphan",
    ),
    long("force", Kind::Bool(false), "With --grace-period=0: do not wait for the process to end"),
    long("grace-period", Kind::Int(-1), "Seconds that the object gets to end"),
    long("ignore-not-found", Kind::Bool(false), "An object that is not there is no error"),
    short("interactive", 'i', Kind::Bool(false), "Ask first"),
    long("now", Kind::Bool(false), "A grace period of one second"),
    long("timeout", Kind::Duration("0s"), "How long to wait; 0 for as long as it takes"),
    long("wait", Kind::Bool(true), "Wait until the objects are gone"),
    short("output", 'o', Kind::Text(""), "name: only names"),
    long("raw", Kind::Text(""), "A path of the API server to delete"),
];

/// `delete`
pub const COMMAND: Command = Command {
    name: "delete",
    usage: "(-f FILE | TYPE [NAME | -l LABELS | --all] | TYPE/NAME ...)",
    about: "Delete objects",
    flags: &[
        FLAGS,
        selection::FILES,
        selection::LABELS,
        selection::FIELDS,
        selection::ALL,
        selection::ALL_NAMESPACES,
        write::DRY_RUN,
    ],
    run: run!(delete),
    ..BASE
};

/// The propagation policy that `--cascade` names.
///
/// # Errors
/// When it names none.
pub fn cascade(text: &str) -> Result<&'static str> {
    match text {
        "background" | "true" => Ok("Background"),
        "foreground" => Ok("Foreground"),
        "orphan" | "false" => Ok("Orphan"),
        other => Err(Failure::new(format!(
            r#"invalid cascade value ({other}). Must be "background", "foreground", or "orphan""#
        ))),
    }
}

async fn delete(call: &Invocation) -> Result {
    let flags = &call.flags;
    let writing = Writing::of(call, "")?;
    let policy = cascade(flags.text("cascade"))?;
    let mut grace = flags.int("grace-period");
    let mut force = flags.is("force");
    if flags.is("now") {
        if grace != -1 {
            return Err(Failure::new("--now and --grace-period cannot be specified together"));
        }
        grace = 1;
    }
    let mut wait = flags.is("wait");
    if grace == 0 {
        if !force {
            // Without --force an object is given a second, and waited for.
            grace = 1;
        }
    } else if force && grace < 0 {
        grace = 0;
    }
    if force && !flags.given("wait") {
        wait = false;
    }
    check(call, grace, &mut force)?;
    if !flags.text("raw").is_empty() {
        let bytes = call.cluster().await?.api.bytes(Call::new(http::Method::DELETE, flags.text("raw"))).await?;
        call.console().out(bytes);
        return Ok(());
    }
    let mut selection = Selection::of(call);
    selection.fetch = false;
    let everywhere = flags.is("all-namespaces") && flags.given("namespace");
    let found = selection.read().await?;
    if flags.is("interactive") && !confirmed(call, &found.infos).await? {
        return Ok(());
    }
    let mut failures = found.failures;
    let mut deleted = Vec::new();
    let mut warned = everywhere;
    for info in found.infos {
        if !warned && flags.given("namespace") && !info.mapping.namespaced {
            call.err("Warning: deleting cluster-scoped resources, not scoped to the provided namespace\n");
            warned = true;
        }
        let grace = Some(grace).filter(|seconds| *seconds >= 0);
        match one(call, &writing, &info, grace, policy).await {
            Ok(uid) => deleted.push((info, uid)),
            Err(failure) => failures.push(failure),
        }
    }
    if flags.is("ignore-not-found") {
        failures.retain(|failure| !failure.is_not_found());
    }
    call.console().flush().await?;
    Failure::of(failures)?;
    if deleted.is_empty() {
        if !flags.is("ignore-not-found") {
            call.out("No resources found\n");
        }
        return Ok(());
    }
    if wait && writing.dry_run == DryRun::None {
        super::wait::until_all_gone(call, deleted, flags.duration("timeout")).await?;
    }
    Ok(())
}

fn check(call: &Invocation, grace: i64, force: &mut bool) -> Result {
    let flags = &call.flags;
    let output = flags.text("output");
    if !matches!(output, "" | "name") {
        return Err(Failure::new(format!("unexpected -o output mode: {output}. We only support '-o name'")));
    }
    match (grace, *force) {
        (0, true) => call.err("Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n"),
        (1.., true) => return Err(Failure::new("--force and --grace-period greater than 0 cannot be specified together")),
        _ => {}
    }
    Ok(())
}

async fn one(
    call: &Invocation,
    writing: &Writing<'_>,
    info: &Info,
    grace: Option<i64>,
    policy: &str,
) -> Result<String> {
    let mut uid = String::new();
    if writing.dry_run != DryRun::Client {
        let answer = writing.delete(info, grace, policy).await;
        let answer = answer.map_err(|failure| failure.from_source("deleting", &info.source))?;
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        uid = text("/details/uid");
        if uid.is_empty() {
            uid = text("/metadata/uid");
        }
    }
    let kind = info.mapping.shown();
    if call.flags.text("output") == "name" {
        call.out(format!("{kind}/{}\n", info.name));
        return Ok(uid);
    }
    let done = if grace == Some(0) { "force deleted" } else { "deleted" };
    let place = if info.mapping.namespaced { format!(" from {} namespace", info.namespace) } else { String::new() };
    call.out(format!("{kind} \"{}\" {done}{place}{}\n", info.name, writing.dry_run.suffix()));
    Ok(uid)
}

async fn confirmed(call: &Invocation, infos: &[Info]) -> Result<bool> {
    if infos.is_empty() {
        call.out("No resources found\n");
        return Ok(false);
    }
    call.out(format!("You are about to delete the following {} resource(s):\n", infos.len()));
    infos.iter().for_each(|info| call.out(format!("{}\n", info.shown())));
    call.out("Do you want to continue? (y/N): ");
    call.console().flush().await?;
    let yes = call.session.read_line().await.eq_ignore_ascii_case("y");
    if !yes {
        call.out("deletion is cancelled\n");
    }
    Ok(yes)
}
