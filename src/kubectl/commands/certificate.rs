//! `kubectl certificate approve` and `deny`: decide about a CertificateSigningRequest.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};
use super::super::http::Call;
use super::super::print;
use super::super::selection::{self, Info, Selection};
use super::super::write::Writing;
use crate::api::meta;

const FLAGS: &[Flag] = &[long("force", Kind::Bool(false), "Also when it was decided before")];

/// `certificate`
pub const COMMAND: Command = Command {
    name: "certificate",
    about: "Decide about certificates that were asked for",
    commands: &[
        Command {
            name: "approve",
            usage: "NAME",
            about: "Let it be signed",
            flags: &[print::OUTPUT, FLAGS, selection::FILES],
            run: run!(approve),
            ..BASE
        },
        Command {
            name: "deny",
            usage: "NAME",
            about: "Do not let it be signed",
            flags: &[print::OUTPUT, FLAGS, selection::FILES],
            run: run!(deny),
            ..BASE
        },
    ],
    ..BASE
};

async fn approve(call: &Invocation) -> Result {
    decide(call, "Approved", "KubectlApprove", "This CSR was approved by kubectl certificate approve.", "approved")
        .await
}

async fn deny(call: &Invocation) -> Result {
    decide(call, "Denied", "KubectlDeny", "This CSR was denied by kubectl certificate deny.", "denied").await
}

async fn decide(call: &Invocation, kind: &str, reason: &str, message: &str, done: &str) -> Result {
    let mut words = call.arguments().to_vec();
    if words.is_empty() && Selection::of(call).files().is_empty() {
        return Err(Failure::new("one or more CSRs must be specified as <name> or -f <filename>"));
    }
    if !words.is_empty() && !words.iter().any(|word| word.contains('/')) {
        words.iter_mut().for_each(|word| *word = format!("certificatesigningrequests/{word}"));
    }
    let writing = Writing::of(call, "")?;
    let mut printer = writing.printer()?;
    let mut selection = Selection::with(call, &words);
    selection.latest = true;
    let found = selection.read().await?;
    let mut failures = found.failures;
    for info in found.infos {
        match one(call, &info, kind, reason, message).await {
            Ok(object) => writing.say(&mut printer, &object, done)?,
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of(failures)
}

async fn one(call: &Invocation, info: &Info, kind: &str, reason: &str, message: &str) -> Result<Value> {
    let mut object = info.object.clone();
    let mut conditions = meta::list(&object, &["status", "conditions"]).to_vec();
    let known = |wanted: &str| conditions.iter().any(|one| meta::text(one, &["type"]) == wanted);
    let other = if kind == "Approved" { "Denied" } else { "Approved" };
    if known(other) {
        return Err(Failure::new(format!(
            "certificate signing request {:?} is already {}",
            info.name,
            other.to_lowercase()
        )));
    }
    if known(kind) && !call.flags.is("force") {
        return Ok(object);
    }
    let now = call.session.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    conditions.retain(|one| meta::text(one, &["type"]) != kind);
    conditions
        .push(json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastUpdateTime": now}));
    meta::set(&mut object, &["status", "conditions"], conditions.into());
    let put = Call::new(http::Method::PUT, info.subpath("approval")).json(&object);
    call.cluster().await?.api.json(put).await
}
