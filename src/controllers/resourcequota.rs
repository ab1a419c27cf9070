//! ResourceQuota: counts what a namespace holds into `status.used`.
//!
//! Comes in: ResourceQuotas, Pods, Services, claims, and the metadata of any other kind that a
//! quota names. Goes out: `status.hard` and `status.used`. Admission adds to `used` before a write;
//! this loop gives back what is deleted or has ended, and counts all when a quota's `spec` changes.
//! It does not count on creation: what admission charged may not show here yet. Source:
//! kube-controller-manager, pkg/controller/resourcequota.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ResourceQuota, ResourceQuotaStatus, Service};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::discovery::Discovery;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use super::metadata::{self, Meta};
use super::plan::{Action, Plan};
use super::runner::{Executor, Room, text};
use crate::api::quota::{self, Usage};
use crate::client::views::PodView;
use crate::client::{Causes, Change, Informer, Informers, ObjectKey, Watched, WorkQueue};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// Source: --concurrent-resource-quota-syncs.
const WORKERS: usize = 5;
/// All is counted again after this long. Source: --resource-quota-sync-period.
const RESYNC: Duration = Duration::from_secs(300);

/// ResourceQuotas themselves, as [`counted`] names them.
const QUOTAS: &str = "resourcequotas.";

/// Starts the loop.
pub fn start(room: Room) {
    let content = Arc::new(Content::new(&room));
    content.quotas.subscribe({
        let queue = room.queue.clone();
        move |change| {
            let same = change.old().is_some_and(|old| old.spec == change.object().spec);
            if !same {
                let meta = &change.object().metadata;
                queue.add(ObjectKey::of(meta), &Causes::of(meta));
            }
        }
    });
    content.give_back(&content.pods, |old, new| old.is_finished() != new.is_finished());
    content.give_back(&content.services, |old, new| old.spec != new.spec);
    content.give_back(&content.claims, |old, new| old.spec != new.spec);
    content.give_back(&content.quotas, |_, _| false);
    let executor = Arc::new(Executor {
        client: room.client.clone(),
        informers: room.informers.clone(),
        clock: room.clock,
        recorder: room.recorder.clone(),
    });
    room.run_async("resourcequota-controller", WORKERS, move |key, causes| {
        let (content, executor) = (content.clone(), executor.clone());
        async move {
            let Some(quota) = content.quotas.get(&key) else { return Ok(None) };
            let usage = content.usage(&quota).await?;
            executor.carry_out(reconcile(&quota, &usage), &causes).await.map_err(|failure| failure.message)?;
            Ok(Some(RESYNC))
        }
    });
}

/// What a quota needs done, given what there is in its namespace and scopes.
pub fn reconcile(quota: &ResourceQuota, usage: &Usage) -> Plan {
    let mut plan = Plan::none();
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
    let used = hard.keys().map(|name| {
        let amount = usage.get(name).map_or_else(|| "0".to_owned(), ToString::to_string);
        (name.clone(), Quantity(amount))
    });
    let status = ResourceQuotaStatus { used: Some(used.collect()), hard: Some(hard) };
    if quota.status.as_ref() != Some(&status) {
        plan.act(Action::update_sub(&ResourceQuota { status: Some(status), ..quota.clone() }, "status"));
    }
    plan
}

/// The resource (`plural.group`) that a quota's name counts by number alone.
fn counted(name: &str) -> Option<String> {
    match name {
        "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => Some(format!("{name}.")),
        "count/pods" | "count/services" | "count/persistentvolumeclaims" => None,
        _ => {
            let resource = name.strip_prefix("count/")?;
            Some(if resource.contains('.') { resource.to_owned() } else { format!("{resource}.") })
        }
    }
}

/// What there is to count.
struct Content {
    quotas: Informer<ResourceQuota>,
    pods: Informer<PodView>,
    services: Informer<Service>,
    claims: Informer<PersistentVolumeClaim>,
    /// Kinds that some quota names, by `plural.group`.
    others: Mutex<BTreeMap<String, Informer<Meta>>>,
    queue: WorkQueue<ObjectKey>,
    informers: Informers,
    clock: Clock,
    tasks: TaskGroup,
}

impl Content {
    fn new(room: &Room) -> Self {
        Content {
            quotas: room.informer(),
            pods: room.informer(),
            services: room.informer(),
            claims: room.informer(),
            others: Mutex::default(),
            queue: room.queue.clone(),
            informers: room.informers.clone(),
            clock: room.clock,
            tasks: room.tasks.clone(),
        }
    }

