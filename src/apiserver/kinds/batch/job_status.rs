//! What is wrong with a Job's `status`: counts, conditions that exclude each other, and what may not be undone.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/batch/validation`, `pkg/registry/batch/job`.

use serde_json::Value;

use super::job_policies::indexes;
use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::non_negative;

fn is(job: &Value, condition: &str) -> bool {
    let known = job.items("status.conditions").iter();
    known.into_iter().any(|own| own.text("type") == condition && own.text("status") == "True")
}

/// Pairs of conditions of which the second excludes the first, and what is said.
const CLASHES: &[(&str, &str, &str)] = &[
    ("Complete", "Failed", "cannot set Complete=True and Failed=true conditions"),
    ("Complete", "FailureTarget", "cannot set Complete=True and FailureTarget=true conditions"),
    ("SuccessCriteriaMet", "Failed", "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
    ("SuccessCriteriaMet", "FailureTarget", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
];

/// What is wrong with a changed status. Most rules look only at what this update changes.
pub fn validate(new: &Value, old: &Value) -> Vec<FieldError> {
    let status = new.at("status");
    let mut errors = Vec::new();
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        errors.extend(non_negative(status.int(field).unwrap_or(0), &format!("status.{field}")));
    }
    errors.extend(conditions(new, old));
    errors.extend(counts(new, old));
    errors.extend(times(new, old));
    errors
}

fn conditions(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut said: Vec<String> = Vec::new();
    let newly = |condition: &str| is(new, condition) && !is(old, condition);
    for (one, other, detail) in CLASHES {
        if is(new, one) && is(new, other) && (*one == "SuccessCriteriaMet" || newly(one) || newly(other)) {
            said.push((*detail).to_string());
        }
    }
    if newly("Failed") && !is(new, "FailureTarget") {
        said.push("cannot set Failed=True condition without the FailureTarget=true condition".into());
    }
    if newly("Complete") && !is(new, "SuccessCriteriaMet") {
        said.push("cannot set Complete=True condition without the SuccessCriteriaMet=true condition".into());
    }
    if new.has("spec.successPolicy") && is(new, "Complete") && !is(new, "SuccessCriteriaMet") {
        said.push("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True".into());
    }
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if is(old, kind) && !is(new, kind) {
            said.push(format!("cannot disable the terminal {kind}=True condition"));
        }
    }
    if is(old, "SuccessCriteriaMet") && !is(new, "SuccessCriteriaMet") {
        said.push("cannot disable the SuccessCriteriaMet=True condition".into());
    }
    if is(old, "Complete") && newly("SuccessCriteriaMet") {
        said.push("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions".into());
    }
    said.into_iter().map(|detail| FieldError::invalid_raw("status.conditions", "", detail)).collect()
}

fn counts(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (status, was) = (new.at("status"), old.at("status"));
    let finished = is(new, "Complete") || is(new, "Failed");
    let count = |status: &Value, field: &str| status.int(field).unwrap_or(0);
    let mut wrong = |field: &str, detail: &str| {
        errors.push(FieldError::invalid(format!("status.{field}"), status.at(field).clone(), detail));
    };
    for field in ["active", "terminating"] {
        if finished && count(status, field) > 0 && status.at(field) != was.at(field) {
            wrong(field, &format!("{field}>0 is invalid for finished job"));
        }
    }
    if status.has("ready") && count(status, "ready") > count(status, "active") {
        wrong("ready", "cannot set more ready pods than active");
    }
    for field in ["failed", "succeeded"] {
        if count(status, field) < count(was, field) {
            wrong(field, &format!("cannot decrease the {field} counter"));
        }
    }
    let completions = new.int("spec.completions");
    let per_index = new.has("spec.backoffLimitPerIndex");
    let (done, failed) = (status.text("completedIndexes"), status.at("failedIndexes"));
    if let Some(completions) = completions.filter(|_| done != was.text("completedIndexes"))
        && let Err(problem) = indexes(done, completions)
    {
        wrong("completedIndexes", &format!("error parsing completedIndexes: {problem}"));
    }
    if !done.is_empty() && new.text("spec.completionMode") != "Indexed" {
        wrong("completedIndexes", "cannot set non-empty completedIndexes when non-indexed completion mode");
    }
    if !failed.is_null() && !per_index {
        wrong("failedIndexes", "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
    } else if let (Some(completions), Some(text)) = (completions, failed.as_str())
        && let Err(problem) = indexes(text, completions)
    {
        wrong("failedIndexes", &format!("error parsing failedIndexes: {problem}"));
    }
    errors
}

fn times(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (start, end) = ("status.startTime", "status.completionTime");
    let (complete, finished) = (is(new, "Complete"), is(new, "Complete") || is(new, "Failed"));
    let mut wrong = |path: &str, detail: &str| errors.push(FieldError::invalid(path, new.at(path).clone(), detail));
    if new.has(end) && !complete {
        wrong(end, "cannot set completionTime when there is no Complete=True condition");
    }
    if new.has(start) && new.has(end) && new.text(end) < new.text(start) {
        wrong(end, "must be equal to or after `startTime`");
    }
    if new.has(end) && old.has(end) && new.at(end) != old.at(end) {
        wrong(end, "field is immutable");
    }
    if old.has(start) && old.at(start) != new.at(start) && !new.flag("spec.suspend") {
        wrong(start, "field is immutable for unsuspended job once set");
    }
    if complete && !new.has(end) {
        errors.push(FieldError::required(end, "completionTime is required for Complete jobs"));
    }
    if finished && !new.has(start) {
        errors.push(FieldError::required(start, "startTime is required for finished job"));
    }
    errors
}
