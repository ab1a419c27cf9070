//! One watch on the whole store feeds every cache.
//!
//! In: the store. Out: caches that are complete up to [`Caches::progress`]. A reader that must see
//! every write made before it waits for that mark; because one watch carries all keys, the mark moves
//! with every write, whichever resource it was for. Never reads the store again while the watch lives.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Cache, FieldsOf, Object};
use crate::etcd::{EventKind, Keys, RangeRequest, Revision, Store, StoreError, Want, WatchResponse, Watching};
use crate::tasks::TaskGroup;

/// Every object lies under this.
pub const ROOT: &str = "/registry/";

/// One key's change: whose it is, the key, its revision, and the value unless it was deleted.
type Change = (Arc<Cache>, Arc<str>, i64, Option<Bytes>);

/// All watch caches of one server.
pub struct Caches {
    store: Arc<dyn Store>,
    by_prefix: RwLock<HashMap<String, Arc<Cache>>>,
    progress: watch::Sender<i64>,
    /// Held while events are taken in, and while a cache is added, so that neither falls between.
    turn: tokio::sync::Mutex<()>,
}

impl Caches {
    /// Loads `resources` (key prefix and selectable fields) and keeps them fresh from then on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(
        store: Arc<dyn Store>,
        resources: Vec<(String, FieldsOf)>,
        tasks: &TaskGroup,
    ) -> Result<Arc<Caches>, StoreError> {
        let revision = store.revision();
        let watching = store.watch(everything(), Some(Revision(revision.0 + 1))).await?;
        let caches = Arc::new(Caches {
            store,
            by_prefix: RwLock::default(),
            progress: watch::Sender::new(revision.0),
            turn: tokio::sync::Mutex::new(()),
        });
        for (prefix, fields_of) in resources {
            caches.load(prefix, fields_of, revision).await?;
        }
        tasks.spawn("watch cache", caches.clone().follow(watching));
        Ok(caches)
    }

    /// The cache of a key prefix, loaded now if it is not there yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn add(&self, prefix: String, fields_of: FieldsOf) -> Result<Arc<Cache>, StoreError> {
        let _turn = self.turn.lock().await;
        if let Some(cache) = self.get(&prefix) {
            return Ok(cache);
        }
        let progress = Revision(*self.progress.borrow());
        self.load(prefix, fields_of, progress).await
    }

    /// Forgets the cache of a prefix; those who watch it come to the end.
    pub fn remove(&self, prefix: &str) {
        let removed = self.by_prefix.write().remove(prefix);
        if let Some(cache) = removed {
            cache.close();
        }
    }

    /// The cache of a key prefix.
    pub fn get(&self, prefix: &str) -> Option<Arc<Cache>> {
        self.by_prefix.read().get(prefix).cloned()
    }

    /// Everything up to this revision is in the caches.
    pub fn progress(&self) -> i64 {
        *self.progress.borrow()
    }

    /// Waits until everything written before now is in the caches.
    pub async fn fresh(&self) {
        self.reach(self.store.revision().0).await;
    }

    /// Waits until everything up to `revision` is in the caches.
    pub async fn reach(&self, revision: i64) {
        if self.progress() >= revision {
            return;
        }
        // The sender lives as long as `self`, so the wait ends with the revision and not with an error.
        let _ = self.progress.subscribe().wait_for(|progress| *progress >= revision).await;
    }

    async fn load(&self, prefix: String, fields_of: FieldsOf, at: Revision) -> Result<Arc<Cache>, StoreError> {
        let objects = self.read(&prefix, at).await?;
        let cache = Arc::new(Cache::new(prefix.clone(), fields_of, objects, at.0));
        self.by_prefix.write().insert(prefix, cache.clone());
        Ok(cache)
    }

    async fn read(&self, prefix: &str, at: Revision) -> Result<Vec<Arc<Object>>, StoreError> {
        let keys = Keys::prefix(prefix.to_owned());
        let request = RangeRequest { keys, limit: 0, revision: Some(at), want: Want::Values };
        let found = self.store.range(request).await?;
        let object = |kv: crate::etcd::KeyValue| {
            let key = std::str::from_utf8(&kv.key).ok()?.strip_prefix(prefix)?.into();
            Some(Arc::new(Object::new(key, kv.value, kv.mod_revision.0)))
        };
        Ok(found.kvs.into_iter().filter_map(object).collect())
    }

    async fn follow(self: Arc<Self>, mut watching: Box<dyn Watching>) {
        loop {
            match watching.next().await {
                Ok(response) => self.take_in(response).await,
                Err(StoreError::Stopped) => return,
                Err(error) => {
                    tracing::warn!(%error, "the store's watch ended; loading every cache anew");
                    match self.start_over().await {
                        Ok(fresh) => watching = fresh,
                        Err(error) => {
                            tracing::error!(%error, "the store cannot be watched; lists and watches stand still");
                            return;
                        }
                    }
                }
            }
        }
    }

    async fn take_in(&self, response: WatchResponse) {
        let _turn = self.turn.lock().await;
        let mut changes: Vec<Change> = Vec::with_capacity(response.events.len());
        for event in response.events {
            let Some((cache, key)) = std::str::from_utf8(&event.kv.key).ok().and_then(|key| self.find(key)) else {
                continue;
            };
            let stored = (event.kind == EventKind::Put).then_some(event.kv.value);
            changes.push((cache, key, event.kv.mod_revision.0, stored));
        }
        let mut rest = changes.into_iter().peekable();
        while let Some((cache, key, revision, stored)) = rest.next() {
            let mut batch = vec![(key, revision, stored)];
            while let Some((_, key, revision, stored)) = rest.next_if(|(other, ..)| Arc::ptr_eq(other, &cache)) {
                batch.push((key, revision, stored));
            }
            cache.apply(batch.into_iter());
        }
        self.progress.send_if_modified(|progress| {
            let moved = response.revision.0 > *progress;
            *progress = response.revision.0.max(*progress);
            moved
        });
    }

    /// The cache a key belongs to and the key inside it: prefixes have one or two segments after
    /// the root.
    fn find(&self, key: &str) -> Option<(Arc<Cache>, Arc<str>)> {
        let rest = key.strip_prefix(ROOT)?;
        let caches = self.by_prefix.read();
        let mut slashes = rest.match_indices('/').map(|(at, _)| ROOT.len() + at + 1);
        for end in [slashes.next()?, slashes.next().unwrap_or(0)] {
            if let Some(cache) = caches.get(&key[..end]) {
                return Some((cache.clone(), key[end..].into()));
            }
        }
        None
    }

    async fn start_over(&self) -> Result<Box<dyn Watching>, StoreError> {
        let _turn = self.turn.lock().await;
        let revision = self.store.revision();
        let watching = self.store.watch(everything(), Some(Revision(revision.0 + 1))).await?;
        let caches: Vec<_> = self.by_prefix.read().values().cloned().collect();
        for cache in caches {
            cache.reset(self.read(&cache.prefix, revision).await?, revision.0);
        }
        self.progress.send_replace(revision.0);
        Ok(watching)
    }
}

fn everything() -> Keys {
    Keys::Span { start: Bytes::from_static(b"\0"), end: Bytes::new() }
}
