//! What objects count for in a ResourceQuota, and which objects its scopes take in.
//!
//! In: an object and its resource. Out: amounts by every name a quota may count it under. Admission
//! charges with it before a write; the quota loop counts with it what is there. Source:
//! `k8s.io/kubernetes/pkg/quota/v1/evaluator/core`. Chapter: `book/src/inside/schema.md`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::meta::{get, integer, list, map, text};
use super::quantity::{Format, Quantity};

/// Amounts by a quota's names for them.
pub type Usage = BTreeMap<String, Quantity>;

/// Adds `more` to `total`.
pub fn add(total: &mut Usage, more: Usage) {
    for (name, amount) in more {
        let sum = total.get(&name).map_or(amount, |known| known.plus(amount));
        total.insert(name, sum);
    }
}

/// What `new` counts for more than `old`; nothing of what it counts for less.
pub fn growth(new: Usage, old: &Usage) -> Usage {
    let more = |(name, amount): (String, Quantity)| {
        let more = old.get(&name).map_or(amount, |known| amount.minus(*known));
        (more > Quantity::ZERO).then_some((name, more))
    };
    new.into_iter().filter_map(more).collect()
}

/// What an object counts for. One of a kind without rules of its own counts by number alone.
pub fn usage(group: &str, resource: &str, object: &Value) -> Usage {
    let mut usage = Usage::new();
    let counted = if group.is_empty() { format!("count/{resource}") } else { format!("count/{resource}.{group}") };
    usage.insert(counted, units(1));
    match (group, resource) {
        ("", "pods") => pod_usage(object, &mut usage),
        ("", "services") => service_usage(object, &mut usage),
        ("", "persistentvolumeclaims") => claim_usage(object, &mut usage),
        ("", "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas") => {
            usage.insert(resource.to_owned(), units(1));
        }
        _ => {}
    }
    usage
}

fn units(count: usize) -> Quantity {
    Quantity::from_units(i64::try_from(count).unwrap_or(i64::MAX), Format::DecimalSi)
}

/// A Pod that has ended uses nothing more, but it is still an object.
fn pod_usage(pod: &Value, usage: &mut Usage) {
    if matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed") {
        return;
    }
    usage.insert("pods".into(), units(1));
    for which in ["requests", "limits"] {
        for (name, amount) in pod_total(pod, which) {
            usage.insert(format!("{which}.{name}"), amount);
            if which == "requests" && matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
                usage.insert(name, amount);
            }
        }
    }
}

fn service_usage(service: &Value, usage: &mut Usage) {
    usage.insert("services".into(), units(1));
    if text(service, &["spec", "type"]) == "LoadBalancer" {
        usage.insert("services.loadbalancers".into(), units(1));
    }
    let ports = list(service, &["spec", "ports"]).iter();
    let ports = ports.filter(|port| integer(port, &["nodePort"]).unwrap_or(0) != 0).count();
    if ports > 0 {
        usage.insert("services.nodeports".into(), units(ports));
    }
}

fn claim_usage(claim: &Value, usage: &mut Usage) {
    let class = text(claim, &["spec", "storageClassName"]);
    let mut note = |name: &str, amount: Quantity| {
        usage.insert(name.to_owned(), amount);
        if !class.is_empty() {
            usage.insert(format!("{class}.storageclass.storage.k8s.io/{name}"), amount);
        }
    };
    note("persistentvolumeclaims", units(1));
    if let Some(size) = get(claim, &["spec", "resources", "requests", "storage"]).and_then(quantity) {
        note("requests.storage", size);
    }
}

fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

fn amounts(holder: &Value, which: &str) -> Usage {
    let known = map(holder, &["resources", which]).into_iter().flatten();
    known.filter_map(|(name, value)| Some((name.clone(), quantity(value)?))).collect()
}

/// What a Pod asks for or is limited to (`requests`, `limits`): its containers and sidecars
/// together, or the largest init container with the sidecars before it where that is more; what
/// the Pod says as a whole goes before that. Source: component-helpers/resource, PodRequests.
pub fn pod_total(pod: &Value, which: &str) -> Usage {
    let Some(spec) = get(pod, &["spec"]) else { return Usage::new() };
    let mut total = containers_total(spec, which);
    total.extend(amounts(spec, which));
    total
}

/// As [`pod_total`], of the containers in a Pod's spec alone.
pub fn containers_total(spec: &Value, which: &str) -> Usage {
    let mut total = Usage::new();
    for container in list(spec, &["containers"]) {
        add(&mut total, amounts(container, which));
    }
    let (mut sidecars, mut largest) = (Usage::new(), Usage::new());
    for container in list(spec, &["initContainers"]) {
        let own = amounts(container, which);
        let peak = if text(container, &["restartPolicy"]) == "Always" {
            add(&mut total, own.clone());
            add(&mut sidecars, own);
            sidecars.clone()
        } else {
            let mut peak = own;
            add(&mut peak, sidecars.clone());
            peak
        };
        raise(&mut largest, peak);
    }
    raise(&mut total, largest);
    total
}

