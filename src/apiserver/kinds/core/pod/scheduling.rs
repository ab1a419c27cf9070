//! Validation of what steers a Pod to a Node: affinity, tolerations, spread, gates.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`.

use std::collections::HashSet;

use serde_json::Value;

use super::spec::supported;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names, selectors};

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
        errors.extend(node_selector_term(term.at("preference"), &format!("{at}.preference"), Values::Any));
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
    terms
        .flat_map(|(index, term)| {
            node_selector_term(term, &format!("{path}.nodeSelectorTerms[{index}]"), Values::OfLabels)
        })
        .collect()
}

/// Whether the values of a requirement must be such as a label can have.
#[derive(Clone, Copy, PartialEq)]
enum Values {
    OfLabels,
    Any,
}

fn node_selector_term(term: &Value, path: &str, values: Values) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, requirement) in term.items("matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        errors.extend(node_requirement(requirement, &path));
        let key = requirement.text("key");
        errors.extend(check::faults(format!("{path}.key"), key, names::qualified_name(key)));
        for (place, value) in requirement.items("values").iter().enumerate().filter(|_| values == Values::OfLabels) {
            let value = value.as_str().unwrap_or("");
            errors.extend(check::faults(format!("{path}.values[{place}]"), value, names::label_value(value)));
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
        if requirement.text("key") == "metadata.name" {
            for (place, value) in requirement.items("values").iter().enumerate() {
                let value = value.as_str().unwrap_or("");
                errors.extend(check::faults(format!("{path}.values[{place}]"), value, names::dns_subdomain(value)));
            }
        } else {
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
    for name in term.items("namespaces") {
        let name = name.as_str().unwrap_or("");
        errors.extend(check::faults(format!("{path}.namespace"), name, names::dns_label(name)));
    }
    errors.extend(label_keys(term, path));
    let key = term.text("topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
    }
    for fault in names::qualified_name(key) {
        errors.push(FieldError::invalid(format!("{path}.topologyKey"), key, fault));
    }
    errors
}

/// Keys of labels whose values come from the Pod itself.
fn label_keys(term: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for list in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = term.items(list);
        if !keys.is_empty() && !term.has("labelSelector") {
            let detail = "must not be specified when labelSelector is not set";
            errors.push(FieldError::forbidden(format!("{path}.{list}"), detail));
            continue;
        }
        for (index, key) in keys.iter().enumerate() {
            let key = key.as_str().unwrap_or("");
            errors.extend(check::faults(format!("{path}.{list}[{index}]"), key, names::qualified_name(key)));
        }
    }
    let (keys, other) = (term.items("matchLabelKeys"), term.items("mismatchLabelKeys"));
    let mut selected: HashSet<&str> =
        term.entries("labelSelector.matchLabels").into_iter().map(|(key, _)| key).collect();
    for expression in term.items("labelSelector.matchExpressions") {
        let key = expression.text("key");
        let place = keys.iter().rposition(|known| known == key);
        if let Some(index) = place.filter(|_| selected.contains(key)) {
            let detail = "exists in both matchLabelKeys and labelSelector";
            errors.push(FieldError::invalid(format!("{path}[{index}]"), key, detail));
        }
        selected.insert(key);
    }
    for (index, key) in keys.iter().enumerate().filter(|(_, key)| other.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(FieldError::invalid(format!("{path}.matchLabelKeys[{index}]"), key.clone(), detail));
    }
    errors
}

/// What is wrong with `spec.tolerations`.
pub fn tolerations(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, toleration) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (key, operator, value) = (toleration.text("key"), toleration.text("operator"), toleration.text("value"));
        let mut wrong = |field: &str, value: &str, detail: &str| {
            errors.push(FieldError::invalid(format!("{path}.{field}"), value, detail));
        };
        if key.is_empty() && operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            wrong("operator", operator, detail);
        }
        let effect = toleration.text("effect");
        if toleration.has("tolerationSeconds") && effect != "NoExecute" {
            wrong("effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        }
        match operator {
            "Equal" | "" => {
                let faults = names::label_value(value);
                if !faults.is_empty() {
                    wrong("operator", value, &faults.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                wrong("operator", value, "value must be empty when `operator` is 'Exists'")
            }
            "Exists" => {}
            "Lt" | "Gt" => {
                let known = ["Equal", "Exists", "Lt", "Gt"];
                errors.push(FieldError::not_supported(format!("{path}.operator"), operator, &known));
            }
            other => errors.push(FieldError::not_supported(format!("{path}.operator"), other, &["Equal", "Exists"])),
        }
        if !key.is_empty() {
            errors.extend(check::faults(format!("{path}.key"), key, names::qualified_name(key)));
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
    for (index, constraint) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let skew = constraint.int("maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.push(FieldError::invalid(format!("{path}.maxSkew"), skew, "must be greater than zero"));
        }
        let (key, when) = (constraint.text("topologyKey"), constraint.text("whenUnsatisfiable"));
        if key.is_empty() {
            errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
        }
        let ways = ["DoNotSchedule", "ScheduleAnyway"];
        if !ways.contains(&when) {
            errors.push(FieldError::not_supported(format!("{path}.whenUnsatisfiable"), when, &ways));
        }
        let twin = |other: &Value| other.text("topologyKey") == key && other.text("whenUnsatisfiable") == when;
        if list[index + 1..].iter().any(twin) {
            let at = format!("{path}.{{topologyKey, whenUnsatisfiable}}");
            errors.push(FieldError::duplicate(at, format!("{{{key}, {when}}}")));
        }
        if let Some(domains) = constraint.int("minDomains") {
            let at = format!("{path}.minDomains");
            if domains <= 0 {
                errors.push(FieldError::invalid(at.as_str(), domains, "must be greater than zero"));
            }
            if when != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
                errors.push(FieldError::invalid(at, domains, detail));
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            errors.extend(supported(constraint, policy, &path, &["Honor", "Ignore"]));
        }
        errors.extend(label_keys(constraint, &path));
        errors.extend(selectors::validate(constraint.at("labelSelector"), &format!("{path}.labelSelector")));
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
