//! `Warning` headers about Pods and templates: deprecated fields, and what is most likely a mistake.
//!
//! Source: `k8s.io/kubernetes/pkg/api/pod/warnings.go`.

use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use super::port_warnings;
use crate::api::meta;
use crate::apiserver::kinds::core::resources::quantity;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::names;

const NODE_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

const ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

/// Volume sources that are on their way out: the field, how the warning spells it, what it says.
const VOLUMES: &[(&str, &str, &str)] = &[
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Of a new Pod; updates are not warned about.
pub fn pod(new: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some() {
        return Vec::new();
    }
    let mut warnings = host_name(new, "this is used in the Pod's hostname");
    warnings.extend(of(new, ""));
    warnings
}

/// Of a template at `path`, when it is new or changes.
pub fn template(new: &Value, old: Option<&Value>, path: &str) -> Vec<String> {
    if old.is_some_and(|old| meta::generation(old) == meta::generation(new)) {
        return Vec::new();
    }
    of(new.at(path), &format!("{path}."))
}

/// As [`template`], of a kind whose Pods are named after it.
pub fn named_template(new: &Value, old: Option<&Value>, path: &str) -> Vec<String> {
    let mut warnings = match old {
        None => host_name(new, "this is used in Pod names and hostnames"),
        Some(_) => Vec::new(),
    };
    warnings.extend(template(new, old, path));
    warnings
}

fn host_name(object: &Value, used: &str) -> Vec<String> {
    let faults = names::dns_label(object.text("metadata.name"));
    if faults.is_empty() {
        return Vec::new();
    }
    let text = "which can result in surprising behavior; a DNS label is recommended";
    vec![format!("metadata.name: {used}, {text}: [{}]", faults.join(" "))]
}

/// What is said of a label that Nodes no longer should have.
fn old_label(label: &str) -> Option<&'static str> {
    NODE_LABELS.iter().find(|(known, _)| *known == label).map(|(_, text)| *text)
}

/// Of one term of a node selector; `values` says whether its values are looked at.
pub fn node_selector_term(term: &Value, path: &str, values: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, expression) in term.items("matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let key = expression.text("key");
        warnings.extend(old_label(key).map(|text| format!("{path}.key: {key} is {text}")));
        for (at, value) in expression.items("values").iter().enumerate().filter(|_| values) {
            let value = value.as_str().unwrap_or("");
            let faults = names::label_value(value).into_iter();
            warnings.extend(faults.map(|fault| format!("{path}.values[{at}]: {value} is invalid, {fault}")));
        }
    }
    warnings
}

/// Of amounts that are bytes and have parts.
pub fn fractions(amounts: &Value, path: &str, names: &[&str]) -> Vec<String> {
    let bytes = names.iter().filter_map(|name| Some((name, quantity(amounts.get(name)?)?)));
    bytes
        .filter(|(_, amount)| amount.milli_value() % 1000 != 0)
        .map(|(name, amount)| {
            let shown = amount.to_string();
            format!("{path}[{name}]: fractional byte value {shown:?} is invalid, must be an integer")
        })
        .collect()
}

fn of(pod: &Value, prefix: &str) -> Vec<String> {
    let spec = pod.at("spec");
    let path = format!("{prefix}spec");
    let mut warnings = placement(spec, &path);
    let annotations = pod.at("metadata.annotations");
    for (annotation, text) in ANNOTATIONS {
        if annotations.get(annotation).is_some() {
            warnings.push(format!("{prefix}metadata.annotations[{annotation}]: {text}"));
        }
    }
    for (index, volume) in spec.items("volumes").iter().enumerate() {
        for (_, spelled, text) in VOLUMES.iter().filter(|(field, ..)| volume.has(field)) {
            warnings.push(format!("{path}.volumes[{index}].{spelled}: {text}"));
        }
        let nothing = |source: &Value| source.as_object().is_some_and(serde_json::Map::is_empty);
        if volume.items("projected.sources").iter().any(nothing) {
            warnings.push(format!("volume {:?} (Projected) has no sources provided", volume.text("name")));
        }
    }
    warnings.extend(twins(spec, &path));
    warnings.extend(fractions(spec.at("overhead"), &format!("{path}.overhead"), &["memory", "ephemeral-storage"]));
    warnings.extend(profiles(pod, prefix));
    for list in CONTAINER_LISTS {
        for (index, container) in spec.items(list).iter().enumerate() {
            warnings.extend(container_warnings(container, &format!("{path}.{list}[{index}]")));
        }
    }
    warnings.extend(port_warnings::of(spec, &path));
    if spec.int("terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let text = "must be >= 0; negative values are invalid and will be treated as 1";
        warnings.push(format!("{path}.terminationGracePeriodSeconds: {text}"));
    }
    warnings.extend(pod_affinity(spec, &path));
    for (index, server) in spec.items("dnsConfig.nameservers").iter().enumerate() {
        let server = server.as_str().unwrap_or("");
        warnings.extend(odd_ip(server, &format!("{path}.dnsConfig.nameservers[{index}]")));
    }
    for (index, alias) in spec.items("hostAliases").iter().enumerate() {
        warnings.extend(odd_ip(alias.text("ip"), &format!("{path}.hostAliases[{index}].ip")));
    }
    warnings
}

