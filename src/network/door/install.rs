//! What has to be in a cluster before the door can be used: the classes, and the kinds of Gateway API.
//!
//! In: a client. Out: an IngressClass and a GatewayClass called `tutor`; and, for who asks, CustomResourceDefinitions
//! written for tutor (`gateway-api.yaml`). They are no part of Kubernetes, so no cluster has them until somebody
//! installs them. What is there is left as it is: who wants the project's own definitions applies those. Chapter: `book/src/inside/network.md`.

use std::time::Duration;

use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::objects::GatewayClassView;
use super::{gateway, ingress};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The definitions, as documents of YAML.
const DEFINITIONS: &str = include_str!("gateway-api.yaml");
/// How long a definition may take to be served.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long is waited where the API server does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes the IngressClass. It is not the default one: an Ingress stays as it was written, and one without a class is
/// served all the same.
pub async fn ingress_class(client: &kube::Client) {
    let class = json!({"metadata": {"name": "tutor"}, "spec": {"controller": ingress::CONTROLLER}});
    tell(ensure::<IngressClass>(client, class).await);
}

/// Makes the GatewayClass.
pub async fn gateway_class(client: &kube::Client) {
    let class = json!({"metadata": {"name": "tutor"}, "spec": {"controllerName": gateway::CONTROLLER}});
    tell(ensure::<GatewayClassView>(client, class).await);
}

/// Waits until the kinds that rules are made of are served, whoever installed them.
pub async fn gateway_api_served(client: kube::Client, clock: Clock) {
    served(client, clock, &["gatewayclasses", "gateways", "httproutes"]).await;
}

/// Waits until ReferenceGrants are served: who installed Gateway API long ago may have none.
pub async fn grants_served(client: kube::Client, clock: Clock) {
    served(client, clock, &["referencegrants"]).await;
}

async fn served(client: kube::Client, clock: Clock, kinds: &[&str]) {
    let all: Api<CustomResourceDefinition> = Api::all(client);
    for kind in kinds {
        let name = format!("{kind}.{}", gateway::GROUP);
        while await_condition(all.clone(), &name, conditions::is_crd_established()).await.is_err() {
            clock.sleep(PAUSE).await;
        }
    }
}

/// Installs the kinds of Gateway API where they are not there, and waits until they are served.
///
/// # Errors
/// When one is refused, or is not served in time.
pub async fn gateway_api(client: &kube::Client, clock: Clock) -> Result<()> {
    let cannot = |why: String| Error::new("Gateway API cannot be installed", why);
    let definitions: Vec<Value> =
        serde_saphyr::from_multiple(DEFINITIONS).map_err(|fault| cannot(fault.to_string()))?;
    for definition in definitions {
        ensure::<CustomResourceDefinition>(client, definition).await.map_err(cannot)?;
    }
    let served = async {
        gateway_api_served(client.clone(), clock).await;
        grants_served(client.clone(), clock).await;
    };
    let late = |_| cannot("its kinds are not served yet".to_owned()).hint("look at them: kubectl get crds");
    clock.timeout(PATIENCE, served).await.map_err(late)
}

fn tell(made: std::result::Result<(), String>) {
    if let Err(fault) = made {
        tracing::warn!(%fault, "what the door needs cannot be made");
    }
}

/// Makes an object of the kind `K` if there is none of its name.
async fn ensure<K>(client: &kube::Client, mut object: Value) -> std::result::Result<(), String>
where
    K: kube::Resource<DynamicType = ()>,
{
    // The API server takes an object of a custom kind that says what it is, and no other.
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    let object: DynamicObject = serde_json::from_value(object).map_err(|fault| fault.to_string())?;
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::erase::<K>(&()));
    if api.get_metadata_opt(&object.name_any()).await.map_err(|fault| fault.to_string())?.is_some() {
        return Ok(());
    }
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        made => made.map(drop).map_err(|fault| fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_those_that_are_read() {
        let all: Vec<CustomResourceDefinition> = serde_saphyr::from_multiple(DEFINITIONS).unwrap();
        let names: Vec<_> = all.iter().filter_map(|it| it.metadata.name.clone()).collect();
        let kinds = ["gatewayclasses", "gateways", "httproutes", "referencegrants"];
        assert_eq!(names, kinds.map(|it| format!("{it}.{}", gateway::GROUP)));
    }
}
