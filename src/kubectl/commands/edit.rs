//! `kubectl edit`: change an object in an editor, and send what was changed.

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long, short};
use super::super::manifests;
use super::super::print::json_text;
use super::super::selection::{self, Info, Selection};
use super::super::write::{self, Writing, is_empty, two_way};
use crate::api::{meta, yaml};

const FLAGS: &[Flag] = &[
    short("output", 'o', Kind::Text("yaml"), "yaml or json"),
    long("save-config", Kind::Bool(false), "Accepted"),
    long("output-patch", Kind::Bool(false), "Show the patch"),
    long("subresource", Kind::Text(""), "The subresource to edit"),
];
/// Flags of every command that edits.
pub(super) const MORE: &[Flag] = &[
    long("windows-line-endings", Kind::Bool(false), "Accepted"),
    long("show-managed-fields", Kind::Bool(false), "Keep metadata.managedFields"),
    long("allow-missing-template-keys", Kind::Bool(true), "Accepted"),
    long("template", Kind::Text(""), "Accepted"),
];

/// `edit`
pub const COMMAND: Command = Command {
    name: "edit",
    usage: "(TYPE/NAME | -f FILE)",
    about: "Change an object in your editor",
    flags: &[FLAGS, MORE, selection::FILES, write::MANAGER, write::VALIDATE],
    run: run!(edit),
    ..BASE
};

const HEAD: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n";

/// There is nobody who could change a text.
pub(super) fn no_editor() -> Failure {
    Failure::new("there is no editor here; change a file and apply it: kubectl apply -f FILE")
}

async fn edit(call: &Invocation) -> Result {
    let Some(editor) = call.session.editor.clone() else { return Err(no_editor()) };
    let selection = Selection::of(call);
    if call.arguments().is_empty() && selection.files().is_empty() {
        return Err(selection::no_resource());
    }
    let writing = Writing::of(call, "kubectl-edit")?;
    let mut selection = selection;
    selection.latest = true;
    let subresource = std::mem::take(&mut selection.subresource);
    let mut failures = Vec::new();
    for info in selection.read().await?.all()? {
        let json = call.flags.text("output") == "json";
        let mut notes = String::new();
        let mut shown = text(call, &info.object, json);
        loop {
            let head = if json { String::new() } else { format!("{HEAD}{notes}") };
            let suffix = if json { ".json" } else { ".yaml" };
            let edited = editor.edit(&format!("{head}{shown}"), suffix).await;
            let edited = edited.map_err(|fault| Failure::new(fault.to_string()))?;
            let bare: String =
                edited.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
            if bare.trim().is_empty() {
                call.err("Edit cancelled, saved file was empty.\n");
                break;
            }
            if bare.trim_end() == shown.trim_end() {
                call.err(if notes.is_empty() {
                    "Edit cancelled, no changes made.\n"
                } else {
                    "error: Edit cancelled, no valid changes were saved.\n"
                });
                if !notes.is_empty() {
                    failures.push(Failure::Exit(1));
                }
                break;
            }
            match send(call, &writing, &info, &subresource, &bare).await {
                Ok(()) => break,
                Err(failure) => {
                    let (words, _) = failure.print();
                    notes = words.lines().map(|line| format!("# {line}\n")).collect::<String>() + "#\n";
                    shown = bare;
                }
            }
        }
    }
    Failure::of(failures)
}

fn text(call: &Invocation, object: &Value, json: bool) -> String {
    let mut object = object.clone();
    if !call.flags.is("show-managed-fields") {
        meta::remove(&mut object, &["metadata", "managedFields"]);
    }
    if json { json_text(&object) } else { yaml::to_string(&object) }
}

async fn send(call: &Invocation, writing: &Writing<'_>, info: &Info, subresource: &str, edited: &str) -> Result {
    let after =
        manifests::parse(edited).map_err(|why| Failure::new(format!("The edited file had a syntax error: {why}")))?;
    let mut before = info.object.clone();
    if !call.flags.is("show-managed-fields") {
        meta::remove(&mut before, &["metadata", "managedFields"]);
    }
    if meta::name(&after) != info.name || meta::kind(&after) != info.mapping.kind {
        return Err(Failure::new("At least one of apiVersion, kind and name was changed"));
    }
    let (kind, patch) = two_way(&info.mapping, &before, &after);
    let name = info.shown();
    if is_empty(&patch) {
        call.out(format!("{name} skipped\n"));
        return Ok(());
    }
    if call.flags.is("output-patch") {
        call.out(format!("Patch: {patch}\n"));
    }
    writing.patch(info, subresource, kind, &patch).await?;
    call.out(format!("{name} edited\n"));
    Ok(())
}
