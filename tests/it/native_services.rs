//! Services and names between real containers, as a program in a Pod meets them.
//!
//! Twice in CI, as `native.rs`: as root and as an ordinary user.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use crate::harness::into;
use crate::native;
use crate::process::Serve;

/// How long the slowest step may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn web(replicas: u32) -> Deployment {
    let container =
        json!({"name": "web", "image": "tutor/web:1", "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1}});
    into(
        json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}}}),
    )
}

fn service(name: &str, spec: Value) -> Service {
    into(json!({"metadata": {"name": name}, "spec": spec}))
}

/// What a script prints that runs in a Pod to its end.
async fn printed(pods: &Api<Pod>, name: &str, script: &str) -> String {
    let node = json!({"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}});
    let container = json!({"name": "c", "image": "tutor/shell:1", "command": ["sh", "-c", script], "env": [node]});
    let spec = json!({"restartPolicy": "Never", "containers": [container]});
    let pod: Pod = into(json!({"metadata": {"name": name}, "spec": spec}));
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let over = |pod: Option<&Pod>| pod.is_some_and(|pod| matches!(&*phase(pod), "Succeeded" | "Failed"));
    let ended = tokio::time::timeout(PATIENCE, await_condition(pods.clone(), name, over)).await;
    assert!(ended.is_ok(), "{name} did not end: {:?}", pods.get(name).await.map(|pod| pod.status));
    pods.logs(name, &LogParams::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_reach_each_other_by_service_and_by_name() {
    services_work(&[], "leads to Services").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_do_so_where_the_kernel_takes_no_rules_for_packets() {
    services_work(&[("TUTOR_KERNEL_LACKS", "nf_tables")], "refuses a packet filter").await;
}

/// Everything about Services that a Pod notices, with these variables; `said` is in what status says of it.
async fn services_work(env: &[(&str, &str)], said_of_it: &str) {
    if native::is_refused() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::with_env(state.path(), &["--runtime", "native"], env);
    let client = serve.client().await;
    let (services, pods) = (Api::default_namespaced(client.clone()), Api::<Pod>::default_namespaced(client.clone()));
    let slices = Api::<EndpointSlice>::default_namespaced(client.clone());
    let deployments = Api::<Deployment>::default_namespaced(client);
    deployments.create(&PostParams::default(), &web(2)).await.unwrap();
    let ports = json!([{"name": "http", "port": 8080, "targetPort": 80}]);
    let selector = json!({"app": "web"});
    for (name, spec) in [
        ("web", json!({"type": "NodePort", "selector": selector, "ports": ports})),
        ("each", json!({"clusterIP": "None", "selector": selector, "ports": ports})),
        ("names", json!({"ports": [{"port": 53, "protocol": "UDP"}]})),
        ("nobody", json!({"selector": {"app": "nobody"}, "ports": ports})),
    ] {
        services.create(&PostParams::default(), &service(name, spec)).await.unwrap();
    }
    let ready = |it: Option<&Deployment>| it.and_then(|it| it.status.as_ref()?.ready_replicas) == Some(2);
    let waited = tokio::time::timeout(PATIENCE, await_condition(deployments, "web", ready)).await;
    assert!(waited.is_ok(), "the Pods of web are not ready");
    // The only server of datagrams at hand is the one for names.
    let slice = json!({"metadata": {"name": "names-1", "labels": {"kubernetes.io/service-name": "names"}}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.96.0.10"]}], "ports": [{"port": 53, "protocol": "UDP"}]});
    slices.create(&PostParams::default(), &into(slice)).await.unwrap();
    let names: Service = services.get("names").await.unwrap();
    let names_at = names.spec.unwrap().cluster_ip.unwrap();
    let service: k8s_openapi::api::core::v1::ServiceSpec = services.get("web").await.unwrap().spec.unwrap();
    let node_port = service.ports.unwrap()[0].node_port.unwrap();

    let script = format!(
        // The rules and the names follow the Pods a moment later.
        "for n in $(seq 600); do a=$(wget -qO- http://web:8080) && b=$(wget -qO- http://web:8080) && test \"$a\" != \"$b\" && break; sleep 0.1; done
         for n in $(seq 600); do test \"$(nslookup each | grep -c '^Name:')\" = 2 && break; sleep 0.1; done
         for n in $(seq 40); do wget -qO- http://web:8080 || echo lost; done
         echo by node; wget -qO- http://$NODE_IP:{node_port} || echo lost
         echo by name; nslookup each; nslookup web.default; nslookup kubernetes.default.svc.cluster.local
         echo by datagram; for n in $(seq 300); do nslookup kubernetes.default.svc.cluster.local {names_at} && break; sleep 0.1; done
         echo without; wget -qO- http://nobody:8080 || echo refused; nslookup no-such-name || echo unknown"
    );
    let said = printed(&pods, "asks", &script).await;
    let (many, rest) = said.split_once("by node\n").unwrap();
    let who: std::collections::BTreeSet<&str> = many.lines().collect();
    assert_eq!(who.len(), 2, "both Pods answer, and none is lost: {who:?}");
    let (node, rest) = rest.split_once("by name\n").unwrap();
    assert!(node.starts_with("hello from web-"), "{said}");
    let (rest, without) = rest.split_once("without\n").unwrap();
    let (names, by_datagram) = rest.split_once("by datagram\n").unwrap();
    assert!(by_datagram.contains("Address: 10.96.0.1\n"), "{said}");
    assert_eq!(names.matches("each.default.svc.cluster.local").count(), 2, "a headless name has each Pod: {said}");
    let cluster_ip = service.cluster_ip.unwrap();
    assert!(names.contains(&format!("Name:\tweb.default.svc.cluster.local\nAddress: {cluster_ip}")), "{said}");
    assert!(names.contains("Address: 10.96.0.1\n"), "{said}");
    // What it says and what it complains about come by two ways: they have no order.
    assert!(without.contains("refused\n") && without.contains("unknown\n"), "{said}");
    let status = crate::process::status(state.path());
    assert!(status.contains(said_of_it), "{status}");
    assert!(serve.interrupt().success());
}
