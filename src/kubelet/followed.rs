//! The ConfigMaps and Secrets that a node's Pods have in their volumes, followed while they are mounted.
//!
//! In: what a Pod's containers mount, by name. Out: a word to the Pod's worker each time that one of these objects came,
//! changed or went. Their data is not kept: the worker reads it when it is told. One watch for each object, whoever
//! mounts it; it begins with the first Pod and ends with the last, or when the object says that it is `immutable`. By
//! name, as a node may see what its Pods use and no more. Source: kubelet `WatchBasedManager`.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ApiResource, ObjectMeta};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer};
use tokio::sync::Notify;
use tokio_util::sync::DropGuard;

use super::environment::Kind;
use crate::client::follow::follow_named;
use crate::client::{Change, Informer, ObjectKey, Watched, slim};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

type Key = (Kind, ObjectKey);

/// The objects that are followed on a node.
pub struct Followed {
    client: kube::Client,
    clock: Clock,
    tasks: TaskGroup,
    known: Mutex<HashMap<Key, Weak<Source>>>,
}

/// An object that is followed, as long as a Pod has it.
struct Source {
    told: Mutex<Vec<Weak<Notify>>>,
    _watch: DropGuard,
}

/// What one Pod follows.
#[derive(Default)]
pub struct Follows {
    word: Arc<Notify>,
    sources: BTreeMap<Key, Arc<Source>>,
}

/// What is looked at of a ConfigMap or a Secret: nothing that is in it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    #[serde(deserialize_with = "identity")]
    metadata: ObjectMeta,
    immutable: Option<bool>,
}

crate::view!(Seen, "", "v1", "ConfigMap", "configmaps", Namespace);

impl Watched for Seen {}

/// Without annotations: `kubectl apply` keeps the whole object in one.
fn identity<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    let ObjectMeta { name, namespace, uid, resource_version, .. } = slim::metadata(from)?;
    Ok(ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() })
}

impl Followed {
    /// None yet; they are read as `client`'s user, until `tasks` stop.
    pub fn new(client: kube::Client, clock: Clock, tasks: &TaskGroup) -> Followed {
        Followed { client, clock, tasks: tasks.clone(), known: Mutex::default() }
    }

    fn source(&self, key: &Key) -> Arc<Source> {
        let mut known = self.known.lock();
        if let Some(source) = known.get(key).and_then(Weak::upgrade) {
            return source;
        }
        known.retain(|_, source| source.strong_count() > 0);
        let source = self.watch(key);
        known.insert(key.clone(), Arc::downgrade(&source));
        source
    }

    fn watch(&self, (kind, key): &Key) -> Arc<Source> {
        let resource = match kind {
            Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Kind::Secret => ApiResource::erase::<Secret>(&()),
        };
        let tasks = self.tasks.child();
        let source = Arc::new(Source { told: Mutex::default(), _watch: tasks.clone().on_drop() });
        let informer = Informer::over(follow_named::<Seen>(&self.client, &resource, key), self.clock, &tasks);
        let (told, watch) = (Arc::downgrade(&source), tasks.clone());
        informer.subscribe(move |change| {
            tell(&told);
            if !matches!(change, Change::Deleted(_)) && change.object().immutable == Some(true) {
                watch.cancel();
            }
        });
        // Whoever has read it before the watch began has perhaps seen what is gone.
        let told = Arc::downgrade(&source);
        tasks.spawn("followed object", async move {
            informer.synced().await;
            tell(&told);
        });
        source
    }
}

fn tell(source: &Weak<Source>) {
    let Some(source) = source.upgrade() else { return };
    source.told.lock().retain(|pod| pod.upgrade().inspect(|pod| pod.notify_one()).is_some());
}

impl Follows {
    /// Follows an object, too. What it was read for has to be read after this.
    pub(super) fn add(&mut self, followed: &Followed, kind: Kind, namespace: &str, name: &str) {
        let key = (kind, ObjectKey::new(namespace, name));
        if !self.sources.contains_key(&key) {
            let source = followed.source(&key);
            source.told.lock().push(Arc::downgrade(&self.word));
            self.sources.insert(key, source);
        }
    }

    /// Follows nothing any more.
    pub fn clear(&mut self) {
        *self = Follows::default();
    }

    /// Waits until one of the objects has changed, also if nobody waited when it did.
    pub async fn changed(&self) {
        self.word.notified().await;
    }
}
