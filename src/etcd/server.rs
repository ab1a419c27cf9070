//! The embedded store: [`Store`] over one folder.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::core::{self, Core};
use super::disk::{Backing, File, Memory};
use super::error::StoreError;
use super::options::Options;
use super::request::{RangeRequest, RangeResponse, Txn, TxnResponse};
use super::types::{Keys, LeaseId, Revision};
use super::watch::Watch;
use super::{Store, Watching, lease, opening};
use crate::clock::Clock;
use crate::error::Result;
use crate::tasks::TaskGroup;

/// A running embedded store. It closes when its task group stops, or when it is dropped.
pub struct Etcd {
    core: Arc<Core>,
}

impl Etcd {
    /// Opens the store in `dir`, making both if there is nothing yet.
    ///
    /// # Errors
    /// When the folder cannot be used, another process has the store open, it is damaged, or a
    /// newer tutor wrote it. Nothing is changed then; the error says what to do.
    pub fn open(dir: &Path, clock: Clock, tasks: &TaskGroup, options: Options) -> Result<Arc<Etcd>> {
        let file = opening::file(dir)?;
        Etcd::start(Box::new(File(file)), dir, clock, tasks, &options)
    }

    /// A store that is gone when it stops. Never fails on a machine that has memory.
    ///
    /// # Errors
    /// As [`Etcd::open`].
    pub fn in_memory(clock: Clock, tasks: &TaskGroup) -> Result<Arc<Etcd>> {
        Etcd::start(Box::new(Memory), Path::new("memory"), clock, tasks, &Options::default())
    }

    pub(super) fn start(
        backing: Box<dyn Backing>,
        dir: &Path,
        clock: Clock,
        tasks: &TaskGroup,
        options: &Options,
    ) -> Result<Arc<Etcd>> {
        let (disk, found) = opening::open(backing, dir, options)?;
        let core = Core::new(disk, found, clock, tasks, options);
        let weak = Arc::downgrade(&core);
        tasks.spawn_graceful("etcd close", core::close(weak.clone(), tasks.clone()));
        tasks.spawn("etcd tick", core::tick(weak.clone(), clock));
        tasks.spawn("etcd leases", lease::expire(weak, clock, core.lessor.changed()));
        Ok(Arc::new(Etcd { core }))
    }

    /// Gives a lease its full time again; returns that time in seconds.
    ///
    /// # Errors
    /// [`StoreError::LeaseNotFound`] when it has ended.
    pub fn lease_keep_alive(&self, lease: LeaseId) -> Result<i64, StoreError> {
        self.core.lessor.keep_alive(lease, self.core.clock.now())
    }

    /// Ends a lease now; its keys are deleted in one revision.
    ///
    /// # Errors
    /// [`StoreError::LeaseNotFound`], or as any write.
    pub async fn lease_revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.core.revoke(lease).await
    }

    /// The oldest revision that can still be read; 0 while nothing was ever compacted.
    pub fn oldest(&self) -> Revision {
        Revision(self.core.index.read().compacted)
    }
}

impl Store for Etcd {
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>> {
        self.core.range(request).boxed()
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, StoreError>> {
        self.core.txn(txn).boxed()
    }

    fn watch(&self, keys: Keys, from: Option<Revision>) -> BoxFuture<'_, Result<Box<dyn Watching>, StoreError>> {
        let watch = Watch::new(self.core.clone(), keys, from);
        async move { Ok(Box::new(watch?) as Box<dyn Watching>) }.boxed()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.core.compact(revision).boxed()
    }

    fn lease_grant(&self, ttl_seconds: i64) -> BoxFuture<'_, Result<LeaseId, StoreError>> {
        async move {
            // Ids are positive; with 63 random bits two are not the same.
            let lease = LeaseId((rand::random::<i64>() & i64::MAX).max(1));
            self.core.grant(lease, ttl_seconds).await?;
            Ok(lease)
        }
        .boxed()
    }

    fn revision(&self) -> Revision {
        let revision = self.core.revision();
        self.core.hub.ask(revision);
        Revision(revision)
    }
}