    /// Wakes a namespace's quotas when an object goes, or changes so that it may use less.
    fn give_back<K>(&self, informer: &Informer<K>, changed: impl Fn(&K, &K) -> bool + Send + Sync + 'static)
    where
        K: Watched + Clone + std::fmt::Debug,
    {
        let (queue, quotas) = (self.queue.clone(), self.quotas.clone());
        informer.subscribe(move |change| {
            let frees = match change {
                Change::Added(_) => false,
                Change::Modified { old, new } => changed(old, new),
                Change::Deleted(_) => true,
            };
            let meta = change.object().meta();
            if frees {
                for quota in quotas.in_namespace(meta.namespace.as_deref().unwrap_or_default()) {
                    queue.add(ObjectKey::of(&quota.metadata), &Causes::of(meta));
                }
            }
        });
    }

    /// Sums up what is in the quota's namespace and scopes.
    async fn usage(&self, quota: &ResourceQuota) -> Result<Usage, String> {
        let namespace = quota.metadata.namespace.as_deref().unwrap_or_default();
        let scopes = value(quota);
        let mut total = Usage::new();
        let mut add = |group: &str, resource: &str, object: &Value| {
            if quota::in_scope(&scopes, group, resource, object) {
                quota::add(&mut total, quota::usage(group, resource, object));
            }
        };
        self.pods.in_namespace(namespace).iter().for_each(|pod| add("", "pods", &value(&**pod)));
        self.services.in_namespace(namespace).iter().for_each(|service| add("", "services", &value(&**service)));
        let claims = self.claims.in_namespace(namespace);
        claims.iter().for_each(|claim| add("", "persistentvolumeclaims", &value(&**claim)));
        let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
        let mut others: Vec<_> = hard.into_iter().flatten().filter_map(|(name, _)| counted(name)).collect();
        others.sort();
        others.dedup();
        for resource in others {
            if resource == QUOTAS {
                // Counted here, where the one that woke the loop is already known.
                self.quotas.in_namespace(namespace).iter().for_each(|_| add("", "resourcequotas", &Value::Null));
                continue;
            }
            let Some(informer) = self.other(&resource).await? else { continue };
            let (plural, group) = resource.split_once('.').unwrap_or((&resource, ""));
            for _ in informer.in_namespace(namespace) {
                add(group, plural, &Value::Null);
            }
        }
        Ok(total)
    }

    /// The objects of a resource, followed from the first time a quota names it; `None` where
    /// there is no such resource (yet).
    async fn other(&self, resource: &str) -> Result<Option<Informer<Meta>>, String> {
        let known = self.others.lock().get(resource).cloned();
        if let Some(known) = known {
            known.synced().await;
            return Ok(Some(known));
        }
        let client = self.informers.client();
        let discovery = Discovery::new(client.clone()).run_aggregated().await.map_err(|error| text(&error))?;
        let mut all = discovery.groups().flat_map(|group| group.resources_by_stability());
        let Some((found, _)) = all.find(|(known, _)| format!("{}.{}", known.plural, known.group) == resource) else {
            return Ok(None);
        };
        let mut fresh = None;
        let informer = {
            let mut others = self.others.lock();
            let follow = || fresh.insert(metadata::follow(&client, &found, self.clock, &self.tasks)).clone();
            others.entry(resource.to_owned()).or_insert_with(follow).clone()
        };
        informer.synced().await;
        if let Some(fresh) = fresh {
            self.give_back(&fresh, |_, _| false);
        }
        Ok(Some(informer))
    }
}

fn value<K: Serialize>(object: &K) -> Value {
    // Kubernetes types have string keys only, so they are always representable.
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_say_what_is_counted() {
        for (name, resource) in [
            ("configmaps", Some("configmaps.")),
            ("count/secrets", Some("secrets.")),
            ("count/deployments.apps", Some("deployments.apps")),
            ("count/pods", None),
            ("requests.cpu", None),
        ] {
            assert_eq!(counted(name).as_deref(), resource, "{name}");
        }
    }

    #[test]
    fn the_status_shows_every_limit_and_then_rests() {
        let spec = json!({ "hard": { "pods": "2", "requests.cpu": "1" } });
        let value = json!({ "metadata": { "name": "q", "namespace": "a" }, "spec": spec });
        let mut quota: ResourceQuota = serde_json::from_value(value).unwrap();
        let usage = quota::usage("", "pods", &json!({}));
        let plan = reconcile(&quota, &usage);
        let status = &plan.actions()[0].body["status"];
        assert_eq!(*status, json!({ "hard": spec["hard"], "used": { "pods": "1", "requests.cpu": "0" } }));
        quota.status = serde_json::from_value(status.clone()).unwrap();
        assert_eq!(reconcile(&quota, &usage), Plan::none());
    }
}
