//! A Deployment's ReplicaSets: which is the new one, how revisions are numbered and kept.
//!
//! The ReplicaSet whose template equals the Deployment's is the new one; all others are old. The
//! number in `deployment.kubernetes.io/revision` makes `kubectl rollout history` and `undo` work.
//! Source: pkg/controller/deployment/{sync,util/deployment_util}.go.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::ObjectMeta;

use super::{World, rollout, status};
use crate::controllers::names;
use crate::controllers::owners::controller_of;
use crate::controllers::plan::{Action, Note, Plan, owner_reference, reference};
use crate::controllers::runner::Moment;

/// The label that keeps the Pods of two templates apart.
pub const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// What a set's Deployment could have grown to when the set was scaled last.
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations that stay with the Deployment.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];
/// Characters of the revision history at most. Source: maxRevHistoryLengthInChars.
const HISTORY_LENGTH: usize = 2000;

/// The ReplicaSets a Deployment owns.
pub struct Sets {
    /// The one with the Deployment's own template.
    pub new: Option<Arc<ReplicaSet>>,
    /// The others, oldest first.
    pub old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    /// Finds the new one: of several with the same template, the oldest.
    pub fn sort(deployment: &Deployment, mut owned: Vec<Arc<ReplicaSet>>) -> Self {
        owned
            .sort_by_key(|set| (set.metadata.creation_timestamp.clone().map(|time| time.0), set.metadata.name.clone()));
        let wanted = without_hash(&deployment.spec.template);
        let at = owned.iter().position(|set| set.spec.template.as_ref().map(without_hash).as_ref() == Some(&wanted));
        let new = at.map(|at| owned.remove(at));
        Sets { new, old: owned }
    }

    /// All of them, the new one last.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    /// The old ones that want replicas.
    pub fn active_old(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().filter(|set| replicas(set) > 0)
    }

    /// Replicas wanted by all.
    pub fn total(&self) -> i32 {
        self.all().map(|set| replicas(set)).sum()
    }

    /// A set still stands as it was scaled for another count of replicas.
    pub fn is_scaling_event(&self, deployment: &Deployment) -> bool {
        let wanted = rollout::wanted(deployment);
        let desired =
            |set: &Arc<ReplicaSet>| annotation(&set.metadata, DESIRED).and_then(|count| count.parse::<i32>().ok());
        self.all().filter(|set| replicas(set) > 0).filter_map(desired).any(|desired| desired != wanted)
    }

    fn newest_revision(&self) -> i64 {
        self.old.iter().map(|set| revision(&set.metadata)).max().unwrap_or(0)
    }

    /// Gives an existing new set the highest revision, the Deployment's annotations, and its
    /// `minReadySeconds`; the Deployment gets the revision too.
    pub fn renumber(&mut self, next: &mut Deployment, now: Timestamp, plan: &mut Plan) {
        let Some(found) = self.new.clone() else { return };
        let mut set = (*found).clone();
        annotate(next, &mut set, self.newest_revision() + 1);
        set.spec.min_ready_seconds = next.spec.min_ready_seconds;
        if set.metadata.annotations != found.metadata.annotations || changed_wait(&set, &found) {
            plan.act(Action::update(&set));
            // The runner guards each write by the revision read: further writes wait for the next look.
            set.metadata.resource_version = None;
        }
        let number = annotation(&set.metadata, REVISION).cloned();
        self.new = Some(Arc::new(set));
        if let Some(number) = number {
            next.metadata.annotations.get_or_insert_default().insert(REVISION.into(), number);
        }
        status::found_new(next, found.metadata.name.as_deref().unwrap_or_default(), now);
    }

