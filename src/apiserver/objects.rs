//! What admission, authorization and the kinds may see of the rest of the cluster.
//!
//! In: the coordinates of an object. Out: the object as JSON. Reads come from the watch cache and
//! never wait; the two that must not be stale, or that write, are futures. The engine implements
//! this; tests implement it over a map.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::Connection;
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

    /// Those of [`Objects::list`] whose selectable field has this value.
    fn list_where(&self, what: Collection, namespace: &str, field: &str, value: &str) -> Vec<Arc<Value>>;

    /// As [`Objects::list`], for a resource whose name is known only at run time.
    fn list_named(&self, group: &str, plural: &str, namespace: &str) -> Vec<Arc<Value>>;

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

    /// A connection to a port of a Pod, through its node; the error is in Go's words.
    fn connect<'a>(
        &'a self,
        _namespace: &'a str,
        pod: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, String>> {
        Box::pin(std::future::ready(Err(format!("dial tcp {pod}:{port}: connect: no route to host"))))
    }

    /// The resource that serves a kind, as `plural` and whether it is namespaced (built-in and
    /// custom kinds).
    fn resource_of(&self, group: &str, version: &str, kind: &str) -> Option<(String, bool)>;
}

/// A cluster in a map, for tests.
#[cfg(test)]
pub mod fake {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::meta;

    /// Objects by collection, namespace and name.
    #[derive(Default)]
    pub struct Cluster {
        objects: BTreeMap<(String, String, String, String), Arc<Value>>,
    }

    impl Cluster {
        /// Adds an object.
        #[must_use]
        pub fn with(mut self, what: Collection, object: Value) -> Cluster {
            let (namespace, name) = (meta::namespace(&object).to_string(), meta::name(&object).to_string());
            self.objects.insert((what.group.to_string(), what.plural.to_string(), namespace, name), Arc::new(object));
            self
        }
    }

    impl Objects for Cluster {
        fn get(&self, what: Collection, namespace: &str, name: &str) -> Option<Arc<Value>> {
            let key = (what.group.to_string(), what.plural.to_string(), namespace.to_string(), name.to_string());
            self.objects.get(&key).cloned()
        }

        fn list(&self, what: Collection, namespace: &str) -> Vec<Arc<Value>> {
            let wanted = |key: &(String, String, String, String)| {
                key.0 == what.group && key.1 == what.plural && (namespace.is_empty() || key.2 == namespace)
            };
            self.objects.iter().filter(|(key, _)| wanted(key)).map(|(_, object)| object.clone()).collect()
        }

        fn list_where(&self, what: Collection, namespace: &str, field: &str, value: &str) -> Vec<Arc<Value>> {
            let path = format!("/{}", field.replace('.', "/"));
            let all = self.list(what, namespace).into_iter();
            all.filter(|object| object.pointer(&path).and_then(Value::as_str) == Some(value)).collect()
        }

        fn list_named(&self, group: &str, plural: &str, namespace: &str) -> Vec<Arc<Value>> {
            let wanted = |key: &(String, String, String, String)| {
                key.0 == group && key.1 == plural && (namespace.is_empty() || key.2 == namespace)
            };
            self.objects.iter().filter(|(key, _)| wanted(key)).map(|(_, object)| object.clone()).collect()
        }

        fn changed_at(&self, _: Collection) -> i64 {
            self.objects.len() as i64
        }

        fn get_live<'a>(
            &'a self,
            what: Collection,
            namespace: &'a str,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Option<Value>, Status>> {
            Box::pin(std::future::ready(Ok(self.get(what, namespace, name).map(|object| (*object).clone()))))
        }

        fn put<'a>(&'a self, _: Collection, object: Value) -> BoxFuture<'a, Result<Value, Status>> {
            Box::pin(std::future::ready(Ok(object)))
        }

        fn resource_of(&self, _: &str, _: &str, kind: &str) -> Option<(String, bool)> {
            Some((format!("{}s", kind.to_lowercase()), true))
        }
    }
}
