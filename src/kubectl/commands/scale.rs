//! `kubectl scale`: set how many replicas there are.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::http::Call;
use super::super::print;
use super::super::selection::{self, Selection};
use super::super::write::{self, MERGE, Writing};
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("replicas", Kind::Int(0), "How many"),
    long("current-replicas", Kind::Int(-1), "Only if there are so many now"),
    long("resource-version", Kind::Text(""), "Only if the object still has this version"),
    long("timeout", Kind::Duration("0s"), "How long to wait until there are so many; 0 does not wait"),
];

/// `scale`
pub const COMMAND: Command = Command {
    name: "scale",
    usage: "(-f FILE | TYPE NAME) --replicas=N",
    about: "Set how many replicas there are",
    flags: &[print::OUTPUT, FLAGS, selection::FILES, selection::LABELS, selection::ALL, write::DRY_RUN],
    run: run!(scale),
    ..BASE
};

async fn scale(call: &Invocation) -> Result {
    let flags = &call.flags;
    let writing = Writing::of(call, "")?;
    if !flags.given("replicas") {
        return Err(Failure::new("required flag(s) \"replicas\" not set"));
    }
    let replicas = flags.int("replicas");
    if flags.is("all") && !flags.text("selector").is_empty() {
        return Err(Failure::new("cannot set --all and --selector at the same time"));
    }
    if replicas < 0 {
        return Err(Failure::new(
            "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
        ));
    }
    if flags.given("current-replicas") && flags.int("current-replicas") < -1 {
        return Err(Failure::new("The --current-replicas must specify an integer of -1 or greater"));
    }
    let mut selection = Selection::of(call);
    selection.latest = true;
    let found = selection.read().await?;
    let several = found.infos.len() > 1;
    if several && !flags.text("resource-version").is_empty() {
        return Err(Failure::new("cannot use --resource-version with multiple resources"));
    }
    let mut failures = found.failures;
    if found.infos.is_empty() && failures.is_empty() {
        return Err(Failure::new("no objects passed to scale"));
    }
    let mut printer = writing.printer()?;
    for info in found.infos {
        let cluster = call.cluster().await?;
        let done = async {
            if writing.dry_run == DryRun::Client {
                return Ok(info.object.clone());
            }
            let expected = flags.int("current-replicas");
            let version = flags.text("resource-version");
            if expected >= 0 || !version.is_empty() {
                let current = cluster.api.json(Call::get(info.subpath("scale"))).await?;
                let now = meta::integer(&current, &["spec", "replicas"]).unwrap_or(0);
                if expected >= 0 && now != expected {
                    return Err(Failure::new(format!("Expected replicas to be {expected}, was {now}")));
                }
                if !version.is_empty() && meta::resource_version(&current) != version {
                    let words =
                        format!("Expected resource version to be {version}, was {}", meta::resource_version(&current));
                    return Err(Failure::new(words));
                }
            }
            let patch = json!({"spec": {"replicas": replicas}});
            writing.patch(&info, "scale", MERGE, &patch).await?;
            Ok::<Value, Failure>(info.object.clone())
        };
        match done.await {
            Ok(object) => {
                writing.say(&mut printer, &object, "scaled")?;
                let limit = flags.duration("timeout");
                if !limit.is_zero() && writing.dry_run == DryRun::None {
                    let until = super::wait::until(call, &info, |object| {
                        let text = |path: &[&str]| meta::integer(object, path).unwrap_or(0);
                        Ok(text(&["status", "replicas"]) == replicas
                            && text(&["status", "observedGeneration"]) >= meta::generation(object))
                    });
                    let late = || Failure::new("timed out waiting for the condition");
                    call.session.clock.timeout(limit, until).await.map_err(|_| late())??;
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of(failures)
}
