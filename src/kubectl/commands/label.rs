//! `kubectl label` and `kubectl annotate`: set and remove `key=value` pairs in the metadata.

use serde_json::{Map, Value};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::print;
use super::super::selection::{self, Info, Selection};
use super::super::write::{self, MERGE, Writing, merge_patch};
use crate::api::meta;
use crate::api::selector::label_value_errors;

const FLAGS: &[Flag] = &[
    long("overwrite", Kind::Bool(false), "Change values that are there"),
    long("list", Kind::Bool(false), "Show them"),
    long("local", Kind::Bool(false), "Change the file's objects, not the cluster's"),
    long("resource-version", Kind::Text(""), "Only if the object still has this version"),
];

/// `label`
pub const LABEL: Command = Command {
    name: "label",
    usage: "(-f FILE | TYPE NAME) KEY=VALUE ... KEY- ...",
    about: "Set or remove labels",
    flags: ALL_FLAGS,
    run: run!(label),
    ..BASE
};

/// `annotate`
pub const ANNOTATE: Command = Command {
    name: "annotate",
    usage: "(-f FILE | TYPE NAME) KEY=VALUE ... KEY- ...",
    about: "Set or remove annotations",
    flags: ALL_FLAGS,
    run: run!(annotate),
    ..BASE
};

const ALL_FLAGS: &[&[Flag]] = &[
    print::OUTPUT,
    FLAGS,
    selection::FILES,
    selection::LABELS,
    selection::FIELDS,
    selection::ALL,
    selection::ALL_NAMESPACES,
    write::DRY_RUN,
    write::MANAGER,
];

/// What labels and annotations differ in.
struct Words {
    noun: &'static str,
    field: &'static str,
    changed: &'static str,
    removed: &'static str,
    both: &'static str,
    unchanged: &'static str,
    manager: &'static str,
}

const LABELS: Words = Words {
    noun: "label",
    field: "labels",
    changed: "labeled",
    removed: "unlabeled",
    both: "modified",
    unchanged: "not labeled",
    manager: "kubectl-label",
};
const ANNOTATIONS: Words = Words {
    noun: "annotation",
    field: "annotations",
    changed: "annotated",
    removed: "annotated",
    both: "annotated",
    unchanged: "annotated",
    manager: "kubectl-annotate",
};

async fn label(call: &Invocation) -> Result {
    change(call, &LABELS).await
}

async fn annotate(call: &Invocation) -> Result {
    change(call, &ANNOTATIONS).await
}

/// The arguments that name resources, and the pairs behind them.
///
/// # Errors
/// When a resource stands behind a pair.
pub fn resources_and_pairs<'a>(arguments: &'a [String], kind: &str) -> Result<(&'a [String], &'a [String])> {
    let is_pair = |word: &String| word.contains('=') || word.ends_with('-');
    let start = arguments.iter().position(is_pair).unwrap_or(arguments.len());
    if arguments[start..].iter().any(|word| !is_pair(word)) {
        return Err(Failure::new(format!(
            "all resources must be specified before {kind} changes: {}",
            arguments[start..].iter().find(|word| !is_pair(word)).map_or("", String::as_str)
        )));
    }
    Ok((&arguments[..start], &arguments[start..]))
}

type Pairs = (Vec<(String, String)>, Vec<String>);

fn pairs(words: &[String], what: &Words) -> Result<Pairs> {
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    for word in words {
        if let Some((key, value)) = word.split_once('=') {
            if what.noun == "label" {
                if value.contains('=') {
                    return Err(Failure::new(format!("invalid label spec: {word}")));
                }
                let errors = label_value_errors(value);
                if !errors.is_empty() {
                    return Err(Failure::new(format!("invalid label value: {}: {}", quote(word), errors.join(";"))));
                }
            } else if key.is_empty() {
                return Err(Failure::new(format!("invalid annotation format: {word}")));
            }
            set.push((key.to_owned(), value.to_owned()));
        } else if let Some(key) = word.strip_suffix('-') {
            remove.push(key.to_owned());
        } else {
            return Err(Failure::new(format!("unknown {} spec: {word}", what.noun)));
        }
    }
    if remove.iter().any(|key| set.iter().any(|(other, _)| other == key)) {
        return Err(Failure::new(if what.noun == "label" {
            "can not both modify and remove a label in the same command".to_owned()
        } else {
            let both = remove.iter().filter(|key| set.iter().any(|(other, _)| other == *key));
            let both: Vec<&str> = both.map(String::as_str).collect();
            format!(
                "can not both modify and remove the following annotation(s) in the same command: {}",
                both.join(", ")
            )
        }));
    }
    Ok((set, remove))
}

