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

/// Where nodes keep their leases.
const LEASES: &str = "kube-node-lease";

/// What every node may do. Fixed: what becomes of the ClusterRole changes nothing here.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| rules_of("system:node").iter().map(Rule::parse).collect());

fn node_of(user: &User) -> Option<&str> {
    user.name.strip_prefix("system:node:").filter(|_| user.is_in("system:nodes"))
}

/// Whether the user is a node.
pub fn is_node(user: &User) -> bool {
    node_of(user).is_some()
}

/// The decision for a node's user; `None` for everyone else.
pub fn authorize(user: &User, action: &Action, objects: &dyn Objects) -> Option<Decision> {
    let node = node_of(user)?;
    let verdict = match (action.group.as_str(), action.resource.as_str()) {
        ("", "secrets") => read_in_namespace(node, action, objects, uses_secret),
        ("", "configmaps") => read_in_namespace(node, action, objects, uses_config_map),
        ("", "persistentvolumeclaims") => get(node, action, objects, uses_claim),
        ("", "persistentvolumes") => volume(node, action, objects),
        ("", "serviceaccounts") => account(node, action, objects),
        ("", "nodes") => own_node(node, action),
        ("", "pods") => pod(node, action, objects),
        ("coordination.k8s.io", "leases") => lease(node, action),
        ("storage.k8s.io", "csinodes") => csi_node(node, action),
        _ => return RULES.iter().any(|rule| rule.allows(action)).then(|| Decision::Allow(String::new())),
    };
    Some(match verdict {
        Ok(()) => Decision::Allow(String::new()),
        Err(why) if why.is_empty() => Decision::NoOpinion(why),
        Err(why) => Decision::NoOpinion(format!("node: {why}")),
    })
}

/// Yes, or why there is no opinion.
type Verdict = Result<(), String>;

fn allowed(yes: bool, otherwise: &str) -> Verdict {
    if yes { Ok(()) } else { Err(otherwise.to_string()) }
}

/// Whether a Pod on the node makes use of the object.
fn related(node: &str, action: &Action, objects: &dyn Objects, uses: Uses) -> Verdict {
    allowed(!action.name.is_empty(), "No Object name found")?;
    let mine = objects.list_where(collection("", "pods"), &action.namespace, "spec.nodeName", node);
    let unrelated = format!("no relationship found between node '{node}' and this object");
    allowed(mine.iter().any(|pod| uses(pod, &action.name)), &unrelated)
}

fn read_in_namespace(node: &str, action: &Action, objects: &dyn Objects, uses: Uses) -> Verdict {
    let reads = matches!(action.verb.as_str(), "get" | "list" | "watch");
    allowed(reads, "can only read resources of this type")?;
    allowed(action.subresource.is_empty(), "cannot read subresource")?;
    allowed(!action.namespace.is_empty(), "can only read namespaced object of this type")?;
    related(node, action, objects, uses)
}

fn get(node: &str, action: &Action, objects: &dyn Objects, uses: Uses) -> Verdict {
    only_get(action)?;
    related(node, action, objects, uses)
}

fn only_get(action: &Action) -> Verdict {
    allowed(action.verb == "get", "can only get individual resources of this type")?;
    allowed(action.subresource.is_empty(), "cannot get subresource")
}

/// A volume is used through the claim that it is bound to.
fn volume(node: &str, action: &Action, objects: &dyn Objects) -> Verdict {
    only_get(action)?;
    let volume = objects.get(collection("", "persistentvolumes"), "", &action.name);
    let claim = |field: &str| {
        let found = volume.as_ref().and_then(|volume| volume["spec"]["claimRef"][field].as_str());
        found.unwrap_or_default().to_string()
    };
    match claim("name") {
        name if name.is_empty() => related(node, action, objects, |_, _| false),
        name => related(node, &Action { namespace: claim("namespace"), name, ..action.clone() }, objects, uses_claim),
    }
}

