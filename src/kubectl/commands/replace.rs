//! `kubectl replace`: put an object in the place of the one stored.

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::print;
use super::super::selection::{self, Selection};
use super::super::write::{self, Writing};
use super::apply::{LAST_APPLIED, with_last_applied};
use super::create::SAVE;
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("force", Kind::Bool(false), "Delete and create again"),
    long("grace-period", Kind::Int(-1), "Seconds that a deleted object gets to end"),
    long("cascade", Kind::Optional("background", "background"), "What a deletion does with dependents"),
    long("timeout", Kind::Duration("0s"), "How long to wait for a deletion"),
    long("wait", Kind::Bool(false), "Wait for deletions"),
    long("subresource", Kind::Text(""), "The subresource to replace"),
    long("raw", Kind::Text(""), "A path of the API server to put the file at"),
];

/// `replace`
pub const COMMAND: Command = Command {
    name: "replace",
    usage: "-f FILE",
    about: "Put objects in the place of those stored",
    flags: &[print::OUTPUT, FLAGS, SAVE, selection::FILES, write::DRY_RUN, write::MANAGER, write::VALIDATE],
    run: run!(replace),
    ..BASE
};

async fn replace(call: &Invocation) -> Result {
    let flags = &call.flags;
    let selection = Selection::of(call);
    if selection.files().is_empty() {
        return Err(Failure::new("must specify one of -f and -k"));
    }
    if !flags.text("raw").is_empty() {
        return super::create::raw(call, http::Method::PUT).await;
    }
    if !flags.is("force") && flags.given("grace-period") {
        return Err(Failure::new("--grace-period must have --force specified"));
    }
    if !flags.is("force") && flags.seconds("timeout") != 0.0 {
        return Err(Failure::new("--timeout must have --force specified"));
    }
    super::delete::cascade(flags.text("cascade"))?;
    let writing = Writing::of(call, "kubectl-replace")?;
    if flags.is("force") && writing.dry_run != DryRun::None {
        return Err(Failure::new("--dry-run can not be used when --force is set"));
    }
    let mut printer = writing.printer()?;
    let found = selection.read().await?;
    let mut failures = found.failures;
    let mut again = Vec::new();
    for info in found.infos {
        let keeps = flags.is("save-config") || meta::annotation(&info.object, LAST_APPLIED).is_some();
        let object = if keeps { with_last_applied(&info.object) } else { info.object.clone() };
        if writing.dry_run == DryRun::Client {
            writing.say(&mut printer, &object, "replaced")?;
            continue;
        }
        if flags.is("force") {
            let grace = Some(flags.int("grace-period")).filter(|seconds| *seconds >= 0);
            match writing.delete(&info, grace, super::delete::cascade(flags.text("cascade"))?).await {
                Ok(_) => {
                    let kind = info.mapping.shown();
                    let place = if info.mapping.namespaced {
                        format!(" from {} namespace", info.namespace)
                    } else {
                        String::new()
                    };
                    call.out(format!("{kind} \"{}\" deleted{place}\n", info.name));
                }
                Err(failure) if failure.is_not_found() => {}
                Err(failure) => return Err(failure),
            }
            again.push((info, object));
            continue;
        }
        match put(call, &writing, &info, &object).await {
            Ok(stored) => writing.say(&mut printer, &stored, "replaced")?,
            Err(failure) => failures.push(failure.from_source("replacing", &info.source)),
        }
    }
    // With --force all go before the first comes again.
    for (info, _) in &again {
        super::wait::until_gone(call, info, None).await?;
    }
    for (info, object) in &again {
        let made = writing.create(&info.mapping, &info.namespace, object).await?;
        writing.say(&mut printer, &made, "replaced")?;
    }
    Failure::of(failures)
}

/// An object without a version replaces whatever is stored.
async fn put(
    call: &Invocation,
    writing: &Writing<'_>,
    info: &selection::Info,
    object: &serde_json::Value,
) -> Result<serde_json::Value> {
    let mut object = object.clone();
    if meta::resource_version(&object).is_empty() {
        let stored = call.cluster().await?.api.json(super::super::http::Call::get(info.path())).await?;
        let version = meta::resource_version(&stored).to_owned();
        meta::set_text(&mut object, "resourceVersion", &version);
    }
    writing.replace(info, &object).await
}
