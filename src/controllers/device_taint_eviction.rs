//! Device taints: what a DeviceTaintRule does to Pods that hold a device, and what its status says of it.
//!
//! Comes in: DeviceTaintRules, ResourceClaims (which say who holds which device), ResourceSlices, Pods. Goes out:
//! Pods that do not tolerate a `NoExecute` rule are deleted; the condition `EvictionInProgress` tells how far that is.
//! A rule with the effect `None` says what it would do. Taints that a driver publishes in a ResourceSlice do not
//! evict here. Source: kube-controller-manager, pkg/controller/devicetainteviction.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::resource::v1::{
    DeviceRequestAllocationResult, DeviceTaint, DeviceTaintRule, DeviceTaintSelector, DeviceToleration, ResourceClaim,
    ResourceSlice,
};
use parking_lot::Mutex;
use serde_json::json;

use super::plan::{Action, Note, Plan, STRATEGIC, reference};
use super::runner::Room;
use super::taint_eviction::disrupted;
use crate::client::ObjectKey;
use crate::client::views::PodView;

/// Starts the loop.
pub fn start(room: Room) {
    let (rules, claims) = (room.informer::<DeviceTaintRule>(), room.informer::<ResourceClaim>());
    let (slices, pods) = (room.informer::<ResourceSlice>(), room.informer::<PodView>());
    let known = rules.clone();
    let every = move || known.all().iter().map(|rule| ObjectKey::of(&rule.metadata)).collect::<Vec<_>>();
    room.wake_self(&rules);
    let again = every.clone();
    room.wake(&claims, move |_| again());
    room.wake(&pods, move |pod| if pod.metadata.deletion_timestamp.is_some() { every() } else { Vec::new() });
    // Pods that a rule has evicted since the start: its status counts them.
    let evicted: Mutex<HashMap<String, HashSet<String>>> = Mutex::default();
    room.run("device-taint-eviction-controller", 1, move |key, moment| {
        let Some(rule) = rules.get(key) else { return Plan::none() };
        let uid = rule.metadata.uid.clone().unwrap_or_default();
        let held = Held { claims: &claims.all(), slices: &slices.all(), pods: &pods.all() };
        let mut evicted = evicted.lock();
        reconcile(&rule, &held, evicted.entry(uid).or_default(), moment.now)
    });
}

/// Who holds what.
pub struct Held<'a> {
    /// Claims, with the devices that were given to them and for whom.
    pub claims: &'a [Arc<ResourceClaim>],
    /// Devices that drivers publish.
    pub slices: &'a [Arc<ResourceSlice>],
    /// Pods.
    pub pods: &'a [Arc<PodView>],
}

/// A Pod that has to go, and when; `None`: it may stay.
type Affected = (Arc<PodView>, Option<Timestamp>);

/// What a rule needs done. `evicted` remembers the Pods that it has deleted.
pub fn reconcile(rule: &DeviceTaintRule, held: &Held<'_>, evicted: &mut HashSet<String>, now: Timestamp) -> Plan {
    let mut plan = Plan::none();
    let effect = rule.spec.taint.effect.as_str();
    let executes = effect == "NoExecute";
    let pending: Vec<Affected> = match effect {
        "NoExecute" | "None" => affected(rule, held),
        _ => Vec::new(),
    };
    for (pod, when) in pending.iter().filter(|_| executes) {
        match when {
            Some(end) if *end > now => plan.again_at(*end, now),
            Some(_) => evict(pod, evicted, now, &mut plan),
            None => {}
        }
    }
    let leaving: Vec<&Arc<PodView>> = pending.iter().filter(|(_, when)| when.is_some()).map(|(pod, _)| pod).collect();
    let (status, reason, mut message) = match effect {
        "NoExecute" if !leaving.is_empty() => {
            ("True", "PodsPendingEviction".to_string(), format!("{}.", places(&leaving, "needs", "need", "to be")))
        }
        "NoExecute" if !evicted.is_empty() => ("False", "Completed".to_string(), String::new()),
        "NoExecute" => ("False", "NotStarted".to_string(), String::new()),
        "None" => ("False", "NoEffect".to_string(), would(rule, held, &leaving)),
        _ => ("False", "OtherEffect".to_string(), "Eviction only happens for the NoExecute effect.".to_string()),
    };
    if !evicted.is_empty() {
        let gap = if message.is_empty() { "" } else { " " };
        message = format!("{message}{gap}{} evicted since starting the controller.", count(evicted.len(), "pod"));
    }
    say(&mut plan, rule, (status, &reason, &message), now);
    plan
}