/// Makes each amount at least as large as in `least`.
fn raise(total: &mut Usage, least: Usage) {
    for (name, amount) in least {
        if total.get(&name).is_none_or(|known| *known < amount) {
            total.insert(name, amount);
        }
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from requests and limits of cpu and memory in a
/// Pod's spec.
pub fn qos_class(spec: &Value) -> &'static str {
    let whole = map(spec, &["resources"]).is_some_and(|resources| !resources.is_empty());
    let holders: Vec<&Value> = if whole {
        vec![spec]
    } else {
        list(spec, &["initContainers"]).iter().chain(list(spec, &["containers"])).collect()
    };
    let amount = |holder: &Value, which: &str, name: &str| {
        get(holder, &["resources", which, name]).and_then(quantity).filter(|amount| !amount.is_zero())
    };
    let mut any = false;
    let mut guaranteed = true;
    for holder in holders {
        for name in ["cpu", "memory"] {
            let request = amount(holder, "requests", name);
            let limit = amount(holder, "limits", name);
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Whether an affinity term of the Pod names other namespaces.
fn looks_elsewhere(pod: &Value) -> bool {
    let names = |term: &Value| !list(term, &["namespaces"]).is_empty() || get(term, &["namespaceSelector"]).is_some();
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let terms = |when: &str| list(pod, &["spec", "affinity", kind, when]).iter();
        terms("requiredDuringSchedulingIgnoredDuringExecution").any(names)
            || terms("preferredDuringSchedulingIgnoredDuringExecution")
                .any(|weighted| get(weighted, &["podAffinityTerm"]).is_some_and(names))
    })
}

/// Whether the quota's scopes take the object in. A quota without scopes takes everything; one
/// with scopes takes Pods alone.
pub fn in_scope(quota: &Value, group: &str, resource: &str, object: &Value) -> bool {
    let plain = list(quota, &["spec", "scopes"]).iter().filter_map(Value::as_str);
    let plain = plain.map(|scope| (scope, "Exists", &[][..]));
    let chosen = list(quota, &["spec", "scopeSelector", "matchExpressions"]).iter();
    let chosen = chosen.map(|rule| (text(rule, &["scopeName"]), text(rule, &["operator"]), list(rule, &["values"])));
    let mut scopes = plain.chain(chosen).peekable();
    if scopes.peek().is_some() && (group, resource) != ("", "pods") {
        return false;
    }
    let effort = || get(object, &["spec"]).map_or("BestEffort", qos_class);
    let deadline = get(object, &["spec", "activeDeadlineSeconds"]).is_some_and(|seconds| !seconds.is_null());
    scopes.all(|(scope, operator, values)| match scope {
        "BestEffort" => effort() == "BestEffort",
        "NotBestEffort" => effort() != "BestEffort",
        "Terminating" => deadline,
        "NotTerminating" => !deadline,
        "PriorityClass" => {
            let own = text(object, &["spec", "priorityClassName"]);
            match operator {
                "In" => values.iter().any(|value| value == own),
                "NotIn" => !values.iter().any(|value| value == own),
                "DoesNotExist" => own.is_empty(),
                _ => !own.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => looks_elsewhere(object),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(usage: &Usage) -> Vec<String> {
        usage.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
    }

    #[test]
    fn a_pod_counts_its_containers_or_its_largest_start() {
        let cpu = |amount: &str| json!({ "resources": { "requests": { "cpu": amount } } });
        let mut sidecar = cpu("100m");
        sidecar["restartPolicy"] = "Always".into();
        for (init, containers, total) in [
            (vec![], vec![cpu("100m"), cpu("1")], "1100m"),
            (vec![cpu("2")], vec![cpu("1")], "2"),
            (vec![sidecar.clone()], vec![cpu("1")], "1100m"),
            (vec![sidecar, cpu("2")], vec![cpu("1")], "2100m"),
        ] {
            let pod = json!({ "spec": { "initContainers": init, "containers": containers } });
            assert_eq!(pod_total(&pod, "requests")["cpu"].to_string(), total);
        }
    }

    #[test]
    fn an_ended_pod_is_an_object_only() {
        let pod = json!({ "status": { "phase": "Succeeded" } });
        assert_eq!(shown(&usage("", "pods", &pod)), ["count/pods=1"]);
        assert_eq!(shown(&usage("apps", "deployments", &Value::Null)), ["count/deployments.apps=1"]);
    }

    #[test]
    fn scopes_choose_among_pods() {
        let pod = json!({ "spec": { "activeDeadlineSeconds": 5, "priorityClassName": "high" } });
        let rule = json!({ "scopeName": "PriorityClass", "operator": "In", "values": ["high"] });
        for (spec, resource, expected) in [
            (json!({}), "services", true),
            (json!({ "scopes": ["BestEffort"] }), "services", false),
            (json!({ "scopes": ["BestEffort", "Terminating"] }), "pods", true),
            (json!({ "scopes": ["NotTerminating"] }), "pods", false),
            (json!({ "scopeSelector": { "matchExpressions": [rule] } }), "pods", true),
        ] {
            assert_eq!(in_scope(&json!({ "spec": spec }), "", resource, &pod), expected, "{spec}");
        }
    }
}
