//! The numbers here are worked out by hand, from `ceil(replicas × measured / wanted)`.

use serde_json::{Value, json};

use super::*;

/// The Pods started an hour ago, and have been ready since.
const NOW: &str = "2026-01-01T01:00:00Z";
const CPU: Goal<'_> = Goal::Utilization { resource: "cpu", container: "", percent: 50 };

fn pod(name: &str, change: &Value) -> Arc<PodView> {
    let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z" });
    let mut pod = json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "web", "resources": { "requests": { "cpu": "200m", "memory": "64Mi" } } }] },
        "status": { "phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": [ready] },
    });
    json_patch::merge(&mut pod, change);
    Arc::new(serde_json::from_value(pod).unwrap())
}

/// So many Pods that run: `p0`, `p1`, …
fn running(count: usize) -> Vec<Arc<PodView>> {
    (0..count).map(|at| pod(&format!("p{at}"), &json!({}))).collect()
}

fn samples(values: &[i64]) -> Samples {
    let window = SignedDuration::from_secs(60);
    let sample = |value: &i64| Sample { at: NOW.parse().unwrap(), window, value: *value };
    values.iter().enumerate().map(|(at, value)| (format!("p{at}"), sample(value))).collect()
}

fn view(pods: &[Arc<PodView>]) -> View<'_> {
    let tolerances = Tolerances { down: 0.1, up: 0.1 };
    View { pods, current: i32::try_from(pods.len()).unwrap(), tolerances, now: NOW.parse().unwrap() }
}

#[test]
fn replicas_follow_the_share_that_is_used_of_what_is_requested() {
    // Used by each Pod of 200m; replicas, percent.
    for (used, replicas, percent) in [
        (&[100, 100, 100][..], 3, 50), // as wanted
        (&[110, 110, 110], 3, 55),     // 1.1: within the tolerance
        (&[112, 112, 112], 4, 56),     // 3 × 1.12 = 3.36
        (&[90, 90, 90], 3, 45),        // 0.9: within the tolerance
        (&[88, 88, 88], 3, 44),        // 3 × 0.88 = 2.64
        (&[60, 60, 60], 2, 30),        // 3 × 0.6 = 1.8
        (&[200, 200, 200], 6, 100),    // twice
        (&[400, 0, 0], 4, 66),         // the average counts: 3 × 66 / 50 = 3.96
        (&[0, 0, 0], 0, 0),            // limits are another's matter
        (&[3000, 3000, 3000], 90, 1500),
        (&[101], 1, 50), // whole percents, rounded down
    ] {
        let pods = running(used.len());
        let (found, usage) = by_samples(CPU, samples(used), &view(&pods)).unwrap();
        assert_eq!((found, usage.percent), (replicas, Some(percent)), "{used:?}");
        assert_eq!(usage.value, used.iter().sum::<i64>() / used.len() as i64);
    }
}

#[test]
fn replicas_follow_what_is_used_on_average() {
    // Wanted, used; replicas.
    for (wanted, used, replicas) in [
        (10_000, &[20_000, 20_000][..], 4),
        (10_000, &[11_000, 11_000], 2),
        (10_000, &[11_100, 11_100], 3),      // 2.22
        (10_000, &[5_000, 5_000, 5_000], 2), // 1.5
        (10_000, &[0, 0], 0),
    ] {
        let pods = running(used.len());
        let goal = Goal::Usage { resource: "", value: wanted };
        let (found, usage) = by_samples(goal, samples(used), &view(&pods)).unwrap();
        assert_eq!((found, usage.percent), (replicas, None), "{used:?}");
    }
}

