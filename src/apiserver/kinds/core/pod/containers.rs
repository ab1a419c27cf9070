//! Validation of containers: names, images, ports, mounts, and what a container has besides.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `validateContainerCommon` and its callers.

use std::collections::HashSet;

use serde_json::Value;

use super::spec::supported;
use super::{environment, mounts, probes, security};
use crate::api::go_values::empty_at;
use crate::apiserver::kinds::core::resources;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

/// What the containers of one Pod know of each other and of the Pod.
pub struct Pod<'a> {
    /// The Pod's good volumes, by name.
    pub volumes: Vec<(&'a str, &'a Value)>,
    /// Names in `spec.resourceClaims`.
    pub claims: Vec<&'a str>,
    /// `spec.restartPolicy`.
    pub restart_policy: &'a str,
    /// `spec.terminationGracePeriodSeconds`.
    pub grace_seconds: Option<i64>,
    /// `spec.os.name`.
    pub os: &'a str,
    /// Whether processes are the users they seem to be (`spec.hostUsers` is not `false`).
    pub host_users: bool,
}

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// What is wrong with all containers of a Pod.
pub fn validate(spec: &Value, path: &str, pod: &Pod) -> Vec<FieldError> {
    let mut seen = HashSet::new();
    let mut errors = regular(spec.items("containers"), &format!("{path}.containers"), pod, &mut seen);
    errors.extend(init(spec.items("initContainers"), &format!("{path}.initContainers"), pod, &mut seen));
    errors.extend(ephemeral(spec.items("ephemeralContainers"), &format!("{path}.ephemeralContainers"), pod, &mut seen));
    errors
}

fn regular<'a>(list: &'a [Value], path: &str, pod: &Pod, seen: &mut HashSet<&'a str>) -> Vec<FieldError> {
    if list.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let mut errors = Vec::new();
    let mut ports = HashSet::new();
    for (index, container) in list.iter().enumerate() {
        let at = format!("{path}[{index}]");
        errors.extend(one(container, &at, pod));
        errors.extend(twin(container, &at, seen));
        errors.extend(hooks_and_probes(container, &at, pod));
        errors.extend(restart_policy(container, &at));
        errors.extend(host_port_conflicts(container, &at, &mut ports));
    }
    errors
}

fn twin<'a>(container: &'a Value, path: &str, seen: &mut HashSet<&'a str>) -> Option<FieldError> {
    let name = container.text("name");
    (!seen.insert(name)).then(|| FieldError::duplicate(format!("{path}.name"), name))
}

fn hooks_and_probes(container: &Value, path: &str, pod: &Pod) -> Vec<FieldError> {
    let hooks = container.at("lifecycle");
    let mut errors = probes::lifecycle(hooks, &format!("{path}.lifecycle"), pod.grace_seconds, pod.os);
    for which in PROBES {
        errors.extend(probes::probe(container.at(which), &format!("{path}.{which}"), which));
    }
    errors
}

/// A container that is not a sidecar (an init container that restarts always) has no probes and no hooks.
fn init<'a>(list: &'a [Value], path: &str, pod: &Pod, seen: &mut HashSet<&'a str>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, container) in list.iter().enumerate() {
        let at = format!("{path}[{index}]");
        errors.extend(one(container, &at, pod));
        // Without a policy of its own it cannot have rules, which then are not looked at.
        let own = restart_policy(container, &at);
        errors.extend(own.into_iter().take(if container.has("restartPolicy") { usize::MAX } else { 1 }));
        errors.extend(twin(container, &at, seen));
        // Errors about ports count from the list's first container.
        errors.extend(host_port_conflicts(container, &format!("{path}[0]"), &mut HashSet::new()));
        if container.text("restartPolicy") == "Always" {
            errors.extend(hooks_and_probes(container, &at, pod));
            continue;
        }
        let detail = "may not be set for init containers without restartPolicy=Always";
        let set = ["lifecycle"].into_iter().chain(PROBES).filter(|field| container.has(field));
        errors.extend(set.map(|field| FieldError::forbidden(format!("{at}.{field}"), detail)));
        for (place, policy) in container.items("resizePolicy").iter().enumerate() {
            if policy.text("restartPolicy") == "RestartContainer" {
                errors.push(FieldError::invalid(
                    format!("{at}.resizePolicy[{place}].restartPolicy"),
                    "RestartContainer",
                    "must not be set to 'RestartContainer' for non-sidecar initContainers",
                ));
            }
        }
    }
    errors
}

