//! `kubectl config`: look at a kubeconfig, and change the playground's.
//!
//! Never changes a learner's own kubeconfig: only the playground's, or the file that `--kubeconfig` names.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::kubeconfig::{self, Kubeconfig, ensure_object};
use super::super::print::tabwriter::Tabs;
use super::super::print::{Printer, json_text};
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
const SET: &[Flag] = &[long("current", Kind::Bool(false), "Change the current context")];

/// `config`
pub const COMMAND: Command = Command {
    name: "config",
    about: "Look at a kubeconfig, or change the playground's",
    commands: &[
        Command { name: "current-context", about: "The context in use", run: run!(current), ..BASE },
        Command { name: "delete-context", usage: "NAME", about: "Remove a context", run: run!(delete_context), ..BASE },
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
        Command {
            name: "rename-context",
            usage: "OLD NEW",
            about: "Give a context another name",
            run: run!(rename),
            ..BASE
        },
        Command {
            name: "set-context",
            usage: "NAME | --current",
            about: "Set a context's cluster, user or namespace",
            flags: &[SET],
            run: run!(set_context),
            ..BASE
        },
        Command {
            name: "use-context",
            aliases: &["use"],
            usage: "NAME",
            about: "Use a context",
            run: run!(use_context),
            ..BASE
        },
        Command { name: "view", about: "Show the configuration", flags: &[VIEW], run: run!(view), ..BASE },
    ],
    ..BASE
};

fn load(call: &Invocation) -> Result<Kubeconfig> {
    Kubeconfig::load(&call.session, &call.flags)
}

async fn view(call: &Invocation) -> Result {
    let mut config = load(call)?;
    if call.flags.is("minify") {
        minify(&mut config, call)?;
    }
    for (list, _) in kubeconfig::LISTS {
        if let Some(Value::Array(all)) = config.value.get_mut(list) {
            all.sort_by_key(|element| meta::text(element, &["name"]).to_owned());
        }
    }
    if !call.flags.is("raw") {
        redact(&mut config.value);
    }
    let shown = without_empty_preferences(config.value);
    call.out(match call.flags.text("output") {
        "yaml" => yaml::to_string(&shown),
        "json" => json_text(&shown),
        _ => Printer::of(&call.flags, call.session.files.as_ref(), false)?.print(&shown)?,
    });
    Ok(())
}

fn without_empty_preferences(mut value: Value) -> Value {
    if value.get("preferences") == Some(&json!({})) {
        ensure_object(&mut value).shift_remove("preferences");
    }
    for (list, inner) in kubeconfig::LISTS {
        for element in value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            ensure_object(element).entry(inner).or_insert_with(|| json!({}));
        }
        if value.get(list).and_then(Value::as_array).is_some_and(Vec::is_empty) {
            value[list] = Value::Null;
        }
    }
    value
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
        return Err(Failure::new(format!("output must be one of '' or 'name': {output}")));
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

/// Changes the one file that may be changed.
fn change(call: &Invocation, change: impl FnOnce(&mut Value) -> Result<String>) -> Result {
    let path = kubeconfig::writable(&call.session, &call.flags)?;
    let files: &dyn Files = call.session.files.as_ref();
    let mut value =
        if files.kind(&path).is_some() { kubeconfig::read(files, &path)? } else { Kubeconfig::empty().value };
    let said = change(&mut value)?;
    let text = yaml::to_string(&value);
    files.write(&path, text.as_bytes()).map_err(|fault| Failure::new(fault.to_string()))?;
    call.out(said);
    Ok(())
}

fn one(call: &Invocation) -> Result<&str> {
    match call.arguments() {
        [name] => Ok(name),
        _ => Err(call.usage(format!("Unexpected args: [{}]", call.arguments().join(" ")))),
    }
}

fn context_at(value: &Value, name: &str) -> Option<usize> {
    let all = meta::list(value, &["contexts"]);
    all.iter().position(|element| meta::text(element, &["name"]) == name)
}

async fn use_context(call: &Invocation) -> Result {
    let name = one(call)?;
    change(call, |value| {
        if context_at(value, name).is_none() {
            return Err(Failure::new(format!("no context exists with the name: {}", quote(name))));
        }
        value["current-context"] = name.into();
        Ok(format!("Switched to context \"{name}\".\n"))
    })
}

async fn set_context(call: &Invocation) -> Result {
    let current = call.flags.is("current");
    if current != call.arguments().is_empty() {
        return Err(call.usage("you must specify a non-empty context name or --current"));
    }
    change(call, |value| {
        let name =
            if current { meta::text(value, &["current-context"]).to_owned() } else { call.arguments()[0].clone() };
        if name.is_empty() {
            return Err(Failure::new("no current context is set"));
        }
        let known = context_at(value, &name);
        if known.is_none() {
            match value.get_mut("contexts") {
                Some(Value::Array(all)) => all.push(json!({"name": name, "context": {}})),
                _ => value["contexts"] = json!([{"name": name, "context": {}}]),
            }
        }
        let at = context_at(value, &name).unwrap_or(0);
        let context = ensure_object(&mut value["contexts"][at]["context"]);
        for field in ["cluster", "user", "namespace"] {
            if call.flags.given(field) {
                context.insert(field.into(), call.flags.text(field).into());
            }
        }
        Ok(format!("Context \"{name}\" {}.\n", if known.is_some() { "modified" } else { "created" }))
    })
}

async fn rename(call: &Invocation) -> Result {
    let [old, new] = call.arguments() else {
        return Err(call.usage(format!("Unexpected args: [{}]", call.arguments().join(" "))));
    };
    change(call, |value| {
        let Some(at) = context_at(value, old) else {
            return Err(Failure::new(format!("cannot rename the context {}, it's not in the kubeconfig", quote(old))));
        };
        if context_at(value, new).is_some() {
            return Err(Failure::new(format!(
                "cannot rename the context {}, the context {} already exists",
                quote(old),
                quote(new)
            )));
        }
        value["contexts"][at]["name"] = new.as_str().into();
        if meta::text(value, &["current-context"]) == old {
            value["current-context"] = new.as_str().into();
        }
        Ok(format!("Context \"{old}\" renamed to \"{new}\".\n"))
    })
}

async fn delete_context(call: &Invocation) -> Result {
    let name = one(call)?;
    change(call, |value| {
        let Some(at) = context_at(value, name) else {
            return Err(Failure::new(format!("cannot delete context {name}, not in the kubeconfig")));
        };
        if let Some(Value::Array(all)) = value.get_mut("contexts") {
            all.remove(at);
        }
        if meta::text(value, &["current-context"]) == name {
            call.err("warning: this removed your active context, use \"kubectl config use-context\" to select a different one\n");
        }
        Ok(format!("deleted context {name} from the kubeconfig\n"))
    })
}
