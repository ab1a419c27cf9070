//! Tables for `sync_pod`: a Pod and what is known of it in, actions and the phase out.

use serde_json::{Value, json};

use super::*;
use crate::kubelet::probes::Answer;
use crate::kubelet::state::{Exited, Failure, Running, Sandbox};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn pod(spec: Value) -> PodView {
    let mut pod = json!({"metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "tutor/web:1"}]}});
    json_patch::merge(&mut pod, &spec);
    serde_json::from_value(pod).unwrap()
}

fn running(started: i64) -> Running {
    Running { id: "id".into(), image_id: String::new(), started: at(started) }
}

fn exited(code: i32, finished: i64) -> Exited {
    Exited { was: running(0), finished: at(finished), code, reason: "Error".into(), message: String::new() }
}

fn state(lives: &[(&str, Life)]) -> PodState {
    let mut state = PodState::new(at(0));
    state.sandbox = Some(Sandbox { id: "s".into(), ip: "10.244.1.2".into() });
    for (name, life) in lives {
        state.container(name).life = life.clone();
    }
    state
}

fn words(sync: &Sync) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::CreateSandbox => "sandbox".to_owned(),
        Action::Start { container } => format!("start {container}"),
        Action::Stop { container, grace_seconds, .. } => format!("stop {container} {grace_seconds}s"),
        Action::Kill { container } => format!("kill {container}"),
        Action::Probe { container, kind } => format!("probe {container} {}", kind.name()),
        Action::ReportBackOff { container } => format!("report {container}"),
        Action::End { reason, .. } => format!("end {reason}"),
        Action::RemoveSandbox => "remove sandbox".to_owned(),
        Action::RefillVolumes => "refill volumes".to_owned(),
    };
    sync.actions.iter().map(word).collect()
}

fn check(pod: &PodView, state: &PodState, now: i64, actions: &[&str], phase: &str) -> Sync {
    let sync = sync_pod(pod, state, at(now));
    assert_eq!(words(&sync), actions);
    assert_eq!(sync.status.phase.as_deref(), Some(phase));
    sync
}

