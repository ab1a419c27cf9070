//! Nobody hands out what they do not have: a role is written, or bound, only by those who hold its
//! rules, or who have the verb `escalate` on roles or `bind` on that role.
//!
//! In: an object of `rbac.authorization.k8s.io` that is about to be written, after the changing
//! plugins and before its validation. Out: nothing, or the 403 that lists what is missing.
//! Source: `k8s.io/kubernetes/pkg/registry/rbac`, the `policybased` storages.

use serde_json::Value;

use super::rbac::{self, Rule};
use super::{Action, Auth, User};
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::objects::{Objects, collection};

const GROUP: &str = "rbac.authorization.k8s.io";

/// A role or binding that is about to be written.
pub struct Writing<'a> {
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
    pub resource: &'a str,
    /// The name in the URL; empty for a `POST`.
    pub url_name: &'a str,
    /// The object to be.
    pub object: &'a Value,
    /// The object that is.
    pub old: Option<&'a Value>,
}

impl Auth {
    /// Whether `user` may write this object, as far as it hands out permissions.
    ///
    /// # Errors
    /// 403, naming what the user does not hold; 404 for a binding to a role that is not there.
    pub fn may_grant(&self, user: &User, writing: &Writing<'_>, objects: &dyn Objects) -> Result<(), Status> {
        if user.is_in("system:masters") || writing.old.is_some_and(|old| only_owners_differ(writing.object, old)) {
            return Ok(());
        }
        match writing.resource {
            "roles" | "clusterroles" => self.may_write_role(user, writing, objects),
            "rolebindings" | "clusterrolebindings" => self.may_bind(user, writing, objects),
            _ => Ok(()),
        }
    }

    fn may_write_role(&self, user: &User, writing: &Writing<'_>, objects: &dyn Objects) -> Result<(), Status> {
        let namespace = meta::namespace(writing.object);
        if self.has_verb(user, "escalate", writing.resource, namespace, writing.url_name, objects) {
            return Ok(());
        }
        let same = |field: &str| writing.old.is_some_and(|old| old.get(field) == writing.object.get(field));
        if same("rules") && same("aggregationRule") {
            return Ok(());
        }
        let owned = self.policy.now(objects).rules(user, namespace);
        let aggregates = |role: &Value| role.get("aggregationRule").is_some_and(|rule| !rule.is_null());
        if aggregates(writing.object) || writing.old.is_some_and(aggregates) {
            let everything = [Rule::every_resource(), Rule::every_path()];
            if !rbac::uncovered(&owned, &everything).is_empty() {
                let why = "must have cluster-admin privileges to use the aggregationRule";
                return Err(Status::forbidden(GROUP, writing.resource, meta::name(writing.object), why));
            }
        }
        held(user, writing, &owned, &writing.object["rules"])
    }

    fn may_bind(&self, user: &User, writing: &Writing<'_>, objects: &dyn Objects) -> Result<(), Status> {
        let namespace = meta::namespace(writing.object);
        let role = meta::text(writing.object, &["roleRef", "name"]);
        let (roles, home) = match meta::text(writing.object, &["roleRef", "kind"]) {
            "Role" => (collection(GROUP, "roles"), namespace),
            "ClusterRole" => (collection(GROUP, "clusterroles"), ""),
            // Validation says what is wrong with another kind.
            _ => return Ok(()),
        };
        if self.has_verb(user, "bind", roles.plural, namespace, role, objects) {
            return Ok(());
        }
        let Some(bound) = objects.get(roles, home, role) else {
            return Err(Status::not_found(GROUP, writing.resource, role));
        };
        held(user, writing, &self.policy.now(objects).rules(user, namespace), &bound["rules"])
    }

    fn has_verb(
        &self,
        user: &User,
        verb: &str,
        resource: &str,
        namespace: &str,
        name: &str,
        objects: &dyn Objects,
    ) -> bool {
        let action = Action {
            verb: verb.to_owned(),
            group: GROUP.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            ..Action::default()
        };
        self.authorize(user, &action, objects).is_allowed()
    }
}

/// Whether the user holds all these rules.
fn held(user: &User, writing: &Writing<'_>, owned: &[Rule], rules: &Value) -> Result<(), Status> {
    let wanted: Vec<Rule> = rules.as_array().into_iter().flatten().map(Rule::parse).collect();
    let mut missing: Vec<String> = rbac::uncovered(owned, &wanted).iter().map(Rule::compact).collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort();
    missing.dedup();
    let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
    let why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        missing.join("\n")
    );
    Err(Status::forbidden(GROUP, writing.resource, meta::name(writing.object), why))
}

/// Whether a write changes nothing but what the garbage collector needs to change.
fn only_owners_differ(new: &Value, old: &Value) -> bool {
    let mut new = new.clone();
    for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
        match old["metadata"].get(field) {
            Some(value) => meta::set(&mut new, &["metadata", field], value.clone()),
            None => drop(meta::remove(&mut new, &["metadata", field])),
        }
    }
    new == *old
}
