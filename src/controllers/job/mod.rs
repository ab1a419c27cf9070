//! Job: runs Pods until enough of them have succeeded.
//!
//! Comes in: Jobs and their Pods. Goes out: Pods, counts, and the verdict `Complete` or `Failed`.
//! A Pod is counted exactly once, even across a crash: it keeps the finalizer
//! `batch.kubernetes.io/job-tracking` until its uid is noted in `uncountedTerminatedPods`, and the
//! note turns into a count once the finalizer is gone. Source: kube-controller-manager,
//! pkg/controller/job. Chapter: `book/src/control-plane/kube-controller-manager.md`.
//!
//! The files: `counting` (what the Pods add up to), `verdict` (whether it is over), and here the
//! Pods that are missing or too many.

mod counting;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::owners::{self, Claim};
use super::plan::{Action, MERGE, Plan, Step, reference};
use super::pods;
use super::runner::{Moment, Room};
use crate::client::ObjectKey;
use crate::client::views::PodView;
use counting::Count;
pub use verdict::finished_as;

/// Source: --concurrent-job-syncs.
const WORKERS: usize = 5;
/// Source: job_controller.go, MaxPodCreateDeletePerSync.
const BURST: usize = 500;
/// Source: job_controller.go, DefaultJobPodFailureBackOff.
const FIRST_BACKOFF: i64 = 10;
/// Source: job_controller.go, MaxJobPodFailureBackOff.
const LONGEST_BACKOFF: i64 = 600;
/// Keeps a Pod until it is counted.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Starts the loop.
pub fn start(room: Room) {
    let (jobs, pods) = (room.informer::<Job>(), room.informer::<PodView>());
    room.wake_self(&jobs);
    let known = jobs.clone();
    room.wake(&pods, move |pod| {
        if owners::controller_of(&pod.metadata).is_some() {
            return owners::controller_key(&pod.metadata, "Job").into_iter().collect();
        }
        let all = known.in_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
        let matching = all.iter().filter(|job| {
            let selector = spec(job).selector.as_ref().and_then(owners::selector);
            selector.is_some_and(|selector| owners::matches(&selector, &pod.metadata))
        });
        matching.map(|job| ObjectKey::of(&job.metadata)).collect()
    });
    room.run("job-controller", WORKERS, move |key, moment| {
        let Some(job) = jobs.get(key) else {
            // The Job is gone: nobody counts its Pods any more.
            return Plan::none();
        };
        let Some(selector) = spec(&job).selector.as_ref().and_then(owners::selector) else { return Plan::none() };
        reconcile(&job, owners::claim(&*job, &selector, &pods), moment)
    });
}

/// The spec, empty where there is none.
fn spec(job: &Job) -> JobSpec {
    job.spec.clone().unwrap_or_default()
}

fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// The Pod's completion index.
fn index(pod: &PodView) -> Option<i32> {
    pod.metadata.annotations.as_ref()?.get(INDEX)?.parse().ok()
}

/// What a Job needs done, given its Pods.
pub fn reconcile(job: &Job, claim: Claim<PodView>, moment: &Moment) -> Plan {
    let mut plan = Plan::none();
    for patch in claim.patches {
        plan.act(patch);
    }
    let pods = claim.owned;
    if verdict::is_finished(job) || job.metadata.deletion_timestamp.is_some() {
        release_all(&pods, &mut plan);
        return plan;
    }
    let spec = spec(job);
    let mut next = job.clone();
    let count = counting::count(&spec, next.status.get_or_insert_default(), &pods);
    let suspended = spec.suspend.unwrap_or(false);
    if !suspended && count.status(&next).start_time.is_none() {
        next.status.get_or_insert_default().start_time = Some(Time(moment.now));
    }
    verdict::judge(&mut next, &spec, &count, moment.now, &mut plan);
    if next.status != job.status {
        plan.act(Action::update_sub(&next, "status"));
    }
    for pod in pods.iter().filter(|pod| count.is_noted(pod)) {
        plan.steps.extend(release(pod).map(Step::Do));
    }
    if suspended || verdict::is_over(&next) {
        stop(job, &count.active, &mut plan);
    } else {
        manage(job, &spec, &count, moment.now, &mut plan);
    }
    plan
}

