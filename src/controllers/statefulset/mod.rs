//! StatefulSet: Pods with names, an order, and storage of their own.
//!
//! Comes in: StatefulSets, their Pods, revisions and claims. Goes out: Pods `name-0`, `name-1`, …
//! made in order and removed in reverse, one PersistentVolumeClaim each for every template, updates
//! from the highest ordinal down to the partition. Source: kube-controller-manager,
//! pkg/controller/statefulset. Chapter: `book/src/control-plane/kube-controller-manager.md`.
//!
//! `claims` says whom a claim goes with.

mod claims;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, Volume};

use crate::client::ObjectKey;
use crate::client::views::PodView;
use crate::controllers::deployment::resolve_up;
use crate::controllers::history::{self, HASH, History};
use crate::controllers::owners::{self, Claim};
use crate::controllers::plan::{Action, Note, Plan, reference};
use crate::controllers::pods;
use crate::controllers::runner::{Moment, Room};
use claims::Place;

/// Source: --concurrent-statefulset-syncs.
const WORKERS: usize = 5;
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// Starts the loop.
pub fn start(room: Room) {
    let (sets, pods) = (room.informer::<StatefulSet>(), room.informer::<PodView>());
    let (revisions, claims) = (room.informer::<ControllerRevision>(), room.informer::<PersistentVolumeClaim>());
    room.wake_self(&sets);
    let known = sets.clone();
    room.wake(&pods, move |pod| {
        if owners::controller_of(&pod.metadata).is_some() {
            return owners::controller_key(&pod.metadata, "StatefulSet").into_iter().collect();
        }
        let all = known.in_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
        all.iter().filter(|set| ordinal(set, pod).is_some()).map(|set| ObjectKey::of(&set.metadata)).collect()
    });
    // A claim that goes with a Pod keeps the next Pod of its name waiting.
    room.wake(&claims, |claim| {
        let owner = owners::controller_of(&claim.metadata).filter(|owner| owner.kind == "Pod");
        let set = owner.and_then(|pod| Some(pod.name.rsplit_once('-')?.0.to_owned()));
        let namespace = claim.metadata.namespace.clone().unwrap_or_default();
        set.map(|set| ObjectKey::new(namespace, set)).into_iter().collect()
    });
    room.run("statefulset-controller", WORKERS, move |key, moment| {
        let Some(set) = sets.get(key) else { return Plan::none() };
        let Some(selector) = owners::selector(&set.spec.selector) else { return Plan::none() };
        let mut claim = owners::claim(&*set, &selector, &pods);
        // An orphan with a foreign name is not this set's.
        claim.owned.retain(|pod| ordinal(&set, pod).is_some());
        claim.patches.retain(|patch| {
            patch.body["metadata"]["ownerReferences"][0]["$patch"] == "delete"
                || parse_ordinal(&set, &patch.key.name).is_some()
        });
        let owned = revisions.owned_by(set.metadata.uid.as_deref().unwrap_or_default());
        let claim_named = |name: &str| claims.get(&ObjectKey::new(&key.namespace, name));
        reconcile(&set, claim, owned, &claim_named, moment)
    });
}

fn ordinal(set: &StatefulSet, pod: &PodView) -> Option<i32> {
    parse_ordinal(set, pod.metadata.name.as_deref()?)
}

fn parse_ordinal(set: &StatefulSet, pod: &str) -> Option<i32> {
    let (parent, ordinal) = pod.rsplit_once('-')?;
    (Some(parent) == set.metadata.name.as_deref()).then(|| ordinal.parse().ok())?
}

/// Finds a claim of the set's namespace.
type ClaimNamed<'a> = dyn Fn(&str) -> Option<Arc<PersistentVolumeClaim>> + 'a;

