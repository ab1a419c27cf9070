//! The `rbac.authorization.k8s.io` group: roles, and who has them.

pub mod binding;
pub mod role;

use super::Strategy;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "Role" => &role::ROLE,
        "ClusterRole" => &role::CLUSTER_ROLE,
        "RoleBinding" => &binding::ROLE_BINDING,
        "ClusterRoleBinding" => &binding::CLUSTER_ROLE_BINDING,
        _ => return None,
    })
}
