//! Whether a Job is over, and how. Source: job_controller.go, syncJob.
//!
//! The decision shows first as `SuccessCriteriaMet` or `FailureTarget`; `Complete` or `Failed`
//! follows once no Pod of the Job runs any more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::counting::Count;
use crate::controllers::plan::{Note, Plan, reference};

/// Kubernetes' own default. Source: defaults.jsonl, Job.
const BACKOFF_LIMIT: i32 = 6;

/// The Job is over and its Pods are counted.
pub fn is_finished(job: &Job) -> bool {
    has(job, "Complete") || has(job, "Failed")
}

/// How a finished Job ended (`Complete`, `Failed`) and when.
pub fn finished_as(job: &Job) -> Option<(&'static str, Option<Timestamp>)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let ending = conditions.iter().filter(|condition| condition.status == "True");
    ["Complete", "Failed"].into_iter().find_map(|how| {
        let found = ending.clone().find(|condition| condition.type_ == how)?;
        Some((how, found.last_transition_time.as_ref().map(|time| time.0)))
    })
}

/// It is decided that the Job ends; its Pods may still run.
pub fn is_over(job: &Job) -> bool {
    is_finished(job) || has(job, "SuccessCriteriaMet") || has(job, "FailureTarget")
}

fn has(job: &Job, type_: &str) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// Decides, and says so.
pub fn judge(next: &mut Job, spec: &JobSpec, count: &Count, now: Timestamp, plan: &mut Plan) {
    suspend(next, spec, now, plan);
    if !is_over(next) {
        if let Some((reason, message)) = failure(next, spec, count, now, plan) {
            add(next, "FailureTarget", reason, message, now);
        } else if succeeded(spec, count) {
            add(next, "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods", now);
        }
    }
    let quiet = count.active.is_empty() && count.terminating == 0 && count.is_settled();
    if quiet && is_over(next) {
        finish(next, now, plan);
    }
}

fn succeeded(spec: &JobSpec, count: &Count) -> bool {
    match spec.completions {
        Some(completions) => count.succeeded >= usize::try_from(completions).unwrap_or(0),
        None => count.succeeded > 0 && count.active.is_empty(),
    }
}

fn failure(
    next: &Job,
    spec: &JobSpec,
    count: &Count,
    now: Timestamp,
    plan: &mut Plan,
) -> Option<(&'static str, &'static str)> {
    let limit = spec.backoff_limit.unwrap_or(BACKOFF_LIMIT);
    let failed = i32::try_from(count.failed).unwrap_or(i32::MAX);
    let on_failure = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()) == Some("OnFailure");
    let restarted = on_failure && if limit == 0 { count.restarts > 0 } else { count.restarts >= limit };
    if failed > limit || restarted {
        return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    let start = next.status.as_ref()?.start_time.as_ref()?.0;
    let seconds = spec.active_deadline_seconds.filter(|_| !spec.suspend.unwrap_or(false))?;
    let end = start.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    if now >= end {
        return Some(("DeadlineExceeded", "Job was active longer than specified deadline"));
    }
    plan.again(Duration::try_from(end.duration_since(now)).unwrap_or_default());
    None
}

fn finish(next: &mut Job, now: Timestamp, plan: &mut Plan) {
    let (from, to) =
        if has(next, "FailureTarget") { ("FailureTarget", "Failed") } else { ("SuccessCriteriaMet", "Complete") };
    let conditions = next.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let Some(known) = conditions.into_iter().find(|condition| condition.type_ == from) else { return };
    let (reason, message) = (known.reason.unwrap_or_default(), known.message.unwrap_or_default());
    add(next, to, &reason, &message, now);
    let about = reference(next);
    if to == "Complete" {
        next.status.get_or_insert_default().completion_time = Some(Time(now));
        plan.say(Note::normal(about, "Completed", "Job completed"));
    } else {
        let reason = if reason == "DeadlineExceeded" { "DeadlineExceeded" } else { "BackoffLimitExceeded" };
        plan.say(Note::warning(about, reason, message));
    }
}

/// Follows `spec.suspend`.
fn suspend(next: &mut Job, spec: &JobSpec, now: Timestamp, plan: &mut Plan) {
    let wanted = spec.suspend.unwrap_or(false);
    let known = has(next, "Suspended");
    if wanted == known || is_over(next) {
        return;
    }
    let (reason, message) = if wanted { ("JobSuspended", "Job suspended") } else { ("JobResumed", "Job resumed") };
    let status = next.status.get_or_insert_default();
    status.start_time = if wanted { None } else { Some(Time(now)) };
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != "Suspended");
    let mut condition = condition("Suspended", reason, message, now);
    condition.status = if wanted { "True" } else { "False" }.into();
    conditions.push(condition);
    let word = if wanted { "Suspended" } else { "Resumed" };
    plan.say(Note::normal(reference(next), word, message));
}

fn add(next: &mut Job, type_: &str, reason: &str, message: &str, now: Timestamp) {
    let conditions = next.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.push(condition(type_, reason, message, now));
}

fn condition(type_: &str, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: type_.into(),
        status: "True".into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}
