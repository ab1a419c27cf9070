//! Each kind of metric, read from an API that answers from a table.

use std::collections::BTreeMap;
use std::convert::Infallible;

use http::{Request, Response};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::controllers::podautoscaler::replicas::Tolerances;

const NOW: &str = "2026-01-01T01:00:00Z";

/// Answers these paths; any other is not served.
fn api(table: &[(&str, Value)]) -> Client {
    let table: BTreeMap<String, String> =
        table.iter().map(|(path, value)| ((*path).into(), value.to_string())).collect();
    let answer = move |request: Request<Body>| {
        let found = table.get(&request.uri().to_string()).cloned();
        let (code, kind) = if found.is_some() { (200, "application/json") } else { (404, "text/plain") };
        let body = found.unwrap_or_else(|| "404 page not found\n".into());
        let response = Response::builder().status(code).header("content-type", kind);
        std::future::ready(Ok::<_, Infallible>(response.body(Body::from(body.into_bytes())).unwrap()))
    };
    Client::new(tower::service_fn(answer), "default")
}

/// What the metric asks for, of a target with two Pods that run.
async fn ask(client: &Client, spec: Value) -> Result<Proposal, Unknown> {
    let ready = json!([{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
    let pod = |name: &str| {
        let requests = |cpu: &str| json!({ "requests": { "cpu": cpu, "memory": "64Mi" } });
        let value = json!({ "metadata": { "name": name },
            "spec": { "containers": [{ "name": "web", "resources": requests("200m") },
                { "name": "proxy", "resources": requests("50m") }] },
            "status": { "phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": ready } });
        std::sync::Arc::new(serde_json::from_value(value).unwrap())
    };
    let pods = [pod("a"), pod("b")];
    let tolerances = Tolerances { down: 0.1, up: 0.1 };
    let site = Site {
        readings: Readings { client, namespace: "default" },
        view: View { pods: &pods, current: 2, tolerances, now: NOW.parse::<Timestamp>().unwrap() },
        selector: &LabelSelector::parse("app=web").unwrap(),
        running: 2,
    };
    site.propose(&serde_json::from_value(spec).unwrap()).await
}

fn resource(kind: &str, target: &Value) -> Value {
    match kind {
        "Resource" => json!({ "type": kind, "resource": { "name": "cpu", "target": target } }),
        _ => json!({ "type": kind, "containerResource": { "name": "cpu", "container": "proxy", "target": target } }),
    }
}

fn custom(kind: &str, object: &Value, target: &Value) -> Value {
    let metric = json!({ "name": "requests", "selector": { "matchLabels": { "verb": "GET" } } });
    let field = kind.to_lowercase();
    let mut spec = json!({ "type": kind, field.clone(): { "metric": metric, "target": target } });
    if !object.is_null() {
        spec[field]["describedObject"] = object.clone();
    }
    spec
}

#[tokio::test]
async fn each_kind_of_metric_is_read_where_it_is_measured() {
    let pod = |name: &str| {
        let usage = |cpu: &str| json!({ "cpu": cpu, "memory": "16Mi" });
        json!({ "metadata": { "name": name }, "timestamp": NOW, "window": "30s", "containers": [
            { "name": "web", "usage": usage("150m") }, { "name": "proxy", "usage": usage("100m") }] })
    };
    let value =
        |name: &str, value: &str| json!({ "describedObject": { "name": name }, "timestamp": NOW, "value": value });
    let base = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default";
    let of_pods = format!("{base}/pods/*/requests?labelSelector=app%3Dweb&metricLabelSelector=verb%3DGET");
    let of_object = format!("{base}/ingresses.networking.k8s.io/main/requests?metricLabelSelector=verb%3DGET");
    let of_namespace = format!("{base}/metrics/requests?metricLabelSelector=verb%3DGET");
    let version = |version: &str| json!({ "version": version });
    let client = api(&[
        (
            "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dweb",
            json!({ "items": [pod("a"), pod("b")] }),
        ),
        (
            "/apis/custom.metrics.k8s.io",
            json!({ "preferredVersion": version("v2"), "versions": [version("v2"), version("v1beta2")] }),
        ),
        (&of_pods, json!({ "items": [value("a", "30"), value("b", "10")] })),
        (&of_object, json!({ "items": [value("main", "45")] })),
        (&of_namespace, json!({ "items": [value("default", "5")] })),
        ("/apis/networking.k8s.io", json!({ "preferredVersion": version("v1"), "versions": [version("v1")] })),
        (
            "/apis/networking.k8s.io/v1",
            json!({ "resources": [{ "name": "ingresses/status", "kind": "Ingress" },
                { "name": "ingresses", "kind": "Ingress" }] }),
        ),
        (
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/requests?labelSelector=verb%3DGET",
            json!({ "items": [value("", "25"), value("", "500m")] }),
        ),
    ]);
    let ingress = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main" });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "name": "any" });
    let selector = "&LabelSelector{MatchLabels:map[string]string{verb: GET,},MatchExpressions:\
                    []LabelSelectorRequirement{},}";
    let external = format!("external metric requests({selector})");
    let (half, tenth) = (json!({ "type": "Utilization", "averageUtilization": 50 }), json!({ "averageValue": "10" }));
    let utilization = |percent, value| json!({ "averageUtilization": percent, "averageValue": value });
    for (spec, replicas, name, current) in [
        (
            resource("Resource", &half), // 250 of 250 is 100 %
            4,
            "cpu resource utilization (percentage of request)",
            utilization(100, "250m"),
        ),
        (
            resource("Resource", &json!({ "averageValue": "125m" })),
            4,
            "cpu resource",
            json!({ "averageValue": "250m" }),
        ),
        (
            resource("ContainerResource", &half), // 100 of 50 is 200 %
            8,
            "cpu container resource utilization (percentage of request)",
            utilization(200, "100m"),
        ),
        (custom("Pods", &Value::Null, &tenth), 4, "pods metric requests", json!({ "averageValue": "20" })),
        (
            custom("Object", &ingress, &json!({ "type": "Value", "value": "30" })), // 2 × 1.5
            3,
            "Ingress metric requests",
            json!({ "value": "45" }),
        ),
        (
            custom("Object", &ingress, &json!({ "type": "AverageValue", "averageValue": "10" })), // 4.5
            5,
            &external,
            json!({ "averageValue": "22500m" }),
        ),
        (
            custom("Object", &namespace, &json!({ "type": "Value", "value": "10" })),
            1,
            "Namespace metric requests",
            json!({ "value": "5" }),
        ),
        (custom("External", &Value::Null, &tenth), 3, &external, json!({ "averageValue": "12750m" })), // 2.55
        (
            custom("External", &Value::Null, &json!({ "value": "10" })), // 2 × 2.55
            6,
            &external,
            json!({ "value": "25500m" }),
        ),
    ] {
        let proposal = ask(&client, spec.clone()).await.unwrap();
        assert_eq!((proposal.replicas, &*proposal.name), (replicas, name), "{spec}");
        let status = serde_json::to_value(&proposal.status).unwrap();
        let kind = status["type"].as_str().unwrap();
        let field = format!("{}{}", kind[..1].to_lowercase(), &kind[1..]);
        assert_eq!(status[&field]["current"], current, "{spec}");
    }
}

#[tokio::test]
async fn what_is_missing_is_told_in_kubernetes_words() {
    let client = api(&[]);
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
    let (half, value) = (json!({ "averageUtilization": 50 }), json!({ "type": "Value", "value": "10" }));
    let average = json!({ "type": "AverageValue", "averageValue": "10" });
    let nothing = "the server could not find the requested resource";
    let of_resource = format!("unable to fetch metrics from resource metrics API: {nothing} (get pods.metrics.k8s.io)");
    let of_custom =
        "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered";
    let of_external = format!(
        "unable to get external metric default/requests/&LabelSelector{{MatchLabels:map[string]string{{verb: GET,}},\
         MatchExpressions:[]LabelSelectorRequirement{{}},}}: unable to fetch metrics from external metrics API: \
         {nothing} (get requests.external.metrics.k8s.io)"
    );
    let utilization = format!("failed to get cpu utilization: unable to get metrics for resource cpu: {of_resource}");
    for (spec, reason, words, before) in [
        (
            resource("Resource", &half),
            "FailedGetResourceMetric",
            utilization.clone(),
            "failed to get cpu resource metric value: ",
        ),
        (
            resource("Resource", &average),
            "FailedGetResourceMetric",
            format!("failed to get cpu usage: unable to get metrics for resource cpu: {of_resource}"),
            "failed to get cpu resource metric value: ",
        ),
        (
            resource("ContainerResource", &half),
            "FailedGetContainerResourceMetric",
            utilization,
            "failed to get proxy container metric value: ",
        ),
        (
            custom("Pods", &Value::Null, &average),
            "FailedGetPodsMetric",
            format!("unable to get metric requests: {of_custom}"),
            "failed to get pods metric value: ",
        ),
        (
            custom("Object", &deployment, &value),
            "FailedGetObjectMetric",
            format!("unable to get metric requests on Deployment default/web: {of_custom}"),
            "failed to get object metric value: ",
        ),
        (
            custom("Object", &deployment, &average),
            "FailedGetObjectMetric",
            format!("unable to get metric requests on Deployment default/web: {of_custom}"),
            "failed to get object metric value: failed to get requests object metric: ",
        ),
        (
            custom("External", &Value::Null, &value),
            "FailedGetExternalMetric",
            of_external.clone(),
            "failed to get requests external metric value: failed to get external metric requests: ",
        ),
        (
            custom("External", &Value::Null, &average),
            "FailedGetExternalMetric",
            of_external,
            "failed to get requests external metric value: failed to get requests external metric: ",
        ),
    ] {
        let unknown = ask(&client, spec.clone()).await.unwrap_err();
        let among_others = format!("{before}{words}");
        assert_eq!(unknown, Unknown { reason, words, among_others }, "{spec}");
    }
}

#[tokio::test]
async fn an_object_of_an_unknown_kind_is_told() {
    let version = json!({ "version": "v1beta1" });
    let served = json!({ "preferredVersion": version, "versions": [version] });
    let client = api(&[("/apis/custom.metrics.k8s.io", served)]);
    let object = json!({ "apiVersion": "apps/v1", "kind": "Deploymnt", "name": "web" });
    let spec = custom("Object", &object, &json!({ "type": "Value", "value": "10" }));
    let words = "unable to get metric requests on Deploymnt default/web: unable to fetch metrics from custom metrics \
                 API: unable to map kind Deploymnt.apps to resource: no matches for kind \"Deploymnt\" in group \"apps\"";
    assert_eq!(ask(&client, spec).await.unwrap_err().words, words);
}

#[test]
fn amounts_are_written_as_the_metrics_server_writes_them() {
    for (resource, value, text) in [
        ("cpu", 250, "250m"),
        ("cpu", 2_000, "2"),
        ("memory", 67_108_864_000, "64Mi"),
        ("memory", 2_000_000, "2000"),
        ("memory", 1_024_500, "1024500m"),
        ("memory", 1_000_000, "1k"),
        ("memory", 512_500, "512500m"),
        ("", 12_345_000, "12345"),
    ] {
        assert_eq!(amount(resource, value).0, text, "{resource} {value}");
    }
}

#[test]
fn selectors_are_shown_as_go_shows_them() {
    let selector = json!({ "matchLabels": { "queue": "mail" },
        "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] }] });
    let selector = serde_json::from_value(selector).unwrap();
    assert_eq!(
        shown(Some(&selector)),
        "&LabelSelector{MatchLabels:map[string]string{queue: mail,},MatchExpressions:[]LabelSelectorRequirement\
         {LabelSelectorRequirement{Key:tier,Operator:In,Values:[a b],},},}"
    );
    assert_eq!(shown(None), "nil");
}
