//! Validation of containers: names, images, ports, environment, mounts, probes, lifecycle,
//! security.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::spec::supported;
use crate::apiserver::kinds::core::resources;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::non_negative;
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
    errors.extend(env(container.items("env"), &format!("{path}.env"), pod));
    errors.extend(env_from(container.items("envFrom"), &format!("{path}.envFrom")));
    errors.extend(mounts(container, path, pod));
    errors.extend(devices(container, path, pod));
    errors.extend(resources::requirements(container.at("resources"), &format!("{path}.resources")));
    errors.extend(lifecycle(container.at("lifecycle"), &format!("{path}.lifecycle")));
    for which in ["livenessProbe", "readinessProbe", "startupProbe"] {
        errors.extend(probe(container.at(which), &format!("{path}.{which}"), which));
    }
    errors.extend(security_context(container.at("securityContext"), &format!("{path}.securityContext")));
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

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Every path that a `fieldRef` may name at all.
const POD_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "spec.hostNetwork",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];

fn env(list: &[Value], path: &str, pod: &Pod) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, variable) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = variable.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            let faults = names::env_var_name(name);
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.name"), name, fault)));
        }
        if variable.has("valueFrom") {
            errors.extend(env_source(variable, &format!("{path}.valueFrom"), pod));
        }
    }
    errors
}

fn env_source(variable: &Value, path: &str, pod: &Pod) -> Vec<FieldError> {
    let source = variable.at("valueFrom");
    let mut errors = Vec::new();
    let mut count = 0;
    if source.has("fieldRef") {
        count += 1;
        errors.extend(field_ref(source.at("fieldRef"), &format!("{path}.fieldRef"), ENV_FIELDS));
    }
    if source.has("resourceFieldRef") {
        count += 1;
        errors.extend(resource_field_ref(source.at("resourceFieldRef"), &format!("{path}.resourceFieldRef"), false));
    }
    for which in ["configMapKeyRef", "secretKeyRef"] {
        if source.has(which) {
            count += 1;
            errors.extend(key_ref(source.at(which), &format!("{path}.{which}")));
        }
    }
    if source.has("fileKeyRef") {
        count += 1;
        let reference = source.at("fileKeyRef");
        let volume = reference.text("volumeName");
        if volume.is_empty() {
            errors.push(FieldError::required(format!("{path}.fileKeyRef.volumeName"), ""));
        } else if !pod.volumes.contains(volume) {
            errors.push(FieldError::not_found(format!("{path}.fileKeyRef.volumeName"), volume));
        }
        for field in ["path", "key"] {
            if reference.text(field).is_empty() {
                errors.push(FieldError::required(format!("{path}.fileKeyRef.{field}"), ""));
            }
        }
    }
    if count == 0 {
        errors.push(FieldError::invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ));
    } else if !variable.text("value").is_empty() {
        errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
    } else if count > 1 {
        errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
    errors
}

/// What is wrong with a `fieldRef`; `allowed` are the whole fields that may be named here.
pub fn field_ref(reference: &Value, path: &str, allowed: &[&str]) -> Vec<FieldError> {
    if reference.text("apiVersion").is_empty() {
        return vec![FieldError::required(format!("{path}.apiVersion"), "")];
    }
    let field = reference.text("fieldPath");
    let at = format!("{path}.fieldPath");
    if field.is_empty() {
        return vec![FieldError::required(at, "")];
    }
    if let Some((whole, rest)) = field.split_once("['") {
        let key = rest.strip_suffix("']").unwrap_or("");
        return match whole {
            "metadata.annotations" | "metadata.labels" => names::qualified_name(&key.to_lowercase())
                .into_iter()
                .map(|fault| FieldError::invalid(at.clone(), key, fault))
                .collect(),
            _ => vec![FieldError::invalid(at, field, format!("{whole:?} does not support subscript"))],
        };
    }
    if !POD_FIELDS.contains(&field) {
        let detail = format!("error converting fieldPath: field label not supported: {field}");
        return vec![FieldError::invalid(at, field, detail)];
    }
    if allowed.contains(&field) { Vec::new() } else { vec![FieldError::not_supported(at, field, allowed)] }
}

