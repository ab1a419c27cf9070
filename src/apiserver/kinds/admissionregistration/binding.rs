//! Validating- and MutatingAdmissionPolicyBinding: where a policy applies, with which parameters, and what then happens.

use serde_json::Value;

use super::matching::{match_defaults, match_resources, unchangeable};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, Strategy, check, names, selectors};

/// Of ValidatingAdmissionPolicyBindings.
pub const VALIDATING: Strategy = Strategy {
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
    unconditional_update: false,
    whole_again: true,
    ..Strategy::WITH_GENERATION
};

/// Of MutatingAdmissionPolicyBindings.
pub const MUTATING: Strategy = Strategy {
    defaults: |binding, _| match_defaults(binding, "spec.matchResources"),
    validate: |binding, _| mutating_binding_errors(binding),
    validate_update: |new, _, _| mutating_binding_errors(new),
    any_finalizer: true,
    unconditional_update: false,
    whole_again: true,
    ..Strategy::WITH_GENERATION
};

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
