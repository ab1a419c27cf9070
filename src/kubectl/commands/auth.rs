//! `kubectl auth can-i`, `whoami` and `reconcile`: what the API server lets you do, and who it takes you for.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::Call;
use super::super::print::tabwriter::Tabs;
use super::super::print::{self, Printer};
use super::super::selection;
use crate::api::meta;

mod covers;
mod reconcile;

const CAN_I: &[Flag] = &[
    short("quiet", 'q', Kind::Bool(false), "Only the exit code"),
    long("list", Kind::Bool(false), "All that you may do"),
    long("subresource", Kind::Text(""), "A subresource: log"),
    long("no-headers", Kind::Bool(false), "No header line"),
];

/// `auth`
pub const COMMAND: Command = Command {
    name: "auth",
    about: "Ask about rights",
    commands: &[
        Command {
            name: "can-i",
            usage: "VERB (TYPE | TYPE/NAME | PATH)",
            about: "May you do it?",
            flags: &[CAN_I, selection::ALL_NAMESPACES],
            run: run!(can_i),
            ..BASE
        },
        reconcile::COMMAND,
        Command {
            name: "whoami",
            about: "Who does the server take you for?",
            flags: &[print::OUTPUT],
            run: run!(who),
            ..BASE
        },
    ],
    ..BASE
};

const VERBS: [&str; 15] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "*",
    "approve",
    "sign",
    "escalate",
];
const URL_VERBS: [&str; 8] = ["get", "put", "post", "head", "options", "delete", "patch", "*"];

async fn review(call: &Invocation, kind: &str, group: &str, spec: Value) -> Result<Value> {
    let plural = format!("{}s", kind.to_lowercase());
    let mut body = json!({"kind": kind, "apiVersion": format!("{group}/v1"), "metadata": {}, "spec": spec});
    if body["spec"].is_null() {
        body = json!({"kind": kind, "apiVersion": format!("{group}/v1"), "metadata": {}, "status": {"userInfo": {}}});
    }
    let post = Call::new(http::Method::POST, format!("/apis/{group}/v1/{plural}")).json(&body);
    call.cluster().await?.api.json(post).await
}

async fn can_i(call: &Invocation) -> Result {
    let flags = &call.flags;
    let cluster = call.cluster().await?;
    let namespace = if flags.is("all-namespaces") { "" } else { cluster.namespace.as_str() };
    if flags.is("list") {
        if !call.arguments().is_empty() {
            return Err(Failure::new("list option must be specified with no arguments"));
        }
        if flags.is("quiet") || flags.is("all-namespaces") || !flags.text("subresource").is_empty() {
            return Err(Failure::new(
                "list option can't be specified with neither quiet, all-namespaces nor subresource options",
            ));
        }
        return list(call, namespace).await;
    }
    let [verb, what] = call.arguments() else {
        return Err(Failure::new(
            "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.",
        ));
    };
    let spec = if what.starts_with('/') {
        if !flags.text("subresource").is_empty() {
            return Err(Failure::new("--subresource can not be used with NonResourceURL"));
        }
        if !URL_VERBS.contains(&verb.as_str()) {
            call.err(format!("Warning: verb '{verb}' is not a known verb\n\n"));
        }
        json!({"nonResourceAttributes": {"verb": verb, "path": what}})
    } else {
        resource(call, verb, what, namespace).await?
    };
    if flags.is("no-headers") {
        return Err(Failure::new("--no-headers cannot be set without --list specified"));
    }
    let answer = review(call, "SelfSubjectAccessReview", "authorization.k8s.io", spec).await?;
    let allowed = meta::get(&answer, &["status", "allowed"]) == Some(&Value::Bool(true));
    if !flags.is("quiet") {
        let reason = |field: &str| match meta::text(&answer, &["status", field]) {
            "" => String::new(),
            text => format!(" - {text}"),
        };
        call.out(if allowed {
            "yes\n".to_owned()
        } else {
            format!("no{}{}\n", reason("reason"), reason("evaluationError"))
        });
    }
    if allowed { Ok(()) } else { Err(Failure::Exit(1)) }
}

