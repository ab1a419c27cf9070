//! A Job's own rules: what a failed Pod means (`podFailurePolicy`), and which successes are enough
//! (`successPolicy`). Source: pod_failure_policy.go, success_policy.go. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule};

use super::indexes;
use crate::client::views::{ContainerStatusView, PodView};

/// What a failed Pod means for its Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// One failure more, towards `backoffLimit`.
    Count,
    /// It is replaced, and not counted.
    Ignore,
    /// Its index is not tried again.
    FailIndex,
    /// The Job fails, for this reason.
    FailJob(String),
}

/// The first rule that the failed Pod matches decides; without one the failure counts.
pub fn failure(spec: &JobSpec, pod: &PodView) -> Failure {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    let matching = rules.enumerate().find_map(|(at, rule)| Some((at, rule, what(rule, pod)?)));
    let Some((at, rule, what)) = matching else { return Failure::Count };
    match rule.action.as_str() {
        "Ignore" => Failure::Ignore,
        "FailIndex" => Failure::FailIndex,
        "FailJob" => Failure::FailJob(format!("{what} matching FailJob rule at index {at}")),
        _ => Failure::Count,
    }
}

/// What about the Pod matches the rule, in Kubernetes' words.
fn what(rule: &PodFailurePolicyRule, pod: &PodView) -> Option<String> {
    let meta = &pod.metadata;
    let name =
        format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    if let Some(wanted) = &rule.on_exit_codes {
        let all = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
        let (container, code) = all.filter_map(|status| Some((status, exit_code(status, wanted)?))).next()?;
        return Some(format!("Container {} for pod {name} failed with exit code {code}", container.name));
    }
    let patterns = rule.on_pod_conditions.as_ref()?;
    let matches = pod.status.conditions.iter().find(|condition| {
        let fits = |wanted: &str| wanted == condition.status;
        patterns.iter().any(|p| p.type_ == condition.type_ && fits(p.status.as_deref().unwrap_or("True")))
    })?;
    Some(format!("Pod {name} has condition {}", matches.type_))
}

fn exit_code(status: &ContainerStatusView, wanted: &PodFailurePolicyOnExitCodesRequirement) -> Option<i32> {
    let code = status.state.as_ref()?.terminated.as_ref()?.exit_code;
    let this = wanted.container_name.as_ref().is_none_or(|name| *name == status.name);
    let listed = wanted.values.contains(&code);
    let fits = match wanted.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    };
    Some(code).filter(|code| *code != 0 && this && fits)
}

/// The first rule of the success policy that the succeeded indexes meet, in Kubernetes' words.
pub fn success(spec: &JobSpec, succeeded: &BTreeSet<i32>) -> Option<String> {
    if succeeded.is_empty() {
        return None;
    }
    let rules = &spec.success_policy.as_ref()?.rules;
    let met = rules.iter().position(|rule| {
        let enough =
            |count: usize| rule.succeeded_count.is_some_and(|wanted| count >= usize::try_from(wanted).unwrap_or(0));
        match &rule.succeeded_indexes {
            None => enough(succeeded.len()),
            Some(text) => {
                let wanted = indexes::parse(text, spec.completions.unwrap_or(0));
                let there = wanted.intersection(succeeded).count();
                !wanted.is_empty() && (there == wanted.len() || enough(there))
            }
        }
    })?;
    Some(format!("Matched rules at index {met}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(value: Value) -> JobSpec {
        let mut spec = json!({ "template": {} });
        spec.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn the_first_matching_rule_decides_what_a_failure_means() {
        let spec = spec(json!({ "podFailurePolicy": { "rules": [
            { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
            { "action": "FailJob", "onExitCodes": { "containerName": "main", "operator": "In", "values": [42] } },
            { "action": "FailIndex", "onExitCodes": { "operator": "NotIn", "values": [1, 42] } },
        ] } }));
        let failed = |container: &str, code: i32, condition: &str| -> PodView {
            serde_json::from_value(json!({
                "metadata": { "name": "p", "namespace": "ns" },
                "status": {
                    "phase": "Failed",
                    "conditions": [{ "type": condition, "status": "True" }],
                    "containerStatuses": [{ "name": container, "state": { "terminated": { "exitCode": code } } }],
                },
            }))
            .unwrap()
        };
        let message = "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 1";
        for (pod, expected) in [
            (failed("main", 42, "DisruptionTarget"), Failure::Ignore),
            (failed("main", 42, "Ready"), Failure::FailJob(message.into())),
            (failed("side", 42, "Ready"), Failure::Count),
            (failed("main", 1, "Ready"), Failure::Count),
            (failed("main", 7, "Ready"), Failure::FailIndex),
            (failed("main", 0, "Ready"), Failure::Count),
        ] {
            assert_eq!(failure(&spec, &pod), expected);
        }
    }

    #[test]
    fn a_success_policy_is_met_by_indexes_or_by_number() {
        let spec = spec(json!({ "completions": 5, "successPolicy": { "rules": [
            { "succeededIndexes": "0-1" },
            { "succeededIndexes": "2-4", "succeededCount": 2 },
            { "succeededCount": 4 },
        ] } }));
        for (done, rule) in [(vec![], None), (vec![0, 2], None), (vec![0, 1], Some(0)), (vec![2, 4], Some(1))] {
            let met = success(&spec, &done.iter().copied().collect());
            assert_eq!(met, rule.map(|rule| format!("Matched rules at index {rule}")), "{done:?}");
        }
        let number_only = JobSpec {
            success_policy: serde_json::from_value(json!({ "rules": [{ "succeededCount": 2 }] })).unwrap(),
            ..spec
        };
        assert!(success(&number_only, &[0, 3].into()).is_some());
    }
}
