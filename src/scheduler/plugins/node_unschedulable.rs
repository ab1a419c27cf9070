//! NodeUnschedulable: a cordoned node takes only Pods that tolerate that.

use k8s_openapi::api::core::v1::Taint;

use super::{Filter, Prepared, PreparedFilter, Rejection};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

struct NodeUnschedulable {
    tolerated: bool,
}

/// Looks at spec.unschedulable, which `kubectl cordon` sets.
pub fn filter<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    Prepared::Ready(Box::new(NodeUnschedulable { tolerated: pod.tolerates(&taint) }))
}

impl Filter for NodeUnschedulable {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        if node.unschedulable && !self.tolerated {
            return Err(Rejection::lasting("node(s) were unschedulable"));
        }
        Ok(())
    }
}
