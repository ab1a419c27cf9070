//! PersistentVolumeClaimResize: a claim grows only where its StorageClass allows it.

use futures::future::BoxFuture;

use super::{Attributes, Operation, Plugin};
use crate::api::status::Status;
use crate::apiserver::kinds::core::resources::quantity;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::collection;

const SIZE: &str = "spec.resources.requests.storage";

/// The plugin.
pub struct PersistentVolumeClaimResize;

impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(check(request)))
    }
}

fn check(request: &Attributes<'_>) -> Result<(), Status> {
    if !request.is("", "persistentvolumeclaims") || request.operation != Operation::Update {
        return Ok(());
    }
    let (Some(new), Some(old)) = (&request.object, request.old) else { return Ok(()) };
    let grows = quantity(new.at(SIZE)).zip(quantity(old.at(SIZE))).is_some_and(|(now, was)| now > was);
    if !grows {
        return Ok(());
    }
    if old.text("status.phase") != "Bound" {
        return Err(request.forbidden("Only bound persistent volume claims can be expanded"));
    }
    let class =
        request.objects.get(collection("storage.k8s.io", "storageclasses"), "", new.text("spec.storageClassName"));
    if class.is_some_and(|class| class.flag("allowVolumeExpansion")) {
        return Ok(());
    }
    Err(request.forbidden(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    ))
}
