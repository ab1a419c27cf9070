//! RBAC: which rules a user holds, and whether they cover an action.
//!
//! Bindings and roles are compiled into a [`Policy`], looked up by subject, and compiled again only
//! when one of the four collections has changed. Nothing is ever denied here: a rule allows, or
//! there is no opinion. Source: `plugin/pkg/auth/authorizer/rbac`.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::{Action, Decision, User};
use crate::apiserver::objects::{Collection, Objects, collection};

const GROUP: &str = "rbac.authorization.k8s.io";
const ROLES: Collection = collection(GROUP, "roles");
const ROLE_BINDINGS: Collection = collection(GROUP, "rolebindings");
const CLUSTER_ROLES: Collection = collection(GROUP, "clusterroles");
const CLUSTER_ROLE_BINDINGS: Collection = collection(GROUP, "clusterrolebindings");

/// One rule of a role: verbs on resources, or on paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `get`, `*`, …
    pub verbs: Vec<String>,
    /// API groups; `""` is core.
    pub groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale`, `*`.
    pub resources: Vec<String>,
    /// Only these objects; empty for all.
    pub names: Vec<String>,
    /// Paths that are no resource: `/healthz`, `/metrics/*`.
    pub paths: Vec<String>,
}

impl Rule {
    /// From a `PolicyRule`.
    pub fn parse(rule: &Value) -> Rule {
        let list = |field: &str| {
            let items = rule[field].as_array().into_iter().flatten();
            items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Rule {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            paths: list("nonResourceURLs"),
        }
    }

    /// Whether the rule allows the action.
    pub fn allows(&self, action: &Action) -> bool {
        if !matches(&self.verbs, &action.verb) {
            return false;
        }
        if action.resource.is_empty() {
            return self.paths.iter().any(|path| match path.strip_suffix('*') {
                Some(prefix) => action.path.starts_with(prefix),
                None => *path == action.path,
            });
        }
        matches(&self.groups, &action.group)
            && self.resources.iter().any(|resource| resource_matches(resource, action))
            && (self.names.is_empty() || self.names.contains(&action.name))
    }

    /// Every verb on every resource.
    pub fn every_resource() -> Rule {
        let all = || vec!["*".to_owned()];
        Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() }
    }

    /// Every verb on every path.
    pub fn every_path() -> Rule {
        let all = || vec!["*".to_owned()];
        Rule { verbs: all(), paths: all(), ..Rule::default() }
    }

    /// As Go prints it in the message of an escalation: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    pub fn compact(&self) -> String {
        let parts = [
            ("NonResourceURLs", &self.paths),
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = parts
            .iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| {
                let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
                format!("{name}:[{}]", values.join(" "))
            })
            .collect();
        format!("{{{}}}", shown.join(", "))
    }
}

fn matches(allowed: &[String], wanted: &str) -> bool {
    allowed.iter().any(|one| one == "*" || one == wanted)
}

fn resource_matches(allowed: &str, action: &Action) -> bool {
    if allowed == "*" {
        return true;
    }
    if action.subresource.is_empty() {
        return allowed == action.resource;
    }
    match allowed.split_once('/') {
        Some((resource, sub)) => sub == action.subresource && (resource == "*" || resource == action.resource),
        None => false,
    }
}

/// One binding, joined with its role.
struct Binding {
    /// Where it counts; empty for everywhere.
    namespace: String,
    rules: Result<Arc<Vec<Rule>>, String>,
    /// `RoleBinding "web/ns" of Role "web"`.
    source: String,
}

/// Every binding, by subject.
#[derive(Default)]
pub struct Policy {
    bindings: Vec<Binding>,
    /// Subject (see [`subject_key`]) → its bindings and how the reason names it.
    by_subject: HashMap<String, Vec<(usize, String)>>,
}

fn subject_key(kind: &str, name: &str) -> String {
    format!("{kind}:{name}")
}

impl Policy {
    fn compile(objects: &dyn Objects) -> Policy {
        let mut roles = HashMap::new();
        for (what, kind) in [(ROLES, "Role"), (CLUSTER_ROLES, "ClusterRole")] {
            for role in objects.list(what, "") {
                let rules: Vec<Rule> = role["rules"].as_array().into_iter().flatten().map(Rule::parse).collect();
                roles.insert((kind, text(&role, "namespace"), text(&role, "name")), Arc::new(rules));
            }
        }
        let mut policy = Policy::default();
        // Cluster-wide bindings first, as the resolver visits them.
        for (what, kind) in [(CLUSTER_ROLE_BINDINGS, "ClusterRoleBinding"), (ROLE_BINDINGS, "RoleBinding")] {
            for binding in objects.list(what, "") {
                policy.add(kind, &binding, &roles);
            }
        }
        policy
    }

    fn add(&mut self, kind: &str, binding: &Value, roles: &HashMap<(&str, String, String), Arc<Vec<Rule>>>) {
        let namespace = text(binding, "namespace");
        let name = text(binding, "name");
        let role = binding["roleRef"]["name"].as_str().unwrap_or_default().to_owned();
        let role_kind = if binding["roleRef"]["kind"] == "Role" { "Role" } else { "ClusterRole" };
        let home = if role_kind == "Role" { namespace.clone() } else { String::new() };
        let rules = roles.get(&(role_kind, home, role.clone())).cloned();
        let rules = rules.ok_or_else(|| format!("{}.{GROUP} {role:?} not found", role_kind.to_lowercase()));
        let shown = if namespace.is_empty() { name } else { format!("{name}/{namespace}") };
        let source = format!("{kind} {shown:?} of {role_kind} {role:?}");
        let index = self.bindings.len();
        for subject in binding["subjects"].as_array().into_iter().flatten() {
            let name = subject["name"].as_str().unwrap_or_default();
            let (key, shown) = match subject["kind"].as_str() {
                Some("ServiceAccount") => {
                    let home = subject["namespace"].as_str().filter(|home| !home.is_empty()).unwrap_or(&namespace);
                    let user = format!("system:serviceaccount:{home}:{name}");
                    (subject_key("User", &user), format!("ServiceAccount {:?}", format!("{name}/{home}")))
                }
                Some("Group") => (subject_key("Group", name), format!("Group {name:?}")),
                _ => (subject_key("User", name), format!("User {name:?}")),
            };
            self.by_subject.entry(key).or_default().push((index, shown));
        }
        self.bindings.push(Binding { namespace, rules, source });
    }

    /// The user's bindings that count in `namespace`, in order, with how each names the subject.
    fn held<'a>(&'a self, user: &User, namespace: &str) -> Vec<(&'a Binding, &'a str)> {
        let subjects = std::iter::once(subject_key("User", &user.name))
            .chain(user.groups.iter().map(|group| subject_key("Group", group)));
        let mut held: Vec<(usize, &str)> = subjects
            .filter_map(|key| self.by_subject.get(&key))
            .flatten()
            .map(|(index, shown)| (*index, shown.as_str()))
            .collect();
        held.sort_by_key(|(index, _)| *index);
        held.dedup_by_key(|(index, _)| *index);
        let here = |binding: &Binding| {
            binding.namespace.is_empty() || (!namespace.is_empty() && binding.namespace == namespace)
        };
        held.into_iter().map(|(index, shown)| (&self.bindings[index], shown)).filter(|(b, _)| here(b)).collect()
    }

    /// Whether a rule the user holds allows the action.
    pub fn authorize(&self, user: &User, action: &Action) -> Decision {
        let mut faults = Vec::new();
        for (binding, subject) in self.held(user, &action.namespace) {
            match &binding.rules {
                Ok(rules) if rules.iter().any(|rule| rule.allows(action)) => {
                    return Decision::Allow(format!("RBAC: allowed by {} to {subject}", binding.source));
                }
                Ok(_) => {}
                Err(fault) => faults.push(fault.clone()),
            }
        }
        Decision::NoOpinion(match faults.len() {
            0 => String::new(),
            1 => format!("rbac: RBAC: {}", faults[0]),
            _ => format!("rbac: RBAC: [{}]", faults.join(", ")),
        })
    }

    /// Every rule the user holds in `namespace` (empty: cluster-wide).
    pub fn rules(&self, user: &User, namespace: &str) -> Vec<Rule> {
        let held = self.held(user, namespace).into_iter().filter_map(|(binding, _)| binding.rules.as_ref().ok());
        held.flat_map(|rules| rules.iter().cloned()).collect()
    }
}

/// The policy as of now, compiled when something it is made of changed.
#[derive(Default)]
pub struct Compiled(Mutex<Option<([i64; 4], Arc<Policy>)>>);

impl Compiled {
    /// The policy for what the watch cache holds.
    pub fn now(&self, objects: &dyn Objects) -> Arc<Policy> {
        let stamp = [ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS].map(|what| objects.changed_at(what));
        let mut kept = self.0.lock();
        match &*kept {
            Some((made_at, policy)) if *made_at == stamp => policy.clone(),
            _ => {
                let policy = Arc::new(Policy::compile(objects));
                *kept = Some((stamp, policy.clone()));
                policy
            }
        }
    }
}

/// What of `wanted` nothing in `owned` covers. A wanted rule is split into its single permissions,
/// since they may be covered by several rules together; those that differ in their verb alone are
/// one rule again in the answer.
pub fn uncovered(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let mut missing: Vec<Rule> = Vec::new();
    for one in wanted.iter().flat_map(single_permissions) {
        if owned.iter().any(|own| covers(own, &one)) {
            continue;
        }
        let same = |other: &&mut Rule| {
            one.paths.is_empty()
                && (&other.groups, &other.resources, &other.names) == (&one.groups, &one.resources, &one.names)
        };
        match missing.iter_mut().find(same) {
            Some(other) if other.verbs.contains(&one.verbs[0]) => {}
            Some(other) => other.verbs.extend(one.verbs),
            None => missing.push(one),
        }
    }
    missing
}

fn single_permissions(rule: &Rule) -> impl Iterator<Item = Rule> {
    let mut singles = Vec::new();
    let one = |text: &String| vec![text.clone()];
    for verb in &rule.verbs {
        for path in &rule.paths {
            singles.push(Rule { verbs: one(verb), paths: one(path), ..Rule::default() });
        }
        for group in &rule.groups {
            for resource in &rule.resources {
                let single = Rule { verbs: one(verb), groups: one(group), resources: one(resource), ..Rule::default() };
                if rule.names.is_empty() {
                    singles.push(single);
                } else {
                    singles.extend(rule.names.iter().map(|name| Rule { names: one(name), ..single.clone() }));
                }
            }
        }
    }
    singles.into_iter()
}

fn covers(own: &Rule, one: &Rule) -> bool {
    let all = |own: &[String], wanted: &[String]| wanted.iter().all(|w| own.iter().any(|o| o == "*" || o == w));
    let resources = one.resources.iter().all(|wanted| {
        let (_, sub) = wanted.split_once('/').unwrap_or(("", ""));
        own.resources.iter().any(|o| o == "*" || o == wanted || (!sub.is_empty() && *o == format!("*/{sub}")))
    });
    let paths = one.paths.iter().all(|wanted| {
        own.paths.iter().any(|o| o == wanted || o.strip_suffix('*').is_some_and(|prefix| wanted.starts_with(prefix)))
    });
    let names = own.names.is_empty() || (!one.names.is_empty() && all(&own.names, &one.names));
    all(&own.verbs, &one.verbs) && all(&own.groups, &one.groups) && resources && names && paths
}

