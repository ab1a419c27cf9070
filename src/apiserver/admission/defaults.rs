//! DefaultStorageClass and DefaultIngressClass: who names no class gets the default one.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::kinds::json::{Json, put};
use crate::apiserver::objects::collection;

/// For claims.
pub struct DefaultStorageClass;

/// For Ingresses.
pub struct DefaultIngressClass;

/// The newest class whose annotation says it is the default.
fn default_of(classes: Vec<Arc<Value>>, annotations: &[&str]) -> Option<String> {
    let marked =
        classes.iter().filter(|class| annotations.iter().any(|key| meta::annotation(class, key) == Some("true")));
    let newest = marked.max_by(|one, other| {
        let time = |class: &Value| class.text("metadata.creationTimestamp").to_string();
        time(one).cmp(&time(other)).then_with(|| meta::name(other).cmp(meta::name(one)))
    });
    newest.map(|class| meta::name(class).to_string())
}

impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let new_claim = request.is("", "persistentvolumeclaims") && request.operation == Operation::Create;
        let annotations =
            ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
        if new_claim
            && let Some(claim) = &mut request.object
            && !claim.has("spec.storageClassName")
            && meta::annotation(claim, "volume.beta.kubernetes.io/storage-class").is_none()
            && let Some(name) =
                default_of(request.objects.list(collection("storage.k8s.io", "storageclasses"), ""), &annotations)
        {
            put(claim, "spec.storageClassName", name);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let new_ingress = request.is("networking.k8s.io", "ingresses") && request.operation == Operation::Create;
        let annotations = ["ingressclass.kubernetes.io/is-default-class"];
        if new_ingress
            && let Some(ingress) = &mut request.object
            && !ingress.has("spec.ingressClassName")
            && meta::annotation(ingress, "kubernetes.io/ingress.class").is_none()
            && let Some(name) =
                default_of(request.objects.list(collection("networking.k8s.io", "ingressclasses"), ""), &annotations)
        {
            put(ingress, "spec.ingressClassName", name);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
