//! The loop over definitions: names, conditions, resources in the catalog.
//!
//! It wakes with every change of a definition and looks at all of them: there are few, and a name
//! that one gives back is one that another may wait for. What it decides it writes to `status`,
//! guarded by the revision it read, so a lost race is only another turn. Who changes a definition is
//! answered when the change holds ([`settled`]): a request that follows is served by the new words.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::names::{self, Names};
use super::{Condition, holds, removal, resources};
use crate::api::apply::{FieldSet, Writer, track_update};
use crate::api::custom::Definition;
use crate::api::meta;
use crate::api::resource::Resource;
use crate::apiserver::cache::FieldsOf;
use crate::apiserver::engine::Engine;
use crate::apiserver::storage;
use crate::apiserver::verbs::create::second;

/// The manager of what this loop writes.
const MANAGER: &str = "kube-apiserver";
/// The group of definitions.
const GROUP: &str = "apiextensions.k8s.io";
/// Where definitions lie.
const PLURAL: &str = "customresourcedefinitions";
/// The longest that an answer waits for this loop: a loop in trouble must not stop those who mend it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is served now, by the definition's name.
#[derive(Default)]
pub struct Custom {
    served: HashMap<String, Served>,
    /// Deleted definitions whose objects are going, by uid.
    emptying: HashSet<String>,
}

struct Served {
    /// What of the definition the resources were made from.
    from: Value,
    group: String,
    plural: String,
    prefix: String,
    selectable: Vec<String>,
}

/// Serves every established definition, then keeps up with changes in the background.
pub async fn start(engine: &Arc<Engine>) {
    let Some(resource) = engine.catalog.now().stored(GROUP, PLURAL).cloned() else { return };
    let Some(cache) = engine.cache(&resource) else { return };
    let mut custom = Custom::default();
    let mut changes = cache.subscribe();
    changes.mark_unchanged();
    custom.turn(engine, &resource).await;
    let engine = engine.clone();
    engine.tasks.clone().spawn("custom resources", async move {
        while changes.changed().await.is_ok() {
            custom.turn(&engine, &resource).await;
        }
    });
}

/// Waits until a change of a definition, written at `revision`, is what requests are served by. Of other
/// kinds there is nothing to wait for.
pub async fn settled(engine: &Engine, resource: &Resource, revision: i64) {
    if &*resource.group == GROUP && &*resource.plural == PLURAL {
        let caught_up = engine.catalog.caught_up(revision);
        if engine.clock.timeout(PATIENCE, caught_up).await.is_err() {
            tracing::warn!(revision, "a changed definition is not served yet");
        }
    }
}

