//! VolumeBinding: a Pod goes where its volumes can be reached, or be made.
//!
//! A claim that must be bound first, or does not exist, refuses all nodes at once.
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use super::{Filter, Prepared, PreparedFilter, Rejection};
use crate::scheduler::decision::Reason;
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::snapshot::{NodeIndex, Snapshot};
use crate::scheduler::volumes::{Claim, Volumes};

struct VolumeBinding<'a> {
    namespace: &'a str,
    volumes: &'a Volumes,
    claims: Vec<(&'a str, &'a Claim)>,
}

/// Nothing to say for a Pod without claims.
pub fn filter<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    if pod.claims.is_empty() {
        return Prepared::Skip;
    }
    let volumes = &snapshot.volumes;
    let mut claims = Vec::new();
    for name in &pod.claims {
        let Some(claim) = volumes.claim(&pod.namespace, name) else {
            return Prepared::Refuse(Reason::Owned(format!("persistentvolumeclaim \"{name}\" not found")));
        };
        if claim.deleted {
            return Prepared::Refuse(Reason::Owned(format!("persistentvolumeclaim \"{name}\" is being deleted")));
        }
        if claim.volume_name.is_empty() && !volumes.waits_for_consumer(claim) {
            return Prepared::Refuse(Reason::Borrowed("pod has unbound immediate PersistentVolumeClaims"));
        }
        claims.push((name.as_str(), claim));
    }
    Prepared::Ready(Box::new(VolumeBinding { namespace: &pod.namespace, volumes, claims }))
}

impl Filter for VolumeBinding<'_> {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        let mut reasons: Vec<Reason> = Vec::new();
        for (name, claim) in &self.claims {
            let reason = if claim.volume_name.is_empty() {
                let served = self.volumes.can_serve(self.namespace, name, claim, &node.name, &node.labels);
                (!served).then_some("node(s) didn't find available persistent volumes to bind")
            } else {
                match self.volumes.reaches(&claim.volume_name, &node.name, &node.labels) {
                    Some(true) => None,
                    Some(false) => Some("node(s) didn't match PersistentVolume's node affinity"),
                    None => Some("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"),
                }
            };
            if let Some(reason) = reason
                && !reasons.iter().any(|known| known == reason)
            {
                reasons.push(reason.into());
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(Rejection { reasons, preemptable: false }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{choice, cluster, node, pod};
    use serde_json::json;

    #[test]
    fn a_pod_waits_for_its_claim() {
        let mut cluster = cluster(&[node("a", json!({}), json!({}))], &[]);
        let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
        let pod = pod("p", json!({"spec": {"volumes": [volume]}}));
        assert_eq!(
            choice(&pod, &cluster),
            "0/1 nodes are available: persistentvolumeclaim \"data\" not found. \
             preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        );
        let claim = |spec| {
            serde_json::from_value(json!({
            "metadata": {"namespace": "default", "name": "data"}, "spec": spec}))
            .unwrap()
        };
        cluster.volumes.set_claim(&claim(json!({})));
        assert!(choice(&pod, &cluster).contains(": pod has unbound immediate PersistentVolumeClaims. "));
        cluster.volumes.set_claim(&claim(json!({"volumeName": "pv"})));
        assert!(choice(&pod, &cluster).contains(": 1 node(s) unavailable due to one or more pvc(s)"));
        let pv = json!({"metadata": {"name": "pv"}});
        cluster.volumes.set_volume(&serde_json::from_value(pv).unwrap());
        assert_eq!(choice(&pod, &cluster), "a");
    }
}