#[test]
fn a_pod_without_a_sample_counts_against_the_change() {
    // Pods, samples of the first ones, percent wanted; replicas.
    for (count, used, percent, replicas) in [
        (4, &[200, 200][..], 50, 4), // up: 400 of 800 is 50 %
        (4, &[400, 400], 50, 8),     // up: 800 of 800 is 100 %, 4 × 2
        (3, &[300, 300], 50, 6),     // up: 600 of 600 is 100 %
        (4, &[20, 20], 50, 4),       // down: 440 of 800 is 55 %, which turned
        (4, &[20, 20, 20], 50, 3),   // down: 260 of 800 is 32 %, 4 × 0.64
        (4, &[20, 20], 120, 3),      // down: full is 120 % here, 520 of 800 is 65 %, 4 × 65 / 120
        (3, &[100, 100], 50, 3),     // as wanted: nothing is assumed
    ] {
        let pods = running(count);
        let goal = Goal::Utilization { resource: "cpu", container: "", percent };
        let (found, _) = by_samples(goal, samples(used), &view(&pods)).unwrap();
        assert_eq!(found, replicas, "{count} {used:?}");
    }
    let pods = running(4);
    // Of a plain value it is taken to use what is wanted: (2 × 2 + 2 × 10) / 4 = 6, 4 × 0.6 = 2.4.
    let goal = Goal::Usage { resource: "", value: 10 };
    assert_eq!(by_samples(goal, samples(&[2, 2]), &view(&pods)).unwrap().0, 3);
}

#[test]
fn pods_that_start_fail_or_leave_are_no_measure() {
    let young = json!({ "status": { "startTime": "2026-01-01T00:58:00Z" } });
    let at = |time: &str, status: &str| json!([{ "type": "Ready", "status": status, "lastTransitionTime": time }]);
    let mut unready = young.clone();
    unready["status"]["conditions"] = at("2026-01-01T00:58:30Z", "False");
    let mut ready_just_now = young.clone();
    ready_just_now["status"]["conditions"] = at("2026-01-01T00:59:30Z", "True");
    let mut ready_a_while = young.clone();
    ready_a_while["status"]["conditions"] = at("2026-01-01T00:58:30Z", "True");
    let never_ready = json!({ "status": { "conditions": at("2026-01-01T00:00:10Z", "False") } });
    let unready_since = json!({ "status": { "conditions": at("2026-01-01T00:30:00Z", "False") } });
    // The third Pod; replicas when all use twice what is wanted, and when they use half of it.
    for (third, up, down) in [
        (json!({}), 6, 2),
        (json!({ "metadata": { "deletionTimestamp": NOW } }), 4, 1),
        (json!({ "status": { "phase": "Failed" } }), 4, 1),
        (json!({ "status": { "phase": "Pending" } }), 4, 1), // up: 400 of 600 is 66 %, 3 × 1.32
        (unready, 4, 1),
        (ready_just_now, 4, 1),
        (ready_a_while, 6, 2),
        (never_ready, 4, 1),
        (unready_since, 6, 2),
        (json!({ "status": { "startTime": null } }), 4, 1),
    ] {
        let mut pods = running(2);
        pods.push(pod("p2", &third));
        let found = |used: i64| by_samples(CPU, samples(&[used; 3]), &view(&pods)).unwrap().0;
        assert_eq!((found(200), found(50)), (up, down), "{third}");
    }
    // Memory is as true of a Pod that starts.
    let mut pods = running(2);
    pods.push(pod("p2", &json!({ "status": { "startTime": null } })));
    let goal = Goal::Usage { resource: "memory", value: 100 };
    assert_eq!(by_samples(goal, samples(&[200; 3]), &view(&pods)).unwrap().0, 6);
}

#[test]
fn what_cannot_be_calculated_is_told() {
    let told =
        |goal: Goal<'_>, pods: &[Arc<PodView>], used: &[i64]| by_samples(goal, samples(used), &view(pods)).unwrap_err();
    assert_eq!(told(CPU, &[], &[1]), "no pods returned by selector while calculating replica count");
    let pending = [pod("p0", &json!({ "status": { "phase": "Pending" } }))];
    assert_eq!(told(CPU, &pending, &[1]), "did not receive metrics for targeted pods (pods might be unready)");
    let greedy = [pod("p0", &json!({ "spec": { "containers": [{ "name": "web" }] } }))];
    assert_eq!(told(CPU, &greedy, &[1]), "missing request for cpu in container web of Pod p0");
    let other = Goal::Utilization { resource: "cpu", container: "other", percent: 50 };
    assert_eq!(told(other, &running(1), &[1]), "container other not found in Pod p0");
    let whole = json!({ "spec": { "resources": { "requests": { "memory": "1Gi" } } } });
    assert_eq!(told(CPU, &[pod("p0", &whole)], &[1]), "missing pod-level request for cpu in Pod p0");
    let strangers = BTreeMap::from([("q".to_owned(), samples(&[1])["p0"].clone())]);
    let pods = running(1);
    assert_eq!(by_samples(CPU, strangers, &view(&pods)).unwrap_err(), "no metrics returned matched known pods");
}

