//! The loop over APIServices: who answers for what, and who is there.
//!
//! It wakes when an APIService changes, when custom resources do, and, while other servers answer for
//! something, when a Service or its endpoints do or a check is due. With none it only waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::availability::{self, Verdict};
use super::registration;
use super::{GROUP, Registered, Remote, SERVICES, Told, merge};
use crate::api::meta;
use crate::api::resource::Resource;
use crate::apiserver::bootstrap;
use crate::apiserver::cache::Cache;
use crate::apiserver::custom::controller::write;
use crate::apiserver::engine::Engine;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::system::apiservice::local_condition;
use crate::apiserver::objects::{Objects, collection};
use crate::apiserver::verbs::create::second;

/// Between checks of a server that answers.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// The first time a server that does not answer is asked again; twice as long each time after.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// What is known of one aggregated server.
struct Known {
    /// What its check depends on; another one means another check.
    from: Value,
    verdict: Verdict,
    told: Told,
    next: Timestamp,
    failures: u32,
}

/// The loop's memory: only what asking again would find.
#[derive(Default)]
struct Loop {
    known: HashMap<String, Known>,
}

/// Takes in the APIServices there are, then keeps up in the background.
pub async fn start(engine: &Arc<Engine>) {
    let served = engine.catalog.now();
    let Some(resource) = served.stored(GROUP, SERVICES.plural).cloned() else { return };
    let cache = |group: &str, plural: &str| served.stored(group, plural).and_then(|resource| engine.cache(resource));
    let (Some(own), Some(services), Some(slices)) =
        (cache(GROUP, SERVICES.plural), cache("", "services"), cache("discovery.k8s.io", "endpointslices"))
    else {
        return;
    };
    let mut changes = own.subscribe();
    changes.mark_unchanged();
    let custom = engine.catalog.subscribe();
    let mut this = Loop::default();
    this.publish(engine);
    let engine = engine.clone();
    engine.tasks.clone().spawn("API aggregation", async move {
        let mut wakers = Wakers { own: changes, custom, services: services.subscribe(), slices: slices.subscribe() };
        loop {
            wakers.seen();
            let next = this.turn(&engine, &resource, &own).await;
            if !wakers.wait(&engine, next).await {
                return;
            }
        }
    });
}

struct Wakers {
    own: watch::Receiver<u64>,
    custom: watch::Receiver<()>,
    services: watch::Receiver<u64>,
    slices: watch::Receiver<u64>,
}

impl Wakers {
    fn seen(&mut self) {
        self.own.mark_unchanged();
        self.custom.mark_unchanged();
        self.services.mark_unchanged();
        self.slices.mark_unchanged();
    }

    /// Waits for a reason to look again; false when there will be none. `next` is when the next check is
    /// due, if there is anybody to check.
    async fn wait(&mut self, engine: &Engine, next: Option<Timestamp>) -> bool {
        let Some(next) = next else {
            return tokio::select! {
                changed = self.own.changed() => changed.is_ok(),
                changed = self.custom.changed() => changed.is_ok(),
            };
        };
        tokio::select! {
            changed = self.own.changed() => changed.is_ok(),
            changed = self.custom.changed() => changed.is_ok(),
            changed = self.services.changed() => changed.is_ok(),
            changed = self.slices.changed() => changed.is_ok(),
            () = engine.clock.sleep_until(next) => true,
        }
    }
}

impl Loop {
    /// One look at everything; when the next check is due.
    async fn turn(&mut self, engine: &Arc<Engine>, resource: &Arc<Resource>, cache: &Arc<Cache>) -> Option<Timestamp> {
        engine.caches.fresh().await;
        self.register(engine, resource, cache).await;
        self.publish(engine);
        let services = engine.list(SERVICES, "");
        self.known.retain(|name, _| services.iter().any(|service| meta::name(service) == name));
        let now = engine.clock.now();
        let due = services.iter().filter_map(|service| {
            let remote = Remote::of(service)?;
            let from = depends_on(engine, service, &remote);
            let known = self.known.get(meta::name(service));
            let is_due = known.is_none_or(|known| known.from != from || known.next <= now);
            is_due.then(|| (meta::name(service).to_string(), from, remote))
        });
        let due: Vec<_> = due.collect();
        let checks = due.into_iter().map(|(name, from, remote)| {
            let before = self.known.get(&name).map(|known| known.told.clone()).unwrap_or_default();
            async move {
                let (verdict, told) = availability::check(engine, &remote, before).await;
                (name, from, verdict, told)
            }
        });
        for (name, from, verdict, told) in join_all(checks.collect::<Vec<_>>()).await {
            self.learn(engine, name, from, verdict, told);
        }
        self.publish(engine);
        for service in &services {
            self.tell(engine, resource, service).await;
        }
        self.known.values().map(|known| known.next).min()
    }

