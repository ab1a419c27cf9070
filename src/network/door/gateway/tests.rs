//! Routes attached and refused, and the rules that follow.

use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::network::door::route::{Asked, find};

fn read<T: serde::de::DeserializeOwned>(whole: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(whole).unwrap())
}

/// One class, one Gateway `door` in `infra` with this listener, these routes in `shop` with a Service `web`.
fn objects(listener: Value, routes: &[Value]) -> Objects {
    let mut http = json!({"name": "http", "port": 80, "protocol": "HTTP"});
    json_patch::merge(&mut http, &listener);
    let route = |(at, spec): (usize, &Value)| {
        let mut spec = spec.clone();
        let parents = json!([{"name": "door", "namespace": "infra"}]);
        spec.as_object_mut().unwrap().entry("parentRefs").or_insert(parents);
        read(json!({"metadata": {"name": format!("route-{at}"), "namespace": "shop", "generation": 1}, "spec": spec}))
    };
    Objects {
        classes: vec![read(json!({"metadata": {"name": "tutor"}, "spec": {"controllerName": CONTROLLER}}))],
        gateways: vec![read(json!({"metadata": {"name": "door", "namespace": "infra", "generation": 1},
            "spec": {"gatewayClassName": "tutor", "listeners": [http]}}))],
        routes: routes.iter().enumerate().map(route).collect(),
        services: vec![read(json!({"metadata": {"name": "web", "namespace": "shop"}}))],
        namespaces: vec![read(json!({"metadata": {"name": "shop", "labels": {"team": "shop"}}}))],
        secrets: Vec::new(),
    }
}

fn open() -> Value {
    json!({"allowedRoutes": {"namespaces": {"from": "All"}}})
}

fn simple() -> Value {
    json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]})
}

/// The reasons of a route's conditions: Accepted and ResolvedRefs.
fn reasons(outcome: &Outcome) -> Vec<String> {
    let parents = outcome.http_routes[0].1["parents"].as_array().unwrap();
    let conditions = parents[0]["conditions"].as_array().unwrap();
    conditions
        .iter()
        .map(|it| format!("{} {}", it["status"].as_str().unwrap(), it["reason"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_route_is_attached_and_everybody_is_told() {
    let outcome = objects(open(), &[simple()]).outcome("127.0.0.1");
    assert_eq!(reasons(&outcome), ["True Accepted", "True ResolvedRefs"]);
    let status = &outcome.gateways[0].1;
    assert_eq!(status["addresses"][0]["value"], "127.0.0.1");
    assert_eq!(status["listeners"][0]["attachedRoutes"], 1);
    assert!(status["conditions"].as_array().unwrap().iter().all(|it| it["status"] == "True"), "{status:#}");
    assert_eq!(outcome.routes.len(), 1);
}

#[test]
fn a_listener_without_its_certificate_says_so() {
    let mut https = open();
    https["protocol"] = json!("HTTPS");
    https["tls"] = json!({"certificateRefs": [{"name": "gone"}]});
    let outcome = objects(https, &[simple()]).outcome("127.0.0.1");
    let conditions = outcome.gateways[0].1["listeners"][0]["conditions"].as_array().unwrap();
    let refs = conditions.iter().find(|it| it["type"] == "ResolvedRefs").unwrap();
    assert_eq!((&refs["status"], &refs["reason"]), (&json!("False"), &json!("InvalidCertificateRef")));
    assert!(outcome.certificates.is_empty());
}

#[test]
fn a_route_that_cannot_be_attached_is_told_why() {
    let mut elsewhere = simple();
    elsewhere["parentRefs"] = json!([{"name": "door", "namespace": "infra", "sectionName": "other"}]);
    let mut host = simple();
    host["hostnames"] = json!(["a.example.org"]);
    let mut own_host = open();
    own_host["hostname"] = json!("*.example.com");
    let selector = |team: &str| json!({"allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": team}}}}});
    for (listener, route, reason) in [
        (json!({}), simple(), "False NotAllowedByListeners"),
        (selector("bank"), simple(), "False NotAllowedByListeners"),
        (selector("shop"), simple(), "True Accepted"),
        (open(), elsewhere, "False NoMatchingParent"),
        (own_host, host, "False NoMatchingListenerHostname"),
    ] {
        let outcome = objects(listener.clone(), &[route]).outcome("127.0.0.1");
        assert_eq!(reasons(&outcome)[0], reason, "{listener}");
        assert_eq!(outcome.routes.is_empty(), reason.starts_with("False"));
    }
}

#[test]
fn a_backend_that_is_not_there_fails_its_share() {
    for (backend, reason) in [
        (json!({"name": "gone", "port": 80}), "False BackendNotFound"),
        (json!({"name": "web", "port": 80, "namespace": "infra"}), "False RefNotPermitted"),
        (json!({"name": "web", "kind": "Bucket", "group": "example.com"}), "False InvalidKind"),
    ] {
        let refs = json!({"rules": [{"backendRefs": [{"name": "web", "port": 80, "weight": 9}, backend]}]});
        let outcome = objects(open(), &[refs]).outcome("127.0.0.1");
        assert_eq!(reasons(&outcome), ["True Accepted", reason]);
        let weights: Vec<_> =
            outcome.routes[0].then.backends.iter().map(|it| (it.service.is_some(), it.weight)).collect();
        assert_eq!(weights, [(true, 9), (false, 1)]);
    }
}

#[test]
fn hosts_are_what_listener_and_route_have_in_common() {
    let hosts = |own: Option<&str>, route: &[&str]| {
        let listener = Listener { hostname: own.map(str::to_owned), ..Listener::default() };
        common(&listener, &route.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    let exact = |name: &str| Host::Exact(name.to_owned());
    assert_eq!(hosts(None, &[]), Some(vec![]));
    assert_eq!(hosts(Some("a.com"), &[]), Some(vec![exact("a.com")]));
    assert_eq!(hosts(Some("*.a.com"), &["x.a.com", "b.com"]), Some(vec![exact("x.a.com")]));
    assert_eq!(hosts(Some("x.a.com"), &["*.a.com"]), Some(vec![exact("x.a.com")]));
    assert_eq!(hosts(Some("a.com"), &["b.com"]), None);
}

#[test]
fn matches_choose_between_rules() {
    let rules = json!([
        {"matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}], "backendRefs": [{"name": "web", "port": 2}]},
        {"matches": [{"headers": [{"name": "Canary", "value": "yes"}]}], "backendRefs": [{"name": "web", "port": 3}]},
        {"backendRefs": [{"name": "web", "port": 1}]},
    ]);
    let outcome = objects(open(), &[json!({"rules": rules})]).outcome("127.0.0.1");
    let mut headers = HeaderMap::new();
    let port = |path: &str, headers: &HeaderMap| {
        let asked = Asked { host: "x", path, method: "GET", query: "", headers };
        find(&outcome.routes, &asked).unwrap().then.backends[0].service.clone().unwrap().1
    };
    assert_eq!(port("/", &headers), Port::Number(1));
    assert_eq!(port("/v2/x", &headers), Port::Number(2));
    headers.insert("canary", "yes".parse().unwrap());
    assert_eq!(port("/", &headers), Port::Number(3));
}
