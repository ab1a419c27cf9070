//! `kubectl patch`: change part of an object by a patch of one's own.

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long, short};
use super::super::selection::{self, Selection};
use super::super::write::{self, JSON, MERGE, STRATEGIC, Writing};
use super::super::{manifests, print};
use super::apply::patched_here;

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
    let patch = wanted(call)?;
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
                match kind {
                    JSON => json_patched(current.clone(), &patch)?,
                    kind => patched_here(&info, current.clone(), kind, &patch)?,
                }
            } else {
                writing.patch(&info, &subresource, kind, &patch).await?
            };
            let stored = !local && writing.dry_run == DryRun::None;
            let same = current == patched || stored && version(&current) == version(&patched);
            Ok::<(Value, &str), Failure>((patched, if same { "patched (no change)" } else { "patched" }))
        };
        match done.await {
            // The real one does not tell a dry run here.
            Ok((patched, done)) => call.out(printer.answer(&patched, done)?),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of(failures)
}

fn version(object: &Value) -> &str {
    crate::api::meta::resource_version(object)
}

fn wanted(call: &Invocation) -> Result<Value> {
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
    let parsed = manifests::parse(&text).map_err(|why| {
        let why = why.strip_prefix("error converting YAML to JSON: ").unwrap_or(&why).to_owned();
        Failure::new(format!("unable to parse {}: {why}", quote(&text)))
    })?;
    Ok(parsed)
}

fn json_patched(mut object: Value, patch: &Value) -> Result<Value> {
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|fault| Failure::new(fault.to_string()))?;
    json_patch::patch(&mut object, &operations).map_err(|fault| Failure::new(fault.to_string()))?;
    Ok(object)
}
