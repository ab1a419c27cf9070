//! IPAddress: one cluster IP, and the Service that holds it.

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
        let parent = address.at("spec.parentRef");
        if parent.is_null() {
            errors.push(FieldError::required("spec.parentRef", ""));
            return errors;
        }
        let path = "spec.parentRef";
        errors.extend(check::required(parent, &["resource", "name"], path));
        let group = parent.text("group");
        if !group.is_empty() {
            errors.extend(check::faults("spec.parentRef.group", group, names::dns_subdomain(group)));
        }
        for field in ["resource", "name", "namespace"] {
            let text = parent.text(field);
            errors.extend(check::faults(format!("{path}.{field}"), text, names::path_segment(text, false)));
        }
        errors
    },
    validate_update: |new, old, _| declared_immutable(new, old, "spec.parentRef").into_iter().collect(),
    ..Strategy::PLAIN
};
