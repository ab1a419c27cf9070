//! `kubectl set`: change images, variables, resources, the selector, the service account, the subjects.

use serde_json::{Map, Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long, short};
use super::super::print;
use super::super::selection::{self, Selection};
use super::super::write::{self, Writing, is_empty, two_way};
use super::label::resources_and_pairs;
use crate::api::meta;
use crate::api::quantity::Quantity;

mod env;
mod subjects;

const LOCAL: &[Flag] = &[long("local", Kind::Bool(false), "Change the file's objects, not the cluster's")];
const RESOURCES: &[Flag] = &[
    short("containers", 'c', Kind::Text("*"), "Which containers; * is a pattern"),
    long("limits", Kind::Text(""), "cpu=200m,memory=512Mi"),
    long("requests", Kind::Text(""), "cpu=100m,memory=256Mi"),
];
const SELECTOR: &[Flag] = &[long("resource-version", Kind::Text(""), "Only if the object still has this version")];

/// A command under `set`.
macro_rules! under {
    ($name:literal, $aliases:expr, $usage:literal, $about:literal, [$($flags:expr),+], $run:path) => {
        Command {
            name: $name,
            aliases: $aliases,
            usage: $usage,
            about: $about,
            flags: &[
                print::OUTPUT,
                $($flags,)+
                LOCAL,
                selection::ALL,
                write::DRY_RUN,
                write::MANAGER,
            ],
            run: run!($run),
            ..BASE
        }
    };
}

/// `set`
pub const COMMAND: Command = Command {
    name: "set",
    about: "Change one thing of an object",
    commands: &[
        under!(
            "env",
            &[],
            "TYPE/NAME KEY=VALUE ... KEY-",
            "Environment variables",
            [env::FLAGS, selection::FILES, selection::LABELS],
            env::env
        ),
        under!("image", &[], "TYPE/NAME CONTAINER=IMAGE ...", "Images", [selection::FILES, selection::LABELS], image),
        under!(
            "resources",
            &[],
            "TYPE/NAME --limits=… --requests=…",
            "Requests and limits",
            [RESOURCES, selection::FILES, selection::LABELS],
            resources
        ),
        under!(
            "selector",
            &[],
            "TYPE/NAME KEY=VALUE,…",
            "The selector of a Service",
            [SELECTOR, selection::FOLDERS],
            selector
        ),
        under!(
            "serviceaccount",
            &["sa"],
            "TYPE/NAME ACCOUNT",
            "The service account",
            [selection::FILES],
            service_account
        ),
        under!(
            "subject",
            &[],
            "TYPE/NAME --user=USER",
            "The subjects of a binding",
            [subjects::FLAGS, selection::FILES, selection::LABELS],
            subjects::subject
        ),
    ],
    ..BASE
};

/// Where a kind keeps its Pod's spec.
fn pod_spec<'a>(object: &'a mut Value, kind: &str) -> Option<&'a mut Value> {
    let pointer = match kind {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    let found = object.pointer_mut(pointer)?;
    (found.get("containers").is_some()).then_some(found)
}

/// The containers of a Pod's spec, init containers first.
fn containers(spec: &mut Value) -> Vec<&mut Map<String, Value>> {
    let Value::Object(spec) = spec else { return Vec::new() };
    let lists = spec.iter_mut().filter(|(key, _)| matches!(key.as_str(), "containers" | "initContainers"));
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten().filter_map(Value::as_object_mut).collect()
}

fn name_fits(pattern: &str, container: &Map<String, Value>) -> bool {
    let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
    }
}

/// What is done with an object that stays as it is.
#[derive(Clone, Copy, PartialEq)]
enum Unchanged {
    /// Nothing is sent, and nothing said.
    Skipped,
    /// It is sent and told like the others.
    Told,
}

/// Changes each selected object and says so. `failed` stands before the server's refusal.
async fn change(
    call: &Invocation,
    resources: &[String],
    unchanged: Unchanged,
    (done, failed): (&str, &str),
    mut update: impl FnMut(&mut Value, &str, &mut Vec<Failure>) -> std::result::Result<(), String>,
) -> Result {
    let writing = Writing::of(call, "kubectl-set")?;
    let mut selection = Selection::with(call, resources);
    if resources.is_empty() && selection.files().is_empty() {
        return Err(Failure::new("one or more resources must be specified as <resource> <name> or <resource>/<name>"));
    }
    if call.flags.is("local") && !resources.is_empty() {
        return Err(Failure::new(selection::ONLY_FILES));
    }
    if call.flags.is("all") && !call.flags.text("selector").is_empty() {
        return Err(Failure::new("cannot set --all and --selector at the same time"));
    }
    let local = call.flags.is("local") || writing.dry_run == DryRun::Client;
    selection.latest = !call.flags.is("local");
    selection.typed = true;
    // `--all` is about a type that stands alone.
    selection.type_means_all = std::mem::take(&mut selection.all);
    let mut printer = writing.printer()?;
    printer.typed = true;
    let infos = selection.read().await?.all()?;
    let mut failures = Vec::new();
    for info in infos {
        let mut after = info.object.clone();
        if let Err(why) = update(&mut after, &info.mapping.kind, &mut failures) {
            failures.push(Failure::new(format!("error: {}/{} {why}\n", info.mapping.plural, info.name)));
            continue;
        }
        let (kind, patch) = two_way(&info.mapping, &info.object, &after);
        if is_empty(&patch) && unchanged == Unchanged::Skipped {
            continue;
        }
        if local {
            writing.say(&mut printer, &after, done)?;
            continue;
        }
        match writing.patch(&info, "", kind, &patch).await {
            Ok(object) => writing.say(&mut printer, &object, done)?,
            Err(failure) if failed.is_empty() => failures.push(failure),
            Err(failure) => failures.push(Failure::new(format!("{failed} {}", failure.words()))),
        }
    }
    Failure::of(failures)
}

