//! Amounts of what nodes have and Pods ask for.
//!
//! In: resource lists as the API writes them. Out: whole numbers to add and compare. Pure.
//! Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::api::quantity::Quantity;

/// Amounts of resources: CPU in thousandths of a core, everything else in its own unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_millis: i64,
    /// Bytes.
    pub memory_bytes: i64,
    /// Bytes.
    pub ephemeral_bytes: i64,
    /// `nvidia.com/gpu`, `hugepages-2Mi` and so on, by name.
    pub extended: BTreeMap<Arc<str>, i64>,
}

impl Resources {
    /// Reads a resource list; what cannot be read counts as nothing (validation refused it before).
    pub fn of(list: Option<&BTreeMap<String, ApiQuantity>>) -> Self {
        let mut resources = Resources::default();
        for (name, amount) in list.into_iter().flatten() {
            let Ok(amount) = Quantity::parse(&amount.0) else { continue };
            match name.as_str() {
                "cpu" => resources.cpu_millis = amount.milli_value(),
                "memory" => resources.memory_bytes = amount.value(),
                "ephemeral-storage" => resources.ephemeral_bytes = amount.value(),
                "pods" => {}
                _ => _ = resources.extended.insert(name.as_str().into(), amount.value()),
            }
        }
        resources
    }

    /// Adds `other` in place.
    pub fn add(&mut self, other: &Resources) {
        self.combine(other, |mine, theirs| mine + theirs);
    }

    /// Takes `other` away in place.
    pub fn subtract(&mut self, other: &Resources) {
        self.combine(other, |mine, theirs| mine - theirs);
    }

    /// Raises every amount to that of `other` in place.
    pub fn raise(&mut self, other: &Resources) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Resources, with: impl Fn(i64, i64) -> i64) {
        self.cpu_millis = with(self.cpu_millis, other.cpu_millis);
        self.memory_bytes = with(self.memory_bytes, other.memory_bytes);
        self.ephemeral_bytes = with(self.ephemeral_bytes, other.ephemeral_bytes);
        for (name, amount) in &other.extended {
            let mine = self.extended.entry(name.clone()).or_insert(0);
            *mine = with(*mine, *amount);
        }
    }
}
