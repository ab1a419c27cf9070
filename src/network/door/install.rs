//! What has to be in a cluster before the door can be used: the classes, and the kinds of Gateway API.
//!
//! In: a client. Out: an IngressClass and a GatewayClass called `tutor`, and CustomResourceDefinitions written for tutor
//! (`gateway-api.yaml`), where these are not there. What somebody installed is left as it is: who wants the
//! project's own definitions applies them over these. Chapter: `book/src/inside/network.md`.

use std::time::Duration;

use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

use super::objects::GatewayClassView;
use super::{gateway, ingress};
use crate::clock::Clock;

/// The definitions, as documents of YAML.
const DEFINITIONS: &str = include_str!("gateway-api.yaml");
/// How long a definition may take to be served.
const PATIENCE: Duration = Duration::from_secs(30);
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// Makes what is missing. What cannot be made is told in the log; the rest works without it.
pub async fn all(client: &kube::Client, clock: Clock) {
    let class = json!({"metadata": {"name": "tutor", "annotations": {DEFAULT_CLASS: "true"}},
        "spec": {"controller": ingress::CONTROLLER}});
    ensure(&Api::<IngressClass>::all(client.clone()), class).await;
    let definitions: Vec<Value> = match serde_saphyr::from_multiple(DEFINITIONS) {
        Ok(documents) => documents,
        Err(fault) => return tracing::error!(%fault, "the kinds of Gateway API cannot be read"),
    };
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        ensure(&kinds, definition).await;
        let served = await_condition(kinds.clone(), &name, conditions::is_crd_established());
        if !matches!(clock.timeout(PATIENCE, served).await, Ok(Ok(_))) {
            tracing::warn!(name, "a kind of Gateway API is not served");
        }
    }
    let class = json!({"metadata": {"name": "tutor"}, "spec": {"controllerName": gateway::CONTROLLER}});
    ensure(&Api::<GatewayClassView>::all(client.clone()), class).await;
}

async fn ensure<K>(api: &Api<K>, object: Value)
where
    K: kube::Resource + Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let made = async {
        let object: K = serde_json::from_value(object).map_err(|fault| fault.to_string())?;
        let name = object.meta().name.clone().unwrap_or_default();
        if api.get_metadata_opt(&name).await.map_err(|fault| fault.to_string())?.is_some() {
            return Ok(());
        }
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            made => made.map(drop).map_err(|fault| fault.to_string()),
        }
    };
    if let Err::<(), String>(fault) = made.await {
        tracing::warn!(%fault, "what the door needs cannot be made");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_those_that_are_read() {
        let all: Vec<CustomResourceDefinition> = serde_saphyr::from_multiple(DEFINITIONS).unwrap();
        let names: Vec<_> = all.iter().filter_map(|it| it.metadata.name.clone()).collect();
        assert_eq!(names, ["gatewayclasses", "gateways", "httproutes"].map(|it| format!("{it}.{}", gateway::GROUP)));
    }
}
