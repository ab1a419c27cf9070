//! The whole API in memory: a store without a disk, requests without a socket.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::Service;

use super::auth::Peer;
use super::*;
use crate::etcd::Etcd;

struct NoKubelets;

impl KubeletDialer for NoKubelets {
    fn request(
        &self,
        node: &str,
        _: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BoxBody<Bytes, Error>>>> {
        let error = Error::new(format!("no kubelet on {node}"), "");
        Box::pin(std::future::ready(Err(error)))
    }

    fn connect<'a>(
        &'a self,
        node: &'a str,
        _: &'a str,
        _: &'a str,
        _: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, String>> {
        Box::pin(std::future::ready(Err(format!("no kubelet on {node}"))))
    }
}

async fn server() -> Arc<ApiServer> {
    server_with(MAX_IN_FLIGHT, MAX_WATCHES).await
}

async fn server_with(max_in_flight: usize, max_watches: usize) -> Arc<ApiServer> {
    let (clock, tasks) = (Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap()), TaskGroup::new());
    let store = Etcd::in_memory(clock, &tasks).unwrap();
    server_over(store, clock, tasks, max_in_flight, max_watches).await
}

async fn server_over(
    store: Arc<Etcd>,
    clock: Clock,
    tasks: TaskGroup,
    max_in_flight: usize,
    max_watches: usize,
) -> Arc<ApiServer> {
    ApiServer::start(Config {
        store,
        clock,
        tasks,
        authority: Arc::new(pki::Authority::in_memory().unwrap()),
        kubelets: Arc::new(NoKubelets),
        service_cidr: SERVICE_CIDR,
        admin_token: None,
        max_in_flight,
        max_watches,
    })
    .await
    .unwrap()
}

async fn send(api: &ApiServer, method: &str, path: &str, body: Value) -> warp::reply::Response {
    send_as("system:masters", api, method, path, body).await
}

async fn send_as(group: &str, api: &ApiServer, method: &str, path: &str, body: Value) -> warp::reply::Response {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let mut request = http::Request::builder().method(method).uri(path).header("content-type", media);
    let peer = Peer::InProcess { user: "admin".into(), groups: vec![group.into()] };
    request.extensions_mut().unwrap().insert(peer);
    warp::service(api.filter()).call(request.body(Full::new(body)).unwrap()).await.unwrap()
}

