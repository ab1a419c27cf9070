//! Validating- and MutatingAdmissionPolicy and their bindings: admission in CEL.

use serde_json::Value;

use crate::api::cel::policy::{Names, check_gives};
use crate::apiserver::kinds::json::Fill::{Choice, Empty, Text};
use crate::apiserver::kinds::json::{Json, at_mut, fill};
use crate::apiserver::kinds::{FieldError, Strategy, Subresource, check, conditions, lifecycle, names, selectors};

/// Of ValidatingAdmissionPolicies.
pub const VALIDATING: Strategy = Strategy {
    defaults: |policy, _| {
        match_defaults(policy, "spec.matchConstraints");
        fill(policy, &[("spec.failurePolicy", Choice("Fail"))]);
    },
    validate: |policy, _| validate(policy),
    validate_update: |new, _, _| validate(new),
    unconditional_update: false,
    subresources: &[Subresource { validate: |new, _, _| status(new), ..lifecycle::STATUS }],
    any_finalizer: true,
    whole_again: true,
    ..Strategy::WITH_STATUS_AND_GENERATION
};

/// What is wrong with the report of a policy's expressions.
fn status(policy: &Value) -> Vec<FieldError> {
    let path = "status.typeChecking.expressionWarnings";
    let mut errors = Vec::new();
    for (index, warning) in policy.items(path).iter().enumerate() {
        errors.extend(check::required(warning, &["warning", "fieldRef"], &format!("{path}[{index}]")));
    }
    errors.extend(conditions::validate(policy, "status.conditions"));
    errors
}

/// Of ValidatingAdmissionPolicyBindings.
pub const VALIDATING_BINDING: Strategy = Strategy {
    defaults: |binding, _| match_defaults(binding, "spec.matchResources"),
    validate: |binding, _| {
        let mut errors = binding_errors(binding);
        errors.extend(actions(binding));
        errors
    },
    validate_update: |new, _, _| {
        let mut errors = binding_errors(new);
        errors.extend(actions(new));
        errors
    },
    any_finalizer: true,
    whole_again: true,
    ..Strategy::WITH_GENERATION
};

/// Of MutatingAdmissionPolicies.
pub const MUTATING: Strategy = Strategy {
    defaults: |policy, _| {
        match_defaults(policy, "spec.matchConstraints");
        fill(policy, &[("spec.failurePolicy", Choice("Fail"))]);
    },
    validate: |policy, _| mutations(policy),
    validate_update: |new, _, _| mutations(new),
    unconditional_update: false,
    any_finalizer: true,
    whole_again: true,
    ..Strategy::WITH_GENERATION
};

/// Of MutatingAdmissionPolicyBindings.
pub const MUTATING_BINDING: Strategy = Strategy {
    defaults: |binding, _| match_defaults(binding, "spec.matchResources"),
    validate: |binding, _| mutating_binding_errors(binding),
    validate_update: |new, _, _| mutating_binding_errors(new),
    any_finalizer: true,
    whole_again: true,
    ..Strategy::WITH_GENERATION
};

fn match_defaults(object: &mut Value, path: &str) {
    if let Some(matching) = at_mut(object, path).filter(|matching| matching.is_object()) {
        fill(
            matching,
            &[
                ("namespaceSelector", Empty),
                ("objectSelector", Empty),
                ("matchPolicy", Choice("Equivalent")),
                ("resourceRules[].scope", Text("*")),
                ("excludeResourceRules[].scope", Text("*")),
            ],
        );
    }
}

