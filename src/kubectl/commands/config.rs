//! `kubectl config`: look at a kubeconfig, and change the playground's.
//!
//! Never changes a learner's own kubeconfig: only the playground's, or the file that `--kubeconfig` names.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long, short};
use super::super::kubeconfig::{self, Kubeconfig};
use super::super::print::tabwriter::Tabs;
use super::super::print::{self, Printer};
use super::super::session::Files;
use crate::api::{meta, yaml};

const VIEW: &[Flag] = &[
    short("output", 'o', Kind::Text("yaml"), "yaml, json, jsonpath=…"),
    long("template", Kind::Text(""), "The template of -o jsonpath"),
    long("allow-missing-template-keys", Kind::Bool(true), "A field that is not there is no error"),
    long("show-managed-fields", Kind::Bool(false), "Accepted"),
    long("minify", Kind::Bool(false), "Only what the current context uses"),
    long("raw", Kind::Bool(false), "With certificates and tokens"),
    long("flatten", Kind::Bool(false), "With the contents of files"),
    long("merge", Kind::Bool(true), "Accepted"),
];
const GET: &[Flag] =
    &[short("output", 'o', Kind::Text(""), "name"), long("no-headers", Kind::Bool(false), "No header line")];

mod change;
mod entries;
mod property;

/// `config`
pub const COMMAND: Command = Command {
    name: "config",
    about: "Look at a kubeconfig, or change the playground's",
    commands: &[
        Command { name: "current-context", about: "The context in use", run: run!(current), ..BASE },
        change::DELETE_CLUSTER,
        change::DELETE_CONTEXT,
        change::DELETE_USER,
        Command { name: "get-clusters", about: "The clusters", run: run!(clusters), ..BASE },
        Command {
            name: "get-contexts",
            usage: "[NAME...]",
            about: "The contexts",
            flags: &[GET],
            run: run!(contexts),
            ..BASE
        },
        Command { name: "get-users", about: "The users", run: run!(users), ..BASE },
        change::RENAME_CONTEXT,
        property::SET,
        entries::SET_CLUSTER,
        change::SET_CONTEXT,
        entries::SET_CREDENTIALS,
        property::UNSET,
        change::USE_CONTEXT,
        Command { name: "view", about: "Show the configuration", flags: &[VIEW], run: run!(view), ..BASE },
    ],
    ..BASE
};

fn load(call: &Invocation) -> Result<Kubeconfig> {
    Kubeconfig::load(&call.session, &call.flags)
}

async fn view(call: &Invocation) -> Result {
    if !call.arguments().is_empty() {
        return Err(call.usage(format!("unexpected arguments: [{}]", call.arguments().join(" "))));
    }
    let explicit = !call.flags.text("kubeconfig").is_empty();
    if !call.flags.is("merge") && !explicit {
        return Err(Failure::new("if merge==false a precise file must be specified"));
    }
    let mut config = load(call)?;
    if call.flags.is("minify") {
        minify(&mut config, call)?;
    }
    for (list, _) in kubeconfig::LISTS {
        if let Some(Value::Array(all)) = config.value.get_mut(list) {
            all.sort_by_key(|element| meta::text(element, &["name"]).to_owned());
        }
    }
    if call.flags.is("flatten") {
        flatten(&mut config.value, call.session.files.as_ref())?;
    } else if !call.flags.is("raw") {
        redact(&mut config.value);
    }
    let shown = property::ordered(&config.value);
    call.out(match call.flags.text("output") {
        "yaml" => yaml::to_string(&shown),
        "json" => print::typed_json(&shown),
        _ => Printer::of(&call.flags, call.session.files.as_ref(), false)?.print(&shown)?,
    });
    Ok(())
}

