//! Gives Services their cluster IPs and node ports, and never the same one twice.
//!
//! What is taken is read from the Services themselves, so nothing has to be repaired after a
//! crash; an address given out a moment ago, whose Service the cache does not show yet, is
//! remembered here until it does.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::service_rules;
use crate::api::meta;
use crate::apiserver::kinds::json::{Json, items_mut, put};
use crate::apiserver::kinds::{Context, FieldError};
use crate::apiserver::objects::collection;

/// `--service-node-port-range`.
pub const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;

/// How long an address stays taken although no Service shows it.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(30);

/// The addresses of one cluster.
pub struct Addresses {
    network: Ipv4Addr,
    prefix: u8,
    recent: Mutex<HashMap<String, (String, Timestamp)>>,
}

impl Addresses {
    /// Addresses from this range.
    pub fn new((network, prefix): (Ipv4Addr, u8)) -> Addresses {
        Addresses { network, prefix, recent: Mutex::new(HashMap::new()) }
    }

    /// Gives `service` the families, cluster IP and node ports it needs and lacks. Call it after
    /// defaults and before validation; `old` is the Service before an update.
    ///
    /// # Errors
    /// What it asks for is taken or out of range.
    pub fn assign(&self, service: &mut Value, old: Option<&Value>, context: &Context) -> Result<(), Vec<FieldError>> {
        if service.text("spec.type") == "ExternalName" {
            return Ok(());
        }
        families(service, old)?;
        let owner = format!("{}/{}", meta::namespace(service), meta::name(service));
        let mut taken = HashSet::new();
        for other in context.objects.list(collection("", "services"), "") {
            if format!("{}/{}", meta::namespace(&other), meta::name(&other)) == owner {
                continue;
            }
            for ip in other.items("spec.clusterIPs") {
                taken.insert(ip.as_str().unwrap_or("").to_string());
            }
            for port in other.items("spec.ports") {
                taken.insert(port.int("nodePort").unwrap_or(0).to_string());
            }
            taken.insert(other.int("spec.healthCheckNodePort").unwrap_or(0).to_string());
        }
        // An address may also be somebody else's, or be meant for a Service that is not there yet.
        for address in context.objects.list(collection("networking.k8s.io", "ipaddresses"), "") {
            let parent = address.at("spec.parentRef");
            if format!("{}/{}", parent.text("namespace"), parent.text("name")) != owner {
                taken.insert(meta::name(&address).to_string());
            }
        }
        let mut recent = self.recent.lock();
        recent.retain(|_, (_, at)| context.now.duration_since(*at) < REMEMBERED);
        taken.extend(recent.iter().filter(|(_, (by, _))| *by != owner).map(|(address, _)| address.clone()));
        let mut given = Vec::new();
        self.cluster_ip(service, &taken, &mut given)?;
        node_ports(service, old, &taken, &mut given, context.dry_run)?;
        if !context.dry_run {
            recent.extend(given.into_iter().map(|address| (address, (owner.clone(), context.now))));
        }
        Ok(())
    }

    /// Forgets what was given to a Service that was not stored after all.
    pub fn release(&self, namespace: &str, name: &str) {
        let owner = format!("{namespace}/{name}");
        self.recent.lock().retain(|_, (by, _)| *by != owner);
    }

