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

const EDIT: &[Flag] = &[short("output", 'o', Kind::Text("yaml"), "yaml or json")];

/// The commands under `apply`.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "edit-last-applied",
        usage: "(TYPE/NAME | -f FILE)",
        about: "Change what was applied last, in your editor",
        flags: &[EDIT, super::super::edit::MORE, selection::FILES, write::MANAGER, write::VALIDATE],
        run: run!(edit),
        ..BASE
    },
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
        flags: &[print::OUTPUT, SET, selection::FILE, write::DRY_RUN],
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
    let labels = call.flags.text("selector");
    if call.flags.is("all") && !labels.is_empty() {
        let words = format!("found non-empty label selector {} with previously set 'all' parameter. ", quote(labels));
        return Err(Failure::new(words));
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

async fn edit(call: &Invocation) -> Result {
    let Some(editor) = call.session.editor.clone() else { return Err(super::super::edit::no_editor()) };
    let writing = Writing::of(call, "kubectl-edit")?;
    let json = call.flags.text("output") == "json";
    let mut selection = Selection::of(call);
    if call.arguments().is_empty() && selection.files().is_empty() {
        return Err(selection::no_resource());
    }
    selection.latest = true;
    let mut printer = writing.printer()?;
    printer.form = print::Form::Human;
    for info in selection.read().await?.all()? {
        let Some(text) = meta::annotation(&info.object, LAST_APPLIED) else {
            let words = "no last-applied-configuration annotation found on resource:";
            return Err(Failure::new(format!("{words} {}", quote(&info.name))));
        };
        let value: Value = serde_json::from_str(text).map_err(|fault| Failure::new(fault.to_string()))?;
        let shown = if json { json_text(&value) } else { yaml::to_string(&value) };
        let edited = editor.edit(&shown, if json { ".json" } else { ".yaml" }).await;
        let edited = edited.map_err(|fault| Failure::new(fault.to_string()))?;
        if edited.trim_end() == shown.trim_end() || edited.trim().is_empty() {
            call.err("Edit cancelled, no changes made.\n");
            continue;
        }
        let after = super::super::super::manifests::parse(&edited)
            .map_err(|why| Failure::new(format!("The edited file had a syntax error: {why}")))?;
        let applied = with_last_applied(&after);
        let text = meta::annotation(&applied, LAST_APPLIED).unwrap_or_default();
        let patch = json!({"metadata": {"annotations": {LAST_APPLIED: text}}});
        let done = writing.patch(&info, "", MERGE, &patch).await?;
        writing.say(&mut printer, &done, "edited")?;
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
        let mut plain = info.object.clone();
        meta::remove_annotation(&mut plain, LAST_APPLIED);
        let text = print::json_line(&plain) + "\n";
        if meta::annotation(&current, LAST_APPLIED) == Some(&text) {
            call.out(format!("set-last-applied {}: no changes required.\n", info.name));
            continue;
        }
        let patch = json!({"metadata": {"annotations": {LAST_APPLIED: text}}});
        let done = match writing.dry_run {
            DryRun::Client => current,
            _ => writing.patch(&info, "", MERGE, &patch).await?,
        };
        writing.say(&mut printer, &done, "configured")?;
    }
    Ok(())
}
