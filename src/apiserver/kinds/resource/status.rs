//! What schedulers and drivers report of claims.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/resource/validation`.

use std::net::IpAddr;

use serde_json::Value;

use super::super::core::pod::volume_sources::csi_driver_name;
use super::super::json::Json;
use super::super::{FieldError, check, conditions, names};

/// At most so many may share a claim.
const MAX_RESERVED: usize = 256;
/// At most so many conditions are reported of one device.
const MAX_CONDITIONS: usize = 8;

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
        errors.extend(pool(result.text("pool"), &format!("{path}.pool")));
        let device = result.text("device");
        errors.extend(check::faults(format!("{path}.device"), device, names::dns_label(device)));
    }
    for (index, config) in allocation.items("devices.config").iter().enumerate() {
        if !config.has("opaque") {
            errors.push(FieldError::required(format!("status.allocation.devices.config[{index}].opaque"), ""));
        }
    }
    errors.extend(reserved(new, old));
    for (index, device) in new.items("status.devices").iter().enumerate() {
        errors.extend(reported(device, allocation, &format!("status.devices[{index}]")));
    }
    let was = old.at("status.allocation");
    if !was.is_null() && !allocation.is_null() && was != allocation {
        errors.push(FieldError::invalid("status.allocation", allocation.clone(), "field is immutable"));
    }
    errors
}

/// What a driver reports of one device.
fn reported(device: &Value, allocation: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = csi_driver_name(device.text("driver"), &format!("{path}.driver"));
    errors.extend(pool(device.text("pool"), &format!("{path}.pool")));
    let name = device.text("device");
    errors.extend(check::faults(format!("{path}.device"), name, names::dns_label(name)));
    let share = device.text("shareID");
    if device.has("shareID") && !is_uuid(share) {
        let detail = "must be a lowercase UUID in 8-4-4-4-12 format";
        errors.push(FieldError::invalid(format!("{path}.shareID"), share, detail));
    }
    let place = |device: &Value| ["driver", "pool", "device", "shareID"].map(|field| device.text(field).to_string());
    if !allocation.items("devices.results").iter().any(|result| place(result) == place(device)) {
        let [driver, pool, name, share] = place(device).map(|text| Value::from(text).to_string());
        let shown = format!("{{\"Driver\":{driver},\"Pool\":{pool},\"Device\":{name},\"ShareID\":{share}}}");
        errors.push(FieldError::invalid_raw(path, shown, "must be an allocated device in the claim"));
    }
    let list = device.items("conditions");
    if list.len() > MAX_CONDITIONS {
        errors.push(FieldError::too_many(format!("{path}.conditions"), list.len(), MAX_CONDITIONS));
    }
    let conditions = conditions::validate(device, "conditions").into_iter();
    errors.extend(conditions.map(|error| FieldError { field: format!("{path}.{}", error.field), ..error }));
    for (index, ip) in device.items("networkData.ips").iter().enumerate() {
        let ip = ip.as_str().unwrap_or("");
        if !is_interface_address(ip) {
            let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
            errors.push(FieldError::invalid(format!("{path}.networkData.ips[{index}]"), ip, detail));
        }
    }
    errors
}

/// A pool's name: names of hosts, joined by `/`.
fn pool(name: &str, path: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    // Of a faulty part that part is shown.
    name.split('/').flat_map(|part| check::faults(path, part, names::dns_subdomain(part))).collect()
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hex = |group: &str| group.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.into_iter().all(hex)
}

/// An address and the length of its network: `10.9.8.7/24`.
fn is_interface_address(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u32>().is_ok_and(|bits| bits <= most)
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
