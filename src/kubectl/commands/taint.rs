//! `kubectl taint`: marks on nodes that keep Pods away.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::print;
use super::super::selection::{self, Selection};
use super::super::write::{self, STRATEGIC, Writing};
use crate::api::meta;
use crate::api::selector::{label_value_errors, qualified_name_errors};

const FLAGS: &[Flag] = &[long("overwrite", Kind::Bool(false), "Change taints that are there")];

/// `taint`
pub const COMMAND: Command = Command {
    name: "taint",
    usage: "NODE NAME KEY=VALUE:EFFECT ... KEY[:EFFECT]- ...",
    about: "Set or remove a node's taints",
    flags: &[print::OUTPUT, FLAGS, selection::LABELS, selection::ALL, write::DRY_RUN, write::MANAGER, write::VALIDATE],
    run: run!(taint),
    ..BASE
};

#[derive(Clone, PartialEq)]
struct Taint {
    key: String,
    value: String,
    effect: String,
}

impl Taint {
    fn parse(text: &str) -> Result<Taint> {
        let wrong = || Failure::new(format!("invalid taint spec: {text}"));
        let (pair, effect) = text.split_once(':').map_or((text, ""), |(pair, effect)| (pair, effect));
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if effect.contains(':') || value.contains('=') {
            return Err(wrong());
        }
        let errors = if value.is_empty() { Vec::new() } else { label_value_errors(value) };
        let errors = qualified_name_errors(key).into_iter().chain(errors).collect::<Vec<_>>();
        if !errors.is_empty() {
            return Err(Failure::new(format!("invalid taint spec: {text}, {}", errors.join("; "))));
        }
        if !effect.is_empty() && !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            return Err(Failure::new(format!("invalid taint effect: {effect}, unsupported taint effect")));
        }
        Ok(Taint { key: key.into(), value: value.into(), effect: effect.into() })
    }

    fn shown(&self) -> String {
        let value = if self.value.is_empty() { String::new() } else { format!("={}", self.value) };
        let effect = if self.effect.is_empty() { String::new() } else { format!(":{}", self.effect) };
        format!("{}{value}{effect}", self.key)
    }

    fn of(value: &Value) -> Taint {
        let field = |name: &str| meta::text(value, &[name]).to_owned();
        Taint { key: field("key"), value: field("value"), effect: field("effect") }
    }
}

async fn taint(call: &Invocation) -> Result {
    let writing = Writing::of(call, "kubectl-taint")?;
    let arguments = call.arguments();
    let is_taint = |word: &String| word.contains('=') || word.contains(':') || word.ends_with('-');
    let start = arguments.iter().position(is_taint).unwrap_or(arguments.len());
    let (resources, specs) = arguments.split_at(start);
    if let Some(late) = specs.iter().find(|word| !is_taint(word)) {
        return Err(Failure::new(format!("all resources must be specified before taint changes: {late}")));
    }
    if resources.is_empty() {
        return Err(Failure::new("one or more resources must be specified as <resource> <name>"));
    }
    if specs.is_empty() {
        return Err(Failure::new("at least one taint update is required"));
    }
    let (add, remove) = parse(call, specs)?;
    if call.flags.is("all") && !call.flags.text("selector").is_empty() {
        return Err(Failure::new("setting 'all' parameter with a non empty selector is prohibited"));
    }
    if let Some(kind) = resources[0].split('/').next().filter(|kind| !matches!(*kind, "node" | "nodes" | "no")) {
        return Err(Failure::new(format!("invalid resource type {kind}, only node types are supported")));
    }
    let mut printer = writing.printer()?;
    let found = Selection::with(call, resources).read().await?;
    let mut failures = found.failures;
    for info in found.infos {
        let old: Vec<Value> = meta::list(&info.object, &["spec", "taints"]).to_vec();
        match changed(call, &info.name, &old, &add, &remove) {
            Err(failure) => failures.push(failure),
            Ok((taints, done)) => {
                let mut object = info.object.clone();
                if writing.dry_run != DryRun::Client {
                    // The whole list is set: it has no key that a patch could merge by alone.
                    let list = if taints.is_empty() { Value::Null } else { json!(taints) };
                    match writing.patch(&info, "", STRATEGIC, &json!({"spec": {"taints": list}})).await {
                        Ok(patched) => object = patched,
                        Err(failure) => {
                            failures.push(failure);
                            continue;
                        }
                    }
                } else {
                    meta::set(&mut object, &["spec", "taints"], json!(taints));
                }
                // The real one does not say here that it was only tried.
                printer.show(call.console(), &object, done)?;
            }
        }
    }
    Failure::of(failures)
}

