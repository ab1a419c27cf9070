//! Validation of a Pod's spec, alone or inside a template.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidatePodSpec`.

use std::collections::HashSet;

use serde_json::Value;

use super::containers;
use super::security::{id, seccomp};
use super::{scheduling, volumes};
use crate::apiserver::kinds::core::resources;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, metadata, names};

/// What is wrong with a new Pod.
pub fn validate_pod(pod: &Value) -> Vec<FieldError> {
    let mut errors = validate(pod.at("spec"), "spec");
    if !pod.items("spec.ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    if !pod.items("spec.schedulingGates").is_empty() && !pod.text("spec.nodeName").is_empty() {
        errors
            .push(FieldError::forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
    }
    errors
}

/// `Unsupported value`, when `field` of `object` is not one of `values`.
pub fn supported(object: &Value, field: &str, path: &str, values: &[&str]) -> Option<FieldError> {
    let value = object.text(field);
    (!values.contains(&value) && object.has(field))
        .then(|| FieldError::not_supported(format!("{path}.{field}"), value, values))
}

/// What is wrong with a Pod's spec at `path`.
pub fn validate(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = volumes::validate(spec.items("volumes"), &format!("{path}.volumes"));
    errors.extend(all_containers(spec, path));
    errors.extend(supported(spec, "restartPolicy", path, &["Always", "OnFailure", "Never"]));
    errors.extend(dns(spec, path));
    errors.extend(security_context(spec.at("securityContext"), &format!("{path}.securityContext")));
    errors.extend(scheduling::affinity(spec.at("affinity"), &format!("{path}.affinity")));
    errors.extend(scheduling::tolerations(spec.items("tolerations"), &format!("{path}.tolerations")));
    errors.extend(scheduling::spread(
        spec.items("topologySpreadConstraints"),
        &format!("{path}.topologySpreadConstraints"),
    ));
    errors.extend(scheduling::gates(spec.items("schedulingGates"), &format!("{path}.schedulingGates")));
    errors.extend(metadata::labels(spec.at("nodeSelector"), &format!("{path}.nodeSelector")));
    errors.extend(named(spec, path));
    errors.extend(seconds(spec, path));
    errors.extend(host_aliases(spec.items("hostAliases"), &format!("{path}.hostAliases")));
    errors.extend(resource_claims(spec, path));
    if spec.has("resources") {
        errors.extend(resources::requirements(spec.at("resources"), &format!("{path}.resources")));
    }
    for (index, gate) in spec.items("readinessGates").iter().enumerate() {
        let kind = gate.text("conditionType");
        for fault in names::qualified_name(kind) {
            errors.push(FieldError::invalid(format!("{path}.readinessGates[{index}].conditionType"), kind, fault));
        }
    }
    if spec.has("os") {
        let name = spec.text("os.name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.os.name"), "cannot be empty"));
        } else if !["linux", "windows"].contains(&name) {
            errors.push(FieldError::not_supported(format!("{path}.os"), name, &["linux", "windows"]));
        }
    }
    errors
}

fn all_containers(spec: &Value, path: &str) -> Vec<FieldError> {
    let pod = containers::Pod {
        volumes: spec
            .items("volumes")
            .iter()
            .map(|volume| volume.text("name"))
            .filter(|name| !name.is_empty())
            .collect(),
        host_network: spec.flag("hostNetwork"),
        restart_policy: spec.text("restartPolicy"),
    };
    let mut seen = HashSet::new();
    let mut ports = HashSet::new();
    let mut errors = Vec::new();
    let regular = spec.items("containers");
    if regular.is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    errors.extend(containers::validate(regular, &format!("{path}.containers"), &pod, &mut seen, &mut ports));
    let init = spec.items("initContainers");
    let init_path = format!("{path}.initContainers");
    errors.extend(containers::validate(init, &init_path, &pod, &mut seen, &mut HashSet::new()));
    for (index, container) in init.iter().enumerate() {
        let at = format!("{init_path}[{index}]");
        errors.extend(init_container(container, &at));
    }
    let ephemeral = spec.items("ephemeralContainers");
    let ephemeral_path = format!("{path}.ephemeralContainers");
    errors.extend(containers::validate(ephemeral, &ephemeral_path, &pod, &mut seen, &mut HashSet::new()));
    for (index, container) in ephemeral.iter().enumerate() {
        errors.extend(ephemeral_container(container, &format!("{ephemeral_path}[{index}]"), spec));
    }
    errors
}

/// An init container that is not a sidecar has no probes and no hooks.
fn init_container(container: &Value, path: &str) -> Vec<FieldError> {
    if container.text("restartPolicy") == "Always" {
        return Vec::new();
    }
    let fields = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"];
    fields
        .into_iter()
        .filter(|field| container.has(field))
        .map(|field| {
            FieldError::forbidden(
                format!("{path}.{field}"),
                "may not be set for init containers without restartPolicy=Always",
            )
        })
        .collect()
}