async fn call(api: &ApiServer, method: &str, path: &str, body: Value) -> (u16, Value) {
    let response = send(api, method, path, body).await;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// An answer to a GET, its form, and its bytes.
async fn form(api: &ApiServer, path: &str, accept: &str) -> (u16, String, Bytes) {
    let mut request = http::Request::builder().uri(path).header("accept", accept);
    let peer = Peer::InProcess { user: "admin".into(), groups: vec!["system:masters".into()] };
    request.extensions_mut().unwrap().insert(peer);
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let response = warp::service(api.filter()).call(request).await.unwrap();
    let (code, media) = (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap().to_string());
    (code, media, response.into_body().collect().await.unwrap().to_bytes())
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}})
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(start_paused = true)]
async fn what_is_written_is_read_listed_changed_and_deleted() {
    let api = server().await;
    let (code, made) = call(&api, "POST", MAPS, config_map("a", "1")).await;
    assert_eq!((code, &made["metadata"]["namespace"]), (201, &json!("default")));
    assert_eq!(call(&api, "POST", MAPS, config_map("a", "1")).await.0, 409);
    let (code, read) = call(&api, "GET", &format!("{MAPS}/a"), Value::Null).await;
    assert_eq!((code, read), (200, made.clone()));
    let (_, list) = call(&api, "GET", MAPS, Value::Null).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let (code, patched) = call(&api, "PATCH", &format!("{MAPS}/a"), json!({"data": {"a": "2"}})).await;
    assert_eq!((code, &patched["data"]["a"]), (200, &json!("2")));
    let stale = json!({"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"a": "3"}});
    assert_eq!(call(&api, "PATCH", &format!("{MAPS}/a"), stale).await.0, 409);
    assert_eq!(call(&api, "DELETE", &format!("{MAPS}/a"), Value::Null).await.0, 200);
    assert_eq!(call(&api, "GET", &format!("{MAPS}/a"), Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_what_comes_to_match_and_what_ceases_to() {
    let api = server().await;
    let (_, list) = call(&api, "GET", MAPS, Value::Null).await;
    let from = list["metadata"]["resourceVersion"].as_str().unwrap();
    let query = format!("{MAPS}?watch=1&resourceVersion={from}&labelSelector=on%3Dyes&timeoutSeconds=60");
    let mut watch = send(&api, "GET", &query, Value::Null).await.into_body();
    call(&api, "POST", MAPS, config_map("a", "1")).await;
    let label = |value: &str| json!({"metadata": {"labels": {"on": value}}});
    call(&api, "PATCH", &format!("{MAPS}/a"), label("yes")).await;
    call(&api, "PATCH", &format!("{MAPS}/a"), label("no")).await;
    let mut text = String::new();
    while let Some(Ok(frame)) = watch.frame().await {
        text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADDED", "DELETED"]);
    assert_eq!(events[1]["object"]["metadata"]["labels"]["on"], "yes", "a client sees the last state that matched");
}

#[tokio::test(start_paused = true)]
async fn pages_show_one_moment() {
    let api = server().await;
    for name in ["a", "b", "c"] {
        call(&api, "POST", MAPS, config_map(name, "1")).await;
    }
    let (_, first) = call(&api, "GET", &format!("{MAPS}?limit=1"), Value::Null).await;
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    call(&api, "DELETE", &format!("{MAPS}/b"), Value::Null).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = call(&api, "GET", &format!("{MAPS}?limit=5&continue={token}"), Value::Null).await;
    let names: Vec<_> = rest["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_continue_token_ends_and_its_answer_goes_on() {
    let api = server().await;
    for name in ["a", "b", "c"] {
        call(&api, "POST", MAPS, config_map(name, "1")).await;
    }
    let (_, first) = call(&api, "GET", &format!("{MAPS}?limit=1"), Value::Null).await;
    let next = |page: &Value| format!("{MAPS}?limit=1&continue={}", page["metadata"]["continue"].as_str().unwrap());
    call(&api, "DELETE", &format!("{MAPS}/b"), Value::Null).await;
    let clock = api.engine.clock;
    clock.sleep(std::time::Duration::from_secs(290)).await;
    assert_eq!(call(&api, "GET", &next(&first), Value::Null).await.1["items"][0]["metadata"]["name"], "b");
    clock.sleep(std::time::Duration::from_secs(320)).await;
    let (code, ended) = call(&api, "GET", &next(&first), Value::Null).await;
    assert_eq!((code, &ended["reason"]), (410, &json!("Expired")));
    let (code, rest) = call(&api, "GET", &next(&ended), Value::Null).await;
    assert_eq!((code, &rest["items"][0]["metadata"]["name"]), (200, &json!("c")));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_in_the_journal_with_its_fields() {
    let api = server().await;
    call(&api, "POST", MAPS, config_map("a", "1")).await;
    call(&api, "PATCH", &format!("{MAPS}/a"), json!({"data": {"a": "2"}})).await;
    let (_, writes) = call(&api, "GET", "/tutor/writes?resource=configmaps&name=a", Value::Null).await;
    let last = &writes["items"][1];
    assert_eq!((&last["verb"], &last["fields"], &last["user"]), (&json!("patch"), &json!(["data.a"]), &json!("admin")));
}

#[tokio::test]
async fn the_store_can_be_looked_into() {
    let api = server().await;
    call(&api, "POST", "/api/v1/namespaces/default/configmaps", config_map("seen", "1")).await;
    let (code, one) = call(&api, "GET", "/tutor/etcd?key=/registry/configmaps/default/seen", Value::Null).await;
    assert_eq!(code, 200, "{one}");
    let kv = &one["kvs"][0];
    assert_eq!((&kv["key"], &kv["version"]), (&json!("/registry/configmaps/default/seen"), &json!(1)));
    assert!(kv["value"].as_str().unwrap().contains("\"seen\""), "{kv}");
    let created = kv["create_revision"].as_i64().unwrap();
    let (_, all) = call(&api, "GET", "/tutor/etcd?key=/registry/configmaps/&prefix=true", Value::Null).await;
    assert!(all["count"].as_i64().unwrap() >= 1);
    let earlier = format!("/tutor/etcd?key=/registry/configmaps/default/seen&rev={}", created - 1);
    assert_eq!(call(&api, "GET", &earlier, Value::Null).await.1["count"], 0);
    for wrong in
        ["/tutor/etcd", "/tutor/etcd?key=/a&rev=0", "/tutor/etcd?key=/a&rev=x", "/tutor/etcd?key=/a&rev=999999"]
    {
        assert_eq!(call(&api, "GET", wrong, Value::Null).await.0, 400, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_has_a_size() {
    let api = server().await;
    let (code, status) = call(&api, "POST", MAPS, config_map("a", &"x".repeat(3 << 20))).await;
    assert_eq!((code, &status["reason"]), (413, &json!("RequestEntityTooLarge")));
    assert_eq!(status["message"], "Request entity too large: limit is 3145728");
    assert_eq!(call(&api, "POST", MAPS, config_map("a", &"x".repeat(1 << 20))).await.0, 201);
}

/// The answer to a body that is sent as it is.
async fn post_text(api: &ApiServer, media: &str, text: String) -> (u16, Value) {
    let mut request = http::Request::builder().method("POST").uri(MAPS).header("content-type", media);
    let admin = Peer::InProcess { user: "admin".into(), groups: vec!["system:masters".into()] };
    request.extensions_mut().unwrap().insert(admin);
    let response = warp::service(api.filter()).call(request.body(Full::new(Bytes::from(text))).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    (code, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_few_aliases_cannot_stand_for_a_billion_values() {
    let api = server().await;
    let mut bomb = "kind: ConfigMap\napiVersion: v1\na: &a [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for (before, next) in ('a'..'i').zip('b'..'j') {
        let all = vec![format!("*{before}"); 10].join(", ");
        bomb.push_str(&format!("{next}: &{next} [{all}]\n"));
    }
    let (code, status) = post_text(&api, "application/yaml", bomb).await;
    assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
    assert!(status["message"].as_str().unwrap().contains("document contains excessive aliasing"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_seat_is_told_to_come_again() {
    let api = server_with(0, MAX_WATCHES).await;
    let jane = "system:authenticated";
    let busy = send_as(jane, &api, "GET", MAPS, Value::Null).await;
    assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    let watch = send_as(jane, &api, "GET", &format!("{MAPS}?watch=1"), Value::Null).await;
    assert_eq!(watch.status(), 403, "a watch takes no seat, only its rights are asked for");
    assert_eq!(send(&api, "GET", MAPS, Value::Null).await.status(), 200, "the system's masters need no seat");
}

#[tokio::test(start_paused = true)]
async fn watches_are_counted_while_they_last() {
    let api = server_with(MAX_IN_FLIGHT, 1).await;
    let path = format!("{MAPS}?watch=1&timeoutSeconds=5");
    let first = send(&api, "GET", &path, Value::Null).await;
    assert_eq!(send(&api, "GET", &path, Value::Null).await.status(), 429);
    // Its end gives the place back.
    first.into_body().collect().await.unwrap();
    assert_eq!(send(&api, "GET", &path, Value::Null).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_says_how_long_it_waits() {
    let api = server().await;
    let (code, status) = call(&api, "GET", &format!("{MAPS}?timeout=1ns"), Value::Null).await;
    assert_eq!((code, &status["reason"]), (504, &json!("Timeout")));
    let (code, status) = call(&api, "DELETE", &format!("{MAPS}/a?timeout=soon"), Value::Null).await;
    let why = "invalid timeout specified in the request URL - time: invalid duration \"soon\"";
    assert_eq!((code, &status["message"]), (400, &json!(why)));
    assert_eq!(call(&api, "GET", &format!("{MAPS}?timeout=10s"), Value::Null).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn who_signs_approves_and_attests_has_to_be_allowed_to() {
    let api = server().await;
    let as_user = async |user: &str, method: &str, path: &str, body: Value| {
        let mut request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        request.extensions_mut().unwrap().insert(Peer::InProcess { user: user.into(), groups: Vec::new() });
        let body = Full::new(Bytes::from(body.to_string()));
        let response = warp::service(api.filter()).call(request.body(body).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    const CERTIFICATES: &str = "/apis/certificates.k8s.io/v1";
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
    let allow = async |name: &str, rules: Value| {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
        assert_eq!(call(&api, "POST", &format!("{RBAC}/clusterroles"), role).await.0, 201);
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
        assert_eq!(call(&api, "POST", &format!("{RBAC}/clusterrolebindings"), binding).await.0, 201);
        // A read waits until the caches, which authorization looks at, have every write.
        assert_eq!(call(&api, "GET", &format!("{RBAC}/clusterrolebindings/{name}"), Value::Null).await.0, 200);
    };
    let group = "certificates.k8s.io";
    allow(
        "parts",
        json!([{"apiGroups": [group], "resources": ["certificatesigningrequests/approval",
        "certificatesigningrequests/status", "clustertrustbundles"], "verbs": ["create", "update", "patch", "get"]}]),
    )
    .await;
    let anchor = rcgen::generate_simple_self_signed(["a".to_string()]).unwrap().cert.pem();
    let bundle = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle",
        "metadata": {"name": "example.com:x:a"}, "spec": {"signerName": "example.com/x", "trustBundle": anchor}});
    let params = rcgen::CertificateParams::new(vec!["a".to_string()]).unwrap();
    let request = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let request = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, request);
    let wish = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "w"},
        "spec": {"request": request, "signerName": "example.com/x", "usages": ["client auth"]}});
    let requests = format!("{CERTIFICATES}/certificatesigningrequests");
    let (code, mut made) = call(&api, "POST", &requests, wish).await;
    assert_eq!(code, 201, "{made}");
    made["status"] = json!({"conditions": [{"type": "Approved", "status": "True", "reason": "r"}]});
    let (code, status) = as_user("jane", "PUT", &format!("{requests}/w/approval"), made.clone()).await;
    let words = "certificatesigningrequests.certificates.k8s.io \"w\" is forbidden: user not permitted to approve requests \
                 with signerName \"example.com/x\"";
    assert_eq!((code, &status["message"]), (403, &json!(words)));
    allow("approves", json!([{"apiGroups": [group], "resources": ["signers"], "resourceNames": ["example.com/*"], "verbs": ["approve"]}])).await;
    assert_eq!(as_user("jane", "PUT", &format!("{requests}/w/approval"), made).await.0, 200);
    let (code, status) = as_user("jane", "POST", &format!("{CERTIFICATES}/clustertrustbundles"), bundle).await;
    let words = "clustertrustbundles.certificates.k8s.io \"example.com:x:a\" is forbidden: user not permitted to attest for \
                 signerName \"example.com/x\"";
    assert_eq!((code, &status["message"]), (403, &json!(words)));
}

#[tokio::test(start_paused = true)]
async fn discovery_has_a_protobuf_form() {
    let api = server().await;
    let plain = "application/vnd.kubernetes.protobuf";
    let aggregated = format!("{plain};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let table = [
        ("/api", plain, "APIVersions"),
        ("/api/v1", plain, "APIResourceList"),
        ("/apis", plain, "APIGroupList"),
        ("/apis/apps", plain, "APIGroup"),
        ("/apis/apps/v1", plain, "APIResourceList"),
        ("/api", &*aggregated, "APIGroupDiscoveryList"),
        ("/apis", &*aggregated, "APIGroupDiscoveryList"),
    ];
    for (path, accept, kind) in table {
        let (code, media, bytes) = form(&api, path, accept).await;
        assert_eq!((code, &*media), (200, accept), "{path}");
        // The envelope: what it is, and of which version.
        let head = String::from_utf8_lossy(&bytes[..60.min(bytes.len())]).into_owned();
        assert!(head.starts_with("k8s\0") && head.contains(kind), "{path}: {head:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_tells_of_itself_to_who_may_ask() {
    let api = server().await;
    let (code, media, text) = form(&api, "/statusz", "*/*").await;
    assert_eq!((code, &*media), (200, "text/plain; charset=utf-8"));
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.starts_with("\napiserver statusz\n") && text.contains(" 1.37.2\n"), "{text}");
    let object = "application/json;g=config.k8s.io;v=v1beta1;as=Flagz";
    let (code, media, bytes) = form(&api, "/flagz", object).await;
    let flags: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((code, &*media, &flags["flags"]["service-cluster-ip-range"]), (200, object, &json!("10.96.0.0/16")));
    assert_eq!(form(&api, "/flagz", "application/json").await.0, 406);
    assert_eq!(send_as("system:authenticated", &api, "GET", "/flagz", Value::Null).await.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn a_revision_of_a_kind_reads_the_same_after_a_restart() {
    let (clock, tasks) = (Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap()), TaskGroup::new());
    let store = Etcd::in_memory(clock, &tasks).unwrap();
    let start = || server_over(store.clone(), clock, tasks.clone(), MAX_IN_FLIGHT, MAX_WATCHES);
    const PATH: &str = "/apis/apps/v1/namespaces/default/controllerrevisions";
    let first = start().await;
    // With spaces that the short form has not.
    let sent = r#"{"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r"}, "revision": 1, "data": {"z": 1, "a":  {"b": [1, 2]}}}"#;
    let bytes = async |api: &ApiServer, method: &str, path: &str, text: &str| {
        let mut request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let peer = Peer::InProcess { user: "admin".into(), groups: vec!["system:masters".into()] };
        request.extensions_mut().unwrap().insert(peer);
        let request = request.body(Full::new(Bytes::from(text.to_owned()))).unwrap();
        warp::service(api.filter()).call(request).await.unwrap().status()
    };
    assert_eq!(bytes(&first, "POST", PATH, sent).await, 201);
    let path = format!("{PATH}/r");
    let before = form(&first, &path, "application/json").await;
    let proto = form(&first, &path, "application/vnd.kubernetes.protobuf").await;
    assert!(String::from_utf8_lossy(&before.2).contains(r#""data":{"z":1,"a":{"b":[1,2]}}"#), "{before:?}");
    let second = start().await;
    assert_eq!(form(&second, &path, "application/json").await, before);
    assert_eq!(form(&second, &path, "application/vnd.kubernetes.protobuf").await, proto);
    let other = json!({"data": {"z": 2}});
    assert_eq!(call(&second, "PATCH", &path, other).await.0, 422, "what it says stays as it is");
    let respelt = sent.replace("[1, 2]", "[1,2]");
    assert_eq!(bytes(&second, "PUT", &path, &respelt).await, 422, "so do the bytes that say it");
    assert_eq!(bytes(&second, "PUT", &path, sent).await, 200);
    let plain = sent.replace(' ', "").replace("\"r\"", "\"plain\"");
    assert_eq!(bytes(&second, "POST", PATH, &plain).await, 201);
    let (plain_path, spaced) = (format!("{PATH}/plain"), plain.replace("[1,2]", "[1, 2]"));
    assert_eq!(bytes(&second, "PUT", &plain_path, &spaced).await, 422, "also where there was no space");
    assert_eq!(bytes(&second, "PUT", &plain_path, &plain).await, 200);
}

#[tokio::test(start_paused = true)]
async fn what_v1_of_an_autoscaler_says_in_annotations_is_spec_and_status() {
    let api = server().await;
    let path = |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
    let (v1, v2) = (format!("{}/h", path("v1")), format!("{}/h", path("v2")));
    let behavior = json!({"scaleUp": {"stabilizationWindowSeconds": 3}});
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "behavior": behavior,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}});
    assert_eq!(call(&api, "POST", &path("v2"), autoscaler).await.0, 201);
    let condition = json!([{"type": "AbleToScale", "status": "True", "lastTransitionTime": null}]);
    let (code, told) = call(&api, "PATCH", &format!("{v2}/status"), json!({"status": {"conditions": condition}})).await;
    assert_eq!(code, 200, "{told}");
    let annotate =
        |name: &str| json!({"metadata": {"annotations": {format!("autoscaling.alpha.kubernetes.io/{name}"): null}}});
    for (name, generation) in [("conditions", 1), ("behavior", 2)] {
        assert_eq!(call(&api, "PATCH", &v1, annotate(name)).await.0, 200);
        let (_, now) = call(&api, "GET", &v2, Value::Null).await;
        assert_eq!(now["metadata"]["generation"], generation, "{name}");
        assert_eq!(now["status"]["conditions"][0]["type"], "AbleToScale", "{name}");
        assert_eq!(now["spec"].get("behavior").is_some(), name == "conditions");
    }
    assert_eq!(call(&api, "PATCH", &format!("{v1}/status"), annotate("conditions")).await.0, 200);
    assert_eq!(call(&api, "GET", &v2, Value::Null).await.1["status"].get("conditions"), None);
}
