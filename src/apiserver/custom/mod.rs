//! Custom resources: kinds that clients define.
//!
//! In: the CustomResourceDefinitions in the watch cache. Out: resources in the catalog with their
//! caches, and each definition's `status`. [`controller`] is the loop, [`names`] decides who may
//! have which name, [`resources`] turns a definition into resources, [`removal`] empties one that is
//! deleted, [`strategy`] says what a write of a custom object keeps and checks. To the engine a custom
//! resource is then like any other. Chapter: `book/src/inside/api-server.md`.

pub mod controller;
pub mod names;
pub mod removal;
pub mod resources;
pub mod strategy;

use serde_json::{Value, json};

use crate::api::meta;

/// Holds a deleted definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// One condition of a definition's `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// `Established`, `NamesAccepted`, `Terminating`, …
    pub kind: &'static str,
    /// `True` or `False`.
    pub holds: bool,
    /// Why, in one word.
    pub reason: &'a str,
    /// Why.
    pub message: &'a str,
}

impl Condition<'_> {
    /// Sets the condition in a definition; its time moves only with its status.
    pub fn set(&self, definition: &mut Value, now: &str) {
        let status = if self.holds { "True" } else { "False" };
        if !definition["status"].is_object() {
            definition["status"] = json!({});
        }
        if !definition["status"]["conditions"].is_array() {
            definition["status"]["conditions"] = json!([]);
        }
        let Some(conditions) = definition["status"]["conditions"].as_array_mut() else { return };
        let old = conditions.iter_mut().find(|condition| condition["type"] == self.kind);
        let since = old.as_ref().filter(|old| old["status"] == status).map(|old| old["lastTransitionTime"].clone());
        let condition = json!({
            "type": self.kind, "status": status, "lastTransitionTime": since.unwrap_or_else(|| json!(now)),
            "reason": self.reason, "message": self.message,
        });
        match old {
            Some(old) => *old = condition,
            None => conditions.push(condition),
        }
    }
}

/// Whether a definition's condition is `True`.
pub fn holds(definition: &Value, kind: &str) -> bool {
    let conditions = meta::list(definition, &["status", "conditions"]);
    conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}
