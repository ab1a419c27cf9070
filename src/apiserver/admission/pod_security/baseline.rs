//! The checks of the Pod Security Standards' `baseline` level: nothing that leads out of the Pod.
//!
//! Source: `k8s.io/pod-security-admission/policy`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::restricted::has_own_users;
use super::{Standard, containers, named, plural};
use crate::api::capabilities::BASELINE;
use crate::apiserver::kinds::json::Json;

const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

fn quoted(texts: &BTreeSet<String>) -> Vec<String> {
    texts.iter().map(|text| format!("{text:?}")).collect()
}

/// Only the runtime's profile or one of the node's.
pub(super) fn app_armor(pod: &Value, _: Standard) -> Option<String> {
    let kind = |one: &Value| one.text("securityContext.appArmorProfile.type").to_string();
    let bad = |one: &Value| {
        one.has("securityContext.appArmorProfile") && !["RuntimeDefault", "Localhost"].contains(&kind(one).as_str())
    };
    let mut who = Vec::new();
    let mut values = BTreeSet::new();
    if bad(pod.at("spec")) {
        who.push("pod".to_string());
        values.insert(kind(pod.at("spec")));
    }
    values.extend(containers(pod).into_iter().filter(|one| bad(one)).map(kind));
    who.extend(named(pod, bad));
    let allowed = |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let own = pod.at("metadata.annotations").as_object().into_iter().flatten();
    let mut annotations: Vec<String> = own
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, value)| key.starts_with(ANNOTATION) && !allowed(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    annotations.sort();
    let mut shown: Vec<String> = quoted(&values);
    // Go quotes the annotations anew without escaping what is quoted already.
    shown.extend(annotations.iter().map(|text| format!("\"{text}\"")));
    match annotations.len() {
        0 => {}
        1 => who.push("annotation".to_string()),
        _ => who.push("annotations".to_string()),
    }
    let many = if shown.len() == 1 { "" } else { "s" };
    (!who.is_empty()).then(|| {
        let (who, shown) = (who.join(" and "), shown.join(", "));
        format!("forbidden AppArmor profile{many} ({who} must not set AppArmor profile type to {shown})")
    })
}

/// Probes and hooks go to the Pod itself.
pub(super) fn hosts_of_probes(pod: &Value, standard: Standard) -> Option<String> {
    if standard.minor < 34 {
        return None;
    }
    let handlers = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop"];
    let hosts = |one: &Value| -> Vec<String> {
        let all = handlers
            .iter()
            .flat_map(|handler| [format!("{handler}.httpGet.host"), format!("{handler}.tcpSocket.host")]);
        all.map(|path| one.text(&path).to_string()).filter(|host| !host.is_empty()).collect()
    };
    let (mut names, mut found) = (BTreeSet::new(), BTreeSet::new());
    for one in containers(pod) {
        let hosts = hosts(one);
        if !hosts.is_empty() {
            names.insert(one.text("name").to_string());
            found.extend(hosts);
        }
    }
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let who = plural("container", &quoted(&names))?;
    Some(format!("probe or lifecycle host ({who} {verb} {})", plural("probe or lifecycle host", &quoted(&found))?))
}

/// Only the types made for containers.
pub(super) fn se_linux(pod: &Value, standard: Standard) -> Option<String> {
    let all = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let types = if standard.minor < 31 { &all[..4] } else { &all[..] };
    let at = |one: &Value, field: &str| one.text(&format!("securityContext.seLinuxOptions.{field}")).to_string();
    let bad = |one: &Value| {
        !types.contains(&at(one, "type").as_str()) || !at(one, "user").is_empty() || !at(one, "role").is_empty()
    };
    let setters: Vec<&Value> = [pod.at("spec")].into_iter().chain(containers(pod)).filter(|one| bad(one)).collect();
    let mut who = Vec::new();
    if bad(pod.at("spec")) {
        who.push("pod".to_string());
    }
    who.extend(named(pod, bad));
    let wrong: BTreeSet<String> =
        setters.iter().map(|one| at(one, "type")).filter(|kind| !types.contains(&kind.as_str())).collect();
    let mut what: Vec<String> = plural("type", &quoted(&wrong)).into_iter().collect();
    for field in ["user", "role"] {
        if setters.iter().any(|one| !at(one, field).is_empty()) {
            what.push(format!("{field} may not be set"));
        }
    }
    (!who.is_empty()).then(|| {
        let (who, what) = (who.join(" and "), what.join("; "));
        format!("seLinuxOptions ({who} set forbidden securityContext.seLinuxOptions: {what})")
    })
}

