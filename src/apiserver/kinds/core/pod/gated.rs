//! What may change in a Pod that scheduling gates hold back: where it may run, only ever more narrowly.

use serde_json::Value;

use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::{Json, copy};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// What is wrong with the changes; those that are judged here are put back in `allowed`.
pub fn changes(allowed: &mut Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let selector = allowed.at("spec.nodeSelector").clone();
    for (key, value) in old.entries("spec.nodeSelector") {
        if selector.get(key) != Some(value) {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid("spec.nodeSelector", selector.clone(), detail));
        }
    }
    copy(allowed, old, "spec.nodeSelector");
    errors.extend(affinity(allowed, old));
    if old.has("spec.affinity") {
        copy(allowed, old, "spec.affinity.nodeAffinity");
    } else if !allowed.has("spec.affinity.podAffinity") && !allowed.has("spec.affinity.podAntiAffinity") {
        copy(allowed, old, "spec.affinity");
    }
    errors
}

fn affinity(new: &Value, old: &Value) -> Vec<FieldError> {
    let list = format!("spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms");
    let (now, was) = (new.items(&list), old.items(&list));
    if !was.is_empty() && now.len() != was.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return vec![FieldError::invalid(list, Value::Array(now.to_vec()), detail)];
    }
    let pairs = now.iter().zip(was).enumerate();
    pairs
        .filter(|(_, (now, was))| !only_additions(now, was))
        .map(|(index, (now, _))| {
            let detail = "only additions are allowed (no mutations or deletions)";
            FieldError::invalid(format!("{list}[{index}]"), now.clone(), detail)
        })
        .collect()
}

fn only_additions(now: &Value, was: &Value) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    let empty = |term: &Value| lists.iter().all(|list| term.items(list).is_empty());
    (!empty(was) || empty(now)) && lists.iter().all(|list| now.items(list).starts_with(was.items(list)))
}
