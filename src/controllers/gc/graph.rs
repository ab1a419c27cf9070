//! Who owns whom: a copy of the metadata of all objects, by resource.
//!
//! One informer for each resource that can be listed, watched and deleted; Events are left out, as
//! in Kubernetes. The informers' owner lookups are the graph.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ApiResource, ObjectMeta};
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{AnyApi, FOREGROUND, ORPHAN, has};
use crate::client::{Causes, Change, Informer, ObjectKey, WorkQueue};
use crate::clock::Clock;
use crate::controllers::metadata::{self, Meta};
use crate::tasks::TaskGroup;

/// A kind by its group: versions of one kind hold the same objects.
type GroupKind = (String, String);

/// One object: its kind and key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    kind: GroupKind,
    /// Which object of the kind.
    pub key: ObjectKey,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.kind.0, self.kind.1, self.key)
    }
}

struct Watchee {
    resource: ApiResource,
    namespaced: bool,
    informer: Informer<Meta>,
    tasks: TaskGroup,
}

/// The graph.
pub struct Graph {
    client: Client,
    clock: Clock,
    tasks: TaskGroup,
    queue: WorkQueue<Item>,
    watched: Arc<RwLock<BTreeMap<GroupKind, Watchee>>>,
    complete: watch::Sender<bool>,
}

impl Graph {
    /// A graph that reads as `client`'s user and puts objects to look at into `queue`.
    pub fn new(client: Client, clock: Clock, tasks: &TaskGroup, queue: WorkQueue<Item>) -> Self {
        let (watched, complete) = (Arc::default(), watch::Sender::new(false));
        Graph { client, clock, tasks: tasks.child(), queue, watched, complete }
    }

    /// The objects to look at.
    pub fn queue(&self) -> &WorkQueue<Item> {
        &self.queue
    }

    /// Waits until the graph is complete for the first time.
    pub async fn ready(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.complete.subscribe().wait_for(|complete| *complete).await;
    }

    /// Watches what discovery names now, and nothing else.
    ///
    /// # Errors
    /// As discovery's.
    pub async fn refresh(&self) -> kube::Result<()> {
        let found = deletable(&self.client).await?;
        let kinds: BTreeSet<_> = found.keys().cloned().collect();
        let mut fresh = Vec::new();
        {
            let mut watched = self.watched.write();
            watched.retain(|kind, watchee| {
                let stays = kinds.contains(kind);
                if !stays {
                    watchee.tasks.cancel();
                }
                stays
            });
            for (kind, (resource, namespaced)) in found {
                if let Entry::Vacant(place) = watched.entry(kind.clone()) {
                    let watchee = place.insert(self.follow(resource, namespaced));
                    fresh.push((kind, watchee.informer.clone()));
                }
            }
        }
        for (_, informer) in &fresh {
            informer.synced().await;
        }
        // Only a complete graph can say that an owner is gone.
        for (kind, informer) in fresh {
            self.subscribe(kind, &informer);
        }
        self.complete.send_replace(true);
        Ok(())
    }

    fn follow(&self, resource: ApiResource, namespaced: bool) -> Watchee {
        let tasks = self.tasks.child();
        let informer = metadata::follow(&self.client, &resource, self.clock, &tasks);
        Watchee { resource, namespaced, informer, tasks }
    }

    /// Each change wakes those whose fate it may decide.
    fn subscribe(&self, kind: GroupKind, informer: &Informer<Meta>) {
        let (queue, watched) = (self.queue.clone(), Arc::downgrade(&self.watched));
        informer.subscribe(move |change| {
            let meta = &change.object().metadata;
            let causes = Causes::of(meta);
            let item = Item { kind: kind.clone(), key: ObjectKey::of(meta) };
            let Some(watched) = watched.upgrade() else { return };
            let ends = meta.deletion_timestamp.is_some() && (has(meta, FOREGROUND) || has(meta, ORPHAN));
            match change {
                Change::Deleted(_) => {
                    let uid = meta.uid.as_deref().unwrap_or_default();
                    for (dependent, _) in dependents(&watched.read(), uid) {
                        queue.add(dependent, &causes);
                    }
                    // An owner may have waited for this one.
                    for owner in meta.owner_references.iter().flatten() {
                        queue.add(owner_item(&watched.read(), &item, owner), &causes);
                    }
                }
                Change::Modified { old, .. } if !ends && old.metadata.owner_references == meta.owner_references => {}
                Change::Modified { old, .. } if old.metadata.owner_references != meta.owner_references => {
                    // It may hold an owner up no longer.
                    for owner in old.metadata.owner_references.iter().flatten() {
                        queue.add(owner_item(&watched.read(), &item, owner), &causes);
                    }
                    queue.add(item, &causes);
                }
                _ if ends || meta.owner_references.is_some() => queue.add(item, &causes),
                _ => {}
            }
        });
    }

