//! How long a kubelet may keep a ConfigMap or Secret before it asks again, by the cluster's size.
//!
//! Source: kube-controller-manager, pkg/controller/ttl. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use serde_json::json;

use super::plan::{Action, MERGE, Plan};
use super::runner::Room;
use crate::client::views::NodeView;

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";
/// Up to this many nodes, this many seconds. Source: ttl_controller.go, ttlBoundaries.
const STEPS: &[(usize, u32)] = &[(100, 0), (500, 15), (1000, 30), (2000, 60), (usize::MAX, 300)];

/// Starts the loop.
pub fn start(room: Room) {
    let nodes = room.informer::<NodeView>();
    room.wake_self(&nodes);
    room.run("ttl-controller", 1, move |key, _| {
        nodes.get(key).map_or_else(Plan::none, |node| reconcile(&node, nodes.all().len()))
    });
}

/// What a node needs done in a cluster of this many.
pub fn reconcile(node: &NodeView, nodes: usize) -> Plan {
    let mut plan = Plan::none();
    let seconds = STEPS.iter().find(|(most, _)| nodes <= *most).map_or(0, |(_, seconds)| *seconds).to_string();
    let known = node.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
    if known != Some(&seconds) {
        let patch = json!({ "metadata": { "annotations": { ANNOTATION: seconds } } });
        plan.act(Action::patch::<NodeView>(&node.metadata, "", MERGE, patch));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_cluster_asks_less_often() {
        for (nodes, seconds) in [(1, "0"), (100, "0"), (101, "15"), (1000, "30"), (2000, "60"), (5000, "300")] {
            let mut node = NodeView::default();
            let plan = reconcile(&node, nodes);
            assert_eq!(plan.actions()[0].body["metadata"]["annotations"][ANNOTATION], seconds, "{nodes}");
            node.metadata.annotations = Some([(ANNOTATION.to_owned(), seconds.to_owned())].into());
            assert_eq!(reconcile(&node, nodes), Plan::none());
        }
    }
}
