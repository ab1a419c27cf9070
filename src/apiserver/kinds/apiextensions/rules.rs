//! `x-kubernetes-validations` as text: what of a rule can be told wrong without compiling it.

use serde_json::Value;

use crate::api::cel::check::{self, Scope, Type, Verdict};
use crate::api::custom::node::Node;
use crate::api::custom::rule_types;
use crate::api::custom::rules::Rule;
use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// The most rules that are named when all together cost too much.
const MOST_TOLD: usize = 4;

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
    // The way is gone step by step: a bracket is refused where it is reached, a name where it is not there.
    let plain = path.split('[').next().unwrap_or_default();
    match path.contains('[') && field_at(schema, plain).is_some() {
        true => "array notation is not allowed".to_string(),
        false => "does not refer to a valid field".to_string(),
    }
}

/// Faults of the rules of a whole schema that can only be told by compiling them; those of a node with
/// `faulty` places in it are not compiled.
pub fn check(schema: &Value, path: &str, faulty: &[String]) -> Vec<FieldError> {
    let root = Node::read(schema);
    let mut found = Found { faulty: faulty.to_vec(), ..Found::default() };
    if root.has_rules {
        let here = Place { schema, path, times: Some(1), is_object: true, loose: None };
        node(&root, &here, &mut found);
    }
    let limit = rule_types::COST_LIMITS.1;
    if found.total > limit {
        found.costs.retain(|(_, cost)| *cost >= limit / 100);
        found.costs.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
        found
            .errors
            .extend(found.costs.iter().take(MOST_TOLD).map(|(at, _)| FieldError::forbidden(at.clone(), detail)));
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        found.errors.push(FieldError::forbidden(path, too_dear(what, found.total, limit)));
    }
    found.errors
}

#[derive(Default)]
struct Found {
    /// Where the schema is wrong by itself.
    faulty: Vec<String>,
    errors: Vec<FieldError>,
    total: u64,
    costs: Vec<(String, u64)>,
}

impl Found {
    fn spend(&mut self, at: String, cost: u64) {
        self.total = self.total.saturating_add(cost);
        self.costs.push((at, cost));
    }
}

/// Where a node lies.
struct Place<'a> {
    schema: &'a Value,
    path: &'a str,
    /// How often the place can be there in one object; `None`: as often as fits into a request.
    times: Option<u64>,
    /// A whole object, with `kind`, `apiVersion` and `metadata`.
    is_object: bool,
    /// The part around it whose old and new elements cannot be told to be the same.
    loose: Option<&'a str>,
}

fn node(ruled: &Node, place: &Place, found: &mut Found) {
    let Place { schema, path, times, .. } = *place;
    let inside = |fault: &String| fault.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let rules = if found.faulty.iter().any(inside) { &[][..] } else { &ruled.rules[..] };
    for (index, rule) in rules.iter().enumerate() {
        one(ruled, rule, index, place, found);
    }
    let atomic = schema["x-kubernetes-map-type"] == "atomic";
    for (name, field) in &ruled.fields {
        let inner = Place {
            schema: &schema["properties"][name.as_str()],
            path: &format!("{path}.properties[{name}]"),
            times,
            is_object: field.embedded,
            loose: if atomic { Some(path) } else { place.loose },
        };
        node(field, &inner, found);
    }
    let times = rule_types::stated_most(ruled).and_then(|most| Some(times?.saturating_mul(most)));
    for (keyword, inner) in [("additionalProperties", &ruled.others), ("items", &ruled.items)] {
        let Some(inner) = inner else { continue };
        let loose = if keyword == "items" && ruled.list_type != "map" { Some(path) } else { place.loose };
        let path = format!("{path}.{keyword}");
        let below = Place { schema: &schema[keyword], path: &path, times, is_object: inner.embedded, loose };
        node(inner, &below, found);
    }
}

fn one(ruled: &Node, rule: &Rule, index: usize, place: &Place, found: &mut Found) {
    let at = |field: &str| format!("{}.x-kubernetes-validations[{index}].{field}", place.path);
    let told = &place.schema["x-kubernetes-validations"][index];
    if rule.text.is_empty() {
        return;
    }
    let Some(kind) = rule_types::type_of(ruled, place.is_object, &rule_types::self_type()) else { return };
    let old = if told["optionalOldSelf"] == true { rule_types::maybe(&kind) } else { kind.clone() };
    let scope = Scope::of(&[("self", kind), ("oldSelf", old)]);
    match verdict(rule, &scope) {
        Ok(verdict) => {
            let times = place.times.unwrap_or_else(|| rule_types::most_in_a_request(ruled));
            let cost = verdict.cost.saturating_mul(times);
            if cost > rule_types::COST_LIMITS.0 {
                let detail = too_dear("estimated rule cost", cost, rule_types::COST_LIMITS.0);
                found.errors.push(FieldError::forbidden(at("rule"), detail));
            }
            found.spend(at("rule"), cost);
            // What a rule says when it fails is looked at once it can fail.
            match message(told.text("messageExpression"), &scope) {
                Ok(cost) => {
                    if cost > rule_types::COST_LIMITS.0 {
                        let detail = too_dear("estimated messageExpression cost", cost, rule_types::COST_LIMITS.0);
                        found.errors.push(FieldError::forbidden(at("messageExpression"), detail));
                    }
                    found.spend(at("messageExpression"), cost);
                }
                Err(fault) => {
                    found.errors.push(FieldError::invalid_raw(at("messageExpression"), go_rule(told), fault));
                }
            }
        }
        Err(detail) => found.errors.push(FieldError::invalid_raw(at("rule"), go_rule(told), detail)),
    }
    let optional = &told["optionalOldSelf"];
    if let (true, Some(loose)) = (rule.uses_old, place.loose) {
        let detail = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {loose}");
        found.errors.push(FieldError::invalid(at("rule"), told.text("rule"), detail));
    } else if !rule.uses_old && rule.program.is_ok() && !optional.is_null() {
        let detail = "may not be set if oldSelf is not used in rule";
        found.errors.push(FieldError::invalid(at("optionalOldSelf"), optional.clone(), detail));
    }
}

/// What an expression for a message may cost, or why it gives none.
fn message(text: &str, scope: &Scope) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    match check::check(text, scope) {
        Ok(verdict) if verdict.kind == Type::Text => match verdict.fault {
            Some(fault) => Err(fault.replacen("program", "messageExpression", 1)),
            None => Ok(verdict.cost),
        },
        Ok(_) => Err("messageExpression must evaluate to a string".to_string()),
        Err(fault) => Err(format!("messageExpression {fault}")),
    }
}

fn verdict(rule: &Rule, scope: &Scope) -> Result<Verdict, String> {
    let verdict = check::check(&rule.text, scope)?;
    match &verdict.kind {
        Type::Bool => match verdict.fault {
            Some(fault) => Err(fault),
            None => Ok(verdict),
        },
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
