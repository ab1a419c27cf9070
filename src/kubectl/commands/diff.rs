//! `kubectl diff`: what an apply would change, as a unified diff. Exit code 1 when something would.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};
use super::super::http::Call;
use super::super::mapping::Mapping;
use super::super::selection::{self, Info, Selection};
use super::super::write::{self, APPLY, MANAGER};
use super::apply::LAST_APPLIED;
use crate::api::{meta, yaml};

const FLAGS: &[Flag] = &[
    long("server-side", Kind::Bool(false), "As a server-side apply would"),
    long("force-conflicts", Kind::Bool(false), "With --server-side: take fields from other managers"),
    long("show-managed-fields", Kind::Bool(false), "Keep metadata.managedFields"),
    long("show-secrets", Kind::Bool(false), "Show what Secrets hold"),
    long("prune", Kind::Bool(false), "Show too what apply --prune would delete"),
    long("prune-allowlist", Kind::Array, "With --prune: only these, as group/version/kind"),
    long("concurrency", Kind::Int(1), "Accepted"),
];

/// `diff`
pub const COMMAND: Command = Command {
    name: "diff",
    usage: "-f FILE",
    about: "Show what an apply would change",
    flags: &[FLAGS, selection::FILES, selection::LABELS, MANAGER],
    run: run!(diff),
    ..BASE
};

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

async fn diff(call: &Invocation) -> Result {
    if !call.arguments().is_empty() {
        let failure = call.usage(format!("Unexpected args: [{}]", call.arguments().join(" ")));
        return Err(worse(failure));
    }
    if call.flags.is("force-conflicts") && !call.flags.is("server-side") {
        return Err(worse(Failure::new("--force-conflicts only works with --server-side")));
    }
    let selection = Selection::of(call);
    if selection.files().is_empty() {
        return Err(worse(Failure::new("must specify one of -f and -k")));
    }
    let found = selection.read().await.map_err(worse)?;
    if let Some(failure) = found.failures.into_iter().next() {
        return Err(worse(failure));
    }
    // By name, as a program that compares two folders tells them.
    let mut files: BTreeMap<String, Pair> = BTreeMap::new();
    let (mut uids, mut namespaces) = (BTreeSet::new(), BTreeSet::new());
    for info in &found.infos {
        let (mut live, mut merged) = both(call, info).await.map_err(worse)?;
        uids.insert(meta::uid(&live).to_owned());
        if info.mapping.namespaced {
            namespaces.insert(info.namespace.clone());
        }
        // What was applied last is no difference that anybody made.
        match meta::annotation(&live, LAST_APPLIED) {
            Some(text) => meta::set_annotation(&mut merged, LAST_APPLIED, text),
            None => {
                meta::remove_annotation(&mut merged, LAST_APPLIED);
            }
        }
        if !call.flags.is("show-managed-fields") {
            meta::remove(&mut live, &["metadata", "managedFields"]);
            meta::remove(&mut merged, &["metadata", "managedFields"]);
        }
        let masked = !call.flags.is("show-secrets") && mask(&mut live, &mut merged);
        // A Secret that is not there yet is masked, too, and what that leaves of it is written down.
        let before = if masked && live.is_null() { "null\n".to_owned() } else { shown(&live) };
        let after = After::Object(shown(&merged));
        files.insert(file_name(&info.mapping, &info.namespace, &info.name), (before, after));
    }
    if call.flags.is("prune") {
        files.extend(pruned(call, &uids, &namespaces).await.map_err(worse)?);
    }
    let mut different = false;
    for (name, (before, after)) in &files {
        let text = unified(before, after, name, call);
        different |= !text.is_empty();
        call.out(text);
    }
    if different { Err(Failure::Exit(1)) } else { Ok(()) }
}

/// An object as it is, and what comes of it.
type Pair = (String, After);

/// What comes of an object.
enum After {
    Object(String),
    /// It would be deleted.
    Nothing,
}

