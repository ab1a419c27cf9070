//! Validation of a Pod's spec, alone or inside a template.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidatePodSpec`.

use serde_json::Value;

use super::{annotations, claims, containers, scheduling, security, volumes, windows};
use crate::apiserver::kinds::core::resources;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, metadata, names};

/// What is wrong with a Pod, new or changed, besides what may not change.
pub fn validate_pod(pod: &Value) -> Vec<FieldError> {
    let spec = pod.at("spec");
    let mut errors = annotations::validate(pod, "metadata.annotations", "spec");
    errors.extend(validate(spec, "spec", Some(pod.at("metadata"))));
    if let Some(grace) = spec.int("terminationGracePeriodSeconds") {
        errors.extend(metadata::non_negative(grace, "spec.terminationGracePeriodSeconds"));
    }
    if spec.text("serviceAccountName").is_empty() {
        for (index, volume) in spec.items("volumes").iter().enumerate() {
            for (place, source) in volume.items("projected.sources").iter().enumerate() {
                if source.has("serviceAccountToken") {
                    errors.push(FieldError::forbidden(
                        format!("spec.volumes[{index}].projected.sources[{place}].serviceAccountToken"),
                        "must not be specified when serviceAccountName is not set",
                    ));
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in spec.items(list).iter().enumerate() {
            errors.extend(containers::padded_image(container, &format!("spec.{list}[{index}]")));
        }
    }
    errors
}

/// What is wrong with a new Pod.
pub fn validate_new_pod(pod: &Value) -> Vec<FieldError> {
    let mut errors = validate_pod(pod);
    if !pod.items("spec.ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    if !pod.items("spec.schedulingGates").is_empty() && !pod.text("spec.nodeName").is_empty() {
        errors
            .push(FieldError::forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
    }
    errors.extend(annotations::agree(pod, "spec"));
    errors
}

/// `Unsupported value`, when `field` of `object` is not one of `values`.
pub fn supported(object: &Value, field: &str, path: &str, values: &[&str]) -> Option<FieldError> {
    let value = object.text(field);
    (!values.contains(&value) && object.has(field))
        .then(|| FieldError::not_supported(format!("{path}.{field}"), value, values))
}

/// What is wrong with a Pod's spec at `path`; `meta` is the Pod's own metadata, a template has none.
pub fn validate(spec: &Value, path: &str, meta: Option<&Value>) -> Vec<FieldError> {
    let pod_name = meta.map_or("", |meta| meta.text("name"));
    let (good, mut errors) = volumes::validate(spec.items("volumes"), &format!("{path}.volumes"), pod_name);
    let (claim_names, claim_errors) = claims::validate(spec, path, meta);
    errors.extend(claim_errors);
    let pod = containers::Pod {
        volumes: good,
        claims: claim_names,
        restart_policy: spec.text("restartPolicy"),
        grace_seconds: spec.int("terminationGracePeriodSeconds"),
        os: spec.text("os.name"),
        host_users: spec.at("hostUsers") != &Value::Bool(false),
    };
    errors.extend(containers::validate(spec, path, &pod));
    errors.extend(resources::of_pod(spec, path, &pod.claims));
    errors.extend(containers::host_network(spec, path, meta.is_some()));
    errors.extend(check::choice(spec, "restartPolicy", path, &["Always", "OnFailure", "Never"]));
    errors.extend(dns(spec, path));
    errors.extend(metadata::labels(spec.at("nodeSelector"), &format!("{path}.nodeSelector")));
    errors.extend(security::pod(spec, path));
    if spec.flag("shareProcessNamespace") && spec.flag("hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(format!("{path}.shareProcessNamespace"), true, detail));
    }
    errors.extend(scheduling::affinity(spec.at("affinity"), &format!("{path}.affinity")));
    errors.extend(readiness_gates(spec, path));
    errors.extend(scheduling::gates(spec.items("schedulingGates"), &format!("{path}.schedulingGates")));
    let spread = spec.items("topologySpreadConstraints");
    errors.extend(scheduling::spread(spread, &format!("{path}.topologySpreadConstraints")));
    errors.extend(windows::host_process(spec, path));
    errors.extend(windows::host_users(spec, path));
    errors.extend(host_name(spec, path));
    errors.extend(named(spec, path));
    errors.extend(check::between(spec, "activeDeadlineSeconds", path, 1, 2_147_483_647));
    errors.extend(scheduling::tolerations(spec.items("tolerations"), &format!("{path}.tolerations")));
    errors.extend(host_aliases(spec.items("hostAliases"), &format!("{path}.hostAliases")));
    if spec.has("preemptionPolicy") {
        errors.extend(check::choice(spec, "preemptionPolicy", path, &["PreemptLowerPriority", "Never"]));
    }
    for (name, amount) in spec.entries("overhead") {
        // Overhead is judged as a container's limits would be.
        errors.extend(resources::container_amount(name, amount, &format!("{path}.overhead.limits[{name}]")));
    }
    errors.extend(windows::validate_os(spec, path));
    errors.extend(file_key_volumes(spec, path));
    errors
}

fn readiness_gates(spec: &Value, path: &str) -> Vec<FieldError> {
    let gates = spec.items("readinessGates").iter().enumerate();
    gates
        .flat_map(|(index, gate)| {
            let kind = gate.text("conditionType");
            check::faults(format!("{path}.readinessGates[{index}].conditionType"), kind, names::qualified_name(kind))
        })
        .collect()
}

fn host_name(spec: &Value, path: &str) -> Vec<FieldError> {
    if !spec.has("hostnameOverride") {
        return Vec::new();
    }
    let (name, at) = (spec.text("hostnameOverride"), format!("{path}.hostnameOverride"));
    let mut errors = Vec::new();
    for field in ["setHostnameAsFQDN", "hostNetwork"] {
        if spec.flag(field) {
            errors.push(FieldError::forbidden(at.as_str(), format!("may not be specified when {field} is true")));
        }
    }
    if name.len() > 64 {
        errors.push(FieldError::too_long(at.as_str(), 64));
    }
    errors.extend(check::faults(at, name, names::dns_subdomain(name)));
    errors
}

/// Files of environment variables lie in an `emptyDir`.
fn file_key_volumes(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for list in super::defaults::CONTAINER_LISTS {
        for (index, container) in spec.items(list).iter().enumerate() {
            for (place, variable) in container.items("env").iter().enumerate() {
                if !variable.has("valueFrom.fileKeyRef") {
                    continue;
                }
                let name = variable.text("valueFrom.fileKeyRef.volumeName");
                let at = format!("{path}.{list}[{index}].env[{place}].valueFrom.fileKeyRef.volumeName");
                match spec.items("volumes").iter().rfind(|volume| volume.text("name") == name) {
                    None => errors.push(FieldError::not_found(at, name)),
                    Some(volume) if !volume.has("emptyDir") => {
                        errors.push(FieldError::invalid(at, name, "referenced volume must be of type emptyDir"));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    errors
}

fn dns(spec: &Value, path: &str) -> Vec<FieldError> {
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    let mut errors: Vec<FieldError> = check::choice(spec, "dnsPolicy", path, &policies).into_iter().collect();
    let config = spec.at("dnsConfig");
    let path = format!("{path}.dnsConfig");
    if spec.text("dnsPolicy") == "None" {
        if config.is_null() {
            errors.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return errors;
        }
        if config.items("nameservers").is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(FieldError::required(format!("{path}.nameservers"), detail));
            return errors;
        }
    }
    let servers = config.items("nameservers");
    if servers.len() > 3 {
        let list = Value::Array(servers.to_vec());
        errors.push(FieldError::invalid(format!("{path}.nameservers"), list, "must not have more than 3 nameservers"));
    }
    for (index, server) in servers.iter().enumerate() {
        let server = server.as_str().unwrap_or("");
        errors.extend(check::faults(format!("{path}.nameservers[{index}]"), server, names::ip(server)));
    }
    errors.extend(searches(config.items("searches"), &format!("{path}.searches")));
    for (index, _) in config.items("options").iter().enumerate().filter(|(_, option)| option.text("name").is_empty()) {
        errors.push(FieldError::required(format!("{path}.options[{index}]"), "must not be empty"));
    }
    errors
}

fn searches(list: &[Value], path: &str) -> Vec<FieldError> {
    let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    let mut errors = Vec::new();
    let mut wrong = |detail: &str| errors.push(FieldError::invalid(path, Value::Array(list.to_vec()), detail));
    if list.len() > 32 {
        wrong("must not have more than 32 search paths");
    }
    if texts.join(" ").len() > 2048 {
        wrong("must not have more than 2048 characters (including spaces) in the search list");
    }
    for (index, search) in texts.into_iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        errors.extend(check::faults(format!("{path}[{index}]"), search, names::dns_subdomain_with_underscores(search)));
    }
    errors
}

/// Fields that name something: service account, node, host name, subdomain, priority class.
fn named(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut check = |field: &str, rule: fn(&str) -> Vec<String>| {
        let name = spec.text(field);
        if !name.is_empty() || field == "runtimeClassName" && spec.has(field) {
            errors.extend(check::faults(format!("{path}.{field}"), name, rule(name)));
        }
    };
    check("serviceAccountName", names::dns_subdomain);
    check("nodeName", names::dns_subdomain);
    check("hostname", names::dns_label);
    check("subdomain", names::dns_label);
    check("priorityClassName", names::dns_subdomain);
    check("runtimeClassName", names::dns_subdomain);
    errors
}

fn host_aliases(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, alias) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        errors.extend(check::faults(format!("{path}.ip"), alias.text("ip"), names::ip(alias.text("ip"))));
        for (place, name) in alias.items("hostnames").iter().enumerate() {
            let name = name.as_str().unwrap_or("");
            errors.extend(check::faults(format!("{path}.hostnames[{place}]"), name, names::dns_subdomain(name)));
        }
    }
    errors
}
