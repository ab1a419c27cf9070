//! Autoscalers: what they say without a metrics API, and what they do with one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt};
use http::Response;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::backend::{self, Backend, Seen};
use crate::harness::{Playground, condition, into, minutes, ready};

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers: [{ name: web, image: 'tutor/web:1', resources: { requests: { cpu: 100m } } }]
";

fn autoscaler(target: &str, spec: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{ name: web }}
spec:
  scaleTargetRef: {{ {target} }}
{spec}
"
    )
}

const DEPLOYMENT: &str = "apiVersion: apps/v1, kind: Deployment, name: web";
const HPA: &str = "horizontalpodautoscaler/web";

/// Waits until an event of this reason says exactly this.
async fn said(play: &Playground, reason: &str, message: &str) {
    let only = watcher::Config::default().fields(&format!("reason={reason}"));
    let mut changes = watcher(play.api("event", "default"), only).applied_objects().boxed();
    let mut heard = Vec::new();
    let wait = async {
        while let Some(event) = changes.try_next().await.unwrap() {
            if event.data["message"] == message {
                return;
            }
            heard.push(event.data["message"].clone());
        }
    };
    assert!(play.clock().timeout(minutes(2), wait).await.is_ok(), "{message:?} was not said, but {heard:#?}");
}

/// Changes an autoscaler's spec, so that it is looked at now.
async fn look_again(play: &Playground, most: i32) {
    let patch = Patch::Merge(json!({ "spec": { "maxReplicas": most } }));
    play.api("hpa", "default").patch("web", &PatchParams::default(), &patch).await.unwrap();
}

fn says(kind: &'static str, status: &'static str, reason: &'static str) -> impl Fn(&Value) -> bool {
    move |object| {
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|c| c["type"] == kind && c["status"] == status && c["reason"] == reason)
    }
}

