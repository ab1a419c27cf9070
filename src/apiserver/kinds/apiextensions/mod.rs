//! The `apiextensions.k8s.io` group.

pub mod conversion;
pub mod customresourcedefinition;
mod openapi;
mod root;
mod rules;
mod structural;
mod warnings;

use super::Strategy;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    (kind == "CustomResourceDefinition").then_some(&customresourcedefinition::STRATEGY)
}
