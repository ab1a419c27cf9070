//! Pod: the unit that runs. Its defaults, what may change, how it dies.
//!
//! Source: `k8s.io/kubernetes/pkg/registry/core/pod/strategy.go`.

pub mod annotations;
pub mod claims;
pub mod containers;
pub mod defaults;
pub mod environment;
pub mod gated;
pub mod mounts;
mod off;
pub mod port_warnings;
pub mod probes;
pub mod projected;
mod resize;
pub mod scheduling;
pub mod security;
pub mod spec;
pub mod status;
pub mod update;
pub mod volume_sources;
pub mod volumes;
pub mod warnings;
pub mod whole;
pub mod windows;

use serde_json::{Value, json};

use crate::api::meta;
use crate::apiserver::kinds::json::{Json, copy, drop_at, put};
use crate::apiserver::kinds::lifecycle;
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource, metadata};

/// Of Pods.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_create,
    allocate,
    prepare_update,
    validate: |pod, _| spec::validate_new_pod(pod),
    validate_update: |new, old, _| update::validate_pod(new, old),
    early_warnings: annotations::app_armor_warnings,
    warnings: |new, old| warnings::pod(new, old),
    selectable_fields,
    selectable_names: &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ],
    subresources: &[
        Subresource { name: "status", prepare: prepare_status, validate: status::validate },
        Subresource { name: "ephemeralcontainers", prepare: prepare_ephemeral, validate: update::ephemeral_containers },
        Subresource { name: "resize", prepare: resize::prepare, validate: resize::validate },
    ],
    grace_seconds,
    whole_again: true,
    ..Strategy::PLAIN
};

fn defaults(pod: &mut Value, _: &Context) {
    defaults::pod(pod);
    if let Some(spec) = pod.get_mut("spec") {
        defaults::pod_spec(spec);
    }
    same_addresses(pod);
    // Admission may have given a new one requests and limits since.
    if pod.has("status.qosClass") && meta::resource_version(pod).is_empty() {
        let qos = qos_class(pod.at("spec"));
        put(pod, "status.qosClass", qos);
    }
}

/// The address has a field of its own and leads the list of all; where they differ, the older field is believed.
fn same_addresses(pod: &mut Value) {
    let ip = pod.text("status.podIP").to_string();
    let first = pod.items("status.podIPs").first().map(|first| first.text("ip").to_string());
    match first {
        Some(first) if ip.is_empty() => put(pod, "status.podIP", first),
        Some(first) if first == ip => {}
        _ if ip.is_empty() => {}
        _ => put(pod, "status.podIPs", json!([{"ip": ip}])),
    }
}

fn prepare_create(pod: &mut Value, context: &Context) {
    let qos = qos_class(pod.at("spec"));
    put(pod, "status", json!({"phase": "Pending", "qosClass": qos}));
    meta::set_generation(pod, 1);
    annotations::app_armor_fields(pod);
    if !pod.items("spec.schedulingGates").is_empty() {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "lastProbeTime": null,
            "lastTransitionTime": seconds(context.now), "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        });
        put(pod, "status.conditions", json!([condition]));
    }
}

/// RFC 3339 in whole seconds, as Kubernetes writes times.
pub fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What a new Pod asks for as a whole waits for what admission gives its containers.
fn allocate(pod: &mut Value, old: Option<&Value>, _: &Context) -> Result<(), Vec<FieldError>> {
    if let (None, Some(spec)) = (old, pod.get_mut("spec")) {
        whole::fill_in(spec);
        let qos = qos_class(spec);
        put(pod, "status.qosClass", qos);
    }
    Ok(())
}

fn prepare_update(new: &mut Value, old: &Value, _: &Context) {
    copy(new, old, "status");
    // A client that does not know the field would take it away without meaning to.
    if !new.has("spec.resources") && old.has("spec.resources") {
        copy(new, old, "spec.resources");
    }
    lifecycle::count(new, old);
}

fn prepare_status(new: &mut Value, old: &Value, context: &Context) {
    lifecycle::only_status(new, old, context);
    if new.text("status.qosClass").is_empty() && old.has("status.qosClass") {
        copy(new, old, "status.qosClass");
    }
    // A client that does not know these would take them away without meaning to.
    for field in ["resourceClaimStatuses", "extendedResourceClaimStatus", "nodeAllocatableResourceClaimStatuses"] {
        let path = format!("status.{field}");
        if !new.has(&path) && old.has(&path) {
            copy(new, old, &path);
        }
    }
}

fn prepare_ephemeral(new: &mut Value, old: &Value, _: &Context) {
    let wanted = new.at("spec.ephemeralContainers").clone();
    copy(new, old, "spec");
    copy(new, old, "status");
    lifecycle::keep_metadata(new, old);
    if wanted.is_null() {
        drop_at(new, "spec.ephemeralContainers");
    } else {
        put(new, "spec.ephemeralContainers", wanted);
    }
    lifecycle::count(new, old);
}

fn selectable_fields(pod: &Value) -> Vec<(&'static str, String)> {
    let text = |path: &str| pod.text(path).to_string();
    vec![
        ("spec.nodeName", text("spec.nodeName")),
        ("spec.restartPolicy", text("spec.restartPolicy")),
        ("spec.schedulerName", text("spec.schedulerName")),
        ("spec.serviceAccountName", text("spec.serviceAccountName")),
        ("spec.hostNetwork", pod.flag("spec.hostNetwork").to_string()),
        ("status.phase", text("status.phase")),
        ("status.podIP", text("status.podIP")),
        ("status.podIPs", text("status.podIP")),
        ("status.nominatedNodeName", text("status.nominatedNodeName")),
    ]
}

/// A Pod on a node gets the time it asks for; one that runs nowhere, or has ended, dies at once.
fn grace_seconds(pod: &Value, asked: Option<i64>) -> i64 {
    let unscheduled = pod.text("spec.nodeName").is_empty();
    let ended = matches!(pod.text("status.phase"), "Failed" | "Succeeded");
    if unscheduled || ended {
        return 0;
    }
    let seconds = asked.or_else(|| pod.int("spec.terminationGracePeriodSeconds")).unwrap_or(30);
    if seconds < 0 { 1 } else { seconds }
}

pub use crate::api::quota::qos_class;

/// What is wrong with a template's Pod (`spec.template`), and nothing about its restart policy.
pub fn validate_template(template: &Value, path: &str) -> Vec<FieldError> {
    let meta = template.at("metadata");
    let mut errors = metadata::labels(meta.at("labels"), &format!("{path}.labels"));
    errors.extend(metadata::annotations(meta.at("annotations"), &format!("{path}.annotations")));
    errors.extend(annotations::validate(template, &format!("{path}.annotations"), &format!("{path}.spec")));
    errors.extend(spec::validate(template.at("spec"), &format!("{path}.spec"), None));
    errors.extend(annotations::agree(template, &format!("{path}.spec")));
    if !template.items("spec.ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden(
            format!("{path}.spec.ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
    errors
}
