//! What a Pod asks for as a whole, filled in from what its containers ask for.
//!
//! In: a Pod's spec, after admission has given every container what it gives. Out: the spec, in which a Pod that says
//! something of its own `resources` says all of it. A Pod that says nothing is left alone.
//! Source: `pkg/api/pod/util.go` (`DefaultPodLevelResources`).

use serde_json::Value;

use crate::api::quota::containers_total;
use crate::apiserver::kinds::core::resources::{is_huge, quantity};
use crate::apiserver::kinds::json::{Json, object_mut};

/// Fills in `spec.resources`: limits of huge pages, then requests, then limits of the rest.
pub fn fill_in(spec: &mut Value) {
    let silent = ["requests", "limits"].iter().all(|which| spec.entries(&format!("resources.{which}")).is_empty());
    if silent {
        return;
    }
    let (asked, most) = (containers_total(spec, "requests"), containers_total(spec, "limits"));
    for (name, sum) in most.iter().filter(|(name, _)| is_huge(name)) {
        if !says(spec, "requests", name) {
            add(spec, "limits", name, sum.to_string());
        }
    }
    for (name, sum) in asked.iter().filter(|(name, _)| may_share(name)) {
        add(spec, "requests", name, sum.to_string());
    }
    let limits = spec.entries("resources.limits").into_iter();
    let limits: Vec<(String, Value)> = limits.map(|(name, limit)| (name.to_string(), limit.clone())).collect();
    for (name, limit) in limits.into_iter().filter(|(name, _)| may_share(name) || is_huge(name)) {
        add(spec, "requests", &name, limit);
    }
    let requests = spec.entries("resources.requests").into_iter();
    let requests: Vec<_> = requests.filter_map(|(name, asked)| Some((name.to_string(), quantity(asked)?))).collect();
    for (name, request) in requests.into_iter().filter(|(name, _)| may_share(name) || is_huge(name)) {
        // One container without a limit may take all there is.
        if let Some(sum) = most.get(&name).filter(|_| all_limited(spec, &name)) {
            add(spec, "limits", &name, (*sum).max(request).to_string());
        }
    }
}

fn may_share(name: &str) -> bool {
    matches!(name, "cpu" | "memory")
}

fn says(spec: &Value, which: &str, name: &str) -> bool {
    spec.at(&format!("resources.{which}")).get(name).is_some()
}

fn add(spec: &mut Value, which: &str, name: &str, amount: impl Into<Value>) {
    object_mut(spec, &format!("resources.{which}")).entry(name).or_insert_with(|| amount.into());
}

fn all_limited(spec: &Value, name: &str) -> bool {
    ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| spec.items(list))
        .all(|container| container.at("resources.limits").get(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_pod_leaves_open_its_containers_say() {
        let limited = json!({"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}});
        let mut spec = json!({"containers": [limited], "resources": {"requests": {"cpu": "1", "memory": "32Mi"}}});
        fill_in(&mut spec);
        assert_eq!(spec["resources"]["limits"], json!({"cpu": "1", "memory": "64Mi"}));

        let open = json!({"name": "d", "resources": {"requests": {"memory": "16Mi"}}});
        let mut spec = json!({"containers": [limited, open], "resources": {"limits": {"cpu": "2"}}});
        fill_in(&mut spec);
        assert_eq!(spec["resources"], json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2", "memory": "16Mi"}}));

        let mut spec = json!({"containers": [limited]});
        fill_in(&mut spec);
        assert!(spec.get("resources").is_none());
    }
}
