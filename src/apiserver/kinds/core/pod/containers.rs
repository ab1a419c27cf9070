//! Validation of containers: names, images, ports, environment, mounts, probes, lifecycle,
//! security.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`.

use std::collections::HashSet;

use serde_json::Value;

use super::spec::supported;
use super::{environment, probes, security};
use crate::apiserver::kinds::core::resources;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, names};

/// What the containers of one Pod know of each other and of the Pod.
pub struct Pod<'a> {
    /// Names of the Pod's volumes.
    pub volumes: HashSet<&'a str>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.restartPolicy`.
    pub restart_policy: &'a str,
}

/// What is wrong with one of the three lists of containers. `seen` holds the names used so far.
pub fn validate<'a>(
    list: &'a [Value],
    path: &str,
    pod: &Pod,
    seen: &mut HashSet<&'a str>,
    ports: &mut HashSet<String>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, container) in list.iter().enumerate() {
        let at = format!("{path}[{index}]");
        errors.extend(one(container, &at, pod));
        let name = container.text("name");
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{at}.name"), name));
        }
        errors.extend(host_port_conflicts(container, &at, ports));
    }
    errors
}

fn one(container: &Value, path: &str, pod: &Pod) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = container.text("name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    for fault in names::dns_label(name).into_iter().filter(|_| !name.is_empty()) {
        errors.push(FieldError::invalid(format!("{path}.name"), name, fault));
    }
    let image = container.text("image");
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        errors.push(FieldError::invalid(
            format!("{path}.image"),
            image,
            "must not have leading or trailing whitespace",
        ));
    }
    errors.extend(supported(container, "terminationMessagePolicy", path, &["File", "FallbackToLogsOnError"]));
    errors.extend(supported(container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"]));
    errors.extend(validate_ports(container.items("ports"), &format!("{path}.ports"), pod.host_network));
    errors.extend(environment::env(container.items("env"), &format!("{path}.env"), pod));
    errors.extend(environment::env_from(container.items("envFrom"), &format!("{path}.envFrom")));
    errors.extend(mounts(container, path, pod));
    errors.extend(devices(container, path, pod));
    errors.extend(resources::requirements(container.at("resources"), &format!("{path}.resources")));
    errors.extend(probes::lifecycle(container.at("lifecycle"), &format!("{path}.lifecycle")));
    for which in ["livenessProbe", "readinessProbe", "startupProbe"] {
        errors.extend(probes::probe(container.at(which), &format!("{path}.{which}"), which));
    }
    errors.extend(security::security_context(container.at("securityContext"), &format!("{path}.securityContext")));
    errors.extend(resize_policies(container.items("resizePolicy"), &format!("{path}.resizePolicy")));
    errors
}

/// What is wrong with a container's ports.
pub fn validate_ports(ports: &[Value], path: &str, host_network: bool) -> Vec<FieldError> {
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
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.name"), name, fault)));
        }
        let number = port.int("containerPort").unwrap_or(0);
        if number == 0 {
            errors.push(FieldError::required(format!("{path}.containerPort"), ""));
        } else {
            let faults = names::port_number(number);
            errors.extend(
                faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.containerPort"), number, fault)),
            );
        }
        let host_port = port.int("hostPort").unwrap_or(0);
        if host_port != 0 {
            let faults = names::port_number(host_port);
            errors.extend(
                faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.hostPort"), host_port, fault)),
            );
            if host_network && host_port != number {
                errors.push(FieldError::invalid(
                    format!("{path}.hostPort"),
                    host_port,
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
        if port.text("protocol").is_empty() {
            errors.push(FieldError::required(format!("{path}.protocol"), ""));
        } else {
            errors.extend(supported(port, "protocol", &path, &["SCTP", "TCP", "UDP"]));
        }
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

fn mounts(container: &Value, path: &str, pod: &Pod) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut points = HashSet::new();
    for (index, mount) in container.items("volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        let name = mount.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        if !pod.volumes.contains(name) {
            errors.push(FieldError::not_found(format!("{path}.name"), name));
        }
        let point = mount.text("mountPath");
        if point.is_empty() {
            errors.push(FieldError::required(format!("{path}.mountPath"), ""));
        }
        if !points.insert(point) {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), point, "must be unique"));
        }
        let (sub_path, expression) = (mount.text("subPath"), mount.text("subPathExpr"));
        if !sub_path.is_empty() {
            errors.extend(descending_path(sub_path, &format!("{path}.subPath")));
        }
        if !expression.is_empty() {
            if !sub_path.is_empty() {
                errors.push(FieldError::invalid(
                    format!("{path}.subPathExpr"),
                    expression,
                    "subPathExpr and subPath are mutually exclusive",
                ));
            }
            errors.extend(descending_path(expression, &format!("{path}.subPathExpr")));
        }
        errors.extend(mount_propagation(mount, container, &path));
    }
    errors
}

fn mount_propagation(mount: &Value, container: &Value, path: &str) -> Vec<FieldError> {
    let mode = mount.text("mountPropagation");
    if mode.is_empty() {
        return Vec::new();
    }
    let at = format!("{path}.mountPropagation");
    if mode == "Bidirectional" && !container.flag("securityContext.privileged") {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        return vec![FieldError::forbidden(at, detail)];
    }
    if ["None", "HostToContainer", "Bidirectional"].contains(&mode) {
        return Vec::new();
    }
    vec![FieldError::not_supported(at, mode, &["Bidirectional", "HostToContainer", "None"])]
}

/// A relative path without `..`.
pub fn descending_path(path: &str, at: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if path.starts_with('/') {
        errors.push(FieldError::invalid(at, path, "must be a relative path"));
    }
    if !names::no_backsteps(path) {
        errors.push(FieldError::invalid(at, path, "must not contain '..'"));
    }
    errors
}

fn devices(container: &Value, path: &str, pod: &Pod) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, device) in container.items("volumeDevices").iter().enumerate() {
        let path = format!("{path}.volumeDevices[{index}]");
        let name = device.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !pod.volumes.contains(name) {
            errors.push(FieldError::not_found(format!("{path}.name"), name));
        }
        if device.text("devicePath").is_empty() {
            errors.push(FieldError::required(format!("{path}.devicePath"), ""));
        }
    }
    errors
}

fn resize_policies(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, policy) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = policy.text("resourceName");
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path.clone(), name));
        }
        errors.extend(supported(policy, "resourceName", &path, &["cpu", "memory"]));
        errors.extend(supported(policy, "restartPolicy", &path, &["NotRequired", "RestartContainer"]));
    }
    errors
}
