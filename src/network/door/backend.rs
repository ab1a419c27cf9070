//! The Pod behind a rule: a Service, one of its ports, one of its endpoints.
//!
//! In: a rule's backends, Services, EndpointSlices. Out: a [`Target`], or what to answer instead. Pure but for chance.
//! Chapter: `book/src/inside/network.md`.

use std::sync::Arc;

use http::StatusCode;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::Target;
use super::route::{Backend, Changes, Port};
use crate::client::ObjectKey;
use crate::network::services::{self, is_ready};

/// Picks who is to answer, and says what is changed for it.
///
/// # Errors
/// The status and the words to answer with: nobody is named, or nobody is ready.
pub fn pick<'a>(
    backends: &'a [Backend],
    service: impl Fn(&ObjectKey) -> Option<Arc<Service>>,
    slices: &[Arc<EndpointSlice>],
) -> Result<(Target, &'a Changes), (StatusCode, String)> {
    let failed = |status, words: &str| Err((status, words.to_owned()));
    let total: u32 = backends.iter().map(|backend| backend.weight).sum();
    if total == 0 {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, "the rule names nobody who could answer");
    }
    let mut drawn = rand::random_range(0..total);
    let mut shares = backends.iter();
    let chosen = shares.find(|backend| {
        let own = drawn < backend.weight;
        drawn = drawn.saturating_sub(backend.weight);
        own
    });
    if let Some(words) = chosen.and_then(|backend| backend.fault) {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, words);
    }
    let usable = chosen.and_then(|backend| Some((backend.service.as_ref()?, &backend.changes)));
    let Some(((key, port), changes)) = usable else {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, "the rule names a backend that cannot be used");
    };
    let Some(found) = service(key) else {
        return failed(StatusCode::SERVICE_UNAVAILABLE, &format!("there is no Service {key}"));
    };
    let ports = found.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let Some(port) = ports.into_iter().flatten().find(|known| is_port(known, port)) else {
        return failed(StatusCode::SERVICE_UNAVAILABLE, &format!("the Service {key} has no such port"));
    };
    let targets = targets(key, port, slices);
    match targets.len() {
        0 => failed(StatusCode::SERVICE_UNAVAILABLE, &format!("no Pod of the Service {key} is ready")),
        count => Ok((targets[rand::random_range(0..count)].clone(), changes)),
    }
}

fn is_port(known: &ServicePort, wanted: &Port) -> bool {
    match wanted {
        Port::Number(number) => known.port == *number,
        Port::Name(name) => known.name.as_ref() == Some(name),
    }
}

/// The ready ones; when none is, those that still serve while they end.
fn targets(service: &ObjectKey, port: &ServicePort, slices: &[Arc<EndpointSlice>]) -> Vec<Target> {
    let sorted = services::by_service(slices);
    let own = sorted.get(service).map(Vec::as_slice).unwrap_or_default();
    for chosen in [is_ready as fn(&Endpoint) -> bool, services::still_serves] {
        let found: Vec<Target> = own
            .iter()
            .flat_map(|slice| {
                let name = port.name.as_deref().unwrap_or_default();
                let mut ports = slice.ports.iter().flatten();
                let number = ports.find(|known| known.name.as_deref().unwrap_or_default() == name);
                let number = number.and_then(|known| u16::try_from(known.port?).ok());
                let endpoints = slice.endpoints.iter().flatten().filter(|endpoint| chosen(endpoint));
                endpoints.filter_map(move |endpoint| target(service, endpoint, number?)).collect::<Vec<_>>()
            })
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn target(service: &ObjectKey, endpoint: &Endpoint, port: u16) -> Option<Target> {
    let reference = endpoint.target_ref.as_ref().filter(|it| it.kind.as_deref() == Some("Pod"));
    Some(Target {
        namespace: service.namespace.clone(),
        pod: reference.and_then(|it| it.name.clone()),
        node: endpoint.node_name.clone().unwrap_or_default(),
        address: endpoint.addresses.first()?.parse().ok()?,
        port,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(endpoints: Value) -> Vec<Arc<EndpointSlice>> {
        let whole = json!({"metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]});
        vec![Arc::new(serde_json::from_value(whole).unwrap())]
    }

    fn web(key: &ObjectKey) -> Option<Arc<Service>> {
        let whole = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]}});
        (key.name == "web").then(|| Arc::new(serde_json::from_value(whole).unwrap()))
    }

    fn to(name: &str, port: Port, weight: u32) -> Backend {
        Backend { service: Some((ObjectKey::new("shop", name), port)), weight, ..Backend::default() }
    }

    fn status(backends: &[Backend], endpoints: Value) -> u16 {
        pick(backends, web, &slice(endpoints)).map_or_else(|(status, _)| status.as_u16(), |_| 200)
    }

    #[test]
    fn a_ready_pod_answers_and_without_one_503() {
        let ready =
            || json!([{"addresses": ["10.244.0.2"], "nodeName": "n", "targetRef": {"kind": "Pod", "name": "web-a"}}]);
        let backends = [to("web", Port::Number(80), 1)];
        let (found, _) = pick(&backends, web, &slice(ready())).unwrap();
        assert_eq!((found.pod.as_deref(), found.port), (Some("web-a"), 8080));
        assert_eq!(status(&[to("web", Port::Name("http".into()), 1)], ready()), 200);
        assert_eq!(status(&[to("web", Port::Number(81), 1)], ready()), 503);
        assert_eq!(status(&[to("gone", Port::Number(80), 1)], ready()), 503);
        let ending = json!([{"addresses": ["10.244.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}}]);
        assert_eq!(status(&[to("web", Port::Number(80), 1)], ending), 200);
        assert_eq!(status(&[to("web", Port::Number(80), 1)], json!([])), 503);
    }

    #[test]
    fn weights_are_shares() {
        let ready = json!([{"addresses": ["10.244.0.2"]}]);
        let none = Backend { weight: 1, ..Backend::default() };
        let share = [to("web", Port::Number(80), 3), none.clone()];
        let failed = (0..1000).filter(|_| status(&share, ready.clone()) == 500).count();
        assert!((150..350).contains(&failed), "one in four: {failed}");
        assert_eq!(status(&[to("web", Port::Number(80), 0)], ready.clone()), 500);
        assert_eq!(status(&[to("web", Port::Number(80), 1), Backend { weight: 0, ..none }], ready), 200);
    }
}
