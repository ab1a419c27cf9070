//! What a loop wants done: data, so that a loop can be tested without a cluster.
//!
//! A loop is a pure function from what it sees to a [`Plan`]; the runner carries the plan out
//! through the client. An [`Action`] is one request and what to say about its outcome.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::ObjectKey;

/// What is to be done for one key, in order; the first failure ends it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do.
    pub steps: Vec<Step>,
    /// Look again after this time, whatever happens meanwhile.
    pub again_after: Option<Duration>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a plan has a handful of steps and lives for one turn")]
pub enum Step {
    /// One request.
    Do(Action),
    /// Many like requests at once: first one, then two, four, eight…, so that a request that is
    /// bound to fail is not sent a hundred times. Source: controller_utils.go, slowStartBatch.
    Burst(Vec<Action>),
    /// Something to say, whatever happens.
    Say(Note),
}

/// An event about an object. In `message`, `<name>` stands for the written object's name and
/// `<err>` for the error's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The object it is about.
    pub about: ObjectReference,
    /// `Warning`, or else `Normal`.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// Kubernetes' sentence.
    pub message: String,
}

/// The HTTP side of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// POST to the collection.
    Create,
    /// PUT.
    Update,
    /// PATCH with this content type.
    Patch(&'static str),
    /// DELETE, with `DeleteOptions` as the body.
    Delete,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// How.
    pub verb: Verb,
    /// The collection's path.
    pub path: String,
    /// `plural.group`, to find the informers that will show the write.
    pub resource: String,
    /// Which object; the name is empty for a generated one.
    pub key: ObjectKey,
    /// The object's uid, for a delete.
    pub uid: Option<String>,
    /// `status`, `finalize`, `eviction`, or nothing.
    pub subresource: &'static str,
    /// The body.
    pub body: Value,
    /// Said when it worked.
    pub said: Option<Note>,
    /// Said when it failed; its reason also names the failure to the next reconcile.
    pub failed: Option<Note>,
}

/// Strategic merge.
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// JSON merge patch (RFC 7386).
pub const MERGE: &str = "application/merge-patch+json";
/// JSON patch (RFC 6902).
pub const JSON: &str = "application/json-patch+json";

impl Plan {
    /// Nothing to do.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a request.
    pub fn act(&mut self, action: Action) {
        self.steps.push(Step::Do(action));
    }

    /// Adds something to say.
    pub fn say(&mut self, note: Note) {
        self.steps.push(Step::Say(note));
    }

    /// Looks again after `delay`, or earlier where that was asked for.
    pub fn again(&mut self, delay: Duration) {
        self.again_after = Some(self.again_after.map_or(delay, |known| known.min(delay)));
    }

    /// Looks again at `time`.
    pub fn again_at(&mut self, time: jiff::Timestamp, now: jiff::Timestamp) {
        self.again(Duration::try_from(time.duration_since(now)).unwrap_or(Duration::ZERO));
    }

    /// The requests, in order.
    #[cfg(test)]
    pub fn actions(&self) -> Vec<&Action> {
        self.steps
            .iter()
            .flat_map(|step| match step {
                Step::Do(action) => vec![action],
                Step::Burst(actions) => actions.iter().collect(),
                Step::Say(_) => Vec::new(),
            })
            .collect()
    }
}

impl Note {
    /// A `Normal` event.
    pub fn normal(about: ObjectReference, reason: &'static str, message: impl Into<String>) -> Self {
        Note { about, warning: false, reason, message: message.into() }
    }

    /// A `Warning` event.
    pub fn warning(about: ObjectReference, reason: &'static str, message: impl Into<String>) -> Self {
        Note { about, warning: true, reason, message: message.into() }
    }
}

impl Action {
    fn new<K: Resource<DynamicType = ()>>(
        verb: Verb,
        meta: &ObjectMeta,
        subresource: &'static str,
        body: Value,
    ) -> Self {
        let key = ObjectKey::of(meta);
        let namespace = Some(key.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        Action {
            verb,
            path: K::url_path(&(), namespace),
            resource: format!("{}.{}", K::plural(&()), K::group(&())),
            key,
            uid: meta.uid.clone(),
            subresource,
            body,
            said: None,
            failed: None,
        }
    }

    /// Creates an object (its namespace from its metadata).
    pub fn create<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Self {
        Self::new::<K>(Verb::Create, object.meta(), "", body(object))
    }

    /// Replaces an object; its `resourceVersion` guards against a newer one.
    pub fn update<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Self {
        Self::new::<K>(Verb::Update, object.meta(), "", body(object))
    }

    /// Replaces a subresource (`status`, `finalize`) with the object's.
    pub fn update_sub<K: Resource<DynamicType = ()> + Serialize>(object: &K, subresource: &'static str) -> Self {
        Self::new::<K>(Verb::Update, object.meta(), subresource, body(object))
    }

    /// Patches the object of this metadata.
    pub fn patch<K: Resource<DynamicType = ()>>(
        meta: &ObjectMeta,
        subresource: &'static str,
        kind: &'static str,
        patch: Value,
    ) -> Self {
        Self::new::<K>(Verb::Patch(kind), meta, subresource, patch)
    }

    /// Deletes exactly this object: one that took its name since is left alone.
    pub fn delete<K: Resource<DynamicType = ()>>(meta: &ObjectMeta) -> Self {
        let options = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": { "uid": meta.uid } });
        Self::new::<K>(Verb::Delete, meta, "", options)
    }

    /// Sets how the dependents of a deleted object end: `Background`, `Foreground`, `Orphan`.
    #[must_use]
    pub fn propagation(mut self, policy: &str) -> Self {
        self.body["propagationPolicy"] = policy.into();
        self
    }

    /// Sets what is said when it worked.
    #[must_use]
    pub fn said(mut self, note: Note) -> Self {
        self.said = Some(note);
        self
    }

    /// Sets what is said when it failed.
    #[must_use]
    pub fn failed(mut self, note: Note) -> Self {
        self.failed = Some(note);
        self
    }
}

/// The object with its apiVersion and kind, which typed structs leave out.
fn body<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Value {
    // Kubernetes types have string keys only, so they are always representable.
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = K::api_version(&()).into();
    value["kind"] = K::kind(&()).into();
    value
}

/// The reference an event about this object carries.
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    ObjectReference { resource_version: object.meta().resource_version.clone(), ..object.object_ref(&()) }
}

/// The owner reference of a controller: it is *the* controller, and it waits for this dependent
/// when it is deleted in the foreground.
pub fn owner_reference<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
    owner: &K,
) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        api_version: K::api_version(&()).into(),
        kind: K::kind(&()).into(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: owner.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
