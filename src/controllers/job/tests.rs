//! Jobs from their first Pod to their verdict.

use super::*;
use crate::controllers::plan::Verb;

fn at(seconds: i64) -> Moment {
    Moment { now: Timestamp::from_second(seconds).unwrap(), failure: None }
}

fn job(spec: Value) -> Job {
    let mut value = json!({ "metadata": { "name": "sum", "namespace": "default", "uid": "j" }, "spec": {
        "selector": { "matchLabels": { "job": "sum" } },
        "template": { "metadata": { "labels": { "job": "sum" } }, "spec": { "containers": [{ "name": "c" }] } },
    } });
    for (key, part) in spec.as_object().unwrap() {
        value["spec"][key] = part.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn run(job: &Job, pods: &[Value], now: i64) -> Plan {
    run_after(job, pods, &mut Past::default(), now)
}

/// With what the Job saw before.
fn run_after(job: &Job, pods: &[Value], past: &mut Past, now: i64) -> Plan {
    let pods = pods.iter().map(|pod| Arc::new(serde_json::from_value::<PodView>(pod.clone()).unwrap())).collect();
    reconcile(job, Claim { owned: pods, patches: Vec::new() }, past, &at(now))
}

fn pod(name: &str, phase: &str, held: bool) -> Value {
    let finalizers: &[&str] = if held { &[TRACKING] } else { &[] };
    json!({
        "metadata": { "name": name, "uid": name, "finalizers": finalizers },
        "status": { "phase": phase, "conditions": [
            { "type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:00:00Z" }] },
    })
}

/// The Pod of an index, with the annotations that a Pod of the Job gets.
fn of_index(index: i32, mut pod: Value, notes: Value) -> Value {
    pod["metadata"]["annotations"] = notes;
    pod["metadata"]["annotations"][INDEX] = index.to_string().into();
    pod
}

fn creations(plan: &Plan) -> Vec<&Action> {
    plan.actions().into_iter().filter(|action| action.verb == Verb::Create).collect()
}

fn deletions(plan: &Plan) -> Vec<&str> {
    plan.actions().into_iter().filter(|a| a.verb == Verb::Delete).map(|a| a.key.name.as_str()).collect()
}

/// The Pods that lose their finalizer.
fn released(plan: &Plan) -> Vec<&str> {
    plan.actions().into_iter().filter(|a| a.verb == Verb::Patch(MERGE)).map(|a| a.key.name.as_str()).collect()
}

/// The job with the status that the plan writes.
fn after(job: &Job, plan: &Plan) -> Job {
    let status =
        plan.actions().into_iter().find(|action| action.subresource == "status").map(|a| a.body["status"].clone());
    Job { status: status.map(|status| serde_json::from_value(status).unwrap()).or(job.status.clone()), ..job.clone() }
}

fn conditions(job: &Job) -> Vec<String> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.clone());
    conditions.unwrap_or_default().into_iter().map(|condition| condition.type_).collect()
}

fn reason(job: &Job) -> String {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.clone()).unwrap();
    conditions[0].reason.clone().unwrap()
}

#[test]
fn parallelism_bounds_the_pods() {
    assert_eq!(creations(&run(&job(json!({ "completions": 5, "parallelism": 2 })), &[], 0)).len(), 2);
    let one_left = [pod("a", "Succeeded", false), pod("b", "Running", true)];
    let mut job = job(json!({ "completions": 2, "parallelism": 2 }));
    job.status = Some(k8s_openapi::api::batch::v1::JobStatus { succeeded: Some(1), ..Default::default() });
    assert!(creations(&run(&job, &one_left, 0)).is_empty());
}

