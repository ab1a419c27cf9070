//! NodeName: a Pod that already names its node may go nowhere else.

use super::{Filter, Prepared, PreparedFilter, Rejection};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

struct NodeName<'a>(&'a str);

/// Nothing to say for a Pod without spec.nodeName, which is every Pod that the scheduler is given.
pub fn filter<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot) -> PreparedFilter<'a> {
    match &pod.node_name {
        Some(name) => Prepared::Ready(Box::new(NodeName(name))),
        None => Prepared::Skip,
    }
}

impl Filter for NodeName<'_> {
    fn check(&self, _index: NodeIndex, node: &NodeInfo) -> Result<(), Rejection> {
        if *node.name == *self.0 {
            return Ok(());
        }
        Err(Rejection::lasting("node(s) didn't match the requested node name"))
    }
}
