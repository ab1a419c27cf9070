//! NetworkPolicy: who may talk to the Pods it selects.

use serde_json::{Value, json};

use crate::apiserver::kinds::core::pod::probes::port_or_name;
use crate::apiserver::kinds::core::pod::spec::supported;
use crate::apiserver::kinds::json::Fill::Choice;
use crate::apiserver::kinds::json::{Json, fill, put};
use crate::apiserver::kinds::{Context, FieldError, Strategy, check, names, selectors};

/// Of NetworkPolicies.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |policy, _| validate(policy),
    validate_update: |new, _, _| validate(new),
    exact: "spec",
    ..Strategy::WITH_GENERATION
};

fn defaults(policy: &mut Value, _: &Context) {
    fill(
        policy,
        &[("spec.ingress[].ports[].protocol", Choice("TCP")), ("spec.egress[].ports[].protocol", Choice("TCP"))],
    );
    if policy.items("spec.policyTypes").is_empty() {
        let both = !policy.items("spec.egress").is_empty();
        put(policy, "spec.policyTypes", if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    }
}

fn validate(policy: &Value) -> Vec<FieldError> {
    let spec = policy.at("spec");
    let mut errors = selectors::validate(spec.at("podSelector"), "spec.podSelector");
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in spec.items(direction).iter().enumerate() {
            let path = format!("spec.{direction}[{index}]");
            for (at, port) in rule.items("ports").iter().enumerate() {
                errors.extend(validate_port(port, &format!("{path}.ports[{at}]")));
            }
            for (at, peer) in rule.items(peers).iter().enumerate() {
                errors.extend(validate_peer(peer, &format!("{path}.{peers}[{at}]")));
            }
        }
    }
    let types = spec.items("policyTypes");
    if types.len() > 2 {
        let shown = Value::Array(types.to_vec());
        errors.push(FieldError::invalid("spec.policyTypes", shown, "may not specify more than two policyTypes"));
        return errors;
    }
    for (index, kind) in types.iter().enumerate() {
        let text = kind.as_str().unwrap_or("");
        if !["Ingress", "Egress"].contains(&text) {
            errors.push(FieldError::not_supported(format!("spec.policyTypes[{index}]"), text, &["Ingress", "Egress"]));
        }
    }
    errors
}

fn validate_port(port: &Value, path: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = supported(port, "protocol", path, &["TCP", "UDP", "SCTP"]).into_iter().collect();
    if port.has("port") {
        errors.extend(port_or_name(port.at("port"), &format!("{path}.port")));
    }
    let Some(end) = port.int("endPort") else { return errors };
    let at = format!("{path}.endPort");
    let detail = match (port.has("port"), port.int("port")) {
        (false, _) => "may not be specified when `port` is not specified",
        (true, None) => "may not be specified when `port` is non-numeric",
        (true, Some(start)) => {
            errors.extend(check::between(port, "endPort", path, 1, 65535));
            if end >= start {
                return errors;
            }
            "must be greater than or equal to `port`"
        }
    };
    errors.push(FieldError::invalid(at, end, detail));
    errors
}

fn validate_peer(peer: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut count = 0;
    for which in ["podSelector", "namespaceSelector"] {
        if peer.has(which) {
            count += 1;
            errors.extend(selectors::validate(peer.at(which), &format!("{path}.{which}")));
        }
    }
    if peer.has("ipBlock") {
        count += 1;
        errors.extend(ip_block(peer.at("ipBlock"), &format!("{path}.ipBlock")));
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    } else if count > 1 && peer.has("ipBlock") {
        errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
    }
    errors
}

fn ip_block(block: &Value, path: &str) -> Vec<FieldError> {
    let cidr = block.text("cidr");
    if cidr.is_empty() {
        return vec![FieldError::required(format!("{path}.cidr"), "")];
    }
    let mut errors: Vec<FieldError> = check::faults(format!("{path}.cidr"), cidr, names::cidr(cidr)).collect();
    let Some(whole) = network(cidr) else { return errors };
    for (index, except) in block.items("except").iter().enumerate() {
        let (except, at) = (except.as_str().unwrap_or(""), format!("{path}.except[{index}]"));
        errors.extend(check::faults(at.as_str(), except, names::cidr(except)));
        let Some(part) = network(except) else { continue };
        let prefix = |number: u128| number.checked_shr(whole.0 - whole.2).unwrap_or(0);
        if whole.0 != part.0 || part.2 <= whole.2 || prefix(part.1) != prefix(whole.1) {
            errors.push(FieldError::invalid(at, except, "must be a strict subset of `cidr`"));
        }
    }
    errors
}

/// The bits of the family's addresses, the address, the prefix's length.
fn network(cidr: &str) -> Option<(u32, u128, u32)> {
    let (address, length) = cidr.split_once('/')?;
    let length = length.parse().ok()?;
    Some(match address.parse().ok()? {
        std::net::IpAddr::V4(address) => (32, u128::from(u32::from(address)), length),
        std::net::IpAddr::V6(address) => (128, u128::from(address), length),
    })
}
