//! Gateways and HTTPRoutes: which route is attached to which listener, and the rules that follow.
//!
//! In: GatewayClasses, Gateways, HTTPRoutes, and the Services and namespaces they speak of. Out: [`Route`]s, and for each
//! object the status that tells its author what came of it. Pure. All listeners are behind the one port of
//! this computer, whatever port they name. A Service or Secret of another namespace is refused, unless a
//! ReferenceGrant there permits it. Source: gateway.networking.k8s.io/v1. Chapter: `book/src/inside/network.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};

use super::grants::{self, Kind};
use super::http_route;
use super::objects::{
    BackendRef, GatewayClassView, GatewayView, HttpRouteView, Listener, ParentRef, ReferenceGrantView, Rule,
};
use super::route::{Backend, Host, Port, Route};
use super::tls;
use crate::api::selector::LabelSelector;
use crate::client::ObjectKey;

/// What a class calls this program.
pub const CONTROLLER: &str = "tutor.dev/gateway";
/// The group of all these kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// The objects there are.
pub struct Objects {
    /// All classes.
    pub classes: Vec<Arc<GatewayClassView>>,
    /// All Gateways.
    pub gateways: Vec<Arc<GatewayView>>,
    /// All routes.
    pub routes: Vec<Arc<HttpRouteView>>,
    /// All ReferenceGrants.
    pub grants: Vec<Arc<ReferenceGrantView>>,
    /// All Services.
    pub services: Vec<Arc<Service>>,
    /// All namespaces.
    pub namespaces: Vec<Arc<Namespace>>,
    /// The Secrets that hold certificates.
    pub secrets: Vec<Arc<Secret>>,
}

/// What comes of them.
#[derive(Default)]
pub struct Outcome {
    /// The rules.
    pub routes: Vec<Route>,
    /// What the classes' status should say; conditions have no times yet.
    pub classes: Vec<(ObjectKey, Value)>,
    /// The Gateways'.
    pub gateways: Vec<(ObjectKey, Value)>,
    /// The routes'.
    pub http_routes: Vec<(ObjectKey, Value)>,
    /// The certificates of listeners.
    pub certificates: Vec<tls::Named>,
}

