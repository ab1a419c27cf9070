//! The cluster's certificate authority, published as a ClusterTrustBundle of `kubernetes.io/kube-apiserver-serving`.
//!
//! The name holds a hash of the certificates, so that a new authority gets a new bundle; bundles of this signer that
//! hold anything else are deleted. Source: kube-controller-manager,
//! pkg/controller/certificates/clustertrustbundlepublisher.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;

use k8s_openapi::api::certificates::v1::{ClusterTrustBundle, ClusterTrustBundleSpec};
use kube::api::ObjectMeta;
use sha2::{Digest, Sha256};

use super::plan::{Action, Plan};
use super::runner::Room;
use crate::client::{Causes, ObjectKey};

const SIGNER: &str = "kubernetes.io/kube-apiserver-serving";

/// Starts the loop.
pub fn start(room: Room) {
    let authority = room.root_ca.clone();
    let bundles = room.informer::<ClusterTrustBundle>();
    // There is one thing to do, whatever changes; and it is to be done before anything has.
    let all = || ObjectKey::cluster("");
    room.wake(&bundles, move |bundle| if is_ours(bundle) { vec![all()] } else { Vec::new() });
    room.queue.add(all(), &Causes::none());
    room.run("kube-apiserver-serving-clustertrustbundle-publisher-controller", 1, move |_, _| {
        reconcile(&bundles.all(), &authority)
    });
}

fn is_ours(bundle: &ClusterTrustBundle) -> bool {
    bundle.spec.signer_name.as_deref() == Some(SIGNER)
}

/// What the signer's bundles need done.
pub fn reconcile(bundles: &[Arc<ClusterTrustBundle>], authority: &str) -> Plan {
    let mut plan = Plan::none();
    let hash: String = Sha256::digest(authority).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{}:{hash}", SIGNER.replace('/', ":"));
    let named = |bundle: &&Arc<ClusterTrustBundle>| bundle.metadata.name.as_deref() == Some(&name);
    match bundles.iter().find(named) {
        None => plan.act(Action::create(&ClusterTrustBundle {
            metadata: ObjectMeta { name: Some(name.clone()), ..Default::default() },
            spec: ClusterTrustBundleSpec { signer_name: Some(SIGNER.into()), trust_bundle: authority.into() },
        })),
        Some(bundle) if bundle.spec.trust_bundle != authority => {
            let mut bundle = ClusterTrustBundle::clone(bundle);
            bundle.spec.trust_bundle = authority.into();
            plan.act(Action::update(&bundle));
        }
        Some(_) => {}
    }
    for other in bundles.iter().filter(|bundle| is_ours(bundle) && !named(bundle)) {
        plan.act(Action::delete::<ClusterTrustBundle>(&other.metadata));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bundle_holds_the_authority_and_others_of_the_signer_go() {
        let made = reconcile(&[], "PEM");
        let bundle: ClusterTrustBundle = serde_json::from_value(made.actions()[0].body.clone()).unwrap();
        let bundle = Arc::new(bundle);
        assert_eq!(reconcile(std::slice::from_ref(&bundle), "PEM"), Plan::none());
        let renewed = reconcile(&[bundle], "NEW");
        assert_eq!(renewed.actions().len(), 2, "the new one is made and the old one deleted");
    }
}