fn validate(policy: &Value) -> Vec<FieldError> {
    let mut errors = constraints(policy);
    let (defined, faults) = variables(policy);
    errors.extend(faults);
    let validations = policy.items("spec.validations");
    if validations.is_empty() && policy.items("spec.auditAnnotations").is_empty() {
        for field in ["spec.validations", "spec.auditAnnotations"] {
            errors.push(FieldError::required(field, "validations or auditAnnotations must contain at least one item"));
        }
    }
    for (index, validation) in validations.iter().enumerate() {
        let path = format!("spec.validations[{index}]");
        errors.extend(expression(validation.text("expression"), "bool", &format!("{path}.expression"), &defined));
        for field in ["messageExpression", "message"] {
            let text = validation.text(field);
            let wrong = match text.trim() {
                "" if !text.is_empty() => "must be non-empty if specified",
                trimmed if field == "message" && trimmed.contains(['\n', '\r']) => "must not contain line breaks",
                _ => continue,
            };
            errors.push(FieldError::invalid(format!("{path}.{field}"), text, wrong));
        }
        let message = validation.text("messageExpression");
        if !message.trim().is_empty() {
            errors.extend(expression(message, "string", &format!("{path}.messageExpression"), &defined));
        }
        let reason = validation.text("reason");
        let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
        if !reason.is_empty() && !reasons.contains(&reason) {
            errors.push(FieldError::not_supported(format!("{path}.reason"), reason, &reasons));
        }
    }
    errors.extend(audit_annotations(policy, &defined));
    errors
}

/// The variables that a policy defines, in their order, and what is wrong with them.
fn variables(policy: &Value) -> (Names, Vec<FieldError>) {
    let mut defined = Names::new(policy.has("spec.paramKind"));
    let mut errors = Vec::new();
    for (index, variable) in policy.items("spec.variables").iter().enumerate() {
        let path = format!("spec.variables[{index}]");
        let (name, text) = (variable.text("name"), variable.text("expression"));
        if name.trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), "name is not specified"));
        } else if !is_identifier(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, "must be a valid CEL identifier"));
        }
        if text.trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.expression"), "expression is not specified"));
        } else if let Err(why) = defined.define(name, text) {
            errors.push(FieldError::invalid(format!("{path}.expression"), text, why));
        }
    }
    (defined, errors)
}

/// Whether CEL takes a text for a name: letters, digits and `_`, and no word of its own.
fn is_identifier(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(letters) && !name.starts_with(|c: char| c.is_ascii_digit()) && !crate::api::cel::is_reserved(name)
}

fn audit_annotations(policy: &Value, defined: &Names) -> Vec<FieldError> {
    let list = policy.items("spec.auditAnnotations");
    let mut errors = Vec::new();
    for (index, annotation) in list.iter().enumerate() {
        let path = format!("spec.auditAnnotations[{index}]");
        let key = annotation.text("key");
        if key.is_empty() {
            errors.push(FieldError::required(format!("{path}.key"), ""));
        } else {
            let whole = format!("{}/{key}", policy.text("metadata.name"));
            errors.extend(check::faults(format!("{path}.key"), key, names::qualified_name(&whole)));
        }
        let text = annotation.text("valueExpression");
        if text.trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.valueExpression"), "valueExpression is not specified"));
        } else if let Err(why) = check_gives(text, "string", defined) {
            let why = why.replace("evaluate to string", "evaluate to one of [string null_type]");
            errors.push(FieldError::invalid(format!("{path}.valueExpression"), text, why));
        }
        if !key.is_empty() && list[..index].iter().any(|other| other.text("key") == key) {
            errors.push(FieldError::duplicate(format!("{path}.key"), key));
        }
    }
    errors
}

/// What is wrong with a CEL expression that must give a `wanted`.
fn expression(text: &str, wanted: &str, path: &str, defined: &Names) -> Vec<FieldError> {
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

/// The kind of the objects that a policy takes its parameters from.
fn param_kind(policy: &Value) -> Vec<FieldError> {
    let param = policy.at("spec.paramKind");
    if !param.is_object() {
        return Vec::new();
    }
    let (api_version, kind) = (param.text("apiVersion"), param.text("kind"));
    let mut errors = Vec::new();
    let path = "spec.paramKind.apiVersion";
    if api_version.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if version.contains('/') {
            let detail = format!("unexpected GroupVersion string: {api_version}");
            errors.push(FieldError::invalid(path, api_version, detail));
        } else {
            let faults = if group.is_empty() { Vec::new() } else { names::dns_subdomain(group) };
            errors.extend(check::faults(path, group, faults));
            errors.extend(check::faults(path, version, names::dns_1035_label(version)));
        }
    }
    let path = "spec.paramKind.kind";
    let faults = names::dns_1035_label(&kind.to_lowercase());
    if kind.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !faults.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", faults.join(","));
        errors.push(FieldError::invalid(path, kind, detail));
    }
    errors
}