    /// Makes sure there is a new set. Returns false when it was just asked for (or cannot be).
    pub fn ensure_new(&mut self, next: &mut Deployment, world: &World<'_>, moment: &Moment, plan: &mut Plan) -> bool {
        if self.new.is_some() {
            return true;
        }
        let mut set = new_set(next);
        let name = set.metadata.name.clone().unwrap_or_default();
        if let Some(other) = (world.taken)(&name) {
            let ours = controller_of(&other.metadata).map(|owner| &owner.uid) == next.metadata.uid.as_ref();
            if !ours || other.spec.template.as_ref().map(without_hash) != Some(without_hash(&next.spec.template)) {
                // Two templates with one hash: another count gives another hash.
                let status = next.status.get_or_insert_default();
                status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
            }
            return false;
        }
        let number = self.newest_revision() + 1;
        annotate(next, &mut set, number);
        let count = rollout::new_count(next, self, 0);
        set.spec.replicas = Some(count);
        rollout::note_size(next, &mut set);
        let about = reference(next);
        let mut create = Action::create(&set).failed(Note::warning(
            about.clone(),
            "ReplicaSetCreateError",
            format!("Failed to create new replica set \"{name}\": <err>"),
        ));
        if count > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {count}");
            create = create.said(Note::normal(about, "ScalingReplicaSet", message));
        }
        if let Some(failure) = moment.failure.as_ref().filter(|failure| failure.reason == "ReplicaSetCreateError") {
            status::not_created(next, &name, &failure.message, moment.now);
            plan.act(Action::update_sub(next, "status"));
        } else {
            status::created_new(next, &name, moment.now);
        }
        plan.act(create);
        next.metadata.annotations.get_or_insert_default().insert(REVISION.into(), number.to_string());
        false
    }

    /// Deletes the oldest idle sets beyond `revisionHistoryLimit`.
    pub fn clean_up(&self, deployment: &Deployment, plan: &mut Plan) {
        let Some(limit) = deployment.spec.revision_history_limit.filter(|limit| *limit != i32::MAX) else { return };
        let mut alive: Vec<_> = self.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
        let surplus = alive.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        alive.sort_by_key(|set| revision(&set.metadata));
        for set in alive.into_iter().take(surplus) {
            let status = set.status.clone().unwrap_or_default();
            let observed = status.observed_generation >= set.metadata.generation;
            if status.replicas == 0 && replicas(set) == 0 && observed {
                plan.act(Action::delete::<ReplicaSet>(&set.metadata));
            }
        }
    }
}

/// Replicas a set wants.
pub fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

/// An annotation.
pub fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a String> {
    meta.annotations.as_ref().and_then(|annotations| annotations.get(key))
}

fn revision(meta: &ObjectMeta) -> i64 {
    annotation(meta, REVISION).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn changed_wait(a: &ReplicaSet, b: &ReplicaSet) -> bool {
    a.spec.min_ready_seconds.unwrap_or(0) != b.spec.min_ready_seconds.unwrap_or(0)
}

/// Writes the Deployment's annotations and a revision that is not lower than before.
fn annotate(deployment: &Deployment, set: &mut ReplicaSet, number: i64) {
    let before = revision(&set.metadata);
    let annotations = set.metadata.annotations.get_or_insert_default();
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !OWN.contains(&key.as_str()) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    if before >= number {
        return;
    }
    annotations.insert(REVISION.into(), number.to_string());
    if before > 0 {
        let mut history: Vec<_> =
            annotations.get(HISTORY).map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default();
        history.push(before.to_string());
        while history.join(",").len() > HISTORY_LENGTH {
            history.remove(0);
        }
        annotations.insert(HISTORY.into(), history.join(","));
    }
}

/// The set for the Deployment's template, not yet scaled.
fn new_set(deployment: &Deployment) -> ReplicaSet {
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = hash(&deployment.spec.template, collisions);
    let mut template = deployment.spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH.into(), hash.clone());
    let labels = labels.clone();
    let mut selector = deployment.spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH.into(), hash.clone());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.metadata.name.as_deref().unwrap_or_default())),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![owner_reference(deployment)]),
            ..Default::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: deployment.spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let meta = template.metadata.get_or_insert_default();
    if let Some(labels) = &mut meta.labels {
        labels.remove(HASH);
    }
    meta.labels = meta.labels.take().filter(|labels| !labels.is_empty());
    meta.annotations = meta.annotations.take().filter(|annotations: &BTreeMap<_, _>| !annotations.is_empty());
    meta.creation_timestamp = None;
    template
}

/// FNV-1a over the template, in the alphabet of Kubernetes' generated names.
pub fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    // Kubernetes types have string keys only, so they are always representable.
    let mut bytes = serde_json::to_vec(&without_hash(template)).unwrap_or_default();
    bytes.extend(collisions.map(i32::to_le_bytes).into_iter().flatten());
    names::safe_encode(names::fnv(&bytes))
}

/// What scaling a set notes in its annotations; true when that changes them.
pub fn note(set: &mut ReplicaSet, desired: i32, max: i32) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let desired = annotations.insert(DESIRED.into(), desired.to_string()).as_deref() != Some(&*desired.to_string());
    let max = annotations.insert(MAX.into(), max.to_string()).as_deref() != Some(&*max.to_string());
    desired || max
}

/// The count a set was scaled for.
pub fn desired(set: &ReplicaSet) -> Option<i32> {
    annotation(&set.metadata, DESIRED).and_then(|count| count.parse().ok())
}
