//! Job: runs Pods until enough of them have succeeded.
//!
//! Comes in: Jobs and their Pods. Goes out: Pods, counts, and the verdict `Complete` or `Failed`.
//! A Pod is counted exactly once, even across a crash: it keeps the finalizer
//! `batch.kubernetes.io/job-tracking` until its uid is noted in `uncountedTerminatedPods`, and the
//! note turns into a count once the finalizer is gone. Source: kube-controller-manager,
//! pkg/controller/job. Chapter: `book/src/control-plane/kube-controller-manager.md`.
//!
//! The files: `counting` (what the Pods add up to), `policy` (the Job's own rules about failure and
//! success), `indexes` (Indexed Jobs), `past` (how long to wait after failures), `verdict` (whether it
//! is over), and here the Pods that are missing or too many.

mod counting;
mod indexes;
mod past;
mod policy;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::owners::{self, Claim};
use super::plan::{Action, MERGE, Plan, Step, reference};
use super::pods;
use super::runner::{Moment, Room};
use crate::client::views::PodView;
use crate::client::{Informer, ObjectKey};
use counting::Count;
use past::{Past, Pasts};
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
/// Who manages a Job that does not say. Source: batch/v1 types.go, JobControllerName.
const MANAGER: &str = "kubernetes.io/job-controller";

/// Starts the loop.
pub fn start(room: Room) {
    let (jobs, pods) = (room.informer::<Job>(), room.informer::<PodView>());
    room.wake_self(&jobs);
    let known = jobs.clone();
    room.wake(&pods, move |pod| jobs_of(pod, &known));
    let pasts = Pasts::default();
    room.run("job-controller", WORKERS, move |key, moment| {
        let Some(job) = jobs.get(key).filter(|_| !key.name.is_empty()) else {
            pasts.forget(key);
            return forget(&pods.in_namespace(&key.namespace), key);
        };
        let spec = spec(&job);
        if spec.managed_by.as_deref().is_some_and(|manager| manager != MANAGER) {
            return Plan::none();
        }
        let Some(selector) = spec.selector.as_ref().and_then(owners::selector) else { return Plan::none() };
        let uid = job.metadata.uid.as_deref().unwrap_or_default();
        pasts.with(key, uid, |past| reconcile(&job, claim(&job, &selector, &pods), past, moment))
    });
}

