//! PodTopologyLabels: a Pod learns its Node's zone and region when it is bound to it.

use futures::future::BoxFuture;

use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::collection;

const LABELS: &[&str] = &["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// The plugin.
pub struct PodTopologyLabels;

impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let binding = request.operation == Operation::Create
            && request.group.is_empty()
            && request.resource == "pods"
            && request.subresource == "binding";
        if let Some(object) = request.object.as_mut().filter(|_| binding)
            && let Some(node) = request.objects.get(collection("", "nodes"), "", object.text("target.name"))
        {
            for label in LABELS {
                if let Some(value) = meta::label(&node, label) {
                    meta::set_label(object, label, value);
                }
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