fn parse(call: &Invocation, specs: &[String]) -> Result<(Vec<Taint>, Vec<Taint>)> {
    let (mut add, mut remove): (Vec<Taint>, Vec<Taint>) = (Vec::new(), Vec::new());
    for spec in specs {
        if let Some(spec) = spec.strip_suffix('-') {
            remove.push(Taint::parse(spec).map_err(|failure| call.usage(failure.words()))?);
            continue;
        }
        let taint = Taint::parse(spec).map_err(|failure| call.usage(failure.words()))?;
        if taint.effect.is_empty() {
            // Without an effect the whole is read as a key.
            let errors = qualified_name_errors(spec);
            let why = if errors.is_empty() { String::new() } else { format!(", {}", errors.join("; ")) };
            return Err(call.usage(format!("invalid taint spec: {spec}{why}")));
        }
        if add.iter().any(|other| other.key == taint.key && other.effect == taint.effect) {
            return Err(call.usage(format!(
                "duplicated taints with the same key and effect: {{{} {} {} <nil>}}",
                taint.key, taint.value, taint.effect
            )));
        }
        add.push(taint);
    }
    let both: Vec<String> = remove
        .iter()
        .filter(|gone| add.iter().any(|new| new.key == gone.key && new.effect == gone.effect))
        .map(|gone| format!("{}={}", gone.key, gone.effect))
        .collect();
    if !both.is_empty() {
        return Err(Failure::new(format!(
            "can not both modify and remove the following taint(s) in the same command: {}",
            both.join(", ")
        )));
    }
    Ok((add, remove))
}

fn changed(
    call: &Invocation,
    node: &str,
    old: &[Value],
    add: &[Taint],
    remove: &[Taint],
) -> Result<(Vec<Value>, &'static str)> {
    let overwrite = call.flags.is("overwrite");
    let same = |a: &Taint, b: &Taint| a.key == b.key && a.effect == b.effect;
    let known: Vec<Taint> = old.iter().map(Taint::of).collect();
    let clash: Vec<&Taint> = add.iter().filter(|new| known.iter().any(|old| same(old, new))).collect();
    if !overwrite && !clash.is_empty() {
        let keys: Vec<&str> = clash.iter().map(|taint| taint.key.as_str()).collect();
        return Err(Failure::new(format!(
            "node {node} already has {} taint(s) with same effect(s) and --overwrite is false",
            keys.join(","),
        )));
    }
    let mut taints: Vec<Value> = add
        .iter()
        .map(|new| {
            let mut taint = json!({"key": new.key, "effect": new.effect});
            if !new.value.is_empty() {
                taint["value"] = new.value.clone().into();
            }
            taint
        })
        .collect();
    taints.extend(old.iter().filter(|old| !add.iter().any(|new| same(&Taint::of(old), new))).cloned());
    let mut missing = Vec::new();
    let mut deleted = false;
    for gone in remove {
        let before = taints.len();
        taints.retain(|taint| {
            let taint = Taint::of(taint);
            !(taint.key == gone.key && (gone.effect.is_empty() || gone.effect == taint.effect))
        });
        if taints.len() == before {
            missing.push(Failure::new(format!("taint {} not found", quote(&gone.shown()))));
        } else {
            deleted = true;
        }
    }
    Failure::of(missing)?;
    Ok((
        taints,
        match (add.is_empty(), deleted) {
            (true, true) => "untainted",
            (false, true) => "modified",
            _ if !clash.is_empty() => "modified",
            _ => "tainted",
        },
    ))
}
