//! Server-side apply and the ownership of fields.
//!
//! Every field of an object has owners, recorded in `metadata.managedFields`. Whoever writes a value
//! becomes its owner. An applier sends only the fields it cares about: what another manager owns
//! with another value is a conflict, unless forced; what it no longer sends and nobody else owns is
//! removed. [`apply`] answers an apply patch, [`track_update`] follows every other write, [`scale`]
//! carries ownership between an object and its scale.
//!
//! In: JSON values and their schema. Out: the object as merged, before defaults and validation.
//! Never here: decoding, defaulting, storage. Chapter: `book/src/inside/schema.md`.
//! Source: KEP 555; `k8s.io/apimachinery/pkg/util/managedfields`, `sigs.k8s.io/structured-merge-diff`.

mod conflict;
mod managed;
pub mod scale;
mod set;
mod shape;
mod typed;
mod update;
mod validate;

pub use set::FieldSet;

use crate::api::patch::unstructured;
use crate::api::schema::Schema;
use crate::api::status::{Reason, Status};
use crate::api::{meta, typed as go};
use conflict::Conflicts;
use jiff::Timestamp;
use managed::{Entry, Managed, ManagerId, Operation};
use serde_json::{Value, json};
use update::{Change, Mode};

/// The annotation of client-side apply.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The only manager that takes over from client-side apply.
const KUBECTL: &str = "kubectl";
/// Who owns what was there before fields had owners.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Longest name of a manager, in bytes.
const MANAGER_MAX: usize = 128;

/// Who writes, through which part of the API, and what that part ignores.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The field manager; see [`manager_name`].
    pub manager: &'a str,
    /// `group/version` of the request.
    pub api_version: &'a str,
    /// The kind, for error messages.
    pub kind: &'a str,
    /// `status`, `scale`, …; empty for the object itself.
    pub subresource: &'a str,
    /// The object's schema in this version.
    pub schema: &'a Schema,
    /// Whether the object comes from a CustomResourceDefinition: no Go struct stands behind it.
    pub custom: bool,
    /// Fields that this part of the API resets (`status` for the object itself, `spec` for `status`).
    pub reset: &'a FieldSet,
    /// The time of new entries.
    pub now: Timestamp,
}

impl Writer<'_> {
    fn id(&self, operation: Operation) -> ManagerId {
        ManagerId {
            manager: self.manager.to_owned(),
            operation,
            api_version: if operation == Operation::Apply { String::new() } else { self.api_version.to_owned() },
            subresource: self.subresource.to_owned(),
        }
    }

    fn time(&self) -> Option<String> {
        // Whole seconds, as metav1.Time.
        Timestamp::from_second(self.now.as_second()).ok().map(|time| time.to_string())
    }

    /// What Go's zero value of the kind looks like: the state before a creation.
    fn nothing(&self) -> Value {
        let mut empty = json!({});
        if !self.custom {
            go::normalize(&mut empty, self.schema);
        }
        empty
    }
}

/// Whether an apply may take fields from other managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// A conflict is an error.
    No,
    /// The applier becomes the owner.
    Yes,
}

/// The field manager of a request: as named, or the first part of the User-Agent.
pub fn manager_name(field_manager: Option<&str>, user_agent: &str) -> String {
    if let Some(name) = field_manager.filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    let mut manager = String::new();
    for letter in user_agent.split('/').next().unwrap_or_default().chars().filter(|letter| !letter.is_control()) {
        if manager.len() + letter.len_utf8() > MANAGER_MAX {
            break;
        }
        manager.push(letter);
    }
    manager
}

