//! Jobs from their first Pod to their verdict.

use super::counting::{format_indexes, parse_indexes};
use super::*;

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
    let pods = pods.iter().map(|pod| Arc::new(serde_json::from_value::<PodView>(pod.clone()).unwrap())).collect();
    reconcile(job, Claim { owned: pods, patches: Vec::new() }, &at(now))
}

fn pod(name: &str, phase: &str, held: bool) -> Value {
    let finalizers: &[&str] = if held { &[TRACKING] } else { &[] };
    json!({
        "metadata": { "name": name, "uid": name, "finalizers": finalizers },
        "status": { "phase": phase, "conditions": [
            { "type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:00:00Z" }] },
    })
}

fn creations(plan: &Plan) -> usize {
    plan.actions().iter().filter(|action| action.verb == crate::controllers::plan::Verb::Create).count()
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

#[test]
fn parallelism_bounds_the_pods() {
    assert_eq!(creations(&run(&job(json!({ "completions": 5, "parallelism": 2 })), &[], 0)), 2);
    let one_left = [pod("a", "Succeeded", false), pod("b", "Running", true)];
    let mut job = job(json!({ "completions": 2, "parallelism": 2 }));
    job.status = Some(k8s_openapi::api::batch::v1::JobStatus { succeeded: Some(1), ..Default::default() });
    assert_eq!(creations(&run(&job, &one_left, 0)), 0);
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
    assert_eq!((creations(&waiting), waiting.again_after), (0, Some(std::time::Duration::from_secs(6))));
    assert_eq!(creations(&run(&job, &failed, 10)), 1);
    let twice = [pod("a", "Failed", true), pod("b", "Failed", true), pod("c", "Running", true)];
    let over = run(&job, &twice, 100);
    assert_eq!(conditions(&after(&job, &over)), ["FailureTarget"]);
    assert!(over.actions().iter().any(|action| action.verb == crate::controllers::plan::Verb::Delete));
}

#[test]
fn indexes_are_handed_out_once() {
    let job = job(json!({ "completions": 4, "parallelism": 3, "completionMode": "Indexed" }));
    let mut done = pod("a", "Succeeded", true);
    done["metadata"]["annotations"] = json!({ INDEX: "1" });
    let plan = run(&job, &[done], 0);
    let names: Vec<_> = plan.actions().iter().filter_map(|a| a.body["metadata"]["generateName"].as_str()).collect();
    assert_eq!(names, ["sum-0-", "sum-2-", "sum-3-"]);
    assert_eq!(after(&job, &plan).status.unwrap().completed_indexes.as_deref(), Some("1"));
}

#[test]
fn index_sets_read_as_kubernetes_writes_them() {
    for text in ["", "0", "0,1", "0-2,4", "3,7-9"] {
        assert_eq!(format_indexes(&parse_indexes(text)), text);
    }
}