    fn learn(&mut self, engine: &Engine, name: String, from: Value, verdict: Verdict, told: Told) {
        let failures = match (verdict.available, self.known.get(&name)) {
            (true, _) => 0,
            (false, Some(known)) if known.from == from => known.failures.saturating_add(1),
            (false, _) => 1,
        };
        let pause = match failures {
            0 => CHECK_EVERY,
            failures => RETRY_AFTER.saturating_mul(1 << failures.min(16)).min(CHECK_EVERY),
        };
        let next = engine.clock.now().saturating_add(pause).unwrap_or(Timestamp::MAX);
        self.known.insert(name, Known { from, verdict, told, next, failures });
    }

    /// Tells the rest of the server who answers for what.
    fn publish(&self, engine: &Engine) {
        let mut registered: Vec<Registered> =
            engine.list(SERVICES, "").iter().map(|service| self.registered(service)).collect();
        merge::sort(&mut registered);
        engine.catalog.set_registered(registered);
    }

    fn registered(&self, service: &Value) -> Registered {
        let remote = Remote::of(service).map(|mut remote| {
            if let Some(known) = self.known.get(meta::name(service)) {
                remote.available = known.verdict.available;
                remote.told = known.told.clone();
            }
            Arc::new(remote)
        });
        Registered {
            group: service.text("spec.group").to_string(),
            version: service.text("spec.version").to_string(),
            group_priority: service.int("spec.groupPriorityMinimum").unwrap_or(0),
            version_priority: service.int("spec.versionPriority").unwrap_or(0),
            remote,
        }
    }

    /// Writes the condition of an APIService, where it is another one now.
    async fn tell(&self, engine: &Arc<Engine>, resource: &Arc<Resource>, service: &Value) {
        let now = second(engine.clock.now());
        let condition = match self.known.get(meta::name(service)) {
            None if service.at("spec.service").is_null() => local_condition(&now),
            None => return,
            Some(Known { verdict, .. }) => json!({
                "type": "Available", "status": if verdict.available { "True" } else { "False" },
                "lastTransitionTime": now, "reason": verdict.reason, "message": verdict.message,
            }),
        };
        let mut new = service.clone();
        set_condition(&mut new, condition);
        if new["status"] != service["status"] {
            write(engine, resource, service, new).await;
        }
    }

    /// Creates and deletes the APIServices of custom groups.
    async fn register(&self, engine: &Arc<Engine>, resource: &Arc<Resource>, cache: &Arc<Cache>) {
        let plan = registration::plan(&engine.catalog.now(), &engine.list(SERVICES, ""));
        let changes = !plan.create.is_empty() || !plan.delete.is_empty();
        for service in plan.create {
            if let Err(status) = bootstrap::ensure(engine, service).await {
                tracing::warn!(status.message, "an APIService cannot be made");
            }
        }
        for name in plan.delete {
            let Some(object) = cache.get(&name) else { continue };
            let key = crate::apiserver::storage::prefix(resource) + &name;
            if let Err(status) = engine.storage.delete(key, object.revision).await {
                tracing::warn!(status.message, "an APIService cannot be deleted");
            }
        }
        if changes {
            engine.caches.fresh().await;
        }
    }
}

/// Sets a condition; its time moves only with its status.
fn set_condition(service: &mut Value, mut condition: Value) {
    if !service["status"].is_object() {
        service["status"] = json!({});
    }
    if !service["status"]["conditions"].is_array() {
        service["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = service["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|own| own["type"] == condition["type"]) {
        Some(own) => {
            if own["status"] == condition["status"] {
                condition["lastTransitionTime"] = own["lastTransitionTime"].clone();
            }
            *own = condition;
        }
        None => conditions.push(condition),
    }
}

/// What an APIService's check depends on: what it says, its Service, and who is behind that.
fn depends_on(engine: &Engine, service: &Value, remote: &Remote) -> Value {
    let Some((namespace, name)) = &remote.place.service else { return Value::Null };
    let behind = engine.get(collection("", "services"), namespace, name);
    let slices = engine.list(collection("discovery.k8s.io", "endpointslices"), namespace);
    let slices = slices.iter().filter(|slice| meta::label(slice, "kubernetes.io/service-name") == Some(name));
    let versions: Vec<&str> = slices.map(|slice| meta::resource_version(slice)).collect();
    json!([service["spec"], behind.as_deref().map(|behind| behind["spec"].clone()), versions])
}
