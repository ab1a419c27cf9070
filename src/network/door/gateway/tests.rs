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
        grants: Vec::new(),
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

#[test]
fn a_service_of_another_namespace_answers_where_a_grant_permits() {
    let away = |rules: Value| json!({"rules": rules});
    let direct = away(json!([{"backendRefs": [{"name": "db", "namespace": "data", "port": 80}]}]));
    let mirror = json!([{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "db", "namespace": "data", "port": 80}}}]);
    let mirrored = away(json!([{"backendRefs": [{"name": "web", "port": 80}], "filters": mirror}]));
    for route in [direct, mirrored] {
        let mut all = objects(open(), &[route]);
        all.services.push(read(json!({"metadata": {"name": "db", "namespace": "data"}})));
        assert_eq!(reasons(&all.outcome("127.0.0.1")), ["True Accepted", "False RefNotPermitted"]);
        let from = json!([{"group": GROUP, "kind": "HTTPRoute", "namespace": "shop"}]);
        let to = json!([{"group": "", "kind": "Service", "name": "db"}]);
        all.grants
            .push(read(json!({"metadata": {"name": "g", "namespace": "data"}, "spec": {"from": from, "to": to}})));
        let outcome = all.outcome("127.0.0.1");
        assert_eq!(reasons(&outcome), ["True Accepted", "True ResolvedRefs"]);
        let then = &outcome.routes[0].then;
        let used = then.backends.iter().chain(then.mirrors.iter().map(|(backend, _)| backend));
        let names: Vec<_> = used.filter_map(|it| it.service.as_ref()).map(|(key, _)| key.to_string()).collect();
        assert!(names.contains(&"data/db".to_owned()), "{names:?}");
    }
}

#[test]
fn a_filter_that_is_not_carried_out_is_never_left_out_in_silence() {
    let odd = json!({"filters": [{"type": "ExtensionRef"}], "backendRefs": [{"name": "web", "port": 80}]});
    let outcome = objects(open(), &[json!({"rules": [odd.clone()]})]).outcome("127.0.0.1");
    assert_eq!(reasons(&outcome), ["False UnsupportedValue", "True ResolvedRefs"]);
    assert!(outcome.routes[0].then.fault.is_some(), "its requests are answered with 500");
    let of_backend = json!({"backendRefs": [{"name": "web", "port": 80, "filters": [{"type": "RequestMirror"}]}]});
    let outcome = objects(open(), &[json!({"rules": [of_backend]})]).outcome("127.0.0.1");
    assert_eq!(reasons(&outcome), ["False UnsupportedValue", "True ResolvedRefs"]);
    assert!(outcome.routes[0].then.backends[0].fault.is_some(), "and that of a single backend, too");
    let good = json!({"matches": [{"path": {"value": "/good"}}], "backendRefs": [{"name": "web", "port": 80}]});
    let outcome = objects(open(), &[json!({"rules": [odd, good]})]).outcome("127.0.0.1");
    assert_eq!(reasons(&outcome), ["True Accepted", "True ResolvedRefs", "True UnsupportedValue"]);
    assert_eq!(outcome.routes.iter().filter(|route| route.then.fault.is_some()).count(), 1);
}

#[test]
fn a_rule_has_limits_and_mirrors() {
    let mirror = |share: Value| {
        let mut mirror = json!({"backendRef": {"name": "web", "port": 80}});
        json_patch::merge(&mut mirror, &share);
        json!({"type": "RequestMirror", "requestMirror": mirror})
    };
    let filters = [
        mirror(json!({})),
        mirror(json!({"percent": 20})),
        mirror(json!({"fraction": {"numerator": 1, "denominator": 3}})),
    ];
    let rule = json!({"filters": filters, "backendRefs": [{"name": "web", "port": 80}],
        "timeouts": {"request": "1m30s", "backendRequest": "0s"}, "retry": {"codes": [503], "backoff": "2s"}});
    let outcome = objects(open(), &[json!({"rules": [rule]})]).outcome("127.0.0.1");
    let then = &outcome.routes[0].then;
    let shares: Vec<_> = then.mirrors.iter().map(|(_, share)| (share.of, share.all)).collect();
    assert_eq!(shares, [(1, 1), (20, 100), (1, 3)]);
    let retry = then.retry.as_ref().unwrap();
    assert_eq!((&retry.codes[..], retry.attempts, retry.backoff.as_secs()), (&[503][..], 1, 2));
    assert_eq!((then.request_limit, then.backend_limit), (Some(std::time::Duration::from_secs(90)), None));
}
