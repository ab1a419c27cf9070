//! What is wrong with a Service, new or changed.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidateService` and its neighbours.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::pod::probes::port_or_name;
use super::pod::spec::supported;
use super::service::external;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, metadata, names};

const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";

fn is_headless(service: &Value) -> bool {
    matches!(service.items("spec.clusterIPs"), [only] if only == "None")
}

/// What is wrong with a Service.
pub fn validate(service: &Value) -> Vec<FieldError> {
    let spec = service.at("spec");
    let kind = spec.text("type");
    let mut errors: Vec<FieldError> = topology_annotations(service).into_iter().collect();
    if spec.items("ports").is_empty() && !is_headless(service) && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(service) => errors.push(FieldError::invalid(
            "spec.clusterIPs[0]",
            "None",
            format!("may not be set to 'None' for {kind} services"),
        )),
        "ExternalName" => errors.extend(external_name(spec)),
        _ => {}
    }
    errors.extend(ports(spec));
    errors.extend(metadata::labels(spec.at("selector"), "spec.selector"));
    errors.extend(check::choice(spec, "sessionAffinity", "spec", &["ClientIP", "None"]));
    errors.extend(affinity(spec));
    errors.extend(cluster_ips(service));
    for (index, ip) in spec.items("externalIPs").iter().enumerate() {
        let ip = ip.as_str().unwrap_or("");
        let faults = match names::ip(ip) {
            unreadable if !unreadable.is_empty() => unreadable,
            _ => endpoint_ip(ip),
        };
        errors.extend(check::faults(format!("spec.externalIPs[{index}]"), ip, faults));
    }
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    errors.extend(check::choice(spec, "type", "spec", &kinds));
    errors.extend(load_balancer_only(service));
    errors.extend(traffic_policies(service));
    errors
}

fn topology_annotations(service: &Value) -> Option<FieldError> {
    let text = |key: &str| service.at("metadata.annotations").get(key).and_then(Value::as_str);
    let (mode, hints) = (text(TOPOLOGY_MODE)?, text(TOPOLOGY_HINTS)?);
    (mode != hints).then(|| {
        let detail = format!("must match annotations[{TOPOLOGY_HINTS}] when both are specified");
        FieldError::invalid(format!("metadata.annotations[{TOPOLOGY_MODE}]"), mode, detail)
    })
}

fn external_name(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if spec.has(field) && spec.at(field).as_array().is_none_or(|list| !list.is_empty()) {
            let detail = "may not be set for ExternalName services";
            errors.push(FieldError::forbidden(format!("spec.{field}"), detail));
        }
    }
    let name = spec.text("externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        errors.push(FieldError::required("spec.externalName", ""));
    } else {
        errors.extend(check::faults("spec.externalName", name, names::dns_subdomain(name)));
    }
    errors
}

fn ports(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = spec.items("ports");
    let mut names_seen = HashSet::new();
    for (index, port) in list.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = port.text("name");
        if !name.is_empty() {
            errors.extend(check::faults(format!("{path}.name"), name, names::dns_label(name)));
            if !names_seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        } else if list.len() > 1 {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        let number = port.int("port").unwrap_or(0);
        for fault in names::port_number(number) {
            errors.push(FieldError::invalid(format!("{path}.port"), number, fault));
        }
        errors.extend(check::choice(port, "protocol", &path, &["SCTP", "TCP", "UDP"]));
        errors.extend(port_or_name(port.at("targetPort"), &format!("{path}.targetPort")));
        if port.has("appProtocol") {
            let protocol = port.text("appProtocol");
            errors.extend(check::faults(format!("{path}.appProtocol"), protocol, names::qualified_name(protocol)));
        }
        let node_port = port.int("nodePort").unwrap_or(0);
        if node_port != 0 && spec.text("type") == "ClusterIP" {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(format!("{path}.nodePort"), detail));
        }
        let twin = |field: &str| {
            let same =
                |other: &&Value| other.int(field) == port.int(field) && other.text("protocol") == port.text("protocol");
            list[..index].iter().any(|other| same(&other))
        };
        if twin("port") {
            let shown = json!({
                "Name": "", "Protocol": port.text("protocol"), "AppProtocol": null, "Port": number, "TargetPort": 0, "NodePort": 0,
            });
            errors.push(FieldError::duplicate(path.clone(), shown));
        }
        if node_port != 0 && twin("nodePort") {
            errors.push(FieldError::duplicate(format!("{path}.nodePort"), node_port));
        }
    }
    errors
}

