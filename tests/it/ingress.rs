//! The door: Ingresses and HTTPRoutes as a browser meets them, on simulated nodes.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::harness::{Playground, into};

const PATIENCE: Duration = Duration::from_secs(150);

/// A playground with a door.
pub struct House {
    pub play: Playground,
    pub door: SocketAddr,
}

/// What came back.
#[derive(Debug)]
pub struct Came {
    pub status: u16,
    pub location: String,
    pub headers: http::HeaderMap,
    pub body: String,
}

/// Asks a door for `host/path` with these headers.
pub async fn ask(door: SocketAddr, url: &str, headers: &[(&str, &str)]) -> Came {
    let (host, path) = url.split_once('/').unwrap();
    let mut request = http::Request::get(format!("http://{door}/{path}")).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let answer = tokio::time::timeout(PATIENCE, client.request(request.body(Empty::new()).unwrap()));
    let answer = answer.await.expect("the door answers in time").unwrap();
    let (parts, body) = answer.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let location = parts.headers.get("location").map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default();
    Came { status: parts.status.as_u16(), location, headers: parts.headers, body }
}

/// Asks until the answer is as wanted.
pub async fn ask_until(door: SocketAddr, url: &str, headers: &[(&str, &str)], wanted: impl Fn(&Came) -> bool) -> Came {
    let mut last = None;
    let asked = async {
        loop {
            let came = ask(door, url, headers).await;
            if wanted(&came) {
                return came;
            }
            last = Some(came);
        }
    };
    let done = tokio::time::timeout(PATIENCE, asked).await;
    done.unwrap_or_else(|_| panic!("{url} is never answered as wanted: {last:?}"))
}

impl House {
    async fn open() -> House {
        let play = Playground::simulated().nodes(2).in_real_time().start().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = play.cluster.serve_ingress(listener).unwrap();
        play.expect("ingressclass/tutor", |class| class["metadata"]["annotations"].is_null()).await;
        tutor::cluster::install_gateway_api(&play.client, tutor::clock::Clock::real()).await.unwrap();
        for name in ["front", "api", "canary"] {
            play.apply(&web(name)).await;
            play.expect(&format!("deployment/{name}"), |it| it["status"]["readyReplicas"] == 1).await;
        }
        House { play, door }
    }

    pub async fn until(&self, url: &str, wanted: impl Fn(&Came) -> bool) -> Came {
        ask_until(self.door, url, &[], wanted).await
    }

    pub async fn create(&self, kind: &str, plural: &str, object: Value) {
        let resource = kube::api::ApiResource {
            group: "gateway.networking.k8s.io".into(),
            version: "v1".into(),
            api_version: "gateway.networking.k8s.io/v1".into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        let mut object = object;
        object["apiVersion"] = json!("gateway.networking.k8s.io/v1");
        object["kind"] = json!(kind);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let api = kube::Api::<kube::api::DynamicObject>::default_namespaced_with(self.play.client.clone(), &resource);
        let apply = async {
            // The kinds come a moment after the door.
            let parameters = kube::api::PatchParams::apply("test").force();
            loop {
                let object: kube::api::DynamicObject = into(object.clone());
                match api.patch(&name, &parameters, &kube::api::Patch::Apply(&object)).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => tokio::task::yield_now().await,
                    applied => return applied.unwrap(),
                }
            }
        };
        tokio::time::timeout(PATIENCE, apply).await.expect("Gateway API is served in time");
    }

    pub async fn status_of(&self, kind: &str, plural: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let resource = kube::api::ApiResource {
            group: "gateway.networking.k8s.io".into(),
            version: "v1".into(),
            api_version: "gateway.networking.k8s.io/v1".into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        let api = kube::Api::<kube::api::DynamicObject>::default_namespaced_with(self.play.client.clone(), &resource);
        let asked = async {
            loop {
                let object = api.get(name).await.unwrap();
                if wanted(&object.data["status"]) {
                    return object.data["status"].clone();
                }
            }
        };
        let done = tokio::time::timeout(PATIENCE, asked).await;
        match done {
            Ok(status) => status,
            Err(_) => panic!("{name} never has the status wanted: {:#}", api.get(name).await.unwrap().data["status"]),
        }
    }
}

fn web(name: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: web, image: 'tutor/web:1', ports: [{{name: http, containerPort: 80}}]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: web, port: 8080, targetPort: 80}}]}}
"
    )
}

fn from(name: &'static str) -> impl Fn(&Came) -> bool {
    move |came| came.status == 200 && came.body.contains(&format!(" {name}-"))
}

/// The answer is of one of this status.
fn status(status: u16) -> impl Fn(&Came) -> bool {
    move |came| came.status == status
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_leads_hosts_and_paths_to_services() {
    let house = House::open().await;
    let nobody = house.until("shop.example/", status(404)).await;
    assert!(nobody.body.contains("no Ingress"), "{nobody:?}");
    house
        .play
        .apply(
            "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  defaultBackend: {service: {name: canary, port: {name: web}}}
  rules:
    - host: shop.example
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: front, port: {number: 8080}}}}
          - {path: /healthz, pathType: Exact, backend: {service: {name: api, port: {name: web}}}}
          - {path: /gone, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}
