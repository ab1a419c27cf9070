//! ResourceQuota: the most that one namespace may hold.

use std::collections::BTreeSet;

use serde_json::Value;

use super::resources;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, Strategy, Subresource, check, lifecycle};

/// Of ResourceQuotas.
pub const STRATEGY: Strategy = Strategy {
    validate: |quota, _| validate(quota),
    validate_update: |new, old, _| {
        let mut errors = validate(new);
        let scopes = |quota: &Value| -> BTreeSet<String> {
            quota.items("spec.scopes").iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        if scopes(new) != scopes(old) {
            errors.push(FieldError::invalid("spec.scopes", new.at("spec.scopes").clone(), "field is immutable"));
        }
        errors
    },
    subresources: &[Subresource {
        validate: |new, _, _| [hard(new, "status.hard"), hard(new, "status.used")].concat(),
        ..lifecycle::STATUS
    }],
    ..Strategy::WITH_STATUS
};

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

fn validate(quota: &Value) -> Vec<FieldError> {
    let mut errors = hard(quota, "spec.hard");
    let scopes = quota.items("spec.scopes");
    let names: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
    let mut wrong = |detail: &str| {
        errors.push(FieldError::invalid("spec.scopes", Value::Array(scopes.to_vec()), detail));
    };
    for scope in &names {
        if !SCOPES.contains(scope) {
            wrong("unsupported scope");
        }
        for _ in misfits(quota, scope) {
            wrong("unsupported scope applied to resource");
        }
    }
    for _ in conflicts(&names) {
        wrong("conflicting scopes");
    }
    errors.extend(selector(quota));
    errors
}

/// What is wrong with amounts at `path`: `spec.hard`, `status.hard`, `status.used`.
fn hard(quota: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, amount) in quota.entries(path) {
        let path = format!("{path}[{name}]");
        errors.extend(resources::quota_name(name, &path));
        errors.extend(resources::amount_of(name, amount, &path));
    }
    errors
}

/// Names in `spec.hard` that a scope says nothing about.
fn misfits<'a>(quota: &'a Value, scope: &'a str) -> impl Iterator<Item = &'a str> {
    let of_pods = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    let fits = move |name: &str| match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            name == "pods" || of_pods.contains(&name)
        }
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    };
    let names = quota.entries("spec.hard").into_iter().map(|(name, _)| name);
    names.filter(move |name| resources::is_standard_quota(name) && !fits(name))
}

/// Pairs of scopes that no object can be in both of.
fn conflicts(scopes: &[&str]) -> impl Iterator<Item = ()> {
    let pairs = [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")];
    let both = pairs.map(|(one, other)| scopes.contains(&one) && scopes.contains(&other));
    both.into_iter().filter(|both| *both).map(|_| ())
}

/// Errors name the list, not the requirement in it.
fn selector(quota: &Value) -> Vec<FieldError> {
    const EXISTS: &str = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
    let path = "spec.scopeSelector.matchExpressions";
    let list = quota.items(path);
    let shown = || {
        let expressions: Vec<String> =
            list.iter().map(|one| check::go_struct(one, &["ScopeName", "Operator", "Values"])).collect();
        format!("{{\"MatchExpressions\":[{}]}}", expressions.join(","))
    };
    let mut errors = Vec::new();
    for requirement in list {
        let scope = requirement.text("scopeName");
        let operator = requirement.text("operator");
        let values = requirement.items("values");
        let mut wrong = |field: &str, value: Value, detail: &str| {
            errors.push(FieldError::invalid(format!("{path}.{field}"), value, detail));
        };
        if !SCOPES.contains(&scope) {
            wrong("scopeName", scope.into(), "unsupported scope");
        }
        let plain = ["BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"];
        if plain.contains(&scope) && operator != "Exists" {
            wrong("operator", operator.into(), EXISTS);
        }
        match operator {
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                wrong("values", Value::Array(values.to_vec()), detail);
            }
            "Exists" | "DoesNotExist" => {}
            other => wrong("operator", other.into(), "not a valid selector operator"),
        }
        if matches!(operator, "In" | "NotIn") && values.is_empty() {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(FieldError::required(format!("{path}.values"), detail));
        }
        for _ in misfits(quota, scope) {
            errors.push(FieldError::invalid_raw(path, shown(), "unsupported scope applied to resource"));
        }
    }
    let names: Vec<&str> = list.iter().map(|requirement| requirement.text("scopeName")).collect();
    for () in conflicts(&names) {
        let shown = Value::Array(quota.items("spec.scopes").to_vec());
        errors.push(FieldError::invalid(path, shown, "conflicting scopes"));
    }
    errors
}