/// What is wrong with a change, once it is known that there is something to change: what is not there is told first.
async fn once_found(call: &Invocation, resources: &[String], why: Failure) -> Failure {
    let mut selection = Selection::with(call, resources);
    selection.latest = !call.flags.is("local");
    selection.typed = true;
    selection.type_means_all = std::mem::take(&mut selection.all);
    match selection.read().await.and_then(|found| found.all()) {
        Ok(_) => why,
        Err(missing) => missing,
    }
}

const NO_TEMPLATE: &str = "the object is not a pod or does not have a pod template";

async fn image(call: &Invocation) -> Result {
    let (resources, words) = resources_and_pairs(call.arguments(), "image")?;
    let images: Vec<(&str, &str)> = words.iter().filter_map(|word| word.split_once('=')).collect();
    if resources.is_empty() && Selection::with(call, resources).files().is_empty() {
        // Without any word nothing was named; with an image alone, nothing to put it on.
        let nothing = images.is_empty();
        let words = "one or more resources must be specified as <resource> <name> or <resource>/<name>";
        return Err(if nothing { selection::no_resource() } else { Failure::new(words) });
    }
    if images.is_empty() {
        return Err(once_found(call, resources, Failure::new("at least one image update is required")).await);
    }
    if images.len() > 1 && images.iter().any(|(name, _)| *name == "*") {
        return Err(Failure::new(
            "all containers are already specified by *, but saw more than one container_name=container_image pairs",
        ));
    }
    change(
        call,
        resources,
        Unchanged::Skipped,
        ("image updated", "failed to patch image update to pod template:"),
        |object, kind, failures| {
            let spec = pod_spec(object, kind).ok_or(NO_TEMPLATE)?;
            for (name, image) in &images {
                let mut found = false;
                for container in containers(spec) {
                    if *name == "*" || container.get("name").and_then(Value::as_str) == Some(name) {
                        container.insert("image".into(), (*image).into());
                        found = true;
                    }
                }
                if !found {
                    failures.push(Failure::new(format!("error: unable to find container named {}", quote(name))));
                }
            }
            Ok(())
        },
    )
    .await
}

fn quantities(text: &str) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let pair: Vec<&str> = part.split('=').collect();
        let [key, value] = pair[..] else {
            return Err(Failure::new(format!("invalid argument syntax {part}, expected <resource>=<value>")));
        };
        let quantity = Quantity::parse(value).map_err(|fault| Failure::new(fault.to_string()))?;
        found.insert(key.to_owned(), quantity.to_string().into());
    }
    Ok(found)
}

async fn resources(call: &Invocation) -> Result {
    let flags = &call.flags;
    if flags.text("limits").is_empty() && flags.text("requests").is_empty() {
        let words = "you must specify an update to requests or limits (in the form of --requests/--limits)";
        return Err(once_found(call, call.arguments(), Failure::new(words)).await);
    }
    let mut wanted = Vec::new();
    for field in ["limits", "requests"] {
        match quantities(flags.text(field)) {
            Ok(quantities) => wanted.push((field, quantities)),
            Err(why) => return Err(once_found(call, call.arguments(), why).await),
        }
    }
    let pattern = flags.text("containers");
    let words = ("resource requirements updated", "failed to patch resources update to pod template");
    change(call, call.arguments(), Unchanged::Skipped, words, |object, kind, failures| {
        let spec = pod_spec(object, kind).ok_or(NO_TEMPLATE)?;
        let mut found = false;
        for container in containers(spec).into_iter().filter(|container| name_fits(pattern, container)) {
            found = true;
            let Value::Object(own) = container.entry("resources").or_insert_with(|| json!({})) else { continue };
            for (field, more) in wanted.iter().filter(|(_, more)| !more.is_empty()) {
                if let Value::Object(map) = own.entry(*field).or_insert_with(|| json!({})) {
                    map.extend(more.clone());
                }
            }
        }
        if !found {
            failures.push(Failure::new(format!("error: unable to find container named {pattern}")));
        }
        Ok(())
    })
    .await
}

async fn service_account(call: &Invocation) -> Result {
    let files = !Selection::of(call).files().is_empty();
    let Some((account, resources)) = call.arguments().split_last() else {
        return Err(Failure::new("serviceaccount is required"));
    };
    if resources.is_empty() && !files {
        return Err(Failure::new("resource(s) were provided, but no name was specified"));
    }
    let words = ("serviceaccount updated", "failed to patch ServiceAccountName");
    change(call, resources, Unchanged::Skipped, words, |object, kind, _| {
        let spec = pod_spec(object, kind).ok_or(NO_TEMPLATE)?;
        spec["serviceAccountName"] = account.as_str().into();
        spec["serviceAccount"] = account.as_str().into();
        Ok(())
    })
    .await
}

async fn selector(call: &Invocation) -> Result {
    let Some((expression, resources)) = call.arguments().split_last() else {
        return Err(Failure::new("one or more resources must be specified as <resource> <name> or <resource>/<name>"));
    };
    let mut labels = Map::new();
    for pair in expression.split(',') {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Failure::new(format!("invalid selector: {expression}")));
        };
        labels.insert(key.to_owned(), value.trim_start_matches('=').into());
    }
    let version = call.flags.text("resource-version");
    change(call, resources, Unchanged::Told, ("selector updated", ""), |object, kind, _| {
        if kind != "Service" {
            return Err("setting a selector is only supported for Services".into());
        }
        if !version.is_empty() {
            meta::set_text(object, "resourceVersion", version);
        }
        meta::set(object, &["spec", "selector"], labels.clone().into());
        Ok(())
    })
    .await
}
