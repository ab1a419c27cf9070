//! NodePorts: two Pods cannot have one host port on one node.

use super::{Filter, Prepared, PreparedFilter, Rejection};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::{HostPort, PodInfo};
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

struct NodePorts<'a>(&'a [HostPort]);

/// Nothing to say for a Pod without host ports.
pub fn filter<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    if pod.ports.is_empty() {
        return Prepared::Skip;
    }
    Prepared::Ready(Box::new(NodePorts(&pod.ports)))
}

impl Filter for NodePorts<'_> {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        let mut taken = node.pods.iter().flat_map(|pod| &pod.ports);
        if taken.any(|taken| self.0.iter().any(|wanted| wanted.conflicts(taken))) {
            return Err(Rejection::preemptable("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, cluster, node, pod};
    use serde_json::json;

    #[test]
    fn one_host_port_is_had_once_per_node() {
        let wants = |ip: &str| json!({"spec": {"containers": [{"ports": [{"hostPort": 80, "hostIP": ip}]}]}});
        let nodes = [node("a", json!({}), json!({})), node("b", json!({}), json!({}))];
        let cluster = cluster(&nodes, &[(pod("q", wants("10.0.0.1")), "a")]);
        let refused = "node(s) didn't have free ports for the requested pod ports";
        assert_eq!(answers(&pod("p", wants("")), &cluster), [refused, "fits"]);
        assert_eq!(answers(&pod("p", wants("10.0.0.2")), &cluster), ["fits", "fits"]);
    }
}
