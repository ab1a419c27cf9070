//! `kubectl auth reconcile`: make roles allow, and bindings name, at least what files say.
//!
//! Unlike apply it compares what rules mean: a right that a role has in other words is not added again,
//! and nothing is taken away unless a flag says so.

use serde_json::{Map, Value, json};

use super::super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::super::failure::{Failure, Result};
use super::super::super::flags::{DryRun, Flag, Kind, long};
use super::super::super::http::Call;
use super::super::super::print::{self, Printer};
use super::super::super::selection::{self, Info, Selection};
use super::super::super::write::{self, Writing};
use super::covers::{shown, uncovered};
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("remove-extra-permissions", Kind::Bool(false), "Take rights away that the files do not name"),
    long("remove-extra-subjects", Kind::Bool(false), "Take subjects away that the files do not name"),
];

pub(super) const COMMAND: Command = Command {
    name: "reconcile",
    usage: "-f FILE",
    about: "Make roles and bindings give at least what files say",
    flags: &[print::OUTPUT, FLAGS, selection::FILES, write::DRY_RUN],
    run: run!(reconcile),
    ..BASE
};

/// An object with this annotation at `false` is left as it is.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const RULE: [(&str, &str); 5] = [
    ("Verbs", "verbs"),
    ("APIGroups", "apiGroups"),
    ("Resources", "resources"),
    ("ResourceNames", "resourceNames"),
    ("NonResourceURLs", "nonResourceURLs"),
];
const SUBJECT: [(&str, &str); 4] =
    [("Kind", "kind"), ("APIGroup", "apiGroup"), ("Name", "name"), ("Namespace", "namespace")];
/// How often an object may appear or vanish in between.
const TRIES: usize = 3;

/// What must be written.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    Create,
    Update,
    Recreate,
}

/// What a comparison found.
struct Outcome {
    object: Value,
    change: Change,
    protected: bool,
    missing: Vec<Value>,
    extra: Vec<Value>,
}

async fn reconcile(call: &Invocation) -> Result {
    let selection = Selection::of(call);
    if selection.files().is_empty() {
        return Err(Failure::new("must specify one of -f and -k"));
    }
    if !call.arguments().is_empty() {
        return Err(Failure::new("no arguments are allowed"));
    }
    let accessing = |failure: Failure| {
        Failure::new(format!("error accessing --dry-run flag for command reconcile: {}", failure.words()))
    };
    if call.flags.dry_run().map_err(accessing)? == DryRun::Server {
        return Err(Failure::new("--dry-run=server for command reconcile is not supported yet"));
    }
    let writing = Writing::of(call, "")?;
    let mut printer = writing.printer()?;
    printer.typed = true;
    let found = selection.read().await?;
    let mut failures = found.failures;
    for info in found.infos.iter().filter(|info| info.mapping.group == "rbac.authorization.k8s.io") {
        if info.mapping.version != "v1" {
            let words = format!("only rbac.authorization.k8s.io/v1 is supported: not {}", info.mapping.api_version());
            failures.push(Failure::new(words));
            continue;
        }
        if let Err(failure) = one(call, &writing, &mut printer, info).await {
            failures.push(failure);
        }
    }
    Failure::of(failures)
}

async fn one(call: &Invocation, writing: &Writing<'_>, printer: &mut Printer, info: &Info) -> Result {
    for _ in 0..TRIES {
        let existing = match call.cluster().await?.api.json(Call::get(info.path())).await {
            Ok(existing) => Some(existing),
            Err(failure) if failure.is_not_found() => None,
            Err(failure) => return Err(failure),
        };
        let mut outcome = compare(call, info, existing.as_ref());
        if !outcome.protected && writing.dry_run == DryRun::None {
            match carry_out(call, writing, info, &outcome, existing.as_ref()).await {
                Ok(Some(written)) => outcome.object = written,
                Ok(None) => {}
                // It came or went in between: look again.
                Err(failure) if failure.already_exists() || failure.is_not_found() || failure.is_conflict() => continue,
                Err(failure) => return Err(failure),
            }
        }
        return tell(call, writing, printer, &outcome, is_role(info));
    }
    Err(Failure::new("exceeded maximum attempts"))
}

fn is_role(info: &Info) -> bool {
    matches!(info.mapping.kind.as_str(), "Role" | "ClusterRole")
}

async fn carry_out(
    call: &Invocation,
    writing: &Writing<'_>,
    info: &Info,
    outcome: &Outcome,
    existing: Option<&Value>,
) -> Result<Option<Value>> {
    match (outcome.change, existing) {
        (Change::Nothing, _) => return Ok(None),
        (Change::Update, _) => return writing.replace(info, &outcome.object).await.map(Some),
        (Change::Recreate, Some(existing)) => {
            let options = json!({"kind": "DeleteOptions", "apiVersion": "v1",
                "preconditions": {"uid": meta::uid(existing)}});
            let delete = Call::new(http::Method::DELETE, info.path()).json(&options);
            call.cluster().await?.api.json(delete).await?;
        }
        _ => {}
    }
    if !info.namespace.is_empty() {
        ensure_namespace(call, &info.namespace).await?;
    }
    writing.create(&info.mapping, &info.namespace, &outcome.object).await.map(Some)
}

