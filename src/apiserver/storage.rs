//! Objects in the store: one key each, as Kubernetes lays them out.
//!
//! In: objects as [`encode`] writes them. Out: the object with its new `resourceVersion`, or the conflict. Every
//! write is one transaction guarded by the revision it was based on, so two writers never lose each
//! other's work. Chapter: `book/src/inside/api-server.md`.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::cache::feed::ROOT;
pub use super::cache::object::encode;
use crate::api::resource::Resource;
use crate::api::status::{Details, Reason, Status};
use crate::etcd::{
    Compare, KeyValue, Keys, LeaseId, Op, OpResponse, RangeRequest, RangeResponse, Revision, Store, StoreError, Test,
    Txn, Want, Watching,
};

/// Key prefixes that are not `/registry/<plural>/`, by group and plural.
const PREFIXES: &[(&str, &str, &str)] = &[
    ("", "nodes", "minions"),
    ("", "services", "services/specs"),
    ("", "endpoints", "services/endpoints"),
    ("", "replicationcontrollers", "controllers"),
    ("networking.k8s.io", "ingresses", "ingress"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "apiextensions.k8s.io/customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices", "apiregistration.k8s.io/apiservices"),
];

/// Where a resource's objects lie: `/registry/pods/`, `/registry/<group>/<plural>/` for custom ones.
pub fn prefix(resource: &Resource) -> String {
    if resource.custom {
        return format!("{ROOT}{}/{}/", resource.group, resource.plural);
    }
    let place = PREFIXES
        .iter()
        .find(|(group, plural, _)| *group == &*resource.group && *plural == &*resource.plural)
        .map_or(&*resource.plural, |(_, _, place)| place);
    format!("{ROOT}{place}/")
}

/// `namespace/name`, or `name` for a cluster-wide kind.
pub fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_string() } else { format!("{namespace}/{name}") }
}

/// An object read for a change, with the revision that guards the change.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The object, with `metadata.resourceVersion`.
    pub object: Value,
    /// Its revision.
    pub revision: i64,
}

/// What a guarded write came to.
pub enum Written {
    /// Done, at this revision.
    Done(i64),
    /// The object is not what the guard says: this is it now (`None`: gone).
    Changed(Option<Stored>),
}

/// The objects of the store.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn Store>,
}

impl Storage {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    /// The revision of the newest durable write.
    pub fn revision(&self) -> i64 {
        self.store.revision().0
    }

    /// Reads one object.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn get(&self, key: String) -> Result<Option<Stored>, Status> {
        let found = self.range(Keys::One(key.into()), None).await.map_err(|error| unavailable(&error))?;
        Ok(found.kvs.first().and_then(read))
    }

    /// Reads keys as they were at a revision.
    ///
    /// # Errors
    /// When the store does not answer, or no longer has that revision.
    pub async fn range(&self, keys: Keys, revision: Option<i64>) -> Result<RangeResponse, StoreError> {
        let revision = revision.map(Revision);
        self.store.range(RangeRequest { keys, limit: 0, revision, want: Want::Values }).await
    }

    /// Watches keys from a revision on (inclusive), or from now on.
    ///
    /// # Errors
    /// When the store no longer has that revision, or does not answer.
    pub async fn watch(&self, keys: Keys, from: Option<Revision>) -> Result<Box<dyn Watching>, StoreError> {
        self.store.watch(keys, from).await
    }

    /// Writes a new object, as [`encode`] gives its bytes; [`Written::Changed`] when there is one already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn create(&self, key: String, object: Bytes) -> Result<Written, Status> {
        self.guarded(key, 0, Some(object)).await
    }

    /// Replaces the object that `revision` wrote.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn update(&self, key: String, revision: i64, object: Bytes) -> Result<Written, Status> {
        self.guarded(key, revision, Some(object)).await
    }

    /// Removes the object that `revision` wrote.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn delete(&self, key: String, revision: i64) -> Result<Written, Status> {
        self.guarded(key, revision, None).await
    }

    async fn guarded(&self, key: String, revision: i64, object: Option<Bytes>) -> Result<Written, Status> {
        let key = Bytes::from(key);
        let write = match object {
            Some(object) => Op::Put { key: key.clone(), value: object, lease: LeaseId(0) },
            None => Op::Delete { keys: Keys::One(key.clone()) },
        };
        let read_back = RangeRequest { keys: Keys::One(key.clone()), limit: 1, revision: None, want: Want::Values };
        let txn = Txn {
            compare: vec![Compare { key, test: Test::ModRevision(Ordering::Equal, Revision(revision)) }],
            success: vec![write],
            failure: vec![Op::Range(read_back)],
        };
        let answer = self.store.txn(txn).await.map_err(|error| unavailable(&error))?;
        if answer.succeeded {
            return Ok(Written::Done(answer.revision.0));
        }
        let now = match answer.responses.first() {
            Some(OpResponse::Range(found)) => found.kvs.first().and_then(read),
            _ => None,
        };
        Ok(Written::Changed(now))
    }
}

fn read(kv: &KeyValue) -> Option<Stored> {
    let mut object: Value = serde_json::from_slice(&kv.value).ok()?;
    set_revision(&mut object, kv.mod_revision.0);
    Some(Stored { object, revision: kv.mod_revision.0 })
}

/// Writes `metadata.resourceVersion`.
pub fn set_revision(object: &mut Value, revision: i64) {
    object["metadata"]["resourceVersion"] = Value::String(revision.to_string());
}

/// The store did not answer, as Kubernetes says it.
pub fn unavailable(error: &StoreError) -> Status {
    Status::new(Reason::InternalError, format!("Internal error occurred: {error}"))
        .details(Details { causes: vec![cause(&error.to_string())], ..Details::default() })
}

fn cause(message: &str) -> crate::api::status::Cause {
    crate::api::status::Cause { reason: String::new(), message: message.to_string(), field: String::new() }
}