/// Pods that hold a device which the rule taints and do not tolerate it.
fn affected(rule: &DeviceTaintRule, held: &Held<'_>) -> Vec<Affected> {
    let mut found: Vec<Affected> = Vec::new();
    for claim in held.claims {
        let tainted = results(claim).filter(|device| selects(rule.spec.device_selector.as_ref(), device));
        let ends: Vec<Option<Timestamp>> = tainted.filter_map(|device| end(&rule.spec.taint, device)).collect();
        if ends.is_empty() {
            continue;
        }
        let when = ends.into_iter().flatten().min();
        let consumers = claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten());
        for consumer in consumers.filter(|consumer| consumer.resource == "pods") {
            let same = |pod: &&Arc<PodView>| pod.metadata.uid.as_deref() == Some(consumer.uid.as_str());
            if let Some(pod) = held.pods.iter().find(same).filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
                found.push((pod.clone(), when));
            }
        }
    }
    found.sort_by_key(|(pod, _)| ObjectKey::of(&pod.metadata));
    found.dedup_by(|(one, _), (other, _)| one.metadata.uid == other.metadata.uid);
    found
}

fn results(claim: &ResourceClaim) -> impl Iterator<Item = &DeviceRequestAllocationResult> {
    let allocation = claim.status.iter().filter_map(|status| status.allocation.as_ref());
    let devices = allocation.filter_map(|allocation| allocation.devices.as_ref());
    devices.flat_map(|devices| devices.results.iter().flatten())
}

fn selects(selector: Option<&DeviceTaintSelector>, device: &DeviceRequestAllocationResult) -> bool {
    chosen(selector, &device.driver, &device.pool, &device.device)
}

/// A rule without a selector taints nothing.
fn chosen(selector: Option<&DeviceTaintSelector>, driver: &str, pool: &str, device: &str) -> bool {
    let matches = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    selector.is_some_and(|wanted| {
        matches(&wanted.driver, driver) && matches(&wanted.pool, pool) && matches(&wanted.device, device)
    })
}

/// When who holds this device has to go; the outer `None`: the taint is tolerated for ever.
fn end(taint: &DeviceTaint, device: &DeviceRequestAllocationResult) -> Option<Option<Timestamp>> {
    let since = taint.time_added.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let mut covering = device.tolerations.iter().flatten().filter(|one| tolerates(one, taint)).peekable();
    if covering.peek().is_none() {
        return Some(Some(since));
    }
    let seconds = covering.filter_map(|one| one.toleration_seconds).min()?;
    Some(Some(since.saturating_add(SignedDuration::from_secs(seconds.max(0))).unwrap_or(Timestamp::MAX)))
}

fn tolerates(toleration: &DeviceToleration, taint: &DeviceTaint) -> bool {
    let differs = |wanted: &Option<String>, value: &str| {
        wanted.as_deref().is_some_and(|wanted| !wanted.is_empty() && wanted != value)
    };
    if differs(&toleration.effect, "NoExecute") || differs(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or(""),
    }
}

fn evict(pod: &Arc<PodView>, evicted: &mut HashSet<String>, now: Timestamp, plan: &mut Plan) {
    let key = ObjectKey::of(&pod.metadata);
    plan.say(Note::normal(reference(&**pod), "DeviceTaintManagerEviction", format!("Marking for deletion Pod {key}")));
    let message = "Device Taint manager: deleting due to NoExecute taint";
    plan.act(disrupted(pod, "DeletionByDeviceTaintManager", message, now));
    plan.act(Action::delete::<PodView>(&pod.metadata));
    evicted.extend(pod.metadata.uid.clone());
}