fn message(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|c| c["type"] == kind).unwrap()["message"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn without_a_metrics_api_an_autoscaler_says_so() {
    let play = Playground::simulated().nodes(1).start().await;
    play.apply(WEB).await;
    play.expect("deployment/web", ready(1)).await;
    play.apply(&autoscaler(DEPLOYMENT, "  maxReplicas: 3")).await;
    let asked = play.expect(HPA, condition("ScalingActive", "False")).await;
    let missing = "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from \
                   resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)";
    assert!(says("ScalingActive", "False", "FailedGetResourceMetric")(&asked));
    assert_eq!(message(&asked, "ScalingActive"), format!("the HPA was unable to compute the replica count: {missing}"));
    assert!(says("AbleToScale", "True", "SucceededGetScale")(&asked));
    assert_eq!(asked["status"]["currentReplicas"], 1);
    assert_eq!(asked["status"]["observedGeneration"], 1);
    said(&play, "FailedGetResourceMetric", missing).await;
    let all = format!(
        "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {missing}"
    );
    said(&play, "FailedComputeMetricsReplicas", &all).await;

    // The least number holds without a metric.
    play.apply(&autoscaler(DEPLOYMENT, "  minReplicas: 2\n  maxReplicas: 3")).await;
    said(&play, "SuccessfulRescale", "New size: 2; reason: Current number of replicas below Spec.MinReplicas").await;
    play.expect("deployment/web", ready(2)).await;
    let raised = play.expect(HPA, |hpa| hpa["status"]["desiredReplicas"] == 2).await;
    assert_eq!(raised["status"]["observedGeneration"], 2);
    assert!(raised["status"]["lastScaleTime"].is_string());

    // What is scaled to nothing is left alone.
    let nothing = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    play.api("deployment", "default").patch("web", &PatchParams::default(), &nothing).await.unwrap();
    play.expect(HPA, says("ScalingActive", "False", "ScalingDisabled")).await;

    for (target, words) in [
        ("apiVersion: apps/v1, kind: Deploymnt, name: web", "no matches for kind \"Deploymnt\" in group \"apps\""),
        ("apiVersion: apps/v1, kind: Deployment, name: wbe", "deployments.apps \"wbe\" not found"),
    ] {
        play.apply(&autoscaler(target, "  maxReplicas: 3")).await;
        let ends = format!("the HPA controller was unable to get the target's current scale: {words}");
        play.expect(HPA, |hpa| message(hpa, "AbleToScale") == ends).await;
        said(&play, "FailedGetScale", words).await;
    }
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_autoscalers_of_the_same_pods_are_told() {
    let play = Playground::simulated().nodes(1).start().await;
    play.apply(WEB).await;
    play.expect("deployment/web", ready(1)).await;
    let one = autoscaler(DEPLOYMENT, "  maxReplicas: 3");
    play.apply(&one).await;
    play.apply(&one.replace("metadata: { name: web }", "metadata: { name: other }")).await;
    let told = play.expect(HPA, says("ScalingActive", "False", "AmbiguousSelector")).await;
    let words = "pods by selector app=web are controlled by more than one HPA (e.g. [default/other default/web])";
    assert_eq!(message(&told, "ScalingActive"), words);
    play.delete("hpa/other").await;
    play.expect(HPA, says("ScalingActive", "False", "FailedGetResourceMetric")).await;
    play.stop().await;
}

/// What the metrics server has measured: each Pod's cpu, and the length of a queue.
#[derive(Default)]
struct Measured {
    cpu: Vec<(String, &'static str)>,
    queue: &'static str,
}

fn metrics(seen: &Seen, measured: &Measured) -> Response<http_body_util::Full<bytes::Bytes>> {
    let now = jiff::Timestamp::now().to_string();
    let resources = |group: &str| {
        json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/v1beta1"),
            "resources": [] })
    };
    let answer = match seen.target.as_str() {
        "/apis/metrics.k8s.io/v1beta1" => resources("metrics.k8s.io"),
        "/apis/external.metrics.k8s.io/v1beta1" => resources("external.metrics.k8s.io"),
        "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dweb" => {
            let pod = |(name, cpu): &(String, &str)| {
                json!({ "metadata": { "name": name }, "timestamp": now, "window": "0s",
                    "containers": [{ "name": "web", "usage": { "cpu": cpu } }] })
            };
            let items: Vec<Value> = measured.cpu.iter().map(pod).collect();
            json!({ "kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": items })
        }
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue_length" => {
            let value = json!({ "metricName": "queue_length", "metricLabels": {}, "timestamp": now,
                "value": measured.queue });
            json!({ "kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1",
                "items": [value] })
        }
        _ => return backend::json(404, &json!({})),
    };
    backend::json(200, &answer)
}