/// Fields of a container that an ephemeral one may not have.
const NOT_EPHEMERAL: &[&str] = &[
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
];

fn ephemeral<'a>(list: &'a [Value], path: &str, pod: &Pod, seen: &mut HashSet<&'a str>) -> Vec<FieldError> {
    let others: HashSet<&str> = seen.iter().copied().collect();
    let mut errors = Vec::new();
    for (index, container) in list.iter().enumerate() {
        let at = format!("{path}[{index}]");
        errors.extend(one(container, &at, pod));
        errors.extend(padded_image(container, &at));
        errors.extend(twin(container, &at, seen));
        let target = container.text("targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(FieldError::not_found(format!("{at}.targetContainerName"), target));
        }
        let detail = "cannot be set for an Ephemeral Container";
        for field in NOT_EPHEMERAL {
            let value = container.at(field);
            let came = empty_at(&format!("{at}.{field}"));
            let set = match value {
                // What is in it may be there and empty.
                _ if *field == "resources" && came.as_object().is_some_and(|came| !came.is_empty()) => true,
                Value::Null => came.is_array(),
                Value::Object(map) if *field == "resources" => !map.is_empty(),
                _ => true,
            };
            if set {
                errors.push(FieldError::forbidden(format!("{at}.{field}"), detail));
            }
        }
        for (place, mount) in container.items("volumeMounts").iter().enumerate() {
            let set = ["subPath", "subPathExpr"].into_iter().filter(|field| !mount.text(field).is_empty());
            errors
                .extend(set.map(|field| FieldError::forbidden(format!("{at}.volumeMounts[{place}].{field}"), detail)));
        }
    }
    errors
}

/// `must not have leading or trailing whitespace`: only of a Pod's own containers, not of a template's.
pub fn padded_image(container: &Value, path: &str) -> Option<FieldError> {
    let image = container.text("image");
    let detail = "must not have leading or trailing whitespace";
    (image.trim() != image).then(|| FieldError::invalid(format!("{path}.image"), image, detail))
}

fn one(container: &Value, path: &str, pod: &Pod) -> Vec<FieldError> {
    let mut errors = check::required(container, &["name", "image"], path);
    let name = container.text("name");
    if !name.is_empty() {
        errors.extend(check::faults(format!("{path}.name"), name, names::dns_label(name)));
    }
    errors.extend(check::choice(container, "terminationMessagePolicy", path, &["File", "FallbackToLogsOnError"]));
    errors.extend(check::choice(container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"]));
    errors.extend(ports(container.items("ports"), &format!("{path}.ports")));
    errors.extend(environment::env(container.items("env"), &format!("{path}.env")));
    errors.extend(environment::env_from(container.items("envFrom"), &format!("{path}.envFrom")));
    errors.extend(mounts::mounts(container, path, &pod.volumes));
    errors.extend(mounts::devices(container, path, &pod.volumes));
    errors.extend(resources::requirements(container.at("resources"), &format!("{path}.resources"), &pod.claims));
    errors.extend(resize_policies(container.items("resizePolicy"), &format!("{path}.resizePolicy"), pod));
    let security = format!("{path}.securityContext");
    errors.extend(security::container(container.at("securityContext"), &security, pod.host_users));
    errors
}

fn ports(ports: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = port.text("name");
        if !name.is_empty() {
            let faults = names::port_name(name);
            if faults.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
            errors.extend(check::faults(format!("{path}.name"), name, faults));
        }
        let number = port.int("containerPort").unwrap_or(0);
        if number == 0 {
            errors.push(FieldError::required(format!("{path}.containerPort"), ""));
        } else {
            errors.extend(check::between(port, "containerPort", &path, 1, 65535));
        }
        if port.int("hostPort").unwrap_or(0) != 0 {
            errors.extend(check::between(port, "hostPort", &path, 1, 65535));
        }
        errors.extend(check::choice(port, "protocol", &path, &["SCTP", "TCP", "UDP"]));
    }
    errors
}

fn host_port_conflicts(container: &Value, path: &str, taken: &mut HashSet<String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, port) in container.items("ports").iter().enumerate() {
        let number = port.int("hostPort").unwrap_or(0);
        if number == 0 {
            continue;
        }
        let key = format!("{}/{}/{number}", port.text("protocol"), port.text("hostIP"));
        if !taken.insert(key.clone()) {
            errors.push(FieldError::duplicate(format!("{path}.ports[{index}].hostPort"), key));
        }
    }
    errors
}

