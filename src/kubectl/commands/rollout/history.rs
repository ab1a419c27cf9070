//! `kubectl rollout history` and `kubectl rollout undo`: the templates that ReplicaSets and ControllerRevisions keep.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::super::command::Invocation;
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::DryRun;
use super::super::super::http::Call;
use super::super::super::print::tabwriter::Tabs;
use super::super::super::selection::Info;
use super::super::super::write::{JSON, STRATEGIC, Writing};
use super::super::apply::{LAST_APPLIED, patched_here};
use super::super::describe;
use super::selected;
use crate::api::meta;
use crate::api::selector::LabelSelector;

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";
/// Annotations that belong to the Deployment, whatever its revision.
const KEPT: [&str; 6] = [
    LAST_APPLIED,
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

/// One revision: the object that keeps it, and the workload's template then.
struct Revision {
    keeper: Value,
    template: Value,
}

async fn revisions(call: &Invocation, info: &Info) -> Result<BTreeMap<i64, Revision>> {
    match info.mapping.kind.as_str() {
        "Deployment" => of_replica_sets(call, info).await,
        "DaemonSet" | "StatefulSet" => of_controller_revisions(call, info).await,
        kind => Err(Failure::new(format!(
            "error retrieving history for {}, no visitor method exists for {{{} {kind}}}",
            quote(&info.mapping.group_kind()),
            info.mapping.group
        ))),
    }
}

async fn owned(call: &Invocation, info: &Info, kind: &str) -> Result<Vec<Value>> {
    let cluster = call.cluster().await?;
    let Some(mapping) = cluster.mapper().await?.of_kind("apps", "v1", kind) else { return Ok(Vec::new()) };
    let selector = meta::get(&info.object, &["spec", "selector"]).cloned().unwrap_or_default();
    let selector = LabelSelector::from_value(&selector).map_err(|why| Failure::new(why.to_string()))?;
    let list = cluster.api.json(Call::get(mapping.path(&info.namespace, None, ""))).await?;
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let uid = meta::uid(&info.object);
    let ours = |item: &Value| meta::controller_of(item).is_some_and(|owner| owner.uid == uid);
    Ok(items.into_iter().filter(|item| ours(item) && selector.matches_object(item)).collect())
}

async fn of_replica_sets(call: &Invocation, info: &Info) -> Result<BTreeMap<i64, Revision>> {
    let mut found = BTreeMap::new();
    for set in owned(call, info, "ReplicaSet").await? {
        let Some(number) = meta::annotation(&set, REVISION).and_then(|text| text.parse().ok()) else { continue };
        let mut template = meta::get(&set, &["spec", "template"]).cloned().unwrap_or_default();
        if let Some(cause) = meta::annotation(&set, CHANGE_CAUSE) {
            meta::set_annotation(&mut template, CHANGE_CAUSE, cause);
        }
        found.insert(number, Revision { keeper: set, template });
    }
    Ok(found)
}

async fn of_controller_revisions(call: &Invocation, info: &Info) -> Result<BTreeMap<i64, Revision>> {
    let mut found = BTreeMap::new();
    for revision in owned(call, info, "ControllerRevision").await? {
        let number = meta::integer(&revision, &["revision"]).unwrap_or(0);
        let data = revision.get("data").cloned().unwrap_or_default();
        let then = patched_here(info, info.object.clone(), STRATEGIC, &data)?;
        let template = meta::get(&then, &["spec", "template"]).cloned().unwrap_or_default();
        found.insert(number, Revision { keeper: revision, template });
    }
    Ok(found)
}

pub(super) async fn history(call: &Invocation) -> Result {
    let wanted = call.flags.int("revision");
    if wanted < 0 {
        return Err(Failure::new(format!("revision must be a positive integer: {wanted}")));
    }
    let writing = Writing::of(call, "")?;
    let mut printer = writing.printer()?;
    printer.typed = true;
    let found = selected(call).await?;
    Failure::of(found.failures)?;
    for info in found.infos {
        let all = revisions(call, &info).await?;
        if !printer.is_human() {
            let shown = all.iter().filter(|(number, _)| wanted == 0 || **number == wanted);
            let shown: Vec<Value> = shown.map(|(_, revision)| revision.keeper.clone()).collect();
            if wanted > 0 && shown.is_empty() {
                return Err(Failure::new("unable to find the specified revision"));
            }
            let keeper = if info.mapping.kind == "Deployment" { "ReplicaSet" } else { "ControllerRevision" };
            for mut object in shown {
                // An item of a list does not say its type.
                meta::set_type(&mut object, "apps/v1", keeper);
                printer.show(call.console(), &object, "")?;
            }
            continue;
        }
        let text = if all.is_empty() {
            "No rollout history found.".to_owned()
        } else if wanted > 0 {
            let revision = all.get(&wanted).ok_or_else(|| Failure::new("unable to find the specified revision"))?;
            describe::template(&revision.template)
        } else {
            let mut text = "REVISION\tCHANGE-CAUSE\n".to_owned();
            for (number, revision) in &all {
                let from_keeper = meta::annotation(&revision.keeper, CHANGE_CAUSE);
                text.push_str(&format!("{number}\t{}\n", from_keeper.unwrap_or("<none>")));
            }
            Tabs::new(0, 2).layout(&text)
        };
        let with = if wanted > 0 { format!("with revision #{wanted}") } else { String::new() };
        let name = info.shown();
        call.out(format!("{name} {with}\n{text}\n"));
    }
    Ok(())
}

pub(super) async fn undo(call: &Invocation) -> Result {
    let to = call.flags.int("to-revision");
    let writing = Writing::of(call, "")?;
    let mut printer = writing.printer()?;
    let found = selected(call).await?;
    let mut failures = found.failures;
    for info in found.infos {
        if meta::annotation(&info.object, LAST_APPLIED).is_some() {
            call.err(format!(
                "Warning: resource {}/{} was previously managed with 'kubectl apply'. Rolling back will not update the {LAST_APPLIED} annotation, which may cause unexpected behavior on future 'kubectl apply' operations. Consider using 'kubectl apply' with your previous configuration file instead.\n",
                info.mapping.plural, info.name,
            ));
        }
        match one(call, &writing, &info, to).await {
            Ok(done) => writing.say(&mut printer, &info.object, &done)?,
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of(failures)
}

async fn one(call: &Invocation, writing: &Writing<'_>, info: &Info, to: i64) -> Result<String> {
    if to < 0 {
        return Err(missing(to));
    }
    if !matches!(info.mapping.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet") {
        return Err(Failure::new(format!(
            "error retrieving rollbacker for {}, no visitor method exists for {{{} {}}}",
            quote(&info.mapping.group_kind()),
            info.mapping.group,
            info.mapping.kind
        )));
    }
    let mut all = revisions(call, info).await?;
    let deployment = info.mapping.kind == "Deployment";
    let number = match to {
        0 => all.keys().rev().nth(1).copied().ok_or_else(|| {
            if deployment {
                Failure::new(format!("no rollout history found for deployment {}", quote(&info.name)))
            } else {
                Failure::new("no last revision to roll back to")
            }
        })?,
        number => number,
    };
    let revision = all.remove(&number).ok_or_else(|| missing(number))?;
    if writing.dry_run == DryRun::Client {
        return Ok(describe::template(&revision.template));
    }
    if deployment && meta::get(&info.object, &["spec", "paused"]) == Some(&Value::Bool(true)) {
        return Err(Failure::new(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again",
        ));
    }
    let mut template = if deployment {
        meta::get(&revision.keeper, &["spec", "template"]).cloned().unwrap_or_default()
    } else {
        revision.template
    };
    remove_hash(&mut template);
    if Some(&template) == meta::get(&info.object, &["spec", "template"]) {
        return Ok(format!("skipped rollback (current template already matches revision {to})"));
    }
    let done = if deployment {
        let annotations = annotations(&info.object, &revision.keeper);
        let patch = json!([
            {"op": "replace", "path": "/spec/template", "value": template},
            {"op": "replace", "path": "/metadata/annotations", "value": annotations},
        ]);
        writing.patch(info, "", JSON, &patch).await
    } else {
        writing.patch(info, "", STRATEGIC, revision.keeper.get("data").unwrap_or(&Value::Null)).await
    };
    done.map_err(|failure| Failure::new(format!("failed restoring revision {to}: {}", failure.words())))?;
    Ok("rolled back".into())
}

fn missing(revision: i64) -> Failure {
    Failure::new(format!("unable to find specified revision {revision} in history"))
}

fn remove_hash(template: &mut Value) {
    if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
        labels.shift_remove(HASH);
    }
}

fn annotations(deployment: &Value, set: &Value) -> Map<String, Value> {
    let none = Map::new();
    let own = meta::annotations(deployment).unwrap_or(&none);
    let old = meta::annotations(set).unwrap_or(&none);
    let kept = own.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
    let restored = old.iter().filter(|(key, _)| !KEPT.contains(&key.as_str()));
    kept.chain(restored).map(|(key, value)| (key.clone(), value.clone())).collect()
}
