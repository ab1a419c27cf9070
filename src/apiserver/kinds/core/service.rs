//! Service: a stable name and address for a set of Pods.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidateService`; addresses are given
//! out by [`super::service_addresses`].

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::service_rules;
use crate::apiserver::kinds::json::Fill::{Choice, Flag, Int, Text};
use crate::apiserver::kinds::json::{Json, copy, drop_at, fill, items_mut, put};
use crate::apiserver::kinds::{Context, NameRule, Strategy, Subresource, lifecycle};

/// Of Services.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_create: |service, context| {
        lifecycle::drop_status(service, context);
        normalize_ips(service, None);
        drop_internal_policy(service);
    },
    prepare_update: |new, old, _| {
        copy(new, old, "status");
        patch_allocated(new, old);
        normalize_ips(new, Some(old));
        drop_type_dependent(new, old);
        drop_internal_policy(new);
    },
    allocate: |service, old, context| context.addresses.assign(service, old, context),
    name: NameRule::Service,
    validate: |service, _| service_rules::validate(service),
    validate_update: |new, old, _| service_rules::validate_update(new, old),
    warnings,
    selectable_fields: |service| {
        vec![("spec.clusterIP", service.text("spec.clusterIP").into()), ("spec.type", service.text("spec.type").into())]
    },
    selectable_names: &["spec.clusterIP", "spec.type"],
    subresources: &[Subresource { validate: |new, _, _| service_rules::load_balancer(new), ..lifecycle::STATUS }],
    create_on_update: true,
    ..Strategy::PLAIN
};