    fn cluster_ip(
        &self,
        service: &mut Value,
        taken: &HashSet<String>,
        given: &mut Vec<String>,
    ) -> Result<(), Vec<FieldError>> {
        let asked = service.text("spec.clusterIP").to_string();
        if asked == "None" {
            return Ok(());
        }
        if !asked.is_empty() {
            // Families and words have been looked at: what is no address of ours is kept from before.
            let Ok(ip) = asked.parse::<Ipv4Addr>() else { return Ok(()) };
            let problem = if taken.contains(&asked) {
                "provided IP is already allocated".to_string()
            } else if !self.contains(ip) {
                format!("the provided network does not match the current range: {}/{}", self.network, self.prefix)
            } else {
                given.push(asked);
                return Ok(());
            };
            let detail = if problem.starts_with("provided IP") {
                format!("failed to allocate IP {ip}: {problem}")
            } else {
                format!(
                    "failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}/{}",
                    self.network, self.prefix
                )
            };
            return Err(vec![FieldError::invalid("spec.clusterIPs", json!([asked]), detail)]);
        }
        // The lower part of the range is left for Services that ask for a fixed address.
        let size = 1u32 << (32 - u32::from(self.prefix));
        let reserved = (size / 16).clamp(16, 256).min(size / 2);
        let base = u32::from(self.network);
        let start = rand::random_range(reserved..size - 1);
        let candidates = (start..size - 1).chain(reserved..start).chain(1..reserved);
        for offset in candidates {
            let ip = Ipv4Addr::from(base + offset).to_string();
            if !taken.contains(&ip) {
                put(service, "spec.clusterIP", ip.clone());
                put(service, "spec.clusterIPs", json!([ip]));
                given.push(ip);
                return Ok(());
            }
        }
        Err(vec![FieldError::invalid("spec.clusterIPs", json!([""]), "failed to allocate a serviceIP: range is full")])
    }

    fn contains(&self, ip: Ipv4Addr) -> bool {
        let size = 1u32 << (32 - u32::from(self.prefix));
        let offset = u32::from(ip).wrapping_sub(u32::from(self.network));
        offset > 0 && offset < size - 1
    }
}

/// This cluster speaks IPv4 alone; a headless Service without selector claims both families all the same.
fn families(service: &mut Value, old: Option<&Value>) -> Result<(), Vec<FieldError>> {
    const POLICY: &str = "spec.ipFamilyPolicy";
    if old.is_some_and(|old| keeps_its_preference(service, old)) {
        return Ok(());
    }
    let free = service.text("spec.clusterIP") == "None" && service.entries("spec.selector").is_empty();
    if !service.has(POLICY) {
        put(service, POLICY, if free { "RequireDualStack" } else { "SingleStack" });
    }
    let single = service.text(POLICY) == "SingleStack";
    refuse(service_rules::cluster_ips(service))?;
    let policy = service.at(POLICY).clone();
    let wrong = |detail: &str| FieldError::invalid(POLICY, policy.clone(), detail);
    let mut errors = Vec::new();
    for (list, one, more) in [("clusterIPs", "cluster IP", "cluster IPs"), ("ipFamilies", "IP family", "IP families")] {
        let at = format!("spec.{list}");
        let (now, was) = (service.items(&at).to_vec(), old.map(|old| old.items(&at)).unwrap_or_default());
        if single && now.len() > 1 && now == was {
            put(service, &at, json!([now[0]]));
        } else if single && now.len() == 2 {
            let two = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {more} are specified");
            errors.push(wrong(&two));
        } else if !single && !now.is_empty() && now.len() < was.len() {
            errors.push(wrong(&format!("must be 'SingleStack' to release the secondary {one}")));
        }
    }
    errors.extend(families_of_addresses(service));
    refuse(errors)?;
    let mut list = service.items("spec.ipFamilies").to_vec();
    if free {
        if list.is_empty() {
            list.push("IPv4".into());
        }
        if list.len() < 2 && !single {
            list.push(if list[0] == "IPv4" { "IPv6" } else { "IPv4" }.into());
        }
        put(service, "spec.ipFamilies", list);
        return Ok(());
    }
    let mut errors = Vec::new();
    if service.text(POLICY) == "RequireDualStack" {
        errors.push(wrong("this cluster is not configured for dual-stack services"));
    }
    for (index, family) in list.iter().enumerate().filter(|(_, family)| *family != "IPv4") {
        let at = format!("spec.ipFamilies[{index}]");
        errors.push(FieldError::invalid(at, family.clone(), "not configured on this cluster"));
    }
    refuse(errors)?;
    if list.is_empty() {
        put(service, "spec.ipFamilies", json!(["IPv4"]));
    }
    Ok(())
}

fn refuse(errors: Vec<FieldError>) -> Result<(), Vec<FieldError>> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// A Service that takes a second address where there is one is not moved by what the cluster has become.
fn keeps_its_preference(new: &Value, old: &Value) -> bool {
    let same = |field: &str| new.at(field) == old.at(field);
    let prefers = |service: &Value| service.text("spec.ipFamilyPolicy") == "PreferDualStack";
    same("spec.type") && prefers(new) && prefers(old) && same("spec.clusterIPs") && same("spec.ipFamilies")
}