impl Custom {
    async fn turn(&mut self, engine: &Arc<Engine>, resource: &Arc<Resource>) {
        let Some(cache) = engine.cache(resource) else { return };
        let snapshot = cache.snapshot("", "");
        let definitions: Vec<Value> = snapshot.objects.iter().map(|object| object.value()).collect();
        for (at, definition) in definitions.iter().enumerate() {
            let others = definitions.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other);
            let names = names::decide(definition, others);
            self.look(engine, resource, definition, names).await;
        }
        let gone: Vec<String> = self
            .served
            .keys()
            .filter(|name| !definitions.iter().any(|definition| meta::name(definition) == *name))
            .cloned()
            .collect();
        for served in gone.iter().filter_map(|name| self.served.remove(name)) {
            engine.catalog.set_custom(&served.group, &served.plural, Vec::new());
            engine.caches.remove(&served.prefix);
        }
        engine.catalog.follows(snapshot.revision);
    }

    /// One definition: decides, serves, tells.
    async fn look(&mut self, engine: &Arc<Engine>, resource: &Arc<Resource>, definition: &Value, names: Names) {
        let mut new = definition.clone();
        let now = second(engine.clock.now());
        new["status"]["acceptedNames"] = names.accepted;
        let accepted = names.conflict.is_none();
        let (reason, message) = names.conflict.unwrap_or(("NoConflicts", "no conflicts found".to_string()));
        let told = |kind, holds, reason, message| Condition { kind, holds, reason, message };
        if let Some(condition) = approval(definition) {
            condition.set(&mut new, &now);
        }
        told("NamesAccepted", accepted, reason, &message).set(&mut new, &now);
        let established = holds(definition, "Established");
        let deleted = meta::deletion_timestamp(definition).is_some();
        if !established && !deleted {
            match accepted {
                true => told("Established", true, "InitialNamesAccepted", "the initial names have been accepted"),
                false => told("Established", false, "NotAccepted", "not all names are accepted"),
            }
            .set(&mut new, &now);
        }
        if holds(&new, "Established") {
            self.serve(engine, &new).await;
        }
        if new["status"] != definition["status"] {
            write(engine, resource, definition, new).await;
        } else if removal::is_asked(definition) && self.emptying.insert(meta::uid(definition).to_string()) {
            removal::start(engine, resource, definition.clone());
        }
    }

    async fn serve(&mut self, engine: &Arc<Engine>, definition: &Value) {
        let ending = meta::deletion_timestamp(definition).is_some();
        let from = json!([definition["spec"], definition["status"]["acceptedNames"], ending, meta::uid(definition)]);
        let name = meta::name(definition).to_string();
        if self.served.get(&name).is_some_and(|served| served.from == from) {
            return;
        }
        let versions = resources::of(definition);
        let group = meta::text(definition, &["spec", "group"]).to_string();
        let plural = meta::text(definition, &["status", "acceptedNames", "plural"]).to_string();
        let prefix = format!("{}{group}/{plural}/", crate::apiserver::cache::feed::ROOT);
        let selectable = selectable(&versions);
        if self.served.get(&name).is_some_and(|served| served.selectable != selectable) {
            engine.caches.remove(&prefix);
        }
        if let Err(error) = engine.caches.add(prefix.clone(), fields_of(&versions)).await {
            tracing::warn!(%error, definition = name, "the objects of a custom resource cannot be loaded");
            return;
        }
        engine.catalog.set_custom(&group, &plural, versions);
        self.served.insert(name, Served { from, group, plural, prefix, selectable });
    }
}

fn selectable(versions: &[Arc<Resource>]) -> Vec<String> {
    let mut names: Vec<String> = definitions(versions)
        .flat_map(|definition| definition.selectable.iter().map(|field| field.name.clone()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn definitions(versions: &[Arc<Resource>]) -> impl Iterator<Item = &Arc<Definition>> {
    versions.iter().filter_map(|version| version.definition.as_ref())
}

/// Reads the fields that any version lets selectors name.
fn fields_of(versions: &[Arc<Resource>]) -> FieldsOf {
    let definitions: Vec<Arc<Definition>> = definitions(versions).cloned().collect();
    Arc::new(move |object| {
        let fields = definitions.iter().flat_map(|definition| &definition.selectable);
        fields.map(|field| (field.name.clone().into(), field.value(object))).collect()
    })
}

/// Groups of the Kubernetes project need the project's approval.
fn approval(definition: &Value) -> Option<Condition<'_>> {
    const ANNOTATION: &str = "api-approved.kubernetes.io";
    let group = meta::text(definition, &["spec", "group"]);
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|owner| group.strip_suffix(owner).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    let given = meta::annotation(definition, ANNOTATION);
    let (holds, reason) = match given.filter(|_| protected)? {
        text if text.starts_with("unapproved") => (false, "UnapprovedAnnotation"),
        text if text.starts_with("https://") || text.starts_with("http://") => (true, "ApprovedAnnotation"),
        _ => (false, "InvalidAnnotation"),
    };
    Some(Condition { kind: "KubernetesAPIApprovalPolicyConformant", holds, reason, message: given.unwrap_or_default() })
}

/// Writes a definition's status as it was decided; whether it was still the one that was read.
pub async fn write(engine: &Engine, resource: &Resource, old: &Value, mut new: Value) -> bool {
    let reset = FieldSet::of_fields(&[&["spec"]]);
    let writer = Writer {
        manager: MANAGER,
        api_version: &resource.api_version(),
        kind: &resource.kind,
        subresource: "status",
        schema: &resource.schema,
        custom: false,
        reset: &reset,
        now: engine.clock.now(),
    };
    track_update(Some(old), &mut new, &writer);
    let key = storage::prefix(resource) + meta::name(old);
    let revision = meta::resource_version(old).parse().unwrap_or(0);
    match engine.storage.update(key, revision, storage::encode(&new)).await {
        Ok(storage::Written::Done(_)) => true,
        Ok(storage::Written::Changed(_)) => false,
        Err(status) => {
            tracing::warn!(status.message, "a custom resource's status cannot be written");
            false
        }
    }
}
