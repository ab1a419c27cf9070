//! `POST …/pods/x/eviction`: a delete that asks the Pod's disruption budgets first.

use serde_json::{Value, json};
use warp::reply::Response;

use super::delete::{self, Admission};
use super::delete_options::DeleteOptions;
use crate::api::decode::{self, Target};
use crate::api::meta;
use crate::api::selector::LabelSelector;
use crate::api::status::{Cause, Details, Reason, Status};
use crate::apiserver::engine::{Call, bad_request, not_served};
use crate::apiserver::negotiate;
use crate::apiserver::objects::{Collection, Objects, collection};
use crate::apiserver::options::WriteOptions;
use crate::apiserver::respond;

const PODS: Collection = collection("", "pods");
const BUDGETS: Collection = collection("policy", "poddisruptionbudgets");
/// Seconds after which to ask again while a budget has not been looked at.
const RETRY_SECONDS: u32 = 10;
/// Clients from before Kubernetes 1.22 say this.
const OLD_VERSION: &str = "v1beta1";
/// How often a budget that others change at once is tried again.
const ATTEMPTS: usize = 20;

/// Evicts the Pod.
///
/// # Errors
/// 429 when a budget does not allow it, and those of a delete.
pub async fn evict(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let media = negotiate::body_media(call.header("content-type"), false)?;
    let sub = call.resource.subresource("eviction").ok_or_else(not_served)?;
    let mut target = Target::subresource(sub, false).ok_or_else(not_served)?;
    if is_old_form(&call.body) {
        target.version = OLD_VERSION;
    }
    let mut eviction = decode::decode(&call.body, media, &target, options.validation)?.value;
    call.place_part(&mut eviction)?;
    let name = call.info.name.as_str();
    if meta::name(&eviction) != name {
        return Err(bad_request("name in URL does not match name in Eviction object"));
    }
    let mut delete_options = DeleteOptions::from_value(&eviction["deleteOptions"])?;
    delete_options.dry_run |= options.dry_run;
    call.pass_part(sub, eviction, delete_options.dry_run).await?;
    let pod = call.read(name).await?.value();
    if counts(&pod) {
        spend(call, &pod, delete_options.dry_run).await?;
    }
    if !delete_options.dry_run {
        mark(call, name, &mut delete_options).await?;
    }
    delete::remove(call, name, &delete_options, Admission::Passed).await?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond::send(201, call.accepted.content_type(), respond::encode(&status, call.accepted)?))
}

/// Whether the body is an Eviction of the version that came before `v1`; it has the same fields.
fn is_old_form(body: &[u8]) -> bool {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    value.is_some_and(|value| value["apiVersion"] == format!("policy/{OLD_VERSION}"))
}

/// Whether a budget cares: not for Pods that have not started, are over, or are leaving.
fn counts(pod: &Value) -> bool {
    let phase = meta::text(pod, &["status", "phase"]);
    !matches!(phase, "Pending" | "Succeeded" | "Failed") && meta::deletion_timestamp(pod).is_none()
}

/// Says in the Pod's conditions why it goes, so that its owner can tell this from a failure.
async fn mark(call: &Call, name: &str, options: &mut DeleteOptions) -> Result<(), Status> {
    for _ in 0..ATTEMPTS {
        let Some(mut pod) = call.engine.get_live(PODS, call.namespace(), name).await? else { return Ok(()) };
        options.check(&call.resource, &pod)?;
        if !disrupt(&mut pod, super::create::seconds(call)) {
            return Ok(());
        }
        match call.engine.put(PODS, pod).await {
            Ok(pod) => {
                options.expect(&pod);
                return Ok(());
            }
            Err(status) if status.reason == Some(Reason::Conflict) => {}
            Err(status) => return Err(status),
        }
    }
    Err(refused("The pod is still being changed by others.", RETRY_SECONDS))
}

