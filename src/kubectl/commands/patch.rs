//! `kubectl patch`: change part of an object by a patch of one's own.

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long, short};
use super::super::mapping::Mapping;
use super::super::selection::{self, Selection};
use super::super::write::{self, JSON, MERGE, STRATEGIC, Writing};
use super::super::{manifests, print};
use super::apply::patched_here;
use crate::api::yaml;

const FLAGS: &[Flag] = &[
    short("patch", 'p', Kind::Text(""), "The patch, as JSON or YAML"),
    long("patch-file", Kind::Text(""), "A file with the patch"),
    long("type", Kind::Text("strategic"), "strategic, merge or json"),
    long("local", Kind::Bool(false), "Patch the file's object, not the cluster's"),
    long("subresource", Kind::Text(""), "The subresource to patch: status, scale"),
];

/// `patch`
pub const COMMAND: Command = Command {
    name: "patch",
    usage: "(-f FILE | TYPE NAME) -p PATCH",
    about: "Change part of an object",
    flags: &[print::OUTPUT, FLAGS, selection::FILES, write::DRY_RUN, write::MANAGER],
    run: run!(patch),
    ..BASE
};

async fn patch(call: &Invocation) -> Result {
    let flags = &call.flags;
    if call.flags.is("local") && !call.arguments().is_empty() {
        return Err(Failure::new("cannot specify --local and server resources"));
    }
    let writing = Writing::of(call, "kubectl-patch")?;
    let sent = wanted(call)?;
    let kind = match flags.text("type").to_lowercase().as_str() {
        "strategic" => STRATEGIC,
        "merge" => MERGE,
        "json" => JSON,
        _ => {
            let words = "--type must be one of [json merge strategic], not";
            return Err(Failure::new(format!("{words} {}", quote(flags.text("type")))));
        }
    };
    let local = flags.is("local") || writing.dry_run == DryRun::Client;
    let mut selection = Selection::of(call);
    selection.local = flags.is("local");
    selection.fetch = false;
    let subresource = std::mem::take(&mut selection.subresource);
    let found = selection.read().await?;
    let mut failures = found.failures;
    if found.infos.is_empty() && failures.is_empty() {
        return Err(Failure::new("no objects passed to patch"));
    }
    let mut printer = writing.printer()?;
    for info in found.infos {
        let done = async {
            let current = match (&info.object, flags.is("local")) {
                (object, true) => object.clone(),
                _ => call.cluster().await?.api.json(super::super::http::Call::get(info.subpath(&subresource))).await?,
            };
            let patched = if local {
                let patch = manifests::parse(&sent).map_err(Failure::new)?;
                match kind {
                    JSON => json_patched(current.clone(), &patch)?,
                    kind => patched_here(&info, current.clone(), kind, &patch)?,
                }
            } else {
                let written = writing.patch_text(&info, &subresource, kind, sent.clone()).await;
                written.map_err(|failure| with_kind(failure, kind, &info.mapping))?
            };
            let stored = !local && writing.dry_run == DryRun::None;
            // With its last finalizer an object that is to go goes, and its version stays what it was.
            let finalizers = |object: &Value| object.pointer("/metadata/finalizers").cloned();
            let same = current == patched
                || stored && version(&current) == version(&patched) && finalizers(&current) == finalizers(&patched);
            Ok::<(Value, &str), Failure>((patched, if same { "patched (no change)" } else { "patched" }))
        };
        match done.await {
            // The real one does not tell a dry run here.
            Ok((patched, done)) => printer.show(call.console(), &patched, done)?,
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of(failures)
}

/// A custom object knows no strategic merge: which patch and which kind, with the server's words.
fn with_kind(failure: Failure, patch: &str, mapping: &Mapping) -> Failure {
    match &failure {
        Failure::Server(status) if failure.reason() == "UnsupportedMediaType" => {
            let kind = format!("{}/{}, Kind={}", mapping.group, mapping.version, mapping.kind);
            let said = status["message"].as_str().unwrap_or_default();
            Failure::new(format!("{patch} is not supported by {kind}: {said}"))
        }
        _ => failure,
    }
}

fn version(object: &Value) -> &str {
    crate::api::meta::resource_version(object)
}

/// The patch as JSON. What begins like JSON goes to the server as it is, right or wrong.
fn wanted(call: &Invocation) -> Result<String> {
    let (text, file) = (call.flags.text("patch"), call.flags.text("patch-file"));
    let text = match (text.is_empty(), file.is_empty()) {
        (true, true) => {
            return Err(Failure::new("must specify --patch or --patch-file containing the contents of the patch"));
        }
        (false, false) => return Err(Failure::new("cannot specify --patch and --patch-file together")),
        (false, true) => text.to_owned(),
        (true, false) => {
            let bytes = call.session.files.read(std::path::Path::new(file));
            let bytes = bytes.map_err(|fault| Failure::new(format!("unable to read patch file: {fault}")))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    if manifests::is_json(&text) {
        return Ok(text);
    }
    let parsed = yaml::parse(text.as_bytes());
    let parsed = parsed.map_err(|why| Failure::new(format!("unable to parse {}: {why}", quote(&text))))?;
    Ok(parsed.to_string())
}

fn json_patched(mut object: Value, patch: &Value) -> Result<Value> {
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|fault| Failure::new(fault.to_string()))?;
    json_patch::patch(&mut object, &operations).map_err(|fault| Failure::new(fault.to_string()))?;
    Ok(object)
}