async fn change(call: &Invocation, what: &Words) -> Result {
    let flags = &call.flags;
    let writing = Writing::of(call, what.manager)?;
    let (resources, words) = resources_and_pairs(call.arguments(), what.noun)?;
    let (set, remove) = pairs(words, what)?;
    if flags.is("list") && !flags.text("output").is_empty() {
        return Err(Failure::new("--list and --output may not be specified together"));
    }
    let mut selection = Selection::with(call, resources);
    let files = !selection.files().is_empty();
    check(call, what, resources, files, set.is_empty() && remove.is_empty())?;
    selection.latest = !flags.is("local");
    // `--all` is about a type that stands alone.
    selection.type_means_all = std::mem::take(&mut selection.all);
    let found = selection.read().await?;
    if !found.single && !flags.text("resource-version").is_empty() {
        return Err(Failure::new("--resource-version may only be used with a single resource"));
    }
    let mut printer = writing.printer()?;
    let mut failures = found.failures;
    let local = flags.is("local") || writing.dry_run == DryRun::Client;
    for info in found.infos {
        if flags.is("list") {
            list(call, what, &info, found.single);
            continue;
        }
        let before = &info.object;
        let mut after = before.clone();
        if let Err(failure) = checked(before, what, &set, flags.is("overwrite")) {
            failures.push(failure);
            continue;
        }
        if !local {
            for key in remove.iter().filter(|key| current(before, what).is_none_or(|map| !map.contains_key(*key))) {
                if what.noun == "label" {
                    call.out(format!("label {} not found.\n", quote(key)));
                }
            }
        }
        let done = apply(&mut after, what, &set, &remove);
        let mut patch = merge_patch(before, &after);
        if !flags.text("resource-version").is_empty() {
            meta::set(&mut patch, &["metadata", "resourceVersion"], flags.text("resource-version").into());
        }
        let changed = after != *before || what.noun == "annotation";
        let shown = if local || !changed {
            after
        } else {
            match writing.patch(&info, "", MERGE, &patch).await {
                Ok(patched) if what.noun == "annotation" => patched,
                Ok(_) => after,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            }
        };
        writing.say(&mut printer, &shown, done)?;
    }
    Failure::of(failures)
}

fn check(call: &Invocation, what: &Words, resources: &[String], files: bool, nothing: bool) -> Result {
    let flags = &call.flags;
    let wrong = match () {
        () if flags.is("all") && !flags.text("selector").is_empty() => {
            "cannot set --all and --selector at the same time"
        }
        () if flags.is("all") && !flags.text("field-selector").is_empty() => {
            "cannot set --all and --field-selector at the same time"
        }
        () if flags.is("local") && !resources.is_empty() && what.noun == "annotation" => {
            "can only use local files by -f rsrc.yaml or --filename=rsrc.json when --local=true is set"
        }
        () if flags.is("local") && !resources.is_empty() => {
            "can only use local files by -f pod.yaml or --filename=pod.json when --local=true is set"
        }
        () if flags.is("local") && !files => {
            "one or more files must be specified as -f pod.yaml or --filename=pod.json"
        }
        () if resources.is_empty() && !files => {
            "one or more resources must be specified as <resource> <name> or <resource>/<name>"
        }
        () if nothing && !flags.is("list") => {
            return Err(Failure::new(format!("at least one {} update is required", what.noun)));
        }
        () => return Ok(()),
    };
    Err(Failure::new(wrong))
}

fn current<'a>(object: &'a Value, what: &Words) -> Option<&'a Map<String, Value>> {
    meta::map(object, &["metadata", what.field])
}

fn checked(object: &Value, what: &Words, set: &[(String, String)], overwrite: bool) -> Result {
    if overwrite {
        return Ok(());
    }
    let mut failures = Vec::new();
    for (key, value) in set {
        let known = current(object, what).and_then(|map| map.get(key)).and_then(Value::as_str);
        if let Some(known) = known.filter(|known| known != value || what.noun == "annotation") {
            let words = if what.noun == "annotation" {
                format!(
                    "--overwrite is false but found the following declared annotation(s): '{key}' already has a value ({known})"
                )
            } else {
                format!("'{key}' already has a value ({known}), and --overwrite is false")
            };
            failures.push(Failure::new(words));
        }
    }
    Failure::of(failures)
}

fn apply(object: &mut Value, what: &Words, set: &[(String, String)], remove: &[String]) -> &'static str {
    let mut map = current(object, what).cloned().unwrap_or_default();
    let mut changed = false;
    for (key, value) in set {
        changed |= map.insert(key.clone(), value.clone().into()) != Some(Value::from(value.clone()));
    }
    let mut removed = false;
    for key in remove {
        removed |= map.shift_remove(key).is_some();
    }
    if map.is_empty() {
        meta::remove(object, &["metadata", what.field]);
    } else {
        meta::set(object, &["metadata", what.field], Value::Object(map));
    }
    match (changed, removed) {
        (true, true) => what.both,
        (true, false) => what.changed,
        (false, true) => what.removed,
        (false, false) => what.unchanged,
    }
}

fn list(call: &Invocation, what: &Words, info: &Info, single: bool) {
    let indent = if single { "" } else { " " };
    if !single {
        let plural = if what.noun == "label" { "labels" } else { "annotations" };
        call.out(format!("Listing {plural} for {}.{}/{}:\n", info.mapping.kind, info.mapping.group, info.name));
    }
    let mut pairs: Vec<(&String, &Value)> = current(&info.object, what).into_iter().flatten().collect();
    pairs.sort_by_key(|(key, _)| *key);
    for (key, value) in pairs {
        call.out(format!("{indent}{key}={}\n", value.as_str().unwrap_or_default()));
    }
}
