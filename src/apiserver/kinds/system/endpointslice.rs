//! EndpointSlice: up to a thousand of the addresses behind a Service.

use serde_json::Value;

use crate::api::meta;
use crate::apiserver::kinds::core::service_rules::endpoint_ip;
use crate::apiserver::kinds::json::Fill::{Choice, Empty, Text};
use crate::apiserver::kinds::json::{Json, fill, items_mut};
use crate::apiserver::kinds::metadata::declared_immutable;
use crate::apiserver::kinds::{FieldError, Strategy, check, lifecycle, metadata, names};

/// Of EndpointSlices.
pub const STRATEGY: Strategy = Strategy {
    defaults: |slice, _| {
        fill(
            slice,
            &[("ports[].name", Text("")), ("ports[].protocol", Choice("TCP")), ("endpoints[].conditions", Empty)],
        );
    },
    prepare_create: |slice, context| {
        lifecycle::only_generation(slice, context);
        drop_topology(slice, None);
    },
    prepare_update: |new, old, context| {
        drop_topology(new, Some(old));
        lifecycle::count_generation(new, old, context);
        if new.at("metadata.labels") != old.at("metadata.labels") {
            meta::set_generation(new, meta::generation(old) + 1);
        }
    },
    validate: |slice, _| validate(slice),
    validate_update: |new, old, _| {
        // Addresses of another type than before say nothing.
        match declared_immutable(new, old, "addressType") {
            Some(error) => {
                let judged = validate(new).into_iter().filter(|error| error.field == "addressType");
                judged.chain([error]).collect()
            }
            None => validate(new),
        }
    },
    warnings: |slice, old| match slice.text("addressType") {
        "FQDN" if old.is_none() => vec!["spec.addressType: FQDN endpoints are deprecated".to_string()],
        _ => Vec::new(),
    },
    whole_again: true,
    ..Strategy::WITH_GENERATION
};

/// `v1` writes no topology; an endpoint whose topology named its node before keeps the node.
fn drop_topology(slice: &mut Value, old: Option<&Value>) {
    let host = |endpoint: &Value| endpoint["deprecatedTopology"]["kubernetes.io/hostname"].as_str().map(str::to_owned);
    let before = old.map(|old| old.items("endpoints")).unwrap_or_default();
    if old.is_some() && before == slice.items("endpoints") {
        return;
    }
    let known: Vec<String> = before.iter().filter_map(host).filter(|node| !node.is_empty()).collect();
    for endpoint in items_mut(slice, "endpoints") {
        let node = host(endpoint).filter(|node| known.contains(node));
        let Some(fields) = endpoint.as_object_mut() else { continue };
        fields.shift_remove("deprecatedTopology");
        if let Some(node) = node.filter(|node| names::dns_subdomain(node).is_empty()) {
            fields.entry("nodeName").or_insert(node.into());
        }
    }
}

fn validate(slice: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = slice.text("addressType");
    if kind.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !["FQDN", "IPv4", "IPv6"].contains(&kind) {
        errors.push(FieldError::not_supported("addressType", kind, &["FQDN", "IPv4", "IPv6"]));
    }
    let list = slice.items("endpoints");
    if list.len() > 1000 {
        errors.push(FieldError::too_many("endpoints", list.len(), 1000));
    }
    for (index, endpoint) in list.iter().enumerate() {
        errors.extend(validate_endpoint(endpoint, kind, &format!("endpoints[{index}]")));
    }
    let ports = slice.items("ports");
    for (index, port) in ports.iter().enumerate() {
        let path = format!("ports[{index}]");
        let name = port.text("name");
        if !name.is_empty() {
            errors.extend(check::faults(format!("{path}.name"), name, names::dns_label(name)));
        }
        if ports[..index].iter().any(|other| other.text("name") == name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        // An empty text is there, and is no protocol.
        let protocols = ["SCTP", "TCP", "UDP"];
        if let Some(protocol) = port.at("protocol").as_str().filter(|protocol| !protocols.contains(protocol)) {
            errors.push(FieldError::not_supported(format!("{path}.protocol"), protocol, &protocols));
        }
        if port.has("appProtocol") {
            let protocol = port.text("appProtocol");
            errors.extend(check::faults(format!("{path}.appProtocol"), protocol, names::qualified_name(protocol)));
        }
    }
    errors
}

fn validate_endpoint(endpoint: &Value, kind: &str, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let addresses = endpoint.items("addresses");
    let list = format!("{path}.addresses");
    if addresses.is_empty() {
        errors.push(FieldError::required(list.as_str(), ""));
    } else if addresses.len() > 100 {
        errors.push(FieldError::too_many(list.as_str(), addresses.len(), 100));
    }
    for (at, address) in addresses.iter().enumerate() {
        let text = address.as_str().unwrap_or("");
        let faults = match kind {
            "IPv4" => names::ip(text),
            "IPv6" => names::strict_ip(text),
            "FQDN" => fully_qualified(text),
            _ => continue,
        };
        let other = match text.parse::<std::net::IpAddr>() {
            Ok(ip) if kind == "IPv4" && !ip.is_ipv4() => Some("must be an IPv4 address"),
            Ok(ip) if kind == "IPv6" && !ip.is_ipv6() => Some("must be an IPv6 address"),
            _ => None,
        };
        if let Some(detail) = other.filter(|_| faults.is_empty()) {
            errors.push(FieldError::invalid(list.as_str(), text, detail));
        }
        let at = format!("{list}[{at}]");
        let faults = if faults.is_empty() && kind != "FQDN" { endpoint_ip(text) } else { faults };
        errors.extend(check::faults(at, text, faults));
    }
    if endpoint.has("nodeName") {
        let node = endpoint.text("nodeName");
        errors.extend(check::faults(format!("{path}.nodeName"), node, names::dns_subdomain(node)));
    }
    if endpoint.has("hostname") {
        let host = endpoint.text("hostname");
        errors.extend(check::faults(format!("{path}.hostname"), host, names::dns_label(host)));
    }
    errors.extend(metadata::labels(endpoint.at("deprecatedTopology"), &format!("{path}.deprecatedTopology")));
    for (list, rule) in
        [("forZones", names::label_value as fn(&str) -> Vec<String>), ("forNodes", names::dns_subdomain)]
    {
        let hints = endpoint.items(&format!("hints.{list}"));
        if hints.len() > 8 {
            errors.push(FieldError::too_many(format!("{path}.hints.{list}"), hints.len(), 8));
        }
        for (at, hint) in hints.iter().enumerate() {
            let (name, at_name) = (hint.text("name"), format!("{path}.hints.{list}[{at}].name"));
            if hints[..at].iter().any(|other| other.text("name") == name) {
                errors.push(FieldError::duplicate(at_name.as_str(), name));
            }
            errors.extend(check::faults(at_name, name, rule(name)));
        }
    }
    errors
}

/// A domain of at least two parts, with or without its last dot.
fn fully_qualified(text: &str) -> Vec<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return vec![String::new()];
    }
    let faults = names::dns_subdomain(name);
    if faults.is_empty() && !name.contains('.') {
        return vec!["should be a domain with at least two segments separated by dots".to_string()];
    }
    faults
}