fn minify(config: &mut Kubeconfig, call: &Invocation) -> Result {
    let name = match call.flags.text("context") {
        "" => config.current_context().to_owned(),
        name => name.to_owned(),
    };
    if name.is_empty() {
        return Err(Failure::new("current-context must exist in order to minify"));
    }
    let Some(context) = config.find("contexts", &name).cloned() else {
        return Err(Failure::new(format!("cannot locate context {name}")));
    };
    let keep = [
        ("contexts", name.as_str()),
        ("clusters", meta::text(&context, &["cluster"])),
        ("users", meta::text(&context, &["user"])),
    ];
    for (list, name) in keep {
        if let Some(Value::Array(all)) = config.value.get_mut(list) {
            all.retain(|element| meta::text(element, &["name"]) == name);
        }
    }
    config.value["current-context"] = name.into();
    Ok(())
}

/// Puts the contents of files in the place of their paths.
fn flatten(value: &mut Value, files: &dyn Files) -> Result {
    const FILES: [(&str, &str, &str); 3] = [
        ("clusters", "cluster", "certificate-authority"),
        ("users", "user", "client-certificate"),
        ("users", "user", "client-key"),
    ];
    for (list, inner, field) in FILES {
        for element in value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let path = meta::text(element, &[inner, field]).to_owned();
            if path.is_empty() {
                continue;
            }
            let bytes = files.read(Path::new(&path)).map_err(|fault| Failure::opening(&path, &fault))?;
            meta::remove(element, &[inner, field]);
            meta::set(element, &[inner, &format!("{field}-data")], BASE64.encode(bytes).into());
        }
    }
    Ok(())
}

fn redact(value: &mut Value) {
    const HIDDEN: [(&str, &str, &str, &str); 5] = [
        ("clusters", "cluster", "certificate-authority-data", "DATA+OMITTED"),
        ("users", "user", "client-certificate-data", "DATA+OMITTED"),
        ("users", "user", "client-key-data", "DATA+OMITTED"),
        ("users", "user", "token", "REDACTED"),
        ("users", "user", "password", "REDACTED"),
    ];
    for (list, inner, field, words) in HIDDEN {
        for element in value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(secret) = element.get_mut(inner).and_then(|inner| inner.get_mut(field)) {
                *secret = words.into();
            }
        }
    }
}

async fn current(call: &Invocation) -> Result {
    let config = load(call)?;
    if config.current_context().is_empty() {
        return Err(Failure::new("current-context is not set"));
    }
    call.out(format!("{}\n", config.current_context()));
    Ok(())
}

async fn clusters(call: &Invocation) -> Result {
    list(call, "clusters")
}

async fn users(call: &Invocation) -> Result {
    list(call, "users")
}

fn list(call: &Invocation, what: &str) -> Result {
    call.out("NAME\n");
    load(call)?.names(what).iter().for_each(|name| call.out(format!("{name}\n")));
    Ok(())
}

async fn contexts(call: &Invocation) -> Result {
    let config = load(call)?;
    let output = call.flags.text("output");
    if !matches!(output, "" | "name") {
        return Err(Failure::new(format!(
            "--output {output} is not available in kubectl config get-contexts; resetting to default output format"
        )));
    }
    let mut names = config.names("contexts");
    let mut failures = Vec::new();
    if !call.arguments().is_empty() {
        for wanted in call.arguments().iter().filter(|wanted| !names.contains(wanted)) {
            failures.push(Failure::new(format!("context {wanted} not found")));
        }
        names.retain(|name| call.arguments().contains(name));
    }
    if output == "name" {
        names.iter().for_each(|name| call.out(format!("{name}\n")));
        return Failure::of(failures);
    }
    let mut text = String::new();
    if !call.flags.is("no-headers") {
        text.push_str("CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n");
    }
    for name in &names {
        let context = config.find("contexts", name).cloned().unwrap_or_default();
        let field = |field: &str| meta::text(&context, &[field]).to_owned();
        let mark = if name == config.current_context() { "*" } else { "" };
        text.push_str(&format!("{mark}\t{name}\t{}\t{}\t{}\n", field("cluster"), field("user"), field("namespace")));
    }
    call.out(Tabs::table().layout(&text));
    Failure::of(failures)
}
