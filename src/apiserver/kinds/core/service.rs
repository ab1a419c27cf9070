//! Service: a stable name and address for a set of Pods.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidateService`; addresses are given
//! out by [`super::service_addresses`].

use std::collections::HashSet;

use serde_json::{Value, json};

use super::pod::probes::port_or_name;
use super::pod::spec::supported;
use crate::apiserver::kinds::json::Fill::{Flag, Int, Text};
use crate::apiserver::kinds::json::{Json, copy, drop_at, fill, items_mut, put};
use crate::apiserver::kinds::{Context, FieldError, NameRule, Strategy, lifecycle, metadata, names};

/// Of Services.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_create: |service, context| {
        lifecycle::drop_status(service, context);
        normalize_ips(service, None);
        drop_type_dependent(service);
    },
    prepare_update: |new, old, _| {
        copy(new, old, "status");
        patch_allocated(new, old);
        normalize_ips(new, Some(old));
        drop_type_dependent(new);
    },
    allocate: |service, old, context| context.addresses.assign(service, old, context),
    name: NameRule::Service,
    validate: |service, _| validate(service),
    validate_update: |new, old, _| {
        let mut errors = addresses_kept(new, old);
        errors.extend(validate(new));
        errors
    },
    selectable_fields: |service| {
        vec![("spec.clusterIP", service.text("spec.clusterIP").into()), ("spec.type", service.text("spec.type").into())]
    },
    selectable_names: &["spec.clusterIP", "spec.type"],
    subresources: &[lifecycle::STATUS],
    create_on_update: true,
    ..Strategy::PLAIN
};

fn external(service: &Value) -> bool {
    let kind = service.text("spec.type");
    matches!(kind, "NodePort" | "LoadBalancer") || kind == "ClusterIP" && !service.items("spec.externalIPs").is_empty()
}

fn defaults(service: &mut Value, _: &Context) {
    for ingress in items_mut(service, "status.loadBalancer.ingress") {
        if !ingress.text("ip").is_empty() {
            fill(ingress, &[("ipMode", Text("VIP"))]);
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
        fill(service, &[("spec.internalTrafficPolicy", Text("Cluster"))]);
    }
    if kind == "LoadBalancer" {
        fill(service, &[("spec.allocateLoadBalancerNodePorts", Flag(true))]);
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
    if needs_ip(old)
        && needs_ip(new)
        && new.text("spec.clusterIP").is_empty()
        && new.items("spec.clusterIPs").is_empty()
    {
        copy(new, old, "spec.clusterIP");
        copy(new, old, "spec.clusterIPs");
    }
    let needs_ports = |service: &Value| matches!(service.text("spec.type"), "NodePort" | "LoadBalancer");
    if needs_ports(old) && needs_ports(new) {
        let known = old.items("spec.ports").to_vec();
        let used: Vec<Value> = new.items("spec.ports").iter().map(|port| port.at("nodePort").clone()).collect();
        if let Some(spec) = new.get_mut("spec") {
            for port in items_mut(spec, "ports") {
                if port.int("nodePort").unwrap_or(0) != 0 {
                    continue;
                }
                let same = known
                    .iter()
                    .find(|was| was.at("port") == port.at("port") && was.text("protocol") == port.text("protocol"));
                if let Some(was) = same
                    && was.has("nodePort")
                    && !used.contains(was.at("nodePort"))
                {
                    put(port, "nodePort", was.at("nodePort").clone());
                }
            }
        }
    }
    if !new.has("spec.ipFamilies") && new.text("spec.type") != "ExternalName" {
        copy(new, old, "spec.ipFamilies");
    }
    if !new.has("spec.ipFamilyPolicy") && new.text("spec.type") != "ExternalName" {
        copy(new, old, "spec.ipFamilyPolicy");
    }
}

/// Fields that only mean something for some types.
fn drop_type_dependent(service: &mut Value) {
    let kind = service.text("spec.type").to_string();
    if kind == "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            drop_at(service, &format!("spec.{field}"));
        }
    }
    if kind != "LoadBalancer" {
        drop_at(service, "spec.allocateLoadBalancerNodePorts");
        drop_at(service, "spec.loadBalancerClass");
    }
}

fn validate(service: &Value) -> Vec<FieldError> {
    let spec = service.at("spec");
    let kind = spec.text("type");
    let headless = spec.text("clusterIP") == "None";
    let mut errors = Vec::new();
    if spec.items("ports").is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => errors.push(FieldError::invalid(
            "spec.clusterIPs[0]",
            "None",
            format!("may not be set to 'None' for {kind} services"),
        )),
        "ExternalName" => errors.extend(external_name(spec)),
        _ => {}
    }
    errors.extend(ports(spec));
    errors.extend(metadata::labels(spec.at("selector"), "spec.selector"));
    if spec.text("sessionAffinity").is_empty() {
        errors.push(FieldError::required("spec.sessionAffinity", ""));
    } else {
        errors.extend(supported(spec, "sessionAffinity", "spec", &["ClientIP", "None"]));
    }
    errors.extend(cluster_ips(spec));
    for (index, ip) in spec.items("externalIPs").iter().enumerate() {
        let ip = ip.as_str().unwrap_or("");
        for fault in names::ip(ip) {
            errors.push(FieldError::invalid(format!("spec.externalIPs[{index}]"), ip, fault));
        }
    }
    if kind.is_empty() {
        errors.push(FieldError::required("spec.type", ""));
    } else {
        errors.extend(supported(spec, "type", "spec", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]));
    }
    errors.extend(traffic_policies(service));
    errors
}