const CONTAINER_RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// What is wrong with a `resourceFieldRef`; volumes must name the container.
pub fn resource_field_ref(reference: &Value, path: &str, in_volume: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if in_volume && reference.text("containerName").is_empty() {
        errors.push(FieldError::required(format!("{path}.containerName"), ""));
    }
    let resource = reference.text("resource");
    if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
        return errors;
    }
    let huge = resource.contains("hugepages-");
    if !huge && !CONTAINER_RESOURCES.contains(&resource) {
        errors.push(FieldError::not_supported(format!("{path}.resource"), resource, CONTAINER_RESOURCES));
    }
    let divisor = reference.text("divisor");
    let allowed: &[&str] = if resource.ends_with(".cpu") {
        &["0", "1m", "1"]
    } else {
        &["0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"]
    };
    if !divisor.is_empty() && !allowed.contains(&divisor) {
        let unit = if resource.ends_with(".cpu") {
            "only divisor's values 1m and 1 are supported with the cpu resource"
        } else {
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource"
        };
        errors.push(FieldError::invalid(format!("{path}.divisor"), divisor, unit));
    }
    errors
}

fn key_ref(reference: &Value, path: &str) -> Vec<FieldError> {
    let key = reference.text("key");
    if key.is_empty() {
        return vec![FieldError::required(format!("{path}.key"), "")];
    }
    names::config_key(key).into_iter().map(|fault| FieldError::invalid(format!("{path}.key"), key, fault)).collect()
}

