//! Versions that Kubernetes' Go types still know though no server has served them for years.
//!
//! A body in one of them is understood, and refused with other words than a body of no known version.

/// (group, version)
const OLD: [(&str, &str); 24] = [
    ("admissionregistration.k8s.io", "v1beta1"),
    ("admissionregistration.k8s.io", "v1alpha1"),
    ("apps", "v1beta1"),
    ("apps", "v1beta2"),
    ("authentication.k8s.io", "v1beta1"),
    ("authorization.k8s.io", "v1beta1"),
    ("batch", "v1beta1"),
    ("certificates.k8s.io", "v1beta1"),
    ("coordination.k8s.io", "v1beta1"),
    ("discovery.k8s.io", "v1beta1"),
    ("events.k8s.io", "v1beta1"),
    ("extensions", "v1beta1"),
    ("flowcontrol.apiserver.k8s.io", "v1beta1"),
    ("flowcontrol.apiserver.k8s.io", "v1beta2"),
    ("flowcontrol.apiserver.k8s.io", "v1beta3"),
    ("networking.k8s.io", "v1beta1"),
    ("node.k8s.io", "v1beta1"),
    ("policy", "v1beta1"),
    ("rbac.authorization.k8s.io", "v1alpha1"),
    ("rbac.authorization.k8s.io", "v1beta1"),
    ("resource.k8s.io", "v1beta1"),
    ("resource.k8s.io", "v1beta2"),
    ("scheduling.k8s.io", "v1beta1"),
    ("storage.k8s.io", "v1beta1"),
];

/// Whether Kubernetes' Go types have this version, although it is not served.
pub fn is_old_version(group: &str, version: &str) -> bool {
    OLD.contains(&(group, version))
}
