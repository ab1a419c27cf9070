//! Groups and versions that another server answers for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use crate::backend::{self, Backend, Seen};
use crate::harness::{Playground, condition};

const GROUP: &str = "/apis/weather.example.com/v1";

/// A server of one kind: cities.
fn weather(seen: &Seen) -> Response<http_body_util::Full<bytes::Bytes>> {
    match seen.target.split('?').next().unwrap() {
        "/apis/weather.example.com/v1" => backend::json(
            200,
            &json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "weather.example.com/v1",
                "resources": [{"name": "cities", "singularName": "city", "namespaced": true, "kind": "City",
                    "verbs": ["get", "list"], "shortNames": ["ct"]}]}),
        ),
        "/openapi/v3/apis/weather.example.com/v1" => {
            backend::json(200, &json!({"openapi": "3.0.0", "info": {"title": "weather"}}))
        }
        "/openapi/v2" => backend::json(
            200,
            &json!({"swagger": "2.0", "paths": {"/apis/weather.example.com/v1/cities": {}, "/apis": {}},
                "definitions": {"com.example.City": {"type": "object"}}}),
        ),
        path if path.starts_with(GROUP) => {
            let mut answer = backend::json(418, &json!({"kind": "City", "asked": seen.method}));
            answer.headers_mut().insert("x-weather", "rain".parse().unwrap());
            answer
        }
        _ => backend::json(404, &json!({})),
    }
}

