//! What admission, authorization and the kinds may see of the rest of the cluster.
//!
//! In: the coordinates of an object. Out: the object as JSON. Reads come from the watch cache and
//! never wait; the two that must not be stale, or that write, are futures. The engine implements
//! this; tests implement it over a map.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::api::status::Status;

/// Which collection: an API group (empty for core) and the plural name of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Collection {
    /// API group; empty for core.
    pub group: &'static str,
    /// Plural resource name.
    pub plural: &'static str,
}

/// Shorthand for a [`Collection`].
pub const fn collection(group: &'static str, plural: &'static str) -> Collection {
    Collection { group, plural }
}

/// The other objects of the cluster, in their stored version.
pub trait Objects: Send + Sync {
    /// One object from the watch cache. `namespace` is empty for cluster-wide kinds.
    fn get(&self, what: Collection, namespace: &str, name: &str) -> Option<Arc<Value>>;

    /// Every object of one namespace (empty: of all) from the watch cache, by key order.
    fn list(&self, what: Collection, namespace: &str) -> Vec<Arc<Value>>;

    /// The revision of the last change the watch cache has seen in this collection: an index
    /// built from [`Objects::list`] is good as long as this stays the same.
    fn changed_at(&self, what: Collection) -> i64;

    /// One object from the store itself, for the few decisions that a stale "not found" would
    /// spoil.
    fn get_live<'a>(
        &'a self,
        what: Collection,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Value>, Status>>;

    /// Writes an object that exists, guarded by its `metadata.resourceVersion`; no admission, no
    /// validation.
    ///
    /// # Errors
    /// `Conflict` when it changed in between.
    fn put<'a>(&'a self, what: Collection, object: Value) -> BoxFuture<'a, Result<Value, Status>>;

    /// The resource that serves a kind, as `plural` and whether it is namespaced (built-in and
    /// custom kinds).
    fn resource_of(&self, group: &str, version: &str, kind: &str) -> Option<(String, bool)>;
}
