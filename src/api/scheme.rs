//! Versions that Kubernetes' Go types still know though the server does not serve them, or serves them no more.
//!
//! A body in one of them is understood, and refused with other words than a body of no known version.
//! Each version knows some kinds only: there never was a Job of `batch/v1beta1`.

/// (group, version, kinds)
const OLD: [(&str, &str, &str); 32] = [
    (
        "admissionregistration.k8s.io",
        "v1alpha1",
        "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding",
    ),
    (
        "admissionregistration.k8s.io",
        "v1beta1",
        "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    ),
    ("apiextensions.k8s.io", "v1beta1", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "v1beta1", "APIService"),
    ("apps", "v1beta1", "ControllerRevision Deployment StatefulSet"),
    ("apps", "v1beta2", "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet"),
    ("authentication.k8s.io", "v1alpha1", "SelfSubjectReview"),
    ("authentication.k8s.io", "v1beta1", "SelfSubjectReview TokenReview"),
    (
        "authorization.k8s.io",
        "v1beta1",
        "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    ),
    ("batch", "v1beta1", "CronJob"),
    ("certificates.k8s.io", "v1alpha1", "ClusterTrustBundle"),
    ("certificates.k8s.io", "v1beta1", "CertificateSigningRequest ClusterTrustBundle PodCertificateRequest"),
    ("coordination.k8s.io", "v1beta1", "Lease"),
    ("discovery.k8s.io", "v1beta1", "EndpointSlice"),
    ("events.k8s.io", "v1beta1", "Event"),
    ("extensions", "v1beta1", "DaemonSet Deployment Ingress NetworkPolicy ReplicaSet"),
    ("flowcontrol.apiserver.k8s.io", "v1beta1", "FlowSchema PriorityLevelConfiguration"),
    ("flowcontrol.apiserver.k8s.io", "v1beta2", "FlowSchema PriorityLevelConfiguration"),
    ("flowcontrol.apiserver.k8s.io", "v1beta3", "FlowSchema PriorityLevelConfiguration"),
    ("networking.k8s.io", "v1beta1", "IPAddress Ingress IngressClass ServiceCIDR"),
    ("node.k8s.io", "v1alpha1", "RuntimeClass"),
    ("node.k8s.io", "v1beta1", "RuntimeClass"),
    ("policy", "v1beta1", "PodDisruptionBudget Eviction"),
    ("rbac.authorization.k8s.io", "v1alpha1", "ClusterRole ClusterRoleBinding Role RoleBinding"),
    ("rbac.authorization.k8s.io", "v1beta1", "ClusterRole ClusterRoleBinding Role RoleBinding"),
    ("resource.k8s.io", "v1alpha3", "DeviceTaintRule"),
    ("resource.k8s.io", "v1beta1", "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice"),
    ("resource.k8s.io", "v1beta2", "DeviceClass DeviceTaintRule ResourceClaim ResourceClaimTemplate ResourceSlice"),
    ("scheduling.k8s.io", "v1beta1", "PriorityClass"),
    ("storage.k8s.io", "v1alpha1", "CSIStorageCapacity VolumeAttachment VolumeAttributesClass"),
    (
        "storage.k8s.io",
        "v1beta1",
        "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass",
    ),
    ("storagemigration.k8s.io", "v1beta1", "StorageVersionMigration"),
];

/// Whether Kubernetes' Go types have this kind in this version, although it is not served.
pub fn is_old(group: &str, version: &str, kind: &str) -> bool {
    let of = |known: &&(&str, &str, &str)| (known.0, known.1) == (group, version);
    OLD.iter().find(of).is_some_and(|(_, _, kinds)| kinds.split(' ').any(|known| known == kind))
}
