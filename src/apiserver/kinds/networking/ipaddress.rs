//! IPAddress: one cluster IP, and the Service that holds it.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::declared_immutable;
use crate::apiserver::kinds::{FieldError, NameRule, Strategy, check, names};

/// Of IPAddresses.
pub const STRATEGY: Strategy = Strategy {
    name: NameRule::Any,
    validate: |address, _| {
        let name = address.text("metadata.name");
        let mut errors: Vec<FieldError> = Vec::new();
        let prefix = address.text("metadata.generateName");
        if !prefix.is_empty() {
            errors.extend(check::faults("metadata.generateName", prefix, names::strict_ip(prefix)));
        }
        if !name.is_empty() {
            errors.extend(check::faults("metadata.name", name, names::strict_ip(name)));
        }
        errors.extend(parent(address));
        for field in ["resource", "name", "namespace"] {
            let (path, text) = (format!("spec.parentRef.{field}"), address.text(&format!("spec.parentRef.{field}")));
            errors.extend(check::faults(path, text, names::path_segment(text, false)));
        }
        errors
    },
    validate_update: |new, old, _| {
        let mut errors = parent(new);
        errors.extend(declared_immutable(new, old, "spec.parentRef"));
        errors
    },
    ..Strategy::PLAIN
};

/// What the type says of whose address it is.
fn parent(address: &Value) -> Vec<FieldError> {
    let (path, parent) = ("spec.parentRef", address.at("spec.parentRef"));
    if parent.is_null() {
        return vec![FieldError::required(path, "")];
    }
    let mut errors = check::required(parent, &["resource", "name"], path);
    let group = parent.text("group");
    if !group.is_empty() {
        errors.extend(check::faults("spec.parentRef.group", group, names::dns_subdomain(group)));
    }
    errors
}
