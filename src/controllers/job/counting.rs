//! What a Job's Pods add up to. Source: job_controller.go, trackJobStatusAndRemoveFinalizers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{JobSpec, JobStatus, UncountedTerminatedPods};

use super::past::Past;
use super::policy::{self, Failure};
use super::verdict::Ending;
use super::{TRACKING, index, indexes, is_indexed};
use crate::client::views::PodView;

/// Notes at most, so that the status stays small. Source: job_controller.go, MaxUncountedPods.
const MOST_NOTES: usize = 500;

/// What the Pods and the counts so far say.
#[derive(Debug, Default)]
pub struct Count {
    /// Pods that may still succeed.
    pub active: Vec<Arc<PodView>>,
    /// Succeeded Pods (or indexes), counted or not.
    pub succeeded: usize,
    /// Failed Pods that count, counted or not.
    pub failed: usize,
    /// Pods being deleted that have not ended.
    pub terminating: Vec<Arc<PodView>>,
    /// Starts of containers after the first, in Pods that have not ended.
    pub restarts: i32,
    /// Why the failure policy fails the Job.
    pub fails_job: Option<String>,
    /// Indexes that succeeded.
    pub done: BTreeSet<i32>,
    /// Indexes that failed for good.
    pub given_up: BTreeSet<i32>,
    /// The failed Pods whose successors take over their index's count.
    pub waiting: BTreeMap<i32, Arc<PodView>>,
}

/// The Pod keeps its finalizer until it is counted.
pub fn is_held(pod: &PodView) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == TRACKING)
}

/// A Pod that ended badly, or is taken away before it could end.
pub fn is_failed(spec: &JobSpec, pod: &PodView) -> bool {
    let phase = pod.status.phase.as_deref();
    let taken = pod.metadata.deletion_timestamp.is_some() && phase != Some("Succeeded");
    phase == Some("Failed") || taken && !replaces_failed_only(spec)
}

/// A Pod is replaced once it has ended, not when it begins to end.
pub fn replaces_failed_only(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed")
}

/// The Pod has a place in the Job: any, or an index below `completions`.
fn has_place(spec: &JobSpec, pod: &PodView) -> bool {
    !is_indexed(spec) || index(pod).is_some_and(|index| (0..spec.completions.unwrap_or(0)).contains(&index))
}

/// Adds up, turns settled notes into counts, brings the other numbers of the status up to date, and `past` too.
pub fn tally(spec: &JobSpec, status: &mut JobStatus, pods: &[Arc<PodView>], past: &mut Past) -> Count {
    let mut count = Count::default();
    settle(status, pods);
    let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    let completions = spec.completions.unwrap_or(0);
    count.done = indexes::parse(status.completed_indexes.as_deref().unwrap_or_default(), completions);
    count.given_up = indexes::parse(status.failed_indexes.as_deref().unwrap_or_default(), completions);
    let (mut succeeded, mut failed) = (length(&uncounted.succeeded), length(&uncounted.failed));
    for pod in pods {
        let fresh = |noted: &Option<Vec<String>>| is_held(pod) && has_place(spec, pod) && !has(noted, pod);
        if pod.is_active() {
            count.active.push(pod.clone());
        } else if !pod.is_finished() {
            count.terminating.push(pod.clone());
        }
        if !pod.is_finished() {
            let all = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
            count.restarts += all.map(|status| status.restart_count).sum::<i32>();
        }
        if pod.status.phase.as_deref() == Some("Succeeded") {
            if is_held(pod) {
                past.succeeded(ended(pod));
            }
            succeeded += usize::from(fresh(&uncounted.succeeded));
            count.done.extend(index(pod).filter(|_| is_indexed(spec) && fresh(&None)));
        } else if is_failed(spec, pod) {
            // One that the Job withdrew was let go before.
            if let (true, Some(uid), Some(at)) = (is_held(pod), &pod.metadata.uid, ended(pod)) {
                past.failed(uid, at);
            }
            let meaning = policy::failure(spec, pod);
            failed += usize::from(fresh(&uncounted.failed) && meaning != Failure::Ignore);
            count.given_up.extend(index(pod).filter(|_| fresh(&None) && indexes::is_last(spec, pod)));
            if let (Failure::FailJob(why), None) = (meaning, &count.fails_job) {
                count.fails_job = Some(why);
            }
        }
    }
    count.succeeded = if is_indexed(spec) { count.done.len() } else { size(status.succeeded) + succeeded };
    count.failed = size(status.failed) + failed;
    let settled: BTreeSet<i32> = count.done.iter().chain(&count.given_up).copied().collect();
    let running = count.active.iter().filter_map(|pod| index(pod));
    count.waiting = indexes::waiting(spec, pods, &settled.into_iter().chain(running).collect());
    show(spec, status, &count);
    count
}

