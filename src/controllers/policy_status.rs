//! What is wrong with a policy's expressions, told where its author looks: in its status.
//!
//! Comes in: ValidatingAdmissionPolicies. Goes out: `status.typeChecking` and `status.observedGeneration`, once
//! for each generation. Custom resources are not looked into. Source: kube-controller-manager,
//! pkg/controller/validatingadmissionpolicystatus. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use serde_json::{Value, json};

use super::plan::{Action, MERGE, Plan};
use super::runner::Room;
use crate::api::cel::policy;

/// Starts the loop.
pub fn start(room: Room) {
    let policies = room.informer::<ValidatingAdmissionPolicy>();
    room.wake_self(&policies);
    room.run("validatingadmissionpolicy-status-controller", 1, move |key, _| {
        policies.get(key).map_or_else(Plan::none, |policy| reconcile(&policy))
    });
}

/// What a policy needs told.
pub fn reconcile(policy: &ValidatingAdmissionPolicy) -> Plan {
    let mut plan = Plan::none();
    let generation = policy.metadata.generation.unwrap_or_default();
    let observed = policy.status.as_ref().and_then(|status| status.observed_generation).unwrap_or_default();
    if generation <= observed {
        return plan;
    }
    // Kubernetes types have string keys only, so they are always representable.
    let warnings: Vec<Value> = policy::warnings(&serde_json::to_value(policy).unwrap_or_default())
        .into_iter()
        .map(|(place, warning)| json!({"fieldRef": place, "warning": warning}))
        .collect();
    let warnings = if warnings.is_empty() { Value::Null } else { warnings.into() };
    let status = json!({"observedGeneration": generation, "typeChecking": {"expressionWarnings": warnings}});
    plan.act(Action::patch::<ValidatingAdmissionPolicy>(&policy.metadata, "status", MERGE, json!({"status": status})));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_once_a_generation() {
        let policy = |observed: i64, text: &str| -> ValidatingAdmissionPolicy {
            let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]});
            let body = json!({"metadata": {"name": "p", "generation": 2}, "status": {"observedGeneration": observed},
                "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": text}]}});
            serde_json::from_value(body).unwrap()
        };
        assert_eq!(reconcile(&policy(2, "object.nope")), Plan::none());
        let told = reconcile(&policy(1, "object.nope == 1")).actions()[0].body["status"].clone();
        assert_eq!(told["observedGeneration"], 2);
        assert_eq!(told["typeChecking"]["expressionWarnings"][0]["fieldRef"], "spec.validations[0].expression");
        let good = reconcile(&policy(1, "object.spec.nodeName == ''")).actions()[0].body["status"].clone();
        assert_eq!(good["typeChecking"], json!({"expressionWarnings": null}));
    }
}
