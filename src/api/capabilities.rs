//! The parts of root's power that a container has unless it is told otherwise, by Kubernetes' names for them.

/// What a runtime leaves a container. Source: containerd's default.
pub const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "NET_RAW",
];

/// What a Pod may ask for under the Pod Security Standard `baseline`: as much, but for raw sockets. Source:
/// `k8s.io/pod-security-admission/policy`.
pub const BASELINE: &[&str] = DEFAULT.split_at(13).0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_sockets_are_left_to_a_container_and_not_to_be_asked_for() {
        assert!(DEFAULT.contains(&"NET_RAW") && !BASELINE.contains(&"NET_RAW"));
        assert_eq!(BASELINE.len() + 1, DEFAULT.len());
    }
}