/// What `apply --prune` would delete: applied once, and named by no file.
async fn pruned(
    call: &Invocation,
    uids: &BTreeSet<String>,
    namespaces: &BTreeSet<String>,
) -> Result<Vec<(String, Pair)>> {
    let cluster = call.cluster().await?;
    let mappings = super::apply::prune::mappings(call).await?;
    if call.flags.all("prune-allowlist").is_empty() {
        let words = "Deprecated: kubectl apply will no longer prune non-namespaced resources by default when used with the --namespace flag in a future release. To preserve the current behaviour, list the resources you want to target explicitly in the --prune-allowlist flag.";
        call.session.warn("prune.go:71", words);
    }
    let mut gone = Vec::new();
    for mapping in &mappings {
        let own: Vec<&str> =
            if mapping.namespaced { namespaces.iter().map(String::as_str).collect() } else { vec![""] };
        for namespace in own {
            let list = Call::get(mapping.path(namespace, None, "")).query("labelSelector", call.flags.text("selector"));
            for item in meta::list(&cluster.api.json(list).await?, &["items"]) {
                if meta::annotation(item, LAST_APPLIED).is_none() || uids.contains(meta::uid(item)) {
                    continue;
                }
                let mut object = item.clone();
                meta::set_type(&mut object, &mapping.api_version(), &mapping.kind);
                let name = file_name(mapping, namespace, meta::name(item));
                gone.push((name, (shown(&object), After::Nothing)));
            }
        }
    }
    Ok(gone)
}

/// A failure of diff itself ends with a code above 1.
fn worse(failure: Failure) -> Failure {
    let (text, code) = failure.print();
    Failure::Coded(text, code + 1)
}

fn file_name(mapping: &Mapping, namespace: &str, name: &str) -> String {
    let group = if mapping.group.is_empty() { String::new() } else { format!("{}.", mapping.group) };
    format!("{group}{}.{}.{namespace}.{name}", mapping.version, mapping.kind)
}

/// The object as it is, and as the server would make it.
async fn both(call: &Invocation, info: &Info) -> Result<(Value, Value)> {
    let api = &call.cluster().await?.api;
    let live = match api.json_of(Call::get(info.path()), &info.namespace).await {
        Ok(live) => live,
        Err(failure) if failure.is_not_found() => Value::Null,
        Err(failure) => return Err(failure),
    };
    let manager = match call.flags.text("field-manager") {
        "" if call.flags.is("server-side") => "kubectl",
        "" => "kubectl-client-side-apply",
        named => named,
    };
    let merged = if call.flags.is("server-side") {
        let patch = Call::new(http::Method::PATCH, info.path())
            .body(APPLY, info.object.to_string().into_bytes())
            .query("force", call.flags.is("force-conflicts"))
            .query("fieldManager", manager)
            .query("dryRun", "All");
        api.json(patch).await?
    } else if live.is_null() {
        let post = Call::new(http::Method::POST, info.mapping.path(&info.namespace, None, "")).json(&info.object);
        api.json(post.query("dryRun", "All").query("fieldManager", manager)).await?
    } else {
        // What an apply notes of itself is no difference that anybody made.
        let mut modified = info.object.clone();
        meta::remove_annotation(&mut modified, LAST_APPLIED);
        if meta::map(&modified, &["metadata", "annotations"]).is_none() {
            meta::set(&mut modified, &["metadata", "annotations"], serde_json::json!({}));
        }
        let (kind, patch) = super::apply::three_way_patch(info, &modified, &live);
        if write::is_empty(&patch) {
            return Ok((live.clone(), live));
        }
        let patch = Call::new(http::Method::PATCH, info.path()).body(kind, patch.to_string().into_bytes());
        api.json(patch.query("dryRun", "All").query("fieldManager", manager)).await?
    };
    Ok((live, merged))
}

fn shown(object: &Value) -> String {
    if object.is_null() { String::new() } else { yaml::to_string(object) }
}