async fn resource(call: &Invocation, verb: &str, what: &str, namespace: &str) -> Result<Value> {
    let flags = &call.flags;
    let (word, name) = what.split_once('/').unwrap_or((what, ""));
    let (mut plural, mut group) = match word.split_once('.') {
        Some((plural, group)) => (plural.to_owned(), group.to_owned()),
        None => (word.to_owned(), String::new()),
    };
    if word != "*" {
        let cluster = call.cluster().await?;
        match cluster.mapper().await?.named(word) {
            Ok(mapping) => {
                if !flags.is("all-namespaces") {
                    // The real one asks once more, for this question alone; whoever reads `-v` sees it.
                    let root = if mapping.group.is_empty() { "/api" } else { "/apis" };
                    let asked = Call::get(format!("{root}/{}", mapping.api_version()));
                    let _ = cluster.api.bytes(asked.accept("application/json, */*")).await;
                }
                (plural, group) = (mapping.plural.clone(), mapping.group.clone());
                if !mapping.namespaced && !flags.is("all-namespaces") {
                    let place = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
                    call.err(format!("Warning: resource '{plural}' is not namespace scoped{place}\n\n"));
                }
            }
            Err(_) => {
                cluster.api.log_forgotten();
                let place = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
                call.err(format!("Warning: the server doesn't have a resource type '{plural}'{place}\n\n"));
            }
        }
    }
    if !VERBS.contains(&verb) && !flags.is("all-namespaces") {
        call.err(format!("Warning: verb '{verb}' is not a known verb\n\n"));
    }
    let mut attributes = json!({"verb": verb, "resource": plural});
    for (field, value) in [
        ("namespace", namespace),
        ("group", group.as_str()),
        ("subresource", flags.text("subresource")),
        ("name", name),
    ] {
        if !value.is_empty() {
            attributes[field] = value.into();
        }
    }
    Ok(json!({"resourceAttributes": attributes}))
}

async fn list(call: &Invocation, namespace: &str) -> Result {
    let answer =
        review(call, "SelfSubjectRulesReview", "authorization.k8s.io", json!({"namespace": namespace})).await?;
    let fault = meta::text(&answer, &["status", "evaluationError"]);
    if !fault.is_empty() {
        call.err(format!("Warning: the list may be incomplete: {fault}\n"));
    }
    let status = answer.get("status").unwrap_or(&Value::Null);
    let mut rules = meta::list(status, &["resourceRules"]).to_vec();
    rules.extend(meta::list(status, &["nonResourceRules"]).iter().cloned());
    let mut text = String::new();
    if !call.flags.is("no-headers") {
        text.push_str("Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    }
    for line in super::describe::rule_lines(&rules) {
        text.push_str(&(line + "\n"));
    }
    call.out(Tabs::table().layout(&text));
    Ok(())
}

async fn who(call: &Invocation) -> Result {
    let mut printer = Printer::of(&call.flags, call.session.files.as_ref(), false)?;
    printer.typed = true;
    let answer = review(call, "SelfSubjectReview", "authentication.k8s.io", Value::Null).await;
    let answer = answer.map_err(|failure| match failure.reason() {
        "Forbidden" => Failure::new(
            "the selfsubjectreviews API is not enabled in the cluster or you do not have permission to call it",
        ),
        _ => failure,
    })?;
    if !printer.is_human() {
        printer.show(call.console(), &answer, "")?;
        return Ok(());
    }
    let info = meta::get(&answer, &["status", "userInfo"]).unwrap_or(&Value::Null);
    let mut text = "ATTRIBUTE\tVALUE\n".to_owned();
    for (field, title) in [("username", "Username"), ("uid", "UID")] {
        if !meta::text(info, &[field]).is_empty() {
            text.push_str(&format!("{title}\t{}\n", meta::text(info, &[field])));
        }
    }
    if !meta::list(info, &["groups"]).is_empty() {
        text.push_str(&format!("Groups\t{}\n", print::go_value(&meta::list(info, &["groups"]).to_vec().into())));
    }
    let mut extras: Vec<_> = meta::map(info, &["extra"]).into_iter().flatten().collect();
    extras.sort_by_key(|(key, _)| *key);
    for (key, value) in extras {
        text.push_str(&format!("Extra: {key}\t{}\n", print::go_value(value)));
    }
    call.out(Tabs::table().layout(&text));
    Ok(())
}