#[test]
fn volumes_are_filled_again_when_something_changed_or_is_due_and_a_container_runs() {
    let runs = || state(&[("c", Life::Running(running(0)))]);
    let mut told = runs();
    told.volumes_changed = true;
    check(&pod(json!({})), &told, 5, &["refill volumes"], "Running");
    told.jobs.insert(Job::Volumes);
    check(&pod(json!({})), &told, 5, &[], "Running");
    let mut due = runs();
    due.volumes_due = Some(at(60));
    assert_eq!(check(&pod(json!({})), &due, 5, &[], "Running").wake, Some(at(60)));
    check(&pod(json!({})), &due, 60, &["refill volumes"], "Running");
    let mut waits = state(&[("c", Life::Failed(Failure { reason: "x".into(), message: String::new(), at: at(0) }))]);
    (waits.volumes_changed, waits.volumes_due) = (true, Some(at(0)));
    assert_ne!(words(&sync_pod(&pod(json!({})), &waits, at(1))), ["refill volumes"]);
    let ending = pod(json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:30Z"}}));
    check(&ending, &runs(), 5, &["stop c 25s"], "Running");
    due.volumes_changed = true;
    check(&ending, &due, 5, &["stop c 25s"], "Running");
}

fn main_reason(sync: &Sync) -> String {
    let statuses = sync.status.container_statuses.as_ref().unwrap();
    let state = statuses[0].state.clone().unwrap();
    state.waiting.and_then(|it| it.reason).or(state.terminated.and_then(|it| it.reason)).unwrap_or_default()
}

#[test]
fn a_pod_starts_with_its_sandbox_then_its_container() {
    let pod = pod(json!({}));
    let sync = check(&pod, &PodState::new(at(0)), 0, &["sandbox"], "Pending");
    assert_eq!(main_reason(&sync), "ContainerCreating");
    check(&pod, &state(&[]), 0, &["start c"], "Pending");
    let sync = check(&pod, &state(&[("c", Life::Running(running(0)))]), 1, &[], "Running");
    let ready = sync.status.conditions.unwrap().into_iter().find(|it| it.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True");
}

#[test]
fn init_containers_come_one_after_the_other_and_sidecars_stay() {
    let pod = pod(json!({"spec": {"initContainers": [
        {"name": "i"}, {"name": "s", "restartPolicy": "Always"}, {"name": "j"}]}}));
    let sync = check(&pod, &state(&[]), 0, &["start i"], "Pending");
    assert_eq!(main_reason(&sync), "PodInitializing");
    let done = Life::Exited(exited(0, 1));
    let on = Life::Running(running(1));
    check(&pod, &state(&[("i", on.clone())]), 1, &[], "Pending");
    check(&pod, &state(&[("i", done.clone())]), 1, &["start s"], "Pending");
    check(&pod, &state(&[("i", done.clone()), ("s", on.clone())]), 1, &["start j"], "Pending");
    let ready = [("i", done.clone()), ("s", on.clone()), ("j", done.clone())];
    check(&pod, &state(&ready), 1, &["start c"], "Pending");
    let all = [("i", done.clone()), ("s", on), ("j", done.clone()), ("c", Life::Running(running(1)))];
    check(&pod, &state(&all), 1, &[], "Running");
    check(&pod, &state(&[("i", Life::Exited(exited(1, 1)))]), 1, &["start i"], "Pending");
}

#[test]
fn restart_policy_and_back_off() {
    for (policy, code, actions, phase) in [
        ("Always", 0, vec!["start c"], "Running"),
        ("Always", 1, vec!["start c"], "Running"),
        ("OnFailure", 1, vec!["start c"], "Running"),
        ("OnFailure", 0, vec!["remove sandbox"], "Succeeded"),
        ("Never", 0, vec!["remove sandbox"], "Succeeded"),
        ("Never", 1, vec!["remove sandbox"], "Failed"),
    ] {
        let pod = pod(json!({"spec": {"restartPolicy": policy}}));
        check(&pod, &state(&[("c", Life::Exited(exited(code, 5)))]), 5, &actions, phase);
    }
    let pod = pod(json!({}));
    let mut crashed = state(&[("c", Life::Exited(exited(1, 5)))]);
    crashed.container("c").backoff.advance(at(5), at(5));
    check(&pod, &crashed, 6, &["report c"], "Running");
    crashed.container("c").backoff_reported = true;
    let sync = check(&pod, &crashed, 6, &[], "Running");
    assert_eq!((main_reason(&sync).as_str(), sync.wake), ("CrashLoopBackOff", Some(at(15))));
    check(&pod, &crashed, 15, &["start c"], "Running");
}

#[test]
fn a_failed_pull_is_an_error_then_a_back_off() {
    let pod = pod(json!({}));
    let mut failed = state(&[]);
    failed.failed("c", Failure { reason: "ErrImagePull".into(), message: "no".into(), at: at(0) });
    assert_eq!(main_reason(&check(&pod, &failed, 0, &[], "Pending")), "ErrImagePull");
    assert_eq!(main_reason(&check(&pod, &failed, 1, &["report c"], "Pending")), "ImagePullBackOff");
    check(&pod, &failed, 10, &["start c"], "Pending");
}

#[test]
fn probes_are_asked_and_a_failing_one_stops_the_container() {
    let probe = json!({"httpGet": {"port": 80}, "failureThreshold": 1, "periodSeconds": 5});
    let pod = pod(json!({"spec": {"containers": [{"name": "c", "livenessProbe": probe, "readinessProbe": probe}]}}));
    let mut on = state(&[("c", Life::Running(running(0)))]);
    check(&pod, &on, 0, &["probe c Liveness", "probe c Readiness"], "Running");
    let probe = pod.spec.containers[0].liveness_probe.clone().unwrap();
    on.container("c").probes.answered(ProbeKind::Readiness, &probe, Answer::Passed, at(0));
    on.container("c").probes.answered(ProbeKind::Liveness, &probe, Answer::Passed, at(0));
    assert_eq!(check(&pod, &on, 1, &[], "Running").wake, Some(at(5)));
    on.container("c").probes.answered(ProbeKind::Liveness, &probe, Answer::Failed, at(5));
    check(&pod, &on, 5, &["stop c 30s"], "Running");
}

#[test]
fn a_deleted_pod_stops_within_its_grace_and_then_is_gone() {
    let deleted = pod(json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:30Z"}}));
    let mut on = state(&[("c", Life::Running(running(0)))]);
    check(&deleted, &on, 10, &["stop c 20s"], "Running");
    on.jobs.insert(Job::Stop("c".into()));
    check(&deleted, &on, 10, &[], "Running");
    let mut off = state(&[("c", Life::Exited(exited(0, 12)))]);
    assert!(!check(&deleted, &off, 12, &["remove sandbox"], "Succeeded").gone);
    off.sandbox = None;
    assert!(check(&deleted, &off, 12, &[], "Succeeded").gone);
}

#[test]
fn a_pod_that_is_deleted_again_with_less_time_is_killed_then() {
    let deleted = |by: &str| pod(json!({"metadata": {"deletionTimestamp": format!("1970-01-01T00:00:{by}Z")}}));
    let mut on = state(&[("c", Life::Running(running(0)))]);
    on.jobs.insert(Job::Stop("c".into()));
    on.stop_by = Some(at(30));
    // The stop that is under way sees to it.
    assert_eq!(check(&deleted("30"), &on, 31, &[], "Running").wake, None);
    assert_eq!(check(&deleted("12"), &on, 11, &[], "Running").wake, Some(at(12)));
    check(&deleted("12"), &on, 12, &["kill c"], "Running");
    on.jobs.insert(Job::Kill("c".into()));
    check(&deleted("12"), &on, 13, &[], "Running");
}

#[test]
fn the_deadline_ends_a_pod() {
    let pod = pod(json!({"spec": {"activeDeadlineSeconds": 60}}));
    let mut on = state(&[("c", Life::Running(running(0)))]);
    assert_eq!(check(&pod, &on, 59, &[], "Running").wake, Some(at(60)));
    check(&pod, &on, 60, &["end DeadlineExceeded"], "Running");
    on.ended = Some(("DeadlineExceeded".into(), "late".into()));
    check(&pod, &on, 60, &["stop c 30s"], "Failed");
}
