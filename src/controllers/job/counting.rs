//! What a Job's Pods add up to. Source: job_controller.go, trackJobStatusAndRemoveFinalizers.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus, UncountedTerminatedPods};

use super::{TRACKING, index, is_indexed};
use crate::client::views::PodView;

/// What the Pods and the counts so far say.
#[derive(Debug, Default)]
pub struct Count {
    /// Pods that may still succeed.
    pub active: Vec<Arc<PodView>>,
    /// Succeeded Pods (or indexes), counted or noted.
    pub succeeded: usize,
    /// Failed Pods, counted or noted.
    pub failed: usize,
    /// Pods being deleted that have not ended.
    pub terminating: usize,
    /// Starts of containers after the first, in active Pods.
    pub restarts: i32,
    /// When a Pod failed last.
    pub last_failure: Option<Timestamp>,
    /// Failures since the last success.
    pub failures_in_a_row: usize,
    done: BTreeSet<i32>,
    noted: BTreeSet<String>,
}

/// Counts, and brings the status' counts and notes up to date.
pub fn count(spec: &JobSpec, status: &mut JobStatus, pods: &[Arc<PodView>]) -> Count {
    let mut count = Count::default();
    let replace_failed_only = spec.pod_replacement_policy.as_deref() == Some("Failed");
    let mut uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
    settle(&mut uncounted, status, pods);
    count.done = parse_indexes(status.completed_indexes.as_deref().unwrap_or_default());
    let mut failures = Vec::new();
    let mut last_success = None;
    for pod in pods {
        let leaving = pod.metadata.deletion_timestamp.is_some();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let held = pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == TRACKING);
        let failed = pod.status.phase.as_deref() == Some("Failed") || leaving && !replace_failed_only;
        if pod.status.phase.as_deref() == Some("Succeeded") {
            last_success = last_success.max(ended(pod));
            if held {
                note(&mut uncounted.succeeded, &uid);
            }
            if is_indexed(spec) {
                count.done.extend(index(pod));
            }
        } else if failed {
            failures.push(ended(pod));
            if held {
                note(&mut uncounted.failed, &uid);
            }
            count.terminating += usize::from(leaving && !pod.is_finished());
        } else if leaving {
            count.terminating += 1;
        } else {
            count.restarts += pod.status.container_statuses.iter().map(|status| status.restart_count).sum::<i32>();
            count.active.push(pod.clone());
        }
    }
    let length = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
    count.noted = uncounted.succeeded.iter().chain(&uncounted.failed).flatten().cloned().collect();
    let positive = |count: Option<i32>| usize::try_from(count.unwrap_or(0)).unwrap_or(0);
    count.succeeded = positive(status.succeeded) + length(&uncounted.succeeded);
    count.failed = positive(status.failed) + length(&uncounted.failed);
    if is_indexed(spec) {
        status.completed_indexes = Some(format_indexes(&count.done)).filter(|text| !text.is_empty());
        count.succeeded = count.done.len();
    }
    count.last_failure = failures.iter().copied().flatten().max();
    count.failures_in_a_row = failures.iter().filter(|at| **at > last_success).count();
    let number = |count: usize| Some(i32::try_from(count).unwrap_or(i32::MAX));
    status.active = number(count.active.len()).filter(|active| *active > 0);
    status.ready = number(count.active.iter().filter(|pod| pod.is_ready()).count());
    status.terminating = number(count.terminating);
    status.uncounted_terminated_pods = Some(uncounted);
    count
}

/// Notes whose Pod has lost its finalizer (or is gone) turn into counts.
fn settle(uncounted: &mut UncountedTerminatedPods, status: &mut JobStatus, pods: &[Arc<PodView>]) {
    let held = |uid: &String| {
        let mut same = pods.iter().filter(|pod| pod.metadata.uid.as_ref() == Some(uid));
        same.any(|pod| pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == TRACKING))
    };
    let take = |list: &mut Option<Vec<String>>, total: &mut Option<i32>| {
        let all = list.take().unwrap_or_default();
        let (wait, counted): (Vec<_>, Vec<_>) = all.into_iter().partition(held);
        *total = Some(total.unwrap_or(0) + i32::try_from(counted.len()).unwrap_or(i32::MAX)).filter(|sum| *sum > 0);
        *list = Some(wait).filter(|wait| !wait.is_empty());
    };
    take(&mut uncounted.succeeded, &mut status.succeeded);
    take(&mut uncounted.failed, &mut status.failed);
}

fn note(list: &mut Option<Vec<String>>, uid: &str) {
    let list = list.get_or_insert_default();
    if !list.iter().any(|known| known == uid) {
        list.push(uid.to_owned());
    }
}

/// When a Pod's last container ended.
fn ended(pod: &PodView) -> Option<Timestamp> {
    let states = pod.status.container_statuses.iter().filter_map(|status| status.state.as_ref()?.terminated.as_ref());
    let finished = states.filter_map(|state| state.finished_at.as_ref()).map(|time| time.0).max();
    let changed = pod.status.conditions.iter().filter_map(|c| c.last_transition_time.as_ref()).map(|time| time.0).max();
    finished.or(changed).or_else(|| pod.metadata.deletion_timestamp.as_ref().map(|time| time.0))
}

impl Count {
    /// The Pod's end is noted, so its finalizer may go.
    pub fn is_noted(&self, pod: &PodView) -> bool {
        pod.metadata.uid.as_ref().is_some_and(|uid| self.noted.contains(uid))
    }

    /// The status being made.
    pub fn status(&self, job: &Job) -> JobStatus {
        job.status.clone().unwrap_or_default()
    }

    /// Nothing is left to note or to count.
    pub fn is_settled(&self) -> bool {
        self.noted.is_empty()
    }

    /// Pods being deleted whose replacement has to wait for their end.
    pub fn terminating_to_wait(&self, spec: &JobSpec) -> usize {
        if spec.pod_replacement_policy.as_deref() == Some("Failed") { self.terminating } else { 0 }
    }

    /// Indexes that have neither succeeded nor an active Pod, lowest first.
    pub fn free_indexes(&self, completions: usize) -> impl Iterator<Item = i32> + '_ {
        let taken: BTreeSet<_> = self.active.iter().filter_map(|pod| index(pod)).collect();
        let all = 0..i32::try_from(completions).unwrap_or(i32::MAX);
        all.filter(move |index| !taken.contains(index) && !self.done.contains(index))
    }
}

/// `0-2,4` as a set.
pub fn parse_indexes(text: &str) -> BTreeSet<i32> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse::<i32>().ok()?..=to.parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// A set as `0,1,4-6`: runs of two or more are joined by a dash, as Kubernetes does.
pub fn format_indexes(indexes: &BTreeSet<i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for &index in indexes {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == index => *end = index,
            _ => runs.push((index, index)),
        }
    }
    let text = |&(from, to): &(i32, i32)| match to - from {
        0 => from.to_string(),
        1 => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}
