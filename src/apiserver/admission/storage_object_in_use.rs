//! StorageObjectInUseProtection: claims, volumes and their classes do not vanish under those who use them.

use futures::future::BoxFuture;

use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::status::Status;

/// The plugin.
pub struct StorageObjectInUseProtection;

impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let finalizer = match (request.operation, request.group, request.resource, request.subresource) {
            (Operation::Create, "", "persistentvolumeclaims", "") => "kubernetes.io/pvc-protection",
            (Operation::Create, "", "persistentvolumes", "") => "kubernetes.io/pv-protection",
            (Operation::Create, "storage.k8s.io", "volumeattributesclasses", "") => "kubernetes.io/vac-protection",
            _ => return Box::pin(std::future::ready(Ok(()))),
        };
        if let Some(object) = &mut request.object {
            let mut list: Vec<String> = meta::finalizers(object).map(str::to_string).collect();
            if !list.iter().any(|name| name == finalizer) {
                list.push(finalizer.to_string());
                meta::set_finalizers(object, list);
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
