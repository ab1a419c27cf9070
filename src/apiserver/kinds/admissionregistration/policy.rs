//! Validating- and MutatingAdmissionPolicy: admission in CEL.

use serde_json::Value;

use super::matching::{self, chosen, expression, match_defaults, match_resources, unchangeable};
use crate::api::cel::policy::{Names, check_gives};
use crate::apiserver::kinds::json::Fill::Choice;
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::{FieldError, Strategy, Subresource, check, conditions, lifecycle, names};

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
            let defined = defined.without_authorizer();
            errors.extend(expression(message, "string", &format!("{path}.messageExpression"), &defined));
        }
        let reason = validation.text("reason");
        let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
        if validation.has("reason") && !reasons.contains(&reason) {
            errors.push(FieldError::not_supported(format!("{path}.reason"), reason, &reasons));
        }
    }
    errors.extend(audit_annotations(policy, &defined));
    errors
}

/// The variables that a policy defines, in their order, and what is wrong with them.
fn variables(policy: &Value) -> (Names, Vec<FieldError>) {
    let has_params = policy.has("spec.paramKind");
    if policy.items("spec.variables").is_empty() {
        return (Names::without_variables(has_params), Vec::new());
    }
    let mut defined = Names::new(has_params);
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
        let whole = format!("{}/{key}", policy.text("metadata.name"));
        errors.extend(check::faults(format!("{path}.key"), &whole, names::qualified_name(&whole)));
        let text = annotation.text("valueExpression");
        if text.trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.valueExpression"), "valueExpression is not specified"));
        } else if let Err(why) = check_gives(text, "string", defined)
            && !why.ends_with(" but got null")
        {
            let why = why.replace("evaluate to string", "evaluate to one of [string null_type]");
            errors.push(FieldError::invalid(format!("{path}.valueExpression"), text, why));
        }
        if list[..index].iter().any(|other| other.text("key") == key) {
            errors.push(FieldError::duplicate(format!("{path}.key"), key));
        }
    }
    errors
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
    // Only what is created or updated can be changed.
    if policy.text("kind") == "MutatingAdmissionPolicy" {
        errors.extend(unchangeable(policy, "spec.matchConstraints.resourceRules"));
    }
    let has_params = policy.has("spec.paramKind");
    errors.extend(matching::conditions(policy.items("spec.matchConditions"), "spec.matchConditions", has_params));
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
    }
    errors
}

/// The two ways to say a change: the patch type, its field, and what its expression gives.
const FORMS: [(&str, &str, &str); 2] =
    [("ApplyConfiguration", "applyConfiguration", "Object"), ("JSONPatch", "jsonPatch", "list(JSONPatch)")];

fn mutations(policy: &Value) -> Vec<FieldError> {
    let mut errors = constraints(policy);
    let (defined, faults) = variables(policy);
    errors.extend(faults);
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