/// A condition without its time.
fn condition(kind: &str, fault: Option<(&str, &str)>, good: &str, generation: Option<i64>) -> Value {
    let (status, reason, message) = match fault {
        None => ("True", good, ""),
        Some((reason, message)) => ("False", reason, message),
    };
    json!({"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation})
}

/// A listener that takes a route, by its name, and the hosts that both mean; none: all.
type Met = (String, Vec<Host>);

impl Objects {
    /// Works out what comes of them, with Gateways at `address`.
    pub fn outcome(&self, address: &str) -> Outcome {
        let mut outcome = Outcome::default();
        let ours: Vec<&str> = self
            .classes
            .iter()
            .filter(|class| class.spec.controller_name == CONTROLLER)
            .filter_map(|class| class.metadata.name.as_deref())
            .collect();
        for class in self.classes.iter().filter(|class| class.spec.controller_name == CONTROLLER) {
            let accepted = condition("Accepted", None, "Accepted", class.metadata.generation);
            outcome.classes.push((ObjectKey::of(&class.metadata), json!({"conditions": [accepted]})));
        }
        let gateways: Vec<&GatewayView> = self
            .gateways
            .iter()
            .map(|gateway| &**gateway)
            .filter(|gateway| ours.contains(&&*gateway.spec.gateway_class_name))
            .collect();
        let mut attached: BTreeMap<(ObjectKey, String), u32> = BTreeMap::new();
        for route in &self.routes {
            self.add_route(route, &gateways, &mut attached, &mut outcome);
        }
        for gateway in gateways {
            let key = ObjectKey::of(&gateway.metadata);
            for listener in gateway.spec.listeners.iter().filter(|listener| listener.protocol == "HTTPS") {
                let host = listener.hostname.as_deref().filter(|name| !name.is_empty()).map(Host::of_route);
                outcome.certificates.extend(self.certificate(&key, listener).ok().map(|found| (host, found)));
            }
            let status = self.gateway_status(gateway, &key, &attached, address);
            outcome.gateways.push((key, status));
        }
        outcome
    }

    fn add_route(
        &self,
        route: &HttpRouteView,
        gateways: &[&GatewayView],
        attached: &mut BTreeMap<(ObjectKey, String), u32>,
        outcome: &mut Outcome,
    ) {
        let own = ObjectKey::of(&route.metadata);
        let generation = route.metadata.generation;
        let (mut hosts, mut anywhere, mut parents) = (Vec::new(), false, Vec::new());
        let refs = self.fault_of_refs(&own, &route.spec.rules);
        let (invalid, rules) = (invalid_rules(&route.spec.rules), route.spec.rules.len());
        for parent in &route.spec.parent_refs {
            let Some(gateway) = gateways.iter().find(|gateway| parent.means(&own, gateway)) else { continue };
            let fault = match self.attach(&own, route, parent, gateway) {
                Ok(listeners) => {
                    for (name, found) in listeners {
                        *attached.entry((ObjectKey::of(&gateway.metadata), name)).or_default() += 1;
                        anywhere |= found.is_empty();
                        hosts.extend(found);
                    }
                    None
                }
                Err(fault) => Some(fault),
            };
            let none = (invalid > 0 && invalid == rules).then_some(("UnsupportedValue", UNSUPPORTED));
            let said = refs.as_ref().map(|(reason, message)| (*reason, &**message));
            let mut conditions = vec![
                condition("Accepted", fault.or(none), "Accepted", generation),
                condition("ResolvedRefs", said, "ResolvedRefs", generation),
            ];
            if invalid > 0 && invalid < rules {
                let mut partly = condition("PartiallyInvalid", None, "UnsupportedValue", generation);
                partly["message"] = json!(format!("Dropped Rule: {UNSUPPORTED}"));
                conditions.push(partly);
            }
            parents.push(json!({"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}));
        }
        if anywhere || !hosts.is_empty() {
            let hosts = if anywhere { Vec::new() } else { hosts };
            let age = (route.metadata.creation_timestamp.as_ref().map(|time| time.0), own.to_string());
            let usable = |backend: &BackendRef| self.backend(&own, backend).ok();
            for (when, then) in http_route::of(&route.spec.rules, &hosts, &usable) {
                outcome.routes.push(Route { when, then, age: age.clone() });
            }
        }
        if !parents.is_empty() {
            outcome.http_routes.push((own, json!({"parents": parents})));
        }
    }

    /// The listeners that take a route, with the hosts that both mean (none: all); or why none does.
    fn attach(
        &self,
        own: &ObjectKey,
        route: &HttpRouteView,
        parent: &ParentRef,
        gateway: &GatewayView,
    ) -> Result<Vec<Met>, (&'static str, &'static str)> {
        let there = gateway.metadata.namespace.as_deref().unwrap_or_default();
        let named = |listener: &&Listener| {
            parent.section_name.as_ref().is_none_or(|name| *name == listener.name)
                && parent.port.is_none_or(|port| port == listener.port)
        };
        let listeners: Vec<&Listener> = gateway.spec.listeners.iter().filter(named).collect();
        if listeners.is_empty() {
            return Err(("NoMatchingParent", "the Gateway has no such listener"));
        }
        let usable: Vec<&Listener> = listeners.into_iter().filter(|it| it.fault().is_none()).collect();
        let open: Vec<&Listener> =
            usable.into_iter().filter(|listener| self.lets_in(listener, there, &own.namespace)).collect();
        if open.is_empty() {
            return Err(("NotAllowedByListeners", "no listener takes HTTPRoutes of this namespace"));
        }
        let met: Vec<Met> = open
            .into_iter()
            .filter_map(|listener| Some((listener.name.clone(), common(listener, &route.spec.hostnames)?)))
            .collect();
        if met.is_empty() {
            return Err(("NoMatchingListenerHostname", "no listener has a host that the route has too"));
        }
        Ok(met)
    }

    fn lets_in(&self, listener: &Listener, own: &str, namespace: &str) -> bool {
        let wanted = &listener.allowed_routes.namespaces;
        match wanted.from.as_deref() {
            Some("All") => true,
            Some("Selector") => {
                let found = self.namespaces.iter().find(|it| it.metadata.name.as_deref() == Some(namespace));
                let labels = found.and_then(|found| found.metadata.labels.as_ref());
                let selector = LabelSelector::from_value(&wanted.selector).unwrap_or_else(|_| LabelSelector::nothing());
                selector.matches_with(|key| labels?.get(key).map(String::as_str))
            }
            _ => own == namespace,
        }
    }

    /// The first of a route's backends that cannot be used, and why.
    fn fault_of_refs(&self, own: &ObjectKey, rules: &[Rule]) -> Option<(&'static str, String)> {
        let mirrors = rules.iter().flat_map(|rule| &rule.filters).filter_map(|filter| filter.request_mirror.as_ref());
        let all = rules.iter().flat_map(|rule| &rule.backend_refs);
        let mut all = all.chain(mirrors.map(|mirror| &mirror.backend_ref));
        all.find_map(|backend| self.backend(own, backend).err())
    }

    fn backend(&self, own: &ObjectKey, backend: &BackendRef) -> Result<Backend, (&'static str, String)> {
        if backend.kind.as_deref().is_some_and(|kind| kind != "Service")
            || backend.group.as_deref().is_some_and(|group| !group.is_empty())
        {
            return Err(("InvalidKind", format!("{} is no Service", backend.name)));
        }
        let namespace = backend.namespace.as_deref().unwrap_or(&own.namespace);
        let referred = (Kind::Service, namespace, &*backend.name);
        if !grants::permit(&self.grants, (Kind::HttpRoute, &own.namespace), referred) {
            let why =
                format!("no ReferenceGrant in {namespace} lets HTTPRoutes of {} refer to the Service", own.namespace);
            return Err(("RefNotPermitted", format!("{why} {}", backend.name)));
        }
        let key = ObjectKey::new(namespace, &backend.name);
        let found = self.services.iter().any(|service| ObjectKey::of(&service.metadata) == key);
        match backend.port.filter(|_| found) {
            Some(port) => {
                let weight = backend.weight.unwrap_or(1);
                Ok(Backend { service: Some((key, Port::Number(port.into()))), weight, ..Backend::default() })
            }
            None if found => Err(("BackendNotFound", format!("no port of the Service {} is named", backend.name))),
            None => Err(("BackendNotFound", format!("there is no Service {}", backend.name))),
        }
    }

    /// The certificate of a listener that speaks HTTPS; or why it has none.
    fn certificate(
        &self,
        gateway: &ObjectKey,
        listener: &Listener,
    ) -> Result<Arc<CertifiedKey>, (&'static str, &'static str)> {
        let first = listener.tls.as_ref().and_then(|tls| tls.certificate_refs.first());
        let Some(first) = first else { return Err(("InvalidCertificateRef", "no Secret is named")) };
        let key = ObjectKey::new(first.namespace.as_deref().unwrap_or(&gateway.namespace), &first.name);
        let referred = (Kind::Secret, &*key.namespace, &*key.name);
        if !grants::permit(&self.grants, (Kind::Gateway, &gateway.namespace), referred) {
            return Err(("RefNotPermitted", "no ReferenceGrant lets Gateways of this namespace refer to the Secret"));
        }
        let found = self.secrets.iter().find(|secret| ObjectKey::of(&secret.metadata) == key);
        found.and_then(|secret| tls::read(secret)).ok_or(("InvalidCertificateRef", "the Secret holds no certificate"))
    }

    fn gateway_status(
        &self,
        gateway: &GatewayView,
        key: &ObjectKey,
        attached: &BTreeMap<(ObjectKey, String), u32>,
        address: &str,
    ) -> Value {
        let generation = gateway.metadata.generation;
        let listener = |listener: &Listener| {
            let fault = listener.fault();
            let secret = match &*listener.protocol {
                "HTTPS" => self.certificate(key, listener).err(),
                _ => None,
            };
            let not_programmed = fault.or(secret).map(|(_, why)| ("Invalid", why));
            let routes = attached.get(&(key.clone(), listener.name.clone())).copied().unwrap_or(0);
            json!({"name": listener.name, "attachedRoutes": routes,
            "supportedKinds": [{"group": GROUP, "kind": "HTTPRoute"}],
            "conditions": [
                condition("Accepted", fault, "Accepted", generation),
                condition("Programmed", not_programmed, "Programmed", generation),
                condition("ResolvedRefs", secret, "ResolvedRefs", generation),
                condition("Conflicted", Some(("NoConflicts", "")), "", generation),
            ]})
        };
        let all = gateway.spec.listeners.iter();
        let none = all.clone().all(|listener| listener.fault().is_some());
        let fault = none.then_some(("ListenersNotValid", "no listener can be served"));
        json!({
            "addresses": [{"type": "IPAddress", "value": address}],
            "conditions": [
                condition("Accepted", fault, "Accepted", generation),
                condition("Programmed", fault.map(|(_, message)| ("Invalid", message)), "Programmed", generation),
            ],
            "listeners": all.map(listener).collect::<Vec<_>>(),
        })
    }
}

/// What is said of rules that are not carried out.
const UNSUPPORTED: &str =
    "a filter of this type is not carried out here; requests that it is for are answered with 500";

/// How many rules are not carried out.
fn invalid_rules(rules: &[Rule]) -> usize {
    rules.iter().filter(|rule| http_route::is_unsupported(rule)).count()
}

impl ParentRef {
    fn means(&self, route: &ObjectKey, gateway: &GatewayView) -> bool {
        let namespace = self.namespace.as_deref().unwrap_or(&route.namespace);
        self.kind.as_deref().is_none_or(|kind| kind == "Gateway")
            && self.group.as_deref().is_none_or(|group| group == GROUP)
            && ObjectKey::of(&gateway.metadata) == ObjectKey::new(namespace, &self.name)
    }
}

impl Listener {
    /// Why it cannot be served.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let spoken = matches!(&*self.protocol, "HTTP" | "HTTPS");
        (!spoken).then_some(("UnsupportedProtocol", "only HTTP and HTTPS are served"))
    }
}

/// The hosts that a listener and a route both mean; an empty list is all hosts, `None` is none.
fn common(listener: &Listener, of_route: &[String]) -> Option<Vec<Host>> {
    let Some(own) = listener.hostname.as_deref().filter(|name| !name.is_empty()) else {
        return Some(of_route.iter().map(|name| Host::of_route(name)).collect());
    };
    if of_route.is_empty() {
        return Some(vec![Host::of_route(own)]);
    }
    let covers = |wide: &str, name: &str| wide.strip_prefix('*').is_some_and(|end| name.ends_with(end));
    let both = |name: &String| match (own == name, covers(own, name), covers(name, own)) {
        (true, ..) | (_, true, _) => Some(Host::of_route(name)),
        (_, _, true) => Some(Host::of_route(own)),
        _ => None,
    };
    let met: Vec<Host> = of_route.iter().filter_map(both).collect();
    (!met.is_empty()).then_some(met)
}

#[cfg(test)]
mod tests;
