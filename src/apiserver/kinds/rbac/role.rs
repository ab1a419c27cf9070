//! Role and ClusterRole: lists of what is allowed.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, NameRule, Strategy, selectors};

/// Of Roles.
pub const ROLE: Strategy = Strategy {
    name: NameRule::PathSegment,
    validate: |role, _| rules(role, true),
    validate_update: |new, _, _| rules(new, true),
    create_on_update: true,
    ..Strategy::PLAIN
};

/// Of ClusterRoles.
pub const CLUSTER_ROLE: Strategy = Strategy {
    name: NameRule::PathSegment,
    validate: |role, _| cluster_role(role),
    validate_update: |new, _, _| cluster_role(new),
    create_on_update: true,
    ..Strategy::PLAIN
};

fn cluster_role(role: &Value) -> Vec<FieldError> {
    let mut errors = rules(role, false);
    let aggregation = role.at("aggregationRule");
    if aggregation.is_null() {
        return errors;
    }
    let parts = aggregation.items("clusterRoleSelectors");
    if parts.is_empty() {
        errors.push(FieldError::required(
            "aggregationRule.clusterRoleSelectors",
            "at least one clusterRoleSelector required if aggregationRule is non-nil",
        ));
    }
    for (index, selector) in parts.iter().enumerate() {
        let at = format!("aggregationRule.clusterRoleSelectors[{index}]");
        let faults = selectors::validate(selector, &at);
        let unusable = !selectors::is_usable(selector);
        errors.extend(faults);
        errors.extend(unusable.then(|| FieldError::invalid(at, Value::Null, "invalid label selector.")));
    }
    errors
}

fn rules(role: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, rule) in role.items("rules").iter().enumerate() {
        let path = format!("rules[{index}]");
        if rule.items("verbs").is_empty() {
            errors.push(FieldError::required(format!("{path}.verbs"), ""));
        }
        let urls = rule.items("nonResourceURLs");
        let about_resources = !rule.items("apiGroups").is_empty()
            || !rule.items("resources").is_empty()
            || !rule.items("resourceNames").is_empty();
        if !urls.is_empty() {
            let shown = Value::Array(urls.to_vec());
            if namespaced {
                errors.push(FieldError::invalid(
                    format!("{path}.nonResourceURLs"),
                    shown.clone(),
                    "namespaced rules cannot apply to non-resource URLs",
                ));
            }
            if about_resources {
                errors.push(FieldError::invalid(
                    format!("{path}.nonResourceURLs"),
                    shown,
                    "rules cannot apply to both regular resources and non-resource URLs",
                ));
            }
            continue;
        }
        if rule.items("apiGroups").is_empty() {
            errors.push(FieldError::required(
                format!("{path}.apiGroups"),
                "resource rules must supply at least one api group",
            ));
        }
        if rule.items("resources").is_empty() {
            errors.push(FieldError::required(
                format!("{path}.resources"),
                "resource rules must supply at least one resource",
            ));
        }
    }
    errors
}
