//! `kubectl create role`, `clusterrole`, `rolebinding`, `clusterrolebinding`, `serviceaccount` and `token`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::super::failure::{Failure, Result};
use super::super::super::flags::{Flag, Kind, long};
use super::super::super::http::Call;
use super::super::super::print::{OUTPUT, Printer};
use super::{finish, generator, name};

const ROLE_FLAGS: &[Flag] = &[
    long("verb", Kind::List, "What may be done: get, list, watch, create, …"),
    long("resource", Kind::List, "With what: pods, deployments.apps, pods/log"),
    long("resource-name", Kind::Array, "Only with objects of this name"),
];
const CLUSTER_ROLE_FLAGS: &[Flag] = &[
    ROLE_FLAGS[0],
    ROLE_FLAGS[1],
    ROLE_FLAGS[2],
    long("non-resource-url", Kind::List, "Paths of the API server: /healthz"),
    long("aggregation-rule", Kind::Pairs, "Take the rules of ClusterRoles with these labels"),
];
const BINDING_FLAGS: &[Flag] = &[
    long("clusterrole", Kind::Text(""), "The ClusterRole"),
    long("role", Kind::Text(""), "The Role"),
    long("user", Kind::Array, "A user"),
    long("group", Kind::Array, "A group"),
    long("serviceaccount", Kind::Array, "A service account: NAMESPACE:NAME"),
];
const CLUSTER_BINDING_FLAGS: &[Flag] = &[BINDING_FLAGS[0], BINDING_FLAGS[2], BINDING_FLAGS[3], BINDING_FLAGS[4]];
const TOKEN_FLAGS: &[Flag] = &[
    long("audience", Kind::Array, "Who is meant to accept it"),
    long("duration", Kind::Duration("0s"), "How long it holds"),
    long("bound-object-kind", Kind::Text(""), "It ends with this object: Pod, Secret, Node"),
    long("bound-object-name", Kind::Text(""), "That object's name"),
    long("bound-object-uid", Kind::Text(""), "That object's uid"),
];
const NONE: &[Flag] = &[];

pub(super) const ROLE: Command =
    generator!("role", &[], "NAME --verb=VERB --resource=RESOURCE", "Make a Role", ROLE_FLAGS, role);
pub(super) const CLUSTERROLE: Command = generator!(
    "clusterrole",
    &[],
    "NAME --verb=VERB --resource=RESOURCE",
    "Make a ClusterRole",
    CLUSTER_ROLE_FLAGS,
    cluster_role
);
pub(super) const ROLEBINDING: Command = generator!(
    "rolebinding",
    &[],
    "NAME --role=ROLE --user=USER",
    "Give a role in a namespace",
    BINDING_FLAGS,
    role_binding
);
pub(super) const CLUSTERROLEBINDING: Command = generator!(
    "clusterrolebinding",
    &[],
    "NAME --clusterrole=ROLE --user=USER",
    "Give a role everywhere",
    CLUSTER_BINDING_FLAGS,
    cluster_role_binding
);
pub(super) const SERVICEACCOUNT: Command =
    generator!("serviceaccount", &["sa"], "NAME", "Make a ServiceAccount", NONE, service_account);
pub(super) const TOKEN: Command = Command {
    name: "token",
    usage: "SERVICE_ACCOUNT",
    about: "Ask for a token",
    flags: &[OUTPUT, TOKEN_FLAGS],
    run: run!(token),
    ..BASE
};

const VERBS: [&str; 14] = [
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];
const URL_VERBS: [&str; 8] = ["*", "get", "post", "put", "delete", "patch", "head", "options"];

fn unique(words: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in words {
        if word == "*" {
            return vec!["*".into()];
        }
        if !found.contains(word) {
            found.push(word.clone());
        }
    }
    found
}

