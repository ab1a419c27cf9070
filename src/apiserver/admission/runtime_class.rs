//! RuntimeClass: a Pod that names a class gets its overhead and its place in the cluster.

use futures::future::BoxFuture;
use serde_json::Value;

use super::service_account::push_spec;
use super::{Attributes, Operation, Plugin};
use crate::api::status::Status;
use crate::apiserver::kinds::json::{Json, object_mut, put};
use crate::apiserver::objects::collection;

const OTHER_OVERHEAD: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

/// The plugin.
pub struct RuntimeClass;

impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if !request.is_pod(Operation::Create) {
                return Ok(());
            }
            let Some(class) = class(request).await? else { return Ok(()) };
            let Some(pod) = &mut request.object else { return Ok(()) };
            let problem = apply(pod, &class);
            match problem {
                Some(problem) => Err(request.forbidden(&problem)),
                None => Ok(()),
            }
        })
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if !request.is_pod(Operation::Create) {
                return Ok(());
            }
            let class = class(request).await?.unwrap_or_default();
            let pod = request.object.as_ref().map(|pod| pod.at("spec.overhead")).unwrap_or(&Value::Null);
            if class.has("overhead.podFixed") {
                return match pod == class.at("overhead.podFixed") {
                    true => Ok(()),
                    false => Err(request.forbidden(OTHER_OVERHEAD)),
                };
            }
            match pod.is_null() {
                true => Ok(()),
                false => Err(request
                    .forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")),
            }
        })
    }
}

/// The class that the Pod names, if it names one.
async fn class(request: &Attributes<'_>) -> Result<Option<Value>, Status> {
    let Some(named) = request.object.as_ref().filter(|pod| pod.has("spec.runtimeClassName")) else { return Ok(None) };
    let name = named.text("spec.runtimeClassName");
    if name.is_empty() {
        // The official server asks itself for the class of that name.
        return Err(Status::unexpected("resource name may not be empty"));
    }
    let classes = collection("node.k8s.io", "runtimeclasses");
    let found = match request.objects.get(classes, "", name) {
        Some(found) => Some((*found).clone()),
        None => request.objects.get_live(classes, "", name).await?,
    };
    found.map(Some).ok_or_else(|| request.forbidden(&format!("pod rejected: RuntimeClass {name:?} not found")))
}

fn apply(pod: &mut Value, class: &Value) -> Option<String> {
    if class.has("overhead.podFixed") {
        let overhead = class.at("overhead.podFixed");
        if pod.has("spec.overhead") && pod.at("spec.overhead") != overhead {
            return Some(OTHER_OVERHEAD.to_string());
        }
        put(pod, "spec.overhead", overhead.clone());
    }
    for (key, value) in class.entries("scheduling.nodeSelector") {
        let selector = object_mut(pod, "spec.nodeSelector");
        if selector.get(key).is_some_and(|own| own != value) {
            let own = selector.get(key).and_then(Value::as_str).unwrap_or_default();
            let value = value.as_str().unwrap_or_default();
            return Some(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
            ));
        }
        selector.insert(key.to_string(), value.clone());
    }
    for toleration in class.items("scheduling.tolerations") {
        if !pod.items("spec.tolerations").contains(toleration) {
            push_spec(pod, "tolerations", toleration.clone());
        }
    }
    None
}