fn constraints(policy: &Value) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> =
        chosen(policy.at("spec"), "failurePolicy", "spec", &["Fail", "Ignore"]).into_iter().collect();
    errors.extend(param_kind(policy));
    errors.extend(match_constraints(policy));
    errors
}

fn match_constraints(policy: &Value) -> Vec<FieldError> {
    let matching = policy.at("spec.matchConstraints");
    if matching.is_null() {
        return vec![FieldError::required("spec.matchConstraints", "")];
    }
    let mut errors = match_resources(matching, "spec.matchConstraints");
    if matching.items("resourceRules").is_empty() {
        errors.push(FieldError::required("spec.matchConstraints.resourceRules", ""));
        return errors;
    }
    errors.extend(conditions(policy.items("spec.matchConditions"), "spec.matchConditions"));
    errors
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
        for (index, _) in
            items.iter().enumerate().filter(|(_, item)| *item == "" && matches!(field, "apiVersions" | "resources"))
        {
            errors.push(FieldError::required(format!("{path}[{index}]"), ""));
        }
        let all = if field == "resources" { "*/*" } else { "*" };
        if items.len() > 1 && items.iter().any(|item| item == all) {
            let detail = format!("if '{all}' is present, must not specify other {called}");
            errors.push(FieldError::invalid(path.as_str(), Value::Array(items.to_vec()), detail));
        }
        let plain = items.iter().filter_map(Value::as_str).any(|item| item != "*" && !item.contains('/'));
        if field == "resources" && plain && items.iter().any(|item| item == "*") {
            let detail = "if '*' is present, must not specify other resources without subresources";
            errors.push(FieldError::invalid(path, Value::Array(items.to_vec()), detail));
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

/// What is wrong with `matchConditions`.
pub fn conditions(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, condition) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (name, text) = (condition.text("name"), condition.text("expression"));
        if text.trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.expression"), ""));
        } else {
            errors.extend(expression(text, "bool", &format!("{path}.expression"), &Names::new(true)));
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

fn mutating_binding_errors(binding: &Value) -> Vec<FieldError> {
    let mut errors = binding_errors(binding);
    errors.extend(unchangeable(binding, "spec.matchResources.resourceRules"));
    errors
}

fn binding_errors(binding: &Value) -> Vec<FieldError> {
    let policy = binding.text("spec.policyName");
    let mut errors = Vec::new();
    if policy.is_empty() {
        errors.push(FieldError::required("spec.policyName", ""));
    } else {
        errors.extend(check::faults("spec.policyName", policy, names::dns_subdomain(policy)));
    }
    let param = binding.at("spec.paramRef");
    if param.is_object() {
        errors.extend(param_reference(param, "spec.paramRef"));
    }
    errors.extend(match_resources(binding.at("spec.matchResources"), "spec.matchResources"));
    errors
}

/// What is wrong with what a policy or a binding is about.
/// A choice that was made is one of these: an empty text is there, and is none.
fn chosen(object: &Value, field: &str, path: &str, known: &[&str]) -> Option<FieldError> {
    let choice = object.text(field);
    let wrong = object.has(field) && !known.contains(&choice);
    wrong.then(|| FieldError::not_supported(format!("{path}.{field}"), choice, known))
}

fn match_resources(matching: &Value, path: &str) -> Vec<FieldError> {
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

fn param_reference(param: &Value, path: &str) -> Vec<FieldError> {
    let name = param.text("name");
    let at = format!("{path}.name");
    let mut errors = Vec::new();
    if !name.is_empty() {
        errors.extend(check::faults(at.as_str(), name, names::path_segment(name, false)));
        if param.has("selector") {
            errors.push(FieldError::forbidden(at, "name and selector are mutually exclusive"));
        }
    }
    errors.extend(selectors::validate(param.at("selector"), &format!("{path}.selector")));
    if !name.is_empty() && param.has("selector") {
        errors.push(FieldError::forbidden(format!("{path}.selector"), "name and selector are mutually exclusive"));
    }
    let action = param.text("parameterNotFoundAction");
    let at = format!("{path}.parameterNotFoundAction");
    if action.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else if !["Allow", "Deny"].contains(&action) {
        errors.push(FieldError::not_supported(at, action, &["Deny", "Allow"]));
    }
    if name.is_empty() && !param.has("selector") {
        errors.push(FieldError::required(path, "one of name or selector must be specified"));
    }
    errors
}

fn actions(binding: &Value) -> Vec<FieldError> {
    let list = binding.items("spec.validationActions");
    if list.is_empty() {
        return vec![FieldError::required("spec.validationActions", "")];
    }
    let known = ["Audit", "Deny", "Warn"];
    let mut errors = Vec::new();
    for (index, action) in list.iter().enumerate() {
        let path = format!("spec.validationActions[{index}]");
        if !known.contains(&action.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(path, action.clone(), &known));
        } else if list[..index].contains(action) {
            errors.push(FieldError::duplicate(path, action.clone()));
        }
    }
    let both = |one: &str| list.iter().any(|action| action == one);
    if both("Deny") && both("Warn") {
        errors.push(FieldError::invalid(
            "spec.validationActions",
            Value::Array(list.to_vec()),
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
        ));
    }
    errors
}

/// The two ways to say a change: the patch type, its field, and what its expression gives.
const FORMS: [(&str, &str, &str); 2] =
    [("ApplyConfiguration", "applyConfiguration", "Object"), ("JSONPatch", "jsonPatch", "list(JSONPatch)")];

/// What is being deleted cannot be changed.
fn unchangeable(object: &Value, rules: &str) -> Vec<FieldError> {
    let known = ["*", "CONNECT", "CREATE", "UPDATE"];
    let operations = object.items(rules).iter().flat_map(|rule| rule.items("operations"));
    let others = operations.filter(|operation| !known.contains(&operation.as_str().unwrap_or("")));
    others
        .map(|operation| FieldError::not_supported(format!("{rules}.operations"), operation.clone(), &known))
        .collect()
}

fn mutations(policy: &Value) -> Vec<FieldError> {
    let mut errors = constraints(policy);
    let (defined, faults) = variables(policy);
    errors.extend(faults);
    errors.extend(unchangeable(policy, "spec.matchConstraints.resourceRules"));
    let list = policy.items("spec.mutations");
    if list.is_empty() {
        errors.push(FieldError::required("spec.mutations", "mutations must contain at least one item"));
    }
    for (index, mutation) in list.iter().enumerate() {
        errors.extend(mutation_faults(mutation, &format!("spec.mutations[{index}]"), &defined));
    }
    let again = policy.text("spec.reinvocationPolicy");
    let known = ["IfNeeded", "Never"];
    if again.is_empty() {
        errors.push(FieldError::required("spec.reinvocationPolicy", ""));
    } else if !known.contains(&again) {
        errors.push(FieldError::not_supported("spec.reinvocationPolicy", again, &known));
    }
    errors
}

fn mutation_faults(mutation: &Value, path: &str, defined: &Names) -> Vec<FieldError> {
    let kind = mutation.text("patchType");
    if kind.is_empty() {
        return vec![FieldError::required(format!("{path}.patchType"), "")];
    }
    if !FORMS.iter().any(|(known, _, _)| *known == kind) {
        return vec![FieldError::not_supported(format!("{path}.patchType"), kind, &FORMS.map(|(known, _, _)| known))];
    }
    let mut errors = Vec::new();
    for (known, field, wanted) in FORMS {
        let path = format!("{path}.{field}");
        match (known == kind, mutation.has(field)) {
            (true, false) => {
                errors.push(FieldError::required(path, format!("must be specified when patchType is {kind}")));
            }
            (false, true) => {
                let detail = format!("must not be specified when patchType is {kind}");
                errors.push(FieldError::invalid(path, format!("{{{field}}}"), detail));
            }
            (true, true) => {
                let text = mutation.at(field).text("expression");
                errors.extend(expression(text, wanted, &format!("{path}.expression"), defined));
            }
            (false, false) => {}
        }
    }
    errors
}
