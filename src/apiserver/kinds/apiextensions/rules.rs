//! `x-kubernetes-validations` as text: what of a rule can be told wrong without compiling it.

use serde_json::Value;

use crate::api::cel::check::{self, Type, Verdict};
use crate::api::custom::node::Node;
use crate::api::custom::rules::{self, Rule};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Faults of the rules of one node.
pub fn shape(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, rule) in schema.items("x-kubernetes-validations").iter().enumerate() {
        let at = |field: &str| format!("{path}.x-kubernetes-validations[{index}].{field}");
        let text = |field: &str| rule.text(field);
        let (body, message) = (text("rule").trim(), text("message").trim());
        let broken = |text: &str| text.contains(['\n', '\r']);
        if body.is_empty() {
            errors.push(FieldError::required(at("rule"), "rule is not specified"));
        } else if !text("message").is_empty() && message.is_empty() {
            errors.push(FieldError::invalid(at("message"), text("message"), "must be non-empty if specified"));
        } else if broken(message) {
            errors.push(FieldError::invalid(at("message"), text("message"), "must not contain line breaks"));
        } else if broken(body) && message.is_empty() {
            errors.push(FieldError::required(at("message"), "message must be specified if rule contains line breaks"));
        }
        if !text("messageExpression").is_empty() && text("messageExpression").trim().is_empty() {
            errors.push(FieldError::required(
                at("messageExpression"),
                "messageExpression must be non-empty if specified",
            ));
        }
        if let Some(reason) = rule["reason"].as_str().filter(|reason| !REASONS.contains(reason)) {
            errors.push(FieldError::not_supported(at("reason"), reason, &REASONS));
        }
        let place = text("fieldPath");
        if !place.is_empty() {
            if place.trim().is_empty() {
                errors.push(FieldError::invalid(at("fieldPath"), place, "must be non-empty if specified"));
            }
            if broken(place) {
                errors.push(FieldError::invalid(at("fieldPath"), place, "must not contain line breaks"));
            }
            if field_at(schema, place).is_none() {
                errors.push(FieldError::invalid(at("fieldPath"), place, "must be a valid path"));
            }
        }
    }
}

/// The schema that a path such as `.spec.size` or `.labels['a.b']` leads to; lists are not entered.
pub fn field_at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let mut here = schema;
    let mut rest = path.trim();
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix("['") {
            let (inside, after) = after.split_once("']")?;
            (name, rest) = (inside, after);
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            (name, rest) = after.split_at(end);
        }
        here = match here["properties"].get(name) {
            Some(field) => field,
            None => Some(&here["additionalProperties"]).filter(|others| others.is_object())?,
        };
    }
    Some(here)
}

/// Why a path leads nowhere.
pub fn why_no_path(schema: &Value, path: &str) -> String {
    if !path.starts_with(['.', '[']) {
        return format!("expected [ or . but got: {}", path.split(['.', '[']).next().unwrap_or(""));
    }
    let steps: Vec<&str> = path.split('.').skip(1).collect();
    let known = |count: usize| field_at(schema, &format!(".{}", steps[..count].join("."))).is_some();
    let lost = (1..=steps.len()).find(|count| !known(*count)).unwrap_or(steps.len());
    format!("does not refer to a valid field: {}", steps.get(lost - 1).unwrap_or(&""))
}

/// Faults of the rules of a whole schema that can only be told by compiling them.
pub fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let root = Node::read(schema);
    let mut found = Found::default();
    if root.has_rules {
        node(&root, schema, path, 1, true, &mut found);
    }
    let limit = rules::COST_LIMITS.1;
    if found.total > limit {
        let dear = found.costs.iter().filter(|(_, cost)| *cost > limit / 100);
        let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
        found.errors.extend(dear.map(|(at, _)| FieldError::forbidden(at.clone(), detail)));
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        found.errors.push(FieldError::forbidden(path, too_dear(what, found.total, limit)));
    }
    found.errors
}

#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
    total: u64,
    costs: Vec<(String, u64)>,
}

/// `times`: how often the place can be there in one object.
fn node(ruled: &Node, schema: &Value, path: &str, times: u64, is_object: bool, found: &mut Found) {
    let kind = rules::type_of(ruled, is_object);
    for (index, rule) in ruled.rules.iter().enumerate() {
        let at = format!("{path}.x-kubernetes-validations[{index}].rule");
        let told = &schema["x-kubernetes-validations"][index];
        match verdict(rule, &kind) {
            Ok(verdict) => {
                let cost = verdict.cost.saturating_mul(times);
                if cost > rules::COST_LIMITS.0 {
                    let detail = too_dear("estimated rule cost", cost, rules::COST_LIMITS.0);
                    found.errors.push(FieldError::forbidden(at.clone(), detail));
                }
                found.total = found.total.saturating_add(cost);
                found.costs.push((at, cost));
            }
            Err(detail) => found.errors.push(FieldError::invalid_raw(at, go_rule(told), detail)),
        }
    }
    for (name, field) in &ruled.fields {
        let place = format!("{path}.properties[{name}]");
        node(field, &schema["properties"][name.as_str()], &place, times, field.embedded, found);
    }
    let many = times.saturating_mul(rules::cardinality(ruled));
    for (keyword, inner) in [("additionalProperties", &ruled.others), ("items", &ruled.items)] {
        if let Some(inner) = inner {
            node(inner, &schema[keyword], &format!("{path}.{keyword}"), many, inner.embedded, found);
        }
    }
}

fn verdict(rule: &Rule, kind: &Type) -> Result<Verdict, String> {
    let program = rule.program.as_ref().map_err(Clone::clone)?;
    let variables = [("self", kind.clone()), ("oldSelf", kind.clone())];
    let verdict = check::check(program, &variables)?;
    match &verdict.kind {
        Type::Dyn | Type::Plain("bool") => Ok(verdict),
        _ => Err("cel expression must evaluate to a bool".to_string()),
    }
}

fn too_dear(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        f if f > 100.0 => "more than 100x".to_string(),
        f if f < 1.5 => format!("{f:.6}x"),
        f => format!("{f:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// The internal Go struct of a rule as `encoding/json` prints it.
fn go_rule(rule: &Value) -> String {
    let text = |key: &str| rule[key].as_str().unwrap_or_default();
    let shown = serde_json::json!({
        "Rule": text("rule"), "Message": text("message"), "MessageExpression": text("messageExpression"),
        "Reason": rule["reason"], "FieldPath": text("fieldPath"), "OptionalOldSelf": rule["optionalOldSelf"],
    });
    shown.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