/// Creates what is missing, deletes what is too many.
fn manage(job: &Job, spec: &JobSpec, count: &Count, now: Timestamp, plan: &mut Plan) {
    let active = count.active.len();
    let parallelism = size(spec.parallelism.unwrap_or(1));
    let wanted = match spec.completions {
        None if count.succeeded > 0 => active.min(parallelism),
        None => parallelism,
        Some(completions) => size(completions).saturating_sub(count.succeeded).min(parallelism),
    };
    if active > wanted {
        stop(job, &pods::surplus(count.active.clone(), &[], active - wanted, now), plan);
        return;
    }
    let missing = wanted.saturating_sub(active + count.terminating_to_wait(spec)).min(BURST);
    if missing == 0 {
        return;
    }
    if let Some(at) = backoff_ends(count).filter(|at| *at > now) {
        plan.again_at(at, now);
        return;
    }
    let pods: Vec<_> = if is_indexed(spec) {
        count
            .free_indexes(size(spec.completions.unwrap_or(0)))
            .take(missing)
            .map(|index| pod(job, spec, Some(index)))
            .collect()
    } else {
        vec![pod(job, spec, None); missing]
    };
    plan.steps.push(Step::Burst(pods.iter().map(|pod| pods::create(job, pod)).collect()));
}

fn size(count: i32) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// After failures the next Pod waits: 10 s, 20 s, 40 s, up to ten minutes after the last one.
fn backoff_ends(count: &Count) -> Option<Timestamp> {
    let last = count.last_failure?;
    let failures = u32::try_from(count.failures_in_a_row).unwrap_or(u32::MAX).clamp(1, 30);
    let seconds = FIRST_BACKOFF.saturating_mul(1 << (failures - 1)).min(LONGEST_BACKOFF);
    last.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn stop(job: &Job, pods: &[Arc<PodView>], plan: &mut Plan) {
    let about = reference(job);
    if !pods.is_empty() {
        plan.steps.push(Step::Burst(pods.iter().map(|pod| pods::delete(&about, &pod.metadata)).collect()));
    }
}

/// A finished Job holds no Pod back.
fn release_all(pods: &[Arc<PodView>], plan: &mut Plan) {
    plan.steps.extend(pods.iter().filter_map(|pod| release(pod)).map(Step::Do));
}

fn release(pod: &PodView) -> Option<Action> {
    let finalizers = pod.metadata.finalizers.as_ref()?;
    let stay: Vec<_> = finalizers.iter().filter(|finalizer| *finalizer != TRACKING).collect();
    if stay.len() == finalizers.len() {
        return None;
    }
    let stay = if stay.is_empty() { Value::Null } else { json!(stay) };
    let patch = json!({ "metadata": { "uid": pod.metadata.uid, "finalizers": stay } });
    Some(Action::patch::<PodView>(&pod.metadata, "", MERGE, patch))
}

/// A Pod of the Job, for this index where it has one.
fn pod(job: &Job, spec: &JobSpec, index: Option<i32>) -> Pod {
    let mut pod = pods::from_template(job, &spec.template);
    pod.metadata.finalizers.get_or_insert_default().push(TRACKING.into());
    let Some(index) = index else { return pod };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    pod.metadata.generate_name = Some(format!("{name}-{index}-"));
    let note = |map: &mut Option<BTreeMap<String, String>>| {
        map.get_or_insert_default().insert(INDEX.into(), index.to_string());
    };
    note(&mut pod.metadata.annotations);
    note(&mut pod.metadata.labels);
    let template = pod.spec.get_or_insert_default();
    template.hostname = Some(format!("{name}-{index}"));
    let from = ObjectFieldSelector { field_path: format!("metadata.annotations['{INDEX}']"), api_version: None };
    let variable = EnvVar {
        name: "JOB_COMPLETION_INDEX".into(),
        value_from: Some(EnvVarSource { field_ref: Some(from), ..Default::default() }),
        ..Default::default()
    };
    for container in template.init_containers.iter_mut().flatten().chain(&mut template.containers) {
        let env = container.env.get_or_insert_default();
        if !env.iter().any(|known| known.name == variable.name) {
            env.push(variable.clone());
        }
    }
    pod
}

#[cfg(test)]
mod tests;
