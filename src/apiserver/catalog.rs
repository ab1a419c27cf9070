//! Which resources are served now: the built-in ones, those that CustomResourceDefinitions add, and
//! the groups and versions that other servers answer for.
//!
//! The list is replaced whole when it changes, so a request sees one list from start to end.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::aggregation::{Registered, Remote};
use crate::api::resource::{self, Resource};

/// Group, version and plural.
type Path = (Arc<str>, Arc<str>, Arc<str>);

/// One moment's list of resources.
pub struct List {
    resources: Vec<Arc<Resource>>,
    by_path: HashMap<Path, Arc<Resource>>,
    registered: Arc<Vec<Registered>>,
    documents: Mutex<HashMap<String, Bytes>>,
}

impl List {
    fn new(resources: Vec<Arc<Resource>>, registered: Arc<Vec<Registered>>) -> List {
        let by_path =
            resources.iter().map(|r| ((r.group.clone(), r.version.clone(), r.plural.clone()), r.clone())).collect();
        List { resources, by_path, registered, documents: Mutex::default() }
    }

    /// What the APIServices say, in order of their groups' and versions' priority.
    pub fn registered(&self) -> &[Registered] {
        &self.registered
    }

    /// The groups and versions that other servers answer for.
    pub fn remotes(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.registered.iter().filter_map(|registered| registered.remote.as_ref())
    }

    /// The other server that answers for a group and version.
    pub fn remote(&self, group: &str, version: &str) -> Option<Arc<Remote>> {
        self.remotes().find(|remote| remote.group == group && remote.version == version).cloned()
    }

    /// All, in discovery order: built-in first, then custom ones by group.
    pub fn all(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// The resource at a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.by_path.get(&(group.into(), version.into(), plural.into())).cloned()
    }

    /// A resource by its kind.
    pub fn of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|r| *r.group == *group && *r.version == *version && *r.kind == *kind)
    }

    /// The resource in whatever version is stored.
    pub fn stored(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|r| *r.group == *group && *r.plural == *plural && r.storage.version == r.version)
    }

    /// A document about this list, made once.
    pub fn document(&self, key: &str, make: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
        if let Some(made) = self.documents.lock().get(key) {
            return Some(made.clone());
        }
        let made = make()?;
        self.documents.lock().insert(key.to_string(), made.clone());
        Some(made)
    }

    /// Whether the group and version are served.
    pub fn serves(&self, group: &str, version: &str) -> bool {
        self.resources.iter().any(|r| *r.group == *group && *r.version == *version)
    }
}

/// The live list.
pub struct Catalog {
    current: RwLock<Arc<List>>,
    changes: watch::Sender<()>,
    followed: watch::Sender<i64>,
}

impl Catalog {
    /// The built-in resources.
    pub fn builtin() -> Catalog {
        let list = List::new(resource::builtin().to_vec(), Arc::default());
        Catalog {
            current: RwLock::new(Arc::new(list)),
            changes: watch::Sender::new(()),
            followed: watch::Sender::new(0),
        }
    }

    /// The list as it is now.
    pub fn now(&self) -> Arc<List> {
        self.current.read().clone()
    }

    /// Replaces the custom resources of one group and plural by these (none: removes them).
    pub fn set_custom(&self, group: &str, plural: &str, versions: Vec<Arc<Resource>>) {
        let mut current = self.current.write();
        let kept = current.resources.iter().filter(|r| !(r.custom && *r.group == *group && *r.plural == *plural));
        let mut all: Vec<_> = kept.cloned().chain(versions).collect();
        let builtin = all.iter().position(|r| r.custom).unwrap_or(all.len());
        all[builtin..].sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
        *current = Arc::new(List::new(all, current.registered.clone()));
        self.changes.send_replace(());
    }

    /// Replaces what the APIServices say.
    pub fn set_registered(&self, registered: Vec<Registered>) {
        let mut current = self.current.write();
        if *current.registered != registered {
            *current = Arc::new(List::new(current.resources.clone(), Arc::new(registered)));
        }
    }

    /// Wakes when the custom resources that are served change.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Every definition written up to `revision` is in the list now.
    pub fn follows(&self, revision: i64) {
        self.followed.send_if_modified(|followed| std::mem::replace(followed, revision.max(*followed)) < revision);
    }

    /// Waits until every definition written up to `revision` is in the list.
    pub async fn caught_up(&self, revision: i64) {
        // The sender is our own: it cannot be gone.
        let _ = self.followed.subscribe().wait_for(|followed| *followed >= revision).await;
    }
}