    /// The object's metadata.
    pub fn get(&self, item: &Item) -> Option<Arc<ObjectMeta>> {
        let informer = self.watched.read().get(&item.kind)?.informer.clone();
        informer.get(&item.key).map(|object| Arc::new(object.metadata.clone()))
    }

    /// The objects that name this uid among their owners.
    pub fn dependents(&self, uid: &str) -> Vec<(Item, Arc<ObjectMeta>)> {
        dependents(&self.watched.read(), uid)
    }

    /// The owner that a reference of `item` names, if the copy has it.
    ///
    /// # Errors
    /// When no resource of the owner's kind is known (yet).
    pub fn owner(&self, item: &Item, reference: &OwnerReference) -> Result<Option<Arc<ObjectMeta>>, String> {
        let watched = self.watched.read();
        let owner = owner_item(&watched, item, reference);
        let Some(watchee) = watched.get(&owner.kind) else {
            return Err(format!("no matches for kind {:?} in {:?}", reference.kind, reference.api_version));
        };
        let object = watchee.informer.get(&owner.key);
        let same = object.filter(|object| object.metadata.uid.as_ref() == Some(&reference.uid));
        Ok(same.map(|object| Arc::new(object.metadata.clone())))
    }

    /// The API to ask for an owner; `None` where a cluster-wide object names a namespaced owner,
    /// which cannot be found and therefore is never held to be gone.
    pub fn owner_api(&self, client: &Client, item: &Item, reference: &OwnerReference) -> Option<AnyApi> {
        let owner = owner_item(&self.watched.read(), item, reference);
        self.api(client, &owner)
    }

    /// The API of an object.
    pub fn api(&self, client: &Client, item: &Item) -> Option<AnyApi> {
        let watched = self.watched.read();
        let watchee = watched.get(&item.kind)?;
        match (watchee.namespaced, item.key.namespace.as_str()) {
            (false, _) => Some(Api::all_with(client.clone(), &watchee.resource)),
            (true, "") => None,
            (true, namespace) => Some(Api::namespaced_with(client.clone(), namespace, &watchee.resource)),
        }
    }

    /// Waits until the copy shows that the object with this uid is gone or on its way out.
    pub async fn left(&self, item: &Item, uid: Option<&str>) {
        let Some(informer) = self.watched.read().get(&item.kind).map(|watchee| watchee.informer.clone()) else {
            return;
        };
        let leaves = |object: Option<&Meta>| {
            object.is_none_or(|object| {
                object.metadata.uid.as_deref() != uid || object.metadata.deletion_timestamp.is_some()
            })
        };
        informer.until(&item.key, leaves).await;
    }
}

fn dependents(watched: &BTreeMap<GroupKind, Watchee>, uid: &str) -> Vec<(Item, Arc<ObjectMeta>)> {
    let mut found = Vec::new();
    for (kind, watchee) in watched {
        for object in watchee.informer.owned_by(uid) {
            let item = Item { kind: kind.clone(), key: ObjectKey::of(&object.metadata) };
            found.push((item, Arc::new(object.metadata.clone())));
        }
    }
    found
}

/// An owner lives in its dependent's namespace, or in none.
fn owner_item(watched: &BTreeMap<GroupKind, Watchee>, item: &Item, reference: &OwnerReference) -> Item {
    let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = (group.to_owned(), reference.kind.clone());
    let namespaced = watched.get(&kind).is_some_and(|watchee| watchee.namespaced);
    let namespace = if namespaced { item.key.namespace.clone() } else { String::new() };
    Item { kind, key: ObjectKey::new(namespace, reference.name.clone()) }
}

/// Every resource that can be listed, watched and deleted, and whether it is namespaced.
async fn deletable(client: &Client) -> kube::Result<BTreeMap<GroupKind, (ApiResource, bool)>> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let all = discovery.groups().flat_map(|group| group.resources_by_stability());
    let kept = all.filter(|(resource, capabilities)| {
        let can = |verb: &str| capabilities.operations.iter().any(|known| known == verb);
        can("list") && can("watch") && can("delete") && resource.kind != "Event"
    });
    let entry = |(resource, capabilities): (ApiResource, kube::discovery::ApiCapabilities)| {
        let kind = (resource.group.clone(), resource.kind.clone());
        (kind, (resource, matches!(capabilities.scope, Scope::Namespaced)))
    };
    Ok(kept.map(entry).collect())
}