fn ephemeral_container(container: &Value, path: &str, spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["ports", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        let set = match container.at(field) {
            Value::Null => false,
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        if set {
            errors.push(FieldError::forbidden(format!("{path}.{field}"), "cannot be set for an Ephemeral Container"));
        }
    }
    let target = container.text("targetContainerName");
    let known = ["containers", "initContainers"]
        .iter()
        .any(|list| spec.items(list).iter().any(|other| other.text("name") == target));
    if !target.is_empty() && !known {
        errors.push(FieldError::not_found(format!("{path}.targetContainerName"), target));
    }
    errors
}

fn dns(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(supported(spec, "dnsPolicy", path, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]));
    let config = spec.at("dnsConfig");
    if spec.text("dnsPolicy") == "None" {
        if config.is_null() {
            errors.push(FieldError::required(
                format!("{path}.dnsConfig"),
                "must provide `dnsConfig` when `dnsPolicy` is None",
            ));
        } else if config.items("nameservers").is_empty() {
            errors.push(FieldError::required(
                format!("{path}.dnsConfig.nameservers"),
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            ));
        }
    }
    let servers = config.items("nameservers");
    if servers.len() > 3 {
        let list = Value::Array(servers.to_vec());
        errors.push(FieldError::invalid(
            format!("{path}.dnsConfig.nameservers"),
            list,
            "must not have more than 3 nameservers",
        ));
    }
    for (index, server) in servers.iter().enumerate() {
        let server = server.as_str().unwrap_or("");
        for fault in names::ip(server) {
            errors.push(FieldError::invalid(format!("{path}.dnsConfig.nameservers[{index}]"), server, fault));
        }
    }
    errors
}

fn security_context(context: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        errors.extend(id(context, field, path));
    }
    for (index, group) in context.items("supplementalGroups").iter().enumerate() {
        let number = group.as_i64().unwrap_or(0);
        for fault in names::in_range(number, 0, 2_147_483_647) {
            errors.push(FieldError::invalid(format!("{path}.supplementalGroups[{index}]"), number, fault));
        }
    }
    errors.extend(seccomp(context.at("seccompProfile"), &format!("{path}.seccompProfile")));
    errors.extend(supported(context, "fsGroupChangePolicy", path, &["OnRootMismatch", "Always"]));
    let mut sysctls = HashSet::new();
    for (index, sysctl) in context.items("sysctls").iter().enumerate() {
        let name = sysctl.text("name");
        let at = format!("{path}.sysctls[{index}].name");
        if name.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if !sysctls.insert(name) {
            errors.push(FieldError::duplicate(at, name));
        }
    }
    errors
}

/// Fields that name something: service account, node, host name, subdomain, priority class.
fn named(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut check = |field: &str, rule: fn(&str) -> Vec<String>| {
        let name = spec.text(field);
        if !name.is_empty() {
            let faults = rule(name);
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.{field}"), name, fault)));
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

fn seconds(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(deadline) = spec.int("activeDeadlineSeconds") {
        for fault in names::in_range(deadline, 1, 2_147_483_647) {
            errors.push(FieldError::invalid(format!("{path}.activeDeadlineSeconds"), deadline, fault));
        }
    }
    if let Some(grace) = spec.int("terminationGracePeriodSeconds") {
        errors.extend(metadata::non_negative(grace, &format!("{path}.terminationGracePeriodSeconds")));
    }
    errors
}

fn host_aliases(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, alias) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        for fault in names::ip(alias.text("ip")) {
            errors.push(FieldError::invalid(format!("{path}.ip"), alias.text("ip"), fault));
        }
        for name in alias.items("hostnames") {
            let name = name.as_str().unwrap_or("");
            for fault in names::dns_subdomain(name) {
                errors.push(FieldError::invalid(format!("{path}.hostnames"), name, fault));
            }
        }
    }
    errors
}

fn resource_claims(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, claim) in spec.items("resourceClaims").iter().enumerate() {
        let path = format!("{path}.resourceClaims[{index}]");
        let name = claim.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        match (claim.has("resourceClaimName"), claim.has("resourceClaimTemplateName")) {
            (true, true) => errors.push(FieldError::invalid(
                path,
                claim.clone(),
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            )),
            (false, false) => errors.push(FieldError::invalid(
                path,
                claim.clone(),
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            )),
            _ => {}
        }
    }
    for (index, container) in spec.items("containers").iter().enumerate() {
        for (at, claim) in container.items("resources.claims").iter().enumerate() {
            let name = claim.text("name");
            if !name.is_empty() && !seen.contains(name) {
                errors.push(FieldError::not_found(format!("{path}.containers[{index}].resources.claims[{at}]"), name));
            }
        }
    }
    errors
}
