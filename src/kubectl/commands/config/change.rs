//! `kubectl config` where it changes a kubeconfig: contexts, and entries that go.
//!
//! In: the merged configuration's names. Out: the one file that may be changed ([`kubeconfig::writable`]),
//! written whole.

use serde_json::{Value, json};

use super::super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::{Flag, Kind, long, short};
use super::super::super::kubeconfig::{self, Kubeconfig, ensure_object};
use super::super::super::session::Files;
use crate::api::{meta, yaml};

const CONTEXT: &[Flag] = &[
    long("current", Kind::Bool(false), "Change the current context"),
    long("cluster", Kind::Text(""), "The context's cluster"),
    long("user", Kind::Text(""), "The context's user"),
    short("namespace", 'n', Kind::Text(""), "The context's namespace"),
];

pub(super) const DELETE_CLUSTER: Command =
    Command { name: "delete-cluster", usage: "NAME", about: "Remove a cluster", run: run!(delete_cluster), ..BASE };
pub(super) const DELETE_CONTEXT: Command =
    Command { name: "delete-context", usage: "NAME", about: "Remove a context", run: run!(delete_context), ..BASE };
pub(super) const DELETE_USER: Command =
    Command { name: "delete-user", usage: "NAME", about: "Remove a user", run: run!(delete_user), ..BASE };
pub(super) const RENAME_CONTEXT: Command = Command {
    name: "rename-context",
    usage: "OLD NEW",
    about: "Give a context another name",
    run: run!(rename),
    ..BASE
};
pub(super) const SET_CONTEXT: Command = Command {
    name: "set-context",
    usage: "NAME | --current",
    about: "Set a context's cluster, user or namespace",
    flags: &[CONTEXT],
    run: run!(set_context),
    ..BASE
};
pub(super) const USE_CONTEXT: Command = Command {
    name: "use-context",
    aliases: &["use"],
    usage: "NAME",
    about: "Use a context",
    run: run!(use_context),
    ..BASE
};

/// Changes the one file that may be changed; says what `change` returns, with `FILE` for the file's path.
pub(super) fn change(call: &Invocation, change: impl FnOnce(&mut Value) -> Result<String>) -> Result {
    let path = kubeconfig::writable(&call.session, &call.flags)?;
    let named = |text: String| text.replace("FILE", &path.display().to_string());
    let files: &dyn Files = call.session.files.as_ref();
    let mut value =
        if files.kind(&path).is_some() { kubeconfig::parse(files, &path)? } else { Kubeconfig::empty().value };
    let said = change(&mut value).map_err(|failure| match failure {
        Failure::Message(text) => Failure::Message(named(text)),
        other => other,
    })?;
    let text = yaml::to_string(&value);
    files.write(&path, text.as_bytes()).map_err(|fault| Failure::new(fault.to_string()))?;
    call.out(named(said));
    Ok(())
}

/// The one argument; what is wrong otherwise, behind the help, as the real one has it.
pub(super) fn one(call: &Invocation) -> Result<&str> {
    match call.arguments() {
        [name] => Ok(name),
        words => Err(unexpected(call, words)),
    }
}

pub(super) fn unexpected(call: &Invocation, words: &[String]) -> Failure {
    call.out(call.command.help(&call.path));
    Failure::new(format!("Unexpected args: [{}]", words.join(" ")))
}

/// Where an entry stands in its list: `at(value, "contexts", "kind")`.
pub(super) fn at(value: &Value, list: &str, name: &str) -> Option<usize> {
    meta::list(value, &[list]).iter().position(|element| meta::text(element, &["name"]) == name)
}

