//! The texts of the API: what each definition and each field is for, as `k8s-openapi` carries them.

use k8s_openapi::{api, apiextensions_apiserver, apimachinery, kube_aggregator, schemars};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value};

/// Every text, by definition and field.
pub(super) struct Descriptions {
    definitions: Map<String, Value>,
}

impl Descriptions {
    /// Gathers the texts; a few megabytes that live as long as the value.
    pub(super) fn read() -> Descriptions {
        let mut generator = SchemaSettings::openapi3().into_generator();
        for add in ROOTS {
            add(&mut generator);
        }
        Descriptions { definitions: generator.take_definitions(false) }
    }

    /// The names of a definition's fields.
    #[cfg(test)]
    pub(super) fn fields(&self, definition: &str) -> Option<impl Iterator<Item = &str>> {
        Some(self.definitions.get(definition)?.get("properties")?.as_object()?.keys().map(String::as_str))
    }

    /// The text of a definition or of one of its fields.
    pub(super) fn get(&self, definition: &str, field: Option<&str>) -> Option<&str> {
        let found = self.definitions.get(definition);
        match (found, field) {
            (Some(schema), None) => schema.get("description")?.as_str(),
            (Some(schema), Some(field)) => schema.get("properties")?.get(field)?.get("description")?.as_str(),
            (None, Some(field @ ("apiVersion" | "kind"))) => self.get(COMMON, Some(field)),
            (None, _) => None,
        }
    }
}

/// A definition whose `apiVersion` and `kind` are described as in every list.
const COMMON: &str = "io.k8s.api.core.v1.Pod";

macro_rules! roots {
    ($($type:ty),* $(,)?) => {
        /// The kinds from which every other definition is reached.
        const ROOTS: &[fn(&mut SchemaGenerator)] = &[$(|generator| { generator.subschema_for::<$type>(); }),*];
    };
}

roots![
    api::admissionregistration::v1::MutatingAdmissionPolicy,
    api::admissionregistration::v1::MutatingAdmissionPolicyBinding,
    api::admissionregistration::v1::MutatingWebhookConfiguration,
    api::admissionregistration::v1::ValidatingAdmissionPolicy,
    api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
    api::admissionregistration::v1::ValidatingWebhookConfiguration,
    api::apps::v1::ControllerRevision,
    api::apps::v1::DaemonSet,
    api::apps::v1::Deployment,
    api::apps::v1::ReplicaSet,
    api::apps::v1::StatefulSet,
    api::authentication::v1::SelfSubjectReview,
    api::authentication::v1::TokenRequest,
    api::authentication::v1::TokenReview,
    api::authorization::v1::LocalSubjectAccessReview,
    api::authorization::v1::SelfSubjectAccessReview,
    api::authorization::v1::SelfSubjectRulesReview,
    api::authorization::v1::SubjectAccessReview,
    api::autoscaling::v1::HorizontalPodAutoscaler,
    api::autoscaling::v1::Scale,
    api::autoscaling::v2::HorizontalPodAutoscaler,
    api::batch::v1::CronJob,
    api::batch::v1::Job,
    api::certificates::v1::CertificateSigningRequest,
    api::certificates::v1::ClusterTrustBundle,
    api::certificates::v1::PodCertificateRequest,
    api::coordination::v1::Lease,
    api::core::v1::Binding,
    api::core::v1::ComponentStatus,
    api::core::v1::ConfigMap,
    api::core::v1::Endpoints,
    api::core::v1::Event,
    api::core::v1::LimitRange,
    api::core::v1::Namespace,
    api::core::v1::Node,
    api::core::v1::PersistentVolume,
    api::core::v1::PersistentVolumeClaim,
    api::core::v1::Pod,
    api::core::v1::PodTemplate,
    api::core::v1::ReplicationController,
    api::core::v1::ResourceQuota,
    api::core::v1::Secret,
    api::core::v1::Service,
    api::core::v1::ServiceAccount,
    api::discovery::v1::EndpointSlice,
    api::events::v1::Event,
    api::flowcontrol::v1::FlowSchema,
    api::flowcontrol::v1::PriorityLevelConfiguration,
    api::networking::v1::IPAddress,
    api::networking::v1::Ingress,
    api::networking::v1::IngressClass,
    api::networking::v1::NetworkPolicy,
    api::networking::v1::ServiceCIDR,
    api::node::v1::RuntimeClass,
    api::policy::v1::Eviction,
    api::policy::v1::PodDisruptionBudget,
    api::rbac::v1::ClusterRole,
    api::rbac::v1::ClusterRoleBinding,
    api::rbac::v1::Role,
    api::rbac::v1::RoleBinding,
    api::resource::v1::DeviceClass,
    api::resource::v1::DeviceTaintRule,
    api::resource::v1::ResourceClaim,
    api::resource::v1::ResourceClaimTemplate,
    api::resource::v1::ResourceSlice,
    api::scheduling::v1::PriorityClass,
    api::storage::v1::CSIDriver,
    api::storage::v1::CSINode,
    api::storage::v1::CSIStorageCapacity,
    api::storage::v1::StorageClass,
    api::storage::v1::VolumeAttachment,
    api::storage::v1::VolumeAttributesClass,
    api::storagemigration::v1::StorageVersionMigration,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::DeleteOptions,
    apimachinery::pkg::apis::meta::v1::ListMeta,
    apimachinery::pkg::apis::meta::v1::Status,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
];
