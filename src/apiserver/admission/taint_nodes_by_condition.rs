//! TaintNodesByCondition: a new Node takes no Pods until its kubelet says it is ready.

use futures::future::BoxFuture;
use serde_json::json;

use super::service_account::push_spec;
use super::{Attributes, Operation, Plugin};
use crate::api::status::Status;
use crate::apiserver::kinds::json::Json;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// The plugin.
pub struct TaintNodesByCondition;

impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let new_node = request.is("", "nodes") && request.operation == Operation::Create;
        if let Some(node) = request.object.as_mut().filter(|_| new_node) {
            let has = node
                .items("spec.taints")
                .iter()
                .any(|taint| taint.text("key") == NOT_READY && taint.text("effect") == "NoSchedule");
            if !has {
                push_spec(node, "taints", json!({"key": NOT_READY, "effect": "NoSchedule"}));
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