/// An entry of a list, made where there is none: `entry(value, "contexts", "context", "kind")`.
pub(super) fn entry<'a>(value: &'a mut Value, list: &str, inner: &str, name: &str) -> &'a mut Value {
    let at = at(value, list, name).unwrap_or_else(|| {
        let new = json!({"name": name, inner: {}});
        match value.get_mut(list) {
            Some(Value::Array(all)) => {
                all.push(new);
                all.len() - 1
            }
            _ => {
                value[list] = json!([new]);
                0
            }
        }
    });
    let found = &mut value[list][at][inner];
    ensure_object(found);
    found
}

async fn use_context(call: &Invocation) -> Result {
    let name = one(call)?;
    if name.is_empty() {
        return Err(Failure::new("empty context names are not allowed"));
    }
    // Any of the files may have it; one of them is changed.
    if Kubeconfig::load(&call.session, &call.flags)?.find("contexts", name).is_none() {
        return Err(Failure::new(format!("no context exists with the name: {}", quote(name))));
    }
    change(call, |value| {
        value["current-context"] = name.into();
        Ok(format!("Switched to context {}.\n", quote(name)))
    })
}

async fn set_context(call: &Invocation) -> Result {
    let current = call.flags.is("current");
    let given = match call.arguments() {
        [] => "",
        [name] => name.as_str(),
        words => return Err(unexpected(call, words)),
    };
    match (given.is_empty(), current) {
        (true, false) => return Err(Failure::new("you must specify a non-empty context name or --current")),
        (false, true) => return Err(Failure::new("you cannot specify both a context name and --current")),
        _ => {}
    }
    change(call, |value| {
        let name = if current { meta::text(value, &["current-context"]).to_owned() } else { given.to_owned() };
        if name.is_empty() {
            return Err(Failure::new("no current context is set"));
        }
        let known = at(value, "contexts", &name).is_some();
        let context = ensure_object(entry(value, "contexts", "context", &name));
        for field in ["cluster", "user", "namespace"] {
            if call.flags.given(field) {
                context.insert(field.into(), call.flags.text(field).into());
            }
        }
        Ok(format!("Context {} {}.\n", quote(&name), if known { "modified" } else { "created" }))
    })
}

async fn rename(call: &Invocation) -> Result {
    let [old, new] = call.arguments() else { return Err(unexpected(call, call.arguments())) };
    if new.is_empty() {
        return Err(Failure::new("You must specify a new non-empty context name"));
    }
    change(call, |value| {
        let Some(found) = at(value, "contexts", old) else {
            return Err(Failure::new(format!("cannot rename the context {}, it's not in FILE", quote(old))));
        };
        if at(value, "contexts", new).is_some() {
            return Err(Failure::new(format!(
                "cannot rename the context {}, the context {} already exists in FILE",
                quote(old),
                quote(new)
            )));
        }
        value["contexts"][found]["name"] = new.as_str().into();
        if meta::text(value, &["current-context"]) == old {
            value["current-context"] = new.as_str().into();
        }
        Ok(format!("Context {} renamed to {}.\n", quote(old), quote(new)))
    })
}

async fn delete_cluster(call: &Invocation) -> Result {
    delete(call, "clusters", "cluster")
}

async fn delete_context(call: &Invocation) -> Result {
    delete(call, "contexts", "context")
}

async fn delete_user(call: &Invocation) -> Result {
    if call.arguments().len() != 1 {
        return Err(call.usage("user to delete is required"));
    }
    delete(call, "users", "user")
}

fn delete(call: &Invocation, list: &str, what: &str) -> Result {
    let [name] = call.arguments() else {
        call.out(call.command.help(&call.path));
        return Ok(());
    };
    change(call, |value| {
        let Some(at) = at(value, list, name) else {
            return Err(Failure::new(format!("cannot delete {what} {name}, not in FILE")));
        };
        if let Some(Value::Array(all)) = value.get_mut(list) {
            all.remove(at);
        }
        if what == "context" && meta::text(value, &["current-context"]) == name {
            call.err("warning: this removed your active context, use \"kubectl config use-context\" to select a different one\n");
        }
        Ok(format!("deleted {what} {name} from FILE\n"))
    })
}