/// `2 pods need to be evicted in 1 namespace`
fn places(pods: &[&Arc<PodView>], one: &str, more: &str, be: &str) -> String {
    let verb = if pods.len() == 1 { one } else { more };
    let namespaces: BTreeSet<_> = pods.iter().map(|pod| pod.metadata.namespace.as_deref()).collect();
    let spread =
        if namespaces.len() == 1 { "1 namespace".into() } else { format!("{} different namespaces", namespaces.len()) };
    format!("{} {verb} {be} evicted in {spread}", count(pods.len(), "pod"))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What a rule without effect would do.
fn would(rule: &DeviceTaintRule, held: &Held<'_>, pods: &[&Arc<PodView>]) -> String {
    let selector = rule.spec.device_selector.as_ref();
    let published = held.slices.iter().flat_map(|slice| {
        let of = &slice.spec;
        of.devices.iter().flatten().filter(move |device| chosen(selector, &of.driver, &of.pool.name, &device.name))
    });
    let allocated = held.claims.iter().flat_map(|claim| results(claim)).filter(|device| selects(selector, device));
    format!(
        "{} selected. {} selected. {} if the effect was NoExecute. This information will not be updated again. \
         Recreate the DeviceTaintRule to trigger an update.",
        count(published.count(), "published device"),
        count(allocated.count(), "allocated device"),
        places(pods, "would", "would", "be"),
    )
}

/// Sets the condition, if it says something else.
fn say(plan: &mut Plan, rule: &DeviceTaintRule, (status, reason, message): (&str, &str, &str), now: Timestamp) {
    let known = rule.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let generation = rule.metadata.generation.unwrap_or_default();
    let mut same = known.filter(|one| {
        let told = (one.status.as_str(), one.reason.as_str(), one.observed_generation.unwrap_or_default());
        // What a rule would do is told once.
        let text = reason == "NoEffect" || one.message == message;
        one.type_ == "EvictionInProgress" && told == (status, reason, generation) && text
    });
    if same.next().is_some() {
        return;
    }
    let condition = json!({"type": "EvictionInProgress", "status": status, "reason": reason, "message": message,
        "observedGeneration": generation, "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
    let patch = json!({"status": {"conditions": [condition]}});
    plan.act(Action::patch::<DeviceTaintRule>(&rule.metadata, "status", STRATEGIC, patch));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(effect: &str) -> DeviceTaintRule {
        serde_json::from_value(json!({
            "metadata": {"name": "r", "uid": "u", "generation": 1},
            "spec": {"deviceSelector": {"driver": "d.io"},
                "taint": {"key": "broken", "effect": effect, "timeAdded": "1970-01-01T00:00:10Z"}},
        }))
        .unwrap()
    }

    fn claim(tolerations: serde_json::Value) -> Vec<Arc<ResourceClaim>> {
        let results =
            json!([{"request": "r", "driver": "d.io", "pool": "p", "device": "0", "tolerations": tolerations}]);
        let body = json!({"metadata": {"name": "c", "namespace": "n"}, "spec": {}, "status": {
            "allocation": {"devices": {"results": results}},
            "reservedFor": [{"resource": "pods", "name": "web", "uid": "pod"}]}});
        vec![Arc::new(serde_json::from_value(body).unwrap())]
    }

    fn pods() -> Vec<Arc<PodView>> {
        let body = json!({"metadata": {"name": "web", "namespace": "n", "uid": "pod"}, "spec": {}, "status": {}});
        vec![Arc::new(serde_json::from_value(body).unwrap())]
    }

    fn told(plan: &Plan) -> (String, String) {
        let condition = plan.actions().last().unwrap().body["status"]["conditions"][0].clone();
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_string();
        (text("reason"), text("message"))
    }

    #[test]
    fn a_rule_says_how_far_its_eviction_is() {
        let (pods, at) = (pods(), |second: i64| Timestamp::from_second(second).unwrap());
        let run = |effect: &str, tolerations, evicted: &mut HashSet<String>, now| {
            let claims = claim(tolerations);
            reconcile(&rule(effect), &Held { claims: &claims, slices: &[], pods: &pods }, evicted, now)
        };
        let mut evicted = HashSet::new();
        let other = run("NoSchedule", json!([]), &mut evicted, at(20));
        assert_eq!(told(&other).0, "OtherEffect");
        let tolerated = run("NoExecute", json!([{"operator": "Exists"}]), &mut evicted, at(20));
        assert_eq!((tolerated.actions().len(), told(&tolerated).0.as_str()), (1, "NotStarted"));
        let waits = run("NoExecute", json!([{"operator": "Exists", "tolerationSeconds": 60}]), &mut evicted, at(20));
        assert_eq!(waits.again_after, Some(std::time::Duration::from_secs(50)));
        assert_eq!(told(&waits).1, "1 pod needs to be evicted in 1 namespace.");
        let would = run("None", json!([]), &mut evicted, at(20));
        assert!(told(&would).1.contains("1 allocated device selected. 1 pod would be evicted in 1 namespace if"));
        assert!(evicted.is_empty());
        let goes = run("NoExecute", json!([]), &mut evicted, at(20));
        assert_eq!(goes.actions().len(), 3, "why, the delete, and the rule's status");
        assert_eq!(evicted.len(), 1);
    }
}
