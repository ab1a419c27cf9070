//! Each address of a Service is an IPAddress object that names the Service, so that `kubectl get ipaddresses` tells
//! who holds what, and a range of addresses knows who uses it.
//!
//! Addresses are given out by [`super::super::kinds::core::service_addresses`], which reads the Services
//! themselves; the objects follow. Source: `k8s.io/kubernetes/pkg/registry/core/service/ipallocator`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::meta;
use crate::api::resource::Resource;
use crate::apiserver::bootstrap;
use crate::apiserver::cache::Cache;
use crate::apiserver::engine::Engine;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::storage;

const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";

/// Makes what is missing, then keeps up in the background.
pub async fn start(engine: &Arc<Engine>) {
    let served = engine.catalog.now();
    let (Some(services), Some(resource)) =
        (served.stored("", "services"), served.stored("networking.k8s.io", "ipaddresses").cloned())
    else {
        return;
    };
    let (Some(services), Some(addresses)) = (engine.cache(services), engine.cache(&resource)) else { return };
    let this = Loop { engine: engine.clone(), services, addresses, resource };
    let (mut changed, mut lost) = (this.services.subscribe(), this.addresses.subscribe());
    changed.mark_unchanged();
    lost.mark_unchanged();
    this.turn().await;
    engine.tasks.spawn("IP addresses", async move {
        loop {
            let woken = tokio::select! {
                change = changed.changed() => change,
                change = lost.changed() => change,
            };
            if woken.is_err() {
                return;
            }
            changed.mark_unchanged();
            lost.mark_unchanged();
            this.turn().await;
        }
    });
}

struct Loop {
    engine: Arc<Engine>,
    services: Arc<Cache>,
    addresses: Arc<Cache>,
    resource: Arc<Resource>,
}

impl Loop {
    async fn turn(&self) {
        // Addresses first: one that is made for a Service later than these is left alone.
        let addresses = self.addresses.snapshot("", "");
        let services = self.services.snapshot("", "");
        let held = held(services.objects.iter().map(|object| object.value()));
        for object in &addresses.objects {
            let address = object.value();
            if is_left_over(&address, &held) {
                let key = storage::prefix(&self.resource) + meta::name(&address);
                if let Err(status) = self.engine.storage.delete(key, object.revision).await {
                    tracing::warn!(status.message, "an IPAddress cannot be deleted");
                }
            }
        }
        for (ip, service) in held.iter().filter(|(ip, _)| self.addresses.get(ip).is_none()) {
            if let Err(status) = bootstrap::ensure(&self.engine, object(ip, service)).await {
                tracing::warn!(status.message, "an IPAddress cannot be made");
            }
        }
        self.engine.upkeep.addresses.send_replace(services.revision);
    }
}

/// Who holds which address: namespace and name of the Service.
fn held(services: impl Iterator<Item = Value>) -> BTreeMap<String, (String, String)> {
    let mut held = BTreeMap::new();
    for service in services {
        for ip in service.items("spec.clusterIPs").iter().filter_map(Value::as_str) {
            if ip.parse::<IpAddr>().is_ok() {
                held.insert(ip.to_string(), (meta::namespace(&service).to_string(), meta::name(&service).to_string()));
            }
        }
    }
    held
}

/// Whether an address of ours names a Service that does not hold it.
fn is_left_over(address: &Value, held: &BTreeMap<String, (String, String)>) -> bool {
    let ours = address.at("metadata.labels").get(MANAGED_BY).is_some_and(|by| by == ALLOCATOR);
    let parent = address.at("spec.parentRef");
    let of = (parent.text("namespace").to_string(), parent.text("name").to_string());
    ours && held.get(meta::name(address)) != Some(&of)
}

fn object(ip: &str, (namespace, name): &(String, String)) -> Value {
    let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {"name": ip, "labels": {FAMILY: family, MANAGED_BY: ALLOCATOR}},
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_service_that_shows_it() {
        let service = |name: &str, ip: &str| json!({"metadata": {"namespace": "default", "name": name}, "spec": {"clusterIPs": [ip]}});
        let held = held([service("web", "10.96.0.9"), service("db", "None")].into_iter());
        assert_eq!(held.len(), 1);
        let ours = object("10.96.0.9", &held["10.96.0.9"]);
        assert!(!is_left_over(&ours, &held));
        assert!(is_left_over(&object("10.96.0.9", &("default".into(), "other".into())), &held));
        assert!(is_left_over(&object("10.96.0.10", &held["10.96.0.9"]), &held));
        let foreign = json!({"metadata": {"name": "10.96.0.10"}, "spec": {"parentRef": {"name": "x"}}});
        assert!(!is_left_over(&foreign, &held), "somebody else's object is theirs");
    }
}
