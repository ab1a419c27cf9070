//! Validation of amounts of resources: a container's requests and limits, a quota's, a Node's.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `.../core/helper`.

use serde_json::Value;

use crate::api::go_values::empty_at;
use crate::api::quantity::Quantity;
use crate::api::quota::containers_total;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

const CONTAINER: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// The amount, if it reads as one.
pub fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

/// What is wrong with `resources` of a container; `claims` are the names in the Pod's `resourceClaims`.
pub fn requirements(resources: &Value, path: &str, claims: &[&str]) -> Vec<FieldError> {
    let mut errors = amounts(resources, path, container_name);
    errors.extend(claim_names(resources.items("claims"), &format!("{path}.claims"), claims));
    errors
}

/// What is wrong with a Pod's own `resources`, alone and beside its containers'.
pub fn of_pod(spec: &Value, path: &str, claims: &[&str]) -> Vec<FieldError> {
    let resources = spec.at("resources");
    let path = format!("{path}.resources");
    if resources.is_null() {
        return Vec::new();
    }
    if spec.text("os.name") == "windows" {
        return vec![FieldError::forbidden(path, "may not be set for a windows pod")];
    }
    let mut errors = amounts(resources, &path, pod_name);
    if resources.has("claims") || empty_at(&format!("{path}.claims")).is_array() {
        let detail = "claims may not be set for Resources at pod-level";
        errors.push(FieldError::forbidden(format!("{path}.claims"), detail));
    }
    errors.extend(claim_names(resources.items("claims"), &format!("{path}.claims"), claims));
    for which in ["requests", "limits"] {
        for (name, sum) in containers_total(spec, which) {
            let whole = resources.at(which).get(&name).and_then(quantity);
            if let Some(whole) = whole.filter(|whole| sum > *whole && (which == "requests" || is_huge(&name))) {
                let detail = format!("must be greater than or equal to aggregate container {which} of {sum}");
                errors.push(FieldError::invalid(format!("{path}.{which}[{name}]"), whole.to_string(), detail));
            }
        }
    }
    for (index, container) in spec.items("containers").iter().enumerate() {
        for (name, amount) in container.entries("resources.limits") {
            let most = resources.at("limits").get(name).and_then(quantity);
            if let (Some(own), Some(most)) = (quantity(amount), most)
                && own > most
            {
                let at = format!("{path}.containers[{index}][{name}].limits");
                let detail = format!("must be less than or equal to pod limits of {most}");
                errors.push(FieldError::invalid(at, own.to_string(), detail));
            }
        }
    }
    errors
}

