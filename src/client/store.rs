//! An informer's copy of the objects it watches, with the lookups loops need.
//!
//! Comes in: changes in the order the API server made them. Goes out: shared objects by key, by
//! namespace, by owner and by node. The copy may be a moment old; it never goes back in time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use kube::Resource;
use kube::api::ObjectMeta;

use super::cause;

/// Which object: its namespace (empty for a cluster-wide one) and name. Orders by namespace first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Empty for a cluster-wide object.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// A key in a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    /// A cluster-wide object's key.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self::new("", name)
    }

    /// The key of an object.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// It is new to this informer.
    Added(Arc<K>),
    /// It changed.
    Modified {
        /// As it was known before.
        old: Arc<K>,
        /// As it is now.
        new: Arc<K>,
    },
    /// It is gone; this is its last known state.
    Deleted(Arc<K>),
}

impl<K> Change<K> {
    /// The object as it is now (or was last).
    pub fn object(&self) -> &Arc<K> {
        match self {
            Change::Added(object) | Change::Deleted(object) | Change::Modified { new: object, .. } => object,
        }
    }

    /// The object as it was before, where it was known.
    pub fn old(&self) -> Option<&Arc<K>> {
        match self {
            Change::Modified { old, .. } => Some(old),
            _ => None,
        }
    }
}

/// Objects that an informer can keep.
pub trait Watched: Resource + Send + Sync + 'static {
    /// The node the object lives on, where it has one; a lookup is kept by it.
    fn node(&self) -> Option<&str> {
        None
    }

    /// Shares with `other` what both have alike, so that it is kept once.
    fn join(&mut self, _other: &Self) {}
}

/// Full types need no lookup of their own.
impl<K: k8s_openapi::Resource + Resource + Send + Sync + 'static> Watched for K {}

/// The objects and their lookups. Not shared by itself; an informer guards it.
#[derive(Debug)]
pub(super) struct Objects<K> {
    by_key: BTreeMap<Arc<ObjectKey>, Arc<K>>,
    by_owner: HashMap<String, BTreeSet<Arc<ObjectKey>>>,
    by_node: HashMap<String, BTreeSet<Arc<ObjectKey>>>,
    newest: u64,
}

impl<K> Default for Objects<K> {
    fn default() -> Self {
        Objects { by_key: BTreeMap::new(), by_owner: HashMap::new(), by_node: HashMap::new(), newest: 0 }
    }
}

impl<K: Watched> Objects<K> {
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.by_key.get(key).cloned()
    }

    pub fn all(&self) -> Vec<Arc<K>> {
        self.by_key.values().cloned().collect()
    }

    pub fn keys(&self) -> Vec<ObjectKey> {
        self.by_key.keys().map(|key| ObjectKey::clone(key)).collect()
    }

    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let from = ObjectKey::new(namespace, "");
        self.by_key
            .range::<ObjectKey, _>(from..)
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, o)| o.clone())
            .collect()
    }

    pub fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.look_up(self.by_owner.get(uid))
    }

    pub fn orphans_in(&self, namespace: &str) -> Vec<Arc<K>> {
        self.look_up(self.by_owner.get(&orphans(namespace)))
    }

    pub fn on_node(&self, node: &str) -> Vec<Arc<K>> {
        self.look_up(self.by_node.get(node))
    }

    pub fn newest(&self) -> u64 {
        self.newest
    }

    fn look_up(&self, keys: Option<&BTreeSet<Arc<ObjectKey>>>) -> Vec<Arc<K>> {
        keys.into_iter().flatten().filter_map(|key| self.by_key.get(key).cloned()).collect()
    }

    /// Takes the object in; `None` when this very revision is known already.
    pub fn put(&mut self, mut object: K) -> Option<Change<K>> {
        let key = ObjectKey::of(object.meta());
        let (key, old) = match self.by_key.get_key_value(&key) {
            Some((key, old)) => (key.clone(), Some(old.clone())),
            None => (Arc::new(key), None),
        };
        if let Some(old) = &old {
            if old.meta().resource_version == object.meta().resource_version {
                return None;
            }
            self.unlink(&key, old);
        }
        // What one owner made has names that begin alike: the neighbour by name is most like it.
        let neighbour = || self.by_key.range::<ObjectKey, _>(..&*key).next_back().map(|(_, neighbour)| neighbour);
        if let Some(like) = old.as_ref().or_else(neighbour) {
            object.join(like);
        }
        self.newest = self.newest.max(cause::revision(object.meta()).unwrap_or(0));
        let new = Arc::new(object);
        for owner in owners(new.meta()) {
            self.by_owner.entry(owner).or_default().insert(key.clone());
        }
        if let Some(node) = new.node() {
            self.by_node.entry(node.to_owned()).or_default().insert(key.clone());
        }
        self.by_key.insert(key, new.clone());
        Some(match old {
            Some(old) => Change::Modified { old, new },
            None => Change::Added(new),
        })
    }

    /// Takes the object out; `last` is its state at the end where the server told it.
    pub fn remove(&mut self, key: &ObjectKey, last: Option<K>) -> Option<Change<K>> {
        let old = self.by_key.remove(key)?;
        self.unlink(key, &old);
        let last = last.map_or(old, Arc::new);
        self.newest = self.newest.max(cause::revision(last.meta()).unwrap_or(0));
        Some(Change::Deleted(last))
    }

    fn unlink(&mut self, key: &ObjectKey, old: &K) {
        for owner in owners(old.meta()) {
            forget(&mut self.by_owner, &owner, key);
        }
        if let Some(node) = old.node() {
            forget(&mut self.by_node, node, key);
        }
    }
}

/// What the object is filed under: its owners' uids, and "no controller in this namespace".
fn owners(meta: &ObjectMeta) -> Vec<String> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let mut filed: Vec<_> = owners.iter().map(|owner| owner.uid.clone()).collect();
    if !owners.iter().any(|owner| owner.controller == Some(true)) {
        filed.push(orphans(meta.namespace.as_deref().unwrap_or_default()));
    }
    filed
}

/// No uid holds a slash.
fn orphans(namespace: &str) -> String {
    format!("/{namespace}")
}

fn forget(index: &mut HashMap<String, BTreeSet<Arc<ObjectKey>>>, value: &str, key: &ObjectKey) {
    if let Some(keys) = index.get_mut(value) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(value);
        }
    }
}
