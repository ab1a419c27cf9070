//! What policies, bindings and webhooks are about: the resources, operations and conditions that they match.

use serde_json::Value;

use crate::api::cel::policy::{Names, check_gives};
use crate::apiserver::kinds::json::Fill::{Choice, Empty};
use crate::apiserver::kinds::json::{Json, at_mut, fill};
use crate::apiserver::kinds::{FieldError, check, names, selectors};

/// Defaults of what a policy or a binding is about.
pub fn match_defaults(object: &mut Value, path: &str) {
    if let Some(matching) = at_mut(object, path).filter(|matching| matching.is_object()) {
        fill(
            matching,
            &[
                ("namespaceSelector", Empty),
                ("objectSelector", Empty),
                ("matchPolicy", Choice("Equivalent")),
                ("resourceRules[].scope", Choice("*")),
                ("excludeResourceRules[].scope", Choice("*")),
            ],
        );
    }
}

/// What is wrong with a rule of resources and operations.
pub fn rule(rule: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let lists = [
        ("operations", "operations"),
        ("apiGroups", "API groups"),
        ("apiVersions", "API versions"),
        ("resources", "resources"),
    ];
    for (field, called) in lists {
        let items = rule.items(field);
        let path = format!("{path}.{field}");
        if items.is_empty() {
            errors.push(FieldError::required(&path, ""));
        }
        if field == "resources" {
            errors.extend(resources(items, &path));
            continue;
        }
        for (index, _) in items.iter().enumerate().filter(|(_, item)| *item == "" && field == "apiVersions") {
            errors.push(FieldError::required(format!("{path}[{index}]"), ""));
        }
        if items.len() > 1 && items.iter().any(|item| item == "*") {
            let detail = format!("if '*' is present, must not specify other {called}");
            errors.push(FieldError::invalid(path.as_str(), Value::Array(items.to_vec()), detail));
        }
    }
    let known = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    for (index, operation) in rule.items("operations").iter().enumerate() {
        if !known.contains(&operation.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(format!("{path}.operations[{index}]"), operation.clone(), &known));
        }
    }
    let scopes = ["*", "Cluster", "Namespaced"];
    if rule.has("scope") && !scopes.contains(&rule.text("scope")) {
        errors.push(FieldError::not_supported(format!("{path}.scope"), rule.text("scope"), &scopes));
    }
    errors
}

/// Names of resources, each perhaps with that of a subresource. What a pattern covers is not said again after it.
fn resources(items: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (mut whole, mut everywhere): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    // Kubernetes looks at the last one only.
    let mut ends_plain = false;
    for (index, item) in items.iter().enumerate() {
        let name = item.as_str().unwrap_or_default();
        let at = format!("{path}[{index}]");
        if name.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let Some((resource, sub)) = name.split_once('/') else {
            ends_plain = name != "*";
            continue;
        };
        if whole.contains(&resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {name}");
            errors.push(FieldError::invalid(&at, name, detail));
        }
        if everywhere.contains(&sub) {
            let detail = format!("if '*/{sub}' is present, must not specify {name}");
            errors.push(FieldError::invalid(&at, name, detail));
        }
        if sub == "*" {
            whole.push(resource);
        }
        if resource == "*" {
            everywhere.push(sub);
        }
    }
    let has = |wanted: &str| items.iter().any(|item| item == wanted);
    let mut all = |detail: &str| errors.push(FieldError::invalid(path, Value::Array(items.to_vec()), detail));
    if items.len() > 1 && has("*/*") {
        all("if '*/*' is present, must not specify other resources");
    }
    if has("*") && ends_plain {
        all("if '*' is present, must not specify other resources without subresources");
    }
    errors
}

/// What is wrong with `matchConditions`; `has_params`: they may ask about a policy's parameters.
pub fn conditions(list: &[Value], path: &str, has_params: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, condition) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (name, text) = (condition.text("name"), condition.text("expression"));
        if text.trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.expression"), ""));
        } else {
            errors.extend(expression(
                text,
                "bool",
                &format!("{path}.expression"),
                &Names::without_variables(has_params),
            ));
        }
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
            continue;
        }
        let faults = names::qualified_name(name);
        errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.name"), name, fault)));
        if list[..index].iter().any(|other| other.text("name") == name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
    }
    errors
}

/// A choice that was made is one of these: an empty text is there, and is none.
pub fn chosen(object: &Value, field: &str, path: &str, known: &[&str]) -> Option<FieldError> {
    let choice = object.text(field);
    let wrong = object.has(field) && !known.contains(&choice);
    wrong.then(|| FieldError::not_supported(format!("{path}.{field}"), choice, known))
}

/// What is wrong with what a policy or a binding is about.
pub fn match_resources(matching: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(chosen(matching, "matchPolicy", path, &["Equivalent", "Exact"]));
    for field in ["namespaceSelector", "objectSelector"] {
        errors.extend(selectors::validate(matching.at(field), &format!("{path}.{field}")));
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (index, own) in matching.items(field).iter().enumerate() {
            let at = format!("{path}.{field}[{index}]");
            errors.extend(rule(own, &at));
            let names = own.items("resourceNames");
            for (place, name) in names.iter().enumerate() {
                let (at, text) = (format!("{at}.resourceNames[{place}]"), name.as_str().unwrap_or_default());
                errors.extend(check::faults(at.as_str(), text, names::path_segment(text, false)));
                if names[..place].contains(name) {
                    errors.push(FieldError::duplicate(at, name.clone()));
                }
            }
        }
    }
    errors
}

/// What is being deleted cannot be changed.
pub fn unchangeable(object: &Value, rules: &str) -> Vec<FieldError> {
    let known = ["*", "CONNECT", "CREATE", "UPDATE"];
    let operations = object.items(rules).iter().flat_map(|rule| rule.items("operations"));
    let others = operations.filter(|operation| !known.contains(&operation.as_str().unwrap_or("")));
    others
        .map(|operation| FieldError::not_supported(format!("{rules}.operations"), operation.clone(), &known))
        .collect()
}

/// What is wrong with a CEL expression that must give a `wanted`.
pub fn expression(text: &str, wanted: &str, path: &str, defined: &Names) -> Vec<FieldError> {
    if text.trim().is_empty() {
        let detail = if wanted == "bool" { "expression is not specified" } else { "" };
        return vec![FieldError::required(path, detail)];
    }
    // A mutation's expression is trimmed before it is looked at, a validation's is not.
    let text = if matches!(wanted, "bool" | "string") { text } else { text.trim() };
    match check_gives(text, wanted, defined) {
        Ok(()) => Vec::new(),
        Err(problem) => vec![FieldError::invalid(path, text, problem)],
    }
}