/// Addresses say of which family they are, where the Service does not.
fn families_of_addresses(service: &mut Value) -> Vec<FieldError> {
    let ips = service.items("spec.clusterIPs").to_vec();
    let mut families = service.items("spec.ipFamilies").to_vec();
    let mut errors = Vec::new();
    for (index, ip) in ips.iter().enumerate().take_while(|(_, ip)| *ip != "None").skip(families.len()) {
        if ip.as_str().is_some_and(|ip| ip.contains(':')) {
            let detail = "IPv6 is not configured on this cluster";
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{index}]"), json!(ips), detail));
        } else {
            families.push("IPv4".into());
        }
    }
    if !families.is_empty() {
        put(service, "spec.ipFamilies", families);
    }
    errors
}

fn node_ports(
    service: &mut Value,
    old: Option<&Value>,
    taken: &HashSet<String>,
    given: &mut Vec<String>,
    dry_run: bool,
) -> Result<(), Vec<FieldError>> {
    let kind = service.text("spec.type").to_string();
    let allocate = kind == "NodePort"
        || kind == "LoadBalancer" && service.at("spec.allocateLoadBalancerNodePorts") != &Value::Bool(false);
    if kind == "ClusterIP" && old.is_some_and(|old| old.text("spec.type") != "ClusterIP") {
        forget_node_ports(service, old);
    }
    if matches!(kind.as_str(), "ClusterIP") {
        return Ok(());
    }
    let mut used: HashSet<String> = HashSet::new();
    let asked: Vec<(i64, String)> = service
        .items("spec.ports")
        .iter()
        .map(|port| (port.int("nodePort").unwrap_or(0), port.text("protocol").to_string()))
        .collect();
    for (index, (port, _)) in asked.iter().enumerate().filter(|(_, (port, _))| *port != 0) {
        let at = format!("spec.ports[{index}].nodePort");
        // Where nothing is given out, no range is looked at.
        if !dry_run && !NODE_PORTS.contains(port) {
            return Err(vec![FieldError::invalid(
                at,
                *port,
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            )]);
        }
        if taken.contains(&port.to_string()) {
            return Err(vec![FieldError::invalid(at, *port, "provided port is already allocated")]);
        }
        used.insert(port.to_string());
    }
    let mut free = || {
        let span = NODE_PORTS.end() - NODE_PORTS.start() + 1;
        let start = rand::random_range(0..span);
        let found = (0..span)
            .map(|step| NODE_PORTS.start() + (start + step) % span)
            .find(|port| !taken.contains(&port.to_string()) && !used.contains(&port.to_string()))?;
        used.insert(found.to_string());
        Some(found)
    };
    if service.text("spec.externalTrafficPolicy") == "Local"
        && kind == "LoadBalancer"
        && service.int("spec.healthCheckNodePort").unwrap_or(0) == 0
        && let Some(port) = free()
    {
        put(service, "spec.healthCheckNodePort", port);
    }
    if allocate && let Some(spec) = service.get_mut("spec") {
        // One number serves the same port of two protocols, as kube-dns has it.
        let mut by_port: HashMap<i64, i64> = HashMap::new();
        for port in items_mut(spec, "ports") {
            let number = port.int("port").unwrap_or(0);
            if port.int("nodePort").unwrap_or(0) == 0 {
                let Some(found) = by_port.get(&number).copied().or_else(&mut free) else { continue };
                put(port, "nodePort", found);
            }
            by_port.insert(number, port.int("nodePort").unwrap_or(0));
        }
    }
    given.extend(used);
    Ok(())
}

/// A Service that stops being reachable from outside loses the ports it had been given.
fn forget_node_ports(service: &mut Value, old: Option<&Value>) {
    let had: Vec<Value> = old
        .map(|old| old.items("spec.ports").iter().map(|port| port.at("nodePort").clone()).collect())
        .unwrap_or_default();
    if let Some(spec) = service.get_mut("spec") {
        for port in items_mut(spec, "ports") {
            if had.contains(port.at("nodePort")) {
                crate::apiserver::kinds::json::drop_at(port, "nodePort");
            }
        }
    }
}
