//! The `autoscaling` group.

pub mod horizontalpodautoscaler;
pub mod metrics;
pub mod versions;

use super::Strategy;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    (kind == "HorizontalPodAutoscaler").then_some(&horizontalpodautoscaler::STRATEGY)
}