#[test]
fn a_pod_requests_what_its_containers_do_or_says_itself() {
    let container = |name: &str, cpu: &str| json!({ "name": name, "resources": { "requests": { "cpu": cpu } } });
    let mut sidecar = container("log", "50m");
    sidecar["restartPolicy"] = "Always".into();
    let mut pod_value = json!({ "spec": {
        "containers": [container("web", "200m"), container("proxy", "100m")],
        "initContainers": [container("setup", "2"), sidecar],
    } });
    let of = |value: &Value, container: &str| request(&pod("p", value), container, "cpu");
    assert_eq!(of(&pod_value, ""), Ok(350));
    assert_eq!(of(&pod_value, "proxy"), Ok(100));
    assert_eq!(of(&pod_value, "log"), Ok(50));
    assert_eq!(of(&pod_value, "setup"), Err("container setup not found in Pod p".into()));
    pod_value["spec"]["resources"] = json!({ "requests": { "cpu": "1" } });
    assert_eq!(of(&pod_value, ""), Ok(1000));
    assert_eq!(of(&pod_value, "web"), Ok(200));
}

#[test]
fn one_value_for_all_replicas() {
    let pods = running(3);
    let three = view(&pods);
    let none = View { pods: &[], current: 0, ..three };
    // Used, wanted; replicas of three, and of none.
    for (used, wanted, replicas, from_none) in [
        (200, 100, 6, 2),
        (105, 100, 3, 2),
        (111, 100, 4, 2), // 3.33
        (40, 100, 2, 1),  // 1.2
        (0, 100, 0, 0),
        (i64::MAX, 1, i32::MAX, i32::MAX),
    ] {
        assert_eq!(by_value(used, wanted, &three), Ok(replicas), "{used}");
        assert_eq!(by_value(used, wanted, &none), Ok(from_none), "{used}");
    }
    let lost = View { pods: &[], ..three };
    let words = "unable to calculate ready pods: no pods returned by selector while calculating replica count";
    assert_eq!(by_value(200, 100, &lost), Err(words.into()));
}

#[test]
fn a_value_is_shared_among_the_replicas() {
    let tolerances = Tolerances { down: 0.1, up: 0.1 };
    // Used, wanted by each, running; replicas, each one's share.
    for (used, wanted, running, replicas, each) in [
        (1000, 100, 5, 10, 200),
        (1000, 100, 10, 10, 100),
        (1050, 100, 10, 10, 105),
        (1110, 100, 10, 12, 111), // 11.1
        (250, 100, 10, 3, 25),
        (10, 3, 4, 4, 3), // 3.33 of 4 is 0.83: 4 again, rounded up
        (0, 100, 2, 0, 0),
    ] {
        assert_eq!(by_share(used, wanted, running, tolerances), (replicas, each), "{used} {running}");
    }
}

#[test]
fn tolerances_are_each_directions_own() {
    let pods = running(10);
    let goal = Goal::Usage { resource: "", value: 100 };
    let found = |used: i64, down: f64, up: f64| {
        let view = View { tolerances: Tolerances { down, up }, ..view(&pods) };
        by_samples(goal, samples(&[used; 10]), &view).unwrap().0
    };
    assert_eq!((found(105, 0.1, 0.0), found(105, 0.0, 0.1)), (11, 10));
    assert_eq!((found(85, 0.2, 0.0), found(85, 0.1, 0.5)), (10, 9));
}
