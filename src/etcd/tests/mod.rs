//! The store as a whole: against a model, over a disk that breaks, and as etcd would answer.

mod contract;
mod crash;
mod disk;
mod model;
mod opening;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;

use self::disk::TestDisk;
use super::*;
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// A store over a test disk, with what it takes to stop and open it again.
struct Running {
    disk: TestDisk,
    clock: Clock,
    tasks: TaskGroup,
    options: Options,
    etcd: Arc<Etcd>,
}

impl Running {
    fn on(disk: TestDisk, clock: Clock, options: Options) -> Running {
        let tasks = TaskGroup::new();
        let etcd = Etcd::start(Box::new(disk.clone()), Path::new("test"), clock, &tasks, &options).unwrap();
        Running { disk, clock, tasks, options, etcd }
    }

    fn new() -> Running {
        Running::on(TestDisk::instant(), Clock::real(), short_log())
    }

    async fn stop(&self) {
        assert!(self.tasks.shutdown(self.clock, Duration::from_secs(60)).await, "all tasks end");
    }

    async fn reopened(self) -> Running {
        self.stop().await;
        Running::on(self.disk, self.clock, self.options)
    }

    async fn put(&self, key: &str, value: &str) -> Result<Revision, StoreError> {
        self.put_leased(key, value, LeaseId(0)).await
    }

    async fn put_leased(&self, key: &str, value: &str, lease: LeaseId) -> Result<Revision, StoreError> {
        let done = self.etcd.txn(Txn { success: vec![put(key, value, lease)], ..Txn::default() }).await?;
        Ok(done.revision)
    }

    async fn delete(&self, key: &str) -> Revision {
        let keys = Keys::One(bytes(key));
        self.etcd.txn(Txn { success: vec![Op::Delete { keys }], ..Txn::default() }).await.unwrap().revision
    }

    /// All keys with their values, as of a revision.
    async fn at(&self, revision: Option<i64>) -> Result<Vec<(String, String)>, StoreError> {
        let request =
            RangeRequest { keys: Keys::prefix(""), limit: 0, revision: revision.map(Revision), want: Want::Values };
        Ok(self.etcd.range(request).await?.kvs.iter().map(|kv| (text(&kv.key), text(&kv.value))).collect())
    }

    async fn now(&self) -> Vec<(String, String)> {
        self.at(None).await.unwrap()
    }

    async fn watch(&self, prefix: &str, from: Option<i64>) -> Result<Box<dyn Watching>, StoreError> {
        self.etcd.watch(Keys::prefix(prefix.to_string()), from.map(Revision)).await
    }
}

/// Some commits fill it, so that the tree takes over often.
fn short_log() -> Options {
    Options { log_bytes: 8 << 10, ..Options::default() }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn put(key: &str, value: &str, lease: LeaseId) -> Op {
    Op::Put { key: bytes(key), value: bytes(value), lease }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// What the watch has to say without waiting: `revision:key` or `revision:-key`, marks as `revision`.
fn said(watch: &mut Box<dyn Watching>) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(response) = watch.next().now_or_never() {
        let response = response.unwrap();
        if response.events.is_empty() {
            said.push(response.revision.to_string());
        }
        said.extend(response.events.iter().map(|event| {
            let sign = if event.kind == EventKind::Delete { "-" } else { "" };
            format!("{}:{sign}{}", event.kv.mod_revision, text(&event.kv.key))
        }));
    }
    said
}
