//! NamespaceLifecycle: nothing is made in a namespace that is not there or is going away, and
//! three namespaces stay for ever.

use futures::future::BoxFuture;

use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::status::{Cause, Status};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::collection;

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// The plugin.
pub struct NamespaceLifecycle;

impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            let is_namespace = request.group.is_empty() && request.resource == "namespaces";
            if request.operation == Operation::Delete && is_namespace && IMMORTAL.contains(&request.name) {
                return Err(request.forbidden("this namespace may not be deleted"));
            }
            if request.operation != Operation::Create || is_namespace || request.namespace.is_empty() {
                return Ok(());
            }
            let namespaces = collection("", "namespaces");
            let name = request.namespace;
            let found = match request.objects.get(namespaces, "", name) {
                Some(found) => Some(found),
                None => request.objects.get_live(namespaces, "", name).await?.map(std::sync::Arc::new),
            };
            let Some(found) = found else { return Err(Status::not_found("", "namespaces", name)) };
            if meta::deletion_timestamp(&found).is_none() && found.text("status.phase") != "Terminating" {
                return Ok(());
            }
            let why = format!("unable to create new content in namespace {name} because it is being terminated");
            let mut status = request.forbidden(&why);
            if let Some(details) = &mut status.details {
                details.causes.push(Cause {
                    reason: "NamespaceTerminating".to_string(),
                    message: format!("namespace {name} is being terminated"),
                    field: "metadata.namespace".to_string(),
                });
            }
            Err(status)
        })
    }
}
