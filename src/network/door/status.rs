//! Tells each object what came of it: where its door is, which rules hold, what is missing.
//!
//! In: what each status should say, and says. Out: a patch where that differs. A condition keeps the time at which it came to be as it is;
//! what other controllers wrote about a route stays. Chapter: `book/src/inside/network.md`.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::gateway::{CONTROLLER, Objects, Outcome};
use super::objects::{GatewayClassView, GatewayView, HttpRouteView};
use crate::client::ObjectKey;
use crate::clock::Clock;

/// Writes status.
pub struct Teller {
    client: kube::Client,
    clock: Clock,
}

impl Teller {
    /// As this client's user.
    pub fn new(client: kube::Client, clock: Clock) -> Teller {
        Teller { client, clock }
    }

    /// All Ingresses that lead somewhere are behind the same address.
    pub async fn tell_ingresses(&self, all: &[Arc<Ingress>], address: &str) {
        let wanted = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
        for ingress in all {
            let known = serde_json::to_value(&ingress.status).unwrap_or_default();
            if known != wanted {
                let key = ObjectKey::of(&ingress.metadata);
                self.patch(Api::<Ingress>::namespaced(self.client.clone(), &key.namespace), &key, &wanted).await;
            }
        }
    }

    /// Classes, Gateways and routes.
    pub async fn tell(&self, objects: &Objects, outcome: &Outcome) {
        for (key, wanted) in &outcome.classes {
            let known = objects.classes.iter().find(|it| ObjectKey::of(&it.metadata) == *key);
            let known = known.map(|it| it.status.clone()).unwrap_or_default();
            self.bring(Api::<GatewayClassView>::all(self.client.clone()), key, &known, wanted.clone()).await;
        }
        for (key, wanted) in &outcome.gateways {
            let known = objects.gateways.iter().find(|it| ObjectKey::of(&it.metadata) == *key);
            let known = known.map(|it| it.status.clone()).unwrap_or_default();
            let api = Api::<GatewayView>::namespaced(self.client.clone(), &key.namespace);
            self.bring(api, key, &known, wanted.clone()).await;
        }
        for route in &objects.routes {
            let key = ObjectKey::of(&route.metadata);
            let wanted = outcome.http_routes.iter().find(|(of, _)| *of == key).map(|(_, wanted)| wanted);
            let known = &route.status;
            if wanted.is_none() && !parents(known).any(|parent| parent["controllerName"] == CONTROLLER) {
                continue;
            }
            let others = parents(known).filter(|parent| parent["controllerName"] != CONTROLLER).cloned();
            let ours = wanted.into_iter().flat_map(parents).cloned();
            let wanted = json!({"parents": others.chain(ours).collect::<Vec<_>>()});
            let api = Api::<HttpRouteView>::namespaced(self.client.clone(), &key.namespace);
            self.bring(api, &key, known, wanted).await;
        }
    }

    /// Writes what is wanted, if something else is known.
    async fn bring<K: Clone + DeserializeOwned + Debug>(
        &self,
        api: Api<K>,
        key: &ObjectKey,
        known: &Value,
        mut wanted: Value,
    ) {
        date(&mut wanted, known, &self.clock.now().to_string());
        if *known != wanted {
            self.patch(api, key, &wanted).await;
        }
    }

    async fn patch<K: Clone + DeserializeOwned + Debug>(&self, api: Api<K>, key: &ObjectKey, status: &Value) {
        let patch = Patch::Merge(json!({"status": status}));
        if let Err(fault) = api.patch_status(&key.name, &PatchParams::default(), &patch).await {
            // It may be gone. If not, the next change tries again.
            tracing::debug!(%key, %fault, "a status could not be written");
        }
    }
}

fn parents(status: &Value) -> impl Iterator<Item = &Value> {
    status["parents"].as_array().into_iter().flatten()
}

/// Gives each condition a time: of the same one as it is known, or now. What is known is looked up in the
/// same place of a list, or for listeners and parents among those of the same name.
fn date(wanted: &mut Value, known: &Value, now: &str) {
    if let Some(conditions) = wanted.get_mut("conditions").and_then(Value::as_array_mut) {
        for condition in conditions {
            let mut before = known["conditions"].as_array().into_iter().flatten();
            let same = before.find(|it| it["type"] == condition["type"] && it["status"] == condition["status"]);
            let since = same.and_then(|it| it["lastTransitionTime"].as_str()).unwrap_or(now).to_owned();
            condition["lastTransitionTime"] = json!(since);
        }
    }
    for (list, name) in [("listeners", "name"), ("parents", "parentRef")] {
        for item in wanted.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let before = known[list].as_array().into_iter().flatten();
            let same =
                before.clone().find(|it| it[name] == item[name] && it["controllerName"] == item["controllerName"]);
            date(item, same.unwrap_or(&Value::Null), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let status = |accepted: &str, time: Option<&str>| {
            let mut condition = json!({"type": "Accepted", "status": accepted});
            if let Some(time) = time {
                condition["lastTransitionTime"] = json!(time);
            }
            json!({"parents": [{"parentRef": {"name": "door"}, "controllerName": "c", "conditions": [condition]}]})
        };
        let known = status("True", Some("then"));
        let mut same = status("True", None);
        date(&mut same, &known, "now");
        assert_eq!(same, known);
        let mut other = status("False", None);
        date(&mut other, &known, "now");
        assert_eq!(other, status("False", Some("now")));
    }
}
