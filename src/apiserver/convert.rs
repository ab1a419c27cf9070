//! Between the version that is stored and the version that is asked for.
//!
//! Most kinds have one version. Two built-in kinds have two (`Event`, `HorizontalPodAutoscaler`);
//! versions of a custom resource differ in their `apiVersion` alone.

use serde_json::Value;

use crate::api::resource::{self, Resource};

/// Whether this resource shows another version than the stored one.
pub fn is_needed(resource: &Resource) -> bool {
    resource.storage.group != resource.group || resource.storage.version != resource.version
}

/// A stored object in the resource's version.
pub fn from_stored(mut object: Value, resource: &Resource) -> Value {
    if is_needed(resource) {
        object["apiVersion"] = Value::String(resource.api_version());
    }
    object
}

/// An object of the resource's version as it is stored.
pub fn to_stored(mut object: Value, resource: &Resource) -> Value {
    if is_needed(resource) {
        object["apiVersion"] = Value::String(resource::api_version(&resource.storage.group, &resource.storage.version));
    }
    object
}