/// On the host's network a container's ports are the host's.
pub fn host_network(spec: &Value, path: &str, is_pod: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, container) in spec.items("containers").iter().enumerate().filter(|_| spec.flag("hostNetwork")) {
        for (place, port) in container.items("ports").iter().enumerate() {
            let (host, own) = (port.int("hostPort").unwrap_or(0), port.int("containerPort").unwrap_or(0));
            if (is_pod || host != 0) && host != own {
                errors.push(FieldError::invalid(
                    format!("{path}.containers[{index}].ports[{place}].hostPort"),
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
    }
    errors
}

/// A relative path without `..`.
pub fn descending_path(path: &str, at: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if path.starts_with('/') {
        errors.push(FieldError::invalid(at, path, "must be a relative path"));
    }
    errors.extend(super::volume_sources::backsteps(path, at));
    errors
}

fn resize_policies(list: &[Value], path: &str, pod: &Pod) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    let mut known = |value: &str, values: &[&str]| match value {
        "" => errors.push(FieldError::required(path, "")),
        value if values.contains(&value) => {}
        value => errors.push(FieldError::not_supported(path, value, values)),
    };
    for policy in list {
        known(policy.text("resourceName"), &["cpu", "memory"]);
        known(policy.text("restartPolicy"), &["NotRequired", "RestartContainer"]);
    }
    for (index, policy) in list.iter().enumerate() {
        let name = policy.text("resourceName");
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), name));
        }
        let restart = policy.text("restartPolicy");
        if pod.restart_policy == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, restart, detail));
        }
    }
    errors
}

/// A container's own restart policy and the rules that depend on how it exits.
fn restart_policy(container: &Value, path: &str) -> Vec<FieldError> {
    let rules = container.items("restartPolicyRules");
    let at = format!("{path}.restartPolicy");
    let mut errors = Vec::new();
    if !container.has("restartPolicy") {
        if !rules.is_empty() {
            let detail = "must specify restartPolicy when restart rules are used";
            errors.push(FieldError::required(at, detail));
        }
    } else {
        errors.extend(supported(container, "restartPolicy", path, &["Always", "Never", "OnFailure"]));
    }
    if rules.len() > 20 {
        errors.push(FieldError::too_many(format!("{path}.restartPolicyRules"), rules.len(), 20));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}.restartPolicyRules[{index}]");
        let action = rule.text("action");
        let actions = ["Restart", "RestartAllContainers"];
        if !actions.contains(&action) {
            errors.push(FieldError::not_supported(format!("{path}.action"), action, &actions));
        }
        if !rule.has("exitCodes") {
            errors.push(FieldError::required(format!("{path}.exitCodes"), "must be specified"));
            continue;
        }
        let operator = rule.text("exitCodes.operator");
        if !["In", "NotIn"].contains(&operator) {
            let at = format!("{path}.exitCodes.operator");
            errors.push(FieldError::not_supported(at, operator, &["In", "NotIn"]));
        }
        let values = rule.items("exitCodes.values").len();
        if values > 255 {
            errors.push(FieldError::too_many(format!("{path}.exitCodes.values"), values, 255));
        }
    }
    errors
}
