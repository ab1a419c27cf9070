//! RuntimeClass: a Pod that names a class gets its overhead and its place in the cluster.

use futures::future::BoxFuture;
use serde_json::Value;

use super::service_account::push_spec;
use super::{Attributes, Operation, Plugin};
use crate::api::status::Status;
use crate::apiserver::kinds::json::{Json, object_mut, put};
use crate::apiserver::objects::collection;

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
            let Some(name) = request.object.as_ref().map(|pod| pod.text("spec.runtimeClassName").to_string()) else {
                return Ok(());
            };
            if name.is_empty() {
                return Ok(());
            }
            let classes = collection("node.k8s.io", "runtimeclasses");
            let found = match request.objects.get(classes, "", &name) {
                Some(found) => Some((*found).clone()),
                None => request.objects.get_live(classes, "", &name).await?,
            };
            let Some(class) = found else {
                return Err(request.forbidden(&format!("pod rejected: RuntimeClass {name:?} not found")));
            };
            let Some(pod) = &mut request.object else { return Ok(()) };
            let problem = apply(pod, &class);
            match problem {
                Some(problem) => Err(request.forbidden(&problem)),
                None => Ok(()),
            }
        })
    }
}

fn apply(pod: &mut Value, class: &Value) -> Option<String> {
    if class.has("overhead.podFixed") {
        let overhead = class.at("overhead.podFixed");
        if pod.has("spec.overhead") && pod.at("spec.overhead") != overhead {
            return Some("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_string());
        }
        put(pod, "spec.overhead", overhead.clone());
    }
    for (key, value) in class.entries("scheduling.nodeSelector") {
        let selector = object_mut(pod, "spec.nodeSelector");
        if selector.get(key).is_some_and(|own| own != value) {
            return Some(format!("conflict: pod nodeSelector {key} conflicts with RuntimeClass nodeSelector"));
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
