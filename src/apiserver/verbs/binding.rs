//! `POST …/pods/x/binding`: gives a Pod its node, once. What a scheduler does; anyone with the
//! right may do it by hand.

use serde_json::{Value, json};
use warp::reply::Response;

use super::create::seconds;
use super::update;
use crate::api::decode::{self, Target};
use crate::api::meta;
use crate::api::names;
use crate::api::status::{Reason, Status};
use crate::apiserver::engine::{Call, bad_request, conflict_because, not_served};
use crate::apiserver::kinds::{FieldError, check};
use crate::apiserver::negotiate;
use crate::apiserver::options::WriteOptions;
use crate::apiserver::request::RequestInfo;
use crate::apiserver::respond;

/// Binds the Pod of the URL (or, for `POST …/bindings`, of the body) to the target.
///
/// # Errors
/// 400 for another name, 404 without the Pod, 409 when it has a node.
pub async fn bind(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let media = negotiate::body_media(call.header("content-type"), false)?;
    let sub = call.resource.subresource("binding").ok_or_else(not_served)?;
    let target = Target::subresource(sub, false).ok_or_else(not_served)?;
    let mut binding = decode::decode(&call.body, media, &target, options.validation)?.value;
    call.place_part(&mut binding)?;
    if meta::name(&binding) != call.info.name {
        return Err(bad_request("name in URL does not match name in Binding object"));
    }
    check(&binding)?;
    let binding = call.pass_part(sub, binding, options.dry_run).await?;
    let node = meta::text(&binding, &["target", "name"]).to_string();
    update::write(call, &options, "bind", |pod| bound(call, pod, &node, &binding)).await?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond::send(201, call.accepted.content_type(), respond::encode(&status, call.accepted)?))
}

/// `POST …/bindings`: the Pod is the one that the body names.
///
/// # Errors
/// As [`bind`].
pub async fn bind_by_body(call: &Call) -> Result<Response, Status> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let binding = super::create::body(call, &options)?;
    let served = call.engine.catalog.now();
    let resource = served.find("", "v1", "pods").ok_or_else(not_served)?;
    let info = RequestInfo {
        resource: "pods".to_string(),
        subresource: "binding".to_string(),
        name: meta::name(&binding).to_string(),
        ..call.info.clone()
    };
    bind(&call.of(resource, info)).await
}

fn check(binding: &Value) -> Result<(), Status> {
    let mut errors = Vec::new();
    let kind = meta::text(binding, &["target", "kind"]);
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported("target.kind", kind, &["Node", "<empty>"]));
    }
    match meta::text(binding, &["target", "name"]) {
        "" => errors.push(FieldError::required("target.name", "")),
        name if matches!(kind, "" | "Node") => {
            errors.extend(check::faults("target.name", name, names::dns_subdomain(name)));
        }
        _ => {}
    }
    if errors.is_empty() {
        return Ok(());
    }
    // Kubernetes hands these on as they are: an error that is nobody's.
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let message = if told.len() == 1 { told.concat() } else { format!("[{}]", told.join(", ")) };
    Err(Status { reason: None, ..Status::new(Reason::InternalError, message) })
}

fn bound(call: &Call, pod: &Value, node: &str, binding: &Value) -> Result<Value, Status> {
    let name = meta::name(pod);
    let refuse = |why: String| {
        let mut status = conflict_because(&call.resource, name, &why);
        status.message = format!("Operation cannot be fulfilled on pods/binding {name:?}: {why}");
        if let Some(details) = &mut status.details {
            details.kind = "pods/binding".to_string();
        }
        status
    };
    let uid = meta::uid(binding);
    if !uid.is_empty() && uid != meta::uid(pod) {
        let key = call.store_key(name);
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {uid}, UID in object meta: {}",
            meta::uid(pod)
        );
        return Err(conflict_because(&call.resource, name, &why));
    }
    if meta::deletion_timestamp(pod).is_some() {
        return Err(refuse(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    let current = meta::text(pod, &["spec", "nodeName"]);
    if !current.is_empty() {
        return Err(refuse(format!("pod {name} is already assigned to node {current:?}")));
    }
    if !meta::list(pod, &["spec", "schedulingGates"]).is_empty() {
        return Err(refuse(format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    let mut pod = pod.clone();
    meta::remove(&mut pod, &["metadata", "resourceVersion"]);
    meta::set(&mut pod, &["spec", "nodeName"], json!(node));
    for (key, value) in meta::annotations(binding).into_iter().flatten() {
        meta::set_annotation(&mut pod, key, value.as_str().unwrap_or(""));
    }
    for (key, value) in meta::labels(binding).into_iter().flatten() {
        meta::set(&mut pod, &["metadata", "labels", key], value.clone());
    }
    meta::remove(&mut pod, &["status", "nominatedNodeName"]);
    scheduled(&mut pod, &seconds(call));
    Ok(pod)
}

/// Sets the condition `PodScheduled`.
fn scheduled(pod: &mut Value, now: &str) {
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    let mut conditions: Vec<Value> = meta::list(pod, &["status", "conditions"]).to_vec();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(condition);
    meta::set(pod, &["status", "conditions"], Value::Array(conditions));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: Kubernetes 1.37, `ValidatePodBinding`.
    #[test]
    fn a_target_is_a_node_that_can_have_the_name() {
        let said = |target: Value| check(&json!({"target": target})).err().map(|status| status.message);
        assert_eq!(said(json!({"kind": "Node", "name": "node-1"})), None);
        assert_eq!(said(json!({"name": "node-1"})), None);
        assert_eq!(said(json!({})).unwrap(), "target.name: Required value");
        let wrong = said(json!({"name": "Node_1"})).unwrap();
        assert!(
            wrong.starts_with("target.name: Invalid value: \"Node_1\": a lowercase RFC 1123 subdomain must "),
            "{wrong}"
        );
        let both = said(json!({"kind": "Pod"})).unwrap();
        assert!(both.starts_with("[target.kind: Unsupported value: \"Pod\": "), "{both}");
        assert!(both.ends_with(", target.name: Required value]"), "{both}");
    }
}
