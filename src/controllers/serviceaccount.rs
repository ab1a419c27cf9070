//! ServiceAccounts: every namespace has one named `default`, made again when it is deleted.
//!
//! Source: kube-controller-manager, pkg/controller/serviceaccount.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::ObjectMeta;

use super::namespace::is_active;
use super::plan::{Action, Plan};
use super::runner::Room;
use crate::client::ObjectKey;

/// The account every Pod runs as that names no other.
const NAME: &str = "default";

/// Starts the loop.
pub fn start(room: Room) {
    let (namespaces, accounts) = (room.informer::<Namespace>(), room.informer::<ServiceAccount>());
    room.wake_self(&namespaces);
    room.wake(&accounts, |account| vec![ObjectKey::cluster(account.metadata.namespace.clone().unwrap_or_default())]);
    room.run("serviceaccount-controller", 1, move |key, _| {
        let namespace = namespaces.get(key);
        let exists = accounts.get(&ObjectKey::new(&key.name, NAME)).is_some();
        reconcile(namespace.as_deref(), exists)
    });
}

/// What a namespace needs done.
pub fn reconcile(namespace: Option<&Namespace>, exists: bool) -> Plan {
    let mut plan = Plan::none();
    if let Some(namespace) = namespace.filter(|namespace| is_active(namespace) && !exists) {
        plan.act(Action::create(&ServiceAccount {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                namespace: namespace.metadata.name.clone(),
                ..Default::default()
            },
            ..Default::default()
        }));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_living_namespace_without_one_gets_one() {
        let namespace = |phase: &str| -> Namespace {
            serde_json::from_value(json!({ "metadata": { "name": "shop" }, "status": { "phase": phase } })).unwrap()
        };
        assert_eq!(reconcile(Some(&namespace("Active")), false).actions().len(), 1);
        assert_eq!(reconcile(Some(&namespace("Active")), true), Plan::none());
        assert_eq!(reconcile(Some(&namespace("Terminating")), false), Plan::none());
        assert_eq!(reconcile(None, false), Plan::none());
    }
}