fn external_name(spec: &Value) -> Vec<FieldError> {
    let name = spec.text("externalName");
    if name.is_empty() {
        return vec![FieldError::required("spec.externalName", "")];
    }
    let trimmed = name.strip_suffix('.').unwrap_or(name);
    names::dns_subdomain(trimmed)
        .into_iter()
        .map(|fault| FieldError::invalid("spec.externalName", name, fault))
        .collect()
}

fn ports(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = spec.items("ports");
    let mut names_seen = HashSet::new();
    for (index, port) in list.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = port.text("name");
        if name.is_empty() {
            if list.len() > 1 {
                errors.push(FieldError::required(format!("{path}.name"), ""));
            }
        } else {
            for fault in names::dns_label(name) {
                errors.push(FieldError::invalid(format!("{path}.name"), name, fault));
            }
            if !names_seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        let number = port.int("port").unwrap_or(0);
        for fault in names::port_number(number) {
            errors.push(FieldError::invalid(format!("{path}.port"), number, fault));
        }
        errors.extend(supported(port, "protocol", &path, &["SCTP", "TCP", "UDP"]));
        errors.extend(port_or_name(port.at("targetPort"), &format!("{path}.targetPort")));
        let node_port = port.int("nodePort").unwrap_or(0);
        if node_port != 0 && matches!(spec.text("type"), "ClusterIP" | "ExternalName") {
            let detail = format!("may not be used when `type` is '{}'", spec.text("type"));
            errors.push(FieldError::forbidden(format!("{path}.nodePort"), detail));
        }
        let twin =
            |other: &Value| other.at("port") == port.at("port") && other.text("protocol") == port.text("protocol");
        if list[..index].iter().any(twin) {
            errors
                .push(FieldError::duplicate(path.clone(), json!({"port": number, "protocol": port.text("protocol")})));
        }
        let node_twin = |other: &Value| {
            node_port != 0
                && other.int("nodePort") == Some(node_port)
                && other.text("protocol") == port.text("protocol")
        };
        if list[..index].iter().any(node_twin) {
            errors.push(FieldError::duplicate(format!("{path}.nodePort"), node_port));
        }
    }
    errors
}

fn cluster_ips(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = spec.items("clusterIPs");
    let kind = spec.text("type");
    if kind == "ExternalName" {
        return errors;
    }
    if let Some(first) = list.first()
        && first.as_str() != Some(spec.text("clusterIP"))
    {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", first.clone(), "first value must match `clusterIP`"));
    }
    for (index, ip) in list.iter().enumerate() {
        let text = ip.as_str().unwrap_or("");
        if text == "None" {
            continue;
        }
        for fault in names::ip(text) {
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{index}]"), text, fault));
        }
    }
    errors
}

fn traffic_policies(service: &Value) -> Vec<FieldError> {
    let spec = service.at("spec");
    let mut errors = Vec::new();
    let outer = spec.text("externalTrafficPolicy");
    if !outer.is_empty() {
        if !external(service) {
            errors.push(FieldError::invalid(
                "spec.externalTrafficPolicy",
                outer,
                "may only be set for externally-accessible services",
            ));
        } else {
            errors.extend(supported(spec, "externalTrafficPolicy", "spec", &["Cluster", "Local"]));
        }
    }
    let health = spec.int("healthCheckNodePort").unwrap_or(0);
    if health != 0 && !(spec.text("type") == "LoadBalancer" && outer == "Local") {
        errors.push(FieldError::invalid(
            "spec.healthCheckNodePort",
            health,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ));
    }
    errors.extend(supported(spec, "internalTrafficPolicy", "spec", &["Cluster", "Local"]));
    if let Some(seconds) = spec.int("sessionAffinityConfig.clientIP.timeoutSeconds")
        && !(1..=86400).contains(&seconds)
    {
        errors.push(FieldError::invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            seconds,
            "must be greater than 0 and less than or equal to 86400",
        ));
    }
    errors
}

/// A cluster IP stays, as long as the type keeps having one.
fn addresses_kept(new: &Value, old: &Value) -> Vec<FieldError> {
    let with_ip = |service: &Value| service.text("spec.type") != "ExternalName";
    if !with_ip(new) || !with_ip(old) {
        return Vec::new();
    }
    let (now, was) = (new.items("spec.clusterIPs"), old.items("spec.clusterIPs"));
    match (now.first(), was.first()) {
        (Some(now), Some(was)) if now != was => {
            vec![FieldError::invalid(
                "spec.clusterIPs[0]",
                Value::Array(new.items("spec.clusterIPs").to_vec()),
                "may not change once set",
            )]
        }
        (None, Some(_)) => {
            vec![FieldError::invalid("spec.clusterIPs[0]", Value::Null, "primary clusterIP can not be unset")]
        }
        _ => Vec::new(),
    }
}
