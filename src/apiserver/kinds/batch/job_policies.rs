//! What is wrong with a Job's policies: when Pods' failures count, when some successes are enough.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/batch/validation`.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{FieldError, check, names};

const MOST_RULES: usize = 20;
const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// A field that must be one of `values`, in the words of Job policies.
fn choice(object: &Value, field: &str, path: &str, values: &[&str]) -> Option<FieldError> {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    match object.text(field) {
        "" => Some(FieldError::required(format!("{path}.{field}"), format!("valid values: [{}]", quoted.join(" ")))),
        known if values.contains(&known) => None,
        other => Some(FieldError::not_supported(format!("{path}.{field}"), other, values)),
    }
}

/// What is wrong with `podFailurePolicy`.
pub fn failure(spec: &Value, path: &str) -> Vec<FieldError> {
    let rules = spec.items("podFailurePolicy.rules");
    let path = format!("{path}.podFailurePolicy.rules");
    let mut errors = Vec::new();
    if rules.len() > MOST_RULES {
        errors.push(FieldError::too_many(path.as_str(), rules.len(), MOST_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if rule.text("action") == "FailIndex" && !spec.has("backoffLimitPerIndex") {
            let detail = "requires the backoffLimitPerIndex to be set";
            errors.push(FieldError::invalid(format!("{path}.action"), "FailIndex", detail));
        }
        errors.extend(choice(rule, "action", &path, ACTIONS));
        let (codes, conditions) = (rule.at("onExitCodes"), rule.items("onPodConditions"));
        if !codes.is_null() {
            errors.extend(exit_codes(codes, &format!("{path}.onExitCodes"), spec));
        }
        errors.extend(pod_conditions(conditions, &format!("{path}.onPodConditions")));
        let both = match (codes.is_null(), conditions.is_empty()) {
            (false, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (true, true) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.push(FieldError::invalid_raw(path, "", both));
    }
    errors
}

fn pod_conditions(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if list.len() > MOST_RULES {
        errors.push(FieldError::too_many(path, list.len(), MOST_RULES));
    }
    for (index, pattern) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let kind = pattern.text("type");
        errors.extend(check::faults(format!("{path}.type"), kind, names::qualified_name(kind)));
        errors.extend(choice(pattern, "status", &path, STATUSES));
    }
    errors
}

fn exit_codes(codes: &Value, path: &str, spec: &Value) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = choice(codes, "operator", path, OPERATORS).into_iter().collect();
    let container = codes.text("containerName");
    let known = ["template.spec.containers", "template.spec.initContainers"]
        .iter()
        .any(|list| spec.items(list).iter().any(|own| own.text("name") == container));
    if codes.has("containerName") && !known {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(format!("{path}.containerName"), container, detail));
    }
    let values = codes.items("values");
    let at = format!("{path}.values");
    let shown = || if codes.has("values") { Value::Array(values.to_vec()) } else { Value::Null };
    if values.is_empty() {
        errors.push(FieldError::invalid(at.as_str(), shown(), "at least one value is required"));
    } else if values.len() > 255 {
        errors.push(FieldError::too_many(at.as_str(), values.len(), 255));
    }
    for (index, value) in values.iter().enumerate() {
        let here = format!("{at}[{index}]");
        if codes.text("operator") == "In" && value.as_i64() == Some(0) {
            errors.push(FieldError::invalid(here.as_str(), 0, "must not be 0 for the In operator"));
        }
        if values[..index].contains(value) {
            errors.push(FieldError::duplicate(here, value.clone()));
        }
    }
    if !values.is_sorted_by_key(|value| value.as_i64().unwrap_or(0)) {
        errors.push(FieldError::invalid(at, shown(), "must be ordered"));
    }
    errors
}

/// What is wrong with `successPolicy` of an indexed Job.
pub fn success(spec: &Value, path: &str) -> Vec<FieldError> {
    let rules = spec.items("successPolicy.rules");
    let path = format!("{path}.successPolicy.rules");
    let completions = spec.int("completions").unwrap_or(0);
    let mut errors = Vec::new();
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(path.as_str(), detail));
    }
    if rules.len() > MOST_RULES {
        errors.push(FieldError::too_many(path.as_str(), rules.len(), MOST_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if !rule.has("succeededCount") && !rule.has("succeededIndexes") {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(FieldError::required(path.as_str(), detail));
        }
        let mut listed = 0;
        if rule.has("succeededIndexes") {
            let (text, at) = (rule.text("succeededIndexes"), format!("{path}.succeededIndexes"));
            match indexes(text, completions) {
                Ok(total) => listed = total,
                Err(problem) => {
                    let detail = format!("error parsing succeededIndexes: {problem}");
                    errors.push(FieldError::invalid(at, text, detail));
                }
            }
        }
        if let Some(count) = rule.int("succeededCount") {
            let at = format!("{path}.succeededCount");
            errors.extend(non_negative(count, &at));
            let mut over = |most: i64, what: &str| {
                let detail = format!("must be less than or equal to {most} (the number of {what})");
                errors.push(FieldError::invalid(at.as_str(), count, detail));
            };
            if count > completions {
                over(completions, "specified completions");
            }
            if rule.has("succeededIndexes") && count > listed {
                over(listed, "indexes in the specified succeededIndexes field");
            }
        }
    }
    errors
}

/// How many indexes `1,3-5` names; each below `completions` and after the one before.
pub fn indexes(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (mut total, mut last) = (0, None);
    for part in text.split(',') {
        let ends: Vec<&str> = part.split('-').collect();
        if ends.len() > 2 {
            return Err(format!(
                "the fragment {part:?} violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let number = |text: &str| {
            text.parse::<i64>().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))
        };
        let first = number(ends[0])?;
        if first >= completions {
            return Err(format!("too large index: {:?}", ends[0]));
        }
        if let Some(before) = last.filter(|before| *before >= first) {
            return Err(format!("non-increasing order, previous: {before}, current: {first}"));
        }
        total += 1;
        last = Some(first);
        if let Some(text) = ends.get(1) {
            let end = number(text)?;
            if end >= completions {
                return Err(format!("too large index: {text:?}"));
            }
            if end <= first {
                return Err(format!("non-increasing order, previous: {first}, current: {end}"));
            }
            total += end - first;
            last = Some(end);
        }
    }
    Ok(total)
}
