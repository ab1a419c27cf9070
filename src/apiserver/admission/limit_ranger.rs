//! LimitRanger: what a Pod or a claim asks for lies inside its namespace's LimitRanges, and what
//! it does not say is filled in from them.
//!
//! Source: `k8s.io/kubernetes/plugin/pkg/admission/limitranger`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::quantity::Quantity;
use crate::api::quota::pod_total;
use crate::api::status::Status;
use crate::apiserver::kinds::core::resources::quantity;
use crate::apiserver::kinds::json::{Json, items_mut, object_mut};
use crate::apiserver::objects::collection;

/// The plugin.
pub struct LimitRanger;

type Amounts = BTreeMap<String, Quantity>;

impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(self.fill(request)))
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(self.check(request)))
    }
}

impl LimitRanger {
    fn fill(&self, request: &mut Attributes<'_>) -> Result<(), Status> {
        if !request.is_pod(Operation::Create) {
            return Ok(());
        }
        let ranges = ranges(request);
        if let Some(pod) = &mut request.object {
            for range in &ranges {
                pod_defaults(pod, range);
            }
        }
        Ok(())
    }

    fn check(&self, request: &mut Attributes<'_>) -> Result<(), Status> {
        let claim = request.group.is_empty()
            && request.resource == "persistentvolumeclaims"
            && request.subresource.is_empty()
            && request.operation != Operation::Delete;
        let pod = request.is_pod(Operation::Create);
        let Some(object) = request.object.as_ref().filter(|_| pod || claim) else { return Ok(()) };
        for range in ranges(request) {
            // What is wrong with several containers alike is said once.
            let mut problems: Vec<String> = Vec::new();
            for limit in range.items("spec.limits") {
                let found = if pod { pod_problems(object, limit) } else { claim_problems(object, limit) };
                for problem in found {
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
            match problems.as_slice() {
                [] => {}
                [one] => return Err(request.forbidden(one)),
                many => return Err(request.forbidden(&format!("[{}]", many.join(", ")))),
            }
        }
        Ok(())
    }
}

fn ranges(request: &Attributes<'_>) -> Vec<Arc<Value>> {
    request.objects.list(collection("", "limitranges"), request.namespace)
}

/// Fills in what containers do not say, and notes it in an annotation.
fn pod_defaults(pod: &mut Value, range: &Value) {
    let mut limits = BTreeMap::new();
    let mut requests = BTreeMap::new();
    for limit in range.items("spec.limits").iter().filter(|limit| limit.text("type") == "Container") {
        for (name, amount) in limit.entries("default") {
            limits.insert(name.to_string(), amount.clone());
        }
        for (name, amount) in limit.entries("defaultRequest") {
            requests.insert(name.to_string(), amount.clone());
        }
    }
    let mut notes = Vec::new();
    if let Some(spec) = pod.get_mut("spec") {
        for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
            for container in items_mut(spec, list) {
                let name = container.text("name").to_string();
                for (field, known, what) in
                    [("resources.requests", &requests, "request"), ("resources.limits", &limits, "limit")]
                {
                    let set = fill_missing(container, field, known);
                    if !set.is_empty() {
                        notes.push(format!("{} {what} for {word} {name}", set.join(", ")));
                    }
                }
            }
        }
    }
    if !notes.is_empty() {
        let text = format!("LimitRanger plugin set: {}", notes.join("; "));
        meta::set_annotation(pod, "kubernetes.io/limit-ranger", &text);
    }
}

fn fill_missing(container: &mut Value, field: &str, known: &BTreeMap<String, Value>) -> Vec<String> {
    let missing: Vec<&String> = known.keys().filter(|name| container.at(field).get(name.as_str()).is_none()).collect();
    for name in &missing {
        object_mut(container, field).insert((*name).clone(), known[*name].clone());
    }
    missing.into_iter().cloned().collect()
}

fn amounts(object: &Value, path: &str) -> Amounts {
    let entries = object.entries(path).into_iter();
    entries.filter_map(|(name, amount)| Some((name.to_string(), quantity(amount)?))).collect()
}

fn pod_problems(pod: &Value, limit: &Value) -> Vec<String> {
    let kind = limit.text("type");
    match kind {
        "Container" => ["initContainers", "containers"]
            .iter()
            .flat_map(|list| pod.items(&format!("spec.{list}")))
            .flat_map(|container| {
                let requests = amounts(container, "resources.requests");
                problems(limit, kind, &requests, &amounts(container, "resources.limits"))
            })
            .collect(),
        "Pod" => problems(limit, kind, &pod_total(pod, "requests"), &pod_total(pod, "limits")),
        _ => Vec::new(),
    }
}

fn problems(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let mut found = Vec::new();
    for (name, least) in amounts(limit, "min") {
        let head = format!("minimum {name} usage per {kind} is {least}");
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => found.push(format!("{head}.  No request is specified")),
            (Some(asked), _) if *asked < least => found.push(format!("{head}, but request is {asked}")),
            (_, Some(most)) if *most < least => found.push(format!("{head}, but limit is {most}")),
            _ => {}
        }
    }
    for (name, most) in amounts(limit, "max") {
        let head = format!("maximum {name} usage per {kind} is {most}");
        match (requests.get(&name), limits.get(&name)) {
            (_, None) => found.push(format!("{head}.  No limit is specified")),
            (_, Some(own)) if *own > most => found.push(format!("{head}, but limit is {own}")),
            (Some(asked), _) if *asked > most => found.push(format!("{head}, but request is {asked}")),
            _ => {}
        }
    }
    for (name, ratio) in amounts(limit, "maxLimitRequestRatio") {
        let head = format!("{name} max limit to request ratio per {kind} is {ratio}, but");
        match (requests.get(&name), limits.get(&name)) {
            (Some(asked), Some(own)) if !asked.is_zero() => {
                let actual = own.as_f64() / asked.as_f64();
                if actual.partial_cmp(&ratio.as_f64()) == Some(Ordering::Greater) {
                    found.push(format!("{head} provided ratio is {actual:.6}"));
                }
            }
            (None, _) => found.push(format!("{head} no request is specified or request is 0")),
            (_, None) => found.push(format!("{head} no limit is specified or limit is 0")),
            _ => {}
        }
    }
    found
}

fn claim_problems(claim: &Value, limit: &Value) -> Vec<String> {
    let kind = limit.text("type");
    if kind != "PersistentVolumeClaim" {
        return Vec::new();
    }
    let requests = amounts(claim, "spec.resources.requests");
    let mut found = Vec::new();
    for (name, least) in amounts(limit, "min") {
        let head = format!("minimum {name} usage per {kind} is {least}");
        match requests.get(&name) {
            None => found.push(format!("{head}.  No request is specified")),
            Some(asked) if *asked < least => found.push(format!("{head}, but request is {asked}")),
            Some(_) => {}
        }
    }
    for (name, most) in amounts(limit, "max") {
        let head = format!("maximum {name} usage per {kind} is {most}");
        match requests.get(&name) {
            None => found.push(format!("{head}.  No request is specified")),
            Some(asked) if *asked > most => found.push(format!("{head}, but request is {asked}")),
            Some(_) => {}
        }
    }
    found
}
