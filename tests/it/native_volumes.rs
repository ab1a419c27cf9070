//! Files of volumes in real containers, as a program that reads them again and again meets them.
//!
//! Twice in CI, as `native.rs`: as root and as an ordinary user.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;

use crate::harness::into;
use crate::native;
use crate::process::Serve;

/// How long the slowest step may take.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_running_program_reads_what_its_config_map_says_now() {
    if native::is_refused() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::with_env(state.path(), &["--runtime", "native"], &[]);
    let client = serve.client().await;
    let (maps, pods) = (Api::<ConfigMap>::default_namespaced(client.clone()), Api::<Pod>::default_namespaced(client));
    let dials = json!({"metadata": {"name": "dials"}, "data": {"color": "red", "shape": "round"}});
    maps.create(&PostParams::default(), &into(dials)).await.unwrap();
    let script = "until [ \"$(cat /all/color)\" = blue ] && [ -f /more/late ]; do sleep 0.1; done; cat /one; echo; ls /all; cat /more/late";
    let container = json!({"name": "c", "image": "tutor/shell:1", "command": ["sh", "-c", script], "volumeMounts": [
        {"name": "dials", "mountPath": "/all"}, {"name": "dials", "mountPath": "/one", "subPath": "color"},
        {"name": "more", "mountPath": "/more"}]});
    let more = json!({"name": "more", "configMap": {"name": "more", "optional": true}});
    let volumes = json!([{"name": "dials", "configMap": {"name": "dials"}}, more]);
    let spec = json!({"restartPolicy": "Never", "containers": [container], "volumes": volumes});
    pods.create(&PostParams::default(), &into(json!({"metadata": {"name": "reads"}, "spec": spec}))).await.unwrap();
    let phase = |pod: Option<&Pod>| pod.and_then(|pod| pod.status.as_ref()?.phase.clone()).unwrap_or_default();
    let runs = await_condition(pods.clone(), "reads", |pod: Option<&Pod>| phase(pod) == "Running");
    assert!(tokio::time::timeout(PATIENCE, runs).await.is_ok(), "the Pod does not run");

    maps.create(&PostParams::default(), &into(json!({"metadata": {"name": "more"}, "data": {"late": "too"}})))
        .await
        .unwrap();
    let patch = Patch::Merge(json!({"data": {"color": "blue", "shape": null, "size": "large"}}));
    maps.patch("dials", &PatchParams::default(), &patch).await.unwrap();
    let ends = await_condition(pods.clone(), "reads", |pod: Option<&Pod>| phase(pod) == "Succeeded");
    assert!(tokio::time::timeout(PATIENCE, ends).await.is_ok(), "the new value does not arrive");
    let said = pods.logs("reads", &LogParams::default()).await.unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), ["red", "color", "size", "too"]);
    assert!(serve.interrupt().success());
}