fn env_from(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, source) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let prefix = source.text("prefix");
        if !prefix.is_empty() {
            let faults = names::env_var_name(prefix);
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.prefix"), prefix, fault)));
        }
        match (source.has("configMapRef"), source.has("secretRef")) {
            (false, false) => {
                errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"));
            }
            (true, true) => {
                errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
            }
            _ => {}
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

fn handler(handler: &Value, path: &str) -> Vec<FieldError> {
    let kinds: Vec<&str> =
        ["exec", "httpGet", "tcpSocket", "grpc", "sleep"].into_iter().filter(|kind| handler.has(kind)).collect();
    let mut errors = Vec::new();
    for kind in kinds.iter().skip(1) {
        errors.push(FieldError::forbidden(format!("{path}.{kind}"), "may not specify more than 1 handler type"));
    }
    match kinds.first() {
        None => errors.push(FieldError::required(path, "must specify a handler type")),
        Some(&"exec") if handler.items("exec.command").is_empty() => {
            errors.push(FieldError::required(format!("{path}.exec.command"), ""));
        }
        Some(&"httpGet") => {
            if handler.text("httpGet.path").is_empty() {
                errors.push(FieldError::required(format!("{path}.httpGet.path"), ""));
            }
            errors.extend(port_or_name(handler.at("httpGet.port"), &format!("{path}.httpGet.port")));
            errors.extend(supported(handler.at("httpGet"), "scheme", &format!("{path}.httpGet"), &["HTTP", "HTTPS"]));
        }
        Some(&"tcpSocket") => {
            errors.extend(port_or_name(handler.at("tcpSocket.port"), &format!("{path}.tcpSocket.port")));
        }
        Some(&"grpc") => errors.extend(port_or_name(handler.at("grpc.port"), &format!("{path}.grpc.port"))),
        _ => {}
    }
    errors
}

/// What is wrong with a port that is a number or the name of one.
pub fn port_or_name(port: &Value, path: &str) -> Vec<FieldError> {
    match port {
        Value::String(name) => {
            names::port_name(name).into_iter().map(|fault| FieldError::invalid(path, name.as_str(), fault)).collect()
        }
        other => {
            let number = other.as_i64().unwrap_or(0);
            names::port_number(number).into_iter().map(|fault| FieldError::invalid(path, number, fault)).collect()
        }
    }
}

fn lifecycle(lifecycle: &Value, path: &str) -> Vec<FieldError> {
    ["postStart", "preStop"]
        .into_iter()
        .filter(|which| lifecycle.has(which))
        .flat_map(|which| handler(lifecycle.at(which), &format!("{path}.{which}")))
        .collect()
}

fn probe(probe: &Value, path: &str, which: &str) -> Vec<FieldError> {
    if probe.is_null() {
        return Vec::new();
    }
    let mut errors = handler(probe, path);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        errors.extend(non_negative(probe.int(field).unwrap_or(0), &format!("{path}.{field}")));
    }
    if let Some(grace) = probe.int("terminationGracePeriodSeconds") {
        if which == "readinessProbe" {
            errors.push(FieldError::invalid(
                format!("{path}.terminationGracePeriodSeconds"),
                grace,
                "must not be set for readinessProbes",
            ));
        } else if grace <= 0 {
            errors.push(FieldError::invalid(
                format!("{path}.terminationGracePeriodSeconds"),
                grace,
                "must be greater than 0",
            ));
        }
    }
    let successes = probe.int("successThreshold").unwrap_or(1);
    if which != "readinessProbe" && successes != 1 {
        errors.push(FieldError::invalid(format!("{path}.successThreshold"), successes, "must be 1"));
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

fn security_context(context: &Value, path: &str) -> Vec<FieldError> {
    if context.is_null() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for field in ["runAsUser", "runAsGroup"] {
        errors.extend(id(context, field, path));
    }
    errors.extend(supported(context, "procMount", path, &["Default", "Unmasked"]));
    errors.extend(seccomp(context.at("seccompProfile"), &format!("{path}.seccompProfile")));
    if context.at("allowPrivilegeEscalation") == &Value::Bool(false) {
        if context.flag("privileged") {
            errors.push(FieldError::invalid_raw(
                path,
                go_security_context(context).to_string(),
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            ));
        }
        if context.items("capabilities.add").iter().any(|add| add == "CAP_SYS_ADMIN") {
            errors.push(FieldError::invalid_raw(
                path,
                go_security_context(context).to_string(),
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            ));
        }
    }
    errors
}

/// A user or group id: 0 to 2147483647.
pub fn id(context: &Value, field: &str, path: &str) -> Vec<FieldError> {
    let Some(number) = context.int(field) else { return Vec::new() };
    let faults = names::in_range(number, 0, 2_147_483_647);
    faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.{field}"), number, fault)).collect()
}

/// What is wrong with a seccomp profile.
pub fn seccomp(profile: &Value, path: &str) -> Vec<FieldError> {
    if profile.is_null() {
        return Vec::new();
    }
    let local = profile.has("localhostProfile");
    match profile.text("type") {
        "" => vec![FieldError::required(format!("{path}.type"), "type is required when seccompProfile is set")],
        "Localhost" if !local => {
            vec![FieldError::required(format!("{path}.localhostProfile"), "must be set when seccomp type is Localhost")]
        }
        "Localhost" => descending_path(profile.text("localhostProfile"), &format!("{path}.localhostProfile")),
        "RuntimeDefault" | "Unconfined" if local => vec![FieldError::invalid(
            format!("{path}.localhostProfile"),
            profile.at("localhostProfile").clone(),
            "can only be set when seccomp type is Localhost",
        )],
        "RuntimeDefault" | "Unconfined" => Vec::new(),
        other => {
            vec![FieldError::not_supported(
                format!("{path}.type"),
                other,
                &["Localhost", "RuntimeDefault", "Unconfined"],
            )]
        }
    }
}

/// The internal Go struct as `encoding/json` prints it: every field, capitalised.
fn go_security_context(context: &Value) -> Value {
    let capabilities = match context.at("capabilities") {
        Value::Null => Value::Null,
        set => json!({"Add": set.at("add"), "Drop": set.at("drop")}),
    };
    json!({
        "Capabilities": capabilities,
        "Privileged": context.at("privileged"),
        "SELinuxOptions": context.at("seLinuxOptions"),
        "WindowsOptions": context.at("windowsOptions"),
        "RunAsUser": context.at("runAsUser"),
        "RunAsGroup": context.at("runAsGroup"),
        "RunAsNonRoot": context.at("runAsNonRoot"),
        "ReadOnlyRootFilesystem": context.at("readOnlyRootFilesystem"),
        "AllowPrivilegeEscalation": context.at("allowPrivilegeEscalation"),
        "ProcMount": context.at("procMount"),
        "SeccompProfile": context.at("seccompProfile"),
        "AppArmorProfile": context.at("appArmorProfile"),
    })
}
