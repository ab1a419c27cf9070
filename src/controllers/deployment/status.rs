//! What a Deployment says about itself: counts, and the conditions `Available`, `Progressing` and
//! `ReplicaFailure`. `kubectl rollout status` reads nothing else. Source:
//! pkg/controller/deployment/progress.go and sync.go, calculateStatus.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::rollout;
use super::sets::Sets;
use crate::controllers::plan::Plan;
use crate::controllers::runner::Moment;

const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";

/// All Pods are of the new template, available, and no other exists.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = rollout::wanted(deployment);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

/// Notes that the Deployment was paused or resumed, so that waiting does not count as being stuck.
pub fn mark_paused(next: &mut Deployment, now: Timestamp) {
    if deadline(next).is_none() {
        return;
    }
    let known = reason(next, PROGRESSING).map(str::to_owned);
    let paused = next.spec.paused.unwrap_or(false);
    match known.as_deref() {
        Some("ProgressDeadlineExceeded") => {}
        Some("DeploymentPaused") if !paused => {
            progressing(next, "Unknown", "DeploymentResumed", "Deployment is resumed".into(), now);
        }
        Some("DeploymentPaused") => {}
        _ if paused => progressing(next, "Unknown", "DeploymentPaused", "Deployment is paused".into(), now),
        _ => {}
    }
}

/// The new ReplicaSet was there already, and nothing has been said about it.
pub fn found_new(next: &mut Deployment, name: &str, now: Timestamp) {
    if deadline(next).is_some() && reason(next, PROGRESSING).is_none() {
        progressing(next, "True", "FoundNewReplicaSet", format!("Found new replica set \"{name}\""), now);
    }
}

/// The new ReplicaSet is being created.
pub fn created_new(next: &mut Deployment, name: &str, now: Timestamp) {
    if deadline(next).is_some() {
        progressing(next, "True", "NewReplicaSetCreated", format!("Created new replica set \"{name}\""), now);
    }
}

/// The new ReplicaSet could not be created.
pub fn not_created(next: &mut Deployment, name: &str, why: &str, now: Timestamp) {
    if deadline(next).is_some() {
        let message = format!("Failed to create new replica set \"{name}\": {why}");
        progressing(next, "False", "ReplicaSetCreateError", message, now);
    }
}

/// Counts, and judges how the rollout goes.
pub fn finish(next: &mut Deployment, old: &Deployment, sets: &Sets, moment: &Moment, plan: &mut Plan) {
    count(next, sets, moment.now);
    let Some(limit) = deadline(next) else {
        remove(next, PROGRESSING);
        copy_failures(next, sets, moment.now);
        return;
    };
    let deleting = old.metadata.deletion_timestamp.is_some();
    let paused = old.spec.paused.unwrap_or(false);
    if !deleting && !paused && !sets.is_scaling_event(old) {
        judge(next, old, sets, limit, moment.now);
    }
    copy_failures(next, sets, moment.now);
    look_again(next, limit, moment.now, plan);
}

