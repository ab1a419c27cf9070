//! How many Pods a second the scheduler alone places on 5,000 nodes. Budget: 5,000.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use serde_json::json;
use tutor::scheduler::{PodInfo, Snapshot, schedule};

const NODES: usize = 5_000;
const PODS: usize = 1_000;

fn main() {
    divan::main();
}

fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for number in 0..NODES {
        let labels = json!({"kubernetes.io/hostname": format!("n{number}"), "zone": format!("z{}", number % 3)});
        let node = json!({
            "metadata": {"name": format!("n{number}"), "labels": labels},
            "status": {"allocatable": {"cpu": "32", "memory": "256Gi", "pods": "110"}},
        });
        snapshot.set_node(&serde_json::from_value(node).unwrap());
    }
    snapshot
}

fn pods(extra: &serde_json::Value) -> Vec<Arc<PodInfo>> {
    let pod = |number: usize| {
        let mut pod = json!({
            "metadata": {"name": format!("p{number}"), "namespace": "default", "uid": format!("u{number}"),
                "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "tutor/web:1",
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]},
        });
        json_patch::merge(&mut pod, extra);
        Arc::new(PodInfo::new(&serde_json::from_value(pod).unwrap()))
    };
    (0..PODS).map(pod).collect()
}

/// Each Pod is decided with those before it counted, as the loop does.
fn place(bencher: Bencher, extra: &serde_json::Value) {
    let pods = pods(extra);
    let empty = cluster();
    bencher.counter(ItemsCount::new(PODS)).with_inputs(|| empty.clone()).bench_local_values(|mut snapshot| {
        for pod in &pods {
            let decision = schedule(pod, &snapshot);
            let node = decision.chosen().unwrap().clone();
            snapshot.set_pod(pod.clone(), &node);
        }
        snapshot
    });
}

#[divan::bench(sample_count = 5)]
fn plain(bencher: Bencher) {
    place(bencher, &json!({}));
}

#[divan::bench(sample_count = 5)]
fn spread_over_zones(bencher: Bencher) {
    let constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}});
    place(bencher, &json!({"spec": {"topologySpreadConstraints": [constraint]}}));
}
