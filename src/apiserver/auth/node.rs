//! The node authorizer: a kubelet may read what its own Pods use, and nothing of other nodes.
//!
//! A node's user is `system:node:NAME` in `system:nodes`. Secrets, ConfigMaps, claims and tokens
//! follow from the Pods bound to it; everything else follows from the fixed rules of the
//! ClusterRole `system:node`. Source: `plugin/pkg/auth/authorizer/node`.

use std::sync::LazyLock;

use serde_json::Value;

use super::rbac::Rule;
use super::{Action, Decision, User};
use crate::apiserver::bootstrap::rules_of;
use crate::apiserver::objects::{Objects, collection};

/// What every node may do. Fixed: what becomes of the ClusterRole changes nothing here.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| rules_of("system:node").iter().map(Rule::parse).collect());

/// The decision for a node's user; `None` for everyone else.
pub fn authorize(user: &User, action: &Action, objects: &dyn Objects) -> Option<Decision> {
    let node = user.name.strip_prefix("system:node:").filter(|_| user.is_in("system:nodes"))?;
    let reads = matches!(action.verb.as_str(), "get" | "list" | "watch");
    let used = |path: Uses| {
        let mine = objects.list_where(collection("", "pods"), &action.namespace, "spec.nodeName", node);
        Some(mine.iter().any(|pod| path(pod, &action.name)))
    };
    let decided = match (action.group.as_str(), action.resource.as_str(), action.subresource.as_str()) {
        ("", "secrets", "") if reads => used(uses_secret),
        ("", "configmaps", "") if reads => used(uses_config_map),
        ("", "persistentvolumeclaims", "") if action.verb == "get" => used(uses_claim),
        ("", "serviceaccounts", "token") if action.verb == "create" => used(uses_account),
        _ => None,
    };
    match decided {
        Some(true) => Some(Decision::Allow(String::new())),
        Some(false) => {
            let why = format!("node: no relationship found between node '{node}' and this object");
            Some(Decision::NoOpinion(why))
        }
        None => RULES.iter().any(|rule| rule.allows(action)).then(|| Decision::Allow(String::new())),
    }
}

type Uses = fn(&Value, &str) -> bool;

fn uses_secret(pod: &Value, name: &str) -> bool {
    mentions(&pod["spec"], &["secretKeyRef", "secretRef"], "name", name)
        || mentions(&pod["spec"]["volumes"], &["secret"], "secretName", name)
        || mentions(&pod["spec"]["volumes"], &["secret"], "name", name)
        || pod["spec"]["imagePullSecrets"].as_array().into_iter().flatten().any(|one| one["name"] == name)
}

fn uses_config_map(pod: &Value, name: &str) -> bool {
    mentions(&pod["spec"], &["configMapKeyRef", "configMapRef", "configMap"], "name", name)
}

fn uses_claim(pod: &Value, name: &str) -> bool {
    mentions(&pod["spec"]["volumes"], &["persistentVolumeClaim"], "claimName", name)
}

fn uses_account(pod: &Value, name: &str) -> bool {
    pod["spec"]["serviceAccountName"] == name
}

/// Whether an object under one of `keys`, at any depth, has `field` equal to `name`.
fn mentions(value: &Value, keys: &[&str], field: &str, name: &str) -> bool {
    match value {
        Value::Object(object) => object.iter().any(|(key, inner)| {
            (keys.contains(&key.as_str()) && inner[field] == name) || mentions(inner, keys, field, name)
        }),
        Value::Array(items) => items.iter().any(|item| mentions(item, keys, field, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_uses_what_its_spec_names() {
        let pod = json!({"spec": {
            "serviceAccountName": "bot",
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "key"}}}], "envFrom": [{"configMapRef": {"name": "env"}}]}],
            "volumes": [{"secret": {"secretName": "tls"}}, {"projected": {"sources": [{"configMap": {"name": "ca"}}]}}],
        }});
        for (uses, name, expected) in [
            (uses_secret as Uses, "key", true),
            (uses_secret, "tls", true),
            (uses_secret, "env", false),
            (uses_config_map, "env", true),
            (uses_config_map, "ca", true),
            (uses_config_map, "key", false),
            (uses_account, "bot", true),
        ] {
            assert_eq!(uses(&pod, name), expected, "{name}");
        }
    }
}