/// The Jobs a Pod matters to: its controller, or for an orphan those that match it. An orphan that
/// is held wakes the key without a name too, which stands for the orphans of the namespace.
fn jobs_of(pod: &PodView, jobs: &Informer<Job>) -> Vec<ObjectKey> {
    if owners::controller_of(&pod.metadata).is_some() {
        return owners::controller_key(&pod.metadata, "Job").into_iter().collect();
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let all = jobs.in_namespace(namespace);
    let matching = all.iter().filter(|job| {
        let selector = spec(job).selector.as_ref().and_then(owners::selector);
        selector.is_some_and(|selector| owners::matches(&selector, &pod.metadata))
    });
    let orphans = counting::is_held(pod).then(|| ObjectKey::new(namespace, ""));
    matching.map(|job| ObjectKey::of(&job.metadata)).chain(orphans).collect()
}

/// Lets go the Pods that nobody counts: those of a Job that is gone, or of none.
fn forget(pods: &[Arc<PodView>], key: &ObjectKey) -> Plan {
    let mut plan = Plan::none();
    let left = pods.iter().filter(|pod| match owners::controller_of(&pod.metadata) {
        Some(owner) => owner.kind == "Job" && owner.name == key.name,
        None => key.name.is_empty(),
    });
    plan.steps.extend(left.filter_map(|pod| release(pod)).map(Step::Do));
    plan
}

/// What the Job owns: a Pod that it adopts is held until it is counted, one that it lets go is not.
fn claim(job: &Job, selector: &kube::core::Selector, pods: &Informer<PodView>) -> Claim<PodView> {
    let mut claim = owners::claim(job, selector, pods);
    for patch in &mut claim.patches {
        let released = patch.body.pointer("/metadata/ownerReferences/0/$patch").is_some();
        let field = if released { "$deleteFromPrimitiveList/finalizers" } else { "finalizers" };
        patch.body["metadata"][field] = json!([TRACKING]);
    }
    claim
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

/// What a Job needs done, given its Pods and those it had.
pub fn reconcile(job: &Job, claim: Claim<PodView>, past: &mut Past, moment: &Moment) -> Plan {
    let mut plan = Plan::none();
    for patch in claim.patches {
        plan.act(patch);
    }
    let pods = claim.owned;
    if verdict::is_finished(job) || job.metadata.deletion_timestamp.is_some() {
        // Nobody will count them any more.
        *past = Past::default();
        plan.steps.extend(pods.iter().filter_map(|pod| release(pod)).map(Step::Do));
        return plan;
    }
    let spec = spec(job);
    let suspended = spec.suspend.unwrap_or(false);
    let mut next = job.clone();
    let count = counting::tally(&spec, next.status.get_or_insert_default(), &pods, past);
    let status = next.status.get_or_insert_default();
    if !suspended && status.start_time.is_none() {
        status.start_time = Some(Time(moment.now));
    }
    let ending = verdict::judge(&mut next, &spec, &count, moment.now, &mut plan);
    let released = counting::note(&spec, next.status.get_or_insert_default(), &count, &pods, ending);
    match ending {
        Some(ending) => verdict::finish(&mut next, &count, ending, moment.now, &mut plan),
        None => verdict::suspend(&mut next, &spec, moment.now, &mut plan),
    }
    if next.status != job.status {
        plan.act(Action::update_sub(&next, "status"));
    }
    plan.steps.extend(released.iter().filter_map(|pod| release(pod)).map(Step::Do));
    if ending.is_some() {
        delete(job, &count.active, &mut plan);
    } else if suspended {
        withdraw(job, &count.active, &mut plan);
    } else {
        manage(job, &spec, &count, past, moment.now, &mut plan);
    }
    plan
}

/// Creates what is missing, withdraws what is too much.
fn manage(job: &Job, spec: &JobSpec, count: &Count, past: &Past, now: Timestamp, plan: &mut Plan) {
    let active = count.active.len();
    let parallelism = size(spec.parallelism.unwrap_or(1));
    let wanted = match spec.completions {
        None if count.succeeded > 0 => active,
        None => parallelism,
        Some(completions) => size(completions).saturating_sub(count.succeeded).min(parallelism),
    };
    let surplus = surplus(spec, count, active.saturating_sub(wanted), now);
    if !surplus.is_empty() {
        return withdraw(job, &surplus, plan);
    }
    let leaving = if counting::replaces_failed_only(spec) { count.terminating.len() } else { 0 };
    let missing = wanted.saturating_sub(active + leaving).min(BURST);
    if missing == 0 {
        return;
    }
    let per_index = spec.backoff_limit_per_index.is_some();
    if let Some(at) = past.next_at().filter(|at| !per_index && *at > now) {
        return plan.again_at(at, now);
    }
    let pods: Vec<_> = if is_indexed(spec) {
        let retry_at = |index: &i32| count.waiting.get(index).and_then(|last| indexes::retry_at(last));
        let free: Vec<_> = count.free_indexes(spec).take(missing).collect();
        let (ready, waiting): (Vec<_>, Vec<_>) = free.into_iter().partition(|i| retry_at(i).is_none_or(|at| at <= now));
        if let Some(at) = waiting.iter().filter_map(retry_at).min() {
            plan.again_at(at, now);
        }
        ready.into_iter().map(|index| indexed(job, spec, index, count)).collect()
    } else {
        vec![pod(job, spec); missing]
    };
    if !pods.is_empty() {
        plan.steps.push(Step::Burst(pods.iter().map(|pod| pods::create(job, pod)).collect()));
    }
}

/// The Pods to withdraw: those without a place of their own, and then the least useful.
fn surplus(spec: &JobSpec, count: &Count, at_least: usize, now: Timestamp) -> Vec<Arc<PodView>> {
    // Least useful first, so that the last of an index is the one to keep.
    let ordered = pods::surplus(count.active.clone(), &[], count.active.len(), now);
    let keeps = |at: usize, pod: &PodView| {
        let places = 0..spec.completions.unwrap_or(0);
        let again = ordered[at + 1..].iter().any(|later| index(later) == index(pod));
        !is_indexed(spec) || !again && index(pod).is_some_and(|index| places.contains(&index))
    };
    let (keep, drop): (Vec<_>, Vec<_>) = ordered.iter().enumerate().partition(|(at, pod)| keeps(*at, pod));
    let more = at_least.saturating_sub(drop.len());
    drop.into_iter().chain(keep.into_iter().take(more)).map(|(_, pod)| pod.clone()).take(BURST).collect()
}

fn size(count: i32) -> usize {
    usize::try_from(count).unwrap_or(0)
}

fn delete(job: &Job, pods: &[Arc<PodView>], plan: &mut Plan) {
    let about = reference(job);
    if !pods.is_empty() {
        plan.steps.push(Step::Burst(pods.iter().map(|pod| pods::delete(&about, &pod.metadata)).collect()));
    }
}

/// Takes Pods away that shall not count as failures.
fn withdraw(job: &Job, pods: &[Arc<PodView>], plan: &mut Plan) {
    plan.steps.extend(pods.iter().filter_map(|pod| release(pod)).map(Step::Do));
    delete(job, pods, plan);
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

/// A Pod of the Job.
fn pod(job: &Job, spec: &JobSpec) -> Pod {
    let mut pod = pods::from_template(job, &spec.template);
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == TRACKING) {
        finalizers.push(TRACKING.into());
    }
    pod
}

/// The Pod of an index.
fn indexed(job: &Job, spec: &JobSpec, index: i32, count: &Count) -> Pod {
    let mut pod = pod(job, spec);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    pod.metadata.generate_name = Some(format!("{name}-{index}-"));
    let note = |map: &mut Option<BTreeMap<String, String>>, key: &str, value: i32| {
        map.get_or_insert_default().insert(key.into(), value.to_string());
    };
    note(&mut pod.metadata.annotations, INDEX, index);
    note(&mut pod.metadata.labels, INDEX, index);
    if spec.backoff_limit_per_index.is_some() {
        for (key, value) in indexes::annotations(spec, count.waiting.get(&index).map(|last| &**last)) {
            note(&mut pod.metadata.annotations, key, value);
        }
    }
    let template = pod.spec.get_or_insert_default();
    template.hostname = Some(format!("{name}-{index}"));
    let from = ObjectFieldSelector { field_path: format!("metadata.labels['{INDEX}']"), api_version: None };
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