/// The rules that the flags spell: one for each API group.
async fn rules(call: &Invocation, verbs: &[String]) -> Result<Vec<Value>> {
    let flags = &call.flags;
    let mapper = call.cluster().await?.mapper().await?;
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let special = |verb: &str| match verb {
        "use" => Some(
            &[("", "podsecuritypolicies"), ("policy", "podsecuritypolicies"), ("extensions", "podsecuritypolicies")][..],
        ),
        "bind" | "escalate" => {
            Some(&[("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "clusterroles")][..])
        }
        "impersonate" => {
            Some(&[("", "users"), ("", "serviceaccounts"), ("", "groups"), ("authentication.k8s.io", "userextras")][..])
        }
        _ => None,
    };
    for word in flags.all("resource") {
        let (resource, sub) =
            word.split_once('/').map_or((word.as_str(), None), |(resource, sub)| (resource, Some(sub)));
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        if plural.is_empty() {
            return Err(Failure::new("resource must be specified if apiGroup/subresource specified"));
        }
        let (mut plural, mut group) = (plural.to_owned(), group.to_owned());
        if plural != "*" {
            let found = mapper.named(resource);
            let known = found.is_ok();
            if let Ok(mapping) = &found {
                (plural, group) = (mapping.plural.clone(), mapping.group.clone());
            }
            let mut allowed = known;
            for verb in verbs {
                if let Some(only) = special(verb) {
                    if !only.contains(&(group.as_str(), plural.as_str())) {
                        return Err(Failure::new(format!("can not perform '{verb}' on '{plural}' in group '{group}'")));
                    }
                    allowed = true;
                }
            }
            if !allowed {
                found.map_err(Failure::bare)?;
            }
        }
        let name = sub.map_or(plural.clone(), |sub| format!("{plural}/{sub}"));
        let list = groups.entry(group).or_default();
        if !list.contains(&name) {
            list.push(name);
        }
        if resource == "*" && sub.is_none() {
            groups = BTreeMap::from([(String::new(), vec!["*".to_owned()])]);
            break;
        }
    }
    let names = unique(flags.all("resource-name"));
    let rule = |(group, resources): (String, Vec<String>)| {
        let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources});
        if !names.is_empty() {
            rule["resourceNames"] = names.clone().into();
        }
        rule
    };
    let mut rules: Vec<Value> = groups.into_iter().map(rule).collect();
    if !flags.all("non-resource-url").is_empty() {
        rules.push(json!({"verbs": verbs, "nonResourceURLs": flags.all("non-resource-url")}));
    }
    Ok(rules)
}

fn warn_of_odd_verbs(call: &Invocation, verbs: &[String]) {
    for verb in verbs.iter().filter(|verb| !VERBS.contains(&verb.as_str())) {
        call.err(format!("Warning: '{verb}' is not a standard resource verb\n"));
    }
}

async fn role(call: &Invocation) -> Result {
    let name = name(call)?;
    let verbs = unique(call.flags.all("verb"));
    if verbs.is_empty() {
        return Err(Failure::new("at least one verb must be specified"));
    }
    warn_of_odd_verbs(call, &verbs);
    if call.flags.all("resource").is_empty() {
        return Err(Failure::new("at least one resource must be specified"));
    }
    let rules = rules(call, &verbs).await?;
    let object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules});
    finish(call, object, "").await
}

async fn cluster_role(call: &Invocation) -> Result {
    let name = name(call)?;
    let flags = &call.flags;
    let verbs = unique(flags.all("verb"));
    let aggregated = flags.all("aggregation-rule");
    let (resources, urls) = (flags.all("resource"), flags.all("non-resource-url"));
    let mut object =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}});
    if !aggregated.is_empty() {
        if !(verbs.is_empty() && resources.is_empty() && urls.is_empty() && flags.all("resource-name").is_empty()) {
            return Err(Failure::new(
                "aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames",
            ));
        }
        let labels: serde_json::Map<String, Value> = aggregated
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": labels}]});
        object["rules"] = Value::Null;
        return finish(call, object, "").await;
    }
    if verbs.is_empty() {
        return Err(Failure::new("at least one verb must be specified"));
    }
    if resources.is_empty() && urls.is_empty() {
        return Err(Failure::new("one of resource or nonResourceURL must be specified"));
    }
    if !resources.is_empty() {
        warn_of_odd_verbs(call, &verbs);
    }
    if !urls.is_empty() {
        if let Some(verb) = verbs.iter().find(|verb| !URL_VERBS.contains(&verb.as_str())) {
            return Err(Failure::new(format!("invalid verb: '{verb}' for nonResourceURL")));
        }
        for url in urls.iter().filter(|url| *url != "*") {
            if !url.starts_with('/') {
                return Err(Failure::new("nonResourceURL should start with /"));
            }
            if url[..url.len() - 1].contains('*') {
                return Err(Failure::new("nonResourceURL only supports wildcard matches when '*' is at the end"));
            }
        }
    }
    object["rules"] = rules(call, &verbs).await?.into();
    finish(call, object, "").await
}

