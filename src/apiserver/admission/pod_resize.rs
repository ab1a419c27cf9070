//! PodResizeValidator and NodeDeclaredFeatureValidator: a running Pod gets no more than its node has, and
//! only in ways its node knows.
//!
//! Source: `plugin/pkg/admission/podresize`, `plugin/pkg/admission/nodedeclaredfeatures`.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};
use crate::api::quantity::Quantity;
use crate::api::quota::pod_total;
use crate::api::status::{Cause, Status};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::collection;

/// Looks at the node's room.
pub struct PodResizeValidator;

/// Looks at what the node says it can.
pub struct NodeDeclaredFeatureValidator;

impl Plugin for PodResizeValidator {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(fits(request)))
    }
}

impl Plugin for NodeDeclaredFeatureValidator {
    fn name(&self) -> &'static str {
        "NodeDeclaredFeatureValidator"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(is_known(request)))
    }
}

/// A Pod on a node whose spec changes, before and after.
fn changed<'a>(request: &'a Attributes<'_>, subresources: &[&str]) -> Option<(&'a Value, &'a Value)> {
    let is_pod = request.operation == Operation::Update && request.group.is_empty() && request.resource == "pods";
    let (old, new) = (request.old?, request.object.as_ref()?);
    let applies = is_pod && subresources.contains(&request.subresource) && new.has("spec.nodeName");
    (applies && old.at("spec") != new.at("spec")).then_some((old, new))
}

fn node(request: &Attributes<'_>, pod: &Value) -> Result<Arc<Value>, Status> {
    let name = pod.text("spec.nodeName");
    let found = request.objects.get(collection("", "nodes"), "", name);
    found.ok_or_else(|| request.forbidden(&format!("node {name:?} not found")))
}

fn fits(request: &Attributes<'_>) -> Result<(), Status> {
    let Some((_, pod)) = changed(request, &["resize"]) else { return Ok(()) };
    let node = node(request, pod)?;
    let refuse = |reason: &str, why: String| {
        let mut status = request.forbidden(&why);
        if let Some(details) = &mut status.details {
            details.causes.push(Cause { reason: reason.to_string(), message: String::new(), field: String::new() });
        }
        status
    };
    let system = crate::api::meta::label(&node, "kubernetes.io/os").unwrap_or("linux");
    if system != "linux" {
        let name = node.text("metadata.name");
        let why = format!("pod resize is only supported on linux nodes, node {name:?} is {system:?}");
        return Err(refuse("UnsupportedPlatform", why));
    }
    let requests = pod_total(pod, "requests");
    let amount = |text: &str| Quantity::parse(text).unwrap_or_else(|_| Quantity::from_millis(0));
    let mut missing = Vec::new();
    for (name, count) in [("cpu", Quantity::milli_value as fn(&Quantity) -> i64), ("memory", Quantity::value)] {
        let room = amount(node.at("status.allocatable").text(name));
        let wanted = requests.get(name).copied().unwrap_or_else(|| Quantity::from_millis(0));
        if wanted > room {
            missing.push(format!("{name}, requested: {}, allocatable: {}", count(&wanted), count(&room)));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(refuse("NodeCapacity", format!("node didn't have enough allocatable resources: {}", missing.join("; "))))
}

/// What a change of a Pod needs its node to know: a feature's name, and whether the change needs it.
type Needs = fn(old: &Value, new: &Value) -> bool;

const FEATURES: [(&str, Needs); 3] = [
    ("InPlacePodLevelResourcesVerticalScaling", |old, new| old.at("spec.resources") != new.at("spec.resources")),
    ("InPlacePodVerticalScalingInitContainers", |old, new| {
        let pairs = old.items("spec.initContainers").iter().zip(new.items("spec.initContainers"));
        pairs
            .into_iter()
            .any(|(old, new)| old.text("restartPolicy") != "Always" && old.at("resources") != new.at("resources"))
    }),
    ("InPlacePodVerticalScalingMemoryBackedVolumes", |old, new| {
        let (old, new) = (old.items("spec.volumes"), new.items("spec.volumes"));
        let grown = |(old, new): (&Value, &Value)| {
            let (before, after) = (old.text("emptyDir.sizeLimit"), new.text("emptyDir.sizeLimit"));
            old.text("name") == new.text("name")
                && new.text("emptyDir.medium") == "Memory"
                && !before.is_empty()
                && !after.is_empty()
                && before != after
        };
        old.len() == new.len() && old.iter().zip(new).any(grown)
    }),
];

fn is_known(request: &Attributes<'_>) -> Result<(), Status> {
    let Some((old, pod)) = changed(request, &["", "resize"]) else { return Ok(()) };
    let needed: Vec<&str> = FEATURES.iter().filter(|(_, needs)| needs(old, pod)).map(|(name, _)| *name).collect();
    if needed.is_empty() {
        return Ok(());
    }
    let node = node(request, pod)?;
    let declared = node.items("status.declaredFeatures");
    let missing: Vec<&str> = needed.into_iter().filter(|name| !declared.iter().any(|own| own == name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let name = node.text("metadata.name");
    Err(request.forbidden(&format!(
        "pod update requires features {} which are not available on node {name:?}",
        missing.join(", ")
    )))
}
