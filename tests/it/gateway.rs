//! Gateway API's finer rules at the door: mirrors, time limits, retries, filters of one backend, references to other
//! namespaces.
//!
//! Behind the Services are servers of the test itself, so that it sees what arrives and says when to answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tutor::clock::Clock;
use tutor::network::door::{self, Dialer, Stream, Target};
use tutor::tasks::TaskGroup;

use crate::harness::{Playground, into};
use crate::ingress::{House, ask};

const PATIENCE: Duration = Duration::from_secs(150);

/// The way to the test's own servers, which are told apart by their port.
struct Here;

impl Dialer for Here {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Box<dyn Stream>, String>> {
        async move {
            let stream = TcpStream::connect(("127.0.0.1", target.port)).await.map_err(|fault| fault.to_string())?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    }
}

/// A server that tells the test each request, and answers `here` unless it is to keep silent.
async fn server(tasks: &TaskGroup, answers: bool) -> (u16, mpsc::UnboundedReceiver<String>) {
    saying(tasks, move |_| if answers { Says::Status(200) } else { Says::Nothing }).await
}

/// What a server does with a request.
enum Says {
    /// Answers so.
    Status(u16),
    /// Lets the client wait.
    Nothing,
    /// Hangs up.
    Goodbye,
}

/// A server that tells the test each request, and does what is said of the first, the second and so on.
async fn saying(
    tasks: &TaskGroup,
    says: impl Fn(usize) -> Says + Send + Sync + 'static,
) -> (u16, mpsc::UnboundedReceiver<String>) {
    let (says, count) = (Arc::new(says), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    let inside = tasks.clone();
    tasks.spawn("server", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (tell, says, count) = (tell.clone(), says.clone(), count.clone());
            inside.spawn("request", async move {
                let (mut seen, mut buffer) = (String::new(), [0; 4096]);
                // Until the body, which the tests end with a full stop, or the headers of a request without one.
                while !(seen.ends_with('.') || seen.starts_with("GET") && seen.ends_with("\r\n\r\n")) {
                    match stream.read(&mut buffer).await {
                        Ok(length @ 1..) => seen.push_str(&String::from_utf8_lossy(&buffer[..length])),
                        _ => return,
                    }
                }
                let _ = tell.send(seen);
                match says(count.fetch_add(1, Ordering::SeqCst)) {
                    Says::Status(code) => {
                        let answer = format!("HTTP/1.1 {code} So\r\ncontent-length: 4\r\n\r\nhere");
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                    Says::Nothing => {}
                    Says::Goodbye => return,
                }
                // Stays open until the other end closes.
                while let Ok(1..) = stream.read(&mut buffer).await {}
            });
        }
    });
    (port, told)
}

/// A door to the test's own servers, with a Gateway that takes routes of its namespace.
async fn house(tasks: &TaskGroup) -> House {
    let play = Playground::simulated().nodes(1).in_real_time().start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (client, clock) = (play.client.clone(), Clock::real());
    tutor::cluster::install_gateway_api(&client, clock).await.unwrap();
    door::start(door::Setup { client, dialer: Arc::new(Here), clock, tasks: tasks.clone() }, listener);
    let house = House { play, door: at };
    let gateway = json!({"metadata": {"name": "door"}, "spec": {"gatewayClassName": "tutor",
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}});
    house.create("Gateway", "gateways", gateway).await;
    house
}

/// A Service whose only endpoint is a server of the test.
async fn service(house: &House, namespace: &str, name: &str, port: u16) {
    house
        .play
        .apply(&format!(
            "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{{addresses: [10.9.9.9]}}]
ports: [{{port: {port}}}]
"
        ))
        .await;
}

async fn route(house: &House, rules: Value) {
    let spec = json!({"parentRefs": [{"name": "door"}], "rules": rules});
    house.create("HTTPRoute", "httproutes", json!({"metadata": {"name": "shop"}, "spec": spec})).await;
}

/// What a server is told next.
async fn next(told: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(PATIENCE, told.recv()).await.expect("a request arrives in time").unwrap()
}

/// Posts a text; the status of the answer.
async fn post(door: SocketAddr, path: &str, text: &str) -> u16 {
    let request = http::Request::post(format!("http://{door}{path}")).body(text.to_owned()).unwrap();
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    tokio::time::timeout(PATIENCE, client.request(request)).await.unwrap().unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_sees_each_request_and_answers_none() {
    let tasks = TaskGroup::new();
    let house = house(&tasks).await;
    let ((web, mut at_web), (spy, mut at_spy)) = (server(&tasks, true).await, server(&tasks, false).await);
    service(&house, "default", "web", web).await;
    service(&house, "default", "spy", spy).await;
    let mirror = json!([{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "spy", "port": 80}}}]);
    route(&house, json!([{"filters": mirror, "backendRefs": [{"name": "web", "port": 80}]}])).await;
    house.until("shop.example/first", |came| came.status == 200 && came.body == "here").await;
    assert!(next(&mut at_web).await.starts_with("GET /first HTTP/1.1\r\n"));
    let copy = next(&mut at_spy).await;
    assert!(copy.starts_with("GET /first HTTP/1.1\r\n") && copy.contains("shop.example"), "{copy}");
    let text = format!("{}.", "word ".repeat(20_000));
    assert_eq!(post(house.door, "/second", &text).await, 200, "who looks need not answer");
    for told in [&mut at_web, &mut at_spy] {
        let seen = next(told).await;
        assert!(seen.starts_with("POST /second ") && seen.ends_with(&text), "all of it arrives");
    }
    tasks.cancel();
    house.play.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_good_answer_is_sent_once_more() {
    let tasks = TaskGroup::new();
    let house = house(&tasks).await;
    // Twice bad, then good; again and again.
    let (busy, mut at_busy) = saying(&tasks, |n| Says::Status(if n % 3 < 2 { 503 } else { 200 })).await;
    let (rude, mut at_rude) = saying(&tasks, |n| if n % 2 == 0 { Says::Goodbye } else { Says::Status(200) }).await;
    let (slow, _at_slow) = saying(&tasks, |n| if n % 2 == 0 { Says::Nothing } else { Says::Status(200) }).await;
    let (web, _at_web) = server(&tasks, true).await;
    for (name, port) in [("busy", busy), ("rude", rude), ("slow", slow), ("web", web)] {
        service(&house, "default", name, port).await;
    }
    let to = |name: &str, retry: Value, more: Value| {
        let mut rule = json!({"matches": [{"path": {"value": format!("/{name}")}}],
            "backendRefs": [{"name": name, "port": 80}], "retry": retry});
        json_patch::merge(&mut rule, &more);
        rule
    };
    let rules = json!([
        to("busy", json!({"codes": [500, 503], "attempts": 2, "backoff": "1ms"}), json!({})),
        to("rude", json!({}), json!({})),
        // Long enough for the second try, also on a busy machine.
        to("slow", json!({"attempts": 1}), json!({"timeouts": {"backendRequest": "5s"}})),
        {"backendRefs": [{"name": "web", "port": 80}]},
    ]);
    route(&house, rules).await;
    // The last rule is read with the others, and asks none of them.
    house.until("shop.example/", |came| came.status == 200).await;
    let came = ask(house.door, "shop.example/busy", &[]).await;
    assert_eq!((came.status, came.body.as_str()), (200, "here"), "the third answer is a good one");
    for _ in 0..3 {
        assert!(next(&mut at_busy).await.starts_with("GET /busy "));
    }
    assert_eq!(post(house.door, "/busy", "words.").await, 200, "a small body is sent each time");
    for _ in 0..3 {
        assert!(next(&mut at_busy).await.ends_with("\r\n\r\nwords."));
    }
    assert_eq!(post(house.door, "/busy", &format!("{}.", "word ".repeat(20_000))).await, 503, "a large one once");
    assert_eq!(ask(house.door, "shop.example/rude", &[]).await.status, 200, "no answer counts without being named");
    assert!(next(&mut at_rude).await == next(&mut at_rude).await, "and the second try is the same request");
    assert_eq!(ask(house.door, "shop.example/slow", &[]).await.status, 200, "nor does one that is late");
    tasks.cancel();
    house.play.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_has_filters_of_its_own() {
    let tasks = TaskGroup::new();
    let house = house(&tasks).await;
    let (web, mut at_web) = server(&tasks, true).await;
    service(&house, "default", "web", web).await;
    let set = |kind: &str, key: &str, name: &str, value: &str| {
        let mut filter = json!({"type": kind});
        filter[key] = json!({"set": [{"name": name, "value": value}]});
        filter
    };
    let request = |name, value| set("RequestHeaderModifier", "requestHeaderModifier", name, value);
    let whole = json!({"type": "URLRewrite",
        "urlRewrite": {"hostname": "inside.example", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/there"}}});
    let answer = set("ResponseHeaderModifier", "responseHeaderModifier", "x-from", "web");
    let odd = json!([{"type": "RequestRedirect"}]);
    let rules = json!([
        {"matches": [{"path": {"value": "/own"}}], "filters": [request("x-all", "all"), ],
            "backendRefs": [{"name": "web", "port": 80, "filters": [request("x-own", "own"), whole, answer]}]},
        {"matches": [{"path": {"value": "/odd"}}], "backendRefs": [{"name": "web", "port": 80, "filters": odd}]},
    ]);
    route(&house, rules).await;
    house.until("shop.example/own", |came| came.status == 200 && came.headers["x-from"] == "web").await;
    let seen = next(&mut at_web).await.to_lowercase();
    assert!(seen.starts_with("get /there http/1.1\r\n"), "{seen}");
    for header in ["x-all: all", "x-own: own", "host: inside.example"] {
        assert!(seen.contains(&format!("\r\n{header}\r\n")), "{header}: {seen}");
    }
    let came = ask(house.door, "shop.example/odd", &[]).await;
    assert_eq!((came.status, came.body.trim()), (500, "the backend has a filter that is not carried out here"));
    tasks.cancel();
    house.play.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_longer_than_the_rule_says_is_told_so() {
    let tasks = TaskGroup::new();
    let house = house(&tasks).await;
    let ((web, _at_web), (slow, _at_slow)) = (server(&tasks, true).await, server(&tasks, false).await);
    service(&house, "default", "web", web).await;
    service(&house, "default", "slow", slow).await;
    let to = |path: &str, name: &str, timeouts: Value| json!({"matches": [{"path": {"value": path}}], "backendRefs": [{"name": name, "port": 80}], "timeouts": timeouts});
    let rules = json!([
        to("/request", "slow", json!({"request": "100ms"})),
        to("/backend", "slow", json!({"request": "60s", "backendRequest": "100ms"})),
        to("/fast", "web", json!({"request": "30s", "backendRequest": "30s"})),
        to("/never", "web", json!({"request": "0s"})),
    ]);
    route(&house, rules).await;
    for path in ["fast", "never"] {
        house.until(&format!("shop.example/{path}"), |came| came.status == 200).await;
    }
    for path in ["request", "backend"] {
        let late = ask(house.door, &format!("shop.example/{path}"), &[]).await;
        assert_eq!((late.status, late.body.trim()), (504, "no answer began within 100 ms"), "{path}");
    }
    tasks.cancel();
    house.play.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_another_namespace_needs_a_grant() {
    let tasks = TaskGroup::new();
    let house = house(&tasks).await;
    let (port, _told) = server(&tasks, true).await;
    house.play.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: data}\n").await;
    service(&house, "data", "db", port).await;
    route(&house, json!([{"backendRefs": [{"name": "db", "namespace": "data", "port": 80}]}])).await;
    let says = |reason: &'static str| move |status: &Value| status["parents"][0]["conditions"][1]["reason"] == reason;
    house.status_of("HTTPRoute", "httproutes", "shop", says("RefNotPermitted")).await;
    house.until("shop.example/", |came| came.status == 500).await;
    let from = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}]);
    let spec = json!({"from": from, "to": [{"group": "", "kind": "Service"}]});
    let grants = kube::api::ApiResource {
        group: "gateway.networking.k8s.io".into(),
        version: "v1beta1".into(),
        api_version: "gateway.networking.k8s.io/v1beta1".into(),
        kind: "ReferenceGrant".into(),
        plural: "referencegrants".into(),
    };
    let grants = kube::Api::<kube::api::DynamicObject>::namespaced_with(house.play.client.clone(), "data", &grants);
    let grant = json!({"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
        "metadata": {"name": "routes"}, "spec": spec});
    grants.create(&Default::default(), &into(grant)).await.unwrap();
    house.status_of("HTTPRoute", "httproutes", "shop", says("ResolvedRefs")).await;
    house.until("shop.example/", |came| came.status == 200).await;
    grants.delete("routes", &Default::default()).await.unwrap();
    house.until("shop.example/", |came| came.status == 500).await;
    tasks.cancel();
    house.play.stop().await;
}
