//! Endpoints: the addresses behind a Service, in one object; EndpointSlice took its place.

use serde_json::Value;

use crate::apiserver::kinds::json::Fill::Text;
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::{FieldError, Strategy, names};

/// Of Endpoints.
pub const STRATEGY: Strategy = Strategy {
    defaults: |endpoints, _| fill(endpoints, &[("subsets[].ports[].protocol", Text("TCP"))]),
    validate: |endpoints, _| validate(endpoints),
    validate_update: |new, _, _| validate(new),
    create_on_update: true,
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
                let ip = address.text("ip");
                for fault in names::ip(ip) {
                    errors.push(FieldError::invalid(format!("{path}.{list}[{at}].ip"), ip, fault));
                }
            }
        }
        let many = subset.items("ports").len() > 1;
        for (at, port) in subset.items("ports").iter().enumerate() {
            let path = format!("{path}.ports[{at}]");
            if many && port.text("name").is_empty() {
                errors.push(FieldError::required(format!("{path}.name"), ""));
            }
            let number = port.int("port").unwrap_or(0);
            for fault in names::port_number(number) {
                errors.push(FieldError::invalid(format!("{path}.port"), number, fault));
            }
        }
    }
    errors
}
