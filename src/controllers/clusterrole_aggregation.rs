//! Aggregated ClusterRoles: `admin`, `edit` and `view` are the sum of the roles that their labels choose.
//!
//! Source: kube-controller-manager, pkg/controller/clusterroleaggregation.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::core::Selector;

use super::owners;
use super::plan::{Action, Plan};
use super::runner::Room;
use crate::client::ObjectKey;

/// Starts the loop.
pub fn start(room: Room) {
    let roles = room.informer::<ClusterRole>();
    let known = roles.clone();
    // Any role may be part of any aggregated one.
    room.wake(&roles, move |role| {
        let all = known.all();
        let aggregated = all.iter().filter(|other| other.aggregation_rule.is_some());
        let mut keys: Vec<_> = aggregated.map(|other| ObjectKey::of(&other.metadata)).collect();
        keys.push(ObjectKey::of(&role.metadata));
        keys
    });
    room.run("clusterrole-aggregation-controller", 1, move |key, _| {
        roles.get(key).map_or_else(Plan::none, |role| reconcile(&role, &roles.all()))
    });
}

/// What a role needs done, given all roles in the order of their names.
pub fn reconcile(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Plan {
    let mut plan = Plan::none();
    let Some(rule) = &role.aggregation_rule else { return plan };
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in rule.cluster_role_selectors.iter().flatten() {
        let Ok(selector) = Selector::try_from(selector.clone()) else { continue };
        let chosen = all.iter().filter(|other| other.metadata.name != role.metadata.name);
        for other in chosen.filter(|other| owners::matches(&selector, &other.metadata)) {
            for rule in other.rules.iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    if role.rules.clone().unwrap_or_default() != rules {
        plan.act(Action::update(&ClusterRole { rules: Some(rules), ..role.clone() }));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_aggregated_role_is_the_sum_of_the_chosen() {
        let role = |name: &str, label: &str, resource: &str| -> Arc<ClusterRole> {
            let rule = json!({ "apiGroups": [""], "resources": [resource], "verbs": ["get"] });
            let value = json!({ "metadata": { "name": name, "labels": { "part": label } }, "rules": [rule] });
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let all =
            [role("a", "view", "pods"), role("b", "view", "pods"), role("c", "view", "nodes"), role("d", "x", "y")];
        let mut sum: ClusterRole = serde_json::from_value(json!({
            "metadata": { "name": "view" },
            "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "part": "view" } }] },
        }))
        .unwrap();
        let plan = reconcile(&sum, &all);
        let rules = plan.actions()[0].body["rules"].clone();
        let resources: Vec<_> = rules.as_array().unwrap().iter().map(|rule| rule["resources"][0].clone()).collect();
        assert_eq!(resources, [json!("pods"), json!("nodes")]);
        sum.rules = serde_json::from_value(rules).unwrap();
        assert_eq!(reconcile(&sum, &all), Plan::none());
    }
}
