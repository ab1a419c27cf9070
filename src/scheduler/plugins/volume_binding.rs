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
    /// The volumes of the claims that have one.
    bound: Vec<&'a str>,
    /// The claims that get theirs with the node.
    unbound: Vec<(&'a str, &'a Claim)>,
}

/// Nothing to say for a Pod without claims.
pub fn filter<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    if pod.claims.is_empty() {
        return Prepared::Skip;
    }
    let volumes = &snapshot.volumes;
    let (mut bound, mut unbound) = (Vec::new(), Vec::new());
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
        match claim.volume_name.is_empty() {
            true => unbound.push((name.as_str(), claim)),
            false => bound.push(claim.volume_name.as_str()),
        }
    }
    Prepared::Ready(Box::new(VolumeBinding { namespace: &pod.namespace, volumes, bound, unbound }))
}

impl Filter for VolumeBinding<'_> {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        let mut reasons: Vec<Reason> = Vec::new();
        let reached = self.bound.iter().map(|volume| match self.volumes.reaches(volume, &node.name, &node.labels) {
            Some(true) => None,
            Some(false) => Some("node(s) didn't match PersistentVolume's node affinity"),
            None => Some("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"),
        });
        let served = self.volumes.serve(self.namespace, &self.unbound, &node.name, &node.labels);
        let none = served.is_none().then_some("node(s) didn't find available persistent volumes to bind");
        for reason in reached.flatten().chain(none) {
            if !reasons.iter().any(|known| known == reason) {
                reasons.push(reason.into());
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(Rejection { reasons, preemptable: false }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{choice, cluster, node, pod};
    use crate::scheduler::volumes::{Promise, VolumeView};
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

    /// A volume that only this node reaches.
    fn local(name: &str, size: &str, node: &str) -> VolumeView {
        let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
        let value = json!({"metadata": {"name": name, "resourceVersion": "1"}, "spec": {
            "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        }});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn claims_that_wait_are_promised_volumes_of_the_node_each_its_own() {
        let mut cluster = cluster(&[node("a", json!({}), json!({})), node("b", json!({}), json!({}))], &[]);
        let class = json!({"metadata": {"name": "local"}, "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer"});
        cluster.volumes.set_class(&serde_json::from_value(class).unwrap());
        for name in ["one", "two"] {
            let spec = json!({"storageClassName": "local", "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}});
            let claim = json!({"metadata": {"namespace": "default", "name": name, "uid": name}, "spec": spec});
            cluster.volumes.set_claim(&serde_json::from_value(claim).unwrap());
        }
        let volume = |name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        let pod = pod("p", json!({"spec": {"volumes": [volume("one"), volume("two")]}}));
        cluster.volumes.set_volume(&local("on-a", "5Gi", "a"));
        cluster.volumes.set_volume(&local("big-on-b", "9Gi", "b"));
        assert!(choice(&pod, &cluster).contains(": 2 node(s) didn't find available persistent volumes to bind"));
        cluster.volumes.set_volume(&local("small-on-b", "1Gi", "b"));
        assert_eq!(choice(&pod, &cluster), "b");
        let promises = cluster.promises(&pod, "b").unwrap();
        let volumes = |promises: &[Promise]| {
            let name = |promise: &Promise| match promise {
                Promise::Volume { claim, volume, .. } => format!("{claim}: {volume}"),
                Promise::Node { claim } => format!("{claim}: made"),
            };
            promises.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(volumes(&promises), ["one: small-on-b", "two: big-on-b"]);
        cluster.volumes.assume("elsewhere", &promises);
        assert!(cluster.promises(&pod, "b").is_none(), "they are another's now");
        cluster.volumes.release(&promises);
        assert_eq!(cluster.promises(&pod, "b").map(|again| volumes(&again)), Some(volumes(&promises)));
    }
}