#[test]
fn a_pod_is_noted_then_released_then_counted() {
    let job = job(json!({ "completions": 1 }));
    let first = run(&job, &[pod("a", "Succeeded", true)], 0);
    let noted = after(&job, &first);
    assert_eq!(noted.status.as_ref().unwrap().succeeded, None);
    assert_eq!(first.actions()[1].body["metadata"]["finalizers"], Value::Null);
    assert_eq!(conditions(&noted), ["SuccessCriteriaMet"]);
    let done = after(&noted, &run(&noted, &[pod("a", "Succeeded", false)], 1));
    assert_eq!(done.status.as_ref().unwrap().succeeded, Some(1));
    assert_eq!(conditions(&done), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(run(&done, &[pod("a", "Succeeded", false)], 2), Plan::none());
}

#[test]
fn a_failure_waits_before_it_is_tried_again_and_too_many_end_the_job() {
    let job = job(json!({ "backoffLimit": 1, "completions": 1 }));
    let failed = [pod("a", "Failed", true)];
    let waiting = run(&job, &failed, 4);
    assert_eq!((creations(&waiting).len(), waiting.again_after), (0, Some(std::time::Duration::from_secs(6))));
    assert_eq!(creations(&run(&job, &failed, 10)).len(), 1);
    let twice = [pod("a", "Failed", true), pod("b", "Failed", true), pod("c", "Running", true)];
    let over = run(&job, &twice, 100);
    let after = after(&job, &over);
    assert_eq!((conditions(&after), reason(&after)), (vec!["FailureTarget".into()], "BackoffLimitExceeded".into()));
    assert_eq!(deletions(&over), ["c"]);
    assert_eq!(released(&over), ["a", "b", "c"], "what runs when the Job fails counts as failed");
}

#[test]
fn a_wait_outlives_the_pod_that_failed_and_ends_with_a_success() {
    let job = job(json!({ "completions": 3 }));
    let mut past = Past::default();
    run_after(&job, &[pod("a", "Failed", true)], &mut past, 1);
    let waiting = run_after(&job, &[], &mut past, 4);
    assert_eq!((creations(&waiting).len(), waiting.again_after), (0, Some(std::time::Duration::from_secs(6))));
    let mut again = pod("b", "Failed", true);
    again["status"]["conditions"][0]["lastTransitionTime"] = "1970-01-01T00:00:12Z".into();
    run_after(&job, &[again], &mut past, 13);
    assert_eq!(past.next_at(), Some(Timestamp::from_second(32).unwrap()), "the second wait is twice as long");
    let withdrawn = pod("c", "Failed", false);
    run_after(&job, &[withdrawn], &mut past, 14);
    assert_eq!(past.next_at(), Some(Timestamp::from_second(32).unwrap()), "what was let go is no failure");
    let mut good = pod("d", "Succeeded", true);
    good["status"]["conditions"][0]["lastTransitionTime"] = "1970-01-01T00:00:15Z".into();
    assert_eq!(creations(&run_after(&job, &[good], &mut past, 16)).len(), 1);
    assert_eq!(past.next_at(), None);
}

#[test]
fn what_is_withdrawn_does_not_count_as_failed() {
    let running = [pod("a", "Running", true), pod("b", "Running", true)];
    for spec in [json!({ "completions": 2, "suspend": true }), json!({ "completions": 2, "parallelism": 0 })] {
        let job = job(spec);
        let plan = run(&job, &running, 0);
        assert_eq!((released(&plan).len(), deletions(&plan).len()), (2, 2));
        let notes = after(&job, &plan).status.unwrap().uncounted_terminated_pods.unwrap();
        assert_eq!(notes.failed, None);
    }
}

#[test]
fn indexes_are_handed_out_once() {
    let job = job(json!({ "completions": 4, "parallelism": 3, "completionMode": "Indexed" }));
    let plan = run(&job, &[of_index(1, pod("a", "Succeeded", true), json!({}))], 0);
    let names: Vec<_> = creations(&plan).iter().filter_map(|a| a.body["metadata"]["generateName"].as_str()).collect();
    assert_eq!(names, ["sum-0-", "sum-2-", "sum-3-"]);
    assert_eq!(after(&job, &plan).status.unwrap().completed_indexes.as_deref(), Some("1"));
}

#[test]
fn two_pods_of_one_index_are_one_too_many() {
    let job = job(json!({ "completions": 2, "parallelism": 2, "completionMode": "Indexed" }));
    let twins = [of_index(0, pod("a", "Running", true), json!({})), of_index(0, pod("b", "Pending", true), json!({}))];
    assert_eq!(deletions(&run(&job, &twins, 0)), ["b"]);
}

#[test]
fn a_success_policy_ends_the_job_and_what_still_runs() {
    let job = job(json!({
        "completions": 3, "parallelism": 3, "completionMode": "Indexed",
        "successPolicy": { "rules": [{ "succeededIndexes": "0" }] },
    }));
    let pods = [of_index(0, pod("a", "Succeeded", true), json!({})), of_index(1, pod("b", "Running", true), json!({}))];
    let plan = run(&job, &pods, 0);
    let met = after(&job, &plan);
    assert_eq!((conditions(&met), reason(&met)), (vec!["SuccessCriteriaMet".into()], "SuccessPolicy".into()));
    assert_eq!(deletions(&plan), ["b"]);
    assert_eq!(met.status.as_ref().unwrap().failed, None);
    let done = after(&met, &run(&met, &[], 1));
    assert_eq!(conditions(&done), ["SuccessCriteriaMet", "Complete"]);
}

#[test]
fn a_failure_policy_ignores_disruptions_and_fails_the_job_at_once() {
    let policy = json!({ "rules": [
        { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
        { "action": "FailJob", "onExitCodes": { "operator": "In", "values": [42] } },
    ] });
    let job = job(json!({ "completions": 1, "backoffLimit": 0, "podFailurePolicy": policy }));
    let mut evicted = pod("a", "Failed", true);
    evicted["status"]["conditions"] = json!([{ "type": "DisruptionTarget", "status": "True" }]);
    let plan = run(&job, &[evicted], 20);
    assert_eq!((creations(&plan).len(), released(&plan)), (1, vec!["a"]));
    let status = after(&job, &plan).status.unwrap();
    assert_eq!((status.failed, status.uncounted_terminated_pods.unwrap().failed), (None, None));
    let mut broken = pod("b", "Failed", true);
    broken["status"]["containerStatuses"] = json!([{ "name": "c", "state": { "terminated": { "exitCode": 42 } } }]);
    assert_eq!(reason(&after(&job, &run(&job, &[broken], 20))), "PodFailurePolicy");
}

#[test]
fn an_index_fails_by_itself() {
    let job = job(json!({
        "completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
    }));
    let first = of_index(0, pod("a", "Failed", true), json!({ indexes::FAILURES: "0" }));
    let other = of_index(1, pod("b", "Succeeded", true), json!({ indexes::FAILURES: "0" }));
    let waiting = run(&job, &[first.clone(), other.clone()], 4);
    assert_eq!((creations(&waiting).len(), released(&waiting)), (0, vec!["b"]), "the count is on the failed Pod");
    let again = run(&job, &[first.clone(), other.clone()], 10);
    assert_eq!(creations(&again)[0].body["metadata"]["annotations"][indexes::FAILURES], "1");
    let second = of_index(0, pod("c", "Failed", true), json!({ indexes::FAILURES: "1" }));
    let failed = after(&job, &run(&job, &[first, second, other], 100));
    assert_eq!(failed.status.as_ref().unwrap().failed_indexes.as_deref(), Some("0"));
    assert_eq!(reason(&failed), "FailedIndexes");
}

#[test]
fn the_pods_of_a_job_that_is_gone_are_let_go() {
    let mut owned = pod("a", "Running", true);
    owned["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "sum", "uid": "j", "controller": true }]);
    let pods: Vec<_> = [owned, pod("b", "Running", true)]
        .into_iter()
        .map(|pod| Arc::new(serde_json::from_value::<PodView>(pod).unwrap()))
        .collect();
    for (name, expected) in [("sum", ["a"]), ("", ["b"])] {
        assert_eq!(released(&forget(&pods, &ObjectKey::new("default", name))), expected);
    }
}