/// Applies `applied` to `live` (`None`: the object does not exist). The result carries its new
/// `managedFields`; when nothing changed, the old ones.
///
/// Errors: 400 for another kind or version or for `managedFields` in the patch, 409 for conflicts,
/// 500 for fields or types the schema does not know.
pub fn apply(live: Option<&Value>, applied: &Value, writer: &Writer<'_>, force: Force) -> Result<Value, Status> {
    check_request(applied, writer)?;
    let mut live = live.cloned().unwrap_or_else(|| json!({}));
    let Some(mut managed) = Managed::decode(&live) else {
        let message = "failed to decode managed fields: error decoding the managed fields";
        return Err(internal(message.to_owned()));
    };
    meta::remove(&mut live, &["metadata", "managedFields"]);
    if managed.0.is_empty() {
        let before = Writer { manager: BEFORE_FIRST_APPLY, ..*writer };
        update::track(&before.nothing(), &live, &mut managed, &before);
    }
    let before = managed.clone();
    let outcome = match applied_onto(&live, applied, &mut managed, writer, force) {
        Err(conflicts) if writer.manager == KUBECTL => {
            let left = beyond_last_applied(conflicts, &live, writer);
            if !left.is_empty() {
                return Err(conflict::status(&left));
            }
            managed = before.clone();
            applied_onto(&live, applied, &mut managed, writer, Force::Yes)
        }
        other => other,
    };
    let merged = outcome.map_err(|conflicts| conflict::status(&conflicts))?;
    let id = writer.id(Operation::Apply);
    let own = |managed: &Managed| managed.0.get(&id).map(|entry| entry.fields.clone());
    if (merged != live || own(&managed) != own(&before))
        && let Some(entry) = managed.0.get_mut(&id)
    {
        entry.time = writer.time();
    }
    let mut object = merged;
    if !writer.custom {
        as_the_kind(&mut object, applied, writer)?;
    }
    if writer.manager == KUBECTL {
        sync_last_applied(&mut object, applied);
    }
    managed.encode_into(&mut object);
    Ok(object)
}

/// Follows a create, update or patch: gives `new` the `managedFields` that belong to it.
/// `old` is `None` for a creation.
pub fn track_update(old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let mut managed = sent_or_live(old, new, writer.subresource);
    meta::remove(new, &["metadata", "managedFields"]);
    if managed.0.is_empty() && old.is_some() {
        return;
    }
    let mut before = old.cloned().unwrap_or_else(|| writer.nothing());
    meta::remove(&mut before, &["metadata", "managedFields"]);
    update::track(&before, new, &mut managed, writer);
    managed.cap_updaters();
    managed.encode_into(new);
}

/// The entries an update starts from: those it sent, unless it sent none or unreadable ones; an
/// explicit empty list or one empty entry resets them.
fn sent_or_live(old: Option<&Value>, new: &Value, subresource: &str) -> Managed {
    let live = || old.map(Managed::decode_or_empty).unwrap_or_default();
    if !subresource.is_empty() {
        return live();
    }
    if let Some(Value::Array(entries)) = meta::get(new, &["metadata", "managedFields"]) {
        let blank = |entry: &Value| entry.as_object().is_some_and(|map| map.values().all(is_zero));
        if entries.is_empty() || (entries.len() == 1 && blank(&entries[0])) {
            return Managed::default();
        }
    }
    match Managed::decode(new) {
        Some(managed) if !managed.0.is_empty() => managed,
        _ => live(),
    }
}

/// What is wrong with an object's `managedFields`, as the first malformed entry says it; `None`: nothing.
pub fn ownership_fault(object: &Value) -> Option<String> {
    let entries = meta::list(object, &["metadata", "managedFields"]).iter().enumerate();
    let found = entries.into_iter().find_map(|(index, entry)| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        if !["Apply", "Update"].contains(&text("operation")) {
            return Some("operation must be `Apply` or `Update`".to_owned());
        }
        match (text("apiVersion"), text("fieldsType")) {
            ("", _) => Some("apiVersion must not be empty".to_owned()),
            (_, "FieldsV1") => None,
            (_, "") => Some(format!("missing fieldsType in managed fields entry {index}")),
            (_, other) => Some(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
        }
    });
    found.or_else(|| Managed::decode(object).is_none().then(|| "error decoding versioned set".to_owned()))
}