/// A playground with a metrics server for these groups.
async fn measured(groups: &[&str]) -> (Playground, Arc<Mutex<Measured>>, Backend) {
    let play = Playground::simulated().nodes(1).in_real_time().start().await;
    let measured: Arc<Mutex<Measured>> = Arc::default();
    let known = measured.clone();
    let server = Backend::start("metrics.default.svc", None, move |seen| metrics(seen, &known.lock())).await;
    play.apply("apiVersion: v1\nkind: Service\nmetadata: { name: metrics }\nspec: { type: ExternalName, externalName: localhost }\n")
        .await;
    for group in groups {
        let bundle = STANDARD.encode(&server.certificate);
        let port = server.port;
        play.apply(&format!(
            "apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{ name: v1beta1.{group} }}
spec:
  group: {group}
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  caBundle: {bundle}
  service: {{ namespace: default, name: metrics, port: {port} }}
"
        ))
        .await;
        play.expect(&format!("apiservice/v1beta1.{group}"), condition("Available", "True")).await;
    }
    (play, measured, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_follow_the_cpu_that_pods_use() {
    let (play, measured, server) = measured(&["metrics.k8s.io"]).await;
    play.apply(WEB).await;
    play.expect("deployment/web", ready(1)).await;
    let names = async || {
        let pods = play.list("pods", "app=web").await;
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    measured.lock().cpu = names().await.into_iter().map(|name| (name, "100m")).collect();
    let spec = "  maxReplicas: 5
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]
  behavior: { scaleDown: { stabilizationWindowSeconds: 0 } }";
    play.apply(&autoscaler(DEPLOYMENT, spec)).await;
    let up = "New size: 2; reason: cpu resource utilization (percentage of request) above target";
    said(&play, "SuccessfulRescale", up).await;
    play.expect("deployment/web", ready(2)).await;
    let grown = play.expect(HPA, |hpa| hpa["status"]["desiredReplicas"] == 2).await;
    assert!(says("ScalingActive", "True", "ValidMetricFound")(&grown));
    assert!(says("ScalingLimited", "False", "DesiredWithinRange")(&grown));
    let words = "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage \
                 of request)";
    assert_eq!(message(&grown, "ScalingActive"), words);
    let asked = server.seen("/apis/metrics.k8s.io/v1beta1/namespaces").pop().unwrap();
    assert_eq!(asked.header("x-remote-user"), ["system:serviceaccount:kube-system:horizontal-pod-autoscaler"]);

    measured.lock().cpu = names().await.into_iter().map(|name| (name, "10m")).collect();
    look_again(&play, 4).await;
    said(&play, "SuccessfulRescale", "New size: 1; reason: All metrics below target").await;
    let shrunk = play.expect(HPA, |hpa| hpa["status"]["desiredReplicas"] == 1).await;
    let cpu = json!({ "averageUtilization": 10, "averageValue": "10m" });
    let current = json!([{ "type": "Resource", "resource": { "name": "cpu", "current": cpu } }]);
    assert_eq!(shrunk["status"]["currentMetrics"], current);
    play.expect("deployment/web", ready(1)).await;
    play.stop().await;
}

const QUEUES: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: queues.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { plural: queues, kind: Queue }
  versions:
  - name: v1
    served: true
    storage: true
    schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
    subresources:
      status: {}
      scale: { specReplicasPath: .spec.workers, statusReplicasPath: .status.workers, labelSelectorPath: .status.selector }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_resource_goes_to_zero_and_comes_back() {
    let (play, measured, _server) = measured(&["external.metrics.k8s.io"]).await;
    play.apply(QUEUES).await;
    play.expect("customresourcedefinition/queues.example.com", condition("Established", "True")).await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Queue"));
    let queues: Api<DynamicObject> = Api::default_namespaced_with(play.client.clone(), &kind);
    let queue = json!({ "apiVersion": "example.com/v1", "kind": "Queue", "metadata": { "name": "mail" },
        "spec": { "workers": 2 } });
    queues.create(&PostParams::default(), &into(queue)).await.unwrap();
    let status = Patch::Merge(json!({ "status": { "workers": 2, "selector": "queue=mail" } }));
    queues.patch_status("mail", &PatchParams::default(), &status).await.unwrap();

    let spec = "  minReplicas: 0
  maxReplicas: 9
  metrics: [{ type: External, external: { metric: { name: queue_length }, target: { type: AverageValue, averageValue: 10 } } }]
  behavior: { scaleDown: { stabilizationWindowSeconds: 0 } }";
    // The queue's length → the workers, and why.
    let steps = [
        ("50", 5, "external metric queue_length(nil) above target", "False"),
        ("0", 0, "All metrics below target", "True"),
        ("25500m", 3, "external metric queue_length(nil) above target", "False"),
    ];
    for (step, (length, workers, why, to_zero)) in steps.into_iter().enumerate() {
        measured.lock().queue = length;
        if step == 0 {
            play.apply(&autoscaler("apiVersion: example.com/v1, kind: Queue, name: mail", spec)).await;
        } else {
            look_again(&play, 9 + i32::try_from(step).unwrap()).await;
        }
        said(&play, "SuccessfulRescale", &format!("New size: {workers}; reason: {why}")).await;
        assert_eq!(queues.get("mail").await.unwrap().data["spec"]["workers"], workers);
        play.expect(HPA, |hpa| {
            condition("ScaledToZero", to_zero)(hpa) && hpa["status"]["desiredReplicas"].as_i64() == Some(workers)
        })
        .await;
    }
    play.stop().await;
}