/// The subjects that `--user`, `--group` and `--serviceaccount` name.
fn subjects(call: &Invocation) -> Result<Vec<Value>> {
    let flags = &call.flags;
    let named =
        |kind: &str, name: &String| json!({"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name});
    let mut found: Vec<Value> = flags.all("user").iter().map(|name| named("User", name)).collect();
    found.extend(flags.all("group").iter().map(|name| named("Group", name)));
    for account in flags.all("serviceaccount") {
        let parts: Vec<&str> = account.split(':').collect();
        let [namespace, name] = parts[..] else {
            return Err(Failure::new("serviceaccount must be <namespace>:<name>"));
        };
        if namespace.is_empty() || name.is_empty() {
            return Err(Failure::new("serviceaccount must be <namespace>:<name>"));
        }
        found.push(json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}));
    }
    Ok(found)
}

fn binding(call: &Invocation, kind: &str, role_kind: &str, role: &str) -> Result<Value> {
    let mut object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name(call)?},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
    });
    let subjects = subjects(call)?;
    if !subjects.is_empty() {
        object["subjects"] = subjects.into();
    }
    Ok(object)
}

async fn role_binding(call: &Invocation) -> Result {
    name(call)?;
    let (role, cluster_role) = (call.flags.text("role"), call.flags.text("clusterrole"));
    if role.is_empty() == cluster_role.is_empty() {
        return Err(Failure::new("exactly one of clusterrole or role must be specified"));
    }
    let (kind, role) = if role.is_empty() { ("ClusterRole", cluster_role) } else { ("Role", role) };
    finish(call, binding(call, "RoleBinding", kind, role)?, "failed to create rolebinding:").await
}

async fn cluster_role_binding(call: &Invocation) -> Result {
    super::required(call, &["clusterrole"])?;
    let object = binding(call, "ClusterRoleBinding", "ClusterRole", call.flags.text("clusterrole"))?;
    finish(call, object, "failed to create clusterrolebinding:").await
}

async fn service_account(call: &Invocation) -> Result {
    let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name(call)?}});
    finish(call, object, "failed to create serviceaccount:").await
}

async fn token(call: &Invocation) -> Result {
    let name = name(call)?;
    let flags = &call.flags;
    let kind = flags.text("bound-object-kind");
    if kind.is_empty() && flags.given("bound-object-name") {
        return Err(Failure::new("--bound-object-name can only be set if --bound-object-kind is provided"));
    }
    if !kind.is_empty() && flags.text("bound-object-name").is_empty() {
        return Err(Failure::new("--bound-object-name is required if --bound-object-kind is provided"));
    }
    if flags.seconds("duration") < 0.0 {
        return Err(Failure::new("--duration must be greater than or equal to 0"));
    }
    let mut spec = json!({});
    if !flags.all("audience").is_empty() {
        spec["audiences"] = flags.all("audience").into();
    }
    if flags.seconds("duration") > 0.0 {
        spec["expirationSeconds"] = (flags.seconds("duration") as i64).into();
    }
    if !kind.is_empty() {
        spec["boundObjectRef"] = json!({"kind": kind, "apiVersion": "v1", "name": flags.text("bound-object-name"), "uid": flags.text("bound-object-uid")});
    }
    let cluster = call.cluster().await?;
    let mapping = cluster.mapper().await?.named("serviceaccounts")?;
    let request =
        json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": spec});
    let post = Call::new(http::Method::POST, mapping.path(&cluster.namespace, Some(name), "token")).json(&request);
    let made = cluster
        .api
        .json(post)
        .await
        .map_err(|failure| Failure::new(format!("failed to create token: {}", failure.words())))?;
    let mut printer = Printer::of(flags, call.session.files.as_ref(), false)?;
    if printer.is_human() {
        let token = made.pointer("/status/token").and_then(Value::as_str).unwrap_or_default();
        if token.is_empty() {
            return Err(Failure::new("failed to create token: no token in server response"));
        }
        call.out(format!("{token}\n"));
        return Ok(());
    }
    printer.show(call.console(), &made, "")?;
    Ok(())
}
