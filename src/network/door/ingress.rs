//! Ingresses as rules.
//!
//! In: Ingresses and the classes there are. Out: a [`Route`] for each path. Pure. Only those of a class that names this
//! controller count, and those of no class. Source: networking.k8s.io/v1 Ingress. Chapter: `book/src/inside/network.md`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressClass};

use super::route::{Backend, Host, Path, Port, Route, Then, When};
use crate::client::ObjectKey;

/// What a class calls this program.
pub const CONTROLLER: &str = "tutor.dev/ingress";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The Ingresses that are this program's.
pub fn ours(all: &[Arc<Ingress>], classes: &[Arc<IngressClass>]) -> Vec<Arc<Ingress>> {
    let named = |name: &str| {
        let class = classes.iter().find(|class| class.metadata.name.as_deref() == Some(name));
        class.and_then(|class| class.spec.as_ref()?.controller.as_deref()) == Some(CONTROLLER)
    };
    let is_ours = |ingress: &&Arc<Ingress>| {
        let annotation = ingress.metadata.annotations.as_ref().and_then(|all| all.get(CLASS_ANNOTATION));
        let class = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref()).or(annotation);
        class.is_none_or(|name| named(name))
    };
    all.iter().filter(is_ours).cloned().collect()
}

/// Their rules.
pub fn routes(all: &[Arc<Ingress>]) -> Vec<Route> {
    all.iter().flat_map(|ingress| of(ingress)).collect()
}

/// Whether an Ingress leads to a Service that is there: before that it has no address to tell.
pub fn leads(ingress: &Ingress, services: &[Arc<Service>]) -> bool {
    let there = |key: &ObjectKey| services.iter().any(|service| ObjectKey::of(&service.metadata) == *key);
    of(ingress)
        .iter()
        .flat_map(|route| &route.then.backends)
        .any(|backend| backend.service.as_ref().is_some_and(|(key, _)| there(key)))
}

fn of(ingress: &Ingress) -> Vec<Route> {
    let Some(spec) = &ingress.spec else { return Vec::new() };
    let key = ObjectKey::of(&ingress.metadata);
    let age = (ingress.metadata.creation_timestamp.as_ref().map(|time| time.0), key.to_string());
    let route = |when: When, backend: Option<&IngressBackend>| {
        let service = backend.and_then(|backend| service(&key.namespace, backend));
        let then = Then { backends: vec![Backend { service, weight: 1, ..Backend::default() }], ..Then::default() };
        Route { when, then, age: age.clone() }
    };
    let mut routes: Vec<Route> = Vec::new();
    if let Some(backend) = &spec.default_backend {
        routes.push(route(When { fallback: true, ..When::any() }, Some(backend)));
    }
    for rule in spec.rules.iter().flatten() {
        let hosts: Vec<Host> =
            rule.host.iter().filter(|host| !host.is_empty()).map(|host| Host::of_ingress(host)).collect();
        let Some(http) = &rule.http else {
            // A host without paths is for the default.
            routes.push(route(When { hosts, ..When::any() }, spec.default_backend.as_ref()));
            continue;
        };
        for path in &http.paths {
            let wanted = path.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
            let wanted = match &*path.path_type {
                "Exact" => Path::Exact(wanted),
                _ => Path::Prefix(wanted),
            };
            routes.push(route(When { hosts: hosts.clone(), path: wanted, ..When::any() }, Some(&path.backend)));
        }
    }
    routes
}

fn service(namespace: &str, backend: &IngressBackend) -> Option<(ObjectKey, Port)> {
    let service = backend.service.as_ref()?;
    let port = service.port.as_ref()?;
    let port = match (&port.name, port.number) {
        (Some(name), _) if !name.is_empty() => Port::Name(name.clone()),
        (_, Some(number)) => Port::Number(number),
        _ => return None,
    };
    Some((ObjectKey::new(namespace, &service.name), port))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::{Value, json};

    use super::*;
    use crate::network::door::route::{Asked, find};

    fn ingress(name: &str, spec: Value) -> Arc<Ingress> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec})).unwrap(),
        )
    }

    fn to(service: &str) -> Value {
        json!({"service": {"name": service, "port": {"number": 80}}})
    }

    #[test]
    fn a_path_leads_to_its_service_and_the_rest_to_the_default() {
        let paths = json!([
            {"path": "/", "pathType": "Prefix", "backend": to("front")},
            {"path": "/cart", "pathType": "Exact", "backend": to("cart")},
            {"path": "/api", "pathType": "ImplementationSpecific", "backend": to("api")},
        ]);
        let rules = json!([{"host": "shop.example", "http": {"paths": paths}}]);
        let routes = routes(&[ingress("shop", json!({"defaultBackend": to("sorry"), "rules": rules}))]);
        let headers = HeaderMap::new();
        for (host, path, wanted) in [
            ("shop.example", "/x", "front"),
            ("shop.example", "/cart", "cart"),
            ("shop.example", "/cart/1", "front"),
            ("shop.example", "/api/v1", "api"),
            ("other.example", "/api", "sorry"),
        ] {
            let asked = Asked { host, path, method: "GET", query: "", headers: &headers };
            let then = &find(&routes, &asked).unwrap().then;
            let (service, port) = then.backends[0].service.clone().unwrap();
            assert_eq!((&*service.name, &*service.namespace, port), (wanted, "shop", Port::Number(80)), "{host}{path}");
        }
    }

    #[test]
    fn other_controllers_ingresses_are_left_alone() {
        let class = |name: &str, controller: &str| -> Arc<IngressClass> {
            let whole = json!({"metadata": {"name": name}, "spec": {"controller": controller}});
            Arc::new(serde_json::from_value(whole).unwrap())
        };
        let classes = [class("tutor", CONTROLLER), class("nginx", "k8s.io/ingress-nginx")];
        let of_class = |name: &str| ingress(name, json!({"ingressClassName": name, "defaultBackend": to("x")}));
        let all = [of_class("tutor"), of_class("nginx"), of_class("missing"), ingress("none", json!({}))];
        let names: Vec<_> = ours(&all, &classes).iter().filter_map(|it| it.metadata.name.clone()).collect();
        assert_eq!(names, ["tutor", "none"]);
    }
}
