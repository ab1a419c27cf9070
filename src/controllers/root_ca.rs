//! The cluster's certificate authority, published to every namespace as `kube-root-ca.crt`.
//!
//! A Pod trusts the API server by this ConfigMap, which its token volume mounts. Source:
//! kube-controller-manager, pkg/controller/certificates/rootcacertpublisher.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::ObjectMeta;
use kube::runtime::watcher;

use super::namespace::is_active;
use super::plan::{Action, Plan};
use super::runner::Room;
use crate::client::{Informer, ObjectKey};

/// The ConfigMap's name. Source: publisher.go, RootCACertConfigMapName.
pub const NAME: &str = "kube-root-ca.crt";
const FILE: &str = "ca.crt";
/// Source: publisher.go, DescriptionAnnotation.
const DESCRIPTION: &str = "kubernetes.io/description";
const WORDS: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                     endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                     guaranteed across distributions of Kubernetes clusters.";

/// Starts the loop.
pub fn start(room: Room) {
    let authority = room.root_ca.clone();
    let namespaces = room.informer::<Namespace>();
    let only = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let stream = crate::client::follow::<ConfigMap>(&room.informers.client(), only);
    let copies = Informer::over(stream, room.clock, &room.tasks);
    room.wait_for(&copies);
    room.wake_self(&namespaces);
    room.wake(&copies, |copy| vec![ObjectKey::cluster(copy.metadata.namespace.clone().unwrap_or_default())]);
    room.run("root-ca-certificate-publisher-controller", 1, move |key, _| {
        let namespace = namespaces.get(key);
        let copy = copies.get(&ObjectKey::new(&key.name, NAME));
        reconcile(namespace.as_deref(), copy.as_deref(), &authority)
    });
}

/// What a namespace needs done.
pub fn reconcile(namespace: Option<&Namespace>, copy: Option<&ConfigMap>, authority: &str) -> Plan {
    let mut plan = Plan::none();
    let Some(namespace) = namespace.filter(|namespace| is_active(namespace)) else { return plan };
    let data = BTreeMap::from([(FILE.to_owned(), authority.to_owned())]);
    match copy {
        None => plan.act(Action::create(&ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                namespace: namespace.metadata.name.clone(),
                annotations: Some(BTreeMap::from([(DESCRIPTION.into(), WORDS.into())])),
                ..Default::default()
            },
            data: Some(data),
            ..Default::default()
        })),
        Some(copy) => {
            let described = copy.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(DESCRIPTION));
            if copy.data.as_ref() != Some(&data) || !described {
                let mut copy = copy.clone();
                copy.data = Some(data);
                copy.metadata.annotations.get_or_insert_default().insert(DESCRIPTION.into(), WORDS.into());
                plan.act(Action::update(&copy));
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_copy_is_made_once_and_mended_when_it_differs() {
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": "shop" } })).unwrap();
        let made = reconcile(Some(&namespace), None, "PEM");
        let copy: ConfigMap = serde_json::from_value(made.actions()[0].body.clone()).unwrap();
        assert_eq!(reconcile(Some(&namespace), Some(&copy), "PEM"), Plan::none());
        let mended = reconcile(Some(&namespace), Some(&copy), "NEW");
        assert_eq!(mended.actions()[0].body["data"]["ca.crt"], "NEW");
    }
}