fn text(object: &Value, field: &str) -> String {
    object["metadata"][field].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn action(verb: &str, group: &str, resource: &str, subresource: &str, name: &str) -> Action {
        Action {
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            ..Action::default()
        }
    }

    #[test]
    fn a_rule_allows_what_it_names_and_no_more() {
        let rule = |value| Rule::parse(&value);
        let pods = rule(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}));
        let logs = rule(json!({"apiGroups": [""], "resources": ["pods/log", "*/scale"], "verbs": ["*"]}));
        let one = rule(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}));
        let all = rule(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}));
        let table = [
            (&pods, action("get", "", "pods", "", "x"), true),
            (&pods, action("delete", "", "pods", "", "x"), false),
            (&pods, action("get", "apps", "pods", "", "x"), false),
            (&pods, action("get", "", "pods", "log", "x"), false),
            (&logs, action("get", "", "pods", "log", "x"), true),
            (&logs, action("update", "", "replicationcontrollers", "scale", "x"), true),
            (&one, action("get", "", "pods", "", "a"), true),
            (&one, action("get", "", "pods", "", "b"), false),
            (&one, action("list", "", "pods", "", ""), false),
            (&all, action("get", "apps", "deployments", "scale", "x"), true),
        ];
        for (rule, action, allowed) in table {
            assert_eq!(rule.allows(&action), allowed, "{rule:?} {action:?}");
        }
        let paths = rule(json!({"nonResourceURLs": ["/healthz", "/metrics/*"], "verbs": ["get"]}));
        for (path, allowed) in [("/healthz", true), ("/metrics/a", true), ("/metrics", false), ("/healthz/x", false)] {
            let action = Action { verb: "get".into(), path: path.into(), ..Action::default() };
            assert_eq!(paths.allows(&action), allowed, "{path}");
        }
    }

    #[test]
    fn permissions_may_be_covered_by_several_rules_together() {
        let rules = |value: Value| value.as_array().unwrap().iter().map(Rule::parse).collect::<Vec<_>>();
        let owned = rules(json!([
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["list"]},
        ]));
        let fine = rules(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]));
        let more = rules(json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]));
        assert!(uncovered(&owned, &fine).is_empty());
        assert_eq!(uncovered(&owned, &more)[0].compact(), r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#);
    }
}
