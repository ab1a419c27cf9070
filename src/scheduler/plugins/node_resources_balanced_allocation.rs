//! NodeResourcesBalancedAllocation: CPU and memory should be used up evenly.
//!
//! A node with all its CPU taken and half its memory free wastes the memory. The score is 100 minus
//! the deviation of the two shares.

use super::{MAX_SCORE, Prepared, PreparedScorer, Scorer};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

struct Balanced<'a>(&'a PodInfo);

/// Nothing to say for a Pod that asks for neither.
pub fn scorer<'a>(pod: &'a PodInfo, _snapshot: &'a Snapshot, _nodes: &[NodeIndex]) -> PreparedScorer<'a> {
    if pod.requests.cpu_millis == 0 && pod.requests.memory_bytes == 0 {
        return Prepared::Skip;
    }
    Prepared::Ready(Box::new(Balanced(pod)))
}

impl Scorer for Balanced<'_> {
    fn score(&self, _index: NodeIndex, node: &NodeInfo) -> i64 {
        let share = |taken: i64, wanted: i64, allocatable: i64| {
            (allocatable > 0).then(|| ((taken + wanted) as f64 / allocatable as f64).min(1.0))
        };
        let (taken, wanted, has) = (&node.requested, &self.0.requests, &node.allocatable);
        let cpu = share(taken.cpu_millis, wanted.cpu_millis, has.cpu_millis);
        let memory = share(taken.memory_bytes, wanted.memory_bytes, has.memory_bytes);
        let deviation = match (cpu, memory) {
            (Some(cpu), Some(memory)) => (cpu - memory).abs() / 2.0,
            _ => 0.0,
        };
        ((1.0 - deviation) * MAX_SCORE as f64) as i64
    }
}
