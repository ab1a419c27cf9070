//! Webhooks that do not do what they should. What becomes of the write is what their `failurePolicy` says, and the
//! words are Kubernetes'.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::join_all;
use http::Response;
use http_body_util::Full;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::backend::{self, Backend, Seen};
use crate::conversion::refusal;
use crate::harness::{Playground, into};

/// More than is read of an answer.
const TOO_LARGE: usize = 32 * 1024 * 1024 + 1;

fn text(code: u16, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().status(code).header("content-type", "text/plain").body(Full::new(text.into())).unwrap()
}

fn review(seen: &Seen, mut response: Value) -> Response<Full<Bytes>> {
    let asked: Value = serde_json::from_slice(&seen.body).unwrap();
    if response.get("uid").is_none() {
        response["uid"] = asked["request"]["uid"].clone();
    }
    let version = &asked["apiVersion"];
    backend::json(200, &json!({"apiVersion": version, "kind": "AdmissionReview", "response": response}))
}

fn patch(seen: &Seen, operations: &Value) -> Response<Full<Bytes>> {
    let patch = STANDARD.encode(operations.to_string());
    review(seen, json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
}

/// Each path is another way to fail.
fn answer(seen: &Seen) -> Response<Full<Bytes>> {
    match seen.target.split('?').next().unwrap() {
        "/never" => backend::never(),
        "/garbage" => text(200, "hello"),
        "/empty" => text(200, ""),
        "/absent" => backend::json(200, &json!({})),
        "/other-uid" => review(seen, json!({"uid": "other", "allowed": true})),
        "/broken" => text(500, "boom"),
        "/told" => {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not today"});
            backend::json(503, &status)
        }
        "/large" => text(200, vec![b' '; TOO_LARGE]),
        "/unpatchable" => patch(seen, &json!([{"op": "remove", "path": "/metadata/no"}])),
        "/misshapen" => patch(seen, &json!([{"op": "add", "path": "/data", "value": 1}])),
        "/label" => patch(seen, &json!([{"op": "add", "path": "/metadata/labels/seen", "value": "yes"}])),
        "/port" => patch(seen, &json!([{"op": "add", "path": "/spec/ports/-", "value": {"name": "more", "port": 81}}])),
        "/look" => review(seen, json!({"allowed": true})),
        "/deny" => {
            let details = json!({"causes": [{"message": "too long", "field": "data.a"}]});
            let status = json!({"message": "no", "reason": "HouseRule", "code": 418, "details": details});
            review(seen, json!({"allowed": false, "status": status, "warnings": ["be brief"]}))
        }
        other => panic!("asked at {other}"),
    }
}

/// A configuration that asks the server about ConfigMaps whose label says so.
fn configuration(kind: &str, backend: &Backend, path: &str, policy: &str) -> Value {
    let case = case(kind, path, policy);
    // Who never answers is waited for; nobody else is.
    let seconds = if path == "never" { 1 } else { 30 };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
        "metadata": {"name": case},
        "webhooks": [{
            "name": "hook.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "timeoutSeconds": seconds, "failurePolicy": policy,
            "clientConfig": {"url": format!("https://localhost:{}/{path}", backend.port),
                "caBundle": STANDARD.encode(&backend.certificate)},
            "objectSelector": {"matchLabels": {"case": case}},
            "rules": [{"operations": ["CREATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["configmaps"]}],
        }],
    })
}

fn case(kind: &str, path: &str, policy: &str) -> String {
    format!("{kind}-{path}-{policy}").to_lowercase()
}

fn labelled(case: &str) -> DynamicObject {
    into(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": case, "labels": {"case": case}}}))
}

/// Makes the configuration, then a ConfigMap that it is about.
async fn ask(
    play: &Playground,
    backend: &Backend,
    kind: &str,
    path: &str,
    policy: &str,
) -> kube::Result<DynamicObject> {
    let made = configuration(kind, backend, path, policy);
    let configurations = play.api(&format!("{}webhookconfiguration", kind.to_lowercase()), "");
    configurations.create(&PostParams::default(), &into(made)).await.unwrap();
    let case = case(kind, path, policy);
    play.api("configmap", "default").create(&PostParams::default(), &labelled(&case)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_asked_is_a_refusal_or_is_passed_over() {
    let play = Playground::simulated().nodes(0).in_real_time().start().await;
    let backend = Backend::start("localhost", None, answer).await;
    let called = "failed to call webhook";
    let url = |path: &str, seconds: u8| format!("\"https://localhost:{}/{path}?timeout={seconds}s\"", backend.port);
    let type_meta =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let faults = [
        ("never", format!("{called}: Post {}: context deadline exceeded", url("never", 1))),
        (
            "garbage",
            format!(
                "{called}: couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value \
                 of type {type_meta}"
            ),
        ),
        ("empty", format!("{called}: 0-length response with status code: 200 and content type: text/plain")),
        ("absent", "received invalid webhook response: webhook response was absent".to_string()),
        ("other-uid", "received invalid webhook response: expected response.uid=\"UID\", got \"other\"".to_string()),
        ("broken", format!("{called}: an error on the server (\"boom\") has prevented the request from succeeding")),
        ("told", format!("{called}: not today")),
        (
            "large",
            format!(
                "{called}: unexpected error when reading response body. Please retry. Original error: more than 32 MiB"
            ),
        ),
    ];
    let tried = faults.iter().flat_map(|(path, why)| ["Mutating", "Validating"].map(|kind| (kind, *path, why)));
    let (play, backend) = (&play, &backend);
    join_all(tried.map(|(kind, path, why)| async move {
        let (code, message) = refusal(ask(play, backend, kind, path, "Fail").await);
        let asked = backend.seen(&format!("/{path}")).into_iter().map(|seen| {
            let review: Value = serde_json::from_slice(&seen.body).unwrap();
            review["request"]["uid"].as_str().unwrap().to_string()
        });
        let message = asked.fold(message, |message, uid| message.replace(&uid, "UID"));
        let expected = format!("Internal error occurred: failed calling webhook \"hook.example.com\": {why}");
        assert_eq!((code, message), (500, expected), "{kind} {path}");
        ask(play, backend, kind, path, "Ignore").await.unwrap();
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_decides_counts_whatever_its_policy() {
    let play = Playground::simulated().nodes(0).in_real_time().start().await;
    let backend = Backend::start("localhost", None, answer).await;
    let (code, message) = refusal(ask(&play, &backend, "Mutating", "unpatchable", "Ignore").await);
    let why = "error in remove for path: '/metadata/no': Unable to remove nonexistent key: no: missing value";
    assert_eq!((code, message), (500, format!("Internal error occurred: {why}")));
    let (code, message) = refusal(ask(&play, &backend, "Mutating", "misshapen", "Ignore").await);
    let why = "json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string";
    assert_eq!((code, message), (500, format!("Internal error occurred: {why}")));
    let why = "received invalid webhook response: validating webhook may not return response.patch";
    let (_, message) = refusal(ask(&play, &backend, "Validating", "label", "Fail").await);
    assert_eq!(message, format!("Internal error occurred: failed calling webhook \"hook.example.com\": {why}"));
    ask(&play, &backend, "Validating", "label", "Ignore").await.unwrap();

    for kind in ["Mutating", "Validating"] {
        let Err(kube::Error::Api(status)) = ask(&play, &backend, kind, "deny", "Ignore").await else {
            panic!("{kind} let it pass")
        };
        assert_eq!(status.message, "admission webhook \"hook.example.com\" denied the request: no");
        assert_eq!((status.code, &*status.reason), (418, "HouseRule"));
        assert_eq!(status.details.unwrap().causes[0].field, "data.a");
    }

    let labelled = ask(&play, &backend, "Mutating", "label", "Fail").await.unwrap();
    assert_eq!(labelled.metadata.labels.unwrap()["seen"], "yes");
    // There is no object to change once it is being deleted.
    let gone = play.api("configmap", "default").delete("mutating-label-fail", &Default::default()).await;
    let why = "admission webhook \"hook.example.com\" attempted to modify the object, which is not supported for this operation";
    assert_eq!(refusal(gone), (500, format!("Internal error occurred: {why}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_server_sees_the_defaults_of_what_the_first_added() {
    let play = Playground::simulated().nodes(0).in_real_time().start().await;
    let backend = Backend::start("localhost", None, answer).await;
    let mut made = configuration("Mutating", &backend, "port", "Fail");
    made["webhooks"][0]["rules"][0]["resources"] = json!(["services"]);
    let mut second = made["webhooks"][0].clone();
    second["name"] = json!("later.example.com");
    second["clientConfig"]["url"] = json!(format!("https://localhost:{}/look", backend.port));
    made["webhooks"].as_array_mut().unwrap().push(second);
    let configurations = play.api("mutatingwebhookconfiguration", "");
    configurations.create(&PostParams::default(), &into(made)).await.unwrap();
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "labels": {"case": case("Mutating", "port", "Fail")}},
        "spec": {"ports": [{"name": "http", "port": 80}]}});
    play.api("service", "default").create(&PostParams::default(), &into(service)).await.unwrap();
    let asked: Value = serde_json::from_slice(&backend.seen("/look")[0].body).unwrap();
    assert_eq!(
        asked["request"]["object"]["spec"]["ports"][1],
        json!({"name": "more", "port": 81, "protocol": "TCP", "targetPort": 81})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_patience_is_asked_again() {
    let play = Playground::simulated().nodes(0).in_real_time().start().await;
    let times = AtomicUsize::new(0);
    let busy = move |seen: &Seen| match times.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => {
            let mut busy = text(429, "later");
            busy.headers_mut().insert("retry-after", "0".parse().unwrap());
            busy
        }
        _ => review(seen, json!({"allowed": true})),
    };
    let backend = Backend::start("localhost", None, busy).await;
    ask(&play, &backend, "Validating", "busy", "Fail").await.unwrap();
    assert_eq!(backend.seen("/busy").len(), 3);
}