fn amounts(resources: &Value, path: &str, name_rule: fn(&str, &str) -> Vec<FieldError>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (mut huge, mut basic) = (false, false);
    for list in ["limits", "requests"] {
        for (name, amount) in resources.entries(list) {
            let at = format!("{path}.{list}[{name}]");
            errors.extend(name_rule(name, &at));
            errors.extend(amount_of(name, amount, &at));
            if is_huge(name) {
                huge = true;
                errors.extend(whole_pages(name, amount, &at));
            }
            basic |= matches!(name, "cpu" | "memory");
        }
    }
    for (name, amount) in resources.entries("requests") {
        let overcommit = may_overcommit(name);
        let Some(limit) = resources.at("limits").get(name) else {
            if !overcommit {
                let detail = "Limit must be set for non overcommitable resources";
                errors.push(FieldError::required(format!("{path}.limits"), detail));
            }
            continue;
        };
        let (Some(asked), Some(most)) = (quantity(amount), quantity(limit)) else { continue };
        let at = format!("{path}.requests");
        if !overcommit && asked != most {
            let detail = format!("must be equal to {name} limit of {most}");
            errors.push(FieldError::invalid(at, asked.to_string(), detail));
        } else if asked > most {
            let detail = format!("must be less than or equal to {name} limit of {most}");
            errors.push(FieldError::invalid(at, asked.to_string(), detail));
        }
    }
    if huge && !basic {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    errors
}

/// Whether more of it may be promised than there is.
pub fn may_overcommit(name: &str) -> bool {
    (!name.contains('/') || name.contains("kubernetes.io/")) && !is_huge(name)
}

/// Whether it is huge pages.
pub fn is_huge(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn whole_pages(name: &str, amount: &Value, path: &str) -> Option<FieldError> {
    let number = quantity(amount)?;
    let page = Quantity::parse(name.strip_prefix("hugepages-")?).ok().filter(|page| page.value() > 0);
    let whole = page.is_some_and(|page| number.value() % page.value() == 0);
    let shown = number.to_string();
    (!whole).then(|| {
        let detail = format!("{shown} is not positive integer multiple of {name}");
        FieldError::invalid(path, shown.clone(), detail)
    })
}

/// What is wrong with the claims that a container names.
fn claim_names(list: &[Value], path: &str, known: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (index, claim) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (name, request) = (claim.text("name"), claim.text("request"));
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        if seen.iter().any(|key| key == name) {
            errors.push(FieldError::duplicate(path.as_str(), name));
        } else {
            let mut key = name.to_string();
            if !request.is_empty() {
                errors.extend(check::faults(format!("{path}.request"), request, names::dns_label(request)));
                key = format!("{name}/{request}");
            }
            if seen.contains(&key) {
                errors.push(FieldError::duplicate(path.as_str(), key.as_str()));
            } else if request.is_empty() {
                let parts = seen.iter().filter(|key| key.split_once('/').is_some_and(|(whole, _)| whole == name));
                errors.extend(parts.map(|_| FieldError::duplicate(path.as_str(), name)));
            }
            seen.push(key);
        }
        if !known.contains(&name) {
            let mut sorted = known.to_vec();
            sorted.sort_unstable();
            let rest =
                if sorted.is_empty() { " which is empty".to_string() } else { format!(": {}", sorted.join(", ")) };
            let mut error = FieldError::not_found(path, name);
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{rest}");
            errors.push(error);
        }
    }
    errors
}

/// What is wrong with one amount of a container, its name first.
pub fn container_amount(name: &str, amount: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = container_name(name, path);
    errors.extend(amount_of(name, amount, path));
    errors.extend(is_huge(name).then(|| whole_pages(name, amount, path)).flatten());
    errors
}

/// What is wrong with an amount: below zero, or a part of what has no parts.
pub fn amount_of(name: &str, amount: &Value, path: &str) -> Vec<FieldError> {
    let Some(number) = quantity(amount) else { return Vec::new() };
    let mut errors = Vec::new();
    if number.signum() < 0 {
        errors.push(FieldError::invalid(path, number.to_string(), "must be greater than or equal to 0"));
    }
    if is_integer(name) && number.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, number.to_string(), "must be an integer"));
    }
    errors
}

/// Whether it is a vendor's resource (`nvidia.com/gpu`), which is counted whole.
pub fn is_extended(name: &str) -> bool {
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    !native && !name.starts_with("requests.") && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// What is wrong with a resource's name as such.
pub fn resource_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> =
        names::qualified_name(name).into_iter().map(|fault| FieldError::invalid(path, name, fault)).collect();
    if errors.is_empty() && !name.contains('/') && !is_standard(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    errors
}

/// What is wrong with the name of a resource that a container asks for.
pub fn container_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors = resource_name(name, path);
    if !name.contains('/') {
        if !CONTAINER.contains(&name) && !is_huge(name) {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !name.contains("kubernetes.io/") && !is_extended(name) {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
    errors
}

fn pod_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors = resource_name(name, path);
    if errors.is_empty() && !matches!(name, "cpu" | "memory") && !is_huge(name) {
        errors.push(FieldError::not_supported(path, name, &["cpu", "hugepages-", "memory"]));
    }
    errors
}

const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

const QUOTA: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whether a quota counts it under a name of its own.
pub fn is_standard_quota(name: &str) -> bool {
    QUOTA.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

/// What is wrong with a resource's name in a ResourceQuota.
pub fn quota_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors = resource_name(name, path);
    if !name.contains('/') && !is_standard_quota(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for quota"));
    }
    errors
}

/// Whether a quota counts it in whole numbers.
pub fn is_integer(name: &str) -> bool {
    matches!(
        name,
        "pods"
            | "services"
            | "replicationcontrollers"
            | "resourcequotas"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || name.starts_with("count/")
        || is_extended(name)
}
