//! A part of an object that many objects have alike, kept once.
//!
//! The Pods of a workload ask for the same containers and tolerate the same taints. An informer keeps
//! thousands of them: what a Pod has like its neighbour, it shares with it.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that equal ones of other objects may share. It reads as the value itself, and as its JSON.
#[derive(Debug, Default)]
pub struct Shared<T>(Arc<T>);

impl<T: PartialEq> Shared<T> {
    /// Shares the other's memory where both are equal.
    pub fn join(&mut self, other: &Self) {
        join(&mut self.0, &other.0);
    }
}

/// Makes `part` the same memory as `other`, where both are equal.
pub fn join<T: PartialEq>(part: &mut Arc<T>, other: &Arc<T>) {
    if !Arc::ptr_eq(part, other) && **part == **other {
        *part = other.clone();
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Shared(Arc::new(value))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self::from)
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_become_one_and_others_stay_apart() {
        let first = Shared::from(vec!["a", "b"]);
        let (mut alike, mut other) = (Shared::from(vec!["a", "b"]), Shared::from(vec!["c"]));
        alike.join(&first);
        other.join(&first);
        assert!(std::ptr::eq(&*alike, &*first));
        assert_eq!(*other, ["c"]);
        assert_eq!(serde_json::to_string(&alike).unwrap(), r#"["a","b"]"#);
    }
}
