//! `kubectl set env`: environment variables of containers, from words, ConfigMaps, Secrets or standard input.

use serde_json::{Map, Value, json};

use super::super::super::command::Invocation;
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::{Flag, Kind, long, short};
use super::super::super::selection::Selection;
use super::{NO_TEMPLATE, Unchanged, change, containers, name_fits, pod_spec};
use crate::api::meta;

pub(super) const FLAGS: &[Flag] = &[
    short("containers", 'c', Kind::Text("*"), "Which containers; * is a pattern"),
    short("env", 'e', Kind::Array, "KEY=VALUE"),
    long("from", Kind::Text(""), "A ConfigMap or Secret: configmap/NAME"),
    long("keys", Kind::List, "Only these keys of --from"),
    long("prefix", Kind::Text(""), "Put before each name"),
    long("list", Kind::Bool(false), "Show them"),
    long("resolve", Kind::Bool(false), "With --list: look values up"),
    long("overwrite", Kind::Bool(true), "Change variables that are there"),
];

fn is_env(word: &str) -> bool {
    word.contains('=') || word.ends_with('-')
}

pub(super) async fn env(call: &Invocation) -> Result {
    let flags = &call.flags;
    let start = call.arguments().iter().position(|word| is_env(word)).unwrap_or(call.arguments().len());
    let (resources, words) = call.arguments().split_at(start);
    if let Some(late) = words.iter().find(|word| !is_env(word)) {
        return Err(Failure::new(format!("all resources must be specified before environment changes: {late}")));
    }
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    for word in words.iter().chain(flags.all("env")) {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((name, value)), _) => {
                valid(name)?;
                set.push(json!({"name": name, "value": value}));
            }
            (None, Some(name)) => remove.push(name.to_owned()),
            (None, None) => return Err(Failure::new(format!("unknown environment variable: {word}"))),
        }
    }
    if remove.iter().any(|name| set.iter().any(|one: &Value| one.get("name") == Some(&name.as_str().into()))) {
        let words = "can not both modify and remove the same environment variable in the same command";
        return Err(Failure::new(words));
    }
    set.extend(from(call).await?);
    for variable in &mut set {
        let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
        variable["name"] = format!("{}{name}", flags.text("prefix")).into();
    }
    let pattern = flags.text("containers").to_owned();
    let console = call.console().clone();
    let (list, overwrite) = (flags.is("list"), flags.is("overwrite"));
    let failed = "failed to patch env update to pod template:";
    change(call, resources, Unchanged::Skipped, ("env updated", failed), |object, kind, _| {
        let name = meta::name(object).to_owned();
        let spec = pod_spec(object, kind).ok_or(NO_TEMPLATE)?;
        let chosen: Vec<_> = containers(spec).into_iter().filter(|container| name_fits(&pattern, container)).collect();
        if chosen.is_empty() {
            console.err(format!("Warning: {kind}/{name} does not have any containers matching {}\n", quote(&pattern)));
        }
        for container in chosen {
            if list {
                console.out(listed(kind, &name, container));
            } else {
                update(container, &set, &remove, overwrite)?;
            }
        }
        Ok(())
    })
    .await
}

/// # Errors
/// When no variable may have this name.
fn valid(name: &str) -> Result {
    const RULE: &str = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let mut wrong = Vec::new();
    if name.is_empty() || !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
        wrong.push(RULE);
    }
    match name {
        "." => wrong.push("must not be '.'"),
        ".." => wrong.push("must not be '..'"),
        _ if name.starts_with("..") => wrong.push("must not start with '..'"),
        _ => {}
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{} is not a valid key name: {}", quote(name), wrong.join(";"))))
}

fn update(
    container: &mut Map<String, Value>,
    set: &[Value],
    remove: &[String],
    overwrite: bool,
) -> std::result::Result<(), String> {
    let mut own = container.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
    for variable in set {
        let same = |other: &&mut Value| other.get("name") == variable.get("name");
        match own.iter_mut().find(same) {
            Some(_) if !overwrite => {
                let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
                return Err(format!("'{name}' already has a value, and --overwrite is false"));
            }
            Some(known) => *known = variable.clone(),
            None => own.push(variable.clone()),
        }
    }
    own.retain(|variable| !remove.iter().any(|name| variable.get("name").and_then(Value::as_str) == Some(name)));
    if own.is_empty() {
        container.shift_remove("env");
    } else {
        container.insert("env".into(), own.into());
    }
    Ok(())
}

fn listed(kind: &str, name: &str, container: &Map<String, Value>) -> String {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let own = container.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut out = format!("# {kind} {name}, container {own}\n");
    for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
        let label = text(variable, "name");
        let Some(source) = variable.get("valueFrom") else {
            out.push_str(&format!("{label}={}\n", text(variable, "value")));
            continue;
        };
        let from = |field: &str| source.get(field);
        let words = if let Some(key) = from("configMapKeyRef") {
            format!("configmap {}, key {}", text(key, "name"), text(key, "key"))
        } else if let Some(key) = from("secretKeyRef") {
            format!("secret {}, key {}", text(key, "name"), text(key, "key"))
        } else if let Some(field) = from("fieldRef") {
            format!("field path {}", text(field, "fieldPath"))
        } else if let Some(field) = from("resourceFieldRef") {
            format!("resource field {}", text(field, "resource"))
        } else {
            "invalid valueFrom".to_owned()
        };
        out.push_str(&format!("# {label} from {words}\n"));
    }
    out
}

/// The variables that `--from` names: one for each key, referring to it.
async fn from(call: &Invocation) -> Result<Vec<Value>> {
    let source = call.flags.text("from").to_owned();
    if source.is_empty() {
        return Ok(Vec::new());
    }
    let words = [source];
    let mut selection = Selection::with(call, &words);
    (selection.labels, selection.all) = (None, false);
    let mut found = Vec::new();
    for info in selection.read().await?.all()? {
        let reference = match info.mapping.kind.as_str() {
            "Secret" => "secretKeyRef",
            "ConfigMap" => "configMapKeyRef",
            _ => return Err(Failure::new("unsupported resource specified in --from")),
        };
        let keys = call.flags.all("keys");
        let data = meta::map(&info.object, &["data"]).cloned().unwrap_or_default();
        let mut names: Vec<&String> = data.keys().filter(|key| keys.is_empty() || keys.contains(key)).collect();
        names.sort();
        for key in names {
            let variable = key.to_uppercase().replace(['-', '.'], "_");
            found.push(json!({"name": variable, "valueFrom": {reference: {"name": info.name, "key": key}}}));
        }
    }
    Ok(found)
}