/// Sets the condition DisruptionTarget; false when it is set already.
fn disrupt(pod: &mut Value, now: String) -> bool {
    let mut condition = json!({
        "type": "DisruptionTarget", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
        "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
    });
    let mut conditions = meta::list(pod, &["status", "conditions"]).to_vec();
    match conditions.iter_mut().find(|known| known["type"] == "DisruptionTarget") {
        Some(known) => {
            if known["status"] == "True" {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            if *known == condition {
                return false;
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
    meta::set(pod, &["status", "conditions"], Value::Array(conditions));
    true
}

/// Takes one disruption from the Pod's budget.
async fn spend(call: &Call, pod: &Value, dry_run: bool) -> Result<(), Status> {
    let namespace = call.namespace();
    let covers = |budget: &Value| {
        LabelSelector::from_value(&budget["spec"]["selector"]).is_ok_and(|selector| selector.matches(meta::labels(pod)))
    };
    let budgets: Vec<String> = call
        .engine
        .list(BUDGETS, namespace)
        .iter()
        .filter(|budget| covers(budget))
        .map(|budget| meta::name(budget).to_string())
        .collect();
    let [name] = budgets.as_slice() else {
        if budgets.is_empty() {
            return Ok(());
        }
        let mut status = Status::new(
            Reason::InternalError,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        );
        status.reason = None;
        return Err(status);
    };
    for _ in 0..ATTEMPTS {
        let Some(mut budget) = call.engine.get_live(BUDGETS, namespace, name).await? else { return Ok(()) };
        if healthy_enough(pod, &budget) {
            return Ok(());
        }
        check(&budget)?;
        if dry_run {
            return Ok(());
        }
        let allowed = meta::integer(&budget, &["status", "disruptionsAllowed"]).unwrap_or(0);
        meta::set(&mut budget, &["status", "disruptionsAllowed"], json!(allowed - 1));
        if allowed == 1 {
            exhaust(&mut budget, super::create::seconds(call));
        }
        let disrupted = ["status", "disruptedPods", meta::name(pod)];
        meta::set(&mut budget, &disrupted, json!(super::create::seconds(call)));
        match call.engine.put(BUDGETS, budget).await {
            Ok(_) => return Ok(()),
            Err(status) if status.reason == Some(Reason::Conflict) => {}
            Err(status) => return Err(status),
        }
    }
    Err(refused(&format!("The disruption budget {name} is still being processed by the server."), RETRY_SECONDS))
}

/// A Pod that is not ready may always go, unless that would hide a budget that is not met.
fn healthy_enough(pod: &Value, budget: &Value) -> bool {
    let ready = meta::list(pod, &["status", "conditions"])
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    if ready {
        return false;
    }
    let number = |field: &str| meta::integer(budget, &["status", field]).unwrap_or(0);
    match meta::text(budget, &["spec", "unhealthyPodEvictionPolicy"]) {
        "AlwaysAllow" => true,
        _ => number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0,
    }
}

fn check(budget: &Value) -> Result<(), Status> {
    let name = meta::name(budget);
    let number = |field: &str| meta::integer(budget, &["status", field]).unwrap_or(0);
    if number("observedGeneration") < meta::generation(budget) {
        return Err(refused(
            &format!("The disruption budget {name} is still being processed by the server."),
            RETRY_SECONDS,
        ));
    }
    if number("disruptionsAllowed") < 0 {
        let why = "pdb disruptions allowed is negative";
        let cause = format!("The disruption budget {name} does not allow evicting pods currently: {why}");
        let mut status = Status::forbidden("policy", "poddisruptionbudget", name, why);
        if let Some(details) = &mut status.details {
            details.causes.push(cause_of(&cause));
        }
        return Err(status);
    }
    if number("disruptionsAllowed") > 0 {
        return Ok(());
    }
    let conditions = meta::list(budget, &["status", "conditions"]);
    let told = conditions.iter().find(|condition| condition["type"] == DISRUPTION_ALLOWED);
    let text = |field: &str| told.and_then(|condition| condition[field].as_str()).unwrap_or_default();
    let (says, reason) = (text("status") == "False" && !text("message").is_empty(), text("reason"));
    let (needs, has) = (number("desiredHealthy"), number("currentHealthy"));
    let why = match reason {
        "SyncFailed" if says => {
            format!("does not allow evicting pods currently because it failed sync: {}", text("message"))
        }
        _ if has <= needs => format!("needs {needs} healthy pods and has {has} currently"),
        _ if says => format!("does not allow evicting pods currently ({reason}): {}", text("message")),
        _ => "does not allow evicting pods currently".to_string(),
    };
    Err(refused(&format!("The disruption budget {name} {why}"), 0))
}

/// The condition that says whether a Pod may go.
const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

/// Says in the budget's conditions that its last disruption is taken.
fn exhaust(budget: &mut Value, now: String) {
    let mut condition = json!({
        "type": DISRUPTION_ALLOWED, "status": "False", "lastTransitionTime": now, "reason": "InsufficientPods",
        "message": "", "observedGeneration": meta::integer(budget, &["status", "observedGeneration"]).unwrap_or(0),
    });
    let mut conditions = meta::list(budget, &["status", "conditions"]).to_vec();
    match conditions.iter_mut().find(|known| known["type"] == DISRUPTION_ALLOWED) {
        Some(known) => {
            if known["status"] == "False" {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
    meta::set(budget, &["status", "conditions"], Value::Array(conditions));
}

fn refused(why: &str, retry_after_seconds: u32) -> Status {
    let causes = vec![cause_of(why)];
    Status::new(Reason::TooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.")
        .details(Details { causes, retry_after_seconds, ..Details::default() })
}

fn cause_of(why: &str) -> Cause {
    Cause { reason: "DisruptionBudget".to_string(), message: why.to_string(), field: String::new() }
}
