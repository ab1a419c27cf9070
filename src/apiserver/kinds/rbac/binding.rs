//! RoleBinding and ClusterRoleBinding: who has a role.

use serde_json::{Value, json};

use crate::apiserver::kinds::json::Fill::Text;
use crate::apiserver::kinds::json::{Json, fill, items_mut, put};
use crate::apiserver::kinds::{Context, FieldError, NameRule, Strategy, names};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Of RoleBindings.
pub const ROLE_BINDING: Strategy = Strategy {
    defaults,
    name: NameRule::PathSegment,
    validate: |binding, _| validate(binding, &["Role", "ClusterRole"]),
    validate_update: |new, old, _| validate_update(new, old, &["Role", "ClusterRole"]),
    create_on_update: true,
    ..Strategy::PLAIN
};

/// Of ClusterRoleBindings.
pub const CLUSTER_ROLE_BINDING: Strategy = Strategy {
    defaults,
    name: NameRule::PathSegment,
    validate: |binding, _| validate(binding, &["ClusterRole"]),
    validate_update: |new, old, _| validate_update(new, old, &["ClusterRole"]),
    create_on_update: true,
    ..Strategy::PLAIN
};

fn defaults(binding: &mut Value, _: &Context) {
    fill(binding, &[("roleRef.apiGroup", Text(GROUP))]);
    for subject in items_mut(binding, "subjects") {
        if matches!(subject.text("kind"), "User" | "Group") && subject.text("apiGroup").is_empty() {
            put(subject, "apiGroup", GROUP);
        }
    }
}

fn validate(binding: &Value, kinds: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let reference = binding.at("roleRef");
    let group = reference.text("apiGroup");
    if group != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", group, &[GROUP]));
    }
    let kind = reference.text("kind");
    if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported("roleRef.kind", kind, kinds));
    }
    let name = reference.text("name");
    if name.is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    for fault in names::path_segment(name, false) {
        errors.push(FieldError::invalid("roleRef.name", name, fault));
    }
    let namespaced = kinds.len() > 1;
    for (index, subject) in binding.items("subjects").iter().enumerate() {
        errors.extend(validate_subject(subject, &format!("subjects[{index}]"), namespaced));
    }
    errors
}

fn validate_subject(subject: &Value, path: &str, namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = subject.text("name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    let group = subject.text("apiGroup");
    match subject.text("kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                for fault in names::dns_subdomain(name) {
                    errors.push(FieldError::invalid(format!("{path}.name"), name, fault));
                }
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(format!("{path}.apiGroup"), group, &[""]));
            }
            if !namespaced && subject.text("namespace").is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(FieldError::not_supported(format!("{path}.apiGroup"), group, &[GROUP]));
            }
        }
        other => {
            errors.push(FieldError::not_supported(format!("{path}.kind"), other, &["ServiceAccount", "User", "Group"]))
        }
    }
    errors
}

fn validate_update(new: &Value, old: &Value, kinds: &[&str]) -> Vec<FieldError> {
    let mut errors = validate(new, kinds);
    let reference = new.at("roleRef");
    if reference != old.at("roleRef") {
        let shown = json!({
            "APIGroup": reference.text("apiGroup"), "Kind": reference.text("kind"), "Name": reference.text("name"),
        });
        errors.push(FieldError::invalid("roleRef", shown, "field is immutable"));
    }
    errors
}