/// Status, headers and body of an answer.
async fn ask(play: &Playground, request: http::request::Builder, body: &str) -> (http::response::Parts, String) {
    let request: Request<Body> = request.body(Body::from(body.as_bytes().to_vec())).unwrap();
    let (parts, body) = play.client.send(request).await.unwrap().into_parts();
    (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

async fn read(play: &Playground, path: &str, accept: &str) -> Value {
    let (_, body) = ask(play, Request::get(path).header("accept", accept), "").await;
    serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"))
}

fn service(port: u16, bundle: &str) -> String {
    format!(
        "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata:\n  name: v1.weather.example.com\nspec:\n  \
         group: weather.example.com\n  version: v1\n  groupPriorityMinimum: 17900\n  versionPriority: 10\n  \
         caBundle: {}\n  service:\n    namespace: default\n    name: weather\n    port: {port}\n",
        STANDARD.encode(bundle)
    )
}

const EXTERNAL: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: weather\nspec:\n  type: ExternalName\n  externalName: localhost\n";

fn available(status: &'static str, reason: &'static str) -> impl Fn(&Value) -> bool {
    move |service| condition("Available", status)(service) && service["status"]["conditions"][0]["reason"] == reason
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_an_aggregated_group_go_to_its_server_with_who_asks() {
    let play = Playground::simulated().nodes(0).in_real_time().start().await;
    let known = play.get("kube-system/configmap/extension-apiserver-authentication").await.unwrap()["data"].clone();
    assert_eq!(known["requestheader-allowed-names"], "[\"front-proxy-client\"]");
    let front_proxy = known["requestheader-client-ca-file"].as_str().unwrap();
    let backend = Backend::start("weather.default.svc", Some(front_proxy), weather).await;

    play.apply(&service(backend.port, &backend.certificate)).await;
    let missing = play.expect("apiservice/v1.weather.example.com", available("False", "ServiceNotFound")).await;
    let words = &missing["status"]["conditions"][0]["message"];
    assert_eq!(words, "service/weather in \"default\" is not present");
    let (parts, body) = ask(&play, Request::get(format!("{GROUP}/cities")), "").await;
    assert_eq!((parts.status.as_u16(), &*body), (503, "service unavailable\n"));
    let stale = read(&play, "/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").await;
    let of = |list: &Value| {
        let items = list["items"].as_array().unwrap();
        items.iter().find(|group| group["metadata"]["name"] == "weather.example.com").unwrap()["versions"][0].clone()
    };
    assert_eq!(of(&stale), json!({"version": "v1", "freshness": "Stale"}));

    play.apply(EXTERNAL).await;
    play.expect("apiservice/v1.weather.example.com", available("True", "Passed")).await;

    let path = format!("{GROUP}/namespaces/default/cities/oslo?pretty=1&x=a%20b");
    let request = Request::post(&path)
        .header("authorization", "Bearer secret")
        .header("impersonate-user", "jane")
        .header("impersonate-group", "system:masters")
        .header("impersonate-extra-scopes", "all")
        .header("x-remote-user", "root")
        .header("content-type", "text/plain");
    let (parts, body) = ask(&play, request, "a body").await;
    assert_eq!((parts.status.as_u16(), &*body), (418, "{\"kind\":\"City\",\"asked\":\"POST\"}"));
    assert_eq!(parts.headers["x-weather"], "rain");
    let seen = backend.seen(&path).pop().unwrap();
    assert_eq!((seen.client.as_deref(), &*seen.body), (Some("front-proxy-client"), &b"a body"[..]));
    assert_eq!(seen.header("x-remote-user"), ["jane"]);
    assert_eq!(seen.header("x-remote-group"), ["system:masters", "system:authenticated"]);
    assert_eq!(seen.header("x-remote-extra-scopes"), ["all"]);
    assert_eq!(seen.header("content-type"), ["text/plain"]);
    assert!(seen.header("authorization").is_empty() && seen.header("impersonate-user").is_empty());
    let check = backend.seen(GROUP).swap_remove(0);
    assert_eq!(check.header("x-remote-user"), ["system:kube-aggregator"]);

    // Discovery knows the group, in its place: under the core groups, over those of low priority.
    let groups = read(&play, "/apis", "application/json").await;
    let names: Vec<&str> = groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    let at = |name: &str| names.iter().position(|own| *own == name).unwrap();
    assert!(at("apiregistration.k8s.io") == 0 && at("weather.example.com") < at("apps"), "{names:?}");
    let group = read(&play, "/apis/weather.example.com", "application/json").await;
    assert_eq!(group["preferredVersion"]["groupVersion"], "weather.example.com/v1");
    let list = read(&play, GROUP, "application/json").await;
    assert_eq!(list["resources"][0]["name"], "cities");
    let current = read(&play, "/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").await;
    assert_eq!(
        of(&current),
        json!({"version": "v1", "freshness": "Current", "resources": [{"resource": "cities",
            "responseKind": {"group": "", "version": "", "kind": "City"}, "scope": "Namespaced",
            "singularResource": "city", "verbs": ["get", "list"], "shortNames": ["ct"]}]})
    );
    let index = read(&play, "/openapi/v3", "application/json").await;
    let url = index["paths"]["apis/weather.example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    assert_eq!(read(&play, url, "application/json").await["info"]["title"], "weather");
    let swagger = read(&play, "/openapi/v2", "application/json").await;
    assert!(swagger["paths"]["/apis/weather.example.com/v1/cities"].is_object());
    assert!(swagger["definitions"]["com.example.City"].is_object());

    play.delete("apiservice/v1.weather.example.com").await;
    play.expect_gone("apiservice/v1.weather.example.com").await;
    // Discovery follows: the group is gone soon after.
    while read(&play, "/apis", "application/json").await.to_string().contains("weather.example.com") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_vouches_for_is_not_asked() {
    let play = Playground::simulated().nodes(0).in_real_time().start().await;
    let backend = Backend::start("weather.default.svc", None, weather).await;
    let other = rcgen::generate_simple_self_signed(["other".to_string()]).unwrap().cert.pem();
    play.apply(EXTERNAL).await;
    play.apply(&service(backend.port, &other)).await;
    let failed = play.expect("apiservice/v1.weather.example.com", available("False", "FailedDiscoveryCheck")).await;
    let url = format!("https://localhost:{}{GROUP}", backend.port);
    assert_eq!(
        failed["status"]["conditions"][0]["message"],
        format!(
            "failing or missing response from {url}: Get {url:?}: tls: failed to verify certificate: x509: certificate \
             signed by unknown authority"
        )
    );
    assert!(backend.seen("/").is_empty());
}

#[tokio::test(start_paused = true)]
async fn custom_groups_are_registered_while_they_are_served() {
    let play = Playground::simulated().nodes(0).start().await;
    play.apply(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: things.example.com\n\
         spec:\n  group: example.com\n  scope: Cluster\n  names: {plural: things, kind: Thing}\n  versions:\n  - name: v1\n    \
         served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object}}\n",
    )
    .await;
    let service = play.expect("apiservice/v1.example.com", available("True", "Local")).await;
    assert_eq!(service["spec"]["groupPriorityMinimum"], 1000);
    assert_eq!(service["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "true");
    play.delete("customresourcedefinition/things.example.com").await;
    play.expect_gone("apiservice/v1.example.com").await;
}
