//! `Warning` headers about Pods and templates: deprecated fields, and what a later apply may lose.
//!
//! Source: `k8s.io/kubernetes/pkg/api/pod/warnings.go`.

use std::collections::HashMap;

use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use crate::apiserver::kinds::json::Json;

const DEPRECATED_NODE_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

const DEPRECATED_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"spec.securityContext.sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"spec.securityContext.sysctls\" field instead",
    ),
];

/// Of a Pod: what the new one says that the old one did not.
pub fn pod(new: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(|old| of(old, "")).unwrap_or_default();
    of(new, "").into_iter().filter(|warning| !before.contains(warning)).collect()
}

/// Of a template at `path`.
pub fn template(new: &Value, old: Option<&Value>, path: &str) -> Vec<String> {
    let prefix = format!("{path}.");
    let before = old.map(|old| of(old.at(path), &prefix)).unwrap_or_default();
    of(new.at(path), &prefix).into_iter().filter(|warning| !before.contains(warning)).collect()
}

fn of(pod: &Value, prefix: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for (label, text) in DEPRECATED_NODE_LABELS {
        if pod.at("spec.nodeSelector").get(label).is_some() {
            warnings.push(format!("{prefix}spec.nodeSelector[{label}]: {text}"));
        }
    }
    for (annotation, text) in DEPRECATED_ANNOTATIONS {
        if pod.at("metadata.annotations").get(annotation).is_some() {
            warnings.push(format!("{prefix}metadata.annotations[{annotation}]: {text}"));
        }
    }
    for (index, secret) in pod.items("spec.imagePullSecrets").iter().enumerate() {
        if secret.text("name").is_empty() {
            warnings.push(format!("{prefix}spec.imagePullSecrets[{index}].name: invalid empty name \"\""));
        }
    }
    for list in CONTAINER_LISTS {
        for (index, container) in pod.items(&format!("spec.{list}")).iter().enumerate() {
            let path = format!("{prefix}spec.{list}[{index}]");
            warnings.extend(container_warnings(container, &path));
        }
    }
    for (index, alias) in pod.items("spec.hostAliases").iter().enumerate() {
        let ip = alias.text("ip");
        if pod.items("spec.hostAliases")[..index].iter().any(|other| other.text("ip") == ip) {
            warnings.push(format!("{prefix}spec.hostAliases[{index}].ip: duplicate ip {ip:?}"));
        }
    }
    warnings
}

fn container_warnings(container: &Value, path: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut seen: HashMap<&str, &Value> = HashMap::new();
    for (index, variable) in container.items("env").iter().enumerate() {
        let name = variable.text("name");
        if seen.insert(name, variable).is_some() {
            warnings.push(format!(
                "{path}.env[{index}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
    let mut ports: HashMap<(i64, &str), usize> = HashMap::new();
    for (index, port) in container.items("ports").iter().enumerate() {
        let key = (port.int("containerPort").unwrap_or(0), port.text("protocol"));
        if let Some(first) = ports.get(&key) {
            let named = port.text("name") == container.items("ports")[*first].text("name");
            if named {
                warnings.push(format!("{path}.ports[{index}]: duplicate port definition with {path}.ports[{first}]"));
            }
        }
        ports.entry(key).or_insert(index);
    }
    for which in ["requests", "limits"] {
        for (name, amount) in container.at("resources").entries(which) {
            let text = amount.as_str().unwrap_or("");
            if name != "cpu" && text.ends_with('m') {
                warnings.push(format!(
                    "{path}.resources.{which}[{name}]: fractional byte value {text:?} is invalid, must be an integer"
                ));
            }
        }
    }
    warnings
}
