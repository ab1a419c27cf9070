//! Endpoints: the addresses behind a Service, in one object; EndpointSlice took its place.

use serde_json::Value;

use super::service_rules::endpoint_ip;
use crate::apiserver::kinds::json::Fill::Text;
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::{FieldError, Strategy, check, names};

/// Of Endpoints.
pub const STRATEGY: Strategy = Strategy {
    defaults: |endpoints, _| fill(endpoints, &[("subsets[].ports[].protocol", Text("TCP"))]),
    validate: |endpoints, _| validate(endpoints),
    validate_update: |new, _, _| validate(new),
    create_on_update: true,
    whole_again: true,
    ..Strategy::PLAIN
};

fn validate(endpoints: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, subset) in endpoints.items("subsets").iter().enumerate() {
        let path = format!("subsets[{index}]");
        if subset.items("addresses").is_empty() && subset.items("notReadyAddresses").is_empty() {
            errors.push(FieldError::required(path.clone(), "must specify `addresses` or `notReadyAddresses`"));
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (at, address) in subset.items(list).iter().enumerate() {
                errors.extend(validate_address(address, &format!("{path}.{list}[{at}]")));
            }
        }
        let many = subset.items("ports").len() > 1;
        for (at, port) in subset.items("ports").iter().enumerate() {
            let path = format!("{path}.ports[{at}]");
            let name = port.text("name");
            if !name.is_empty() {
                errors.extend(check::faults(format!("{path}.name"), name, names::dns_label(name)));
            } else if many {
                errors.push(FieldError::required(format!("{path}.name"), ""));
            }
            let number = port.int("port").unwrap_or(0);
            for fault in names::port_number(number) {
                errors.push(FieldError::invalid(format!("{path}.port"), number, fault));
            }
            errors.extend(check::choice(port, "protocol", &path, &["SCTP", "TCP", "UDP"]));
            if port.has("appProtocol") {
                let protocol = port.text("appProtocol");
                errors.extend(check::faults(format!("{path}.appProtocol"), protocol, names::qualified_name(protocol)));
            }
        }
    }
    errors
}

fn validate_address(address: &Value, path: &str) -> Vec<FieldError> {
    let ip = address.text("ip");
    let at = format!("{path}.ip");
    let mut errors: Vec<FieldError> = check::faults(at.as_str(), ip, names::ip(ip)).collect();
    let again = if ip.parse::<std::net::IpAddr>().is_err() && names::ip(ip) != ["must not have leading 0s"] {
        vec!["must be a valid IP address".to_string()]
    } else {
        endpoint_ip(ip)
    };
    errors.extend(check::faults(at, ip, again));
    let (host, node) = (address.text("hostname"), address.text("nodeName"));
    if !host.is_empty() {
        errors.extend(check::faults(format!("{path}.hostname"), host, names::dns_label(host)));
    }
    if address.has("nodeName") {
        errors.extend(check::faults(format!("{path}.nodeName"), node, names::dns_subdomain(node)));
    }
    errors
}
