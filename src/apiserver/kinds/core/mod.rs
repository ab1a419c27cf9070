//! The core group (`v1`).

pub mod configmap;
pub mod endpoints;
pub mod event;
pub mod limitrange;
pub mod namespace;
pub mod node;
pub mod persistentvolume;
pub mod persistentvolumeclaim;
pub mod pod;
pub mod podtemplate;
pub mod replicationcontroller;
pub mod resourcequota;
pub mod resources;
pub mod secret;
pub mod service;
pub mod service_addresses;
pub mod service_rules;
pub mod serviceaccount;

use super::Strategy;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "ConfigMap" => &configmap::STRATEGY,
        "Endpoints" => &endpoints::STRATEGY,
        "Event" => &event::STRATEGY,
        "LimitRange" => &limitrange::STRATEGY,
        "Namespace" => &namespace::STRATEGY,
        "Node" => &node::STRATEGY,
        "PersistentVolume" => &persistentvolume::STRATEGY,
        "PersistentVolumeClaim" => &persistentvolumeclaim::STRATEGY,
        "Pod" => &pod::STRATEGY,
        "PodTemplate" => &podtemplate::STRATEGY,
        "ReplicationController" => &replicationcontroller::STRATEGY,
        "ResourceQuota" => &resourcequota::STRATEGY,
        "Secret" => &secret::STRATEGY,
        "Service" => &service::STRATEGY,
        "ServiceAccount" => &serviceaccount::STRATEGY,
        _ => return None,
    })
}