/// What a StatefulSet needs done.
pub fn reconcile(
    set: &StatefulSet,
    claim: Claim<PodView>,
    revisions: Vec<Arc<ControllerRevision>>,
    claim_named: &ClaimNamed<'_>,
    moment: &Moment,
) -> Plan {
    let mut plan = Plan::none();
    for patch in claim.patches {
        plan.act(patch);
    }
    if set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let history = history::follow(set, &set.spec.template, revisions, &mut plan);
    let pods: BTreeMap<i32, Arc<PodView>> =
        claim.owned.into_iter().filter_map(|pod| Some((ordinal(set, &pod)?, pod))).collect();
    let status = status(set, &pods, &history, moment.now);
    if Some(&status) != set.status.as_ref() {
        plan.act(Action::update_sub(&StatefulSet { status: Some(status.clone()), ..set.clone() }, "status"));
    }
    let scene = Scene { set, pods: &pods, history: &history, status: &status, claim_named, now: moment.now };
    scene.act(&mut plan);
    let used = |name: &str| {
        status.current_revision.as_deref() == Some(name) || pods.values().any(|pod| revision(pod) == Some(name))
    };
    history.clean_up(set.spec.revision_history_limit.unwrap_or(10), &used, &mut plan);
    plan
}

fn revision(pod: &PodView) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(HASH).map(String::as_str)
}

fn healthy(pod: &PodView) -> bool {
    pod.is_active() && pod.is_ready()
}

fn status(
    set: &StatefulSet,
    pods: &BTreeMap<i32, Arc<PodView>>,
    history: &History,
    now: Timestamp,
) -> StatefulSetStatus {
    let old = set.status.clone().unwrap_or_default();
    let current =
        old.current_revision.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| history.update.clone());
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let count = |test: &dyn Fn(&PodView) -> bool| i32::try_from(pods.values().filter(|p| test(p)).count()).unwrap_or(0);
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    let of = |name: &str| count(&|pod| pod.is_active() && revision(pod) == Some(name));
    let (replicas, ready) = (count(&|_| true), count(&healthy));
    let updated = of(&history.update);
    let done = updated == replicas && ready == replicas && replicas == wanted(set);
    let current = if done { history.update.clone() } else { current };
    StatefulSetStatus {
        observed_generation: set.metadata.generation,
        replicas,
        ready_replicas: some(ready),
        available_replicas: Some(count(&|pod| healthy(pod) && pod.is_available(min_ready, now))),
        current_replicas: some(of(&current)),
        updated_replicas: some(updated),
        current_revision: Some(current),
        update_revision: Some(history.update.clone()),
        collision_count: Some(old.collision_count.unwrap_or(0)),
        conditions: old.conditions,
    }
}

fn wanted(set: &StatefulSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

/// All that decides about a set's Pods.
struct Scene<'a> {
    set: &'a StatefulSet,
    pods: &'a BTreeMap<i32, Arc<PodView>>,
    history: &'a History,
    status: &'a StatefulSetStatus,
    claim_named: &'a ClaimNamed<'a>,
    now: Timestamp,
}