fn show(spec: &JobSpec, status: &mut JobStatus, count: &Count) {
    status.active = Some(number(count.active.len())).filter(|active| *active > 0);
    status.ready = Some(number(count.active.iter().filter(|pod| pod.is_ready()).count()));
    status.terminating = Some(number(count.terminating.len()));
    if is_indexed(spec) {
        status.succeeded = Some(number(count.done.len())).filter(|done| *done > 0);
        status.completed_indexes = Some(indexes::format(&count.done)).filter(|text| !text.is_empty());
        status.failed_indexes = spec.backoff_limit_per_index.map(|_| indexes::format(&count.given_up));
    }
}

/// Notes the Pods whose end is known, and says which of them may lose their finalizer.
pub fn note(
    spec: &JobSpec,
    status: &mut JobStatus,
    count: &Count,
    pods: &[Arc<PodView>],
    ending: Option<Ending>,
) -> Vec<Arc<PodView>> {
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    let mut released = Vec::new();
    for pod in pods.iter().filter(|pod| is_held(pod)) {
        if length(&uncounted.succeeded) + length(&uncounted.failed) >= MOST_NOTES {
            break;
        }
        let succeeded = pod.status.phase.as_deref() == Some("Succeeded");
        let failed = is_failed(spec, pod);
        let waits = index(pod).and_then(|index| count.waiting.get(&index)).is_some_and(|last| same(last, pod));
        if !succeeded && ending.is_none() && (!failed || waits) {
            continue;
        }
        released.push(pod.clone());
        if succeeded && !has(&uncounted.failed, pod) {
            // An index is enough to count it once; other Pods are noted.
            if !is_indexed(spec) {
                add(&mut uncounted.succeeded, pod);
            }
        } else if (failed || ending == Some(Ending::Fails))
            && has_place(spec, pod)
            && policy::failure(spec, pod) != Failure::Ignore
        {
            add(&mut uncounted.failed, pod);
        }
    }
    released
}

/// Notes whose Pod has lost its finalizer (or is gone) turn into counts.
fn settle(status: &mut JobStatus, pods: &[Arc<PodView>]) {
    let mut uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
    let held = |uid: &String| pods.iter().any(|pod| pod.metadata.uid.as_ref() == Some(uid) && is_held(pod));
    let take = |list: &mut Option<Vec<String>>, total: &mut Option<i32>| {
        let (wait, counted): (Vec<_>, Vec<_>) = list.take().unwrap_or_default().into_iter().partition(held);
        *total = Some(total.unwrap_or(0) + number(counted.len())).filter(|sum| *sum > 0);
        *list = Some(wait).filter(|wait| !wait.is_empty());
    };
    take(&mut uncounted.succeeded, &mut status.succeeded);
    take(&mut uncounted.failed, &mut status.failed);
    status.uncounted_terminated_pods = Some(uncounted);
}

/// Nothing is noted that is not counted yet.
pub fn is_settled(status: &JobStatus) -> bool {
    status.uncounted_terminated_pods.as_ref().is_none_or(|notes| *notes == UncountedTerminatedPods::default())
}

/// When a Pod ended: its last container, or else when it was last ready, or was taken away.
pub fn ended(pod: &PodView) -> Option<Timestamp> {
    let states = pod.status.container_statuses.iter().map(|status| status.state.as_ref()?.terminated.as_ref());
    let finished: Option<Vec<_>> = states.map(|state| Some(state?.finished_at.as_ref()?.0)).collect();
    let unready = pod.condition("Ready").filter(|ready| ready.status == "False");
    let taken = pod.metadata.deletion_timestamp.as_ref().and_then(|time| {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        time.0.checked_sub(SignedDuration::from_secs(grace)).ok()
    });
    finished
        .and_then(|times| times.into_iter().max())
        .or_else(|| unready.and_then(|ready| ready.last_transition_time.as_ref()).map(|time| time.0))
        .or(taken)
        .or_else(|| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

fn same(a: &PodView, b: &PodView) -> bool {
    a.metadata.uid == b.metadata.uid
}

fn has(list: &Option<Vec<String>>, pod: &PodView) -> bool {
    list.iter().flatten().any(|uid| pod.metadata.uid.as_ref() == Some(uid))
}

fn add(list: &mut Option<Vec<String>>, pod: &PodView) {
    if !has(list, pod) {
        list.get_or_insert_default().extend(pod.metadata.uid.clone());
    }
}

fn length(list: &Option<Vec<String>>) -> usize {
    list.as_ref().map_or(0, Vec::len)
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn size(count: Option<i32>) -> usize {
    usize::try_from(count.unwrap_or(0)).unwrap_or(0)
}

impl Count {
    /// Indexes that have neither ended for good nor a Pod, lowest first.
    pub fn free_indexes(&self, spec: &JobSpec) -> impl Iterator<Item = i32> + '_ {
        let ending = self.terminating.iter().filter(|_| replaces_failed_only(spec));
        let taken: BTreeSet<_> = self.active.iter().chain(ending).filter_map(|pod| index(pod)).collect();
        (0..spec.completions.unwrap_or(0))
            .filter(move |index| !taken.contains(index) && !self.done.contains(index) && !self.given_up.contains(index))
    }
}
