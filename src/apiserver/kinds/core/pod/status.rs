//! What is wrong with a Pod's status, as the kubelet or the scheduler reports it.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidatePodStatusUpdate`.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{Context, FieldError, check, names};

/// The lists of container statuses, each with the list of the spec it reports on.
const LISTS: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

/// What is wrong with an update through the `status` subresource.
pub fn validate(new: &Value, old: &Value, _: &Context) -> Vec<FieldError> {
    let mut errors = super::update::annotation_changes(new, old);
    errors.extend(conditions(new.items("status.conditions")));
    errors.extend(nominated(new, old));
    if let Some(generation) = new.int("status.observedGeneration") {
        errors.extend(observed(generation, "status.observedGeneration"));
    }
    if new.text("status.qosClass") != old.text("status.qosClass") {
        errors.push(FieldError::invalid("status.qosClass", new.text("status.qosClass"), "field is immutable"));
    }
    for (statuses, containers) in LISTS {
        errors.extend(transitions(new, old, statuses, containers));
    }
    errors.extend(claims(new));
    errors.extend(extended_claim(new));
    errors.extend(addresses(new, old, "podIPs"));
    errors.extend(addresses(new, old, "hostIPs"));
    for (statuses, _) in LISTS {
        errors.extend(users(new, statuses));
    }
    for (statuses, containers) in LISTS {
        errors.extend(allocated(new, statuses, containers));
    }
    errors
}

fn observed(generation: i64, path: &str) -> Option<FieldError> {
    (generation < 0).then(|| FieldError::invalid(path, generation, "must be a non-negative integer"))
}

fn conditions(conditions: &[Value]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = format!("status.conditions[{index}]");
        let generation = condition.int("observedGeneration").unwrap_or(0);
        errors.extend(observed(generation, &format!("{path}.observedGeneration")));
        let kind = condition.text("type");
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            errors.extend(check::faults(format!("{path}.Type"), kind, names::qualified_name(kind)));
        }
    }
    errors
}

fn nominated(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = "status.nominatedNodeName";
    let node = new.text(path);
    if node.is_empty() || node == old.text(path) {
        return Vec::new();
    }
    let mut errors: Vec<FieldError> = check::faults(path, node, names::dns_subdomain(node)).collect();
    if !old.text("spec.nodeName").is_empty() {
        errors.push(FieldError::forbidden(path, "may not be set on pods that are already bound to a node"));
    }
    errors
}

/// A container that has ended stays so, unless its Pod would start it again.
fn transitions(new: &Value, old: &Value, statuses: &str, containers: &str) -> Vec<FieldError> {
    let spec = old.at("spec");
    let restarts_all = ["containers", "initContainers"].iter().flat_map(|list| spec.items(list)).any(|container| {
        container.items("restartPolicyRules").iter().any(|rule| rule.text("action") == "RestartAllContainers")
    });
    if restarts_all && containers != "ephemeralContainers" {
        return Vec::new();
    }
    let path = format!("status.{statuses}");
    let mut errors = Vec::new();
    for (index, was) in old.items(&path).iter().enumerate().filter(|(_, was)| was.has("state.terminated")) {
        let now = new.items(&path).iter().find(|now| now.text("name") == was.text("name"));
        let code = was.int("state.terminated.exitCode").unwrap_or(0);
        let container = spec.items(containers).iter().find(|container| container.text("name") == was.text("name"));
        let restarts = containers != "ephemeralContainers" && container.is_some_and(|it| restarts(it, spec, code));
        if now.is_some_and(|now| !now.has("state.terminated")) && !restarts {
            let detail = "may not be transitioned to non-terminated state";
            errors.push(FieldError::forbidden(format!("{path}[{index}].state"), detail));
        }
    }
    errors
}

