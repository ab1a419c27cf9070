//! What schedulers and drivers report of claims and of taints.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/resource/validation`.

use serde_json::Value;

use super::super::core::pod::volume_sources::csi_driver_name;
use super::super::json::Json;
use super::super::{FieldError, check, names};

/// At most so many may share a claim.
const MAX_RESERVED: usize = 256;

/// What is wrong with the status of a rule that taints devices.
pub fn taint_rule(rule: &Value) -> Vec<FieldError> {
    let numbered = rule.items("status.conditions").iter().enumerate();
    numbered.flat_map(|(index, one)| condition(one, &format!("status.conditions[{index}]"))).collect()
}

fn condition(condition: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (kind, status, reason) = (condition.text("type"), condition.text("status"), condition.text("reason"));
    match kind {
        "" => errors.push(FieldError::required(format!("{path}.type"), "is required")),
        kind => errors.extend(check::faults(format!("{path}.type"), kind, names::qualified_name(kind))),
    }
    let known = ["False", "True", "Unknown"];
    match status {
        "" => errors.push(FieldError::required(format!("{path}.status"), "")),
        status if known.contains(&status) => {}
        status => errors.push(FieldError::not_supported(format!("{path}.status"), status, &known)),
    }
    if let Some(generation) = condition.int("observedGeneration").filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to zero";
        errors.push(FieldError::invalid(format!("{path}.observedGeneration"), generation, detail));
    }
    if condition.text("lastTransitionTime").is_empty() {
        errors.push(FieldError::required(format!("{path}.lastTransitionTime"), ""));
    }
    if reason.is_empty() {
        errors.push(FieldError::required(format!("{path}.reason"), ""));
    }
    errors
}

/// What is wrong with the status of a claim.
pub fn claim(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let allocation = new.at("status.allocation");
    let requests = request_names(new);
    for (index, result) in allocation.items("devices.results").iter().enumerate() {
        let path = format!("status.allocation.devices.results[{index}]");
        let request = result.text("request");
        if !requests.iter().any(|name| name == request) {
            let detail = "must be the name of a request in the claim or the name of a request and a subrequest \
                          separated by '/'";
            errors.push(FieldError::invalid(format!("{path}.request"), request, detail));
        }
        errors.extend(csi_driver_name(result.text("driver"), &format!("{path}.driver")));
        match result.text("pool") {
            "" => errors.push(FieldError::required(format!("{path}.pool"), "")),
            pool => {
                let parts = pool.split('/');
                errors.extend(
                    parts.flat_map(|part| check::faults(format!("{path}.pool"), part, names::dns_subdomain(part))),
                );
            }
        }
        let device = result.text("device");
        errors.extend(check::faults(format!("{path}.device"), device, names::dns_label(device)));
    }
    errors.extend(reserved(new, old));
    for (index, device) in new.items("status.devices").iter().enumerate() {
        let place =
            |device: &Value| ["driver", "pool", "device", "shareID"].map(|field| device.text(field).to_string());
        let known = allocation.items("devices.results").iter().any(|result| place(result) == place(device));
        if !known {
            let [driver, pool, name, share] = place(device).map(|text| Value::from(text).to_string());
            let shown = format!("{{\"Driver\":{driver},\"Pool\":{pool},\"Device\":{name},\"ShareID\":{share}}}");
            let detail = "must be an allocated device in the claim";
            errors.push(FieldError::invalid_raw(format!("status.devices[{index}]"), shown, detail));
        }
    }
    let was = old.at("status.allocation");
    if !was.is_null() && !allocation.is_null() && was != allocation {
        errors.push(FieldError::invalid("status.allocation", allocation.clone(), "field is immutable"));
    }
    errors
}

/// Those for whom a claim is kept.
fn reserved(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = new.items("status.reservedFor");
    if list.len() > MAX_RESERVED {
        errors.push(FieldError::too_many("status.reservedFor", list.len(), MAX_RESERVED));
    }
    for (index, consumer) in list.iter().enumerate() {
        let path = format!("status.reservedFor[{index}]");
        for field in ["resource", "name", "uid"] {
            if consumer.text(field).is_empty() {
                errors.push(FieldError::required(format!("{path}.{field}"), ""));
            }
        }
        if list[..index].iter().any(|other| other.text("uid") == consumer.text("uid")) {
            errors.push(FieldError::duplicate(path, consumer.clone()));
        }
    }
    if !list.is_empty() && !new.has("status.allocation") {
        let detail = "may not be specified when `allocated` is not set";
        errors.push(FieldError::forbidden("status.reservedFor", detail));
    }
    let added = || list.iter().any(|consumer| !old.items("status.reservedFor").contains(consumer));
    if new.has("metadata.deletionTimestamp") && added() {
        let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        errors.push(FieldError::forbidden("status.reservedFor", detail));
    }
    errors
}

/// `request`, or `request/alternative`.
fn request_names(claim: &Value) -> Vec<String> {
    let requests = claim.items("spec.devices.requests").iter();
    requests
        .flat_map(|request| {
            let name = request.text("name");
            let inner = request.items("firstAvailable").iter().map(move |one| format!("{name}/{}", one.text("name")));
            std::iter::once(name.to_string()).chain(inner)
        })
        .collect()
}
