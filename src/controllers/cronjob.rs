//! CronJob: makes a Job each time its schedule says so.
//!
//! Comes in: CronJobs and their Jobs. Goes out: Jobs named after the minute they were due, old ones
//! deleted, `status`. A due Job is made once, also across a crash: its name is taken until
//! `lastScheduleTime` says that it was made. The loop waits for the next due time on the clock.
//! Source: kube-controller-manager, pkg/controller/cronjob.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;

use super::job::finished_as;
use super::owners;
use super::plan::{Action, Note, Plan, owner_reference, reference};
use super::runner::Room;
use crate::api::cron::Schedule;

/// Source: --concurrent-cron-job-syncs.
const WORKERS: usize = 5;
/// A little later than due, so that the clock has surely passed it. Source:
/// cronjob_controllerv2.go, nextScheduleDelta.
const DELTA: SignedDuration = SignedDuration::from_millis(100);
/// More missed starts than this are worth a warning. Source: utils.go, mostRecentScheduleTime.
const MANY: i64 = 100;
/// When a Job was due. Source: batch/v1, CronJobScheduledTimestampAnnotation.
const DUE: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
const FORBIDDEN: &str = "Not starting job because prior execution is running and concurrency policy is Forbid";
const TOO_MANY: &str = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";

/// Starts the loop.
pub fn start(room: Room) {
    let (crons, jobs) = (room.informer::<CronJob>(), room.informer::<Job>());
    room.wake_self(&crons);
    room.wake(&jobs, |job| owners::controller_key(&job.metadata, "CronJob").into_iter().collect());
    room.run("cronjob-controller", WORKERS, move |key, moment| {
        let Some(cron) = crons.get(key) else { return Plan::none() };
        let owned = jobs.owned_by(cron.metadata.uid.as_deref().unwrap_or_default());
        reconcile(&cron, &owned, moment.now)
    });
}

/// What a CronJob needs done, given its Jobs.
pub fn reconcile(cron: &CronJob, jobs: &[Arc<Job>], now: Timestamp) -> Plan {
    let mut plan = Plan::none();
    let spec = &cron.spec;
    let mut next = cron.clone();
    let status = next.status.get_or_insert_default();
    observe(cron, jobs, status, &mut plan);
    if cron.metadata.deletion_timestamp.is_none() {
        begin(cron, spec, jobs, status, now, &mut plan);
    }
    remove_old(cron, jobs, "Complete", spec.successful_jobs_history_limit, &mut plan);
    remove_old(cron, jobs, "Failed", spec.failed_jobs_history_limit, &mut plan);
    status.active = status.active.take().filter(|active| !active.is_empty());
    if next.status.as_ref() != Some(&cron.status.clone().unwrap_or_default()) {
        plan.act(Action::update_sub(&next, "status"));
    }
    plan
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

/// Notes what became of the Jobs: which are active, and when one last succeeded.
fn observe(cron: &CronJob, jobs: &[Arc<Job>], status: &mut CronJobStatus, plan: &mut Plan) {
    let about = reference(cron);
    let mut active = status.active.take().unwrap_or_default();
    for job in jobs {
        let listed = active.iter().position(|known| known.uid == job.metadata.uid);
        match (listed, finished_as(job)) {
            // One that was replaced is on its way out.
            (None, None) if job.metadata.deletion_timestamp.is_some() => {}
            (None, None) if job.metadata.annotations.as_ref().is_some_and(|notes| notes.contains_key(DUE)) => {
                active.push(reference(&**job));
            }
            (None, None) => {
                let message = format!("Saw a job that the controller did not create or forgot: {}", name(job));
                plan.say(Note::warning(about.clone(), "UnexpectedJob", message));
            }
            (Some(at), Some((how, _))) => {
                active.remove(at);
                let message = format!("Saw completed job: {}, condition: {how}", name(job));
                plan.say(Note::normal(about.clone(), "SawCompletedJob", message));
            }
            _ => {}
        }
        let ended = job.status.as_ref().and_then(|status| status.completion_time.clone());
        if let (Some(("Complete", _)), Some(ended)) = (finished_as(job), ended)
            && status.last_successful_time.as_ref().is_none_or(|known| known.0 < ended.0)
        {
            status.last_successful_time = Some(ended);
        }
    }
    active.retain(|known| {
        let there = jobs.iter().any(|job| job.metadata.uid == known.uid);
        if !there {
            let message = format!("Active job went missing: {}", known.name.as_deref().unwrap_or_default());
            plan.say(Note::normal(about.clone(), "MissingJob", message));
        }
        there
    });
    status.active = Some(active);
}

/// Makes the Job that is due, if one is, and says when the next will be.
fn begin(
    cron: &CronJob,
    spec: &CronJobSpec,
    jobs: &[Arc<Job>],
    status: &mut CronJobStatus,
    now: Timestamp,
    plan: &mut Plan,
) {
    let about = reference(cron);
    let zone = match spec.time_zone.as_deref().map_or(Ok(TimeZone::UTC), TimeZone::get) {
        Ok(zone) => zone,
        Err(error) => {
            let zone = spec.time_zone.as_deref().unwrap_or_default();
            plan.say(Note::warning(about, "UnknownTimeZone", format!("invalid timeZone: {zone:?}: {error}")));
            return;
        }
    };
    if spec.suspend.unwrap_or(false) {
        return;
    }
    let schedule = match Schedule::parse(&spec.schedule) {
        Ok(schedule) => schedule,
        Err(error) => {
            let message = format!("unparseable schedule: {:?} : {error}", spec.schedule);
            plan.say(Note::warning(about, "UnparseableSchedule", message));
            return;
        }
    };
    let due = due(cron, spec, &schedule, &zone, now);
    let last = due.time.map_or(due.since, |time| time.max(due.since));
    let mut coming = schedule.next(&last.to_zoned(zone.clone()));
    if coming.as_ref().is_some_and(|coming| coming.timestamp() <= now) {
        coming = schedule.next(&now.to_zoned(zone.clone()));
    }
    if let Some(coming) = coming {
        plan.again_at(coming.timestamp().saturating_add(DELTA).unwrap_or(Timestamp::MAX), now);
    }
    if due.missed > MANY {
        plan.say(Note::warning(about.clone(), "TooManyMissedTimes", TOO_MANY));
    }
    let Some(time) = due.time else { return };
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    if deadline.is_some_and(|deadline| now.duration_since(time) > deadline) {
        let words = time.to_zoned(zone).strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
        plan.say(Note::warning(about, "MissSchedule", format!("Missed scheduled time to start a job: {words}")));
        return;
    }
    let active = status.active.clone().unwrap_or_default();
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            plan.say(Note::normal(about, "JobAlreadyActive", FORBIDDEN));
            return;
        }
        Some("Replace") => {
            jobs.iter().filter(|job| lists(&active, job)).for_each(|job| plan.act(delete(cron, job)));
            status.active = None;
        }
        _ => {}
    }
    let job = job(cron, spec, time, &zone, spec.time_zone.is_some());
    if !jobs.iter().any(|known| known.metadata.name == job.metadata.name) {
        let made = Note::normal(about.clone(), "SuccessfulCreate", "Created job <name>");
        let failed = Note::warning(about, "FailedCreate", "Error creating job: <err>");
        plan.act(Action::create(&job).said(made).failed(failed));
    }
    status.last_schedule_time = Some(Time(time));
}

