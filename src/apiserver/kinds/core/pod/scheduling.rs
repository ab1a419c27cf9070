//! Validation of what steers a Pod to a Node: affinity, tolerations, spread, gates.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`.

use std::collections::HashSet;

use serde_json::Value;

use super::spec::supported;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, names, selectors};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// What is wrong with `spec.affinity`.
pub fn affinity(affinity: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let node = affinity.at("nodeAffinity");
    let at = format!("{path}.nodeAffinity");
    if node.has(REQUIRED) {
        errors.extend(node_selector(node.at(REQUIRED), &format!("{at}.{REQUIRED}")));
    }
    for (index, term) in node.items(PREFERRED).iter().enumerate() {
        let at = format!("{at}.{PREFERRED}[{index}]");
        errors.extend(weight(term, &at));
        errors.extend(node_selector_term(term.at("preference"), &format!("{at}.preference")));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let at = format!("{path}.{kind}");
        let own = affinity.at(kind);
        for (index, term) in own.items(REQUIRED).iter().enumerate() {
            errors.extend(pod_term(term, &format!("{at}.{REQUIRED}[{index}]")));
        }
        for (index, term) in own.items(PREFERRED).iter().enumerate() {
            let at = format!("{at}.{PREFERRED}[{index}]");
            errors.extend(weight(term, &at));
            errors.extend(pod_term(term.at("podAffinityTerm"), &format!("{at}.podAffinityTerm")));
        }
    }
    errors
}

fn weight(term: &Value, path: &str) -> Option<FieldError> {
    let weight = term.int("weight").unwrap_or(0);
    (!(1..=100).contains(&weight))
        .then(|| FieldError::invalid(format!("{path}.weight"), weight, "must be in the range 1-100"))
}

/// What is wrong with a `NodeSelector`.
pub fn node_selector(selector: &Value, path: &str) -> Vec<FieldError> {
    let terms = selector.items("nodeSelectorTerms");
    if terms.is_empty() {
        return vec![FieldError::required(
            format!("{path}.nodeSelectorTerms"),
            "must have at least one node selector term",
        )];
    }
    let terms = terms.iter().enumerate();
    terms.flat_map(|(index, term)| node_selector_term(term, &format!("{path}.nodeSelectorTerms[{index}]"))).collect()
}

fn node_selector_term(term: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, requirement) in term.items("matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        errors.extend(node_requirement(requirement, &path));
        let key = requirement.text("key");
        for fault in names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, fault));
        }
    }
    for (index, requirement) in term.items("matchFields").iter().enumerate() {
        let path = format!("{path}.matchFields[{index}]");
        let count = requirement.items("values").len();
        match requirement.text("operator") {
            "In" | "NotIn" if count != 1 => errors.push(FieldError::required(
                format!("{path}.values"),
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            )),
            "In" | "NotIn" => {}
            other => {
                errors.push(FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator"));
            }
        }
        if requirement.text("key") != "metadata.name" {
            errors.push(FieldError::invalid(
                format!("{path}.key"),
                requirement.text("key"),
                "not a valid field selector key",
            ));
        }
    }
    errors
}

fn node_requirement(requirement: &Value, path: &str) -> Vec<FieldError> {
    let count = requirement.items("values").len();
    let at = format!("{path}.values");
    match requirement.text("operator") {
        "In" | "NotIn" if count == 0 => {
            vec![FieldError::required(at, "must be specified when `operator` is 'In' or 'NotIn'")]
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            vec![FieldError::forbidden(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]
        }
        "Gt" | "Lt" if count != 1 => {
            vec![FieldError::required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'")]
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => Vec::new(),
        other => vec![FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator")],
    }
}

fn pod_term(term: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for which in ["labelSelector", "namespaceSelector"] {
        if term.has(which) {
            errors.extend(selectors::validate(term.at(which), &format!("{path}.{which}")));
        }
    }
    for (index, name) in term.items("namespaces").iter().enumerate() {
        let name = name.as_str().unwrap_or("");
        for fault in names::dns_label(name) {
            errors.push(FieldError::invalid(format!("{path}.namespace[{index}]"), name, fault));
        }
    }
    let key = term.text("topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
    }
    for fault in names::qualified_name(key) {
        errors.push(FieldError::invalid(format!("{path}.topologyKey"), key, fault));
    }
    errors
}

/// What is wrong with `spec.tolerations`.
pub fn tolerations(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, toleration) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (key, operator, value) = (toleration.text("key"), toleration.text("operator"), toleration.text("value"));
        if key.is_empty() {
            if operator != "Exists" {
                errors.push(FieldError::invalid(
                    format!("{path}.operator"),
                    operator,
                    "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
                ));
            }
        } else {
            for fault in names::qualified_name(key) {
                errors.push(FieldError::invalid(format!("{path}.key"), key, fault));
            }
        }
        let effect = toleration.text("effect");
        if toleration.has("tolerationSeconds") && effect != "NoExecute" {
            errors.push(FieldError::invalid(
                format!("{path}.effect"),
                effect,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            ));
        }
        match operator {
            "Equal" | "" => {
                for fault in names::label_value(value) {
                    errors.push(FieldError::invalid(format!("{path}.operator"), value, fault));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    errors.push(FieldError::invalid(
                        format!("{path}.operator"),
                        value,
                        "value must be empty when `operator` is 'Exists'",
                    ));
                }
            }
            other => errors.push(FieldError::not_supported(format!("{path}.operator"), other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            errors.extend(supported(toleration, "effect", &path, &["NoSchedule", "PreferNoSchedule", "NoExecute"]));
        }
    }
    errors
}

/// What is wrong with `spec.topologySpreadConstraints`.
pub fn spread(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, constraint) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let skew = constraint.int("maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.push(FieldError::invalid(format!("{path}.maxSkew"), skew, "must be greater than zero"));
        }
        let key = constraint.text("topologyKey");
        if key.is_empty() {
            errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
        } else {
            for fault in names::qualified_name(key) {
                errors.push(FieldError::invalid(format!("{path}.topologyKey"), key, fault));
            }
        }
        let when = constraint.text("whenUnsatisfiable");
        if when.is_empty() {
            errors.push(FieldError::required(format!("{path}.whenUnsatisfiable"), "can not be empty"));
        } else {
            errors.extend(supported(constraint, "whenUnsatisfiable", &path, &["DoNotSchedule", "ScheduleAnyway"]));
        }
        if !seen.insert((key, when)) {
            errors.push(FieldError::duplicate(
                format!("{path}.{{topologyKey, whenUnsatisfiable}}"),
                format!("{{{key}, {when}}}"),
            ));
        }
        if let Some(domains) = constraint.int("minDomains") {
            if domains <= 0 {
                errors.push(FieldError::invalid(format!("{path}.minDomains"), domains, "must be greater than zero"));
            }
            if when != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable={}, not {when}", "DoNotSchedule");
                errors.push(FieldError::invalid(format!("{path}.minDomains"), domains, detail));
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if constraint.has(policy) {
                errors.extend(supported(constraint, policy, &path, &["Honor", "Ignore"]));
            }
        }
        if constraint.has("labelSelector") {
            errors.extend(selectors::validate(constraint.at("labelSelector"), &format!("{path}.labelSelector")));
        }
    }
    errors
}

/// What is wrong with `spec.schedulingGates`.
pub fn gates(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, gate) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = gate.text("name");
        for fault in names::qualified_name(name) {
            errors.push(FieldError::invalid(path.clone(), name, fault));
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path, name));
        }
    }
    errors
}