fn account(node: &str, action: &Action, objects: &dyn Objects) -> Verdict {
    if action.verb == "get" && action.subresource.is_empty() {
        return read_in_namespace(node, action, objects, uses_account);
    }
    let one = action.verb == "create" && !action.name.is_empty();
    allowed(one, "can only create tokens for individual service accounts")?;
    allowed(action.subresource == "token", "can only create token subresource of serviceaccount")?;
    related(node, action, objects, uses_account)
}

fn own_node(node: &str, action: &Action) -> Verdict {
    match (action.subresource.as_str(), action.verb.as_str()) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") => match action.name.as_str() {
            "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
            name if name == node => Ok(()),
            name => Err(format!("node '{node}' cannot read '{name}', only its own Node object")),
        },
        _ => Err(String::new()),
    }
}

fn pod(node: &str, action: &Action, objects: &dyn Objects) -> Verdict {
    let mine = |pod: &Value, name: &str| pod["metadata"]["name"] == name;
    match (action.subresource.as_str(), action.verb.as_str()) {
        ("", "get") => related(node, action, objects, mine),
        ("", "list" | "watch") if action.selects("spec.nodeName", node) => Ok(()),
        ("", "list" | "watch") if !action.name.is_empty() => related(node, action, objects, mine),
        ("", "list" | "watch") => Err("can only list/watch pods with spec.nodeName field selector".to_string()),
        ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
        _ => Err(String::new()),
    }
}

fn lease(node: &str, action: &Action) -> Verdict {
    let verb = action.verb.as_str();
    let does = matches!(verb, "get" | "create" | "update" | "patch" | "delete");
    allowed(does, "can only get, create, update, patch, or delete a node lease")?;
    let home = action.namespace == LEASES;
    allowed(home, &format!("can only access leases in the {LEASES:?} system namespace"))?;
    let own = verb == "create" || action.name == node;
    allowed(own, "can only access node lease with the same name as the requesting node")
}

fn csi_node(node: &str, action: &Action) -> Verdict {
    let verb = action.verb.as_str();
    match action.subresource.as_str() {
        "" => {
            let does = matches!(verb, "get" | "create" | "update" | "patch" | "delete");
            allowed(does, "can only get, create, update, patch, or delete a CSINode")?;
        }
        "status" => return Err("CSINode status access requires CSIVolumeHealth feature".to_string()),
        _ => return Err("cannot authorize CSINode subresources".to_string()),
    }
    let own = verb == "create" || action.name == node;
    allowed(own, "can only access CSINode with the same name as the requesting node")
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
    // A generic ephemeral volume's claim is called by the Pod and the volume.
    let volume = pod["metadata"]["name"].as_str().and_then(|pod| name.strip_prefix(pod)?.strip_prefix('-'));
    let made = |it: &Value| it["ephemeral"].is_object() && volume.is_some() && it["name"].as_str() == volume;
    let volumes = &pod["spec"]["volumes"];
    mentions(volumes, &["persistentVolumeClaim"], "claimName", name)
        || volumes.as_array().is_some_and(|all| all.iter().any(made))
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
        let pod = json!({"metadata": {"name": "db-0"}, "spec": {
            "serviceAccountName": "bot",
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "key"}}}], "envFrom": [{"configMapRef": {"name": "env"}}]}],
            "volumes": [
                {"secret": {"secretName": "tls"}}, {"projected": {"sources": [{"configMap": {"name": "ca"}}]}},
                {"name": "own", "persistentVolumeClaim": {"claimName": "mine"}}, {"name": "scratch", "ephemeral": {}},
            ],
        }});
        for (uses, name, expected) in [
            (uses_secret as Uses, "key", true),
            (uses_secret, "tls", true),
            (uses_secret, "env", false),
            (uses_config_map, "env", true),
            (uses_config_map, "ca", true),
            (uses_config_map, "key", false),
            (uses_account, "bot", true),
            (uses_claim, "mine", true),
            (uses_claim, "db-0-scratch", true),
            (uses_claim, "db-0-own", false),
            (uses_claim, "db-1-scratch", false),
        ] {
            assert_eq!(uses(&pod, name), expected, "{name}");
        }
    }
}