impl Scene<'_> {
    fn act(&self, plan: &mut Plan) {
        let start = self.set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
        let ordinals = start..start + wanted(self.set);
        let in_order = self.set.spec.pod_management_policy.as_deref() != Some("Parallel");
        self.own_claims(&ordinals, plan);
        for ordinal in ordinals.clone() {
            if !self.keep(ordinal, plan) && in_order {
                return;
            }
        }
        for (_, pod) in self.pods.iter().rev().filter(|(ordinal, _)| !ordinals.contains(ordinal)) {
            if pod.metadata.deletion_timestamp.is_none() {
                plan.act(self.delete(pod));
            }
            if in_order {
                return;
            }
        }
        self.update(ordinals, plan);
    }

    /// The claims of the Pods that are there get the owners that the policy wants.
    fn own_claims(&self, ordinals: &std::ops::Range<i32>, plan: &mut Plan) {
        for (ordinal, pod) in self.pods {
            let place = Place { pod, wanted: ordinals.contains(ordinal) };
            let claims = self.claim_names(*ordinal).filter_map(|(_, name)| (self.claim_named)(&name));
            for claim in claims.filter_map(|claim| claims::owned(&claim, self.set, &place)) {
                plan.act(Action::update(&claim));
            }
        }
    }

    fn pod_name(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.set.metadata.name.as_deref().unwrap_or_default())
    }

    /// The claim templates, each with the name of its claim.
    fn claim_names(&self, ordinal: i32) -> impl Iterator<Item = (&PersistentVolumeClaim, String)> {
        let named = move |template: &'_ PersistentVolumeClaim| {
            format!("{}-{}", template.metadata.name.as_deref().unwrap_or_default(), self.pod_name(ordinal))
        };
        self.set.spec.volume_claim_templates.iter().flatten().map(move |template| (template, named(template)))
    }

    /// Makes sure the Pod of an ordinal is there. True when it is, and works.
    fn keep(&self, ordinal: i32, plan: &mut Plan) -> bool {
        let Some(pod) = self.pods.get(&ordinal) else {
            let pod = self.pod_name(ordinal);
            let mut claims = self.claim_names(ordinal).filter_map(|(_, name)| (self.claim_named)(&name));
            if !claims.any(|claim| claims::is_stale(&claim, self.set, &pod)) {
                self.create(ordinal, plan);
            }
            return false;
        };
        if pod.metadata.deletion_timestamp.is_some() {
            return false;
        }
        if pod.is_finished() {
            plan.act(self.delete(pod));
            return false;
        }
        if pod.status.phase.as_deref() == Some("Pending") {
            self.create_claims(ordinal, plan);
        }
        let min_ready = self.set.spec.min_ready_seconds.unwrap_or(0);
        if let Some(at) = pod.available_at(min_ready).filter(|at| *at > self.now) {
            plan.again_at(at, self.now);
        }
        healthy(pod) && pod.is_available(min_ready, self.now)
    }

    /// Replaces Pods of another revision, from the highest ordinal down, a few at a time.
    fn update(&self, ordinals: std::ops::Range<i32>, plan: &mut Plan) {
        let strategy = self.set.spec.update_strategy.clone().unwrap_or_default();
        if strategy.type_.as_deref() == Some("OnDelete") {
            return;
        }
        let rolling = strategy.rolling_update.unwrap_or_default();
        let partition = ordinals.start + rolling.partition.unwrap_or(0);
        let most = rolling.max_unavailable.map_or(1, |share| resolve_up(&share, wanted(self.set)).max(1));
        let mut unavailable =
            ordinals.clone().filter(|ordinal| !self.pods.get(ordinal).is_some_and(|pod| healthy(pod))).count();
        for ordinal in ordinals.rev().filter(|ordinal| *ordinal >= partition) {
            let Some(pod) = self.pods.get(&ordinal) else { continue };
            let old = revision(pod) != Some(&self.history.update) && pod.metadata.deletion_timestamp.is_none();
            if old && (!healthy(pod) || i32::try_from(unavailable).unwrap_or(i32::MAX) < most) {
                unavailable += usize::from(healthy(pod));
                plan.act(self.delete(pod));
            }
            if i32::try_from(unavailable).unwrap_or(i32::MAX) >= most {
                return;
            }
        }
    }

    fn create(&self, ordinal: i32, plan: &mut Plan) {
        let strategy = self.set.spec.update_strategy.as_ref();
        let partition = strategy.and_then(|s| s.rolling_update.as_ref()?.partition).unwrap_or(0);
        let current = self.status.current_revision.as_deref().unwrap_or_default();
        let wanted = if ordinal < partition { current } else { &self.history.update };
        let template = self.history.template(wanted).unwrap_or_else(|| self.set.spec.template.clone());
        let mut pod = pods::from_template(self.set, &template);
        self.identify(&mut pod, ordinal, wanted);
        self.store(&mut pod, ordinal);
        self.create_claims(ordinal, plan);
        let about = reference(self.set);
        let (name, set) =
            (pod.metadata.name.clone().unwrap_or_default(), self.set.metadata.name.as_deref().unwrap_or_default());
        let words = format!("create Pod {name} in StatefulSet {set}");
        plan.act(
            Action::create(&pod)
                .said(Note::normal(about.clone(), "SuccessfulCreate", format!("{words} successful")))
                .failed(Note::warning(about, "FailedCreate", format!("{words} failed error: <err>"))),
        );
    }

    /// A name, a host name and labels that last.
    fn identify(&self, pod: &mut Pod, ordinal: i32, revision: &str) {
        let name = self.pod_name(ordinal);
        pod.metadata.generate_name = None;
        pod.metadata.name = Some(name.clone());
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert(POD_NAME.into(), name.clone());
        labels.insert(POD_INDEX.into(), ordinal.to_string());
        labels.insert(HASH.into(), revision.to_owned());
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(name);
        spec.subdomain = self.set.spec.service_name.clone().filter(|name| !name.is_empty());
    }

    /// The Pod mounts the claims of its ordinal.
    fn store(&self, pod: &mut Pod, ordinal: i32) {
        for (template, claim_name) in self.claim_names(ordinal) {
            let volume = template.metadata.name.clone().unwrap_or_default();
            let volumes = pod.spec.get_or_insert_default().volumes.get_or_insert_default();
            volumes.retain(|known| known.name != volume);
            let source = PersistentVolumeClaimVolumeSource { claim_name, read_only: None };
            volumes.push(Volume { name: volume, persistent_volume_claim: Some(source), ..Default::default() });
        }
    }

    /// A claim for each template, made once and kept when the Pod goes.
    fn create_claims(&self, ordinal: i32, plan: &mut Plan) {
        let missing = self.claim_names(ordinal).filter(|(_, name)| (self.claim_named)(name).is_none());
        for (template, name) in missing {
            let mut claim = template.clone();
            claim.metadata.name = Some(name);
            claim.metadata.namespace = self.set.metadata.namespace.clone();
            let labels = claim.metadata.labels.get_or_insert_default();
            labels.extend(self.set.spec.selector.match_labels.clone().unwrap_or_default());
            claim.status = None;
            plan.act(Action::create(&claim));
        }
    }

    fn delete(&self, pod: &PodView) -> Action {
        let about = reference(self.set);
        let set = self.set.metadata.name.as_deref().unwrap_or_default();
        let words = format!("delete Pod {} in StatefulSet {set}", pod.metadata.name.as_deref().unwrap_or_default());
        Action::delete::<PodView>(&pod.metadata)
            .said(Note::normal(about.clone(), "SuccessfulDelete", format!("{words} successful")))
            .failed(Note::warning(about, "FailedDelete", format!("{words} failed error: <err>")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::plan::Verb;
    use serde_json::{Value, json};

    fn set(spec: Value) -> StatefulSet {
        let mut value = json!({ "metadata": { "name": "db", "namespace": "default", "uid": "s" }, "spec": {
            "replicas": 3, "selector": { "matchLabels": { "app": "db" } },
            "template": { "metadata": { "labels": { "app": "db" } }, "spec": { "containers": [] } },
            "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {} }],
        } });
        for (key, part) in spec.as_object().unwrap() {
            value["spec"][key] = part.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn pod(ordinal: i32, ready: &str, revision: &str) -> Arc<PodView> {
        let value = json!({
            "metadata": { "name": format!("db-{ordinal}"), "uid": format!("p{ordinal}"), "labels": { HASH: revision } },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] },
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn moves(set: &StatefulSet, pods: Vec<Arc<PodView>>) -> Vec<String> {
        let moment = Moment { now: Timestamp::UNIX_EPOCH, failure: None };
        let plan = reconcile(set, Claim { owned: pods, patches: Vec::new() }, Vec::new(), &|_| None, &moment);
        let word = |action: &&Action| match action.verb {
            Verb::Create => Some(format!("+{}", action.key.name)),
            Verb::Delete => Some(format!("-{}", action.key.name)),
            _ => None,
        };
        let all = plan.actions();
        all.iter()
            .filter_map(word)
            .filter(|word| !word.starts_with("+db-") || parse_ordinal(set, &word[1..]).is_some())
            .collect()
    }

    fn update(set: &StatefulSet) -> String {
        history::follow(set, &set.spec.template, Vec::new(), &mut Plan::none()).update
    }

    #[test]
    fn pods_come_in_order_each_with_its_claim() {
        let set = set(json!({}));
        let now = update(&set);
        assert_eq!(moves(&set, vec![]), ["+data-db-0", "+db-0"]);
        assert!(moves(&set, vec![pod(0, "False", &now)]).is_empty());
        assert_eq!(moves(&set, vec![pod(0, "True", &now)]), ["+data-db-1", "+db-1"]);
    }

    #[test]
    fn pods_go_and_are_updated_from_the_highest_down() {
        let set = set(json!({ "replicas": 2 }));
        let now = update(&set);
        let four = |revision: &str| (0..4).map(|n| pod(n, "True", revision)).collect::<Vec<_>>();
        assert_eq!(moves(&set, four(&now)), ["-db-3"]);
        assert_eq!(moves(&set, four("old")[..2].to_vec()), ["-db-1"]);
        let partition = self::set(json!({ "replicas": 2, "updateStrategy": { "rollingUpdate": { "partition": 1 } } }));
        assert!(moves(&partition, vec![pod(0, "True", "old"), pod(1, "True", &now)]).is_empty());
    }
}
