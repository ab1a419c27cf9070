//! `kubectl diff`: what an apply would change, as a unified diff. Exit code 1 when something would.

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};
use super::super::http::Call;
use super::super::selection::{self, Info, Selection};
use super::super::write::{APPLY, MANAGER};
use super::apply::{LAST_APPLIED, with_last_applied};
use crate::api::{meta, yaml};

const FLAGS: &[Flag] = &[
    long("server-side", Kind::Bool(false), "As a server-side apply would"),
    long("force-conflicts", Kind::Bool(false), "With --server-side: take fields from other managers"),
    long("show-managed-fields", Kind::Bool(false), "Keep metadata.managedFields"),
    long("show-secrets", Kind::Bool(false), "Show what Secrets hold"),
    long("prune", Kind::Bool(false), "Not here: apply --prune --dry-run=server shows what would go"),
    long("prune-allowlist", Kind::Array, "Not here"),
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
    if call.flags.is("prune") {
        let words = "this kubectl's diff does not prune; apply --prune --dry-run=server shows what would go";
        return Err(worse(Failure::new(words)));
    }
    let selection = Selection::of(call);
    if selection.files().is_empty() {
        return Err(worse(Failure::new("must specify one of -f and -k")));
    }
    let found = selection.read().await.map_err(worse)?;
    if let Some(failure) = found.failures.into_iter().next() {
        return Err(worse(failure));
    }
    let mut different = false;
    for info in &found.infos {
        let (live, mut merged) = both(call, info).await.map_err(worse)?;
        // What was applied last is no difference that anybody made.
        match meta::annotation(&live, LAST_APPLIED) {
            Some(text) => meta::set_annotation(&mut merged, LAST_APPLIED, text),
            None => {
                meta::remove_annotation(&mut merged, LAST_APPLIED);
            }
        }
        let name = file_name(info);
        let text = unified(&shown(call, &live), &shown(call, &merged), &name, call);
        different |= !text.is_empty();
        call.out(text);
    }
    if different { Err(Failure::Exit(1)) } else { Ok(()) }
}

/// A failure of diff itself ends with a code above 1.
fn worse(failure: Failure) -> Failure {
    let (text, code) = failure.print();
    Failure::Coded(text, code + 1)
}

fn file_name(info: &Info) -> String {
    let group = if info.mapping.group.is_empty() { String::new() } else { format!("{}.", info.mapping.group) };
    format!("{group}{}.{}.{}.{}", info.mapping.version, info.mapping.kind, info.namespace, info.name)
}

/// The object as it is, and as the server would make it.
async fn both(call: &Invocation, info: &Info) -> Result<(Value, Value)> {
    let api = &call.cluster().await?.api;
    let live = match api.json(Call::get(info.path())).await {
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
        let object = with_last_applied(&info.object);
        let post = Call::new(http::Method::POST, info.mapping.path(&info.namespace, None, "")).json(&object);
        api.json(post.query("dryRun", "All").query("fieldManager", manager)).await?
    } else {
        let modified = with_last_applied(&info.object);
        let (kind, patch) = super::apply::three_way_patch(info, &modified, &live);
        let patch = Call::new(http::Method::PATCH, info.path()).body(kind, patch.to_string().into_bytes());
        api.json(patch.query("dryRun", "All").query("fieldManager", manager)).await?
    };
    Ok((live, merged))
}

fn shown(call: &Invocation, object: &Value) -> String {
    if object.is_null() {
        return String::new();
    }
    let mut object = object.clone();
    if !call.flags.is("show-managed-fields") {
        meta::remove(&mut object, &["metadata", "managedFields"]);
    }
    if !call.flags.is("show-secrets") {
        mask(&mut object);
    }
    yaml::to_string(&object)
}

/// A Secret's values are not shown.
fn mask(object: &mut Value) {
    if meta::kind(object) != "Secret" {
        return;
    }
    for (_, value) in object.get_mut("data").and_then(Value::as_object_mut).into_iter().flatten() {
        *value = "***".into();
    }
}

/// A unified diff; empty when the texts are equal.
fn unified(before: &str, after: &str, name: &str, call: &Invocation) -> String {
    if before == after {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let edits = edits(&old, &new);
    let time = call.session.clock.now().strftime("%Y-%m-%d %H:%M:%S.%9f +0000").to_string();
    let mut text = format!(
        "diff -u -N /tmp/LIVE/{name} /tmp/MERGED/{name}\n--- /tmp/LIVE/{name}\t{time}\n+++ /tmp/MERGED/{name}\t{time}\n"
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