fn is_zero(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// Refuses what is not this kind, owns fields already, or does not fit the schema.
fn check_request(applied: &Value, writer: &Writer<'_>) -> Result<(), Status> {
    let (sent, kind) = (meta::api_version(applied), meta::kind(applied));
    if sent != writer.api_version || kind != writer.kind {
        let (group, version) = meta::group_version(applied);
        let message = format!("invalid object type: {group}/{version}, Kind={kind}");
        return Err(Status::new(Reason::BadRequest, message));
    }
    if meta::get(applied, &["metadata", "managedFields"]).is_some_and(|fields| !fields.is_null()) {
        return Err(Status::new(Reason::BadRequest, "metadata.managedFields must be nil"));
    }
    validate::check(applied, writer.schema).map_err(|problem| {
        let (group, version) = meta::group_version(applied);
        let (namespace, name) = (meta::namespace(applied), meta::name(applied));
        internal(format!(
            "failed to create typed patch object ({namespace}/{name}; {group}/{version}, Kind={kind}): {problem}"
        ))
    })
}

/// Why fields that are to be applied do not fit their kind, if they do not.
pub fn misfit(applied: &Value, schema: &Schema) -> Option<String> {
    validate::check(applied, schema).err()
}

/// The merged fields as the kind has them; what does not fit is not stored.
fn as_the_kind(object: &mut Value, applied: &Value, writer: &Writer<'_>) -> Result<(), Status> {
    unstructured::convert(object, writer.schema).map_err(|problem| {
        let (group, version) = meta::group_version(applied);
        let (namespace, name, kind) = (meta::namespace(applied), meta::name(applied), writer.kind);
        let of = format!("{group}/{version}, Kind={kind}");
        internal(format!(
            "failed to convert new object ({namespace}/{name}; {of}) to proper version: unable to convert unstructured \
             object to {of}: {problem}"
        ))
    })
}

/// 500 without a reason: how the API server answers errors that are not Statuses.
fn internal(message: String) -> Status {
    let mut status = Status::new(Reason::InternalError, message);
    status.reason = None;
    status
}

fn applied_onto(
    live: &Value,
    applied: &Value,
    managed: &mut Managed,
    writer: &Writer<'_>,
    force: Force,
) -> Result<Value, Conflicts> {
    let node = Some(writer.schema);
    let id = writer.id(Operation::Apply);
    let merged = typed::merge(Some(live), Some(applied), node).unwrap_or_else(|| json!({}));
    let fields = typed::field_set(applied, node).recursive_difference(writer.reset);
    let last = managed.0.get(&id).cloned();
    let time = last.as_ref().and_then(|entry| entry.time.clone());
    let entry = Entry { fields, api_version: writer.api_version.to_owned(), time };
    managed.0.insert(id.clone(), entry);
    let merged = update::prune(merged, managed, last.as_ref(), writer);
    let mode = if force == Force::Yes { Mode::Take } else { Mode::Refuse };
    update::settle(Change { old: live, new: &merged }, managed, &id, writer, mode)?;
    update::strip(managed, &id);
    Ok(merged)
}

/// The conflicts that are not about fields `kubectl apply` itself wrote before, still unchanged.
fn beyond_last_applied(conflicts: Conflicts, live: &Value, writer: &Writer<'_>) -> Conflicts {
    let last = meta::annotation(live, LAST_APPLIED).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(last) = last else { return conflicts };
    let node = Some(writer.schema);
    let changed = typed::compare(Some(&last), Some(live), node);
    let allowed = typed::field_set(&last, node)
        .difference(&changed.modified)
        .difference(&changed.added)
        .difference(&changed.removed);
    let left = conflicts.into_iter().map(|(id, set)| (id, set.difference(&allowed)));
    left.filter(|(_, set)| !set.is_empty()).collect()
}

/// Keeps client-side apply's annotation true for clients that still read it.
fn sync_last_applied(object: &mut Value, applied: &Value) {
    if meta::annotation(object, LAST_APPLIED).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = applied.clone();
    meta::remove(&mut applied, &["metadata", "annotations", LAST_APPLIED]);
    applied.sort_all_objects();
    meta::set_annotation(object, LAST_APPLIED, &format!("{applied}\n"));
}

#[cfg(test)]
mod tests;
