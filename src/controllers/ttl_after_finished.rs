//! Jobs with `ttlSecondsAfterFinished`: deleted that long after they ended.
//!
//! Comes in: Jobs. Goes out: deletions. Source: kube-controller-manager,
//! pkg/controller/ttlafterfinished. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

use super::job::finished_as;
use super::plan::{Action, Plan};
use super::runner::Room;

/// Source: --concurrent-ttl-after-finished-syncs.
const WORKERS: usize = 5;

/// Starts the loop.
pub fn start(room: Room) {
    let jobs = room.informer::<Job>();
    room.wake_self(&jobs);
    room.run("ttl-after-finished-controller", WORKERS, move |key, moment| {
        jobs.get(key).map_or_else(Plan::none, |job| reconcile(&job, moment.now))
    });
}

/// What a Job needs done.
pub fn reconcile(job: &Job, now: Timestamp) -> Plan {
    let mut plan = Plan::none();
    let seconds = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished);
    let ended = finished_as(job).and_then(|(_, at)| at);
    let (Some(seconds), Some(ended), None) = (seconds, ended, &job.metadata.deletion_timestamp) else { return plan };
    let end = ended.saturating_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX);
    if end > now {
        plan.again_at(end, now);
    } else {
        plan.act(Action::delete::<Job>(&job.metadata).propagation("Foreground"));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_ended_job_stays_for_its_time() {
        // type of the condition, ttl, seconds since → deletions, seconds to wait.
        for (how, ttl, since, deleted, wait) in [
            ("Complete", Some(10), 9, 0, Some(1)),
            ("Failed", Some(10), 10, 1, None),
            ("Complete", Some(0), 0, 1, None),
            ("Complete", None, 99, 0, None),
            ("Suspended", Some(0), 99, 0, None),
        ] {
            let condition = json!({ "type": how, "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z" });
            let value = json!({
                "metadata": { "name": "j" },
                "spec": { "ttlSecondsAfterFinished": ttl, "template": {} },
                "status": { "conditions": [condition] },
            });
            let plan = reconcile(&serde_json::from_value(value).unwrap(), Timestamp::from_second(since).unwrap());
            assert_eq!(plan.actions().len(), deleted, "{how} {ttl:?}");
            assert_eq!(plan.again_after.map(|wait| wait.as_secs()), wait, "{how} {ttl:?}");
        }
    }
}