fn lists(active: &[ObjectReference], job: &Job) -> bool {
    active.iter().any(|known| known.uid == job.metadata.uid)
}

/// The latest start that is due and was not made.
struct Due {
    /// It, if there is one.
    time: Option<Timestamp>,
    /// From when on starts count.
    since: Timestamp,
    /// How many starts were missed, about.
    missed: i64,
}

fn due(cron: &CronJob, spec: &CronJobSpec, schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Due {
    let made = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let mut since = made.or(cron.metadata.creation_timestamp.as_ref()).map_or(now, |time| time.0);
    if let Some(seconds) = spec.starting_deadline_seconds {
        let oldest = now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        since = since.max(oldest);
    }
    let none = Due { time: None, since, missed: 0 };
    let next = |time: Timestamp| schedule.next(&time.to_zoned(zone.clone())).map(|time| time.timestamp());
    let Some(first) = next(since).filter(|first| *first <= now) else { return none };
    let Some(second) = next(first).filter(|second| *second <= now) else {
        return Due { time: Some(first), since, missed: 1 };
    };
    // Not every start is walked through: from the distance of two, most can be leapt over.
    let gap = second.duration_since(first).as_secs().max(1);
    let missed = now.duration_since(first).as_secs() / gap + 1;
    let leap = first.saturating_add(SignedDuration::from_secs((missed - 2).max(0) * gap)).unwrap_or(first);
    let from = next(leap).filter(|time| *time <= now).unwrap_or(second);
    let mut latest = from;
    while let Some(time) = next(latest).filter(|time| *time <= now) {
        latest = time;
    }
    Due { time: Some(latest), since, missed }
}

/// The Job of this due time.
fn job(cron: &CronJob, spec: &CronJobSpec, time: Timestamp, zone: &TimeZone, zoned: bool) -> Job {
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut annotations = template.annotations.unwrap_or_default();
    let stamp =
        if zoned { time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string() } else { time.to_string() };
    annotations.insert(DUE.into(), stamp);
    let name = cron.metadata.name.as_deref().unwrap_or_default();
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{}", time.as_second() / 60)),
            namespace: cron.metadata.namespace.clone(),
            labels: template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner_reference(cron)]),
            ..Default::default()
        },
        spec: spec.job_template.spec.clone(),
        status: None,
    }
}

/// Deletes the oldest of the Jobs that ended so, beyond `limit`.
fn remove_old(cron: &CronJob, jobs: &[Arc<Job>], how: &str, limit: Option<i32>, plan: &mut Plan) {
    let Some(limit) = limit else { return };
    let mut ended: Vec<_> = jobs
        .iter()
        .filter(|job| job.metadata.deletion_timestamp.is_none() && finished_as(job).is_some_and(|(as_, _)| as_ == how))
        .collect();
    let started = |job: &Job| job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    ended.sort_by_key(|job| (started(job), job.metadata.name.clone()));
    let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    ended.iter().take(surplus).for_each(|job| plan.act(delete(cron, job)));
}

