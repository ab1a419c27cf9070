//! How a change moves ownership: who loses fields, who gains them, and what an applier that lets go
//! of fields takes along.
//!
//! Source: `sigs.k8s.io/structured-merge-diff/merge`.

use super::Writer;
use super::conflict::Conflicts;
use super::managed::{Entry, Managed, ManagerId, Operation};
use super::set::FieldSet;
use super::typed::{self, Comparison};
use serde_json::Value;
use std::sync::LazyLock;

/// An object before and after.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) old: &'a Value,
    pub(super) new: &'a Value,
}

/// What happens to other managers' fields that a change touches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Refuse,
    Take,
}

/// What nobody owns: the server's own fields.
static UNOWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    let metadata = |name| ["metadata", name];
    let below = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ]
    .map(metadata);
    let mut paths: Vec<&[&str]> = vec![&["apiVersion"], &["kind"], &["metadata"]];
    paths.extend(below.iter().map(|path| &path[..]));
    FieldSet::of_fields(&paths)
});

/// Leaves the server's own fields out of one manager's entry.
pub(super) fn strip(managed: &mut Managed, id: &ManagerId) {
    if let Some(entry) = managed.0.get_mut(id) {
        entry.fields = entry.fields.difference(&UNOWNED);
    }
    managed.drop_empty();
}

/// Takes changed, added and removed fields from every manager but the writer, or reports them.
pub(super) fn settle(
    change: Change<'_>,
    managed: &mut Managed,
    writer_id: &ManagerId,
    writer: &Writer<'_>,
    mode: Mode,
) -> Result<Comparison, Conflicts> {
    let compared = typed::compare(Some(change.old), Some(change.new), Some(writer.schema)).excluding(writer.reset);
    let touched = compared.modified.union(&compared.added);
    let mut conflicts = Conflicts::new();
    for (id, entry) in managed.0.iter().filter(|(id, _)| *id != writer_id) {
        let taken = entry.fields.intersection(&touched);
        if !taken.is_empty() {
            conflicts.insert(id.clone(), taken);
        }
    }
    if mode == Mode::Refuse && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for (id, entry) in managed.0.iter_mut().filter(|(id, _)| *id != writer_id) {
        if let Some(taken) = conflicts.get(id) {
            entry.fields = entry.fields.difference(taken);
        }
        entry.fields = entry.fields.difference(&compared.removed);
    }
    Ok(compared)
}

/// Follows an update: the writer owns what it changed and added, beside what it owned.
pub(super) fn track(old: &Value, new: &Value, managed: &mut Managed, writer: &Writer<'_>) {
    let id = writer.id(Operation::Update);
    // No entry is the workflow's own here: even the writer's older entry gives up what changed.
    let nobody = ManagerId { manager: String::new(), subresource: "\u{0}".to_owned(), ..id.clone() };
    let Ok(compared) = settle(Change { old, new }, managed, &nobody, writer, Mode::Take) else { return };
    managed.drop_empty();
    let gained = compared.modified.union(&compared.added).difference(&UNOWNED);
    if gained.is_empty() {
        return;
    }
    let kept = managed.0.remove(&id).map(|entry| entry.fields).unwrap_or_default();
    let entry = Entry { fields: gained.union(&kept), api_version: writer.api_version.to_owned(), time: writer.time() };
    managed.0.insert(id, entry);
}

/// Removes what the applier owned before, no longer applies, and nobody else owns.
pub(super) fn prune(merged: Value, managed: &Managed, last: Option<&Entry>, writer: &Writer<'_>) -> Value {
    let now = managed.0.get(&writer.id(Operation::Apply));
    let lets_go = |last: &&Entry| now.is_none_or(|now| !last.fields.is_within(&now.fields));
    let Some(last) = last.filter(lets_go) else { return merged };
    let node = Some(writer.schema);
    let named = |set: &FieldSet| typed::with_named_fields(set, node);
    let remove = |value: &Value, doomed: &FieldSet| {
        typed::remove(value, doomed, node).unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    };
    let all = named(&typed::field_set(&merged, node));
    let last = named(&last.fields);
    let pruned = remove(&merged, &last);

    // Back come the fields that someone owns …
    let owned = managed.0.values().fold(FieldSet::default(), |owned, entry| owned.union(&entry.fields));
    let kept = named(&typed::field_set(&pruned, node)).union(&named(&owned));
    let pruned = remove(&merged, &all.difference(&kept));

    // … and those that hung below a removed one but were never the applier's.
    let kept = named(&typed::field_set(&pruned, node));
    remove(&merged, &all.difference(&kept).intersection(&last))
}
