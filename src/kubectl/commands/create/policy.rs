//! `kubectl create namespace`, `quota`, `poddisruptionbudget` and `priorityclass`.

use serde_json::{Map, Value, json};

use super::super::super::command::{Command, Invocation};
use super::super::super::failure::{Failure, Result};
use super::super::super::flags::{Flag, Kind, long};
use super::{finish, generator, name};
use crate::api::quantity::Quantity;
use crate::api::selector::{LabelSelector, Operator};

const NONE: &[Flag] = &[];
const QUOTA_FLAGS: &[Flag] = &[
    long("hard", Kind::Text(""), "Limits: cpu=1,memory=1Gi,pods=2"),
    long("scopes", Kind::Text(""), "What is counted: BestEffort,NotTerminating"),
];
const BUDGET_FLAGS: &[Flag] = &[
    long("min-available", Kind::Text(""), "How many must stay: 2, 50%"),
    long("max-unavailable", Kind::Text(""), "How many may go: 1, 25%"),
    long("selector", Kind::Text(""), "Which Pods: app=web"),
];
const PRIORITY_FLAGS: &[Flag] = &[
    long("value", Kind::Int(0), "The priority"),
    long("global-default", Kind::Bool(false), "For Pods that name none"),
    long("description", Kind::Text(""), "What it is for"),
    long("preemption-policy", Kind::Text("PreemptLowerPriority"), "PreemptLowerPriority or Never"),
];

pub(super) const NAMESPACE: Command = generator!("namespace", &["ns"], "NAME", "Make a Namespace", NONE, namespace);
pub(super) const QUOTA: Command =
    generator!("quota", &["resourcequota"], "NAME --hard=LIMITS", "Make a ResourceQuota", QUOTA_FLAGS, quota);
pub(super) const DISRUPTION_BUDGET: Command = generator!(
    "poddisruptionbudget",
    &["pdb"],
    "NAME --selector=LABELS --min-available=N",
    "Make a PodDisruptionBudget",
    BUDGET_FLAGS,
    budget
);
pub(super) const PRIORITY_CLASS: Command =
    generator!("priorityclass", &["pc"], "NAME --value=N", "Make a PriorityClass", PRIORITY_FLAGS, priority_class);

async fn namespace(call: &Invocation) -> Result {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name(call)?}});
    finish(call, object, "").await
}

async fn quota(call: &Invocation) -> Result {
    let name = name(call)?;
    let (hard, scopes) = (call.flags.text("hard"), call.flags.text("scopes"));
    let mut spec = json!({});
    if !hard.is_empty() {
        let mut limits = Map::new();
        for part in hard.split(',') {
            let pair: Vec<&str> = part.split('=').collect();
            let [key, value] = pair[..] else {
                return Err(Failure::new(format!("Invalid argument syntax {part}, expected <resource>=<value>")));
            };
            let quantity = Quantity::parse(value).map_err(|fault| Failure::new(fault.to_string()))?;
            limits.insert(key.to_owned(), quantity.to_string().into());
        }
        spec["hard"] = limits.into();
    }
    if !scopes.is_empty() {
        if scopes.split(',').any(str::is_empty) {
            return Err(Failure::new("invalid resource quota scope \"\""));
        }
        spec["scopes"] = scopes.split(',').collect::<Vec<_>>().into();
    }
    let object = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec});
    finish(call, object, "failed to create quota:").await
}

async fn budget(call: &Invocation) -> Result {
    let name = name(call)?;
    let flags = &call.flags;
    let (selector, least, most) = (flags.text("selector"), flags.text("min-available"), flags.text("max-unavailable"));
    if selector.is_empty() {
        return Err(Failure::new("a selector must be specified"));
    }
    match (least.is_empty(), most.is_empty()) {
        (true, true) => return Err(Failure::new("one of min-available or max-unavailable must be specified")),
        (false, false) => return Err(Failure::new("min-available and max-unavailable cannot be both specified")),
        _ => {}
    }
    let number = |text: &str, flag: &str| -> Result<Value> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Failure::new(format!("invalid format specified for {flag}")));
        }
        Ok(text.parse::<i64>().map_or_else(|_| text.into(), Value::from))
    };
    let parsed = LabelSelector::parse(selector)
        .map_err(|why| Failure::new(format!("couldn't parse the selector string {selector:?}: {why}")))?;
    let mut spec = json!({"selector": selector_value(&parsed)});
    if least.is_empty() {
        spec["maxUnavailable"] = number(most, "max-unavailable")?;
    } else {
        spec["minAvailable"] = number(least, "min-available")?;
    }
    let object =
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec});
    finish(call, object, "failed to create poddisruptionbudgets:").await
}

/// A selector's text as `matchLabels` and `matchExpressions`.
fn selector_value(selector: &LabelSelector) -> Value {
    let (mut labels, mut expressions) = (Map::new(), Vec::new());
    for requirement in selector.requirements() {
        let (key, values) = (requirement.key.as_str(), requirement.values.as_slice());
        match (requirement.operator, values) {
            (Operator::Equals | Operator::DoubleEquals, [value]) => {
                labels.insert(key.to_owned(), value.clone().into());
            }
            (Operator::Exists, _) => expressions.push(json!({"key": key, "operator": "Exists"})),
            (Operator::DoesNotExist, _) => expressions.push(json!({"key": key, "operator": "DoesNotExist"})),
            (Operator::NotEquals | Operator::NotIn, values) => {
                expressions.push(json!({"key": key, "operator": "NotIn", "values": values}));
            }
            (_, values) => expressions.push(json!({"key": key, "operator": "In", "values": values})),
        }
    }
    let mut value = json!({});
    if !labels.is_empty() {
        value["matchLabels"] = labels.into();
    }
    if !expressions.is_empty() {
        value["matchExpressions"] = expressions.into();
    }
    value
}

async fn priority_class(call: &Invocation) -> Result {
    let flags = &call.flags;
    let name = name(call)?;
    let mut object = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": flags.int("value"), "preemptionPolicy": flags.text("preemption-policy")});
    if flags.is("global-default") {
        object["globalDefault"] = true.into();
    }
    if !flags.text("description").is_empty() {
        object["description"] = flags.text("description").into();
    }
    finish(call, object, "failed to create priorityclass:").await
}