async fn ensure_namespace(call: &Invocation, name: &str) -> Result {
    let api = &call.cluster().await?.api;
    match api.json(Call::get(format!("/api/v1/namespaces/{name}"))).await {
        Err(failure) if failure.is_not_found() => {}
        _ => return Ok(()),
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    match api.json(Call::new(http::Method::POST, "/api/v1/namespaces").json(&namespace)).await {
        Err(failure) if !failure.already_exists() => Err(failure),
        _ => Ok(()),
    }
}

/// What must become of an object so that it gives at least what is expected.
fn compare(call: &Invocation, info: &Info, existing: Option<&Value>) -> Outcome {
    let expected = &info.object;
    let list = if is_role(info) { "rules" } else { "subjects" };
    let wanted = meta::list(expected, &[list]);
    let Some(existing) = existing else {
        let object = expected.clone();
        return Outcome {
            object,
            change: Change::Create,
            protected: false,
            missing: wanted.to_vec(),
            extra: Vec::new(),
        };
    };
    let protected = meta::annotation(existing, AUTO_UPDATE) == Some("false");
    let reference =
        |object: &Value| ["apiGroup", "kind", "name"].map(|field| meta::text(object, &["roleRef", field]).to_owned());
    if !is_role(info) && reference(expected) != reference(existing) {
        let (object, change) = (expected.clone(), Change::Recreate);
        return Outcome { object, change, protected, missing: Vec::new(), extra: Vec::new() };
    }
    let mut object = existing.clone();
    for field in ["annotations", "labels"] {
        let more = meta::map(expected, &["metadata", field]).cloned().unwrap_or_default();
        merge(&mut object, field, more);
    }
    let own = meta::list(existing, &[list]);
    let (missing, extra, remove) = if is_role(info) {
        let extra = if aggregates(expected) && aggregates(existing) { Vec::new() } else { uncovered(wanted, own) };
        (uncovered(own, wanted), extra, call.flags.is("remove-extra-permissions"))
    } else {
        (beside(wanted, own), beside(own, wanted), call.flags.is("remove-extra-subjects"))
    };
    if remove && !(missing.is_empty() && extra.is_empty()) {
        meta::set(&mut object, &[list], wanted.into());
    } else if !remove && !missing.is_empty() {
        meta::set(&mut object, &[list], own.iter().chain(&missing).cloned().collect());
    }
    if is_role(info) {
        merge_aggregation(&mut object, expected, existing, remove);
    }
    let change = if object == *existing { Change::Nothing } else { Change::Update };
    Outcome { object, change, protected, missing, extra }
}

/// Adds keys that the object does not have; what it has stays.
fn merge(object: &mut Value, field: &str, more: Map<String, Value>) {
    if more.is_empty() {
        return;
    }
    let mut own = meta::map(object, &["metadata", field]).cloned().unwrap_or_default();
    for (key, value) in more {
        own.entry(key).or_insert(value);
    }
    meta::set(object, &["metadata", field], own.into());
}

fn aggregates(role: &Value) -> bool {
    role.get("aggregationRule").is_some_and(|rule| !rule.is_null())
}

fn merge_aggregation(object: &mut Value, expected: &Value, existing: &Value, remove: bool) {
    let selectors = |role: &Value| meta::list(role, &["aggregationRule", "clusterRoleSelectors"]).to_vec();
    if !aggregates(expected) {
        meta::remove(object, &["aggregationRule"]);
        return;
    }
    let (wanted, own) = (selectors(expected), selectors(existing));
    let (missing, extra) = (beside(&wanted, &own), beside(&own, &wanted));
    let path = ["aggregationRule", "clusterRoleSelectors"];
    if remove && !(missing.is_empty() && extra.is_empty()) {
        meta::set(object, &path, wanted.into());
    } else if !remove && !missing.is_empty() {
        meta::set(object, &path, own.into_iter().chain(missing).collect());
    }
}

/// What is in `these` and not in `those`, each once.
fn beside(these: &[Value], those: &[Value]) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for one in these.iter().filter(|one| !those.contains(one)) {
        if !found.contains(one) {
            found.push(one.clone());
        }
    }
    found
}

fn tell(call: &Invocation, writing: &Writing<'_>, printer: &mut Printer, outcome: &Outcome, role: bool) -> Result {
    writing.say(printer, &outcome.object, "reconciled")?;
    let caveat = if outcome.protected {
        ", but object opted out (rbac.authorization.kubernetes.io/autoupdate: false)"
    } else {
        ""
    };
    let needed = match outcome.change {
        Change::Nothing => return Ok(()),
        Change::Create => "create",
        Change::Update => "update",
        Change::Recreate => "recreate",
    };
    call.err(format!("\treconciliation required {needed}{caveat}\n"));
    let (what, fields, flag) = match role {
        true => ("rules", &RULE[..], "remove-extra-permissions"),
        false => ("subjects", &SUBJECT[..], "remove-extra-subjects"),
    };
    let lines = |title: String, all: &[Value]| {
        if !all.is_empty() {
            call.err(format!("\t{title}:\n"));
            all.iter().for_each(|one| call.err(format!("\t\t{}\n", shown(one, fields))));
        }
    };
    lines(format!("missing {what} added"), &outcome.missing);
    if call.flags.is(flag) {
        lines(format!("extra {what} removed"), &outcome.extra);
    }
    Ok(())
}
