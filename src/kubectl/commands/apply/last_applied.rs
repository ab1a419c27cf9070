//! `kubectl apply view-last-applied`, `set-last-applied` and `edit-last-applied`: the annotation itself.

use serde_json::{Value, json};

use super::super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::{DryRun, Flag, Kind, long, short};
use super::super::super::print::{self, json_text};
use super::super::super::selection::{self, Selection};
use super::super::super::write::{self, MERGE, Writing};
use super::{LAST_APPLIED, with_last_applied};
use crate::api::{meta, yaml};

const VIEW: &[Flag] = &[short("output", 'o', Kind::Text("yaml"), "yaml or json")];
const SET: &[Flag] = &[long("create-annotation", Kind::Bool(false), "Also where there is none yet")];

/// The commands under `apply`.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "view-last-applied",
        usage: "(TYPE [NAME | -l LABELS] | TYPE/NAME | -f FILE)",
        about: "Show what was applied last",
        flags: &[VIEW, selection::FILES, selection::LABELS, selection::ALL],
        run: run!(view),
        ..BASE
    },
    Command {
        name: "set-last-applied",
        usage: "-f FILE",
        about: "Note a file as applied last, without applying it",
        flags: &[print::OUTPUT, SET, selection::FILES, write::DRY_RUN],
        run: run!(set),
        ..BASE
    },
];

async fn view(call: &Invocation) -> Result {
    let output = call.flags.text("output");
    if !matches!(output, "" | "yaml" | "json") {
        return Err(
            call.usage(format!("Unexpected -o output mode: {output}, the flag 'output' must be one of yaml|json"))
        );
    }
    let mut selection = Selection::of(call);
    selection.latest = true;
    for info in selection.read().await?.all()? {
        let Some(text) = meta::annotation(&info.object, LAST_APPLIED) else {
            continue;
        };
        let value: Value = serde_json::from_str(text).map_err(|fault| Failure::new(fault.to_string()))?;
        call.out(if output == "json" { json_text(&value).replace("    ", "  ") } else { yaml::to_string(&value) });
    }
    Ok(())
}

async fn set(call: &Invocation) -> Result {
    let writing = Writing::of(call, "kubectl-client-side-apply")?;
    let selection = Selection::of(call);
    if selection.files().is_empty() {
        return Err(Failure::new("must specify one of -f and -k"));
    }
    let mut printer = writing.printer()?;
    for info in selection.read().await?.all()? {
        let api = &call.cluster().await?.api;
        let current = api.json(super::super::super::http::Call::get(info.path())).await;
        let current = match current {
            Ok(current) => current,
            Err(failure) if failure.is_not_found() => {
                return Err(Failure::Message(failure.words()));
            }
            Err(failure) => return Err(failure),
        };
        if meta::annotation(&current, LAST_APPLIED).is_none() && !call.flags.is("create-annotation") {
            let words = "no last-applied-configuration annotation found on resource:";
            let hint = "to create the annotation, run the command with --create-annotation";
            return Err(Failure::new(format!("{words} {}, {hint}", quote(&info.name))));
        }
        let applied = with_last_applied(&info.object);
        let text = meta::annotation(&applied, LAST_APPLIED).unwrap_or_default();
        let patch = json!({"metadata": {"annotations": {LAST_APPLIED: text}}});
        let done = match writing.dry_run {
            DryRun::Client => current,
            _ => writing.patch(&info, "", MERGE, &patch).await?,
        };
        writing.say(&mut printer, &done, "configured")?;
    }
    Ok(())
}
