//! EndpointSlice: up to a thousand of the addresses behind a Service.

use serde_json::Value;

use crate::api::meta;
use crate::apiserver::kinds::core::pod::spec::supported;
use crate::apiserver::kinds::json::Fill::{Empty, Text};
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::metadata::immutable;
use crate::apiserver::kinds::{FieldError, Strategy, lifecycle, names};

/// Of EndpointSlices.
pub const STRATEGY: Strategy = Strategy {
    defaults: |slice, _| {
        fill(
            slice,
            &[("ports[].name", Text("")), ("ports[].protocol", Text("TCP")), ("endpoints[].conditions", Empty)],
        );
    },
    prepare_update: |new, old, context| {
        lifecycle::count_generation(new, old, context);
        let meta_changed = ["metadata.labels", "metadata.annotations"].iter().any(|path| new.at(path) != old.at(path));
        if meta_changed {
            meta::set_generation(new, meta::generation(old) + 1);
        }
    },
    validate: |slice, _| validate(slice),
    validate_update: |new, old, _| {
        let mut errors = validate(new);
        if immutable(new, old, "addressType").is_some() {
            errors.push(FieldError::invalid("addressType", Value::Null, "field is immutable"));
        }
        errors
    },
    ..Strategy::WITH_GENERATION
};

fn validate(slice: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = slice.text("addressType");
    if kind.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else {
        errors.extend(supported(slice, "addressType", "", &["FQDN", "IPv4", "IPv6"]).map(|mut error| {
            error.field = "addressType".to_string();
            error
        }));
    }
    let list = slice.items("endpoints");
    if list.len() > 1000 {
        errors.push(FieldError::too_many("endpoints", list.len(), 1000));
    }
    for (index, endpoint) in list.iter().enumerate() {
        let path = format!("endpoints[{index}]");
        let addresses = endpoint.items("addresses");
        if addresses.is_empty() {
            errors.push(FieldError::required(format!("{path}.addresses"), ""));
        }
        for (at, address) in addresses.iter().enumerate() {
            let text = address.as_str().unwrap_or("");
            let faults = match kind {
                "IPv4" | "IPv6" => names::ip(text),
                "FQDN" => names::dns_subdomain(text),
                _ => Vec::new(),
            };
            let at = format!("{path}.addresses[{at}]");
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(at.clone(), text, fault)));
        }
    }
    for (index, port) in slice.items("ports").iter().enumerate() {
        let path = format!("ports[{index}]");
        let name = port.text("name");
        if !name.is_empty() {
            for fault in names::dns_label(name) {
                errors.push(FieldError::invalid(format!("{path}.name"), name, fault));
            }
        }
        errors.extend(supported(port, "protocol", &path, &["SCTP", "TCP", "UDP"]));
    }
    errors
}