fn warnings(service: &Value, _: Option<&Value>) -> Vec<String> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let spec = service.at("spec");
    let kind = spec.text("type");
    let headless = kind == "ClusterIP" && spec.text("clusterIP") == "None";
    let outer = !spec.items("externalIPs").is_empty();
    let mut warnings = Vec::new();
    let mut say = |said: bool, text: &str| warnings.extend(said.then(|| text.to_string()));
    let hints = format!("annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead");
    say(service.at("metadata.annotations").get(HINTS).is_some(), &hints);
    say(headless && !spec.text("loadBalancerIP").is_empty(), "spec.loadBalancerIP is ignored for headless services");
    say(headless && outer, "spec.externalIPs is ignored for headless services");
    let sticky = headless && spec.text("sessionAffinity") != "None";
    say(sticky, "spec.SessionAffinity is ignored for headless services");
    let deprecated = outer && !headless && kind != "ExternalName";
    say(deprecated, "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
    let external = kind == "ExternalName";
    say(external && outer, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    let named = !external && !spec.text("externalName").is_empty();
    say(named, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
    let close = "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"";
    say(spec.text("trafficDistribution") == "PreferClose", close);
    warnings
}

/// Whether clients outside the cluster reach it.
pub fn external(service: &Value) -> bool {
    let kind = service.text("spec.type");
    matches!(kind, "NodePort" | "LoadBalancer") || kind == "ClusterIP" && !service.items("spec.externalIPs").is_empty()
}

fn defaults(service: &mut Value, _: &Context) {
    for ingress in items_mut(service, "status.loadBalancer.ingress") {
        if !ingress.text("ip").is_empty() {
            fill(ingress, &[("ipMode", Choice("VIP"))]);
        }
    }
    fill(service, &[("spec.sessionAffinity", Text("None")), ("spec.type", Text("ClusterIP"))]);
    match service.text("spec.sessionAffinity") {
        "ClientIP" => fill(service, &[("spec.sessionAffinityConfig+.clientIP+.timeoutSeconds", Int(10800))]),
        "None" => {
            drop_at(service, "spec.sessionAffinityConfig");
        }
        _ => {}
    }
    let kind = service.text("spec.type").to_string();
    if let Some(spec) = service.get_mut("spec") {
        for port in items_mut(spec, "ports") {
            fill(port, &[("protocol", Text("TCP"))]);
            if matches!(port.at("targetPort"), Value::Null)
                || port.at("targetPort") == &json!(0)
                || port.at("targetPort") == &json!("")
            {
                let number = port.at("port").clone();
                put(port, "targetPort", number);
            }
        }
    }
    if external(service) {
        fill(service, &[("spec.externalTrafficPolicy", Text("Cluster"))]);
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        fill(service, &[("spec.internalTrafficPolicy", Choice("Cluster"))]);
    }
    if kind == "LoadBalancer" {
        fill(service, &[("spec.allocateLoadBalancerNodePorts", Flag(true))]);
    }
}

/// A mere name routes nothing. Kubernetes keeps the policy and hides it from readers.
fn drop_internal_policy(service: &mut Value) {
    let known = matches!(service.text("spec.internalTrafficPolicy"), "Cluster" | "Local");
    if known && service.text("spec.type") == "ExternalName" {
        drop_at(service, "spec.internalTrafficPolicy");
    }
}

/// A client that knows only `clusterIP` still gets `clusterIPs`, and may change or clear both.
fn normalize_ips(service: &mut Value, old: Option<&Value>) {
    let ip = service.text("spec.clusterIP").to_string();
    let ips = service.items("spec.clusterIPs").to_vec();
    let Some(old) = old else {
        if !ip.is_empty() && ips.is_empty() {
            put(service, "spec.clusterIPs", json!([ip]));
        }
        return;
    };
    let (old_ip, old_ips) = (old.text("spec.clusterIP"), old.items("spec.clusterIPs"));
    let same_ips = ips == old_ips;
    if !old_ip.is_empty() && ip.is_empty() && same_ips {
        drop_at(service, "spec.clusterIPs");
    } else if ip != old_ip && !ip.is_empty() && same_ips {
        put(service, "spec.clusterIPs", json!([ip]));
    }
}

/// An update that leaves out what was given out keeps it, when the type still needs it.
fn patch_allocated(new: &mut Value, old: &Value) {
    let needs_ip = |service: &Value| matches!(service.text("spec.type"), "ClusterIP" | "NodePort" | "LoadBalancer");
    if needs_ip(old) && needs_ip(new) {
        if new.text("spec.clusterIP").is_empty() {
            copy(new, old, "spec.clusterIP");
        }
        if new.items("spec.clusterIPs").is_empty() {
            copy(new, old, "spec.clusterIPs");
        }
    }
    if has_node_ports(old) && has_node_ports(new) {
        let used =
            |service: &Value, port: &Value| service.items("spec.ports").iter().any(|one| one.at("nodePort") == port);
        // What a port had, by its name, unless another port has it now.
        let known: Vec<(String, Value)> = old
            .items("spec.ports")
            .iter()
            .filter(|port| port.int("nodePort").unwrap_or(0) != 0 && !used(new, port.at("nodePort")))
            .map(|port| (port.text("name").to_string(), port.at("nodePort").clone()))
            .collect();
        for port in items_mut(new, "spec.ports").filter(|port| port.int("nodePort").unwrap_or(0) == 0) {
            if let Some((_, number)) = known.iter().rev().find(|(name, _)| name == port.text("name")) {
                put(port, "nodePort", number.clone());
            }
        }
    }
    let checked = |service: &Value| {
        service.text("spec.type") == "LoadBalancer" && service.text("spec.externalTrafficPolicy") == "Local"
    };
    if checked(old) && checked(new) && new.int("spec.healthCheckNodePort").unwrap_or(0) == 0 {
        copy(new, old, "spec.healthCheckNodePort");
    }
    if !new.has("spec.ipFamilies") && new.text("spec.type") != "ExternalName" {
        copy(new, old, "spec.ipFamilies");
    }
    if !new.has("spec.ipFamilyPolicy") && new.text("spec.type") != "ExternalName" {
        copy(new, old, "spec.ipFamilyPolicy");
    }
}

/// Whether its ports may be open on every node; a balanced Service that asks for none may keep those it had.
fn has_node_ports(service: &Value) -> bool {
    matches!(service.text("spec.type"), "NodePort" | "LoadBalancer")
}

/// What the old type needed and the new one does not goes, where the client left it as it was.
fn drop_type_dependent(new: &mut Value, old: &Value) {
    let has_ip = |service: &Value| service.text("spec.type") != "ExternalName";
    let balances = |service: &Value| service.text("spec.type") == "LoadBalancer";
    let checks = |service: &Value| balances(service) && service.text("spec.externalTrafficPolicy") == "Local";
    let same = |new: &Value, field: &str| new.at(field) == old.at(field);
    if has_ip(old) && !has_ip(new) {
        if same(new, "spec.clusterIP") && same(new, "spec.clusterIPs") {
            drop_at(new, "spec.clusterIP");
            drop_at(new, "spec.clusterIPs");
        }
        for field in ["spec.ipFamilies", "spec.ipFamilyPolicy"] {
            if same(new, field) {
                drop_at(new, field);
            }
        }
    }
    let ports = |service: &Value| -> BTreeSet<i64> {
        service.items("spec.ports").iter().filter_map(|port| port.int("nodePort").filter(|port| *port != 0)).collect()
    };
    if has_node_ports(old)
        && !has_node_ports(new)
        && ports(old) == ports(new)
        && let Some(spec) = new.get_mut("spec")
    {
        for port in items_mut(spec, "ports") {
            drop_at(port, "nodePort");
        }
    }
    if checks(old) && !checks(new) && same(new, "spec.healthCheckNodePort") {
        drop_at(new, "spec.healthCheckNodePort");
    }
    if external(old) && !external(new) && same(new, "spec.externalTrafficPolicy") {
        drop_at(new, "spec.externalTrafficPolicy");
    }
    if balances(old) && !balances(new) {
        for field in ["spec.allocateLoadBalancerNodePorts", "spec.loadBalancerClass"] {
            if same(new, field) {
                drop_at(new, field);
            }
        }
    }
}