/// A Secret's values are not shown, only which of them differ. True for a Secret.
fn mask(live: &mut Value, merged: &mut Value) -> bool {
    if meta::kind(merged) != "Secret" {
        return false;
    }
    let data = |object: &Value| object.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (data(live), data(merged));
    for (own, other, marked) in [(live, &after, "*** (before)"), (merged, &before, "*** (after)")] {
        for (key, value) in own.get_mut("data").and_then(Value::as_object_mut).into_iter().flatten() {
            let differs = other.get(key).is_some_and(|other| other != value);
            *value = if differs { marked } else { "***" }.into();
        }
    }
    true
}

/// A unified diff; empty when the texts are equal.
fn unified(before: &str, after: &After, name: &str, call: &Invocation) -> String {
    let time = call.session.clock.now().strftime("%Y-%m-%d %H:%M:%S.%9f +0000").to_string();
    let (after, later) = match after {
        After::Object(after) => (after.as_str(), time.as_str()),
        After::Nothing => ("", "1970-01-01 00:00:00.000000000 +0000"),
    };
    if before == after {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let edits = edits(&old, &new);
    let mut text = format!(
        "diff -u -N /tmp/LIVE/{name} /tmp/MERGED/{name}\n--- /tmp/LIVE/{name}\t{time}\n+++ /tmp/MERGED/{name}\t{later}\n"
    );
    for hunk in hunks(&edits) {
        let count = |kinds: &[Edit]| hunk.iter().filter(|(kind, _, _)| kinds.contains(kind)).count();
        let (old_count, new_count) = (count(&[Edit::Keep, Edit::Delete]), count(&[Edit::Keep, Edit::Insert]));
        let (old_at, new_at) = (hunk[0].1, hunk[0].2);
        text.push_str(&format!("@@ -{} +{} @@\n", range(old_at, old_count), range(new_at, new_count)));
        for (kind, old_at, new_at) in hunk {
            match kind {
                Edit::Keep => text.push_str(&format!(" {}\n", old[*old_at])),
                Edit::Delete => text.push_str(&format!("-{}\n", old[*old_at])),
                Edit::Insert => text.push_str(&format!("+{}\n", new[*new_at])),
            }
        }
    }
    text
}

fn range(start: usize, count: usize) -> String {
    match count {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        count => format!("{},{count}", start + 1),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Edit {
    Keep,
    Delete,
    Insert,
}

type Step = (Edit, usize, usize);

/// The shortest way from the old lines to the new, by their longest common subsequence.
fn edits(old: &[&str], new: &[&str]) -> Vec<Step> {
    let width = new.len() + 1;
    let mut longest = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut steps = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            steps.push((Edit::Keep, i, j));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
            steps.push((Edit::Delete, i, j));
            i += 1;
        } else {
            steps.push((Edit::Insert, i, j));
            j += 1;
        }
    }
    steps
}

/// Changes with the lines around them; near ones belong together.
fn hunks(steps: &[Step]) -> Vec<&[Step]> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, (kind, _, _)) in steps.iter().enumerate() {
        if *kind == Edit::Keep {
            continue;
        }
        let (start, end) = (at.saturating_sub(CONTEXT), (at + 1 + CONTEXT).min(steps.len()));
        match found.last_mut() {
            Some((_, last)) if start <= *last => *last = end,
            _ => found.push((start, end)),
        }
    }
    found.into_iter().map(|(start, end)| &steps[start..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_changes_share_a_hunk() {
        let old: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let mut new = old.clone();
        new[2] = "x".into();
        new.remove(15);
        let (old, new): (Vec<&str>, Vec<&str>) =
            (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
        let steps = edits(&old, &new);
        assert_eq!(hunks(&steps).len(), 2);
        assert_eq!(steps.iter().filter(|(kind, _, _)| *kind != Edit::Keep).count(), 3);
    }
}