/// Settings of the kernel that harm nobody else, with the version of the standard that took them in.
const SAFE_SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_notsent_lowat", 37),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_slow_start_after_idle", 37),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.tcp_wmem", 32),
];

/// Only settings of the kernel that harm nobody else.
pub(super) fn sysctls(pod: &Value, standard: Standard) -> Option<String> {
    let safe = |name: &str| SAFE_SYSCTLS.iter().any(|(safe, since)| *safe == name && *since <= standard.minor);
    let set = pod.items("spec.securityContext.sysctls").iter().map(|sysctl| sysctl.text("name"));
    let names: Vec<&str> = set.filter(|name| !safe(name)).collect();
    (!names.is_empty()).then(|| format!("forbidden sysctls ({})", names.join(", ")))
}

pub(super) fn privileged(pod: &Value, _: Standard) -> Option<String> {
    let who = named(pod, |one| one.flag("securityContext.privileged"))?;
    Some(format!("privileged ({who} must not set securityContext.privileged=true)"))
}

pub(super) fn host_namespaces(pod: &Value, _: Standard) -> Option<String> {
    let set: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| pod.at("spec").flag(field))
        .map(|field| format!("{field}=true"))
        .collect();
    (!set.is_empty()).then(|| format!("host namespaces ({})", set.join(", ")))
}

/// Under `restricted` the stricter check on volumes says it all.
pub(super) fn host_path(pod: &Value, standard: Standard) -> Option<String> {
    if standard.restricted {
        return None;
    }
    let names: Vec<String> = pod
        .items("spec.volumes")
        .iter()
        .filter(|volume| volume.has("hostPath"))
        .map(|volume| format!("{:?}", volume.text("name")))
        .collect();
    Some(format!("hostPath volumes ({})", plural("volume", &names)?))
}

pub(super) fn host_ports(pod: &Value, _: Standard) -> Option<String> {
    let mut ports: Vec<i64> = containers(pod)
        .iter()
        .flat_map(|one| one.items("ports"))
        .filter_map(|port| port.int("hostPort"))
        .filter(|port| *port != 0)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let uses = |one: &Value| one.items("ports").iter().any(|port| port.int("hostPort").unwrap_or(0) != 0);
    let names: Vec<String> =
        containers(pod).into_iter().filter(|one| uses(one)).map(|one| format!("{:?}", one.text("name"))).collect();
    let (word, verb) = if names.len() == 1 { ("container", "uses") } else { ("containers", "use") };
    let list: Vec<String> = ports.iter().map(i64::to_string).collect();
    let port_word = if list.len() == 1 { "hostPort" } else { "hostPorts" };
    (!names.is_empty())
        .then(|| format!("hostPort ({word} {} {verb} {port_word} {})", names.join(", "), list.join(", ")))
}

fn added<'a>(one: &'a Value, allowed: &[&str]) -> Vec<&'a str> {
    let list = one.items("securityContext.capabilities.add").iter().filter_map(Value::as_str);
    list.filter(|name| !allowed.contains(name)).collect()
}

/// `must not include "A", "B" in securityContext.capabilities.add`, for those who do.
pub(super) fn adds(pod: &Value, allowed: &[&str]) -> Option<String> {
    let who = named(pod, |one| !added(one, allowed).is_empty())?;
    let mut names: Vec<String> =
        containers(pod).into_iter().flat_map(|one| added(one, allowed)).map(|name| format!("{name:?}")).collect();
    names.sort();
    names.dedup();
    Some(format!("{who} must not include {} in securityContext.capabilities.add", names.join(", ")))
}

/// Under `restricted` the stricter check on capabilities says it all.
pub(super) fn capabilities(pod: &Value, standard: Standard) -> Option<String> {
    if standard.restricted && standard.minor >= 22 {
        return None;
    }
    Some(format!("non-default capabilities ({})", adds(pod, BASELINE)?))
}

pub(super) fn proc_mount(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted && has_own_users(pod, standard) {
        return None;
    }
    let who = named(pod, |one| !["", "Default"].contains(&one.text("securityContext.procMount")))?;
    Some(format!("procMount ({who} must not set securityContext.procMount to \"Unmasked\")"))
}

pub(super) fn windows(pod: &Value, _: Standard) -> Option<String> {
    let mut parts = Vec::new();
    if pod.flag("spec.securityContext.windowsOptions.hostProcess") {
        parts.push("pod".to_string());
    }
    parts.extend(named(pod, |one| one.flag("securityContext.windowsOptions.hostProcess")));
    (!parts.is_empty()).then(|| {
        format!("hostProcess ({} must not set securityContext.windowsOptions.hostProcess=true)", parts.join(" and "))
    })
}