fn restarts(container: &Value, spec: &Value, code: i64) -> bool {
    let own = container.text("restartPolicy");
    let matches = |rule: &&Value| {
        let listed = rule.items("exitCodes.values").iter().any(|value| value.as_i64() == Some(code));
        match rule.text("exitCodes.operator") {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
    };
    let rule = container.items("restartPolicyRules").iter().find(matches);
    if !own.is_empty() && rule.is_some_and(|rule| rule.text("action") == "Restart") {
        return true;
    }
    match if own.is_empty() { spec.text("restartPolicy") } else { own } {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

fn claims(pod: &Value) -> Vec<FieldError> {
    let known: HashSet<&str> = pod.items("spec.resourceClaims").iter().map(|claim| claim.text("name")).collect();
    let (mut errors, mut seen) = (Vec::new(), HashSet::new());
    for (index, status) in pod.items("status.resourceClaimStatuses").iter().enumerate() {
        let path = format!("status.resourceClaimStatuses[{index}]");
        let name = status.text("name");
        if !known.contains(name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(FieldError::invalid(format!("{path}.name"), name, detail));
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        if status.has("resourceClaimName") {
            let claim = status.text("resourceClaimName");
            errors.extend(check::faults(format!("{path}.resourceClaimName"), claim, names::dns_subdomain(claim)));
        }
    }
    errors
}

fn extended_claim(pod: &Value) -> Vec<FieldError> {
    let status = pod.at("status.extendedResourceClaimStatus");
    if status.is_null() {
        return Vec::new();
    }
    let path = "status.extendedResourceClaimStatus";
    let mut errors = Vec::new();
    if status.items("requestMappings").is_empty() {
        errors
            .push(FieldError::required(format!("{path}.requestMappings"), "at least one request mapping is required"));
    }
    let lists = ["spec.containers", "spec.initContainers"];
    let mut seen = HashSet::new();
    for (index, mapping) in status.items("requestMappings").iter().enumerate() {
        let at = format!("{path}.requestMappings[{index}]");
        let [container, resource, request] =
            ["containerName", "resourceName", "requestName"].map(|field| mapping.text(field));
        match lists.iter().flat_map(|list| pod.items(list)).find(|it| it.text("name") == container) {
            Some(it) if it.at("resources.requests").get(resource).is_some() => {}
            Some(_) => errors.push(FieldError::invalid(
                format!("{at}.resourceName"),
                resource,
                "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests",
            )),
            None => errors.push(FieldError::invalid(
                format!("{at}.containerName"),
                container,
                "must match the name of an entry in spec.initContainers.name or spec.containers.name",
            )),
        }
        errors.extend(check::faults(format!("{path}.requestName"), request, names::dns_label(request)));
        if !seen.insert((container, resource, request)) {
            for (field, value) in [("containerName", container), ("resourceName", resource), ("requestName", request)] {
                errors.push(FieldError::duplicate(format!("{at}.{field}"), value));
            }
        }
    }
    match status.text("resourceClaimName") {
        "" => errors.push(FieldError::required(format!("{path}.resourceClaimName"), "")),
        name => errors.extend(check::faults(format!("{path}.resourceClaimName"), name, names::dns_subdomain(name))),
    }
    errors
}

/// `podIPs` or `hostIPs`: at most one of each family, the first also in the field for one.
fn addresses(new: &Value, old: &Value, list: &str) -> Vec<FieldError> {
    let path = format!("status.{list}");
    let (now, was) = (new.items(&path), old.items(&path));
    let single = list.trim_end_matches('s');
    let first = new.text(&format!("status.{single}"));
    let shown = || {
        let parts: Vec<String> =
            now.iter().map(|entry| format!("{{\"IP\":{}}}", Value::from(entry.text("ip")))).collect();
        if parts.is_empty() { "null".to_string() } else { format!("[{}]", parts.join(",")) }
    };
    let mut errors = Vec::new();
    for (index, entry) in now.iter().enumerate().filter(|(_, entry)| !was.contains(entry)) {
        let ip = entry.text("ip");
        errors.extend(check::faults(format!("{path}[{index}]"), ip, names::ip(ip)));
    }
    let families: Option<Vec<bool>> =
        now.iter().map(|entry| entry.text("ip").parse().ok().map(|ip: IpAddr| ip.is_ipv4())).collect();
    let several = now.len() > 1;
    let unread = now.iter().position(|entry| entry.text("ip").parse::<IpAddr>().is_err()).filter(|_| several);
    if let Some(unread) = unread {
        let detail =
            format!("failed to check for dual stack with error:invalid IP[{unread}]: {}", now[unread].text("ip"));
        errors.push(FieldError::internal(path.as_str(), detail));
    }
    if several && families.is_none_or(|families| families.len() > 2 || families[0] == families[1]) {
        errors.push(FieldError::invalid_raw(
            path.as_str(),
            shown(),
            "may specify no more than one IP for each IP family",
        ));
    }
    if list == "podIPs" && first.is_empty() != now.is_empty() {
        let detail = "podIP and podIPs must either both be set or both be unset";
        errors.push(FieldError::invalid_raw(path, shown(), detail));
    } else if let Some(entry) = now.first().filter(|entry| entry.text("ip") != first) {
        let detail = format!("must be equal to `{single}`");
        errors.push(FieldError::invalid(format!("{path}[0].ip"), entry.text("ip"), detail));
    }
    errors
}

fn users(pod: &Value, statuses: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, status) in pod.items(&format!("status.{statuses}")).iter().enumerate() {
        let user = status.at("user.linux");
        if user.is_null() {
            continue;
        }
        let path = format!("status.{statuses}[{index}].user.linux");
        match pod.text("spec.os.name") {
            "windows" => errors.push(FieldError::forbidden(path, "cannot be set for a windows pod")),
            "" | "linux" => {
                errors.extend(check::between(user, "uid", &path, 0, i64::from(u32::MAX)));
                errors.extend(check::between(user, "gid", &path, 0, i64::from(i32::MAX)));
                for (index, group) in user.items("supplementalGroups").iter().enumerate() {
                    let group = group.as_i64().unwrap_or(0);
                    let faults = names::in_range(group, 0, i64::from(i32::MAX)).into_iter();
                    errors.extend(
                        faults.map(|fault| {
                            FieldError::invalid(format!("{path}.supplementalGroups[{index}]"), group, fault)
                        }),
                    );
                }
            }
            _ => {}
        }
    }
    errors
}

/// `allocatedResourcesStatus` speaks of what the container asks for; an ephemeral one asks for nothing.
fn allocated(pod: &Value, statuses: &str, containers: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, status) in pod.items(&format!("status.{statuses}")).iter().enumerate() {
        let path = format!("status.{statuses}[{index}].allocatedResourcesStatus");
        let list = status.items("allocatedResourcesStatus");
        if containers == "ephemeralContainers" {
            if !list.is_empty() {
                errors.push(FieldError::forbidden(path, "must not be specified in container status"));
            }
            continue;
        }
        let list_of = format!("spec.{containers}");
        let Some(container) = pod.items(&list_of).iter().find(|it| it.text("name") == status.text("name")) else {
            continue;
        };
        for (place, resource) in list.iter().enumerate() {
            let name = resource.text("name");
            let (found, detail) = match name.strip_prefix("claim:") {
                Some(claim) => (
                    container.items("resources.claims").iter().any(|it| claim_name(it) == claim)
                        || extended(pod, container, claim),
                    "must match one of the container's resource claims as 'claim:<claimName>/<requestName>' when container.resources.claims[*].request is set or 'claim:<claimName>' when it is empty",
                ),
                None => (
                    container.at("resources.requests").get(name).is_some(),
                    "must match one of the container's resource requests",
                ),
            };
            if !found {
                errors.push(FieldError::invalid(format!("{path}[{place}].name"), name, detail));
            }
        }
    }
    errors
}

fn claim_name(claim: &Value) -> String {
    match claim.text("request") {
        "" => claim.text("name").to_string(),
        request => format!("{}/{request}", claim.text("name")),
    }
}

/// Whether a claim was made for an extended resource that the container asks for.
fn extended(pod: &Value, container: &Value, claim: &str) -> bool {
    let status = pod.at("status.extendedResourceClaimStatus");
    let name = status.text("resourceClaimName");
    status.items("requestMappings").iter().any(|mapping| {
        mapping.text("containerName") == container.text("name")
            && claim == format!("{name}/{}", mapping.text("requestName"))
            && container.at("resources.requests").get(mapping.text("resourceName")).is_some()
    })
}