",
        )
        .await;
    let shop =
        house.play.expect("ingress/shop", |it| it["status"]["loadBalancer"]["ingress"][0]["ip"] == "127.0.0.1").await;
    assert!(shop["spec"]["ingressClassName"].is_null(), "it is served, and stays as it was written");
    house.until("shop.example/", from("front")).await;
    house.until("shop.example:8080/", from("front")).await;
    house.until("shop.example/healthz", from("api")).await;
    house.until("shop.example/healthz/x", from("front")).await;
    house.until("other.example/", from("canary")).await;
    let gone = house.until("shop.example/gone/x", status(503)).await;
    assert!(gone.body.contains("default/gone"), "{gone:?}");
    house
        .play
        .api("deployment", "default")
        .patch("front", &Default::default(), &kube::api::Patch::Merge(json!({"spec": {"replicas": 0}})))
        .await
        .unwrap();
    house.until("shop.example/", status(503)).await;
    house.play.delete("ingress/shop").await;
    house.until("shop.example/", status(404)).await;
    house.play.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_route_chooses_by_weight_header_and_path() {
    let house = House::open().await;
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example"}]);
    house
        .create(
            "Gateway",
            "gateways",
            json!({"metadata": {"name": "door"}, "spec": {"gatewayClassName": "tutor", "listeners": listeners}}),
        )
        .await;
    let to = |name: &str, weight: u32| json!({"name": name, "port": 8080, "weight": weight});
    let moved = json!([{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "hostname": "new.example", "statusCode": 301}}]);
    let stripped = json!([
        {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "X-By", "value": "door"}]}},
    ]);
    let rules = json!([
        {"matches": [{"path": {"type": "Exact", "value": "/old"}}], "filters": moved},
        {"matches": [{"path": {"value": "/api"}}], "filters": stripped, "backendRefs": [to("api", 1)]},
        {"matches": [{"headers": [{"name": "canary", "value": "yes"}]}], "backendRefs": [to("canary", 1)]},
        {"backendRefs": [to("front", 1), to("canary", 1)]},
    ]);
    let route = json!({"metadata": {"name": "shop"},
        "spec": {"parentRefs": [{"name": "door"}], "hostnames": ["shop.example"], "rules": rules}});
    house.create("HTTPRoute", "httproutes", route.clone()).await;
    let accepted = |parent: &Value| {
        let conditions = parent["conditions"].as_array().into_iter().flatten();
        conditions
            .map(|it| format!("{}={}", it["type"].as_str().unwrap(), it["status"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    house
        .status_of("HTTPRoute", "httproutes", "shop", |status| {
            accepted(&status["parents"][0]) == ["Accepted=True", "ResolvedRefs=True"]
        })
        .await;
    house
        .status_of("Gateway", "gateways", "door", |status| {
            accepted(status) == ["Accepted=True", "Programmed=True"]
                && status["addresses"][0]["value"] == "127.0.0.1"
                && status["listeners"][0]["attachedRoutes"] == 1
        })
        .await;
    for name in ["front", "canary"] {
        house.until("shop.example/", from(name)).await;
    }
    for _ in 0..10 {
        let came = ask(house.door, "shop.example/", &[("Canary", "yes")]).await;
        assert!(from("canary")(&came), "{came:?}");
    }
    // The Pod is asked for what follows the prefix, and answers so.
    let api = house.until("shop.example/api/status/418", status(418)).await;
    assert_eq!(api.headers["x-by"], "door");
    let old = ask(house.door, "shop.example/old", &[]).await;
    assert_eq!((old.status, &*old.location), (301, "https://new.example/old"));
    assert_eq!(ask(house.door, "shop.other/", &[]).await.status, 404);

    let mut broken = route;
    broken["spec"]["rules"] = json!([{"backendRefs": [to("nobody", 1)]}]);
    house.create("HTTPRoute", "httproutes", broken).await;
    let told = house
        .status_of("HTTPRoute", "httproutes", "shop", |status| {
            accepted(&status["parents"][0]) == ["Accepted=True", "ResolvedRefs=False"]
        })
        .await;
    assert_eq!(told["parents"][0]["conditions"][1]["reason"], "BackendNotFound");
    house.until("shop.example/", status(500)).await;
    house.play.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_port_speaks_tls_with_the_certificate_of_a_secret() {
    let house = House::open().await;
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["shop.example".into()]).unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-tls"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": cert.pem(), "tls.key": signing_key.serialize_pem()}});
    house.play.api("secret", "default").create(&Default::default(), &into(secret)).await.unwrap();
    house
        .play
        .apply(
            "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  tls: [{hosts: [shop.example], secretName: shop-tls}]
  defaultBackend: {service: {name: front, port: {name: web}}}
",
        )
        .await;
    house.until("shop.example/", from("front")).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let greeted = async {
        loop {
            let stream = tokio::net::TcpStream::connect(house.door).await.unwrap();
            if let Ok(stream) = connector.connect("shop.example".try_into().unwrap(), stream).await {
                return stream;
            }
        }
    };
    let stream = tokio::time::timeout(PATIENCE, greeted).await.expect("the door greets with the Secret's certificate");
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let ask = async {
        let request =
            http::Request::get("/").header("host", "shop.example").body(Empty::<bytes::Bytes>::new()).unwrap();
        sender.send_request(request).await.unwrap().status().as_u16()
    };
    let status = tokio::select! {
        status = ask => status,
        _ = connection => panic!("the connection ended before its answer"),
    };
    assert_eq!(status, 200);
    let stranger = tokio::net::TcpStream::connect(house.door).await.unwrap();
    assert!(connector.connect("other.example".try_into().unwrap(), stranger).await.is_err(), "it has no certificate");
    house.play.stop().await;
}
