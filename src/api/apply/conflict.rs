//! What an applier is told when it would change another manager's fields.

use super::managed::{ManagerId, Operation};
use super::set::FieldSet;
use crate::api::status::{Cause, Details, Reason, Status};
use std::collections::BTreeMap;

/// Whose fields an apply would take, and which.
pub(super) type Conflicts = BTreeMap<ManagerId, FieldSet>;

/// 409 with one cause a field.
pub(super) fn status(conflicts: &Conflicts) -> Status {
    let found: Vec<(String, String)> =
        conflicts.iter().flat_map(|(id, set)| set.paths().into_iter().map(|path| (describe(id), path))).collect();
    let causes = found.iter().map(|(manager, path)| Cause {
        reason: "FieldManagerConflict".to_owned(),
        message: format!("conflict with {manager}"),
        field: path.clone(),
    });
    let details = Details { causes: causes.collect(), ..Details::default() };
    Status::new(Reason::Conflict, message(conflicts, &found)).details(details)
}

fn message(conflicts: &Conflicts, found: &[(String, String)]) -> String {
    if let [(manager, path)] = found {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut lines = Vec::new();
    for (id, set) in conflicts {
        lines.push(format!("conflicts with {}:", describe(id)));
        lines.extend(set.paths().into_iter().map(|path| format!("- {path}")));
    }
    format!("Apply failed with {} conflicts: {}", found.len(), lines.join("\n"))
}

fn describe(id: &ManagerId) -> String {
    let mut text = format!("{:?}", id.manager);
    if !id.subresource.is_empty() {
        text += &format!(" with subresource {:?}", id.subresource);
    }
    if id.operation == Operation::Update {
        text += &format!(" using {}", id.api_version);
    }
    text
}