fn placement(spec: &Value, path: &str) -> Vec<String> {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let mut warnings = Vec::new();
    for (label, _) in spec.entries("nodeSelector") {
        warnings.extend(old_label(label).map(|text| format!("{path}.nodeSelector[{label}]: {text}")));
    }
    let node = spec.at("affinity.nodeAffinity");
    let at = format!("{path}.affinity.nodeAffinity");
    for (index, term) in node.at(REQUIRED).items("nodeSelectorTerms").iter().enumerate() {
        warnings.extend(node_selector_term(term, &format!("{at}.{REQUIRED}.nodeSelectorTerms[{index}]"), false));
    }
    for (index, term) in node.items(PREFERRED).iter().enumerate() {
        let at = format!("{at}.{PREFERRED}[{index}].preference");
        warnings.extend(node_selector_term(term.at("preference"), &at, true));
    }
    for (index, constraint) in spec.items("topologySpreadConstraints").iter().enumerate() {
        let at = format!("{path}.topologySpreadConstraints[{index}]");
        let key = constraint.text("topologyKey");
        warnings.extend(old_label(key).map(|text| format!("{at}.topologyKey: {key} is {text}")));
        if !constraint.has("labelSelector") {
            warnings.push(format!("{at}.labelSelector: a null labelSelector results in matching no pod"));
        }
    }
    warnings
}

fn twins(spec: &Value, path: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let aliases = spec.items("hostAliases");
    for (index, alias) in aliases.iter().enumerate() {
        let ip = alias.text("ip");
        if aliases[..index].iter().any(|other| other.text("ip") == ip) {
            warnings.push(format!("{path}.hostAliases[{index}].ip: duplicate ip {ip:?}"));
        }
    }
    let secrets = spec.items("imagePullSecrets");
    for (index, secret) in secrets.iter().enumerate() {
        let name = secret.text("name");
        if secrets[..index].iter().any(|other| other.text("name") == name) {
            warnings.push(format!("{path}.imagePullSecrets[{index}].name: duplicate name {name:?}"));
        }
    }
    for (index, _) in secrets.iter().enumerate().filter(|(_, secret)| secret.text("name").is_empty()) {
        warnings.push(format!("{path}.imagePullSecrets[{index}].name: invalid empty name \"\""));
    }
    warnings
}

/// Annotations that fields took the place of.
fn profiles(pod: &Value, prefix: &str) -> Vec<String> {
    let annotations = pod.at("metadata.annotations");
    let mut warnings = Vec::new();
    let mut old = |key: &str, text: &str| {
        if annotations.get(key).is_some() {
            warnings.push(format!("{prefix}metadata.annotations[{key}]: {text}"));
        }
    };
    let seccomp = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
    if !pod.has("spec.securityContext.seccompProfile") {
        old(SECCOMP_POD, seccomp);
    }
    for list in CONTAINER_LISTS {
        for container in pod.items(&format!("spec.{list}")) {
            let name = container.text("name");
            if !container.has("securityContext.seccompProfile") {
                old(&format!("{SECCOMP_CONTAINER}{name}"), seccomp);
            }
            // A Pod itself is told before its fields are filled in.
            if !prefix.is_empty() && !container.has("securityContext.appArmorProfile") {
                let text = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
                old(&format!("{APP_ARMOR}{name}"), text);
            }
        }
    }
    warnings
}

fn container_warnings(container: &Value, path: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            let amounts = container.at("resources").at(list);
            warnings.extend(fractions(amounts, &format!("{path}.resources.{list}"), &[name]));
        }
    }
    let variables = container.items("env");
    for (index, variable) in variables.iter().enumerate() {
        let name = variable.text("name");
        let (value, reference) = (variable.text("value"), format!("$({name})"));
        // One that builds on the one before it is meant so.
        let builds_on = !variable.has("valueFrom") && value != reference && value.contains(&reference);
        if !builds_on && variables[..index].iter().any(|other| other.text("name") == name) {
            warnings.push(format!(
                "{path}.env[{index}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
    warnings
}

fn pod_affinity(spec: &Value, path: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let lists = [
        ("requiredDuringSchedulingIgnoredDuringExecution", ""),
        ("preferredDuringSchedulingIgnoredDuringExecution", ".podAffinityTerm"),
    ];
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (list, inner) in lists {
            for (index, term) in spec.at("affinity").at(kind).items(list).iter().enumerate() {
                let term = if inner.is_empty() { term } else { term.at("podAffinityTerm") };
                if !term.has("labelSelector") {
                    let at = format!("{path}.affinity.{kind}.{list}[{index}]{inner}.labelSelector");
                    warnings.push(format!("{at}: a null labelSelector results in matching no pod"));
                }
            }
        }
    }
    warnings
}

/// Of an IPv6 address that is not written the one way it should be.
pub fn odd_ip(text: &str, path: &str) -> Option<String> {
    let address = text.parse::<std::net::Ipv6Addr>().ok().filter(|address| address.to_string() != text)?;
    let canonical = address.to_string();
    Some(format!("{path}: IPv6 address {text:?} should be in RFC 5952 canonical format ({canonical:?})"))
}
