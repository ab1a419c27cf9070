//! A Pod as the kubelet reads it.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::client::store::Watched;

/// What the kubelet reads of a Pod: all of it but the type line.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct PodView {
    /// Standard metadata.
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: PodSpec,
    /// What was last reported.
    pub status: PodStatus,
}

crate::view!(PodView, "", "v1", "Pod", "pods", Namespace);

impl Watched for PodView {}

/// The role a container has in its Pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// Starts in the order of init containers and stays.
    Sidecar,
    /// The Pod's work.
    Main,
}

impl PodView {
    /// The Pod's name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The Pod's namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The Pod's uid.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// `Always` unless the Pod says otherwise.
    pub fn restart_policy(&self) -> &str {
        self.spec.restart_policy.as_deref().unwrap_or("Always")
    }

    /// True once deletion was asked for.
    pub fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// True once the Pod's end was reported.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// Init containers and sidecars, in order, then the main containers.
    pub fn containers(&self) -> impl Iterator<Item = (&Container, Role)> {
        let role = |container: &Container| match container.restart_policy.as_deref() {
            Some("Always") => Role::Sidecar,
            _ => Role::Init,
        };
        let init = self.spec.init_containers.iter().flatten().map(move |container| (container, role(container)));
        init.chain(self.spec.containers.iter().map(|container| (container, Role::Main)))
    }

    /// A container by name.
    pub fn container(&self, name: &str) -> Option<(&Container, Role)> {
        self.containers().find(|(container, _)| container.name == name)
    }
}
