//! NetworkPolicy: who may talk to the Pods it selects.

use serde_json::{Value, json};

use crate::apiserver::kinds::core::pod::probes::port_or_name;
use crate::apiserver::kinds::core::pod::spec::supported;
use crate::apiserver::kinds::json::Fill::Text;
use crate::apiserver::kinds::json::{Json, fill, put};
use crate::apiserver::kinds::{Context, FieldError, Strategy, names, selectors};

/// Of NetworkPolicies.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |policy, _| validate(policy),
    validate_update: |new, _, _| validate(new),
    ..Strategy::WITH_GENERATION
};

fn defaults(policy: &mut Value, _: &Context) {
    fill(policy, &[("spec.ingress[].ports[].protocol", Text("TCP")), ("spec.egress[].ports[].protocol", Text("TCP"))]);
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
    }
    for (index, kind) in types.iter().enumerate() {
        let text = kind.as_str().unwrap_or("");
        if !["Ingress", "Egress"].contains(&text) {
            errors.push(FieldError::not_supported(format!("spec.policyTypes[{index}]"), text, &["Egress", "Ingress"]));
        }
    }
    errors
}

fn validate_port(port: &Value, path: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = supported(port, "protocol", path, &["SCTP", "TCP", "UDP"]).into_iter().collect();
    if port.has("port") {
        errors.extend(port_or_name(port.at("port"), &format!("{path}.port")));
    }
    if let Some(end) = port.int("endPort") {
        match port.int("port") {
            None => errors.push(FieldError::invalid(
                format!("{path}.endPort"),
                end,
                "may not be specified when `port` is not specified",
            )),
            Some(start) if end < start => errors.push(FieldError::invalid(
                format!("{path}.endPort"),
                end,
                "must be greater than or equal to `port`",
            )),
            Some(_) => {}
        }
    }
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
        let cidr = peer.text("ipBlock.cidr");
        for fault in names::cidr(cidr) {
            errors.push(FieldError::invalid(format!("{path}.ipBlock.cidr"), cidr, fault));
        }
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    } else if count > 1 && peer.has("ipBlock") {
        errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
    }
    errors
}
