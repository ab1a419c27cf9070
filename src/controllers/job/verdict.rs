//! Whether a Job is over, and how. Source: job_controller.go, syncJob.
//!
//! The decision shows first as `SuccessCriteriaMet` or `FailureTarget`; `Complete` or `Failed`
//! follows once no Pod of the Job runs any more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::counting::{self, Count};
use super::{is_indexed, policy};
use crate::controllers::plan::{Note, Plan, reference};

/// Kubernetes' own default. Source: defaults.jsonl, Job.
const BACKOFF_LIMIT: i32 = 6;
/// Why a Job can fail. Source: batch/v1 types.go, JobReason….
const FAILURES: [&str; 5] =
    ["PodFailurePolicy", "BackoffLimitExceeded", "DeadlineExceeded", "MaxFailedIndexesExceeded", "FailedIndexes"];

/// How a Job will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Ending {
    Succeeds,
    Fails,
}

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

fn has(job: &Job, type_: &str) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// Decides whether it is over, once and for all, and shows it.
pub fn judge(next: &mut Job, spec: &JobSpec, count: &Count, now: Timestamp, plan: &mut Plan) -> Option<Ending> {
    if has(next, "SuccessCriteriaMet") {
        return Some(Ending::Succeeds);
    }
    if has(next, "FailureTarget") {
        return Some(Ending::Fails);
    }
    if let Some((reason, message)) = failure(next, spec, count, now, plan) {
        add(next, "FailureTarget", reason, &message, now);
        return Some(Ending::Fails);
    }
    let (reason, message) = success(spec, count)?;
    add(next, "SuccessCriteriaMet", reason, &message, now);
    Some(Ending::Succeeds)
}

fn success(spec: &JobSpec, count: &Count) -> Option<(&'static str, String)> {
    if let Some(message) = policy::success(spec, &count.done).filter(|_| is_indexed(spec)) {
        return Some(("SuccessPolicy", message));
    }
    let enough = match spec.completions {
        Some(completions) => count.succeeded >= usize::try_from(completions).unwrap_or(0),
        None => count.succeeded > 0,
    };
    (enough && count.active.is_empty())
        .then(|| ("CompletionsReached", "Reached expected number of succeeded pods".to_owned()))
}

fn failure(
    next: &Job,
    spec: &JobSpec,
    count: &Count,
    now: Timestamp,
    plan: &mut Plan,
) -> Option<(&'static str, String)> {
    if let Some(why) = &count.fails_job {
        return Some(("PodFailurePolicy", why.clone()));
    }
    let limit = spec.backoff_limit.unwrap_or(BACKOFF_LIMIT);
    let failed = i32::try_from(count.failed).unwrap_or(i32::MAX);
    let on_failure = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()) == Some("OnFailure");
    let restarted = on_failure && if limit == 0 { count.restarts > 0 } else { count.restarts >= limit };
    if failed > limit || restarted {
        return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".into()));
    }
    if is_late(next, spec, now, plan) {
        return Some(("DeadlineExceeded", "Job was active longer than specified deadline".into()));
    }
    spec.backoff_limit_per_index?;
    let (lost, completions) = (count.given_up.len(), usize::try_from(spec.completions.unwrap_or(0)).unwrap_or(0));
    let most = spec.max_failed_indexes.map(|most| usize::try_from(most).unwrap_or(0));
    if most.is_some_and(|most| lost > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(("MaxFailedIndexesExceeded", message.into()));
    }
    (lost > 0 && lost + count.done.len() >= completions).then(|| ("FailedIndexes", "Job has failed indexes".into()))
}

/// The Job's time is up; before that, the plan looks again when it will be.
fn is_late(next: &Job, spec: &JobSpec, now: Timestamp, plan: &mut Plan) -> bool {
    let end = || {
        let start = next.status.as_ref()?.start_time.as_ref()?.0;
        let seconds = spec.active_deadline_seconds.filter(|_| !spec.suspend.unwrap_or(false))?;
        start.checked_add(SignedDuration::from_secs(seconds)).ok()
    };
    let Some(end) = end() else { return false };
    if now < end {
        plan.again(Duration::try_from(end.duration_since(now)).unwrap_or_default());
    }
    now >= end
}

/// Says the last word, once no Pod runs and none is left to count.
pub fn finish(next: &mut Job, count: &Count, ending: Ending, now: Timestamp, plan: &mut Plan) {
    let settled = next.status.as_ref().is_none_or(counting::is_settled);
    if !settled || !count.active.is_empty() || !count.terminating.is_empty() {
        return;
    }
    let (from, to) = match ending {
        Ending::Succeeds => ("SuccessCriteriaMet", "Complete"),
        Ending::Fails => ("FailureTarget", "Failed"),
    };
    let conditions = next.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let Some(known) = conditions.into_iter().find(|condition| condition.type_ == from) else { return };
    let (reason, message) = (known.reason.unwrap_or_default(), known.message.unwrap_or_default());
    add(next, to, &reason, &message, now);
    let about = reference(next);
    if ending == Ending::Succeeds {
        next.status.get_or_insert_default().completion_time = Some(Time(now));
        let most = next.spec.as_ref().and_then(|spec| spec.completions);
        if most.is_some_and(|most| count.succeeded > usize::try_from(most).unwrap_or(0)) {
            let words = "Too many succeeded pods running after completion count reached";
            plan.say(Note::warning(about.clone(), "TooManySucceededPods", words));
        }
        plan.say(Note::normal(about, "Completed", "Job completed"));
    } else if let Some(reason) = FAILURES.into_iter().find(|known| *known == reason) {
        plan.say(Note::warning(about, reason, message));
    }
}

/// Follows `spec.suspend`.
pub fn suspend(next: &mut Job, spec: &JobSpec, now: Timestamp, plan: &mut Plan) {
    let wanted = spec.suspend.unwrap_or(false);
    if wanted == has(next, "Suspended") {
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