fn affinity(spec: &Value) -> Vec<FieldError> {
    let path = "spec.sessionAffinityConfig";
    let config = spec.at("sessionAffinityConfig");
    match spec.text("sessionAffinity") {
        "ClientIP" => {
            let seconds = config.int("clientIP.timeoutSeconds").unwrap_or(0);
            let at = format!("{path}.clientIP.timeoutSeconds");
            let detail = "must be greater than 0 and less than 86400";
            let bad = !(1..=86400).contains(&seconds);
            bad.then(|| FieldError::invalid(at, seconds, detail)).into_iter().collect()
        }
        "None" if !config.is_null() => {
            vec![FieldError::forbidden(path, "must not be set when session affinity is None")]
        }
        _ => Vec::new(),
    }
}

/// What is wrong with the addresses and families of a Service that has some.
pub fn cluster_ips(service: &Value) -> Vec<FieldError> {
    let spec = service.at("spec");
    let (list, families) = (spec.items("clusterIPs"), spec.items("ipFamilies"));
    if spec.text("type") == "ExternalName" {
        return Vec::new();
    }
    let path = "spec.clusterIPs";
    let mut errors = Vec::new();
    let shown = || Value::Array(list.to_vec());
    match (spec.text("clusterIP"), list.first()) {
        ("", Some(_)) => {
            errors.push(FieldError::invalid(path, shown(), "must be empty when `clusterIP` is not specified"));
        }
        ("", None) => {}
        (_, None) => errors.push(FieldError::required(path, "")),
        (first, Some(other)) if other != first => {
            errors.push(FieldError::invalid(path, shown(), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    for (index, family) in families.iter().enumerate() {
        let at = format!("spec.ipFamilies[{index}]");
        if !["IPv4", "IPv6"].contains(&family.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(at.as_str(), family.clone(), &["IPv4", "IPv6"]));
        }
        if families[..index].contains(family) {
            errors.push(FieldError::duplicate(at, family.clone()));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    errors.extend(supported(spec, "ipFamilyPolicy", "spec", &policies));
    let before = errors.len();
    for (index, ip) in list.iter().enumerate() {
        let text = ip.as_str().unwrap_or("");
        if index == 0 && text == "None" {
            if list.len() > 1 {
                errors.push(FieldError::invalid(path, shown(), "'None' must be the first and only value"));
            }
            continue;
        }
        errors.extend(check::faults(format!("{path}[{index}]"), text, names::ip(text)));
    }
    let bad = errors.len() > before;
    if list.len() > 2 {
        errors.push(FieldError::invalid(path, shown(), "may only hold up to 2 values"));
    }
    if bad {
        return errors;
    }
    let is_v6 = |ip: &Value| ip.as_str().and_then(|ip| ip.parse::<IpAddr>().ok()).is_some_and(|ip| ip.is_ipv6());
    if list.len() > 1 && list.iter().all(|ip| is_v6(ip) == is_v6(&list[0])) {
        errors.push(FieldError::invalid(path, shown(), "may specify no more than one IP for each IP family"));
    }
    for (index, (ip, family)) in list.iter().zip(families).enumerate().filter(|_| !is_headless(service)) {
        let family = family.as_str().unwrap_or("");
        if family == "IPv4" && is_v6(ip) || family == "IPv6" && !is_v6(ip) {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(FieldError::invalid(format!("{path}[{index}]"), ip.clone(), detail));
        }
    }
    errors
}

/// An address that a Pod elsewhere can be reached at: not this host's, not link-local, not multicast.
pub fn endpoint_ip(ip: &str) -> Vec<String> {
    let Ok(address) = ip.parse::<IpAddr>() else { return Vec::new() };
    let mut faults = Vec::new();
    let mut say = |what: &str| faults.push(what.to_string());
    if address.is_unspecified() {
        say(&format!("may not be unspecified ({ip})"));
    }
    if address.is_loopback() {
        say("may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (local, multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    if local {
        say("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if multicast {
        say("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
    faults
}

fn load_balancer_only(service: &Value) -> Vec<FieldError> {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    let spec = service.at("spec");
    let is_one = spec.text("type") == "LoadBalancer";
    let mut errors = Vec::new();
    let ranges = spec.items("loadBalancerSourceRanges");
    let annotation = service.at("metadata.annotations").get(SOURCE_RANGES).and_then(Value::as_str);
    if !ranges.is_empty() {
        let path = "spec.LoadBalancerSourceRanges";
        if !is_one {
            errors.push(FieldError::forbidden(path, ONLY));
        }
        for (index, range) in ranges.iter().enumerate() {
            let range = range.as_str().unwrap_or("").trim();
            errors.extend(check::faults(format!("{path}[{index}]"), range, names::cidr(range)));
        }
    } else if let Some(annotation) = annotation {
        let path = format!("metadata.annotations[{SOURCE_RANGES}]");
        if !is_one {
            errors.push(FieldError::forbidden(path.as_str(), ONLY));
        }
        for range in annotation.split(',').map(str::trim).filter(|_| !annotation.trim().is_empty()) {
            errors.extend(check::faults(path.as_str(), range, names::cidr(range)));
        }
    }
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if spec.has(field) && !is_one {
            errors.push(FieldError::forbidden(format!("spec.{field}"), ONLY));
        }
    }
    if is_one && spec.has("loadBalancerClass") {
        let class = spec.text("loadBalancerClass");
        errors.extend(check::faults("spec.loadBalancerClass", class, names::qualified_name(class)));
    }
    errors
}

fn needs_health_check(service: &Value) -> bool {
    service.text("spec.type") == "LoadBalancer" && service.text("spec.externalTrafficPolicy") == "Local"
}

fn traffic_policies(service: &Value) -> Vec<FieldError> {
    let spec = service.at("spec");
    let mut errors = Vec::new();
    let outer = spec.text("externalTrafficPolicy");
    if external(service) {
        errors.extend(check::choice(spec, "externalTrafficPolicy", "spec", &["Cluster", "Local"]));
    } else if !outer.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid("spec.externalTrafficPolicy", outer, detail));
    }
    let health = spec.int("healthCheckNodePort").unwrap_or(0);
    let at = "spec.healthCheckNodePort";
    if !needs_health_check(service) {
        if health != 0 {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(at, health, detail));
        }
    } else if health == 0 {
        errors.push(FieldError::required(at, ""));
    } else {
        errors.extend(check::between(spec, "healthCheckNodePort", "spec", 1, 65535));
    }
    errors.extend(supported(spec, "internalTrafficPolicy", "spec", &["Cluster", "Local"]));
    let ways = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    errors.extend(supported(spec, "trafficDistribution", "spec", &ways));
    errors
}

/// What is wrong with a change of a Service.
pub fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = addresses_kept(new, old);
    errors.extend(families_kept(new, old));
    let balanced = |service: &Value| service.text("spec.type") == "LoadBalancer";
    let class = "spec.loadBalancerClass";
    if balanced(old) && balanced(new) && new.at(class) != old.at(class) {
        errors.push(FieldError::invalid(class, new.at(class).clone(), "may not change once set"));
    }
    let health = "spec.healthCheckNodePort";
    if needs_health_check(old) && needs_health_check(new) && new.at(health) != old.at(health) {
        errors.push(FieldError::forbidden(health, "field is immutable"));
    }
    errors.extend(validate(new));
    errors
}

fn both_inside(new: &Value, old: &Value) -> bool {
    new.text("spec.type") != "ExternalName" && old.text("spec.type") != "ExternalName"
}

/// Whether one list of two things gives up its second.
fn single_stack(new: &Value, what: &str) -> Option<FieldError> {
    let at = "spec.ipFamilyPolicy";
    let detail = format!("must be set to 'SingleStack' when releasing the secondary {what}");
    (new.text(at) != "SingleStack").then(|| FieldError::invalid(at, new.at(at).clone(), detail))
}

/// A cluster IP stays, as long as the type keeps having one.
fn addresses_kept(new: &Value, old: &Value) -> Vec<FieldError> {
    if !both_inside(new, old) || is_headless(old) && is_headless(new) {
        return Vec::new();
    }
    let path = "spec.clusterIPs";
    let (now, was) = (new.items(path), old.items(path));
    let shown = || if now.is_empty() { new.at(path).clone() } else { Value::Array(now.to_vec()) };
    let changed = |index: usize| FieldError::invalid(format!("{path}[{index}]"), shown(), "may not change once set");
    let mut errors = Vec::new();
    if now.len() == was.len() {
        let differ = now.iter().zip(was).enumerate().filter(|(_, (now, was))| now != was);
        errors.extend(differ.map(|(index, _)| changed(index)));
    } else if !was.is_empty() && !now.is_empty() && now[0] != was[0] {
        errors.push(changed(0));
    }
    if was.len() > now.len() {
        match now.len() {
            0 => errors.push(FieldError::invalid(format!("{path}[0]"), shown(), "primary clusterIP can not be unset")),
            1 => errors.extend(single_stack(new, "clusterIP")),
            _ => {}
        }
    }
    errors
}

fn families_kept(new: &Value, old: &Value) -> Vec<FieldError> {
    if !both_inside(new, old) || is_headless(old) || is_headless(new) {
        return Vec::new();
    }
    let path = "spec.ipFamilies";
    let (now, was) = (new.items(path), old.items(path));
    let at = format!("{path}[0]");
    let families = || Value::Array(now.to_vec());
    let mut errors = Vec::new();
    if now.len() == was.len() {
        let differ = now.iter().zip(was).filter(|(now, was)| now != was);
        errors.extend(differ.map(|_| FieldError::invalid(at.as_str(), families(), "may not change once set")));
    } else if !was.is_empty() && !now.is_empty() && now[0] != was[0] {
        let shown = Value::Array(new.items("spec.clusterIPs").to_vec());
        errors.push(FieldError::invalid(at.as_str(), shown, "may not change once set"));
    }
    if was.len() > now.len() {
        if new.items("spec.clusterIPs").is_empty() {
            errors.push(FieldError::invalid(at, families(), "primary ipFamily can not be unset"));
        }
        if now.len() == 1 {
            errors.extend(single_stack(new, "ipFamily"));
        }
    }
    errors
}

/// What is wrong with `status.loadBalancer`.
pub fn load_balancer(service: &Value) -> Vec<FieldError> {
    let path = "status.loadBalancer.ingress";
    let list = service.items(path);
    let mut errors = Vec::new();
    if !list.is_empty() && service.text("spec.type") != "LoadBalancer" {
        let detail = "may only be used when `spec.type` is 'LoadBalancer'";
        errors.push(FieldError::forbidden(path, detail));
        return errors;
    }
    for (index, ingress) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (ip, host) = (ingress.text("ip"), ingress.text("hostname"));
        if !ip.is_empty() {
            errors.extend(check::faults(format!("{path}.ip"), ip, names::ip(ip)));
            if !ingress.has("ipMode") {
                errors.push(FieldError::required(format!("{path}.ipMode"), "must be specified when `ip` is set"));
            }
        } else if ingress.has("ipMode") {
            errors.push(FieldError::forbidden(format!("{path}.ipMode"), "may not be specified when `ip` is not set"));
        }
        errors.extend(supported(ingress, "ipMode", &path, &["Proxy", "VIP"]));
        if !host.is_empty() {
            errors.extend(check::faults(format!("{path}.hostname"), host, names::dns_subdomain(host)));
            if host.parse::<IpAddr>().is_ok() {
                let detail = "must be a DNS name, not an IP address";
                errors.push(FieldError::invalid(format!("{path}.hostname"), host, detail));
            }
        }
    }
    errors
}