fn delete(cron: &CronJob, job: &Job) -> Action {
    let about = reference(cron);
    Action::delete::<Job>(&job.metadata)
        .propagation("Background")
        .said(Note::normal(about.clone(), "SuccessfulDelete", format!("Deleted job {}", name(job))))
        .failed(Note::warning(about, "FailedDelete", "Deleted job: <err>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::plan::{Step, Verb};
    use serde_json::{Value, json};

    fn cron(spec: &Value, last: Option<&str>) -> CronJob {
        let mut value = json!({
            "metadata": { "name": "c", "namespace": "default", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "schedule": "*/10 * * * *", "jobTemplate": {} },
            "status": { "lastScheduleTime": last },
        });
        for (key, part) in spec.as_object().unwrap() {
            value["spec"][key] = part.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn job(name: &str, ended: Option<&str>) -> Arc<Job> {
        let condition = ended.map(|how| json!([{ "type": how, "status": "True" }]));
        let value = json!({
            "metadata": { "name": name, "uid": name, "annotations": { DUE: "x" } },
            "status": { "conditions": condition },
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn run(cron: &CronJob, jobs: &[Arc<Job>], now: &str) -> Plan {
        reconcile(cron, jobs, now.parse().unwrap())
    }

    fn made(plan: &Plan) -> Vec<String> {
        let creations = plan.actions().into_iter().filter(|action| action.verb == Verb::Create);
        creations.map(|action| action.body["metadata"]["annotations"][DUE].as_str().unwrap().to_owned()).collect()
    }

    fn said(plan: &Plan) -> Vec<&'static str> {
        let notes = plan.steps.iter().filter_map(|step| match step {
            Step::Say(note) => Some(note.reason),
            _ => None,
        });
        notes.collect()
    }

    #[test]
    fn the_latest_due_start_is_made_once() {
        for (spec, last, now, start) in [
            (json!({}), None, "2026-01-01T00:09:59Z", None),
            (json!({}), None, "2026-01-01T00:10:00Z", Some("2026-01-01T00:10:00Z")),
            (json!({}), Some("2026-01-01T00:10:00Z"), "2026-01-01T00:10:01Z", None),
            (json!({}), None, "2026-01-01T03:14:00Z", Some("2026-01-01T03:10:00Z")),
            (json!({ "suspend": true }), None, "2026-01-01T03:14:00Z", None),
            (json!({ "startingDeadlineSeconds": 60 }), None, "2026-01-01T03:14:00Z", None),
            (json!({ "startingDeadlineSeconds": 300 }), None, "2026-01-01T03:14:00Z", Some("2026-01-01T03:10:00Z")),
            (
                json!({ "schedule": "0 9 * * *", "timeZone": "Asia/Tokyo" }),
                None,
                "2026-01-02T00:00:00Z",
                Some("2026-01-02T09:00:00+09:00"),
            ),
        ] {
            let plan = run(&cron(&spec, last), &[], now);
            assert_eq!(made(&plan), start.into_iter().collect::<Vec<_>>(), "{spec} {now}");
        }
    }

    #[test]
    fn it_waits_for_the_next_start() {
        let plan = run(&cron(&json!({}), None), &[], "2026-01-01T00:04:00Z");
        assert_eq!(plan.again_after, Some(std::time::Duration::from_millis(360_100)));
    }

    #[test]
    fn a_running_job_is_waited_for_replaced_or_joined() {
        for (policy, expected) in [("Allow", (1, 0)), ("Forbid", (0, 0)), ("Replace", (1, 1))] {
            let mut cron = cron(&json!({ "concurrencyPolicy": policy }), None);
            let running = job("old", None);
            cron.status.get_or_insert_default().active = Some(vec![reference(&*running)]);
            let plan = run(&cron, &[running], "2026-01-01T00:10:00Z");
            let deletions = plan.actions().iter().filter(|action| action.verb == Verb::Delete).count();
            assert_eq!((made(&plan).len(), deletions), expected, "{policy}");
            assert_eq!(said(&plan).contains(&"JobAlreadyActive"), policy == "Forbid");
        }
    }

    #[test]
    fn ended_jobs_leave_the_list_and_the_oldest_go() {
        let mut cron = cron(&json!({ "successfulJobsHistoryLimit": 1 }), Some("2026-01-01T00:00:00Z"));
        let jobs = [job("a", Some("Complete")), job("b", Some("Complete")), job("c", Some("Failed"))];
        cron.status.get_or_insert_default().active = Some(vec![reference(&*jobs[1]), reference(&*job("lost", None))]);
        let plan = run(&cron, &jobs, "2026-01-01T00:01:00Z");
        assert_eq!(said(&plan), ["SawCompletedJob", "MissingJob"]);
        let actions = plan.actions();
        assert_eq!((actions[0].verb.clone(), actions[0].key.name.as_str()), (Verb::Delete, "a"));
        assert!(actions[1].body["status"].get("active").is_none());
    }
}
