//! The `policy` group.

pub mod poddisruptionbudget;

use super::Strategy;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    (kind == "PodDisruptionBudget").then_some(&poddisruptionbudget::STRATEGY)
}