fn count(next: &mut Deployment, sets: &Sets, now: Timestamp) {
    let sum = |get: &dyn Fn(&k8s_openapi::api::apps::v1::ReplicaSetStatus) -> i32| -> i32 {
        sets.all().filter_map(|set| set.status.as_ref()).map(get).sum()
    };
    let available = sum(&|status| status.available_replicas.unwrap_or(0));
    let updated = sets.new.as_ref().and_then(|set| set.status.as_ref()).map_or(0, |status| status.replicas);
    let (replicas, ready) = (sum(&|status| status.replicas), sum(&|status| status.ready_replicas.unwrap_or(0)));
    let terminating = sum(&|status| status.terminating_replicas.unwrap_or(0));
    let unavailable = (sets.total() - available).max(0);
    let enough = available >= rollout::wanted(next) - rollout::max_unavailable(next);
    let observed = next.metadata.generation;
    let status = next.status.get_or_insert_default();
    let positive = |count: i32| Some(count).filter(|count| *count > 0);
    status.observed_generation = observed;
    status.replicas = positive(replicas);
    status.updated_replicas = positive(updated);
    status.ready_replicas = positive(ready);
    status.available_replicas = positive(available);
    status.unavailable_replicas = positive(unavailable);
    status.terminating_replicas = Some(terminating);
    if enough {
        set(next, AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.".into(), now);
    } else {
        let message = "Deployment does not have minimum availability.".into();
        set(next, AVAILABLE, "False", "MinimumReplicasUnavailable", message, now);
    }
}

/// Complete, progressing, or stuck?
fn judge(next: &mut Deployment, old: &Deployment, sets: &Sets, limit: SignedDuration, now: Timestamp) {
    let status = next.status.clone().unwrap_or_default();
    let before = old.status.clone().unwrap_or_default();
    let settled =
        status.replicas == status.updated_replicas && reason(old, PROGRESSING) == Some("NewReplicaSetAvailable");
    let what = match &sets.new {
        Some(set) => format!("ReplicaSet \"{}\"", set.metadata.name.as_deref().unwrap_or_default()),
        None => format!("Deployment \"{}\"", next.metadata.name.as_deref().unwrap_or_default()),
    };
    if settled {
        return;
    }
    if is_complete(next, &status) {
        progressing(next, "True", "NewReplicaSetAvailable", format!("{what} has successfully progressed."), now);
    } else if moved(&before, &status) {
        let since = condition(next, PROGRESSING).filter(|known| known.status.as_deref() == Some("True"));
        let since = since.and_then(|known| known.last_transition_time.clone());
        remove(next, PROGRESSING);
        progressing(next, "True", "ReplicaSetUpdated", format!("{what} is progressing."), now);
        let conditions = next.status.get_or_insert_default().conditions.get_or_insert_default();
        if let (Some(since), Some(last)) = (since, conditions.last_mut()) {
            last.last_transition_time = Some(since);
        }
    } else if is_late(next, limit, now) {
        progressing(next, "False", "ProgressDeadlineExceeded", format!("{what} has timed out progressing."), now);
    }
}

/// More new Pods, fewer old ones, or more ready or available ones than before.
fn moved(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let count = |value: Option<i32>| value.unwrap_or(0);
    let old = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(after.updated_replicas) > count(before.updated_replicas)
        || old(after) < old(before)
        || after.ready_replicas > before.ready_replicas
        || after.available_replicas > before.available_replicas
}

fn is_late(next: &Deployment, limit: SignedDuration, now: Timestamp) -> bool {
    match condition(next, PROGRESSING) {
        None => false,
        Some(known) => match known.reason.as_deref() {
            Some("NewReplicaSetAvailable") => false,
            Some("ProgressDeadlineExceeded") => true,
            _ => due(known, limit).is_some_and(|due| due < now),
        },
    }
}

fn due(condition: &DeploymentCondition, limit: SignedDuration) -> Option<Timestamp> {
    condition.last_update_time.as_ref()?.0.checked_add(limit).ok()
}

/// Nothing may happen before the deadline passes, so a timer has to wake the loop.
fn look_again(next: &Deployment, limit: SignedDuration, now: Timestamp, plan: &mut Plan) {
    let status = next.status.clone().unwrap_or_default();
    let Some(known) = condition(next, PROGRESSING) else { return };
    let over = is_complete(next, &status) || known.reason.as_deref() == Some("ProgressDeadlineExceeded");
    if let Some(due) = due(known, limit).filter(|_| !over && next.metadata.deletion_timestamp.is_none()) {
        plan.again_at(due, now);
        let wait = plan.again_after.unwrap_or_default() + Duration::from_secs(1);
        plan.again_after = Some(wait);
    }
}

/// A ReplicaSet that cannot create Pods is the Deployment's failure too.
fn copy_failures(next: &mut Deployment, sets: &Sets, now: Timestamp) {
    let failure = sets.new.iter().chain(&sets.old).find_map(|set| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_.as_deref() == Some(FAILURE)).cloned()
    });
    match failure {
        None => remove(next, FAILURE),
        Some(failure) => {
            let status = failure.status.unwrap_or_default();
            set(next, FAILURE, &status, &failure.reason.unwrap_or_default(), failure.message.unwrap_or_default(), now);
        }
    }
}

/// The deadline, where one counts.
fn deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)?;
    Some(SignedDuration::from_secs(seconds.into()))
}

fn condition<'a>(deployment: &'a Deployment, type_: &str) -> Option<&'a DeploymentCondition> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_.as_deref() == Some(type_))
}

fn reason<'a>(deployment: &'a Deployment, type_: &str) -> Option<&'a str> {
    condition(deployment, type_)?.reason.as_deref()
}

fn progressing(next: &mut Deployment, status: &str, reason: &str, message: String, now: Timestamp) {
    set(next, PROGRESSING, status, reason, message, now);
}

/// Sets a condition; one that says the same already is left as it is.
fn set(next: &mut Deployment, type_: &str, status: &str, reason: &str, message: String, now: Timestamp) {
    let known = condition(next, type_).cloned();
    let same_status = known.as_ref().is_some_and(|known| known.status.as_deref() == Some(status));
    if same_status && known.as_ref().is_some_and(|known| known.reason.as_deref() == Some(reason)) {
        return;
    }
    let since = known.filter(|_| same_status).and_then(|known| known.last_transition_time);
    remove(next, type_);
    next.status.get_or_insert_default().conditions.get_or_insert_default().push(DeploymentCondition {
        type_: Some(type_.into()),
        status: Some(status.into()),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: since.or(Some(Time(now))),
    });
}

fn remove(next: &mut Deployment, type_: &str) {
    if let Some(conditions) = next.status.as_mut().and_then(|status| status.conditions.as_mut()) {
        conditions.retain(|condition| condition.type_.as_deref() != Some(type_));
    }
}
