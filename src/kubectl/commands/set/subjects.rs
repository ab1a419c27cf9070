//! `kubectl set subject`: who a RoleBinding or ClusterRoleBinding is for.

use serde_json::{Value, json};

use super::super::super::command::Invocation;
use super::super::super::failure::{Failure, Result};
use super::super::super::flags::{Flag, Kind, long};
use super::{Unchanged, change};
use crate::api::meta;

pub(super) const FLAGS: &[Flag] = &[
    long("user", Kind::List, "A user"),
    long("group", Kind::List, "A group"),
    long("serviceaccount", Kind::List, "A service account: NAMESPACE:NAME"),
];

pub(super) async fn subject(call: &Invocation) -> Result {
    let flags = &call.flags;
    let named =
        |kind: &str, name: &String| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let mut wanted: Vec<Value> = flags.all("user").iter().map(|name| named("User", name)).collect();
    wanted.extend(flags.all("group").iter().map(|name| named("Group", name)));
    for account in flags.all("serviceaccount") {
        let Some((namespace, name)) = account.split_once(':').filter(|(a, b)| !a.is_empty() && !b.is_empty()) else {
            return Err(Failure::new("serviceaccount must be <namespace>:<name>"));
        };
        wanted.push(json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}));
    }
    if wanted.is_empty() {
        return Err(Failure::new("you must specify at least one value of user, group or serviceaccount"));
    }
    let failed = "failed to patch subjects to rolebinding:";
    change(call, call.arguments(), Unchanged::Skipped, ("subjects updated", failed), |object, kind, _| {
        if !matches!(kind, "RoleBinding" | "ClusterRoleBinding") {
            return Err("setting subjects is only supported for RoleBinding/ClusterRoleBinding".into());
        }
        let mut own = meta::list(object, &["subjects"]).to_vec();
        own.extend(wanted.iter().filter(|subject| !meta::list(object, &["subjects"]).contains(subject)).cloned());
        object["subjects"] = own.into();
        Ok(())
    })
    .await
}
